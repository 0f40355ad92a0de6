"""``OTPAuth``: set up once or for many apps, with settings, storages and executors of the app's."""

import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from cachelib import FileSystemCache, NullCache, SimpleCache
from conftest import ADA, BOB, SECRET, Api, Customers, Ear, WatchedStore, bearer, wrong
from flask import Flask, current_app
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from flask_otp_auth import ConfigError, InvalidIdentifier, OTPAuth, signals
from flask_otp_auth.store import Store
from flask_otp_auth.testing import Outbox


def bare_app(**config: Any) -> Flask:
    """An app that is neither tested nor debugged, as in production."""
    app = Flask("shop")
    app.config.update({"SECRET_KEY": SECRET, "OTP_AUTH_STORAGE_URI": "memory://", **config})
    return app


def app_under_test(**config: Any) -> Flask:
    """An app under test."""
    return bare_app(TESTING=True, **config)


def works(app: Flask, identifier: str = ADA) -> bool:
    """Tell whether one can sign in."""
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        api.generate(identifier)
    return api.verify(outbox.last.otp, identifier).status_code == 200


@pytest.fixture
def otp_auth(customers: Customers) -> OTPAuth:
    """An extension that knows the customers."""
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    return otp_auth


class TestInitApp:
    """How an app gets the extension."""

    def test_by_init_app(self, otp_auth: OTPAuth) -> None:
        app = app_under_test()
        otp_auth.init_app(app)
        assert works(app)

    def test_by_the_constructor(self, customers: Customers) -> None:
        app = app_under_test()
        OTPAuth(app).add_actor_type("customer", customers)
        assert works(app)

    def test_only_once(self, otp_auth: OTPAuth, customers: Customers) -> None:
        app = app_under_test()
        otp_auth.init_app(app)
        with pytest.raises(ConfigError, match="has an OTPAuth already"):
            otp_auth.init_app(app)
        with pytest.raises(ConfigError, match="has an OTPAuth already"):
            OTPAuth(app)
        assert works(app)

    def test_tells_all_faults_at_once(self, otp_auth: OTPAuth) -> None:
        app = app_under_test(OTP_AUTH_TTL=0, OTP_AUTH_DIGIT=6, OTP_AUTH_SEND_LIMITS="often")
        with pytest.raises(ConfigError) as caught:
            otp_auth.init_app(app)
        assert len(caught.value.faults) == 3

    def test_leaves_nothing_behind_when_it_fails(self, otp_auth: OTPAuth) -> None:
        app = app_under_test(OTP_AUTH_TTL=0)
        with pytest.raises(ConfigError):
            otp_auth.init_app(app)
        assert "otp_auth" not in app.extensions
        assert "otp_auth" not in app.blueprints
        app.config["OTP_AUTH_TTL"] = 60
        otp_auth.init_app(app)
        assert works(app)

    @pytest.mark.parametrize("secret", [None, "", "x" * 31])
    def test_wants_a_secret_key(self, otp_auth: OTPAuth, secret: str | None) -> None:
        with pytest.raises(ConfigError, match="SECRET_KEY"):
            otp_auth.init_app(bare_app(SECRET_KEY=secret))

    def test_reads_the_settings_once(self, otp_auth: OTPAuth) -> None:
        app = app_under_test(OTP_AUTH_DIGITS=8)
        otp_auth.init_app(app)
        app.config["OTP_AUTH_DIGITS"] = 10
        with Outbox(app) as outbox:
            Api(app.test_client()).generate(ADA)
        assert len(outbox.last.otp) == 8

    def test_does_not_need_any_actor_type(self) -> None:
        app = app_under_test()
        OTPAuth(app)
        assert Api(app.test_client()).generate().status_code == 404
        assert Api(app.test_client()).refresh("a.b.c").status_code == 401


class TestActorTypes:
    """Who can sign in, and what is special to them."""

    def test_can_be_added_after_init_app(self, customers: Customers) -> None:
        otp_auth = OTPAuth()
        app = app_under_test()
        otp_auth.init_app(app)
        assert Api(app.test_client()).generate().status_code == 404
        otp_auth.add_actor_type("customer", customers)
        assert works(app)

    def test_are_added_once(self, otp_auth: OTPAuth) -> None:
        with pytest.raises(ConfigError, match="actor type 'customer' is registered already"):
            otp_auth.add_actor_type("customer", Customers())

    def test_are_apart(self, otp_auth: OTPAuth) -> None:
        staff = Customers()
        staff.add("grace@example.com")
        otp_auth.add_actor_type("user", staff)
        assert otp_auth.actor_types == ("customer", "user")
        app = app_under_test()
        otp_auth.init_app(app)
        with Outbox(app) as outbox:
            Api(app.test_client(), actor_type="user").generate(ADA)
            Api(app.test_client(), actor_type="user").generate("grace@example.com")
        assert [message.identifier for message in outbox.messages] == ["grace@example.com"]

    def test_may_have_an_identifier_of_their_own(self, customers: Customers) -> None:
        def badge(text: str) -> str:
            if not text.isdigit():
                raise InvalidIdentifier
            return f"badge-{int(text)}"

        customers.add("badge-7")
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers, identifier=badge)
        app = app_under_test()
        otp_auth.init_app(app)
        assert works(app, "007")
        assert Api(app.test_client()).generate(ADA).get_json() == {
            "type": "invalid_data",
            "message": "The identifier is not valid.",
        }


class TestOverrides:
    """Windows and limits of one actor type; the others keep the app's."""

    def shop(self, customers: Customers, **overrides: Any) -> tuple[Flask, Api, Api]:
        """Return an app, the routes of customers, and those of staff with settings of their own."""
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        otp_auth.add_actor_type("user", customers, **overrides)
        app = app_under_test(OTP_AUTH_RESEND_INTERVAL=0, OTP_AUTH_SEND_LIMITS="50/hour")
        otp_auth.init_app(app)
        client = app.test_client()
        return app, Api(client), Api(client, actor_type="user")

    def test_grace_ttl(self, clock: time_machine.Traveller, customers: Customers) -> None:
        app, customer, user = self.shop(customers, grace_ttl=10)
        with Outbox(app) as outbox:
            for api in (customer, user):
                api.pre_register(BOB)
                assert api.register(outbox.last.otp).status_code == 200
        customers.add(BOB)
        clock.shift(10)
        assert user.authenticate(outbox.last.otp).status_code == 400
        assert customer.authenticate(outbox.messages[0].otp).status_code == 200

    def test_resend_interval(self, customers: Customers) -> None:
        app, customer, user = self.shop(customers, resend_interval=30)
        with Outbox(app) as outbox:
            for api in (customer, user):
                api.generate(ADA)
                api.generate(ADA)
        assert [message.actor_type for message in outbox.messages] == ["customer"] * 2 + ["user"]
        assert user.generate(ADA).get_json()["resend_after"] == 30

    def test_send_limits(self, customers: Customers) -> None:
        app, customer, user = self.shop(customers, send_limits="2/hour")
        with Outbox(app) as outbox:
            for api in (customer, user):
                for _ in range(4):
                    api.generate(ADA)
        assert [message.actor_type for message in outbox.messages] == (
            ["customer"] * 4 + ["user"] * 2
        )

    def test_verify_limits(self, customers: Customers) -> None:
        app, customer, user = self.shop(customers, verify_limits="1/day")
        statuses = []
        with Outbox(app) as outbox:
            for api in (customer, user):
                api.generate(ADA)
                api.verify(wrong(outbox.last.otp), ADA)
                statuses.append(api.verify(outbox.last.otp, ADA).status_code)
        assert statuses == [200, 400]


class TestManyApps:
    """One ``OTPAuth`` serves many apps, each with settings of its own."""

    def test_keep_their_settings_apart(self, otp_auth: OTPAuth) -> None:
        one, other = app_under_test(OTP_AUTH_DIGITS=7), app_under_test(OTP_AUTH_DIGITS=9)
        otp_auth.init_app(one)
        otp_auth.init_app(other)
        lengths = []
        for app in (one, other, one):
            with Outbox(app) as outbox:
                Api(app.test_client()).pre_register(f"{len(lengths)}@example.com")
            lengths.append(len(outbox.last.otp))
        assert lengths == [7, 9, 7]

    def test_keep_their_prefixes_apart(self, otp_auth: OTPAuth) -> None:
        one, other = app_under_test(), app_under_test(OTP_AUTH_URL_PREFIX="/login")
        otp_auth.init_app(one)
        otp_auth.init_app(other)
        assert Api(one.test_client()).generate().status_code == 200
        assert Api(other.test_client(), "/login").generate().status_code == 200
        assert Api(other.test_client()).generate().status_code == 404

    def test_keep_their_codes_and_windows_apart(self, otp_auth: OTPAuth) -> None:
        one, other = app_under_test(), app_under_test()
        otp_auth.init_app(one)
        otp_auth.init_app(other)
        with Outbox(one) as outbox:
            Api(one.test_client()).generate(ADA)
        assert Api(other.test_client()).verify(outbox.last.otp, ADA).status_code == 400
        assert works(other)
        assert Api(one.test_client()).verify(outbox.last.otp, ADA).status_code == 200

    def test_keep_their_tokens_apart_by_their_keys(self, otp_auth: OTPAuth) -> None:
        one, other = app_under_test(), app_under_test(SECRET_KEY=SECRET[::-1])
        tokens = []
        for app in (one, other):
            otp_auth.init_app(app)
            with Outbox(app) as outbox:
                Api(app.test_client()).generate(ADA)
            answer = Api(app.test_client()).verify(outbox.last.otp, ADA)
            tokens.append(answer.get_json()["token"])
        assert Api(one.test_client()).refresh(tokens[1]).status_code == 401
        assert Api(other.test_client()).refresh(tokens[1]).status_code == 200

    def test_share_their_actor_types(self, otp_auth: OTPAuth) -> None:
        one, other = app_under_test(), app_under_test()
        otp_auth.init_app(one)
        otp_auth.init_app(other)
        otp_auth.add_actor_type("user", Customers())
        for app in (one, other):
            assert Api(app.test_client(), actor_type="user").generate().status_code == 200


class TestStorages:
    """Where codes and limits are kept."""

    def warnings(self, caplog: pytest.LogCaptureFixture) -> list[str]:
        return [record.getMessage() for record in caplog.records]

    def test_memory_in_production_is_warned_of(
        self, otp_auth: OTPAuth, caplog: pytest.LogCaptureFixture
    ) -> None:
        otp_auth.init_app(bare_app())
        (message,) = self.warnings(caplog)
        assert message.startswith("OTP_AUTH_STORAGE_URI is memory://")

    @pytest.mark.parametrize("mode", ["TESTING", "DEBUG"])
    def test_memory_is_not_warned_of_in_tests_and_debugging(
        self, otp_auth: OTPAuth, caplog: pytest.LogCaptureFixture, mode: str
    ) -> None:
        otp_auth.init_app(bare_app(**{mode: True}))
        assert self.warnings(caplog) == []

    def test_by_default_it_is_a_file_of_the_instance(
        self, otp_auth: OTPAuth, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = Flask("shop", instance_path=str(tmp_path))
        app.config.update(SECRET_KEY=SECRET, OTP_AUTH_DELIVERY="inline")
        otp_auth.init_app(app)
        assert works(app)
        assert (tmp_path / "otp_auth.sqlite3").is_file()
        assert self.warnings(caplog) == []

    def test_in_tests_it_is_memory(self, otp_auth: OTPAuth, tmp_path: Path) -> None:
        app = Flask("shop", instance_path=str(tmp_path))
        app.config.update(SECRET_KEY=SECRET, TESTING=True)
        otp_auth.init_app(app)
        assert works(app)
        assert list(tmp_path.iterdir()) == []

    def test_a_cache_replaces_the_place_of_codes(self, customers: Customers) -> None:
        store = WatchedStore()
        otp_auth = OTPAuth(cache=store)
        otp_auth.add_actor_type("customer", customers)
        app = app_under_test()
        otp_auth.init_app(app)
        store.calls.clear()
        assert works(app)
        assert store.calls[:2] == ["mark", "put"]

    def test_a_simple_cache_with_room_is_taken(self, customers: Customers) -> None:
        otp_auth = OTPAuth(cache=SimpleCache(threshold=50_000))
        otp_auth.add_actor_type("customer", customers)
        app = app_under_test()
        otp_auth.init_app(app)
        assert works(app)

    def test_a_cache_that_can_not_keep_the_promises_is_refused(self, tmp_path: Path) -> None:
        for cache in (SimpleCache(), NullCache(), FileSystemCache(str(tmp_path)), object()):
            with pytest.raises(ConfigError, match="cache="):
                OTPAuth(app_under_test(), cache=cache)

    def test_a_store_that_lies_is_refused(self) -> None:
        class Liar(WatchedStore):
            def take(self, key: str) -> bool:
                super().take(key)
                return True

        store: Store = Liar()
        with pytest.raises(ConfigError, match="doesn't tell the truth"):
            OTPAuth(app_under_test(), cache=store)


class TestLimiters:
    """The app's own Flask-Limiter, or one made here."""

    def limiter(self, **options: Any) -> Limiter:
        return Limiter(get_remote_address, storage_uri="memory://", **options)

    def test_of_the_app_counts(self, customers: Customers) -> None:
        app = app_under_test(OTP_AUTH_IP_GENERATE_LIMITS="1/hour")
        limiter = self.limiter()
        limiter.init_app(app)
        otp_auth = OTPAuth(app, limiter=limiter)
        otp_auth.add_actor_type("customer", customers)
        api = Api(app.test_client())
        assert [api.generate(ADA).status_code for _ in range(2)] == [200, 429]
        limiter.reset()
        assert api.generate(ADA).status_code == 200

    def test_of_the_app_leaves_its_own_limits_alone(self, customers: Customers) -> None:
        app = app_under_test()
        limiter = self.limiter(default_limits=["3/hour"])
        limiter.init_app(app)
        OTPAuth(app, limiter=limiter).add_actor_type("customer", customers)
        app.add_url_rule("/", view_func=lambda: "hello", endpoint="hello")
        client = app.test_client()
        api = Api(client)
        assert [api.verify("123456").status_code for _ in range(2)] == [400] * 2
        assert [client.get("/").status_code for _ in range(4)] == [200, 200, 200, 429]

    def test_of_the_app_has_to_be_initialised_before(self) -> None:
        with pytest.raises(ConfigError, match=r"limiter.init_app\(app\)"):
            OTPAuth(app_under_test(), limiter=self.limiter())

    def test_of_the_app_must_not_be_switched_off(self) -> None:
        app = app_under_test(RATELIMIT_ENABLED=False)
        limiter = self.limiter()
        limiter.init_app(app)
        with pytest.raises(ConfigError, match="switched off"):
            OTPAuth(app, limiter=limiter)

    def test_of_the_app_does_not_fall_back_to_memory(
        self, make_watched: Callable[..., Any]
    ) -> None:
        shop = make_watched(RATELIMIT_IN_MEMORY_FALLBACK_ENABLED=True)
        shop.limits.reachable = False
        assert Api(shop.app.test_client()).verify("123456").status_code == 503


class Later:
    """An executor that runs nothing until it is told."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def submit(self, function: Callable[..., None], /, *args: Any) -> None:
        self.jobs.append((function, args))

    def run(self) -> None:
        while self.jobs:
            function, args = self.jobs.pop(0)
            function(*args)


class TestDelivery:
    """Who runs the handlers that deliver, and when."""

    def test_in_production_it_is_an_executor(self, customers: Customers) -> None:
        later = Later()
        otp_auth = OTPAuth(executor=later)
        otp_auth.add_actor_type("customer", customers)
        app = bare_app()
        otp_auth.init_app(app)
        ear = Ear(app)
        api = Api(app.test_client())
        with Outbox(app) as outbox:
            api.generate(ADA)
            api.generate(BOB)
            api.pre_register(BOB)
            assert ear.heard == []
            later.run()
        assert [name for name, _ in ear.heard] == [
            "otp_generated",
            "otp_suppressed",
            "pre_register_otp_generated",
        ]
        assert api.verify(outbox.messages[0].otp, ADA).status_code == 200

    def test_by_default_it_is_a_thread_with_an_app_context(self, otp_auth: OTPAuth) -> None:
        app = bare_app()
        otp_auth.init_app(app)
        done = threading.Event()
        seen: list[Any] = []

        def deliver(sender: Flask, otp: str, **arguments: Any) -> None:
            seen.extend([otp, current_app.name, threading.current_thread()])
            done.set()

        api = Api(app.test_client())
        with signals.otp_generated.connected_to(deliver, app):
            api.generate(ADA)
            assert done.wait(10)
        otp, name, thread = seen
        assert name == "shop"
        assert thread is not threading.current_thread()
        assert api.verify(otp, ADA).status_code == 200

    def test_an_executor_runs_nothing_in_tests(self, customers: Customers) -> None:
        later = Later()
        otp_auth = OTPAuth(executor=later)
        otp_auth.add_actor_type("customer", customers)
        app = app_under_test()
        otp_auth.init_app(app)
        assert works(app)
        assert later.jobs == []

    def test_a_test_may_ask_for_the_background(self, customers: Customers) -> None:
        later = Later()
        otp_auth = OTPAuth(executor=later)
        otp_auth.add_actor_type("customer", customers)
        app = app_under_test(OTP_AUTH_DELIVERY="background")
        otp_auth.init_app(app)
        Api(app.test_client()).generate(BOB)
        assert len(later.jobs) == 1

    def test_testing_may_be_switched_on_later(self, otp_auth: OTPAuth) -> None:
        app = bare_app()
        otp_auth.init_app(app)
        app.testing = True
        assert works(app)

    def test_an_app_may_ask_for_it_in_the_request(self, otp_auth: OTPAuth) -> None:
        app = bare_app(OTP_AUTH_DELIVERY="inline")
        otp_auth.init_app(app)
        assert works(app)

    @pytest.mark.parametrize("options", [{}, {"enable-threads": False}])
    def test_a_server_without_threads_gets_it_in_the_request_and_a_warning(
        self,
        otp_auth: OTPAuth,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        options: dict[str, Any],
    ) -> None:
        monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt=options))
        app = bare_app(DEBUG=True)
        otp_auth.init_app(app)
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert "this server runs no threads" in caplog.text
        assert works(app)

    def test_an_app_without_an_actor_type_sends_nothing(self) -> None:
        later = Later()
        app = bare_app()
        OTPAuth(app, executor=later)
        Api(app.test_client()).generate()
        assert later.jobs == []


def test_a_token_of_one_route_is_taken_by_the_others(otp_auth: OTPAuth) -> None:
    app = app_under_test()
    otp_auth.init_app(app)
    client = app.test_client()
    with Outbox(app) as outbox:
        Api(client).generate(ADA)
    token = Api(client).authenticate(outbox.last.otp, ADA).get_json()["token"]
    assert client.post("/auth/token/revoke", headers=bearer(token)).status_code == 200


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc to look into")
def test_no_connection_to_sqlite_is_open_when_a_server_forks(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    """Servers that fork in C, as uWSGI does, tell no hook of Python's about it."""
    codes = tmp_path / "codes.sqlite3"
    make_app(OTP_AUTH_STORAGE_URI=f"sqlite:///{codes}")
    opened = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert codes.exists()
    assert not [path for path in opened if path.is_relative_to(tmp_path)]
