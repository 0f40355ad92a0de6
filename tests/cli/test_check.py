"""``flask otp check``: each finding has a deployment that makes it, and one that doesn't."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from cachelib import SimpleCache
from fakes import ADA, SECRET, Customers, FakeStore, MakeApp
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_mail import Mail
from running import found, read, run
from sqlalchemy import create_engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from stores import Memcached, Redis
from time_machine import Traveller

from flask_otp_auth import ConfigError, OTPAuth
from flask_otp_auth.mail import mail_codes
from flask_otp_auth.signals import confirmation_otp_generated, otp_generated
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore
from flask_otp_auth.storage import mounts
from flask_otp_auth.storage.findings import Level
from flask_otp_auth.web.checks import FINDINGS
from flask_otp_auth.web.queue import DeliveryQueue

DEBUG = {"DEBUG": True}


class TestCommand:
    def test_finds_nothing_in_a_shop_that_is_as_it_should_be(self, shop: Flask) -> None:
        ran = run(shop, "check")
        assert (ran.output, ran.exit_code) == ("Nothing was found.\n", 0)
        assert read(shop, "check") == []

    def test_an_error_is_told_by_the_exit_code(self, deploy: MakeApp) -> None:
        assert run(deploy(**DEBUG, SECRET_KEY="dev"), "check").exit_code == 1

    def test_a_warning_is_not(self, deploy: MakeApp) -> None:
        app = deploy(SESSION_COOKIE_SECURE=False)
        assert run(app, "check").exit_code == 0
        assert found(app)["cookie-insecure"]["level"] == "warning"

    def test_tells_problem_and_mend_in_a_terminals_width(self, deploy: MakeApp) -> None:
        lines = run(deploy(**DEBUG, SECRET_KEY="dev"), "check").output.splitlines()
        assert lines[:2] == [
            "error: secret-weak", "  SECRET_KEY must have 32 bytes or more.",
        ]  # fmt: skip
        assert lines[2].startswith("  To mend: python -c")
        assert lines[-1] == "Findings: 2, errors: 2."
        assert max(map(len, lines)) <= 80

    def test_prints_a_list_of_findings_for_machines(self, deploy: MakeApp) -> None:
        for each in read(deploy(SESSION_COOKIE_SECURE=False), "check"):
            assert list(each) == ["id", "level", "problem", "mend"]

    def test_a_silenced_finding_is_left_out(self, deploy: MakeApp) -> None:
        app = deploy(**DEBUG, SECRET_KEY="dev")
        silenced = ["--silence", "secret-weak", "--silence", "secret-default"]
        assert found(app, *silenced) == {}
        assert run(app, "check", *silenced).exit_code == 0

    def test_what_can_not_be_found_can_not_be_silenced(self, shop: Flask) -> None:
        assert run(shop, "check", "--silence", "secret-week").exit_code == 2

    def test_the_gravest_come_first(self, deploy: MakeApp) -> None:
        app = deploy(
            **{**DEBUG, "SECRET_KEY": "dev"}, OTP_AUTH_PAGES=True, SESSION_COOKIE_SAMESITE="None"
        )
        levels = [each["level"] for each in read(app, "check")]
        assert levels == sorted(levels, key=get_args(Level).index)
        assert set(levels) == set(get_args(Level))

    def test_a_configuration_that_is_refused_is_told_by_init_app(self, deploy: MakeApp) -> None:
        with pytest.raises(ConfigError, match="OTP_AUTH_LINKS needs OTP_AUTH_SITE_URL"):
            deploy(OTP_AUTH_LINKS=True)


class TestSecrets:
    @pytest.mark.parametrize(
        ("secret", "ids"),
        [
            ("dev", {"secret-weak", "secret-default"}),
            ("x7", {"secret-weak"}),
            ("ab" * 20, {"secret-weak"}),
            (
                "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
                {"secret-default"},
            ),
            ('_5#y2L"F4Q8z\n\xec]/', {"secret-weak", "secret-default"}),
            ("only-for-tests-and-longer-than-32-bytes", {"secret-default"}),
            ("please-change-me-please-change-me-please", {"secret-default"}),
            (SECRET, set()),
        ],
    )
    def test_are_looked_at_in_debug(self, deploy: MakeApp, secret: str, ids: set[str]) -> None:
        assert found(deploy(**DEBUG, SECRET_KEY=secret)).keys() == ids

    def test_older_ones_as_well(self, deploy: MakeApp) -> None:
        finding = found(deploy(**DEBUG, SECRET_KEY_FALLBACKS=["x7"]))["secret-weak"]
        assert "SECRET_KEY_FALLBACKS" in finding["problem"]


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "config"),
        [
            ("cookie-insecure", {"SESSION_COOKIE_SECURE": False}),
            ("cookie-none", {"SESSION_COOKIE_SAMESITE": "none"}),
            ("pages-no-site-url", {"OTP_AUTH_PAGES": True}),
            ("issuer-generic", {"OTP_AUTH_TOKEN_ISSUER": "App"}),
            ("issuer-generic", {"OTP_AUTH_TOKEN_ISSUER": "__main__"}),
            ("identifier-enumerable", {"OTP_AUTH_ALWAYS_RETURN_SUCCESS": False}),
            ("handler-inline", {"OTP_AUTH_DELIVERY": "inline"}),
            ("guess-chance", {"OTP_AUTH_VERIFY_LIMITS": "26/day"}),
        ],
    )
    def test_that_are_to_be_mended(
        self, deploy: MakeApp, name: str, config: dict[str, Any]
    ) -> None:
        """Each is told once: an actor type is named where its settings differ."""
        assert [each["id"] for each in read(deploy(**config), "check")] == [name]

    @pytest.mark.parametrize(
        "config",
        [
            {"SESSION_COOKIE_SAMESITE": "Lax"},
            {"OTP_AUTH_PAGES": True, "OTP_AUTH_SITE_URL": "https://shop.example"},
            {"OTP_AUTH_VERIFY_LIMITS": "25/day"},
            {"DEBUG": True, "SESSION_COOKIE_SECURE": False},
        ],
        ids=str,
    )
    def test_that_are_not(self, deploy: MakeApp, config: dict[str, Any]) -> None:
        assert found(deploy(**config)) == {}

    def test_an_issuer_that_nobody_chose(self, make_app: MakeApp) -> None:
        assert "issuer-generic" in found(make_app())

    def test_inline_is_right_in_tests(self, make_app: MakeApp) -> None:
        assert "handler-inline" not in found(make_app(OTP_AUTH_DELIVERY="inline"))

    def test_of_one_actor_type(self, deploy: MakeApp, customers: Customers) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("clerk", customers, pages=True, always_return_success=False)
        findings = found(deploy(otp_auth))
        assert findings.keys() == {"pages-no-site-url", "identifier-enumerable"}
        assert "actor type clerk" in findings["identifier-enumerable"]["problem"]

    def test_that_no_actor_type_has(self, deploy: MakeApp, customers: Customers) -> None:
        otp_auth = OTPAuth()
        own = {"pages": False, "always_return_success": True, "verify_limits": "20/day"}
        otp_auth.add_actor_type("clerk", customers, **own)
        config = {"OTP_AUTH_PAGES": True, "OTP_AUTH_ALWAYS_RETURN_SUCCESS": False}
        assert found(deploy(otp_auth, **config, OTP_AUTH_VERIFY_LIMITS="26/day")) == {}


class TestTestIdentities:
    @pytest.mark.parametrize(
        ("days", "ids"),
        [(29, set()), (31, {"test-identity-old"}), (61, {"test-identity-expired"})],
    )
    def test_are_for_a_while(
        self, deploy: MakeApp, clock: Traveller, days: int, ids: set[str]
    ) -> None:
        printed = run(deploy(), "test-identity", "customer", ADA, "--days", "60").output
        clock.shift(timedelta(days=days))
        findings = found(deploy(OTP_AUTH_TEST_IDENTITIES=[printed.splitlines()[1]]))
        assert findings.keys() == ids
        assert all(ADA not in each["problem"] for each in findings.values())


class TestHandlers:
    def test_missing_ones_are_told_for_each_type_and_purpose(self, make_app: MakeApp) -> None:
        problems = [f["problem"] for f in read(make_app(), "check") if f["id"] == "no-handler"]
        assert [problem.partition("codes of ")[2] for problem in problems] == [
            "actor type customer, purpose login",
            "actor type customer, purpose registration",
            "actor type customer, purpose door",
            "actor type customer, purpose door",
        ]

    def test_who_lets_nobody_join_needs_none_for_that(
        self, make_app: MakeApp, customers: Customers
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("clerk", customers, sign_up="closed")
        app = make_app(otp_auth)
        with otp_generated.connected_to(_deliver, app):
            assert "no-handler" not in found(app)

    def test_one_that_was_forgotten_is_missing(self, make_app: MakeApp) -> None:
        app = make_app()

        def local(sender: Flask, **_: Any) -> None: ...

        otp_generated.connect(local, app)
        del local
        assert "no-handler" in found(app)

    def test_mail_codes_delivers_nothing_to_others_or_to_phones(
        self, make_app: MakeApp, customers: Customers
    ) -> None:
        otp_auth = OTPAuth()
        for name, identifier in (("customer", "email"), ("staff", "email"), ("driver", "phone")):
            otp_auth.add_actor_type(name, customers, identifier=identifier, sign_up="closed")
        app = make_app(otp_auth, MAIL_DEFAULT_SENDER="post@shop.example")
        mail_codes(app, Mail(app), only=["customer", "driver"])
        problems = [f["problem"] for f in read(app, "check") if f["id"] == "no-handler"]
        assert [problem.partition("codes of ")[2] for problem in problems] == [
            "actor type staff, purpose login",
            "actor type staff, purpose door",
            "actor type driver, purpose login",
            "actor type driver, purpose door",
        ]

    def test_a_purpose_of_the_apps_own_needs_one(self, deploy: MakeApp, otp_auth: OTPAuth) -> None:
        otp_auth.purpose("contact")
        app = deploy(otp_auth)
        assert "purpose contact" in found(app)["no-handler"]["problem"]
        with confirmation_otp_generated.connected_to(_deliver, app):
            assert found(app) == {}


def _deliver(sender: Flask, **_: Any) -> None: ...


class Base(DeclarativeBase):
    """What the tables of these tests stand on."""


class Row(Base):
    """An account in a table."""

    __tablename__ = "customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]


class TestRows:
    @pytest.fixture
    def session(self) -> Iterator[Any]:
        engine = create_engine("sqlite://")
        Base.metadata.create_all(engine)
        yield sessionmaker(engine)
        engine.dispose()

    @pytest.fixture
    def app(self, deploy: MakeApp, session: Any) -> Flask:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", SQLAlchemyActorStore(Row, session))
        return deploy(otp_auth)

    def test_that_are_not_canonical_are_counted_and_not_named(
        self, app: Flask, session: Any
    ) -> None:
        with session.begin() as transaction:
            emails = ("Ada@Example.com", "Bo@example.com", "cy@example.com")
            transaction.add_all([Row(email=email) for email in emails])
        problem = found(app)["identifiers-not-canonical"]["problem"]
        assert problem.startswith("2 rows of customer have")
        assert "@" not in problem
        with session.begin() as transaction:
            transaction.execute(text("DELETE FROM customer WHERE email LIKE 'Ada@%'"))
        problem = found(app)["identifiers-not-canonical"]["problem"]
        assert problem.startswith("1 row of customer has")

    def test_that_are_canonical_are_no_finding(self, app: Flask, session: Any) -> None:
        with session.begin() as transaction:
            transaction.add(Row(email=ADA))
        assert found(app) == {}

    def test_that_can_not_be_read_hide_nothing_else(self, app: Flask, session: Any) -> None:
        with session.begin() as transaction:
            transaction.execute(text("DROP TABLE customer"))
        problem = found(app)["identifiers-not-canonical"]["problem"]
        assert problem == "the rows of customer can't be looked at: OperationalError"


class TestMemory:
    @pytest.mark.parametrize("setting", ["STORAGE_URI", "SIGN_INS_URI"])
    @pytest.mark.parametrize(("workers", "is_found"), [("", True), ("1", False), ("4", True)])
    def test_is_no_other_workers(
        self,
        deploy: MakeApp,
        monkeypatch: pytest.MonkeyPatch,
        workers: str,
        is_found: bool,
        setting: str,
    ) -> None:
        monkeypatch.setenv("WEB_CONCURRENCY", workers)
        app = deploy(**{f"OTP_AUTH_{setting}": "memory://"})
        assert ("storage-not-shared" in found(app)) is is_found

    @pytest.mark.parametrize("config", [{"DEBUG": True}, {"TESTING": True}], ids=str)
    def test_is_right_for_development(
        self, deploy: MakeApp, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any]
    ) -> None:
        monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
        assert found(deploy(OTP_AUTH_STORAGE_URI="memory://", **config)) == {}

    def test_of_a_cache_of_the_apps_own(
        self, deploy: MakeApp, customers: Customers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
        otp_auth = OTPAuth(cache=SimpleCache(threshold=50_000))
        otp_auth.add_actor_type("customer", customers)
        assert found(deploy(otp_auth)).keys() == {"storage-not-shared"}


class TestLimits:
    def test_in_the_memory_of_each_process(self, deploy: MakeApp, customers: Customers) -> None:
        otp_auth = OTPAuth(cache=FakeStore())
        otp_auth.add_actor_type("customer", customers)
        app = deploy(otp_auth, OTP_AUTH_STORAGE_URI="memory://")
        assert found(app).keys() == {"limits-elsewhere"}

    def test_of_a_limiter_in_memory(self, deploy: MakeApp, customers: Customers) -> None:
        limiter = Limiter(get_remote_address, storage_uri="memory://", strategy="moving-window")
        limiter.init_app(Flask("shop"))
        otp_auth = OTPAuth(limiter=limiter)
        otp_auth.add_actor_type("customer", customers)
        assert found(deploy(otp_auth, **DEBUG)).keys() == {"limits-elsewhere"}

    def test_of_a_limiter_that_tests_switch_off(
        self, deploy: MakeApp, customers: Customers
    ) -> None:
        limiter = Limiter(get_remote_address, enabled=False)
        limiter.init_app(Flask("shop"))
        otp_auth = OTPAuth(limiter=limiter)
        otp_auth.add_actor_type("customer", customers)
        assert found(deploy(otp_auth, TESTING=True)) == {}

    def test_in_a_file(self, deploy: MakeApp, customers: Customers, tmp_path: Path) -> None:
        otp_auth = OTPAuth(cache=FakeStore())
        otp_auth.add_actor_type("customer", customers)
        app = deploy(otp_auth)
        assert found(app) == {}
        assert list(tmp_path.iterdir()) == []


class TestNetworkFiles:
    @pytest.mark.parametrize(
        ("kind", "is_found"),
        [("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("ext4", False), ("overlay", False)],
    )
    def test_are_no_place_for_sqlite(
        self,
        shop: Flask,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        kind: str,
        is_found: bool,
    ) -> None:
        table = tmp_path / "mounts"
        table.write_text(f"none / ext4 rw 0 0\nnas:/data {tmp_path} {kind} rw 0 0\n")
        monkeypatch.setattr(mounts, "TABLE", str(table))
        assert ("storage-network-file" in found(shop)) is is_found


class TestServers:
    def test_that_do_not_answer(self, deploy: MakeApp) -> None:
        finding = found(deploy(OTP_AUTH_STORAGE_URI="redis://127.0.0.1:1"))["storage-unreachable"]
        assert finding["problem"] == "The storage can't be reached: ConnectionError."

    def test_of_limits_that_do_not_answer(self, deploy: MakeApp, customers: Customers) -> None:
        limiter = Limiter(
            get_remote_address, storage_uri="redis://127.0.0.1:1", strategy="moving-window"
        )
        limiter.init_app(Flask("shop"))
        otp_auth = OTPAuth(limiter=limiter)
        otp_auth.add_actor_type("customer", customers)
        finding = found(deploy(otp_auth))["storage-unreachable"]
        assert finding["problem"] == "The storage of the limits can't be reached."

    def test_redis_as_it_comes(self, deploy: MakeApp, tmp_path: Path) -> None:
        with Redis(tmp_path / "redis") as server:
            app = deploy(OTP_AUTH_STORAGE_URI=server.uri)
            assert found(app).keys() == {"storage-not-durable"}
            server.ask("CONFIG", "SET", "appendonly", "yes")
            assert found(app) == {}
            server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            assert "allkeys-lru" in found(app)["storage-evicts"]["problem"]
            assert server.ask("KEYS", "*check*") == []

    @pytest.mark.parametrize(
        ("rights", "level", "lacks"),
        [
            ("+@all -info", "warning", "INFO"),
            ("+@all -lpush -ltrim", "error", "LPUSH, LTRIM"),
            ("+@all -script|load", "error", "SCRIPT LOAD"),
            ("resetkeys ~otp_auth:*", "error", "the keys LIMITS:*"),
            ("resetkeys ~LIMITS:*", "error", "the keys otp_auth:*"),
        ],
    )
    def test_redis_for_a_user_of_few_rights(
        self, deploy: MakeApp, tmp_path: Path, rights: str, level: str, lacks: str
    ) -> None:
        with Redis(tmp_path / "redis", "--appendonly", "yes") as server:
            server.ask("ACL", "SETUSER", "shop", "on", ">secret", "~*", "+@all")
            app = deploy(OTP_AUTH_STORAGE_URI=f"redis://shop:secret@127.0.0.1:{server.port}")
            assert found(app) == {}
            server.ask("ACL", "SETUSER", "shop", *rights.split())
            finding = found(app)["redis-rights"]
            assert finding["level"] == level
            assert f"may not use {lacks}, so" in finding["problem"]

    def test_redis_without_info(self, deploy: MakeApp, tmp_path: Path) -> None:
        options = ("--appendonly", "yes", "--rename-command", "INFO", "")
        with Redis(tmp_path / "redis", *options) as server:
            findings = found(deploy(OTP_AUTH_STORAGE_URI=server.uri))
            assert findings.keys() == {"redis-rights"}
            assert findings["redis-rights"]["level"] == "warning"

    def test_redis_for_a_user_of_no_right_that_requests_do_not_need(
        self, deploy: MakeApp, tmp_path: Path
    ) -> None:
        with Redis(tmp_path / "redis", "--appendonly", "yes") as server:
            server.ask("ACL", "SETUSER", "shop", "on", ">secret", "~*", "+@all", "-ping")
            app = deploy(OTP_AUTH_STORAGE_URI=f"redis://shop:secret@127.0.0.1:{server.port}")
            assert found(app) == {}

    def test_redis_of_limits_alone(
        self, deploy: MakeApp, customers: Customers, tmp_path: Path
    ) -> None:
        with Redis(tmp_path / "redis") as server:
            server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            server.ask("ACL", "SETUSER", "shop", "on", ">secret", "~*", "+@all")
            uri = f"redis://shop:secret@127.0.0.1:{server.port}"
            limiter = Limiter(get_remote_address, storage_uri=uri, strategy="moving-window")
            limiter.init_app(Flask("shop"))
            otp_auth = OTPAuth(limiter=limiter)
            otp_auth.add_actor_type("customer", customers)
            app = deploy(otp_auth)
            assert found(app).keys() == {"storage-evicts", "storage-not-durable"}
            server.ask("ACL", "SETUSER", "shop", "-info")
            assert found(app) == {}

    def test_one_server_is_told_of_once(self, deploy: MakeApp, tmp_path: Path) -> None:
        with Redis(tmp_path / "redis") as server:
            (finding,) = read(deploy(OTP_AUTH_STORAGE_URI=server.uri), "check")
            assert finding["id"] == "storage-not-durable"

    def test_memcached_and_the_redis_of_its_sign_ins(self, deploy: MakeApp, tmp_path: Path) -> None:
        with Memcached(tmp_path / "memcached") as codes, Redis(tmp_path / "redis") as sign_ins:
            app = deploy(OTP_AUTH_STORAGE_URI=codes.uri, OTP_AUTH_SIGN_INS_URI=sign_ins.uri)
            # Its windows don't move, so that guesses count twice.
            ids = {"storage-evicts", "storage-not-durable", "guess-chance"}
            assert found(app).keys() == ids


@dataclass
class Checks:
    """Checks of an app's own, and how often each was called."""

    says: str | None = None
    raises: bool = False

    def __call__(self, app: Flask) -> str | None:
        assert isinstance(app, Flask)
        if self.raises:
            raise ValueError("no such setting")
        return self.says


class TestOwnChecks:
    def test_what_one_says_is_a_warning(self, deploy: MakeApp, otp_auth: OTPAuth) -> None:
        @otp_auth.check("mail-from")
        def sender_is_aligned(app: Flask) -> str | None:
            if not app.config["MAIL_DEFAULT_SENDER"].endswith("@shop.example"):
                return "MAIL_DEFAULT_SENDER is of another domain than the site: codes go to spam"
            return None

        app = deploy(otp_auth, MAIL_DEFAULT_SENDER="shop@mail.example")
        assert found(app) == {
            "mail-from": {
                "id": "mail-from",
                "level": "warning",
                "problem": "MAIL_DEFAULT_SENDER is of another domain than the site: codes go to "
                "spam",
                "mend": "",
            }
        }
        assert "To mend" not in run(app, "check").output
        app.config["MAIL_DEFAULT_SENDER"] = "codes@shop.example"
        assert found(app) == {}

    @pytest.mark.parametrize("level", get_args(Level))
    def test_of_a_level_of_its_own(self, deploy: MakeApp, otp_auth: OTPAuth, level: Level) -> None:
        otp_auth.check("mine", level=level)(Checks("Is it on?"))
        app = deploy(otp_auth)
        assert found(app)["mine"]["level"] == level
        assert run(app, "check").exit_code == int(level == "error")

    def test_one_that_raises_is_an_error_and_hides_no_other(
        self, deploy: MakeApp, otp_auth: OTPAuth
    ) -> None:
        otp_auth.check("broken")(Checks(raises=True))
        otp_auth.check("other")(Checks("something"))
        findings = found(deploy(otp_auth, SESSION_COOKIE_SECURE=False))
        assert findings.keys() == {"broken", "other", "cookie-insecure"}
        assert findings["broken"]["level"] == "error"
        assert findings["broken"]["problem"] == "the check raised ValueError: no such setting"

    def test_one_can_forge_no_other(self, deploy: MakeApp, otp_auth: OTPAuth) -> None:
        otp_auth.check("mine")(Checks("no\r\n\x1b[2K\x9b2KNothing was found.\u2028\u202e"))
        lines = run(deploy(otp_auth), "check").output.splitlines()
        assert r"  no \x1b[2K\x9b2KNothing was found. \u202e." in lines

    def test_can_be_silenced(self, deploy: MakeApp, otp_auth: OTPAuth) -> None:
        otp_auth.check("mine")(Checks("something"))
        assert found(deploy(otp_auth), "--silence", "mine") == {}

    def test_one_that_is_registered_again_replaces_the_former(
        self, deploy: MakeApp, otp_auth: OTPAuth
    ) -> None:
        for says in ("first", "second"):
            otp_auth.check("mine")(Checks(says))
        assert found(deploy(otp_auth))["mine"]["problem"] == "second"

    @pytest.mark.parametrize("name", ["", "two words", "-x", "a" * 65, 7, *FINDINGS])
    def test_have_names_of_their_own(self, otp_auth: OTPAuth, name: str) -> None:
        with pytest.raises(ConfigError, match="check"):
            otp_auth.check(name)(Checks())

    def test_are_never_registered_by_a_function_alone(self, otp_auth: OTPAuth) -> None:
        """Else a check whose parentheses were forgotten would never run, and nobody would know."""
        with pytest.raises(ConfigError, match="needs the name of what it finds"):
            otp_auth.check(Checks())  # type: ignore[arg-type] # the fault

    def test_are_plain_functions_of_a_level_that_there_is(self, otp_auth: OTPAuth) -> None:
        async def check(app: Flask) -> str | None: ...

        with pytest.raises(ConfigError, match="not async def"):
            otp_auth.check("mine")(check)  # type: ignore[arg-type] # the fault
        with pytest.raises(ConfigError, match="level="):
            otp_auth.check("mine", level="grave")(Checks())  # type: ignore[arg-type] # the fault


class TestNotes:
    """What a serving process has seen is known to another one for a day."""

    @pytest.fixture(autouse=True)
    def ordinary_host(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("K_SERVICE", raising=False)

    def test_of_a_proxy_that_is_not_trusted(
        self, deploy: MakeApp, clock: Traveller, caplog: pytest.LogCaptureFixture
    ) -> None:
        serving, other = deploy(), deploy()
        headers = {"X-Forwarded-For": "198.51.100.7"}
        for _ in range(2):
            serving.test_client().post("/auth/customer/otp/generate", headers=headers)
        finding = found(other)["proxy-not-trusted"]
        assert finding["level"] == "error"
        assert "198.51.100.7" not in finding["problem"]
        clock.shift(86_401)
        assert found(other) == {}

    def test_of_a_host_that_freezes(
        self, deploy: MakeApp, monkeypatch: pytest.MonkeyPatch, mail: list[str]
    ) -> None:
        monkeypatch.setenv("K_SERVICE", "shop")
        serving = deploy()
        monkeypatch.delenv("K_SERVICE")
        other = deploy()
        assert found(other) == {}
        serving.test_client().post("/auth/customer/otp/generate", json={"identifier": ADA})
        assert len(mail) == 1
        assert "K_SERVICE is set" in found(other)["no-threads"]["problem"]

    def test_of_handlers_that_hang(self, deploy: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
        reports = []

        class Queue(DeliveryQueue):
            def __init__(self, *, report: Callable[[str], None]) -> None:
                super().__init__()
                reports.append(report)

        monkeypatch.setattr("flask_otp_auth.web.delivery.DeliveryQueue", Queue)
        deploy()
        reports[0]("app.mail has been running for 12 s")
        problem = found(deploy())["handler-hangs"]["problem"]
        assert problem.endswith("app.mail has been running for 12 s")


def test_every_finding_is_known_and_has_its_level(
    deploy: MakeApp, make_app: MakeApp, tmp_path: Path
) -> None:
    """What the page of the documentation lists is what is found."""
    for app in (deploy(SESSION_COOKIE_SECURE=False), make_app(SECRET_KEY="dev")):
        for each in read(app, "check"):
            assert each["level"] in FINDINGS[each["id"]][0].split(", ")
