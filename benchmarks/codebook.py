"""The codes that an app sent, handed out to the benchmark's driver and to no one else."""

from flask import Flask


class Codebook:
    """Records codes by identifier; ``GET /bench/codes`` takes them all."""

    def __init__(self, app: Flask) -> None:
        self._codes: dict[str, str] = {}
        app.extensions["bench"] = self
        app.add_url_rule("/bench/codes", "take", self.take)

    def record(self, identifier: str, otp: str) -> None:
        self._codes[identifier] = otp

    def take(self) -> dict[str, str]:
        codes, self._codes = self._codes, {}
        return codes
