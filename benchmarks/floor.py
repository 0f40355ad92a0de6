"""The floor: one-time codes with nothing but the indispensable work.

It parses, makes an HMAC, touches a dict or makes one Redis round trip, and signs a token. It has
no limits, no expiry in memory, no sealed values, no sessions, no signals: a yardstick, not an
example. ``BENCH_STORAGE`` is ``memory://`` or a ``redis://`` URI.
"""

import hmac
import os
import secrets
import time

import jwt
import redis
from flask import Flask, request
from flask.typing import ResponseReturnValue

from benchmarks.codebook import Codebook

KEY = b"a key for benchmarks, 32 bytes or more of it"


class Memory:
    """Codes in a dict."""

    def __init__(self) -> None:
        self._codes: dict[str, bool] = {}

    def put(self, key: str) -> None:
        self._codes[key] = True

    def take(self, key: str) -> bool:
        return self._codes.pop(key, False)


class Redis:
    """Codes in Redis: one round trip to put one, one to take it."""

    def __init__(self, uri: str) -> None:
        self._client = redis.Redis.from_url(uri)

    def put(self, key: str) -> None:
        self._client.set(key, "1", ex=300)

    def take(self, key: str) -> bool:
        return self._client.delete(key) == 1


app = Flask(__name__)
codebook = Codebook(app)
uri = os.environ.get("BENCH_STORAGE", "memory://")
store = Memory() if uri == "memory://" else Redis(uri)


def digest(identifier: str, otp: str) -> str:
    return hmac.digest(KEY, f"{identifier}:{otp}".encode(), "sha256").hex()


@app.post("/auth/customer/otp/generate")
def generate() -> ResponseReturnValue:
    identifier = request.get_json()["identifier"]
    otp = f"{secrets.randbelow(1_000_000):06}"
    store.put(digest(identifier, otp))
    codebook.record(identifier, otp)
    return {"message": "An OTP will be sent."}


@app.post("/auth/customer/otp/verify")
def verify() -> ResponseReturnValue:
    body = request.get_json()
    identifier = body["identifier"]
    if not store.take(digest(identifier, body["otp"])):
        return {"type": "invalid_otp", "message": "Invalid OTP"}, 400
    now = int(time.time())
    return {"token": jwt.encode({"sub": identifier, "iat": now, "exp": now + 3600}, KEY, "HS256")}
