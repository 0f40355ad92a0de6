"""What requests and answers look like: made by what makes the real ones."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..core.settings import Settings
from ..flows.ask import Issued
from ..tokens.sign_ins import SignIn
from ..tokens.token import Token
from ..web import api, responses
from ..web.bodies import CodeBody, IdentifierBody

IDENTIFIER = "ada@example.com"
CHALLENGE = "ABUU4WTQ4UYD3VJQBFZ2QW6Y5G7HMN4C3KLXR2T5SOEIVA7DPJUBGYQZ"
OTP = "493027"
SIGN_IN_ID = "3.5f0c7e41b6d94a2f8c1de03b97a6524f"

# Signed with a key that nobody has, and expired.
_JWT = ".".join(
    (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF1dGgrand0In0",
        "eyJzdWIiOiIxIiwiYXVkIjoiY3VzdG9tZXIiLCJleHAiOjE3NjczMjMwNDV9",
        "Vq3sP0o2mZk7uJrXw1yB5cE9dF4gH8iKlNtQaRzSx6U",
    )
)

REQUESTS: Mapping[type, IdentifierBody | CodeBody] = {
    IdentifierBody: IdentifierBody(IDENTIFIER),
    CodeBody: CodeBody(IDENTIFIER, OTP, CHALLENGE),
}

PARAMETERS: Mapping[str, Mapping[str, str]] = {
    "sign_in_id": {"description": "An `id` of `signInsList`.", "example": SIGN_IN_ID},
}

Answers = Mapping[str, Mapping[str, Any]]


def answers(settings: Settings) -> dict[str, Answers]:
    """Return examples of answers, by operation and by what they show."""
    token: Answers = {"token": responses.token_answer(Token(_JWT))}
    newcomer: responses.TokenAnswer = {"token": _JWT, "registration": True}
    session: responses.SessionAnswer = {"user": {"actor_type": "customer", "actor_id": "1"}}
    done: Answers = {"done": responses.SUCCESS}
    return {
        "otpGenerate": _issued(settings, api.GENERATED),
        "otpPreRegister": _issued(settings, api.PRE_REGISTERED),
        "otpStart": _issued(settings, api.STARTED),
        "otpVerify": token,
        "otpRegister": token,
        "otpAuthenticate": token,
        "otpFinish": {**token, "somebody_new": newcomer},
        "tokenRefresh": token,
        "tokenRevoke": done,
        "signInsList": {"sign_ins": responses.sign_ins_answer([_SIGN_IN])},
        "signInsEndOthers": done,
        "signInsEnd": done,
        "sessionBegin": {"session": session},
        "sessionEnd": done,
        "keysList": {"keys": _KEYS},
    }


_SIGN_IN = SignIn(
    SIGN_IN_ID, "Firefox", "Linux", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), current=True
)

# The key of RFC 8037, appendix A.2.
_KEYS: responses.KeysAnswer = {
    "keys": [
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            "use": "sig",
            "alg": "EdDSA",
        }
    ]
}


def _issued(settings: Settings, message: str) -> Answers:
    issued = Issued(CHALLENGE, settings.ttl, settings.resend_interval)
    return {"issued": responses.issued_answer(issued, message)}
