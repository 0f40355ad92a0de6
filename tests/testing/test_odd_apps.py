"""Apps that are unlike others: what the kit makes of them, and what it says that it can't do."""

import cProfile
import gc
import time
from collections.abc import Callable
from itertools import count
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from clean_apps import Slotted, accounts_of, leaks, shop, with_a_database, with_store
from fakes import ADA, BOB, SECRET, Customers
from flask import Blueprint, Flask, redirect, request
from flask import request as flask_request
from markupsafe import escape
from sqlalchemy import text

from flask_otp_auth import InvalidIdentifier, OTPAuth, registration_required, signals
from flask_otp_auth.core import codes
from flask_otp_auth.testing import Outbox
from flask_otp_auth.testing.attackers.asking import lock_out
from flask_otp_auth.testing.attackers.found import Found
from flask_otp_auth.testing.attackers.guessing import guesser, sprayer
from flask_otp_auth.testing.attackers.overwriting import overwriter, registration_views
from flask_otp_auth.testing.attackers.redirecting import pages_of, redirector
from flask_otp_auth.testing.attackers.replaying import replayer
from flask_otp_auth.testing.attackers.scanning import mail_scanner
from flask_otp_auth.testing.box import Box, boxed
from flask_otp_auth.testing.places import slowest_place


def play(attacker: Callable[[Box], Found], create: Callable[[], Flask], known: str = ADA) -> Found:
    """Let one attacker loose on an app."""
    with boxed(create, "customer", known, None, 0) as box:
        return attacker(box)


class TestGuessing:
    def test_a_guess_is_never_lucky(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(codes, "draw", lambda digits: "3".zfill(digits))
        found = play(guesser, shop)
        assert (found.tries, found.through) == (59, 20)

    @pytest.mark.parametrize("header", ["X-Real-IP", "Fly-Client-IP"])
    def test_a_believed_address_is_named_below_a_limit_that_nobody_reaches(
        self, header: str
    ) -> None:
        def create() -> Flask:
            app = shop(OTP_AUTH_IP_VERIFY_LIMITS="9000/hour")
            serve = app.wsgi_app

            def believing(environ: Any, start: Any) -> Any:
                name = f"HTTP_{header.upper().replace('-', '_')}"
                address = environ.get(name, environ["REMOTE_ADDR"])
                return serve({**environ, "REMOTE_ADDR": address}, start)

            app.wsgi_app = believing  # type: ignore[method-assign] # as Flask says
            return app

        found = play(sprayer, create)
        assert found.through <= found.bound
        assert f"believes the address in {header}," in found.leaks[0]


class TestRegistering:
    @staticmethod
    def refusing(view: Callable[[], Any], **given: Any) -> Callable[[], Flask]:
        def create() -> Flask:
            customers = accounts_of(ADA)
            app = with_store(given.pop("store", customers), **given)
            app.post("/join")(registration_required("customer")(view))
            return app

        return create

    def views(self, box: Box) -> Found:
        return overwriter(box, ["/join"], {"size": "L"})

    def test_a_view_that_takes_forms_is_sent_one(self) -> None:
        heard: list[str] = []

        def view() -> tuple[str, int]:
            heard.append(request.form.get("size", ""))
            return "", 201 if request.form else 415

        found = play(self.views, self.refusing(view))
        assert (found.tries, found.through) == (2, 0)
        assert heard == ["", "L", "", "L"]

    def test_a_view_that_takes_nothing_is_named(self) -> None:
        create = self.refusing(lambda: ("", 422))
        with pytest.raises(ValueError, match=r"POST /join refuses .*\(422\).*fields="):
            play(self.views, create)

    @pytest.mark.parametrize(
        ("path", "method"),
        [("/<lang>/join", "POST"), ("/join", "PUT"), ("/join/<int:shop>", "PUT")],
    )
    def test_a_view_is_found_wherever_it_is(self, path: str, method: str) -> None:
        customers = accounts_of(ADA)

        def overwrite(**_: Any) -> str:
            customers.accounts.insert(0, customers.add(ADA))
            return ""

        def create() -> Flask:
            app = with_store(customers)
            view = registration_required("customer")(overwrite)
            app.add_url_rule(path, "join", view, methods=[method])
            app.add_url_rule("/<path:rest>/other/<any(a,b):x>", "other", view, methods=["POST"])
            return app

        with boxed(create, "customer", ADA, None, 0) as box:
            views = registration_views(box.app, "customer")
            found = overwriter(box, views[:1], {})
        assert found.leaks[0].startswith(f"{method} {views[0]} overwrites")

    def test_a_view_that_changes_a_members_row_is_named(self) -> None:
        """The account stays, and is another's now."""
        customers = Customers()
        ada = customers.add(ADA)

        def join() -> str:
            ada.name = request.get_json()["name"]  # type: ignore[attr-defined] # as apps do
            return ""

        found = play(self.views, self.refusing(join, store=customers))
        assert "overwrites the account of an identifier that its body names" in found.leaks[0]

    def test_a_view_where_nobody_may_register_is_named(self) -> None:
        create = self.refusing(lambda: "", sign_up="closed")
        with pytest.raises(ValueError, match="nobody may register: leave /join out"):
            play(self.views, create)

    def test_a_store_that_can_not_be_replaced_is_tried_once(self) -> None:
        found = play(self.views, self.refusing(lambda: "", store=Slotted()))
        assert found.tries == 1


SIGN_IN = '<form method="post"><input name="email"><input name="code"></form>'


class TestRedirecting:
    @pytest.mark.parametrize(
        ("path", "leave"),
        [
            ("/<lang>/member-login", redirect),
            ("/session/new", lambda to: ("", {"Refresh": f"0; url={to}"})),
            ("/enter", lambda to: f'<meta http-equiv="refresh" content="0; url={escape(to)}">'),
            ("/login.html", lambda to: redirect("/" if urlsplit(to).netloc else to)),
        ],
    )
    def test_a_page_that_leads_away_is_found(self, path: str, leave: Callable[[str], Any]) -> None:
        def create() -> Flask:
            otp_auth = OTPAuth()
            app = shop(otp_auth=otp_auth)

            def page(**_: str) -> Any:
                if request.method == "GET":
                    return SIGN_IN
                otp_auth.verify("customer", request.form["email"], request.form["code"])
                return leave(request.args["returnUrl"])

            app.add_url_rule(path, "page", page, methods=["GET", "POST"])
            return app

        found = play(lambda box: redirector(box, pages_of(box)), create)
        (line,) = found.leaks
        assert line.startswith(f"{path.replace('<lang>', 'en')} sends people who sign in")


class TestReplaying:
    def test_needs_a_member_who_gets_codes(self) -> None:
        customers = accounts_of("+4915123456789")

        def create() -> Flask:
            return with_store(customers, identifier="phone", phone_countries=["AT"])

        with pytest.raises(ValueError, match="no code was sent to known= by generate"):
            play(replayer, create, "+4915123456789")

    def test_needs_codes_that_work(self) -> None:
        def create() -> Flask:
            app = shop()

            @app.before_request
            def fail() -> tuple[str, int] | None:
                return ("", 500) if request.path.endswith("/verify") else None

            return app

        with pytest.raises(ValueError, match="a right code was answered 500 by verify"):
            play(replayer, create)

    def test_does_without_the_cookie_of_another_domain(self) -> None:
        found = play(replayer, lambda: shop(SESSION_COOKIE_DOMAIN="shop.example"))
        assert (found.tries, found.through) == (12, 0)


def test_an_app_that_locks_people_out_is_found() -> None:
    def create() -> Flask:
        app, guesses = shop(), count()

        @app.before_request
        def lock() -> tuple[str, int] | None:
            is_guess = request.path.endswith(("/verify", "/finish"))
            return ("", 423) if is_guess and next(guesses) > 10 else None

        return app

    found = play(lock_out, create)
    assert (found.tries, found.through) == (12, 12)


class TestScanning:
    @staticmethod
    def scan(page: Callable[[], Any], link: Callable[[str], Any]) -> Found:
        def create() -> Flask:
            app = shop()
            app.add_url_rule("/auth/customer/sign-in", "page", page, methods=["GET", "POST"])
            app.add_url_rule("/link/<otp>", "link", link, methods=["GET", "POST"])
            return app

        def attacker(box: Box) -> Found:
            def add(sender: Flask, **_: Any) -> None:
                """Be a handler."""

            with signals.otp_generated.connected_to(add, box.app):
                return mail_scanner(box)

        return play(attacker, create)

    def test_a_page_without_a_form_sends_no_link(self) -> None:
        assert self.scan(lambda: "Closed.", lambda otp: otp).tries == 0

    def test_redirects_are_followed(self) -> None:
        from flask_otp_auth.testing.attackers import scanning

        visited: list[str] = []
        app = Flask("app")

        @app.route("/link", methods=["GET", "POST"])
        def link() -> Any:
            return redirect("/next")

        @app.route("/next")
        def following() -> str:
            visited.append(request.full_path)
            return '<form action="/next"><input name="code"></form>'

        scanning._scan(app.test_client(), "/link")
        assert "/next?code=" in visited


class TestIdentifiers:
    def test_of_a_form_that_has_no_sibling_are_asked_for(self) -> None:
        numbers = accounts_of("12345")
        with pytest.raises(ValueError, match="pass unknown="):
            play(guesser, lambda: with_store(numbers, identifier=lambda text: text), "12345")

    def test_that_are_not_valid_are_passed_over(self) -> None:
        def only_ada(text: str) -> str:
            if text != ADA:
                raise InvalidIdentifier
            return text

        customers = accounts_of(ADA)
        with pytest.raises(ValueError, match="pass unknown="):
            play(guesser, lambda: with_store(customers, identifier=only_ada))


@pytest.mark.usefixtures("stopwatch")
class TestComparing:
    def slow(self, is_slow: Callable[[str], bool], **given: Any) -> Flask:
        app = shop(**given)

        @app.before_request
        def wait() -> None:
            # At one route: each slow one is asked a hundred times more.
            if request.path.endswith("/generate") and is_slow(request.get_json()["identifier"]):
                time.sleep(0.01)

        return app

    def test_the_time_of_a_long_identifier_is_no_leak(self) -> None:
        app = self.slow(lambda who: len(who) > 20)
        assert leaks(app, unknown="somebody.else@long.example.com") == ""

    def test_a_stranger_who_takes_longer_is_a_leak(self) -> None:
        app = self.slow(lambda who: who == BOB)
        assert "ms more for unknown, in " in leaks(app)

    def test_an_account_that_is_slow_to_say_that_it_is_active_is_a_leak(self) -> None:
        class Slow:
            id = "1"

            @property
            def is_active(self) -> bool:
                time.sleep(0.006)
                return True

        accounts = {ADA: Slow()}
        store = SimpleNamespace(find_by_identifier=accounts.get, find_by_id=lambda actor_id: None)
        said = leaks(with_store(store))
        assert "more for rows that exist, in is_active (test_odd_apps.py:" in said

    @pytest.mark.parametrize("style", ["named", "qmark"])
    @pytest.mark.parametrize(
        ("query", "line"),
        [
            ("SELECT id FROM customer WHERE email = :email", "generate (and 2 more): a query of"),
            ("INSERT INTO customer (email) SELECT 'x' WHERE :email = 1", ""),
            ("SELECT :email", ""),
        ],
    )
    def test_a_query_for_the_account_is_a_look_up(
        self, query: str, line: str, style: str, request: pytest.FixtureRequest
    ) -> None:
        """And a note of who has asked is none, nor is a look into another table."""
        app = with_a_database(SQLALCHEMY_ENGINE_OPTIONS={"paramstyle": style})
        db = app.extensions["sqlalchemy"]
        with app.app_context():
            request.addfinalizer(db.engine.dispose)

        @app.before_request
        def look() -> None:
            asked = flask_request.get_json()["identifier"]
            db.session.execute(text(query), {"email": asked})

        said = leaks(app)
        assert line in said
        assert ("look (test_odd_apps.py:" in said) is bool(line)

    def test_a_leak_has_no_place_where_another_profiler_is_at_work(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise ValueError("Another profiling tool is already active")

        app = self.slow(lambda who: who == ADA)
        monkeypatch.setattr(cProfile.Profile, "enable", refuse)
        said = leaks(app)
        assert "ms more for known" in said
        assert ", in " not in said

    def test_what_is_not_in_the_apps_code_has_no_place(self) -> None:
        assert slowest_place(list, list) == ""

    @pytest.mark.usefixtures("stopwatch")
    def test_nor_has_a_difference_that_does_not_come_again(self) -> None:
        def rest(seconds: int) -> Callable[[], None]:
            return lambda: time.sleep(seconds)

        assert "<lambda> (test_odd_apps.py:" in slowest_place(rest(2), rest(1))
        assert slowest_place(rest(1), rest(2)) == ""

    def test_what_is_seen_once_is_chance(self) -> None:
        app, asked = shop(), count()

        @app.get("/odd/<who>")
        def odd(who: str) -> str:
            # A round asks 21 times for each of the two, the first time to warm up.
            return f"{'member' if who == ADA else 'guest'}{next(asked) // 42}"

        assert leaks(app, through=["/odd/{identifier}"]) == ""

    def test_a_form_that_goes_is_told_by_the_page(self) -> None:
        app, shown = shop(), count()

        @app.route("/once", methods=["GET", "POST"])
        def once() -> str:
            return '<form><input name="email"></form>' if not next(shown) else "Closed."

        assert leaks(app, through=["/once"]) == ""

    def test_work_that_differs_is_told(self) -> None:
        app = shop()

        @app.post("/tell")
        def tell() -> str:
            if request.get_json()["email"] == ADA:
                signals.token_revoked.send(app, actor_type="customer", actor_id="1")
            return ""

        said = leaks(app, through=["/tell"])
        assert "POST /tell: signals: token_revoked for known, none for unknown" in said

    def test_look_ups_that_differ_are_told_with_their_place(self) -> None:
        customers = accounts_of(ADA)
        app = with_store(customers)

        @app.post("/tell")
        def tell() -> str:
            if request.get_json()["email"] == ADA:
                customers.find_by_identifier(ADA)
            return ""

        said = leaks(app, through=["/tell"])
        assert "finders: find_by_identifier for known, none for unknown, in " in said

    def test_the_collector_stays_off_where_it_was(self) -> None:
        gc.disable()
        try:
            assert leaks(shop()) == ""
            assert not gc.isenabled()
        finally:
            gc.enable()

    def test_a_mount_without_parts_is_found_behind_one_with(self) -> None:
        otp_auth = OTPAuth(register_blueprint=False)
        otp_auth.add_actor_type("customer", accounts_of(ADA))
        app = Flask("shop")
        app.config.update(TESTING=True, SECRET_KEY=SECRET)
        otp_auth.init_app(app)
        by_language = Blueprint("by_language", __name__, url_prefix="/<lang>")
        by_language.register_blueprint(otp_auth.blueprint, url_prefix="/auth")
        app.register_blueprint(by_language)
        app.register_blueprint(otp_auth.blueprint, url_prefix="/auth")
        assert leaks(app) == ""


def test_an_outbox_may_end_before_what_held_its_handlers_back() -> None:
    with boxed(shop, "customer", ADA, None, 0) as box, Outbox(box.app) as outbox:
        box.ask("generate", ADA)
        box.deliver()
        assert len(outbox) == len(box.outbox) == 1
