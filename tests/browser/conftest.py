"""A real browser on a real server, for what a person sees.

Without Chromium these tests are skipped by name; in CI that is a failure.
"""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from fakes import SECRET
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from shop import Shop
from werkzeug.serving import make_server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

#: Chromium looks for nothing outside of this machine, and root can start it.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, started once."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_shop() -> Iterator[Callable[..., Shop]]:
    """Open a shop with pages on a server of its own; settings are the test's."""
    servers = []

    def open_it(*, set_up: Callable[[Shop], object] = lambda shop: None, **config: Any) -> Shop:
        app = Flask("shop", root_path=os.path.dirname(__file__))
        app.config.update(
            {
                "SECRET_KEY": SECRET,
                "TESTING": True,
                "OTP_AUTH_PAGES": True,
                "OTP_AUTH_SITE_NAME": "Ada's shop",
                "OTP_AUTH_AFTER_SIGN_IN": "/account",
                **config,
            }
        )
        server = make_server("127.0.0.1", 0, app, threaded=True)
        shop = Shop(app, f"http://127.0.0.1:{server.server_port}")
        set_up(shop)
        shop.open()
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        servers.append((server, thread, shop))
        return shop

    yield open_it
    for server, thread, shop in servers:
        server.shutdown()
        thread.join()
        server.server_close()
        shop.close()


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    """The shop with its pages, in English."""
    return open_shop()


class Watch:
    """What a browser must never report: scripts' errors, CSP violations, foreign requests."""

    def __init__(self, context: BrowserContext, host: str) -> None:
        self.host = host
        self.complaints: list[str] = []
        context.on("console", lambda message: self._note(message.type, message.text))
        context.on("weberror", lambda error: self._note("error", str(error.error)))
        context.on("request", lambda request: self._request(request.url))

    def _note(self, kind: str, text: str) -> None:
        # A page's own 400 is logged by the browser as a failed resource.
        if kind in ("error", "warning") and "Failed to load resource" not in text:
            self.complaints.append(f"{kind}: {text}")

    def _request(self, url: str) -> None:
        if not url.startswith((self.host, "data:")):
            self.complaints.append(f"request: {url}")


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Open a browser of a visitor's own at a shop; at its end it must have had no complaint.

    :param options: Playwright's options of a context, such as ``java_script_enabled=False``.
    """
    watches = []
    contexts = []

    def new(shop: Shop, **options: Any) -> Page:
        context = chromium.new_context(base_url=shop.url, **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        watches.append(Watch(context, shop.url))
        return context.new_page()

    yield new
    for context in contexts:
        context.close()
    assert [complaint for watch in watches for complaint in watch.complaints] == []


@pytest.fixture
def ticking() -> Iterator[time_machine.Traveller]:
    """A clock that goes on, and that a test can move. It begins now, as the browser's own does."""
    with time_machine.travel(datetime.now(UTC), tick=True) as clock:
        yield clock
