"""Request bodies: what is refused, and that a refused body has no effect whatever."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import ADA, Api, Ear, Watched
from flask import Flask, request
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from flask_otp_auth.testing import Outbox

ROUTES = {
    "generate": "/auth/customer/otp/generate",
    "pre-register": "/auth/customer/otp/pre-register",
    "verify": "/auth/customer/otp/verify",
    "register": "/auth/customer/otp/register",
    "authenticate": "/auth/customer/otp",
}
GENERATE = ROUTES["generate"]
VERIFY = ROUTES["verify"]
JSON = "application/json"
GOOD = json.dumps({"identifier": ADA, "otp": "123456"}).encode()

every_route = pytest.mark.parametrize("path", ROUTES.values(), ids=ROUTES.keys())
redeeming = pytest.mark.parametrize("path", list(ROUTES.values())[2:], ids=list(ROUTES)[2:])


@dataclass
class Shop:
    """A watched shop in which a code waits for Ada."""

    watched: Watched
    client: FlaskClient
    outbox: Outbox
    ear: Ear

    def post(self, path: str, body: object, content_type: str | None = JSON) -> TestResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(path, data=data, content_type=content_type)

    def has_done_nothing(self) -> bool:
        """Tell whether nothing was counted, compared, stored or sent."""
        return self.watched.limits.calls == [] and self.has_done_nothing_for_anyone()

    def has_done_nothing_for_anyone(self) -> bool:
        """Tell the same, but let the address have been counted."""
        return (
            self.watched.limits.calls in ([], ["hit"])
            and self.watched.store.calls == []
            and len(self.outbox) == 0
            and self.ear.heard == []
        )


@pytest.fixture
def shop(make_watched: Callable[..., Watched]) -> Iterator[Shop]:
    """A watched shop in which a code waits for Ada."""
    watched = make_watched()
    with watched.app.app_context(), Outbox(watched.app):
        watched.otp_auth.generate("customer", ADA)
    watched.forget()
    with Outbox(watched.app) as outbox:
        yield Shop(watched, watched.app.test_client(), outbox, Ear(watched.app))


NOT_JSON = {
    "empty": b"",
    "white space": b"  \n",
    "a word": b"hello",
    "a form": b"identifier=ada@example.com&otp=123456",
    "cut off": GOOD[:-1],
    "followed by more": GOOD + b"{}",
    "single quotes": GOOD.replace(b'"', b"'"),
    "a comma too many": GOOD[:-1] + b",}",
    "a control character": GOOD.replace(b"123456", b"12\n3456"),
    "NaN": GOOD[:-1] + b', "x": NaN}',
    "Infinity": GOOD[:-1] + b', "x": Infinity}',
    "-Infinity": GOOD[:-1] + b', "x": -Infinity}',
    "an identifier that is NaN": b'{"identifier": NaN, "otp": "123456"}',
    "duplicate names": GOOD[:-1] + b', "identifier": "bob@example.com"}',
    "duplicate names of one value": GOOD[:-1] + b', "otp": "123456"}',
    "duplicate names, escaped": GOOD[:-1] + rb', "\u006ftp": "123456"}',
    "duplicate names, unknown": GOOD[:-1] + b', "x": 1, "x": 2}',
    "duplicate names, nested": GOOD[:-1] + b', "x": [{"y": 1, "y": 1}]}',
    "Latin-1": '{"identifier": "ada@exämple.com", "otp": "1"}'.encode("latin-1"),
    "an overlong encoding": GOOD.replace(b"ada", b"\xc1\xa1da"),
    "a surrogate in UTF-8": GOOD.replace(b"ada", b"\xed\xa0\x80"),
    "UTF-16": GOOD.decode().encode("utf-16"),
    "UTF-16 without a mark": GOOD.decode().encode("utf-16-le"),
    "UTF-32": GOOD.decode().encode("utf-32"),
    "UTF-8 with a mark": b"\xef\xbb\xbf" + GOOD,
    "NUL": b"\0",
    "NUL after it": GOOD + b"\0",
}

NO_OBJECT = {
    "an array": [ADA, "123456"],
    "an array of an object": [{"identifier": ADA, "otp": "123456"}],
    "a text": ADA,
    "a text of JSON": GOOD.decode(),
    "a number": 7,
    "a boolean": True,
    "null": None,
}

NO_TEXT: dict[str, object] = {
    "null": None,
    "a number": 123456,
    "a fraction": 1.5,
    "a boolean": True,
    "an array": ["123456"],
    "an object": {"$ne": ""},
}


class TestNotJSON:
    """Bodies that are refused before anybody looks at a field."""

    @every_route
    @pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
    def test_is_refused_without_effect(self, shop: Shop, path: str, body: bytes) -> None:
        answer = shop.post(path, body)
        assert answer.status_code == 400
        assert answer.get_json() == {
            "type": "invalid_data",
            "message": "The body is not valid JSON in UTF-8.",
        }
        assert shop.has_done_nothing()

    @every_route
    @pytest.mark.parametrize("body", NO_OBJECT.values(), ids=NO_OBJECT.keys())
    def test_a_root_that_is_no_object_is_refused(self, shop: Shop, path: str, body: object) -> None:
        answer = shop.post(path, body)
        assert answer.status_code == 400
        assert answer.get_json() == {
            "type": "invalid_data",
            "message": "The body must be a JSON object.",
        }
        assert shop.has_done_nothing()

    @every_route
    @pytest.mark.parametrize(
        "body",
        [
            b"[" * 2000 + b"]" * 2000,
            b"[" * 4096,
            b'{"a":' * 800,
            b'{"identifier": ' + b"[" * 2000 + b"]" * 2000 + b"}",
        ],
    )
    def test_deep_nesting_is_no_fault_of_the_server(
        self, shop: Shop, path: str, body: bytes
    ) -> None:
        answer = shop.post(path, body)
        assert answer.status_code == 400
        assert answer.get_json()["type"] == "invalid_data"
        assert shop.has_done_nothing()


class TestFields:
    """Fields that are missing or are no text of the right length."""

    @every_route
    @pytest.mark.parametrize("name", ["identifier", "otp"])
    def test_a_missing_one_is_refused(self, shop: Shop, path: str, name: str) -> None:
        fields = {"identifier": ADA, "otp": "123456"}
        del fields[name]
        answer = shop.post(path, fields)
        if name == "otp" and path in list(ROUTES.values())[:2]:
            assert answer.status_code == 200
            return
        assert answer.get_json() == {"type": "invalid_data", "message": f"{name} must be a text."}
        assert answer.status_code == 400
        assert shop.has_done_nothing()

    @redeeming
    @pytest.mark.parametrize("name", ["identifier", "otp", "challenge"])
    @pytest.mark.parametrize("value", NO_TEXT.values(), ids=NO_TEXT.keys())
    def test_one_that_is_no_text_is_refused(
        self, shop: Shop, path: str, name: str, value: object
    ) -> None:
        answer = shop.post(path, {"identifier": ADA, "otp": "123456", name: value})
        assert answer.status_code == 400
        assert answer.get_json() == {"type": "invalid_data", "message": f"{name} must be a text."}
        assert shop.has_done_nothing()

    @pytest.mark.parametrize("path", [GENERATE, ROUTES["pre-register"]])
    @pytest.mark.parametrize("name", ["identifier", "challenge"])
    @pytest.mark.parametrize("value", NO_TEXT.values(), ids=NO_TEXT.keys())
    def test_nor_may_one_be_no_text_when_a_code_is_asked_for(
        self, shop: Shop, path: str, name: str, value: object
    ) -> None:
        answer = shop.post(path, {"identifier": ADA, name: value})
        assert answer.status_code == 400
        assert answer.get_json() == {"type": "invalid_data", "message": f"{name} must be a text."}
        assert shop.has_done_nothing()

    @redeeming
    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("identifier", "a" * 321, "identifier must be a text of at most 320 characters."),
            ("identifier", "ä" * 321, "identifier must be a text of at most 320 characters."),
            ("otp", "1" * 129, "otp must be a text of at most 128 characters."),
            ("otp", "123456" + " " * 123, "otp must be a text of at most 128 characters."),
            ("challenge", "c" * 65, "challenge must be a text of at most 64 characters."),
        ],
    )
    def test_one_that_is_too_long_is_refused(
        self, shop: Shop, path: str, name: str, value: str, message: str
    ) -> None:
        answer = shop.post(path, {"identifier": ADA, "otp": "123456", name: value})
        assert answer.status_code == 400
        assert answer.get_json() == {"type": "invalid_data", "message": message}
        assert shop.has_done_nothing_for_anyone()

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("identifier", f"{ADA}{' ' * (320 - len(ADA))}"),
            ("otp", "1" * 128),
            ("otp", "😀" * 128),
            ("challenge", "c" * 64),
            ("challenge", "😀" * 64),
        ],
    )
    def test_one_of_just_the_greatest_length_is_read(
        self, shop: Shop, name: str, value: str
    ) -> None:
        answer = shop.post(VERIFY, {"identifier": ADA, "otp": "000", name: value})
        assert answer.get_json() == {"type": "invalid_otp", "message": "Invalid OTP"}
        assert len(shop.ear.of("otp_rejected")) == 1

    @every_route
    @pytest.mark.parametrize(
        "identifier",
        [
            "",
            " ",
            "ada",
            "@example.com",
            "ada@",
            "ada@@example.com",
            "ada@example.com\0",
            "ada\0@example.com",
            "ada@example.com\n",
            "ada@example.com, bob@example.com",
            "Ada <ada@example.com>",
            "ada@\ud800.com",
            "\ud83dada@example.com",
            "аda@example.com",  # the first letter is Cyrillic
            f"a@{'b.' * 126}com",
        ],
        ids=ascii,
    )
    def test_an_identifier_that_is_no_address_is_refused(
        self, shop: Shop, path: str, identifier: str
    ) -> None:
        answer = shop.post(path, {"identifier": identifier, "otp": "123456"})
        assert answer.status_code == 400
        assert answer.get_json() == {
            "type": "invalid_data",
            "message": "The identifier is not valid.",
        }
        assert shop.has_done_nothing_for_anyone()

    @every_route
    def test_a_challenge_with_a_lone_surrogate_is_refused(self, shop: Shop, path: str) -> None:
        answer = shop.post(path, {"identifier": ADA, "otp": "123456", "challenge": "\udcff"})
        assert answer.status_code == 400
        assert answer.get_json() == {
            "type": "invalid_data",
            "message": "challenge must be valid Unicode.",
        }
        assert shop.has_done_nothing_for_anyone()

    @redeeming
    @pytest.mark.parametrize(
        "otp", ["", " ", "\0", "123456\0", "\ud800", "12345²", "1234.6", "-‮", "½23456", "😀"],
        ids=ascii,
    )  # fmt: skip
    def test_what_can_be_no_code_costs_nothing(self, shop: Shop, path: str, otp: str) -> None:
        answer = shop.post(path, {"identifier": ADA, "otp": otp})
        assert answer.status_code == 400
        assert answer.get_json() == {"type": "invalid_otp", "message": "Invalid OTP"}
        assert shop.watched.store.calls == []
        assert shop.watched.limits.calls == ["hit"]

    @pytest.mark.parametrize("challenge", ["", "\0", "../..", "{x}", "ü" * 64, " "], ids=ascii)
    def test_any_text_may_stand_for_a_challenge_and_finds_none(
        self, shop: Shop, challenge: str
    ) -> None:
        answer = shop.post(VERIFY, {"identifier": ADA, "otp": "123456", "challenge": challenge})
        assert answer.get_json() == {"type": "invalid_otp", "message": "Invalid OTP"}
        assert shop.ear.reasons() == ["unknown"]

    def test_unknown_ones_are_ignored(self, shop: Shop) -> None:
        answer = shop.post(VERIFY, {"identifier": ADA, "otp": "000", "x": {"y": [1]}})
        assert answer.get_json() == {"type": "invalid_otp", "message": "Invalid OTP"}
        assert shop.ear.reasons() == ["wrong"]


def of_length(length: int, start: bytes = GOOD) -> bytes:
    """Return a good body of just that many bytes."""
    return start + b" " * (length - len(start))


class TestSize:
    """At most 4096 bytes, however they are sent."""

    def chunked(self, client: FlaskClient, body: bytes, **environ: Any) -> TestResponse:
        """Post as a server does that hands on a chunked body: it ends, its length is unknown."""
        return client.post(
            VERIFY,
            input_stream=io.BytesIO(body),
            content_type=JSON,
            headers={"Transfer-Encoding": "chunked"},
            environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": "", **environ},
        )

    def test_4096_bytes_are_read(self, shop: Shop) -> None:
        assert shop.post(VERIFY, of_length(4096)).get_json()["type"] == "invalid_otp"
        assert self.chunked(shop.client, of_length(4096)).get_json()["type"] == "invalid_otp"

    @every_route
    def test_4097_bytes_are_refused(self, shop: Shop, path: str) -> None:
        answer = shop.post(path, of_length(4097))
        assert answer.status_code == 413
        assert answer.get_json()["type"] == "payload_too_large"
        assert shop.has_done_nothing()

    @pytest.mark.parametrize("length", [4097, 5000, 200_000])
    def test_a_chunked_body_is_counted_not_cut_off(self, shop: Shop, length: int) -> None:
        answer = self.chunked(shop.client, of_length(length))
        assert answer.status_code == 413
        assert answer.get_json()["type"] == "payload_too_large"
        assert shop.has_done_nothing()

    def test_a_small_chunked_body_is_read(self, shop: Shop) -> None:
        assert self.chunked(shop.client, GOOD).get_json()["type"] == "invalid_otp"
        assert len(shop.ear.of("otp_rejected")) == 1

    def test_a_body_of_unknown_length_that_may_never_end_is_not_read(self, shop: Shop) -> None:
        answer = shop.client.post(
            VERIFY,
            input_stream=io.BytesIO(GOOD),
            content_type=JSON,
            environ_overrides={"CONTENT_LENGTH": ""},
        )
        assert answer.status_code == 400
        assert shop.has_done_nothing()

    def test_a_body_shorter_than_its_length_is_refused(self, shop: Shop) -> None:
        answer = shop.client.post(
            VERIFY,
            input_stream=io.BytesIO(GOOD),
            content_type=JSON,
            environ_overrides={"CONTENT_LENGTH": str(len(GOOD) + 1)},
        )
        assert answer.status_code == 400
        assert answer.get_json() == {
            "type": "invalid_data",
            "message": "The body is incomplete.",
        }
        assert shop.has_done_nothing()

    @pytest.mark.parametrize("how", ["post", "chunked"])
    def test_the_apps_own_smaller_limit_holds(self, shop: Shop, how: str) -> None:
        shop.watched.app.config["MAX_CONTENT_LENGTH"] = 100
        send = {"post": lambda body: shop.post(VERIFY, body),
                "chunked": lambda body: self.chunked(shop.client, body)}[how]  # fmt: skip
        assert send(of_length(100)).get_json()["type"] == "invalid_otp"
        shop.watched.forget()
        shop.ear.heard.clear()
        answer = send(of_length(101))
        assert answer.status_code == 413
        assert answer.get_json()["type"] == "payload_too_large"
        assert shop.has_done_nothing()

    @pytest.mark.parametrize("how", ["post", "chunked"])
    def test_the_apps_own_greater_limit_does_not(self, shop: Shop, how: str) -> None:
        shop.watched.app.config["MAX_CONTENT_LENGTH"] = 1_000_000
        send = {"post": lambda body: shop.post(VERIFY, body),
                "chunked": lambda body: self.chunked(shop.client, body)}[how]  # fmt: skip
        assert send(of_length(4097)).status_code == 413
        assert shop.has_done_nothing()


READERS: dict[str, Callable[[], object]] = {
    "get_data": lambda: request.get_data(),
    "get_json": lambda: request.get_json(silent=True),
    "data": lambda: request.data,
    "form": lambda: request.form,
    "values": lambda: request.values,
}


class TestBodiesThatTheAppHasReadBefore:
    """An app's ``before_request`` may have looked at the body."""

    @pytest.fixture
    def early(self, shop: Shop, request: pytest.FixtureRequest) -> Shop:
        """A shop that reads each body before the views do."""

        @shop.watched.app.before_request
        def read() -> None:
            READERS[request.param]()

        return shop

    @pytest.mark.parametrize("early", READERS, indirect=True)
    def test_are_still_read(self, early: Shop) -> None:
        assert early.post(VERIFY, of_length(4096)).get_json()["type"] == "invalid_otp"
        assert len(early.ear.of("otp_rejected")) == 1

    @pytest.mark.parametrize("early", READERS, indirect=True)
    def test_are_still_measured(self, early: Shop) -> None:
        answer = early.post(VERIFY, of_length(4097))
        assert answer.status_code == 413
        assert early.has_done_nothing()

    def test_are_empty_if_it_kept_them_to_itself(self, shop: Shop) -> None:
        @shop.watched.app.before_request
        def swallow() -> None:
            request.stream.read()

        assert shop.post(VERIFY, GOOD).status_code == 400
        assert shop.has_done_nothing()


class TestContentType:
    """``application/json`` and nothing else."""

    @pytest.mark.parametrize(
        "content_type",
        [
            "application/json",
            "application/json; charset=utf-8",
            'application/json;charset="UTF-8"',
            "Application/JSON",
            "application/json; profile=x",
        ],
    )
    def test_json_is_read(self, shop: Shop, content_type: str) -> None:
        answer = shop.post(VERIFY, GOOD, content_type)
        assert answer.get_json()["type"] == "invalid_otp"
        assert len(shop.ear.of("otp_rejected")) == 1

    @every_route
    @pytest.mark.parametrize(
        "content_type",
        [
            None,
            "",
            "text/plain",
            "text/json",
            "application/vnd.api+json",
            "application/problem+json",
            "application/jsonp",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "json",
            "*/*",
        ],
    )
    def test_anything_else_is_refused(
        self, shop: Shop, path: str, content_type: str | None
    ) -> None:
        answer = shop.post(path, GOOD, content_type)
        assert answer.status_code == 415
        assert answer.get_json()["type"] == "unsupported_media_type"
        assert shop.has_done_nothing()

    def test_a_charset_does_not_change_the_encoding(self, shop: Shop) -> None:
        body = GOOD.decode().encode("utf-16")
        answer = shop.post(VERIFY, body, "application/json; charset=utf-16")
        assert answer.status_code == 400
        assert shop.has_done_nothing()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
fuzz = settings(
    max_examples=150,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def open_app(make_app: Callable[..., Flask]) -> Flask:
    """A shop whose addresses have no limit to speak of."""
    return make_app(OTP_AUTH_IP_VERIFY_LIMITS="100000/hour")


class TestWhatNobodyThoughtOf:
    """Any body at all is answered by a refusal of the client, never by a fault of the server."""

    @fuzz
    @given(body=st.binary(max_size=200))
    def test_bytes(self, open_app: Flask, body: bytes) -> None:
        answer = open_app.test_client().post(VERIFY, data=body, content_type=JSON)
        assert answer.status_code == 400
        assert answer.get_json()["type"] == "invalid_data"

    @fuzz
    @given(
        fields=st.fixed_dictionaries(
            {"identifier": st.just(ADA) | values, "otp": st.text() | values},
            optional={"challenge": st.text(max_size=70) | values},
        )
    )
    def test_fields(self, open_app: Flask, fields: dict[str, Any]) -> None:
        body = json.dumps(fields).encode()
        answer = open_app.test_client().post(VERIFY, data=body, content_type=JSON)
        assert answer.status_code == 400
        assert answer.get_json()["type"] in {"invalid_data", "invalid_otp"}

    @fuzz
    @given(local=st.text(max_size=70), domain=st.text(max_size=70))
    def test_addresses(self, open_app: Flask, local: str, domain: str) -> None:
        answer = Api(open_app.test_client()).verify("123456", f"{local}@{domain}")
        assert answer.status_code == 400
        assert answer.get_json()["type"] in {"invalid_data", "invalid_otp"}
