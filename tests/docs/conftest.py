"""The shop that the pages speak of, what happens there, and the files that pages lead to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from examples import Example, Start
from fakes import ADA, BOB, SECRET, Api, MakeApp, wrong
from flask import Flask
from pages import DOCS, load

from flask_otp_auth import OTPAuth, signals
from flask_otp_auth.testing import Outbox


@pytest.fixture
def eventful(otp_auth: OTPAuth, make_app: MakeApp) -> tuple[Flask, Callable[[], object]]:
    """A shop, and what lets happen there all that signals and the audit log tell of."""
    reviewer = "review@example.com"
    line, code = make_app().extensions["otp_auth"].fixed_codes.new("customer", reviewer, 1)
    app = make_app(
        otp_auth,
        OTP_AUTH_TEST_IDENTITIES=[str(line)],
        OTP_AUTH_GLOBAL_FAILURE_LIMIT="1/hour",
        OTP_AUTH_IP_VERIFY_LIMITS="4/hour",
        OTP_AUTH_VERIFY_LIMITS="2/day",
    )

    def fail(sender: Flask, **_: object) -> None:
        raise OSError

    def let_all_happen() -> None:
        signals.pre_register_otp_generated.connect(fail, app)
        api = Api(app.test_client())
        with Outbox(app, alone=False) as outbox:
            with app.app_context():
                otp_auth.purpose("contact").send(ADA)
            api.generate(ADA)
            api.revoke(api.verify(outbox.last.otp, ADA).get_json()["token"])
            api.generate(BOB)
            api.pre_register(BOB)
            for _ in range(4):
                api.register(wrong(outbox.last.otp), BOB)
        Api(app.test_client(), address="192.0.2.1").register(code, reviewer)

    return app, let_all_happen


@pytest.fixture
def start_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Start]:
    """Run a file of docs/ in an environment as its reader would make it."""
    started: list[Example] = []

    def start(path: str, **variables: str) -> Example:
        monkeypatch.setenv("SECRET_KEY", SECRET)
        monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/{Path(path).stem}.sqlite3")
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        started.append(Example(load(DOCS / path, monkeypatch)))
        started[-1].outbox.__enter__()
        return started[-1]

    yield start
    for example in started:
        example.outbox.__exit__(None, None, None)
        if hasattr(example.code, "db"):
            with example.app.app_context():
                example.code.db.engine.dispose()
