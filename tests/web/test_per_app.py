"""What each app has registered, where apps of one factory share an extension."""

import sys
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import pytest
from browsers import Browser, JoinableCustomers
from fakes import ADA, BOB, Api, MakeApp, claims_of, sign_in
from flask import Flask
from stores import at_once
from wtforms import Form, StringField

from flask_otp_auth import OTPAuth
from flask_otp_auth.core.gates import Asked

Register = Callable[[Callable[[Asked], None]], object]


def plain(register: Register, ask: Callable[[Asked], None]) -> None:
    @register
    def gate(asked: Asked) -> None:
        ask(asked)


def as_a_partial(register: Register, ask: Callable[[Asked], None]) -> None:
    register(partial(lambda ask, asked: ask(asked), ask))


def as_a_method(register: Register, ask: Callable[[Asked], None]) -> None:
    class Captcha:
        def check(self, asked: Asked) -> None:
            ask(asked)

    register(Captcha().check)


def as_an_object(register: Register, ask: Callable[[Asked], None]) -> None:
    class Captcha:
        def __call__(self, asked: Asked) -> None:
            ask(asked)

    register(Captcha())


def wrapped(register: Register, ask: Callable[[Asked], None]) -> None:
    def gate(asked: Asked) -> None:
        ask(asked)

    @wraps(gate)
    def logged(*arguments: Any) -> None:
        gate(*arguments)

    register(logged)


@pytest.fixture
def otp_auth() -> OTPAuth:
    """What a module keeps, for every app that its factory makes."""
    return OTPAuth()


class TestGates:
    """A captcha's answer can be checked only once, so who is asked twice refuses everybody."""

    @pytest.fixture
    def asked(self) -> list[str]:
        """Which gate was asked, the oldest first."""
        return []

    @pytest.fixture
    def ask(self, asked: list[str]) -> Callable[[str], Callable[[Asked], None]]:
        """Return what a gate of that name does."""
        return lambda name: lambda _: asked.append(name)

    @pytest.mark.parametrize("register", [plain, as_a_partial, as_a_method, as_an_object, wrapped])
    def test_each_app_asks_what_its_factory_registered_for_it(
        self, make_app: MakeApp, otp_auth: OTPAuth, asked: list[str], ask: Any, register: Any
    ) -> None:
        otp_auth.before_code(ask("of the module"))

        def create_app(name: str) -> Flask:
            otp_auth.add_actor_type("customer", JoinableCustomers())
            register(otp_auth.before_code, ask(name))
            return make_app(otp_auth)

        apps = [create_app(name) for name in ("first", "second", "third")]
        for app in apps:
            Api(app.test_client()).generate(ADA)
        assert asked[1::2] == ["first", "second", "third"]
        assert asked[::2] == ["of the module"] * 3

    def test_several_of_one_maker_are_all_asked(
        self, make_app: MakeApp, otp_auth: OTPAuth, asked: list[str], ask: Any
    ) -> None:
        otp_auth.before_code(ask("always"))

        def create_app(*names: str) -> Flask:
            otp_auth.add_actor_type("customer", JoinableCustomers())
            for name in names:
                otp_auth.before_code(ask(name))
            return make_app(otp_auth)

        first, second = create_app("address", "country"), create_app("domain", "hour")
        Api(first.test_client()).generate(ADA)
        Api(second.test_client()).generate(ADA)
        assert asked == ["always", "address", "country", "always", "domain", "hour"]

    def test_one_that_comes_after_init_app_is_asked_as_well(
        self, make_app: MakeApp, otp_auth: OTPAuth, asked: list[str], ask: Any
    ) -> None:
        otp_auth.add_actor_type("customer", JoinableCustomers())
        otp_auth.before_code(ask("before"))
        app = make_app(otp_auth)
        otp_auth.before_code(ask("after"))
        plain(otp_auth.before_code, ask("another"))
        Api(app.test_client()).generate(ADA)
        assert asked == ["before", "after", "another"]

    def test_of_one_maker_none_is_lost_because_another_is_registered(
        self, make_app: MakeApp, otp_auth: OTPAuth, asked: list[str], ask: Any
    ) -> None:
        captcha, office = ask("captcha"), ask("office")

        def create_app(*, is_strict: bool) -> Flask:
            otp_auth.add_actor_type("customer", JoinableCustomers())
            for gate in (captcha, office) if is_strict else (captcha,):
                otp_auth.before_code(gate)
            return make_app(otp_auth)

        for app in (create_app(is_strict=False), create_app(is_strict=True)):
            Api(app.test_client()).generate(ADA)
        assert asked == ["captcha", "captcha", "office"]

    def test_nor_one_that_another_line_has_registered(
        self, make_app: MakeApp, otp_auth: OTPAuth, asked: list[str], ask: Any
    ) -> None:
        otp_auth.add_actor_type("customer", JoinableCustomers())
        otp_auth.before_code(ask("before"))
        first = make_app(otp_auth)
        otp_auth.before_code(ask("after"))
        second = make_app(otp_auth)
        for app in (first, second):
            Api(app.test_client()).generate(ADA)
        assert asked == ["before", "after"] * 2

    def test_none_is_lost_if_threads_register_them(
        self, make_app: MakeApp, otp_auth: OTPAuth, asked: list[str], ask: Any
    ) -> None:
        gates = [ask(str(number)) for number in range(400)]
        otp_auth.add_actor_type("customer", JoinableCustomers())

        def register(part: int) -> None:
            for gate in gates[part::4]:
                otp_auth.before_code(gate)

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            at_once(*(partial(register, part) for part in range(4)))
        finally:
            sys.setswitchinterval(interval)
        Api(make_app(otp_auth).test_client()).generate(ADA)
        assert sorted(asked, key=int) == [str(number) for number in range(400)]


class TestClaims:
    def test_each_app_has_those_of_its_own_factory(
        self, make_app: MakeApp, otp_auth: OTPAuth
    ) -> None:
        def create_app(name: str, *, says: bool = True) -> Flask:
            customers = JoinableCustomers()
            customers.add(ADA)
            otp_auth.add_actor_type("customer", customers)
            if says:
                otp_auth.claims_loader(lambda *_: {"shop": name})
            return make_app(otp_auth)

        apps = [create_app("first"), create_app("second"), create_app("third", says=False)]
        shops = [claims_of(sign_in(app))["shop"] for app in apps]
        assert shops == ["first", "second", "second"]
        otp_auth.claims_loader(lambda *_: {"shop": "changed"})
        assert claims_of(sign_in(apps[2]))["shop"] == "changed"


class TestPages:
    def test_each_app_has_the_form_and_the_variables_of_its_own_factory(
        self, make_app: MakeApp, otp_auth: OTPAuth
    ) -> None:
        called: list[str] = []

        def create_app(name: str) -> Flask:
            class Join(Form):
                field = StringField(name)

            otp_auth.add_actor_type("customer", JoinableCustomers(), form=Join)
            otp_auth.page_context(lambda: {"shop": called.append(name)})
            return make_app(otp_auth, OTP_AUTH_PAGES=True, OTP_AUTH_RESEND_INTERVAL=0)

        for name, app in {name: create_app(name) for name in ("first", "second")}.items():
            browser = Browser(app)
            browser.submit(otp=browser.ask(BOB))
            browser.get("join")
            assert f">{name}</label>" in browser.answer.text
            assert {*called} == {name}
            called.clear()


class TestChecks:
    def test_each_app_has_those_of_its_own_factory(
        self, make_app: MakeApp, otp_auth: OTPAuth
    ) -> None:
        def create_app(name: str) -> Flask:
            otp_auth.add_actor_type("customer", JoinableCustomers())
            otp_auth.check("shop")(lambda app: f"mend {name}")
            return make_app(otp_auth)

        apps = {name: create_app(name) for name in ("first", "second")}
        otp_auth.check("late")(lambda app: "mend all")
        for name, app in apps.items():
            found = app.test_cli_runner().invoke(args=["otp", "check"]).output
            assert f"mend {name}" in found
            assert "mend all" in found
