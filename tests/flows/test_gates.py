"""The app's own gates (``before_code``) see each request for a code before anything else does."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from fakes import ADA, BOB, Api, Customers, SignalRecorder
from flask import Flask, Response, request

from flask_otp_auth import OTPAuth, Refused
from flask_otp_auth.core.gates import Asked
from flask_otp_auth.testing import Outbox


class Gate:
    """Lets through who shows ``human``."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def __call__(self, asked: Asked) -> None:
        self.asked.append(asked)
        if asked.proof != "human":
            raise Refused


@pytest.fixture
def gate(otp_auth: OTPAuth) -> Gate:
    gate = Gate()
    assert otp_auth.before_code(gate) is gate
    return gate


@pytest.fixture
def app(make_app, otp_auth: OTPAuth, gate: Gate) -> Flask:
    return make_app(otp_auth)


@pytest.mark.parametrize("route", ["generate", "pre-register", "start"])
@pytest.mark.parametrize("identifier", [ADA, BOB])
def test_who_is_refused_gets_403_and_no_code_whoever_it_is(
    api: Api, recorder: SignalRecorder, route: str, identifier: str
) -> None:
    answer = api.post(f"/otp/{route}", identifier=identifier, proof="robot")
    assert (answer.status_code, answer.get_json()) == (
        403,
        {"type": "refused", "message": "Refused"},
    )
    assert recorder.names == []
    assert api.post(f"/otp/{route}", identifier=identifier, proof="human").status_code == 200
    assert recorder.names != []


def test_a_gate_sees_who_asks_for_what(api: Api, gate: Gate) -> None:
    api.generate(" Ada@Example.com ", proof="human")
    (asked,) = gate.asked
    assert asked == Asked("customer", "login", ADA, "127.0.0.1", "human")


def test_one_that_each_call_of_an_app_factory_registers_is_asked_once(
    make_app, otp_auth: OTPAuth, gate: Gate
) -> None:
    """Whoever checks a captcha's answer a second time is told that it was used."""
    otp_auth.before_code(gate)
    otp_auth.before_code(gate.__call__)
    otp_auth.before_code(gate.__call__)
    Api(make_app(otp_auth).test_client()).generate(proof="human")
    assert len(gate.asked) == 2  # the object, and its method


def test_so_is_one_that_each_call_makes_anew(make_app, customers: Customers) -> None:
    """But where it uses the factory's own variables all are asked, or some would be passed by."""
    otp_auth, asked = OTPAuth(), []

    def create_app(name: str) -> Flask:
        @otp_auth.before_code
        def plain(_: Asked) -> None:
            asked.append("plain")

        @otp_auth.before_code
        def own(_: Asked) -> None:
            asked.append(name)

        otp_auth.add_actor_type("customer", customers)
        return make_app(otp_auth)

    for app in [create_app("first"), create_app("second")]:
        Api(app.test_client()).generate()
    assert asked == ["plain", "first", "second"] * 2


def test_two_that_are_equal_are_both_asked(make_app, otp_auth: OTPAuth) -> None:
    @dataclass
    class Named(Gate):
        name: str
        asked: list[Asked] = field(default_factory=list, compare=False)

    gates = [Named("captcha"), Named("captcha")]
    for gate in (*gates, gates[0].__call__, gates[1].__call__):
        otp_auth.before_code(gate)
    Api(make_app(otp_auth).test_client()).generate(proof="human")
    assert [len(gate.asked) for gate in gates] == [2, 2]


def test_answers_and_scripts_pass_no_gate(
    app: Flask, api: Api, otp_auth: OTPAuth, gate: Gate, outbox: Outbox
) -> None:
    with app.app_context():
        otp_auth.generate("customer", ADA)
    assert api.verify(outbox.last.otp).status_code == 200
    assert gate.asked == []


def test_a_flow_within_a_request_passes_them(app: Flask, otp_auth: OTPAuth, gate: Gate) -> None:
    with app.test_request_context(), pytest.raises(Refused):
        otp_auth.generate("customer", ADA)
    assert [asked.proof for asked in gate.asked] == [None]


def test_a_refusal_counts_against_the_address_and_nothing_else(make_app, otp_auth, gate) -> None:
    app = make_app(otp_auth, OTP_AUTH_IP_GENERATE_LIMITS="2/hour", OTP_AUTH_SEND_LIMITS="1/hour")
    api = Api(app.test_client())
    statuses = [api.generate(proof="robot").status_code for _ in range(3)]
    assert statuses == [403, 403, 429]
    with Outbox(app) as outbox:
        api.address = "192.0.2.7"
        api.generate(proof="human")
    assert len(outbox.last.otp) == 6


def test_a_body_that_is_nested_without_end_shows_no_proof(
    app: Flask, otp_auth: OTPAuth, gate: Gate
) -> None:
    nested = {"data": "[" * 100_000, "content_type": "application/json"}
    with app.test_request_context(method="POST", **nested), pytest.raises(Refused):
        otp_auth.generate("customer", ADA)
    assert [asked.proof for asked in gate.asked] == [None]


async def refuse(asked: Asked) -> None:
    raise Refused


class Later:
    """Something that can be awaited and is no coroutine, as Cython makes it."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    def __await__(self) -> Any:
        return refuse(self.asked).__await__()


class Refusing:
    async def __call__(self, asked: Asked) -> None:
        raise Refused


@pytest.mark.parametrize(
    "gate",
    [refuse, partial(refuse), lambda asked: refuse(asked), Refusing(), lambda asked: Later(asked)],
    ids=["async def", "partial", "lambda", "object", "awaitable"],
)  # fmt: skip
def test_an_asynchronous_gate_is_waited_for(make_app, otp_auth: OTPAuth, gate: Any) -> None:
    otp_auth.before_code(gate)
    assert Api(make_app(otp_auth).test_client()).generate().status_code == 403


def test_so_it_is_in_an_asynchronous_view(make_app, customers: object) -> None:
    """Where an event loop runs in the thread already."""
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    addresses = []

    @otp_auth.before_code
    async def gate(asked: Asked) -> None:
        addresses.append(request.remote_addr)
        if asked.identifier == BOB:
            raise Refused

    app = make_app(otp_auth)

    @app.post("/ask")
    async def ask() -> dict[str, str]:
        otp_auth.generate("customer", request.form["identifier"])
        return {}

    client = app.test_client()
    assert client.post("/ask", data={"identifier": ADA}).status_code == 200
    assert client.post("/ask", data={"identifier": BOB}).status_code == 403
    assert addresses == ["127.0.0.1"] * 2


@pytest.mark.parametrize("place", ["before_code", "claims_loader", "page_context"])
def test_a_gate_is_a_function_and_so_is_what_else_an_app_registers(place: str) -> None:
    with pytest.raises(TypeError, match=f"{place} takes a function, not {{}}"):
        getattr(OTPAuth(), place)({})


@pytest.mark.parametrize(
    "answer",
    [False, 0, iter([]), ("no", 403), Response("no", 403), Refused(), Refused, {"success": False}],
    ids=["False", "0", "generator", "answer", "response", "error", "class", "dict"],
)
def test_a_gate_that_returns_what_it_meant_to_raise_lets_nobody_through(
    make_app, otp_auth: OTPAuth, answer: Any
) -> None:
    otp_auth.before_code(lambda asked: answer)
    with pytest.raises(TypeError, match="refuses by raising Refused"):
        Api(make_app(otp_auth).test_client()).generate()


def test_what_it_returns_is_not_repeated(make_app, customers: object) -> None:
    """The log would have an address in it, or what a captcha has answered."""
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    otp_auth.before_code(lambda asked: f"{asked.identifier} {asked.proof}")
    with pytest.raises(TypeError, match=r"must not return an object of the class str$"):
        Api(make_app(otp_auth).test_client()).generate(proof="human")


@pytest.mark.parametrize("answer", [None, True])
def test_one_that_returns_nothing_or_true_lets_everybody_through(
    make_app, customers: object, answer: Any
) -> None:
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    otp_auth.before_code(lambda asked: answer)
    assert Api(make_app(otp_auth).test_client()).generate().status_code == 200
