"""Leaks: no log, error, representation or stored value holds a code, a token or an identifier."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attacks import Begin
from fakes import ADA, BOB, Api, MakeWatched, Watched, bearer, wrong
from flask import Flask

from flask_otp_auth import signals
from flask_otp_auth.core.context import NO_CALLER
from flask_otp_auth.testing import Outbox


def everything_once(watched: Watched) -> Iterator[tuple[str, str]]:
    """Go through every flow, rightly and wrongly; yield secrets, each with what it is."""
    app, otp_auth = watched.app, watched.otp_auth
    api = Api(app.test_client())
    with Outbox(app, alone=False) as outbox:
        yield from (("identifier", who) for who in (ADA, BOB, "ada@", "bob@"))
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
        yield "challenge", api.start(BOB).get_json()["challenge"]
        yield "code", outbox.last.otp
        joining = api.finish(outbox.last.otp, BOB)
        yield "token", joining.get_json()["token"]
        with app.app_context():
            state, prefix = app.extensions["otp_auth"], "https://shop.example/link/"
            held = state.issuer.start("customer", ADA, NO_CALLER, link_to=prefix).challenge
            yield "challenge", held
            yield "code", outbox.last.otp
            link = str(outbox.last.link).removeprefix(prefix)
            yield "link", link
            state.redeemer.opens("customer", ADA, link)
            yield "token", str(state.redeemer.follow("customer", ADA, link, held, NO_CALLER))
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
        visitor.get("/auth/sign-ins")
        visitor.delete("/auth/sign-ins")
        visitor.delete("/auth/session")
        api.revoke(token)
        with app.app_context():
            otp_auth.revoke_all("customer", 1)
        watched.store.reachable = False
        api.verify("1234567890")
        watched.store.reachable = True
        watched.limits.reachable = False
        api.verify("1234567890")
        watched.limits.reachable = True
        api.client.post("/auth/customer/otp/verify", data=f'{{"identifier": "{ADA}"')
        api.verify("123456", f"{ADA}\r\n")
        api.verify("123456" * 30)


def deliver_badly(sender: Flask, otp: str, identifier: str, link: str | None, **_: Any) -> None:
    """Fail as mailers do: with all that they know in the text of the error."""
    if link is not None:
        raise OSError(f"404: {link.rpartition('/')[2]}")
    raise OSError(f"550 no mailbox for {identifier}: your code is {otp}")


@pytest.fixture
def watched(make_watched: MakeWatched) -> Watched:
    """A watched shop with codes so long that nothing looks like one by chance."""
    return make_watched(OTP_AUTH_DIGITS=10)


@pytest.fixture
def leaky(watched: Watched) -> Iterator[Watched]:
    """A watched shop whose mailer fails and says why."""
    for signal in (signals.otp_generated, signals.pre_register_otp_generated):
        signal.connect(deliver_badly, watched.app)
    yield watched
    for signal in (signals.otp_generated, signals.pre_register_otp_generated):
        signal.disconnect(deliver_badly, watched.app)


def test_asvs_16_2_5_no_log_holds_a_secret(
    leaky: Watched, caplog: pytest.LogCaptureFixture, attack: Begin
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
        told = f"{record.getMessage()} {record.args} {record.exc_text} {record.exc_info}"
        for _, secret in secrets:
            searching.tried(secret in told)
    assert searching.failed(tries=400)


def test_asvs_14_2_1_no_stored_key_or_value_holds_a_secret(
    watched: Watched, attack: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OWASP ASVS 5.0, 6.5.2 and 14.2.1: what is kept tells nobody's address and no code."""
    stored: set[str] = set()

    def keep(verb: Callable[..., Any]) -> Callable[..., Any]:
        def kept(*args: Any, **kwargs: Any) -> Any:
            stored.update(map(str, (*args, *kwargs.values())))
            return verb(*args, **kwargs)

        return kept

    for name in ("put", "mark"):
        monkeypatch.setattr(watched.store, name, keep(getattr(watched.store, name)))
    secrets = [secret for _, secret in everything_once(watched)]
    stored.update(map(str, watched.limits.events))
    assert len(stored) > 40
    searching = attack("leaks: codes, tokens and identifiers in stored keys and values")
    for text in stored:
        for secret in secrets:
            searching.tried(secret in text)
    assert searching.failed(tries=400)


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


def test_asvs_16_2_5_no_repr_holds_a_secret(watched: Watched, attack: Begin) -> None:
    """OWASP ASVS 5.0, 16.2.5: whatever a debugger or an error tracker prints of our objects."""
    state = watched.app.extensions["otp_auth"]
    with Outbox(watched.app) as outbox, watched.app.app_context():
        issued = state.issuer.generate("customer", ADA, NO_CALLER, link_to="https://shop.example/")
        watched.otp_auth.pre_register("customer", BOB)
        message, other = outbox
        token = watched.otp_auth.verify("customer", ADA, message.otp)
        claims, _ = state.credentials.identify(token, ())
    objects = [*reachable(state), *reachable([issued, claims])]
    assert len(objects) > 25
    key = watched.app.config["SECRET_KEY"]
    told = (str(token), claims.all["jti"], claims.sid, issued.challenge)
    secrets = (message.otp, other.otp, ADA, *told)
    searching = attack("leaks: secrets in what objects print of themselves")
    for one in (*objects, token):
        for secret in (*secrets, key):
            searching.tried(secret in repr(one))
    assert message.link
    searching.tried(message.link in repr(message))
    for one in (message, other):
        searching.tried(one.otp in repr(one))
    assert searching.failed(tries=150)
