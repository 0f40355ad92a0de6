"""What an installed wheel must do with nothing but its required dependencies."""

import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files

from flask import Flask

import flask_otp_auth
from flask_otp_auth import OTPAuth
from flask_otp_auth.messages import email


class NobodyStore:
    """An actor store without actors."""

    def find_by_identifier(self, identifier: str) -> None:
        return None

    def find_by_id(self, actor_id: str) -> None:
        return None


def check(fact: bool, what: str) -> None:
    if not fact:
        raise SystemExit(f"smoke test: {what}")


check("site-packages" in flask_otp_auth.__file__, "this is not the installed package")
check(files(flask_otp_auth).joinpath("py.typed").is_file(), "the wheel has no py.typed")
for language in ("ar", "de", "es", "fr"):
    catalogue = files(flask_otp_auth) / "translations" / language / "LC_MESSAGES" / "otp_auth.mo"
    check(catalogue.is_file(), f"the wheel has no texts in {language}")
translations = files(flask_otp_auth).joinpath("translations", "de", "LC_MESSAGES")
check(translations.joinpath("otp_auth.mo").is_file(), "the wheel has no translations")

app = Flask("smoke")
app.config.update(
    TESTING=True, SECRET_KEY="a key of the smoke test, long enough", OTP_AUTH_PAGES=True
)
otp_auth = OTPAuth()
otp_auth.add_actor_type("customer", NobodyStore(), identifier="email")
otp_auth.init_app(app)

notice = email(
    app, actor_type="customer", identifier="ada@example.com", purpose="login",
    reason="unknown_actor", context=None,
)  # fmt: skip
check(notice is not None and "smoke" in notice.html, "the wheel renders no messages")

answer = app.test_client().post(
    "/auth/customer/otp/generate", json={"identifier": "ada@example.com"}
)
check(answer.status_code == 200, f"generate answered {answer.status}")
check(
    set(answer.get_json()) == {"message", "challenge", "expires_in", "resend_after"},
    f"generate answered {answer.get_data(as_text=True)}",
)

page = app.test_client().get("/auth/customer/sign-in")
check(page.status_code == 200, f"the sign-in page answered {page.status}")
for kind, url in re.findall(r'(href|src)="(/auth/static/[^"]+)"', page.text):
    check(app.test_client().get(url).status_code == 200, f"{kind} {url} is not there")

with app.app_context():
    mail = email(
        app,
        actor_type="customer",
        actor_id="1",
        identifier="ada@example.com",
        otp="123456",
        expires_at=datetime.now(UTC) + timedelta(minutes=5),
        challenge="",
        context=None,
        link=None,
    )
check(mail is not None and "123456" in mail.html, "no mail was rendered")

print(f"smoke test: the wheel's generate answered {answer.status}")
