"""A real browser, for what a person sees.

Without Chromium these tests are skipped by name; in CI that is a failure.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from stores import installed

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

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


class Site(Protocol):
    """Where a browser goes.

    :ivar url: the address of its server.
    """

    url: str


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, started once for each module.

    Not for the session: while Playwright runs, the thread has a running event loop, and async
    views of other modules could have none of their own.
    """
    from playwright.sync_api import sync_playwright  # here: few tests need it

    program = shutil.which("chromium-browser") or installed("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


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
    """Open a browser of a visitor's own at a site; at its end it must have had no complaint.

    :param options: Playwright's options of a context, such as ``java_script_enabled=False``.
    """
    watches = []
    contexts = []

    def new(site: Site, **options: Any) -> Page:
        context = chromium.new_context(base_url=site.url, **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        watches.append(Watch(context, site.url))
        return context.new_page()

    yield new
    for context in contexts:
        context.close()
    assert [complaint for watch in watches for complaint in watch.complaints] == []
