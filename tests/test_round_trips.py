"""Round trips to Redis: counted on the wire, and by the server itself."""

from collections.abc import Callable, Iterator

import pytest
import time_machine
from conftest import ADA, BOB, Api, wrong
from flask import Flask
from stores import Proxy, Redis, Storages

from flask_otp_auth.testing import Outbox

#: What the design allows. The breaker is read besides, once per second and process.
MOST = 5


@pytest.fixture
def proxy(storages: Storages) -> Iterator[Proxy]:
    """Counts what goes to Redis and back."""
    with Proxy(storages["redis"].port) as proxy:
        yield proxy


@pytest.fixture
def app(make_app: Callable[..., Flask], proxy: Proxy) -> Flask:
    """The shop behind that proxy; nobody waits for a window to end."""
    uri = f"redis://127.0.0.1:{proxy.port}"
    return make_app(OTP_AUTH_STORAGE_URI=uri, OTP_AUTH_RESEND_INTERVAL=1)


@pytest.fixture
def trips(
    api: Api, outbox: Outbox, proxy: Proxy, storages: Storages, clock: time_machine.Traveller
) -> Callable[[Callable[[], object]], int]:
    """Count the trips of a request, when connections, scripts and the breaker are warm."""
    server = storages["redis"]
    assert isinstance(server, Redis)
    server.ask("FLUSHALL")  # windows of earlier tests
    api.generate("nobody@example.com")
    api.verify("000000", "nobody@example.com")

    def count(request: Callable[[], object]) -> int:
        before = proxy.trips
        server.ask("CONFIG", "RESETSTAT")
        request()
        trips = proxy.trips - before
        # The server counts what scripts call as well, but each script only once.
        calls = server.ask("INFO", "commandstats")
        own = ("eval", "evalsha", "mget")
        assert sum(calls.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in own) <= trips
        return trips

    return count


def test_a_code_is_generated_in_five(trips: Callable[..., int], api: Api, outbox: Outbox) -> None:
    assert trips(lambda: api.generate(ADA)) == MOST
    assert len(outbox) == 1


def test_so_it_is_for_an_identifier_that_nobody_knows(
    trips: Callable[..., int], api: Api, outbox: Outbox
) -> None:
    assert trips(lambda: api.generate(BOB)) == MOST
    assert len(outbox) == 0


def test_a_right_first_guess_is_verified_in_five(
    trips: Callable[..., int], api: Api, outbox: Outbox
) -> None:
    api.generate(ADA)
    answers = []
    assert trips(lambda: answers.append(api.verify(outbox.last.otp))) == MOST
    assert answers[0].status_code == 200


def test_a_wrong_first_guess_is_refused_in_five(
    trips: Callable[..., int], api: Api, outbox: Outbox
) -> None:
    api.generate(ADA)
    assert trips(lambda: api.verify(wrong(outbox.last.otp))) == MOST


def test_each_ticket_that_is_gone_costs_one_more(
    trips: Callable[..., int], api: Api, outbox: Outbox
) -> None:
    api.generate(ADA)
    api.verify(wrong(outbox.last.otp))
    assert trips(lambda: api.verify(outbox.last.otp)) == MOST + 1


def test_the_breaker_is_read_once_per_second(
    trips: Callable[..., int], api: Api, outbox: Outbox, clock: time_machine.Traveller
) -> None:
    clock.shift(1)
    assert trips(lambda: api.generate(ADA)) == MOST + 1
    assert trips(lambda: api.verify(outbox.last.otp)) == MOST


def test_a_token_is_checked_in_one(trips: Callable[..., int], api: Api, outbox: Outbox) -> None:
    api.generate(ADA)
    token = api.verify(outbox.last.otp).get_json()["token"]
    assert trips(lambda: api.refresh(token)) == 1
