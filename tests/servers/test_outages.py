"""Redis killed, frozen, or set back to an older snapshot.

What is out of reach is answered 503, and what comes back lets nobody in.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes import ADA, Api, MakeApp, SignalRecorder, bearer, wrong
from flask import Flask
from flask.testing import FlaskClient
from stores import Redis, until
from werkzeug.test import TestResponse

from flask_otp_auth import current_actor, token_required
from flask_otp_auth.testing import Outbox


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Redis]:
    with Redis(tmp_path / "redis") as server:
        yield server


class Shop:
    """The shop on a storage, with a view for members."""

    def __init__(self, app: Flask) -> None:
        app.add_url_rule("/me", view_func=token_required("customer")(lambda: current_actor.email))
        self.client: FlaskClient = app.test_client()
        self.api = Api(self.client)
        self.recorder = SignalRecorder(app)
        self.outbox = Outbox(app)

    def code(self) -> str:
        """Ask for a code of Ada's and return it."""
        assert self.api.generate(ADA).status_code == 200
        return self.outbox.last.otp

    def token(self) -> str:
        """Sign Ada in and return the token."""
        return self.api.verify(self.code()).get_json()["token"]

    def me(self, token: str) -> int:
        """Return how a guard answers a token."""
        return self.client.get("/me", headers=bearer(token)).status_code


OpenShop = Callable[[str], Shop]


@pytest.fixture
def open_shop(make_app: MakeApp) -> Iterator[OpenShop]:
    """Open the shop on a storage."""
    shops: list[Shop] = []

    def open_shop(uri: str) -> Shop:
        shops.append(Shop(make_app(OTP_AUTH_STORAGE_URI=uri, OTP_AUTH_RESEND_INTERVAL=0)))
        shops[-1].outbox.__enter__()
        return shops[-1]

    yield open_shop
    for shop in shops:
        shop.outbox.__exit__(None, None, None)


def recover(shop: Shop) -> None:
    """Ask until all is answered again: connections that are gone are noticed at their next use."""

    def is_there() -> bool:
        asked = shop.api.start("nobody@example.com")
        return asked.status_code == 200 and shop.api.verify("000000").status_code == 400

    until(is_there, "the storage")


def test_a_server_that_was_set_back_knows_nothing_of_before(
    redis_server: Redis, open_shop: OpenShop
) -> None:
    """What was used or ended is in the copy as if it had not been; what was live has ended.

    The copy has counted less guesses as well, but there is nothing to be guessed. A replica that
    lags behind is such a copy, too: ``tests/storage`` has both.
    """
    shop = open_shop(redis_server.uri)
    ended, live, used, unused = shop.token(), shop.token(), shop.code(), shop.code()
    redis_server.ask("SAVE")
    keys = redis_server.ask("DBSIZE")
    assert shop.api.verify(used).status_code == 200
    assert shop.api.revoke(ended).status_code == 200
    redis_server.kill()
    redis_server.start()
    assert redis_server.ask("DBSIZE") == keys
    recover(shop)
    for otp in (used, unused, wrong(unused)):
        assert shop.api.verify(otp).status_code == 400
    assert shop.recorder.reasons()[-3:] == ["unknown"] * 3
    for token in (ended, live):
        assert shop.me(token) == 401
        assert shop.api.refresh(token).status_code == 401
    otp = shop.code()
    assert shop.me(shop.api.verify(otp).get_json()["token"]) == 200
    assert shop.api.verify(otp).status_code == 400


class TestOutage:
    """While Redis doesn't answer, everything that needs it is 503, and nothing is sent."""

    @staticmethod
    def answers(shop: Shop, otp: str, token: str) -> set[int]:
        """Return the statuses of all kinds of requests."""
        api, call = shop.api, shop.client.open
        requests: list[Callable[[], TestResponse]] = [
            api.generate,
            api.pre_register,
            api.start,
            lambda: api.verify(otp),
            lambda: api.register(otp),
            lambda: api.authenticate(otp),
            lambda: api.finish(otp),
            lambda: api.refresh(token),
            lambda: api.revoke(token),
            lambda: call("/auth/session", method="POST", headers=bearer(token)),
            lambda: call("/auth/sign-ins", headers=bearer(token)),
            lambda: call("/me", headers=bearer(token)),
        ]
        return {request().status_code for request in requests}

    def test_of_a_server_that_is_killed(self, redis_server: Redis, open_shop: OpenShop) -> None:
        shop = open_shop(redis_server.uri)
        token, otp = shop.token(), shop.code()
        sent = len(shop.outbox)
        redis_server.kill()
        assert self.answers(shop, otp, token) == {503}
        assert len(shop.outbox) == sent
        redis_server.start()
        recover(shop)
        assert shop.api.verify(otp).status_code == 400
        assert shop.me(token) == 401
        assert shop.me(shop.token()) == 200

    def test_of_a_server_that_is_frozen(self, redis_server: Redis, open_shop: OpenShop) -> None:
        """When it goes on it does what it was sent; what nobody saw used is as good as used."""
        shop = open_shop(f"{redis_server.uri}?socket_timeout=0.2")
        token, other = shop.token(), shop.token()
        sent = len(shop.outbox)
        redis_server.freeze()
        assert self.answers(shop, "000000", token) == {503}
        assert len(shop.outbox) == sent
        redis_server.thaw()
        recover(shop)
        assert shop.me(other) == 200
        otp = shop.code()
        assert [shop.api.verify(otp).status_code for _ in range(2)] == [200, 400]

    def test_that_begins_before_the_app(self, redis_server: Redis, open_shop: OpenShop) -> None:
        redis_server.kill()
        shop = open_shop(redis_server.uri)
        assert shop.api.generate(ADA).status_code == 503
        redis_server.start()
        recover(shop)
        assert shop.me(shop.token()) == 200
