"""Outages at every single call of every flow: 503, nothing sent, no token; and over when they are.

The storage is cut off at one call, or from that call on; or it forgets everything at that moment.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fakes import BOB, wrong
from routes import LOGIN, REGISTRATION, MakeShop, Route, Shop, all_routes
from werkzeug.test import TestResponse

from flask_otp_auth.errors import Unavailable

UNAVAILABLE = {"type": "unavailable", "message": "The service is temporarily unavailable."}

#: What is cut off, and whether it stays so.
cuts = pytest.mark.parametrize("what", ["store", "limits"])
lasting = pytest.mark.parametrize("lasts", [False, True], ids=["once", "from-then-on"])

#: Settings under which a flow makes more calls than by default.
configs = pytest.mark.parametrize(
    "config",
    [
        {},
        {"OTP_AUTH_VERIFY_LIMITS": "1/day"},
        {"OTP_AUTH_SEND_LIMITS": "1/hour", "OTP_AUTH_RESEND_INTERVAL": 0},
    ],
    ids=["default", "last-guess", "past-the-sends"],
)


class Gone(Unavailable, ConnectionRefusedError):
    """A storage of either half is out of reach."""


def fail(shop: Shop) -> None:
    raise Gone


@dataclass
class Interruption:
    """What came of a request whose call number ``at`` was interrupted.

    :ivar calls: those that it made of the storage in question, the interrupted one included.
    """

    shop: Shop
    answer: TestResponse
    calls: list[str]

    def is_unavailable(self) -> bool:
        """Tell whether the answer is that of an outage and nobody was signed in."""
        assert (self.answer.status_code, self.answer.get_json()) == (503, UNAVAILABLE)
        assert self.answer.headers["Cache-Control"] == "no-store"
        return "actor_authenticated" not in self.shop.recorder.names

    @property
    def has_used(self) -> bool:
        """Whether the code was taken before."""
        return "take" in self.calls[:-1]


def interrupted(
    make_shop: Callable[[], Shop],
    act: Callable[[Shop], TestResponse],
    what: str,
    lasts: bool = False,
    action: Callable[[Shop], None] = fail,
) -> Iterator[Interruption]:
    """Interrupt ``act`` at its first call, at its second and so on, each time in another shop."""
    for at in range(40):
        shop, calls = make_shop(), list[str]()
        shop.recorder.heard.clear()

        def note(verb: str, *_: str, shop: Shop = shop, at: int = at) -> None:
            calls.append(verb)  # noqa: B023 - it is called in this round alone
            if len(calls) == at + 1 or (lasts and len(calls) > at):  # noqa: B023 - called within the same round
                action(shop)

        storage = getattr(shop, what)
        storage._note = note
        answer = act(shop)
        del storage._note
        if len(calls) <= at:  # it was done before
            assert at > 0
            assert answer.status_code < 500
            return
        yield Interruption(shop, answer, calls)
    pytest.fail("it has no end")


@all_routes
@configs
@cuts
@lasting
class TestWhileItLasts:
    def test_no_code_is_sent_and_one_is_at_the_next_request(
        self, make_shop: MakeShop, config: dict[str, Any], route: Route, what: str, lasts: bool
    ) -> None:
        def make() -> Shop:
            shop = make_shop(**config)
            if "OTP_AUTH_SEND_LIMITS" in config:
                route.ask(shop)
            return shop

        def ask(shop: Shop) -> TestResponse:
            return getattr(shop.api, route.ask_by)(route.wanted)

        for found in interrupted(make, ask, what, lasts):
            shop = found.shop
            assert found.is_unavailable()
            assert shop.recorder.names in ([], ["identifier_attacked"])
            before = len(shop.outbox)
            if lasts:
                shop.clock.shift(420)  # a window that could not be opened ends by itself
            route.ask(shop)
            assert len(shop.outbox) == before + 1
            assert route.is_good(shop, shop.otp)

    def test_no_token_is_given_and_the_code_or_a_new_one_is_good_afterwards(
        self, make_shop: MakeShop, config: dict[str, Any], route: Route, what: str, lasts: bool
    ) -> None:
        def make() -> Shop:
            shop = make_shop(**config)
            route.ask(shop)
            return shop

        def answer(shop: Shop) -> TestResponse:
            return route.redeem(shop, shop.otp)

        for found in interrupted(make, answer, what, lasts):
            shop = found.shop
            assert found.is_unavailable()
            tries = [answer(shop).status_code for _ in range(2)]
            if "OTP_AUTH_VERIFY_LIMITS" not in config:
                assert (tries[0] == 200) is not found.has_used
                assert tries[1] != 200
            if 200 not in tries:
                shop.clock.shift(60)
                route.ask(shop)
                assert route.is_good(shop, shop.otp)


@cuts
def test_a_wrong_answer_is_not_told_from_a_right_one(make_shop: MakeShop, what: str) -> None:
    def make() -> Shop:
        shop = make_shop()
        LOGIN.ask(shop)
        return shop

    for found in interrupted(make, lambda shop: LOGIN.redeem(shop, wrong(shop.otp)), what):
        assert found.is_unavailable()
        assert found.shop.recorder.heard == []
        assert LOGIN.is_good(found.shop, found.shop.otp)


@cuts
def test_a_grace_is_used_once_or_kept(make_shop: MakeShop, what: str) -> None:
    def make() -> Shop:
        shop = make_shop()
        del shop.customers.accounts[1:]
        REGISTRATION.ask(shop)
        assert REGISTRATION.is_good(shop, shop.otp)
        shop.customers.add(BOB)
        return shop

    def authenticate(shop: Shop) -> TestResponse:
        return shop.api.authenticate(shop.otp)

    for found in interrupted(make, authenticate, what):
        assert found.is_unavailable()
        again = [authenticate(found.shop).status_code for _ in range(2)]
        assert again == [400 if found.has_used else 200, 400]


@all_routes
def test_a_storage_that_forgets_everything_only_refuses(make_shop: MakeShop, route: Route) -> None:
    """At any call of asking and answering."""

    def ask_and_answer(shop: Shop) -> TestResponse:
        route.ask(shop)
        return route.redeem(shop, shop.otp)

    def forget(shop: Shop) -> None:
        shop.store.items.clear()

    answers = Counter[int]()
    for found in interrupted(make_shop, ask_and_answer, "store", action=forget):
        shop, status = found.shop, found.answer.status_code
        answers[status] += 1
        assert not (status == 200 and route.is_good(shop, shop.otp))
        shop.clock.shift(60)
        route.ask(shop)
        assert route.is_good(shop, shop.otp)
    assert answers.keys() == {200, 400}
