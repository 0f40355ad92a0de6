"""Joining: who has proved an address that has no account fills in the app's own form."""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import pytest
from browsers import Browser, JoinableCustomers
from fakes import ADA, BOB, Customer, MakeApp, SignalRecorder
from flask_wtf import CSRFProtect, FlaskForm
from markupsafe import Markup
from time_machine import Traveller
from wtforms import (
    BooleanField,
    FieldList,
    FileField,
    Form,
    FormField,
    HiddenField,
    MultipleFileField,
    RadioField,
    SelectField,
    StringField,
    SubmitField,
)
from wtforms.validators import DataRequired, Length, NoneOf

from flask_otp_auth import (
    ConfigError,
    DuplicateError,
    OTPAuth,
    SignUpRefused,
    Unavailable,
)

EXPIRED = "This page had expired. Please try again."


class Profile(Form):
    """A sign-up form of the shop's own."""

    name = StringField("Name", [DataRequired(), Length(max=20)], description="As on letters.")
    news = BooleanField("Send me news")
    size = RadioField("Size", choices=["s", "l"], default="s")
    country = SelectField("Country", choices=["de", "fr"])
    source = HiddenField(default="web")
    submit = SubmitField("Join")


class Choosy(JoinableCustomers):
    """A shop that refuses to create accounts, in whatever way the test says."""

    error: Exception | None = None
    meanwhile: str | None = None
    switched_off = False

    def create(self, identifier: str, fields: Mapping[str, Any]) -> Customer:
        if self.meanwhile:
            self.add(self.meanwhile)
        if self.error is not None:
            raise self.error
        customer = super().create(identifier, dict(fields))
        customer.is_active = not self.switched_off
        return customer


@pytest.fixture
def shop_of(make_shop: MakeApp) -> Callable[..., Browser]:
    """Make a shop for a store and a form, and return a browser at it."""

    def make(store: Any, form: type[Any] | None = Profile, **config: Any) -> Browser:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", store, form=form)
        return Browser(make_shop(otp_auth, **config))

    return make


def prove(browser: Browser, identifier: str = BOB, **query: str) -> None:
    """Prove an address that has no account, and open the form."""
    browser.submit(otp=browser.ask(identifier, **query))
    assert browser.location == "/auth/customer/join"
    browser.follow()


def join(browser: Browser) -> None:
    """Prove Bob's address, and fill in the form where there is one."""
    browser.submit(otp=browser.ask(BOB))
    if browser.location == "/auth/customer/join":
        browser.follow()
        browser.submit(name="Bob", country="fr")


@pytest.fixture
def bob(shop_of: Callable[..., Browser], customers: JoinableCustomers) -> Browser:
    """The browser of Bob, who has proved his address and is at the form."""
    bob = shop_of(customers)
    prove(bob)
    return bob


class TestTheForm:
    def test_its_values_go_to_the_store(
        self, shop_of: Callable[..., Browser], customers: JoinableCustomers
    ) -> None:
        browser = shop_of(customers)
        prove(browser, next="/account")
        browser.submit(name="Bob", news="y", size="l", country="fr")
        assert (browser.status, browser.location) == (303, "/account")
        assert customers.filled_in == [
            {"name": "Bob", "news": True, "size": "l", "country": "fr", "source": "web"}
        ]
        browser.follow()
        assert browser.text == "account of bob@example.com"

    def test_its_own_validators_run(self, bob: Browser, customers: JoinableCustomers) -> None:
        bob.submit(name="", size="s", country="fr")
        assert bob.status == 400
        assert "Name: This field is required." in bob.text
        name = bob.page.by_id("name")
        assert name["aria-invalid"] == "true"
        assert name["aria-describedby"] == "name-hint name-error"
        assert {"href": "#name"} in bob.page.all("a")
        assert customers.filled_in == []
        bob.submit(name="Bob", size="s", country="de")
        assert bob.status == 303

    def test_labels_and_hints_belong_to_its_inputs(self, bob: Browser) -> None:
        labels = {label["for"] for label in bob.page.all("label")}
        assert labels == {"name", "news", "size-0", "size-1", "country"}
        assert "Size" in bob.text
        assert "As on letters." in bob.text
        assert len(bob.page.all("button")) == 1  # ours, and not the form's own as well

    @pytest.mark.parametrize("protected", [False, True])
    def test_a_form_of_flask_wtf_will_do(
        self, customers: JoinableCustomers, make_shop: MakeApp, protected: bool
    ) -> None:
        otp_auth = OTPAuth()

        @otp_auth.sign_up_form("customer")
        class Short(FlaskForm):
            name = StringField("Name", [DataRequired()])

        otp_auth.add_actor_type("customer", customers)
        app = make_shop(otp_auth)
        if protected:
            CSRFProtect(app)
        browser = Browser(app)
        prove(browser)
        browser.submit(name="Bob")
        assert browser.status == 303
        assert customers.filled_in == [{"name": "Bob"}]

    def test_may_have_files(
        self, shop_of: Callable[..., Browser], customers: JoinableCustomers
    ) -> None:
        class WithFiles(Form):
            pictures = MultipleFileField("Pictures")

        browser = shop_of(customers, WithFiles)
        prove(browser)
        assert browser.page.all("form")[0]["enctype"] == "multipart/form-data"
        data = {**browser.fill_in(), "pictures": (BytesIO(b"x"), "a.png")}
        browser.open("join", method="POST", data=data)
        assert browser.status == 303
        assert [file.filename for file in customers.filled_in[0]["pictures"]] == ["a.png"]

    def test_may_have_fields_that_are_made_of_others(
        self, shop_of: Callable[..., Browser], customers: JoinableCustomers
    ) -> None:
        class Address(Form):
            street = StringField("Street", [DataRequired("Which?")])
            floor = HiddenField()
            plan = FileField("Plan")
            find = SubmitField("Find it")

        class Whole(Form):
            home = FormField(Address, "Home")
            sizes = FieldList(StringField("Size", [Length(max=2)]), "Sizes", min_entries=1)

        browser = shop_of(customers, Whole)
        prove(browser)
        assert [legend.get("class") for legend in browser.page.all("legend")] == ["otp-label"] * 2
        assert browser.page.all("form")[0]["enctype"] == "multipart/form-data"
        browser.submit(**{"sizes-0": "huge"})
        assert "Street: Which?" in browser.text
        for name in ("home-street", "sizes-0"):
            assert {"href": f"#{name}"} in browser.page.all("a")
            assert browser.page.by_id(name)["aria-describedby"] == f"{name}-error"
        assert set(browser.page.forms[0].fields) == {
            *("csrf_token", "otp_auth_flow", "home-street", "home-floor", "home-plan", "sizes-0")
        }
        browser.submit(**{"home-street": "High St", "sizes-0": "s"})
        assert customers.filled_in[0]["home"]["street"] == "High St"
        assert customers.filled_in[0]["sizes"] == ["s"]

    def test_says_what_is_wrong_with_more_than_one_input(
        self, shop_of: Callable[..., Browser], customers: JoinableCustomers
    ) -> None:
        class Odd(Form):
            source = HiddenField("Source", [NoneOf(["web"], "Not from there.")], default="web")
            terms = BooleanField(
                Markup('I accept the <a href="/terms">terms</a>'), [DataRequired("Do!")]
            )
            size = RadioField(
                "Size", [DataRequired("Pick one.")], choices=["s"], description="Now."
            )

            def validate(self, extra_validators: Any = None) -> bool:
                super().validate(extra_validators)
                self.form_errors.append("Not today.")
                return False

        browser = shop_of(customers, Odd)
        prove(browser)
        browser.open("join", method="POST", data={**browser.fill_in(), "size": ""})
        said = "Not today. Source: Not from there. I accept the terms: Do! Size: Pick one."
        assert said in browser.text
        links = [link["href"] for link in browser.page.all("a")]
        assert links == ["#terms", "#size", "/terms"]
        assert browser.page.by_id("size")["aria-describedby"] == "size-hint size-error"

    def test_what_is_none_is_refused(self) -> None:
        for form in ("Profile", object, Profile()):
            with pytest.raises(ConfigError, match="must be a class of WTForms"):
                OTPAuth().sign_up_form("customer")(form)

    def test_needs_a_store_that_can_create(
        self, make_shop: MakeApp, make_members: Callable[..., OTPAuth]
    ) -> None:
        with pytest.raises(ConfigError, match="create"):
            make_shop(make_members(form=Profile))

    def test_of_an_actor_type_that_is_yet_to_come_is_taken_and_told_of(
        self, make_shop: MakeApp, customers: JoinableCustomers, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As its name may be a slip, and nobody would see the form."""
        otp_auth = OTPAuth()
        otp_auth.sign_up_form("customer")(Profile)
        app = make_shop(otp_auth)
        assert "a sign-up form is for 'customer', which is no actor type yet" in caplog.text
        otp_auth.add_actor_type("customer", customers)
        browser = Browser(app)
        prove(browser)
        assert "Name" in browser.text


class TestTheStore:
    def test_may_refuse_with_a_text_above_the_form(self, shop_of: Callable[..., Browser]) -> None:
        store = Choosy()
        store.error = SignUpRefused("Only <adults> can join.")
        browser = shop_of(store)
        join(browser)
        assert browser.status == 400
        assert "Only <adults> can join." in browser.text
        assert "&lt;adults&gt;" in browser.answer.text
        assert browser.page.forms[0].fields["name"] == "Bob"
        store.error = None
        browser.submit(name="Bob", country="fr")
        assert browser.status == 303

    def test_may_refuse_where_there_is_no_form(self, shop_of: Callable[..., Browser]) -> None:
        store = Choosy()
        store.error = SignUpRefused("We are full.")
        browser = shop_of(store, None)
        join(browser)
        assert browser.status == 400
        assert "We are full." in browser.text
        assert {"href": "/auth/customer/sign-in"} in browser.page.all("a")
        assert browser.cookie("session") is None

    @pytest.mark.parametrize("form", [Profile, None])
    def test_may_find_that_there_is_an_account_meanwhile(
        self, shop_of: Callable[..., Browser], form: type[Any] | None
    ) -> None:
        store = Choosy()
        store.error, store.meanwhile = DuplicateError(), BOB
        browser = shop_of(store, form)
        join(browser)
        assert browser.status == 303
        browser.get("/account")
        assert browser.text == "account of bob@example.com"

    def test_may_find_that_something_else_is_taken(self, shop_of: Callable[..., Browser]) -> None:
        """A name, for example, that must be unique as well."""
        store = Choosy()
        store.error = DuplicateError()
        browser = shop_of(store)
        join(browser)
        assert browser.status == 400
        assert "filled in belongs to another account already" in browser.text
        store.error = None
        browser.submit(name="Robert", country="fr")
        assert browser.status == 303

    def test_is_not_asked_where_there_is_an_account_already(
        self, bob: Browser, customers: JoinableCustomers
    ) -> None:
        customers.add(BOB)
        bob.get("join")
        bob.submit(name="Bob", country="fr")
        assert bob.status == 303
        assert customers.filled_in == []
        bob.get("/account")
        assert bob.text == "account of bob@example.com"

    @pytest.mark.parametrize("form", [Profile, None])
    def test_may_keep_the_account_for_later(
        self, shop_of: Callable[..., Browser], form: type[Any] | None
    ) -> None:
        store = Choosy()
        store.switched_off = True
        browser = shop_of(store, form)
        join(browser)
        assert browser.status == 400
        assert "Your account can't be used yet." in browser.text
        assert browser.cookie("session") is None

    def test_that_returns_nothing_is_an_error(self, shop_of: Callable[..., Browser]) -> None:
        class Forgetful(JoinableCustomers):
            def create(self, identifier: str, fields: Mapping[str, Any]) -> Any:
                return None

        browser = shop_of(Forgetful(), None)
        otp = browser.ask(BOB)
        with pytest.raises(TypeError, match=r"Forgetful\.create\(\) must return an actor"):
            browser.submit(otp=otp)

    def test_that_is_out_of_reach_does_not_cost_the_proof(
        self, shop_of: Callable[..., Browser]
    ) -> None:
        store = Choosy()
        store.error = Unavailable()
        browser = shop_of(store, None)
        join(browser)
        assert browser.status == 503
        store.error = None
        browser.submit()
        assert browser.status == 303
        browser.get("/account")
        assert browser.text == "account of bob@example.com"

    def test_that_fails_does_not_cost_the_proof_either(
        self, shop_of: Callable[..., Browser], clock: Traveller
    ) -> None:
        store = Choosy()
        store.error = RuntimeError("the database is being moved")
        browser = shop_of(store, None)
        browser.app.config["PROPAGATE_EXCEPTIONS"] = False
        join(browser)
        assert browser.status == 500
        store.error = None
        clock.shift(300)
        browser.get("code")
        browser.follow()
        browser.submit()
        assert browser.status == 303
        browser.get("/account")
        assert browser.text == "account of bob@example.com"


class TestTheProof:
    @pytest.mark.parametrize("deleted", [False, True])
    def test_is_good_once(self, bob: Browser, customers: JoinableCustomers, deleted: bool) -> None:
        """Even if the account that it made was deleted."""
        flow, form = bob.cookie() or "", bob.fill_in(name="Bob", country="fr")
        bob.submit(name="Bob", country="fr")
        if deleted:
            customers.accounts.pop()
        copy = Browser(bob.app)
        copy.set_flow(flow)
        copy.open("join", method="POST", data=form)
        assert copy.status == 400
        assert EXPIRED in copy.text
        assert copy.cookie("session") is None
        assert len(customers.filled_in) == 1
        copy.set_flow(flow)
        copy.get("join")
        assert copy.location == "/auth/customer/sign-in"

    def test_a_double_click_ends_where_the_first_one_does(
        self, bob: Browser, customers: JoinableCustomers
    ) -> None:
        form = bob.fill_in(name="Bob", country="fr")
        for _ in range(2):
            bob.open("join", method="POST", data=form)
            assert (bob.status, bob.location) == (303, "/")
        assert len(customers.filled_in) == 1

    def test_a_code_that_is_sent_once_more_leads_to_the_form(
        self, shop_of: Callable[..., Browser], customers: JoinableCustomers
    ) -> None:
        browser = shop_of(customers)
        otp = browser.ask(BOB)
        form = browser.fill_in(otp=otp)
        for _ in range(2):
            browser.open("code", method="POST", data=form)
            assert (browser.status, browser.location) == (303, "/auth/customer/join")

    def test_lasts_as_long_as_the_registration_token(
        self,
        clock: Traveller,
        shop_of: Callable[..., Browser],
        customers: JoinableCustomers,
    ) -> None:
        browser = shop_of(customers, OTP_AUTH_REGISTRATION_TOKEN_TTL=1800)
        prove(browser)
        clock.shift(1790)
        browser.get("join")
        assert browser.status == 200
        late, flow = Browser(browser.app), browser.cookie() or ""
        late.set_flow(flow)
        late.get("join")
        clock.shift(30)
        late.submit(name="Bob", country="fr")
        assert late.status == 400
        assert EXPIRED in late.text
        assert "identifier" in late.page.forms[0].fields
        assert customers.filled_in == []
        browser.get("join")
        assert (browser.status, browser.location) == (303, "/auth/customer/sign-in")
        assert browser.cookie() is None

    def test_is_needed(self, browser: Browser) -> None:
        browser.get("join")
        assert browser.location == "/auth/customer/sign-in"
        browser.ask(BOB)
        browser.get("join")
        assert browser.location == "/auth/customer/sign-in"
        browser.get("code")
        browser.open("join", method="POST", data=browser.fill_in())
        assert browser.status == 400
        assert browser.cookie("session") is None

    def test_keeps_the_place_of_who_comes_back_to_the_code(self, bob: Browser) -> None:
        bob.get("code")
        assert bob.location == "/auth/customer/join"

    def test_the_sign_in_is_by_the_code(
        self, shop_of: Callable[..., Browser], customers: JoinableCustomers
    ) -> None:
        browser = shop_of(customers)
        recorder = SignalRecorder(browser.app)
        prove(browser)
        browser.submit(name="Bob", country="fr")
        assert recorder.names.count("actor_authenticated") == 1

    def test_a_forged_form_creates_nobody(self, bob: Browser, customers: JoinableCustomers) -> None:
        bob.submit(name="Bob", country="fr", csrf_token="x")
        assert bob.status == 400
        assert EXPIRED in bob.text
        assert bob.page.forms[0].fields["name"] == "Bob"
        assert customers.filled_in == []

    def test_what_is_too_much_creates_nobody(
        self, bob: Browser, customers: JoinableCustomers
    ) -> None:
        bob.submit(name="B" * 70_000)
        assert bob.status == 413
        assert customers.filled_in == []
        bob.submit(name="Bob", country="de")
        assert bob.status == 303


class TestWhereTheDoorIsClosed:
    def test_nobody_joins(self, make_shop: MakeApp, make_members: Callable[..., OTPAuth]) -> None:
        browser = Browser(make_shop(make_members()))
        assert browser.ask(BOB) == ""
        assert "If there is an account for b••@example.com, a code is on its way." in browser.text
        assert browser.ask(ADA) != ""
        assert "If there is an account for a••@example.com, a code is on its way." in browser.text

    def test_somebody_who_was_deleted_meanwhile_is_refused(
        self,
        make_shop: MakeApp,
        make_members: Callable[..., OTPAuth],
        customers: JoinableCustomers,
    ) -> None:
        browser = Browser(make_shop(make_members()))
        otp = browser.ask(ADA)
        customers.accounts.clear()
        browser.submit(otp=otp)
        assert browser.status == 400
        assert "That code is not right" in browser.text

    def test_who_is_not_invited_is_told_nothing(
        self, make_shop: MakeApp, customers: JoinableCustomers
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers, sign_up=lambda identifier: False)
        browser = Browser(make_shop(otp_auth))
        assert browser.ask(BOB) == ""
        assert "We have sent a code to b••@example.com." in browser.text
