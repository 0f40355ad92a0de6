"""The context: what is known of a request, in words that a message may use."""

import pickle
import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from fakes import MakeApp
from flask import Flask

from flask_otp_auth.core.context import NO_CALLER, Context
from flask_otp_auth.web.context import RequestCaller, context_of_request, current_caller

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
IPAD = "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
ANDROID = "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko)"
LINUX = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
CHROMEOS = "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko)"

USER_AGENTS = [
    ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox", "Linux"),
    ("Mozilla/5.0 (Android 14; Mobile; rv:128.0) Gecko/128.0 Firefox/128.0", "Firefox", "Android"),
    (f"{IPHONE} FxiOS/128.0 Mobile/15E148 Safari/605.1.15", "Firefox", "iOS"),
    (f"{WINDOWS} Chrome/126.0.0.0 Safari/537.36", "Chrome", "Windows"),
    (f"{ANDROID} Chrome/126.0.0.0 Mobile Safari/537.36", "Chrome", "Android"),
    (f"{IPAD} CriOS/126.0 Mobile/15E148 Safari/604.1", "Chrome", "iOS"),
    (f"{LINUX} Chromium/126.0.0.0 Safari/537.36", "Chrome", "Linux"),
    (f"{CHROMEOS} Chrome/126.0.0.0 Safari/537.36", "Chrome", "ChromeOS"),
    (f"{WINDOWS} Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0", "Edge", "Windows"),
    (f"{ANDROID} Chrome/126.0.0.0 Mobile Safari/537.36 EdgA/126.0.0.0", "Edge", "Android"),
    (f"{MAC} Chrome/126.0.0.0 Safari/537.36 OPR/111.0.0.0", "Opera", "macOS"),
    (f"{ANDROID} SamsungBrowser/25.0 Chrome/121.0 Mobile Safari/537.36", "Samsung Internet",
     "Android"),
    (f"{MAC} Version/17.5 Safari/605.1.15", "Safari", "macOS"),
    (f"{IPHONE} Version/17.5 Mobile/15E148 Safari/604.1", "Safari", "iOS"),
    ("okhttp/4.12.0", None, None),
    ("curl/8.5.0", None, None),
    ("", None, None),
    (" " * 600 + "Firefox/128.0", None, None),
]  # fmt: skip


@pytest.fixture
def app() -> Flask:
    """An app without this extension."""
    return Flask("shop")


def context(app: Flask, *, address: str = "192.0.2.7", **headers: str) -> Context:
    """Return the context of a request with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with app.test_request_context(headers=named, environ_base={"REMOTE_ADDR": address}):
        return context_of_request()


@pytest.mark.parametrize(("user_agent", "browser", "platform"), USER_AGENTS)
def test_browser_and_platform_are_told_in_words(
    app: Flask, user_agent: str, browser: str | None, platform: str | None
) -> None:
    found = context(app, User_Agent=user_agent)
    assert (found.browser, found.platform) == (browser, platform)


@pytest.mark.parametrize(
    ("accepted", "locale"),
    [
        ("de", "de"),
        ("de-CH,de;q=0.9,en;q=0.8", "de-CH"),
        ("en;q=0.5, pt-BR", "pt-BR"),
        ("*, fr;q=0.5", "fr"),
        ("en;q=0, fr;q=0.1", "fr"),
        ("<script>, it", "it"),
        ("*", None),
        ("", None),
    ],
)
def test_the_locale_is_the_best_of_what_the_browser_accepts(
    app: Flask, accepted: str, locale: str | None
) -> None:
    assert context(app, Accept_Language=accepted).locale == locale


@pytest.mark.parametrize(("chosen", "locale"), [("pt_BR", "pt_BR"), (None, None)])
def test_the_locale_is_flask_babels_where_the_app_has_it(
    app: Flask, monkeypatch: pytest.MonkeyPatch, chosen: str | None, locale: str | None
) -> None:
    babel = SimpleNamespace(get_locale=lambda: chosen)
    monkeypatch.setitem(sys.modules, "flask_babel", babel)
    app.extensions["babel"] = object()
    assert context(app, Accept_Language="de").locale == locale


def test_the_time_is_aware_and_in_utc(app: Flask) -> None:
    with time_machine.travel(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), tick=False):
        requested_at = context(app).requested_at
    assert requested_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert requested_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("192.0.2.7:50000", "192.0.2.7"),
        ("unix:", "unix:"),
    ],
)
def test_the_address_is_the_requests_without_a_port(app: Flask, told: str, address: str) -> None:
    assert context(app, address=told).address == address


def test_it_can_be_pickled(app: Flask) -> None:
    found = context(app, User_Agent=USER_AGENTS[0][0], Accept_Language="de")
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 - our own


class TestCallers:
    def test_outside_of_a_request_there_is_none(self, app: Flask) -> None:
        assert current_caller() is NO_CALLER
        with app.app_context():
            assert current_caller() is NO_CALLER
        assert (NO_CALLER.buckets, NO_CALLER.context) == ((), None)

    def test_in_a_request_it_is_the_client(self, make_app: MakeApp) -> None:
        app = make_app()
        app.add_url_rule("/basket", "basket", lambda: "")
        environ = {"REMOTE_ADDR": "[2001:db8:7:1::5]:443"}
        with app.test_request_context("/basket", environ_base=environ):
            caller = current_caller()
            assert caller.address == "2001:db8:7:1::5"
            assert caller.endpoint == "basket"
            assert caller.buckets == ("2001:db8:7:1::/64", "2001:db8:7::/48")

    def test_its_context_is_worked_out_once(self, app: Flask) -> None:
        with app.test_request_context():
            caller = RequestCaller()
            assert caller.context is caller.context

    @pytest.mark.parametrize(
        ("given", "proof"),
        [
            ({"headers": {"OTP-Proof": "header"}, "json": {"proof": "body"}}, "header"),
            ({"json": {"proof": "body"}}, "body"),
            ({"data": {"proof": "form"}}, "form"),
            ({"json": {"proof": 7}}, None),
            ({"json": ["proof"]}, None),
            ({"data": "{", "content_type": "application/json"}, None),
            ({}, None),
        ],
    )
    def test_its_proof_is_in_a_header_or_in_the_body(
        self, app: Flask, given: dict[str, Any], proof: str | None
    ) -> None:
        with app.test_request_context("/", method="POST", **given):
            assert current_caller().proof == proof
            assert current_caller("read by us").proof == "read by us"
