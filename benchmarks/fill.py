"""Fill a storage with live challenges, through its own store in big batches.

    python -m benchmarks.fill redis://localhost:6379 1000000

One real code is issued, and what the package puts for it is put again and again under other
names. So these are challenges in every way that a storage can see.
"""

import secrets
import sys
from collections.abc import Mapping

from cachelib import SimpleCache
from flask import Flask

from benchmarks.customers import Customers
from flask_otp_auth import OTPAuth
from flask_otp_auth.backends import backend_for
from flask_otp_auth.store import CacheStore
from flask_otp_auth.testing import Outbox

#: Challenges in one batch.
BATCH = 5000

#: Seconds that they live: longer than any measurement.
TTL = 86_400


class Recorder(CacheStore):
    """A store in memory that keeps what was put last."""

    def __init__(self) -> None:
        super().__init__(SimpleCache(threshold=100_000))
        self.last: dict[str, str] = {}

    def put(self, items: Mapping[str, str], ttl: int) -> None:
        self.last = dict(items)
        super().put(items, ttl)


def template() -> dict[str, str]:
    """Return what a real code puts into the store."""
    app = Flask("fill")
    app.config.update(TESTING=True, SECRET_KEY=secrets.token_hex(32))
    recorder = Recorder()
    otp_auth = OTPAuth(cache=recorder)
    otp_auth.add_actor_type("customer", Customers(), identifier="email")
    otp_auth.init_app(app)
    with Outbox(app), app.app_context():
        otp_auth.generate("customer", "ada@example.com")
    return recorder.last


def fill(uri: str, count: int, ttl: int = TTL) -> None:
    """Put that many challenges."""
    store = backend_for(uri, "").open_store()
    items = template()
    tag = next(iter(items)).partition("{")[2].partition("}")[0]
    for start in range(0, count, BATCH):
        batch: dict[str, str] = {}
        for _ in range(min(BATCH, count - start)):
            name = secrets.token_hex(len(tag) // 2)
            batch.update((key.replace(tag, name), value) for key, value in items.items())
        store.put(batch, ttl)


if __name__ == "__main__":
    fill(sys.argv[1], int(sys.argv[2]))
