"""Leaks: no log, error, representation or stored value holds a code, a token or an identifier."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attacks import Attack
from conftest import ADA, BOB, Api, Watched, bearer, wrong
from flask import Flask

import flask_otp_auth
from flask_otp_auth import errors, signals
from flask_otp_auth.testing import Outbox


def everything_once(watched: Watched) -> Iterator[tuple[str, str]]:
    """Go through every flow, rightly and wrongly; yield secrets, each with what it is."""
    app, otp_auth = watched.app, watched.otp_auth
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        yield "identifier", ADA
        yield "identifier", BOB
        yield "identifier", "ada@"
        yield "identifier", "bob@"
        yield "challenge", api.generate().get_json()["challenge"]
        api.generate()
        api.generate(BOB)
        yield "code", outbox.last.otp
        yield "code", wrong(outbox.last.otp)
        api.verify(wrong(outbox.last.otp))
        api.verify(f" {outbox.last.otp} x")
        token = api.verify(outbox.last.otp).get_json()["token"]
        yield "token", token
        yield "token", token.rsplit(".", 1)[1]
        fresh = api.refresh(token).get_json()["token"]
        yield "token", fresh
        api.pre_register()
        yield "code", outbox.last.otp
        registration = api.register(outbox.last.otp).get_json()["token"]
        yield "token", registration
        api.authenticate(outbox.last.otp)
        watched.customers.add(BOB)
        api.authenticate(outbox.last.otp)
        api.refresh(registration)
        api.refresh(f"{token}x")
        visitor = app.test_client()
        visitor.post("/auth/session", headers=bearer(fresh))
        visitor.delete("/auth/session")
        api.revoke(token)
        with app.app_context():
            otp_auth.revoke_all("customer", 1)
        watched.store.reachable = False
        api.verify("123456")
        watched.store.reachable = True
        watched.limits.reachable = False
        api.verify("123456")
        watched.limits.reachable = True
        api.client.post("/auth/customer/otp/verify", data=f'{{"identifier": "{ADA}"')
        api.verify("123456", f"{ADA}\r\n")
        api.verify("123456" * 30)


def deliver_badly(sender: Flask, otp: str, identifier: str, **_: Any) -> None:
    """Fail as mailers do: with all that they know in the text of the error."""
    raise OSError(f"550 no mailbox for {identifier}: your code is {otp}")


@pytest.fixture
def leaky(make_watched: Callable[..., Watched]) -> Iterator[Watched]:
    """A watched shop whose mailer fails and says why."""
    watched = make_watched()
    signals.otp_generated.connect(deliver_badly, watched.app)
    yield watched
    signals.otp_generated.disconnect(deliver_badly, watched.app)


def test_asvs_16_2_5_no_log_holds_a_secret(
    leaky: Watched, caplog: pytest.LogCaptureFixture, attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 16.2.5 and 14.2.1: every logger of every library, at DEBUG."""
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, name)
    secrets = list(everything_once(leaky))
    assert {"flask_otp_auth", "flask_otp_auth.audit"} <= {record.name for record in caplog.records}
    assert "deliver_badly raised OSError" in caplog.text
    searching = attack("leaks: codes, tokens and identifiers in logs at DEBUG")
    for record in caplog.records:
        told = f"{record.getMessage()} {record.args} {record.exc_text}"
        for _, secret in secrets:
            searching.tried(secret in told)
    assert searching.failed(tries=200)


def test_asvs_14_2_1_no_stored_key_or_value_holds_a_secret(
    make_watched: Callable[..., Watched], attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 6.5.2 and 14.2.1: what is kept tells nobody's address and no code.

    The ids of challenges are in values, sealed but readable: without the code they open nothing.
    """
    watched = make_watched()
    secrets = [secret for kind, secret in everything_once(watched) if kind != "challenge"]
    stored = [*watched.store.written, *watched.store.written.values(), *watched.limits.events]
    assert len(stored) > 40
    searching = attack("leaks: codes, tokens and identifiers in stored keys and values")
    for text in stored:
        for secret in secrets:
            # Six digits may stand in a time or in a digest by chance; then between others.
            searching.tried(secret in text and not (secret.isdigit() and _is_inside(secret, text)))
    assert searching.failed(tries=500)


def _is_inside(digits: str, text: str) -> bool:
    before, _, after = text.partition(digits)
    return (before[-1:] + after[:1]).isalnum()


def reachable(root: object) -> Iterator[object]:
    """Yield every object of this package that can be reached from another."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list | tuple | set | frozenset):
            waiting += one
        if type(one).__module__.startswith("flask_otp_auth"):
            yield one
            waiting += getattr(one, "__dict__", {}).values()


def test_asvs_16_2_5_no_repr_holds_a_secret(
    make_watched: Callable[..., Watched], attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 16.2.5: whatever a debugger or an error tracker prints of our objects."""
    watched = make_watched()
    state = watched.app.extensions["otp_auth"]
    with Outbox(watched.app) as outbox, watched.app.app_context():
        issued = watched.otp_auth.generate("customer", ADA)
        otp = outbox.last.otp
        subject = flask_otp_auth.challenges.Subject("customer", "login", ADA)
        token = watched.otp_auth.verify("customer", ADA, otp)
        claims, _ = state.credentials.identify(token, ())
    objects = [*reachable(state), *reachable([issued, subject, claims])]
    assert len(objects) > 25
    secrets = (otp, ADA, token, claims.jti, issued.challenge, watched.app.config["SECRET_KEY"])
    searching = attack("leaks: secrets in what objects print of themselves")
    for one in objects:
        for secret in secrets:
            searching.tried(secret in repr(one) or secret in str(one))
    assert searching.failed(tries=150)


def test_asvs_16_5_1_no_error_holds_what_was_sent(
    app: Flask, outbox: Outbox, attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 16.5.1: answers and exceptions are fixed texts."""
    api = Api(app.test_client())
    marker = "zq7marker"
    echoing = attack("leaks: what was sent, in the text of errors")
    for answer in (
        api.verify("123456", f"{marker}@"),
        api.verify(marker),
        api.verify(marker * 20),
        api.verify("123456", challenge=marker * 8),
        api.verify({marker: marker}),
        api.refresh(marker),
        Api(app.test_client(), actor_type=marker).generate(),
        app.test_client().post("/auth/customer/otp/verify", data=f'{{"{marker}": NaN}}'),
    ):
        assert answer.status_code >= 400
        echoing.tried(marker in answer.text or marker in str(answer.headers))
    for name in ("InvalidData", "InvalidIdentifier", "InvalidOTP", "Unauthorized", "NotFound"):
        echoing.tried(marker in str(getattr(errors, name)()))
    assert echoing.failed(tries=13)
