"""Request bodies: what is read, and how anything else is refused."""

import io
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from flask import Flask, Request, request
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from flask_otp_auth.web.bodies import CodeBody, IdentifierBody, read_body

ADA = "ada@example.com"
FIELDS = {"identifier": ADA, "otp": "123456"}
GOOD = json.dumps(FIELDS).encode()
JSON = "application/json"

both = pytest.mark.parametrize("path", ["/code", "/identifier"])


@pytest.fixture(scope="module")
def app() -> Flask:
    """An app that answers with what it has read."""
    app = Flask("reader")

    @app.post("/identifier")
    def identifier() -> dict[str, Any]:
        return asdict(read_body(request, IdentifierBody))

    @app.post("/code")
    def code() -> dict[str, Any]:
        return asdict(read_body(request, CodeBody))

    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of that app."""
    return app.test_client()


def post(
    client: FlaskClient, path: str, body: object, content_type: str | None = JSON
) -> TestResponse:
    """Post bytes as they are, and anything else as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(path, data=data, content_type=content_type)


def assert_refused(answer: TestResponse, message: str) -> None:
    """Check that a body was refused for that reason."""
    assert (answer.status_code, answer.get_json()) == (
        400,
        {"type": "invalid_data", "message": message},
    )


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
    "nested too deep": b"[" * 4096,
    "objects nested too deep": b'{"a":' * 800,
}

NO_OBJECT = {
    "an array": [ADA, "123456"],
    "an array of an object": [FIELDS],
    "arrays, nested deep": b"[" * 500 + b"]" * 500,
    "a text": ADA,
    "a text of JSON": GOOD.decode(),
    "a number": 7,
    "a boolean": True,
    "null": None,
}

NO_TEXT: dict[str, object] = {
    "a number": 123456,
    "a fraction": 1.5,
    "a boolean": True,
    "an array": ["123456"],
    "an object": {"$ne": ""},
}


class TestJSON:
    @both
    @pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
    def test_anything_else_is_refused(self, client: FlaskClient, path: str, body: bytes) -> None:
        assert_refused(post(client, path, body), "The body is not valid JSON in UTF-8.")

    @both
    @pytest.mark.parametrize("body", NO_OBJECT.values(), ids=NO_OBJECT.keys())
    def test_a_root_that_is_no_object_is_refused(
        self, client: FlaskClient, path: str, body: object
    ) -> None:
        assert_refused(post(client, path, body), "The body must be a JSON object.")


class TestFields:
    def test_are_handed_on_as_they_are(self, client: FlaskClient) -> None:
        fields = {"identifier": " Ada@Example.com\n", "otp": "１２３ 456", "challenge": "c"}
        assert post(client, "/code", fields).get_json() == fields

    @pytest.mark.parametrize(
        ("path", "name"), [("/identifier", "identifier"), ("/code", "identifier"), ("/code", "otp")]
    )
    @pytest.mark.parametrize("null", [True, False])
    def test_a_missing_one_is_refused(
        self, client: FlaskClient, path: str, name: str, null: bool
    ) -> None:
        fields: dict[str, object] = {**FIELDS, name: None}
        if not null:
            del fields[name]
        assert_refused(post(client, path, fields), f"{name} must be a text.")

    @pytest.mark.parametrize("name", ["challenge", "proof"])
    @pytest.mark.parametrize("given", [{}, {"challenge": None, "proof": None}])
    def test_an_optional_one_may_be_missing_or_null(
        self, client: FlaskClient, name: str, given: dict[str, None]
    ) -> None:
        answer = post(client, "/identifier", {"identifier": ADA, **given})
        assert answer.get_json()[name] is None

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            *(("/identifier", name) for name in ("identifier", "challenge", "proof")),
            *(("/code", name) for name in ("identifier", "otp", "challenge")),
        ],
    )
    @pytest.mark.parametrize("value", NO_TEXT.values(), ids=NO_TEXT.keys())
    def test_one_that_is_no_text_is_refused(
        self, client: FlaskClient, path: str, name: str, value: object
    ) -> None:
        assert_refused(post(client, path, {**FIELDS, name: value}), f"{name} must be a text.")

    @pytest.mark.parametrize(
        ("path", "name", "most"),
        [
            ("/identifier", "identifier", 320),
            ("/identifier", "challenge", 64),
            ("/code", "identifier", 320),
            ("/code", "otp", 128),
            ("/code", "challenge", 64),
        ],
    )
    @pytest.mark.parametrize("character", ["1", " ", "ä", "😀"], ids=ascii)
    def test_lengths_are_counted_in_characters(
        self, client: FlaskClient, path: str, name: str, most: int, character: str
    ) -> None:
        just = {**FIELDS, name: most * character}
        body = json.dumps(just, ensure_ascii=False).encode()
        assert post(client, path, body).get_json()[name] == just[name]
        assert_refused(
            post(client, path, {**FIELDS, name: (most + 1) * character}),
            f"{name} must be a text of at most {most} characters.",
        )

    @pytest.mark.parametrize(
        ("path", "name"), [("/code", "challenge"), ("/identifier", "challenge"),
                           ("/identifier", "proof")],
    )  # fmt: skip
    @pytest.mark.parametrize("half", ["\ud83d", "a\ude00"], ids=ascii)
    def test_half_of_a_surrogate_pair_is_refused_where_nobody_looks_at_it_again(
        self, client: FlaskClient, path: str, name: str, half: str
    ) -> None:
        answer = post(client, path, {**FIELDS, name: half})
        assert_refused(answer, f"{name} must be valid Unicode.")

    def test_unknown_ones_are_ignored(self, client: FlaskClient) -> None:
        answer = post(client, "/code", {**FIELDS, "x": {"y": [1]}, "proof": 7})
        assert answer.get_json() == {**FIELDS, "challenge": None}

    def test_none_are_in_a_repr(self) -> None:
        assert ADA not in repr(IdentifierBody(ADA))
        assert "123456" not in repr(CodeBody(ADA, "123456"))


def of_length(length: int) -> bytes:
    """Return a good body of just that many bytes."""
    return GOOD + b" " * (length - len(GOOD))


def post_chunked(client: FlaskClient, path: str, body: bytes) -> TestResponse:
    """Post as a server does that hands on a chunked body: it ends, its length is unknown."""
    return client.post(
        path,
        input_stream=io.BytesIO(body),
        content_type=JSON,
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )


def fixing(limit: int | None) -> type[Request]:
    """Return a Request class whose limit is a property without a setter, as before Flask 3.1."""

    class OwnRequest(Request):
        max_content_length = property(lambda self: limit)  # type: ignore[assignment] # see above

    return OwnRequest


@pytest.mark.parametrize("send", [post, post_chunked])
class TestSize:
    """At most 4096 bytes, however they are sent."""

    def test_4096_bytes_are_read(
        self, client: FlaskClient, send: Callable[..., TestResponse]
    ) -> None:
        assert send(client, "/code", GOOD).status_code == 200
        assert send(client, "/code", of_length(4096)).status_code == 200

    @pytest.mark.parametrize("length", [4097, 5000, 200_000])
    def test_more_is_refused(
        self, client: FlaskClient, send: Callable[..., TestResponse], length: int
    ) -> None:
        answer = send(client, "/code", of_length(length))
        assert (answer.status_code, answer.get_json()["type"]) == (413, "payload_too_large")

    @pytest.mark.parametrize(("own", "most"), [(100, 100), (1_000_000, 4096)])
    def test_the_apps_own_limit_holds_if_it_is_smaller(
        self,
        app: Flask,
        monkeypatch: pytest.MonkeyPatch,
        send: Callable[..., TestResponse],
        own: int,
        most: int,
    ) -> None:
        monkeypatch.setitem(app.config, "MAX_CONTENT_LENGTH", own)
        client = app.test_client()
        assert send(client, "/code", of_length(most)).status_code == 200
        assert send(client, "/code", of_length(most + 1)).status_code == 413

    @pytest.mark.parametrize("own", [1_000_000, None])
    def test_one_that_a_request_class_of_its_own_has_fixed_is_no_error(
        self,
        app: Flask,
        monkeypatch: pytest.MonkeyPatch,
        send: Callable[..., TestResponse],
        own: int | None,
    ) -> None:
        monkeypatch.setattr(app, "request_class", fixing(own))
        client = app.test_client()
        assert send(client, "/code", of_length(4096)).status_code == 200
        assert send(client, "/code", of_length(4097)).status_code == 413


@pytest.mark.parametrize(
    "length", [{"CONTENT_LENGTH": "200000"}, {"wsgi.input_terminated": True}], ids=str
)
@pytest.mark.parametrize("request_class", [Request, fixing(None)])
def test_no_more_than_that_is_read(
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
    length: dict[str, object],
    request_class: type[Request],
) -> None:
    """Or anybody could fill the memory."""
    monkeypatch.setattr(app, "request_class", request_class)
    body = io.BytesIO(of_length(200_000))
    answer = app.test_client().post(
        "/code", input_stream=body, content_type=JSON, environ_overrides=length
    )
    assert answer.status_code == 413
    assert body.tell() <= 4097


class TestIncompleteBodies:
    def test_one_of_unknown_length_that_may_never_end_is_not_read(
        self, client: FlaskClient
    ) -> None:
        answer = client.post(
            "/code",
            input_stream=io.BytesIO(GOOD),
            content_type=JSON,
            environ_overrides={"CONTENT_LENGTH": ""},
        )
        assert_refused(answer, "The body is not valid JSON in UTF-8.")

    def test_one_shorter_than_its_length_is_refused(self, client: FlaskClient) -> None:
        answer = client.post(
            "/code",
            input_stream=io.BytesIO(GOOD),
            content_type=JSON,
            environ_overrides={"CONTENT_LENGTH": str(len(GOOD) + 1)},
        )
        assert_refused(answer, "The body is incomplete.")


READERS: dict[str, Callable[[], object]] = {
    "get_data": lambda: request.get_data(),
    "get_json": lambda: request.get_json(silent=True),
    "data": lambda: request.data,
    "form": lambda: request.form,
    "values": lambda: request.values,
}


class TestBodiesThatTheAppHasReadBefore:
    """An app's ``before_request`` may have looked at the body."""

    @pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
    def test_are_still_read_and_measured(self, reader: Callable[[], object]) -> None:
        app = self.app_with(reader)
        assert post(app.test_client(), "/code", of_length(4096)).status_code == 200
        assert post(app.test_client(), "/code", of_length(4097)).status_code == 413

    def test_are_empty_if_it_kept_them_to_itself(self) -> None:
        app = self.app_with(lambda: request.stream.read())
        assert post(app.test_client(), "/code", GOOD).status_code == 400

    def app_with(self, reader: Callable[[], object]) -> Flask:
        app = Flask("early")

        @app.before_request
        def early() -> None:
            reader()

        @app.post("/code")
        def code() -> dict[str, Any]:
            return asdict(read_body(request, CodeBody))

        return app


class TestMediaType:
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
    def test_json_is_read(self, client: FlaskClient, content_type: str) -> None:
        assert post(client, "/code", GOOD, content_type).status_code == 200

    @both
    @pytest.mark.parametrize(
        "content_type",
        [
            None,
            "",
            "text/plain",
            "text/json",
            "application/vnd+json",
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
        self, client: FlaskClient, path: str, content_type: str | None
    ) -> None:
        answer = post(client, path, GOOD, content_type)
        assert answer.status_code == 415
        assert answer.get_json() == {
            "type": "unsupported_media_type",
            "message": "The body must be application/json.",
        }

    def test_a_charset_does_not_change_the_encoding(self, client: FlaskClient) -> None:
        body = GOOD.decode().encode("utf-16")
        answer = post(client, "/code", body, "application/json; charset=utf-16")
        assert answer.status_code == 400


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
fuzz = settings(max_examples=150, deadline=None, database=None, derandomize=True)


class TestWhatNobodyThoughtOf:
    """Any body at all is read or refused, never a fault of the server."""

    @fuzz
    @given(
        fields=st.fixed_dictionaries(
            {"identifier": st.text() | values, "otp": st.text() | values},
            optional={"challenge": st.text(max_size=70) | values},
        )
    )
    def test_fields(self, app: Flask, fields: dict[str, Any]) -> None:
        answer = post(app.test_client(), "/code", fields)
        assert answer.status_code in (200, 400)
