"""Outages of the store or of the limiter: 503, nothing sent, no token, and over when they are."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import time_machine
from conftest import ADA, BOB, Api, Customers, Ear, Watched, WatchedStore
from flask import Flask
from werkzeug.test import TestResponse

from flask_otp_auth import OTPAuth, Unavailable
from flask_otp_auth.testing import Outbox

UNAVAILABLE = {"type": "unavailable", "message": "The service is temporarily unavailable."}


@dataclass
class Shop:
    """A watched shop, in which both of the storages or one can be cut off."""

    watched: Watched
    api: Api
    outbox: Outbox
    ear: Ear

    def cut(self, what: str) -> None:
        self.watched.store.reachable = what not in ("store", "both")
        self.watched.limits.reachable = what not in ("limits", "both")


@pytest.fixture
def shop(make_watched: Callable[..., Watched]) -> Iterator[Shop]:
    watched = make_watched()
    with Outbox(watched.app) as outbox:
        yield Shop(watched, Api(watched.app.test_client()), outbox, Ear(watched.app))


def unavailable(answer: TestResponse) -> bool:
    """Tell whether an answer is that of an outage, and nothing else is in it."""
    assert answer.headers["Cache-Control"] == "no-store"
    return (answer.status_code, answer.get_json()) == (503, UNAVAILABLE)


outages = pytest.mark.parametrize("what", ["store", "limits", "both"])


@outages
class TestOutage:
    """What is out of reach gives nobody anything."""

    @pytest.mark.parametrize("route", ["generate", "pre_register"])
    def test_no_code_is_sent(
        self, clock: time_machine.Traveller, shop: Shop, what: str, route: str
    ) -> None:
        who = {"generate": ADA, "pre_register": BOB}[route]
        shop.cut(what)
        assert unavailable(getattr(shop.api, route)(who))
        assert (len(shop.outbox), shop.ear.heard) == (0, [])
        shop.cut("nothing")
        clock.shift(60)
        assert getattr(shop.api, route)(who).status_code == 200
        assert len(shop.outbox) == 1

    def test_once_it_is_over_a_code_is_sent_at_once(self, shop: Shop, what: str) -> None:
        otp_auth = shop.watched.app.extensions["otp_auth"].issuing
        shop.cut(what)
        with shop.watched.app.app_context(), pytest.raises(Unavailable):
            otp_auth.generate("customer", ADA)
        shop.cut("nothing")
        assert shop.api.generate(ADA).status_code == 200
        assert len(shop.outbox) == 1

    @pytest.mark.parametrize("route", ["generate", "pre_register"])
    def test_the_answer_is_the_same_for_who_would_get_none(
        self, shop: Shop, what: str, route: str
    ) -> None:
        who = {"generate": BOB, "pre_register": ADA}[route]
        shop.cut(what)
        assert unavailable(getattr(shop.api, route)(who))
        assert shop.ear.heard == []

    @pytest.mark.parametrize("route", ["verify", "authenticate"])
    def test_nobody_signs_in(self, shop: Shop, what: str, route: str) -> None:
        shop.api.generate(ADA)
        otp = shop.outbox.last.otp
        shop.ear.heard.clear()
        shop.cut(what)
        for _ in range(7):
            assert unavailable(getattr(shop.api, route)(otp, ADA))
        assert shop.ear.heard == []
        shop.cut("nothing")
        assert getattr(shop.api, route)(otp, ADA).status_code == 200

    def test_nobody_registers(self, shop: Shop, what: str) -> None:
        shop.api.pre_register(BOB)
        otp = shop.outbox.last.otp
        shop.ear.heard.clear()
        shop.cut(what)
        assert unavailable(shop.api.register(otp, BOB))
        assert shop.ear.heard == []
        shop.cut("nothing")
        assert shop.api.register(otp, BOB).status_code == 200

    def test_nobody_uses_a_grace(self, shop: Shop, what: str) -> None:
        shop.api.pre_register(BOB)
        otp = shop.outbox.last.otp
        shop.api.register(otp, BOB)
        shop.watched.customers.add(BOB)
        shop.ear.heard.clear()
        shop.cut(what)
        assert unavailable(shop.api.authenticate(otp, BOB))
        assert shop.ear.heard == []
        shop.cut("nothing")
        assert shop.api.authenticate(otp, BOB).status_code == 200

    def test_without_http_it_is_an_exception(self, shop: Shop, what: str) -> None:
        shop.cut(what)
        otp_auth = shop.watched.otp_auth
        with shop.watched.app.app_context():
            with pytest.raises(Unavailable):
                otp_auth.generate("customer", ADA)
            with pytest.raises(Unavailable):
                otp_auth.pre_register("customer", BOB)
        assert shop.ear.heard == []


class TestTokensInAnOutage:
    """Nobody can tell whether a token was revoked, so none lets in."""

    def test_are_neither_refreshed_nor_revoked(self, shop: Shop) -> None:
        shop.api.generate(ADA)
        token = shop.api.verify(shop.outbox.last.otp).get_json()["token"]
        shop.ear.heard.clear()
        shop.cut("store")
        assert unavailable(shop.api.refresh(token))
        assert unavailable(shop.api.revoke(token))
        assert shop.ear.heard == []
        shop.cut("nothing")
        assert shop.api.refresh(token).status_code == 200
        assert shop.api.revoke(token).status_code == 200

    def test_of_a_registration_are_not_refreshed(self, shop: Shop) -> None:
        shop.api.pre_register(BOB)
        token = shop.api.register(shop.outbox.last.otp).get_json()["token"]
        shop.watched.customers.add(BOB)
        shop.cut("store")
        assert unavailable(shop.api.refresh(token))
        shop.cut("nothing")
        assert shop.api.refresh(token).status_code == 200

    def test_need_no_limiter(self, shop: Shop) -> None:
        shop.api.generate(ADA)
        token = shop.api.verify(shop.outbox.last.otp).get_json()["token"]
        shop.cut("limits")
        assert shop.api.refresh(token).status_code == 200


class Faltering(WatchedStore):
    """A store that fails at one call, counted from when it is told."""

    calls_left: int | None = None

    def _note(self, verb: str) -> None:
        if self.calls_left is not None:
            self.calls_left -= 1
            self.reachable = self.calls_left != 0
        super()._note(verb)


class TestOutageInTheMiddle:
    """The store fails at any one of the calls that a request makes."""

    @pytest.fixture
    def store(self) -> Faltering:
        return Faltering()

    @pytest.fixture
    def app(self, store: Faltering, make_app: Callable[..., Flask], customers: Customers) -> Flask:
        otp_auth = OTPAuth(cache=store)
        otp_auth.add_actor_type("customer", customers)
        return make_app(otp_auth)

    def failures(self, store: Faltering, act: Callable[[str], TestResponse]) -> list[str]:
        """Let ``act`` fail at its first call, at its second and so on, until it doesn't.

        :param act: acts for an identifier of its own.
        :returns: the identifiers for which it failed.
        """
        failed: list[str] = []
        while True:
            identifier = f"{len(failed)}@example.com"
            store.calls_left = len(failed) + 1
            answer = act(identifier)
            store.calls_left, store.reachable = None, True
            if answer.status_code == 200:
                return failed
            assert unavailable(answer)
            failed.append(identifier)

    def test_sends_nothing(
        self, api: Api, outbox: Outbox, ear: Ear, store: Faltering, customers: Customers
    ) -> None:
        def generate(identifier: str) -> TestResponse:
            assert ear.heard == []
            customers.add(identifier)
            return api.generate(identifier)

        assert len(self.failures(store, generate)) == 2
        assert len(outbox) == 1

    def test_lets_nobody_in_and_the_code_is_good_afterwards(
        self, api: Api, outbox: Outbox, ear: Ear, store: Faltering, customers: Customers
    ) -> None:
        codes: dict[str, str] = {}
        for number in range(10):
            identifier = f"{number}@example.com"
            customers.add(identifier)
            api.generate(identifier)
            codes[identifier] = outbox.last.otp
        ear.heard.clear()

        def verify(identifier: str) -> TestResponse:
            assert ear.heard == []
            return api.verify(codes[identifier], identifier)

        failed = self.failures(store, verify)
        assert len(failed) == 3
        assert len(ear.of("actor_authenticated")) == 1
        assert {api.verify(codes[who], who).status_code for who in failed} == {200}

    def test_registers_nobody(self, api: Api, outbox: Outbox, ear: Ear, store: Faltering) -> None:
        codes: dict[str, str] = {}
        for number in range(10):
            identifier = f"{number}@example.com"
            api.pre_register(identifier)
            codes[identifier] = outbox.last.otp
        ear.heard.clear()

        def register(identifier: str) -> TestResponse:
            assert ear.heard == []
            return api.register(codes[identifier], identifier)

        assert len(self.failures(store, register)) == 5
        assert [name for name, _ in ear.heard] == ["otp_verified"]


class TestOutageAtTheStart:
    """It is no fault of the configuration."""

    def test_is_a_warning_and_over_when_it_is(
        self,
        make_app: Callable[..., Flask],
        customers: Customers,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        store = WatchedStore()
        store.reachable = False
        otp_auth = OTPAuth(cache=store)
        otp_auth.add_actor_type("customer", customers)
        app = make_app(otp_auth)
        assert [(record.levelname, record.name) for record in caplog.records] == [
            ("WARNING", "flask_otp_auth")
        ]
        assert "can't be reached yet" in caplog.text
        api = Api(app.test_client())
        assert unavailable(api.generate(ADA))
        store.reachable = True
        with Outbox(app) as outbox:
            assert api.generate(ADA).status_code == 200
        assert api.verify(outbox.last.otp).status_code == 200


@pytest.mark.parametrize(
    ("what", "cause"), [("store", "refused"), ("limits", "ConnectionRefusedError")]
)
def test_the_log_tells_the_cause_and_nothing_of_the_request(
    shop: Shop, caplog: pytest.LogCaptureFixture, what: str, cause: str
) -> None:
    shop.cut(what)
    caplog.clear()
    assert unavailable(shop.api.generate(ADA))
    assert [record.getMessage() for record in caplog.records] == [f"answered 503: {cause}"]
    assert caplog.records[0].levelno == logging.ERROR
