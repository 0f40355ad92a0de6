"""Failures on the app's part, and garbage in its storage: nothing is used up, nobody is let in."""

from collections.abc import Callable, Iterator

import pytest
from fakes import ADA, BOB, claims_of, wrong
from routes import DOOR_IN, LOGIN, REGISTRATION, Route, Shop, all_routes
from werkzeug.test import TestResponse

signing_in = pytest.mark.parametrize("route", [LOGIN, DOOR_IN], ids=lambda route: route.name)


Break = Callable[..., None]


class Broken(Exception):
    """What an app's own code raises."""


@pytest.fixture
def breakable(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Break:
    """Let a method of the app's raise, until it is called without ``broken``."""

    def break_(target: object, name: str, *, broken: bool = True) -> None:
        def fail(*_: object) -> None:
            raise Broken

        if broken:
            monkeypatch.setattr(target, name, fail)
        else:
            monkeypatch.undo()

    shop.app.config["PROPAGATE_EXCEPTIONS"] = False
    return break_


class TestTheApp:
    @all_routes
    def test_a_finder_that_raises_uses_up_no_code(
        self, shop: Shop, breakable: Break, route: Route
    ) -> None:
        route.ask(shop)
        shop.recorder.heard.clear()
        breakable(shop.customers, "find_by_identifier")
        assert route.redeem(shop, shop.otp).status_code == 500
        assert shop.recorder.heard == []
        breakable(shop.customers, "find_by_identifier", broken=False)
        assert route.is_good(shop, shop.otp)

    @signing_in
    def test_neither_does_a_claims_loader(self, shop: Shop, breakable: Break, route: Route) -> None:
        class Loader:
            def load(self, actor_type: str, actor: object) -> dict[str, str]:
                return {"theme": "dark"}

        shop.otp_auth.claims_loader(lambda *arguments: Loader().load(*arguments))
        route.ask(shop)
        shop.recorder.heard.clear()
        breakable(Loader, "load")
        assert route.redeem(shop, shop.otp).status_code == 500
        assert shop.recorder.heard == []
        breakable(Loader, "load", broken=False)
        assert route.is_good(shop, shop.otp)

    def test_an_asynchronous_claims_loader_is_waited_for(self, shop: Shop) -> None:
        async def load(actor_type: str, actor: object) -> dict[str, str]:
            return {"theme": "dark"}

        shop.otp_auth.claims_loader(load)
        LOGIN.ask(shop)
        token = LOGIN.redeem(shop, shop.otp).get_json()["token"]
        assert claims_of(token)["theme"] == "dark"

    def test_nor_a_grace(self, shop: Shop, breakable: Break) -> None:
        REGISTRATION.ask(shop)
        assert REGISTRATION.is_good(shop, shop.otp)
        shop.customers.add(BOB)
        breakable(shop.customers, "find_by_identifier")
        assert shop.api.authenticate(shop.otp).status_code == 500
        breakable(shop.customers, "find_by_identifier", broken=False)
        assert shop.api.authenticate(shop.otp).status_code == 200

    @all_routes
    def test_a_finder_that_raises_in_the_job_fails_the_delivery_and_no_request(
        self, shop: Shop, breakable: Break, route: Route
    ) -> None:
        breakable(shop.customers, "find_by_identifier")
        route.ask(shop)
        assert shop.recorder.names == ["delivery_failed"]
        breakable(shop.customers, "find_by_identifier", broken=False)
        route.ask(shop)
        assert len(shop.outbox) == 1


#: What stands in place of our values: nothing that we wrote, and nothing that JSON or a seal is.
GARBAGE = {
    "nothing": "",
    "a number": "1",
    "null": "null",
    "a list": "[]",
    "a value without its seal": '[9e9,["k","d",9e9]].x',
    "a letter": "é",
    "NUL": "\x00",
    "many letters": "x" * 10_000,
}


class Visit:
    """Two sign-ins, a registration and what is done with tokens; step by step."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.tokens = shop, ["a token"]

    def steps(self) -> Iterator[Callable[[], TestResponse]]:
        api = self.shop.api
        yield lambda: api.generate()
        yield lambda: api.verify(wrong(self.otp))
        yield lambda: api.verify(self.otp)
        yield lambda: api.start(ADA)
        yield lambda: api.finish(self.otp)
        yield lambda: api.pre_register()
        yield lambda: api.register(self.otp)
        self.shop.customers.add(BOB)
        yield lambda: api.authenticate(self.otp)
        yield lambda: api.refresh(self.tokens[-1])
        yield lambda: api.revoke(self.tokens[-1])

    @property
    def otp(self) -> str:
        return self.shop.otp if self.shop.outbox else "123456"

    def take(self, step: Callable[[], TestResponse]) -> int:
        answer = step()
        self.tokens += [answer.get_json()["token"]] if "token" in answer.get_json() else []
        return int(answer.status_code)


STEPS = [200, 400, 200, 200, 200, 200, 200, 200, 200, 200]
ASKS = (0, 3, 5)


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("at", range(len(STEPS)))
def test_garbage_under_every_key_counts_as_absent(shop: Shop, at: int, garbage: str) -> None:
    """Under every key that was ever there, what was taken included, before any one step."""
    visit = Visit(shop)
    statuses = []
    asked_since = False
    for number, step in enumerate(visit.steps()):
        if number == at:
            keys = {key for _, keys in shop.store.calls for key in keys}
            shop.store.items.update(dict.fromkeys(keys, (garbage, 9e9)))
        asked_since |= number >= at and number in ASKS
        status = visit.take(step)
        statuses.append(status)
        if number < at or number in ASKS:
            assert status == STEPS[number]
        assert status in (STEPS[number], 400, 401)
        if number >= at and not asked_since:
            assert status in (400, 401)  # whatever was there before is good for nothing
    assert len(statuses) == len(STEPS)


def test_without_garbage_all_of_that_succeeds(shop: Shop) -> None:
    visit = Visit(shop)
    assert [visit.take(step) for step in visit.steps()] == STEPS
