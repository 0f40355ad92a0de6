"""The codes that an app has sent, for the benchmark's driver and nobody else."""

from collections.abc import Callable
from typing import Any

from flask import Flask


class Codebook:
    """Records codes by identifier; ``GET /bench/codes`` takes them all.

    :param before: called before codes are taken.
    """

    def __init__(self, app: Flask, before: Callable[[], Any] = dict) -> None:
        self._codes: dict[str, str] = {}
        self._before = before
        app.add_url_rule("/bench/codes", "bench_codes", self.take)

    def record(self, identifier: str, otp: str) -> None:
        self._codes[identifier] = otp

    def take(self) -> dict[str, str]:
        self._before()
        codes, self._codes = self._codes, {}
        return codes
