"""The shop of the flows' tests, and the ways to ask for a code and to answer with it."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from fakes import ADA, BOB, Api, SignalRecorder, Watched
from time_machine import Traveller
from werkzeug.test import TestResponse

from flask_otp_auth.testing import Outbox


@dataclass
class Shop(Watched):
    """The watched shop, with its routes, its codes, its signals, and a clock that stands still."""

    outbox: Outbox
    clock: Traveller

    def __post_init__(self) -> None:
        self.api = Api(self.app.test_client())
        self.recorder = SignalRecorder(self.app)

    @property
    def otp(self) -> str:
        """The newest code."""
        return self.outbox.last.otp


MakeShop = Callable[..., Shop]


@dataclass(frozen=True)
class Route:
    """One way.

    :ivar wanted: who gets a code by it.
    """

    name: str
    ask_by: str
    redeem_by: str
    purpose: str
    wanted: str

    def ask(self, shop: Shop, identifier: str | None = None) -> str:
        """Ask for a code and return the challenge; the answer is always a success."""
        answer = getattr(shop.api, self.ask_by)(identifier or self.wanted)
        assert answer.status_code == 200
        return answer.get_json()["challenge"]

    def redeem(
        self, shop: Shop, otp: str, identifier: str | None = None, **fields: object
    ) -> TestResponse:
        """Answer with a code."""
        redeem = getattr(shop.api, self.redeem_by)
        return redeem(otp, identifier or self.wanted, **fields)

    def is_good(
        self, shop: Shop, otp: str, identifier: str | None = None, **fields: object
    ) -> bool:
        """Tell whether a code is accepted; if not, the answer is the one for all refusals."""
        answer = self.redeem(shop, otp, identifier, **fields)
        if answer.status_code == 200:
            return "token" in answer.get_json()
        if self is DOOR_JOIN and answer.status_code == 409:
            return False  # used, and in its grace while there is no account
        assert answer.status_code == 400
        assert answer.get_json() == {"type": "invalid_otp", "message": "Invalid OTP"}
        return False


LOGIN = Route("login", "generate", "verify", "login", ADA)
REGISTRATION = Route("registration", "pre_register", "register", "registration", BOB)
DOOR_IN = Route("door-in", "start", "finish", "door", ADA)
DOOR_JOIN = Route("door-join", "start", "finish", "door", BOB)

all_routes = pytest.mark.parametrize(
    "route", [LOGIN, REGISTRATION, DOOR_IN, DOOR_JOIN], ids=lambda route: route.name
)


def configured(**settings: object) -> pytest.MarkDecorator:
    """Give the shop of a test settings of its own."""
    config = {f"OTP_AUTH_{name.upper()}": value for name, value in settings.items()}
    return pytest.mark.parametrize("config", [config], ids=[""])
