"""Signs schemathesis in at the example shop, which prints the codes that it would mail."""

import itertools
import os
import re
from pathlib import Path
from typing import Any

import requests
import schemathesis
from stores import until

URL = os.environ["SHOP_URL"]
OUTPUT = Path(os.environ["SHOP_OUTPUT"])

_numbers = itertools.count()


@schemathesis.auth(refresh_interval=1)
class NewCustomer:
    """A token of somebody who has just joined; another one each second, as tokens are revoked."""

    def get(self, case: Any, context: Any) -> str:
        who = f"customer{next(_numbers)}@example.com"
        post("/auth/customer/otp/pre-register", identifier=who)
        mail = re.compile(rf"To {re.escape(who)}: your code to join is (\d+)")
        until(lambda: mail.search(OUTPUT.read_text()), "the code")
        code = mail.findall(OUTPUT.read_text())[0]
        registration = post("/auth/customer/otp/register", identifier=who, otp=code)["token"]
        requests.post(f"{URL}/customers", headers=bearer(registration), timeout=10)
        token: str = post("/auth/customer/otp", identifier=who, otp=code)["token"]
        return token

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers = {**(case.headers or {}), **bearer(data)}


def post(path: str, **body: str) -> dict[str, Any]:
    answer = requests.post(URL + path, json=body, timeout=10)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
