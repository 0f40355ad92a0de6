"""Step-up: an action runs with a code that was sent for this very action, once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fakes import ADA, Customer, Customers, MakeApp, SignalRecorder, bearer, wrong
from flask import Flask, request
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue
from werkzeug.test import TestResponse

from flask_otp_auth import (
    ConfigError,
    OTPAuth,
    Refused,
    RequestError,
    current_actor,
    current_confirmation,
    otp_required,
    token_required,
)
from flask_otp_auth.core.gates import Asked
from flask_otp_auth.testing import Outbox

RENT = {"amount": "950.00", "iban": "DE12"}
GIFT = {"amount": "20.00", "iban": "DE12"}


def email_of(actor: Customer) -> str:
    return actor.email


def payment() -> dict[str, Any]:
    return {"amount": request.json["amount"], "to": request.json["iban"]}


confirmed = otp_required("transfer", to=email_of, binds=payment)


class Bank:
    """The shop with views of its own that need a code, and somebody who is signed in.

    :ivar paid: what the views were called for.
    """

    def __init__(self, otp_auth: OTPAuth, app: Flask, ada: Customer) -> None:
        self.app, self.otp_auth = app, otp_auth
        self.paid: list[Any] = []
        self.token = self.sign_in("customer", ada)
        self.add("/transfer", self.transfer)

    def add(self, rule: str, view: Callable[..., Any], guard: Any = confirmed) -> None:
        """Add a view that needs a token and a code."""
        self.app.add_url_rule(rule, rule, token_required()(guard(view)), methods=["POST"])

    def transfer(self) -> ResponseReturnValue:
        assert current_actor.email == current_confirmation.identifier
        self.paid.append(current_confirmation.binds)
        return {"paid": dict(current_confirmation.binds or {})}

    def sign_in(self, actor_type: str, actor: Customer) -> str:
        with self.app.app_context():
            return str(self.otp_auth.sign_in(actor_type, actor))

    def post(
        self,
        rule: str = "/transfer",
        otp: str | None = None,
        challenge: str | None = None,
        *,
        token: str | None = None,
        **body: Any,
    ) -> TestResponse:
        """Call a view, with the rent where the body says nothing else."""
        headers = {**bearer(token or self.token)}
        headers |= {} if otp is None else {"OTP": otp}
        headers |= {} if challenge is None else {"OTP-Challenge": challenge}
        return self.app.test_client().post(rule, headers=headers, **(body or {"json": RENT}))


@pytest.fixture
def make_bank(make_app: MakeApp, customers: Customers) -> Callable[..., Bank]:
    """Make the bank with settings of the test's own."""

    def make(**config: Any) -> Bank:
        otp_auth = OTPAuth()
        for name in ("customer", "staff"):
            otp_auth.add_actor_type(name, customers)
        return Bank(otp_auth, make_app(otp_auth, **config), customers.accounts[0])

    return make


@pytest.fixture
def bank(make_bank: Callable[..., Bank]) -> Bank:
    return make_bank()


@pytest.fixture
def app(bank: Bank) -> Flask:
    """The bank's app, so that ``outbox`` and ``recorder`` are the bank's."""
    return bank.app


class TestTheFirstCall:
    def test_is_401_and_sends_a_code(self, bank: Bank, outbox: Outbox) -> None:
        answer = bank.post()
        body = answer.get_json()
        assert answer.status_code == 401
        assert body == {
            "type": "otp_required",
            "message": "A one-time code is required.",
            "challenge": body["challenge"],
            "expires_in": 300,
            "resend_after": 60,
        }
        error = 'Bearer error="insufficient_user_authentication"'
        assert answer.headers["WWW-Authenticate"] == error
        assert answer.headers["Cache-Control"] == "no-store"
        assert bank.paid == []
        (message,) = outbox
        assert (message.purpose, message.identifier) == ("transfer", ADA)
        assert (message.subject, message.binds) == (
            "customer:1",
            {"amount": "950.00", "to": "DE12"},
        )
        assert message.context is not None

    def test_can_be_repeated_without_a_second_code(self, bank: Bank, outbox: Outbox) -> None:
        challenges = {bank.post().get_json()["challenge"] for _ in range(2)}
        assert (len(challenges), len(outbox)) == (2, 1)
        for challenge in sorted(challenges)[:1]:
            assert bank.post(otp=outbox.last.otp, challenge=challenge).status_code == 200

    def test_counts_against_nothing_over_all_identifiers(
        self, make_bank: Callable[..., Bank]
    ) -> None:
        """No flood of newcomers keeps somebody who is signed in waiting."""
        bank = make_bank(OTP_AUTH_GLOBAL_SEND_LIMIT="1/hour")
        contact = bank.otp_auth.purpose("transfer")
        with Outbox(bank.app) as outbox:
            with bank.app.app_context():
                for number in range(41):
                    contact.send(f"ada+{number}@example.com")
            outbox.clear()
            for amount in range(3):
                bank.post(json={"amount": amount, "iban": "DE12"})
        assert len(outbox) == 3
        assert outbox.suppressed == []

    def test_passes_the_gates_with_the_proof_in_its_body(self, bank: Bank, outbox: Outbox) -> None:
        asked: list[Asked] = []
        bank.otp_auth.before_code(asked.append)
        bank.post(json={**RENT, "proof": "human"})
        bank.post(otp=outbox.last.otp)
        assert asked == [Asked(None, "transfer", ADA, "127.0.0.1", "human")]


class TestTheSecondCall:
    def test_runs_the_view_once(self, bank: Bank, outbox: Outbox) -> None:
        bank.post()
        answer = bank.post(otp=outbox.last.otp)
        assert answer.get_json() == {"paid": {"amount": "950.00", "to": "DE12"}}
        again = bank.post(otp=outbox.last.otp)
        assert (again.status_code, again.get_json()["type"]) == (400, "invalid_otp")
        assert len(bank.paid) == 1

    def test_is_refused_with_another_amount(self, bank: Bank, outbox: Outbox) -> None:
        bank.post()
        other = bank.post(otp=outbox.last.otp, json=GIFT)
        assert (other.status_code, other.get_json()["type"]) == (400, "invalid_otp")
        assert bank.paid == []
        assert bank.post(otp=outbox.last.otp).status_code == 200

    @pytest.mark.parametrize("otp", ["", "x", "12345"])
    def test_is_refused_with_what_is_no_code(self, bank: Bank, outbox: Outbox, otp: str) -> None:
        bank.post()
        assert bank.post(otp=otp).get_json()["type"] == "invalid_otp"
        assert bank.post(otp=wrong(outbox.last.otp)).get_json()["type"] == "invalid_otp"

    def test_spends_the_code_even_if_the_view_fails(self, bank: Bank, outbox: Outbox) -> None:
        def fail() -> ResponseReturnValue:
            return "the other bank is closed", 502

        bank.add("/fail", fail)
        bank.post("/fail")
        statuses = [bank.post("/fail", outbox.last.otp).status_code for _ in range(2)]
        assert statuses == [502, 400]

    def test_runs_the_view_for_one_of_many_at_once(self, bank: Bank, outbox: Outbox) -> None:
        bank.post()
        barrier = threading.Barrier(8)

        def call(_: int) -> int:
            barrier.wait(20)
            return bank.post(otp=outbox.last.otp).status_code

        with ThreadPoolExecutor(8) as pool:
            statuses = sorted(pool.map(call, range(8)))
        assert (statuses, len(bank.paid)) == ([200, *[400] * 7], 1)

    def test_json_that_is_nested_without_end_is_bad_input(self, bank: Bank) -> None:
        nested = {"data": "[" * 100_000, "content_type": "application/json"}
        assert bank.post(**nested).status_code == 400

    def test_may_hold_the_challenge(self, bank: Bank, outbox: Outbox) -> None:
        challenge = bank.post().get_json()["challenge"]
        elsewhere = bank.post(json=GIFT).get_json()["challenge"]
        otp = outbox.messages[0].otp
        assert bank.post(otp=otp, challenge=elsewhere).get_json()["type"] == "invalid_otp"
        assert bank.post(otp=otp, challenge=challenge).status_code == 200

    def test_must_hold_it_if_the_app_wants_it(self, make_bank: Callable[..., Bank]) -> None:
        bank = make_bank(OTP_AUTH_REQUIRE_CHALLENGE=True)
        with Outbox(bank.app) as outbox:
            challenge = bank.post().get_json()["challenge"]
        assert bank.post(otp=outbox.last.otp).get_json()["type"] == "invalid_data"
        assert bank.post(otp=outbox.last.otp, challenge=challenge).status_code == 200

    def test_is_of_one_person_and_one_actor_type(
        self, bank: Bank, customers: Customers, outbox: Outbox
    ) -> None:
        """All share one mailbox, and staff have the ids that customers have."""
        ada, bob = customers.accounts[0], customers.add("bob@example.com")
        shared = otp_required("transfer", to=lambda actor: "all@example.com", binds=payment)
        bank.add("/shared", lambda: "paid", shared)
        tokens = [
            bank.sign_in(*who) for who in (("customer", ada), ("customer", bob), ("staff", ada))
        ]
        for owner in tokens:
            bank.post("/shared", token=owner)
            good = [
                bank.post("/shared", outbox.last.otp, token=each).status_code for each in tokens
            ]
            assert good == [200 if each == owner else 400 for each in tokens]
        assert [each.subject for each in outbox] == ["customer:1", "customer:2", "staff:1"]


class TestWhatIsBound:
    @pytest.mark.parametrize(
        ("body", "logged"),
        [
            ({"json": {"amount": "1"}}, "raised KeyError"),
            ({"json": []}, "raised TypeError"),
            ({"json": "text"}, "raised TypeError"),
            ({"json": {"amount": 9.5, "iban": "DE12"}}, "not float"),
            ({"json": {"amount": "1\u202e2", "iban": "DE12"}}, None),
            ({"json": {"amount": "1", "iban": "DE\u200b12"}}, None),
        ],
    )
    def test_is_400_where_the_request_does_not_have_it(
        self,
        bank: Bank,
        outbox: Outbox,
        caplog: pytest.LogCaptureFixture,
        body: dict[str, Any],
        logged: str | None,
    ) -> None:
        for otp in (None, "123456"):
            answer = bank.post(otp=otp, **body)
            assert (answer.status_code, answer.get_json()["type"]) == (400, "invalid_data")
            assert answer.headers["Cache-Control"] == "no-store"
        assert len(outbox) == 0
        assert len(caplog.messages) == (2 if logged else 0)
        assert all(logged in message for message in caplog.messages if logged)

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"data": {"amount": "1", "to": "DE12"}}, 401),
            ({"data": {"amount": "1", "to": ["DE12", "DE34"]}}, 400),
        ],
    )
    def test_may_be_a_whole_form_but_no_field_twice(
        self, bank: Bank, outbox: Outbox, body: dict[str, Any], status: int
    ) -> None:
        bank.add("/form", lambda: "", otp_required("form", to=email_of, binds=lambda: request.form))
        assert bank.post("/form", **body).status_code == status
        assert [each.binds for each in outbox] == [{"amount": "1", "to": "DE12"}] * (status == 401)

    def test_may_be_nothing(self, bank: Bank, outbox: Outbox) -> None:
        bank.add("/delete", lambda: "deleted", otp_required("delete", to=email_of))
        bank.post("/delete")
        assert outbox.last.binds is None
        assert bank.post("/delete", outbox.last.otp).text == "deleted"

    def test_is_the_actors_own_if_it_says_so(self, bank: Bank, outbox: Outbox) -> None:
        own = otp_required("own", to=email_of, binds=lambda: {"who": current_actor.email})
        bank.add("/own", lambda: "", own)
        bank.post("/own")
        assert outbox.last.binds == {"who": ADA}

    def test_may_be_told_by_async_functions_for_an_async_view(
        self, bank: Bank, outbox: Outbox
    ) -> None:
        async def to(actor: Customer) -> str:
            return actor.email

        async def binds() -> dict[str, Any]:
            return payment()

        async def view() -> str:
            return str(current_confirmation.subject)

        bank.add("/async", view, otp_required("async", to=to, binds=binds))
        assert bank.post("/async").status_code == 401
        assert bank.post("/async", outbox.last.otp).text == "customer:1"

    @pytest.mark.parametrize("where", ["to", "binds"])
    def test_the_apps_own_refusal_is_the_answer(self, bank: Bank, where: str) -> None:
        def refuse(*_: Any) -> Any:
            raise Refused

        functions: dict[str, Any] = {"to": email_of, "binds": payment, where: refuse}
        bank.add("/refused", lambda: "", otp_required("refused", **functions))
        assert bank.post("/refused").get_json() == {"type": "refused", "message": "Refused"}


class TestWhoIsAsked:
    def test_nobody_without_a_token(self, bank: Bank, client: FlaskClient) -> None:
        answer = client.post("/transfer", json=RENT)
        assert (answer.status_code, answer.get_json()["type"]) == (401, "unauthorized")

    def test_no_guest(self, bank: Bank, client: FlaskClient, recorder: SignalRecorder) -> None:
        view = token_required(optional=True)(confirmed(bank.transfer))
        bank.app.add_url_rule("/guest", view_func=view, methods=["POST"])
        answer = client.post("/guest", json=RENT)
        assert (answer.status_code, answer.get_json()["type"]) == (401, "unauthorized")
        assert (bank.paid, recorder.names) == ([], [])

    def test_whoever_has_a_session(self, bank: Bank, client: FlaskClient, outbox: Outbox) -> None:
        view = token_required(session=True)(confirmed(bank.transfer))
        bank.app.add_url_rule("/session", "session", view, methods=["POST"])
        client.post("/auth/session", headers=bearer(bank.token))
        assert client.post("/session", json=RENT).get_json()["type"] == "otp_required"
        headers = {"OTP": outbox.last.otp}
        assert client.post("/session", json=RENT, headers=headers).status_code == 200

    def test_nobody_where_no_guard_tells_who_it_is(self, bank: Bank, client: FlaskClient) -> None:
        bank.app.add_url_rule("/open", view_func=confirmed(bank.transfer), methods=["POST"])
        with pytest.raises(RuntimeError, match="no token_required guards this view"):
            client.post("/open", json=RENT)


class TestMistakesOfTheApp:
    @pytest.mark.parametrize("name", ["login", "", "a b", None])
    def test_a_name_that_no_purpose_can_have(self, name: Any) -> None:
        with pytest.raises(ConfigError, match="a purpose is 1 to 64 letters"):
            otp_required(name, to=email_of)

    @pytest.mark.parametrize("given", [{"to": ADA}, {"to": email_of, "binds": {"amount": 1}}])
    def test_values_in_place_of_functions(self, given: Any) -> None:
        with pytest.raises(TypeError, match="must be functions"):
            otp_required("transfer", **given)

    def test_an_actor_that_has_no_address(self, bank: Bank) -> None:
        bank.add("/nowhere", lambda: "", otp_required("nowhere", to=lambda actor: None))
        with pytest.raises(TypeError, match=r"to= of otp_required\('nowhere'\) must return a text"):
            bank.post("/nowhere")

    def test_a_purpose_whose_codes_live_for_a_day(self, bank: Bank) -> None:
        bank.otp_auth.purpose("contact", ttl=601, confirms_address_only=True)
        bank.add("/contact", lambda: "", otp_required("contact", to=email_of))
        with pytest.raises(
            ConfigError, match=r"- purpose \w+ confirms addresses only, and no action$"
        ):
            bank.post("/contact")

    def test_a_view_that_no_otp_required_guards(self, bank: Bank) -> None:
        bank.add("/bare", bank.transfer, lambda view: view)
        with pytest.raises(RuntimeError, match="no otp_required guards this view"):
            bank.post("/bare")


def test_the_purpose_has_the_settings_that_the_app_gave_it(bank: Bank, outbox: Outbox) -> None:
    bank.otp_auth.purpose("transfer", identifier="email", digits=8, ttl=120)
    assert bank.post().get_json()["expires_in"] == 120
    assert len(outbox.last.otp) == 8


def test_the_apps_own_handler_gives_it_another_shape(bank: Bank, outbox: Outbox) -> None:
    @bank.app.errorhandler(RequestError)
    def handle(error: RequestError) -> ResponseReturnValue:
        return {"error": error.data["type"]}, error.status, error.extra_headers

    answer = bank.post()
    assert (answer.status_code, answer.get_json()) == (401, {"error": "otp_required"})
    assert "insufficient_user_authentication" in answer.headers["WWW-Authenticate"]
