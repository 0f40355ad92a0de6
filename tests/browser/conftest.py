"""A shop on a real server, for what a person sees in a real browser (tests/chromium.py)."""

import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from fakes import SECRET
from flask import Flask
from shop import Shop
from time_machine import Traveller
from werkzeug.serving import make_server


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


@pytest.fixture
def ticking() -> Iterator[Traveller]:
    """A clock that goes on, and that a test can move. It begins now, as the browser's own does."""
    with time_machine.travel(datetime.now(UTC), tick=True) as clock:
        yield clock
