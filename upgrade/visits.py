"""Visits that begin at one version and end at the other."""

import http.client
import itertools
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, TypeVar

from launch import ROOT, Server
from stores import PATIENCE, free_port

T = TypeVar("T")

#: Clients at work at the same time.
CLIENTS = 8

#: Each visit has a number, and comes from an address of its own: limits are those by default.
numbers = itertools.count()


@dataclass(frozen=True)
class Answer:
    """A server's answer."""

    status: int
    body: Mapping[str, Any]
    cookie: str


class Version:
    """A version that is being served."""

    def __init__(self, python: Path, package: Path, folder: Path, storage: str) -> None:
        port = free_port()
        place = ("--chdir", str(ROOT / "upgrade"), "--bind", f"127.0.0.1:{port}")
        threads = ("-k", "gthread", "--workers", "2", "--threads", "4")
        command = [str(python), "-m", "gunicorn", *place, *threads, "upgrade_shop:app"]
        log = folder / f"server-{port}"
        log.mkdir()
        variables = {"PYTHONPATH": str(package), "FOLDER": str(folder), "STORAGE": storage}
        self.server = Server(command, log, port, **variables)

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        number: int = 0,
        token: str = "",
        cookie: str = "",
    ) -> Answer:
        """Send one request on a connection of its own, from the address of a visit."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"Cookie": cookie} if cookie else {}
        headers |= {"Content-Type": "application/json"} if body is not None else {}
        address = f"127.1.{number // 250}.{number % 250 + 1}"
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.server.port, timeout=PATIENCE, source_address=(address, 0)
        )
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            cookies = SimpleCookie(answer.headers.get("Set-Cookie", ""))
            kept = "; ".join(f"{name}={cookies[name].value}" for name in cookies)
            return Answer(answer.status, json.loads(answer.read()), kept)
        finally:
            connection.close()


@dataclass
class Visit:
    """One person who begins at one version and goes on at the other.

    :ivar first: the version at which it begins.
    :ivar identifier: nobody else's.
    """

    first: Version
    second: Version
    identifier: str
    folder: Path
    number: int = field(default_factory=lambda: next(numbers))

    def ask(self, at: Version, route: str = "generate") -> str:
        """Ask for a code, and return the challenge."""
        answer = self.post(at, f"otp/{route}", identifier=self.identifier)
        assert answer.status == 200, answer
        challenge: str = answer.body["challenge"]
        return challenge

    def codes(self) -> list[str]:
        """Return the codes that were sent, the newest last."""
        return (self.folder / f"{self.identifier}.codes").read_text().split()

    def answer(
        self, at: Version, otp: str, challenge: str | None = None, route: str = "/verify"
    ) -> Answer:
        """Answer with a code."""
        body = {"identifier": self.identifier, "otp": otp, "challenge": challenge}
        return self.post(at, f"otp{route}", **body)

    def sign_in(self, at: Version) -> str:
        """Sign in at a version with a code of the other one; return the token."""
        challenge = self.ask(self.first if at is self.second else self.second)
        answer = self.answer(at, self.codes()[-1], challenge)
        assert answer.status == 200, answer
        token: str = answer.body["token"]
        return token

    def post(self, at: Version, path: str, token: str = "", **body: object) -> Answer:
        """Send a request to a route of the actor type's."""
        return at.call(
            "POST", f"/auth/customer/{path}", body or None, number=self.number, token=token
        )


class Versions:
    """Both versions on one storage, with many visits under way."""

    def __init__(self, old: Version, new: Version, folder: Path) -> None:
        self.old = old
        self.new = new
        self._folder = folder

    def visit(self, *, backwards: bool = False, who: str = "ada") -> Visit:
        """Return a visit by somebody whom no other test knows."""
        first, second = (self.new, self.old) if backwards else (self.old, self.new)
        visit = Visit(first, second, "", self._folder)
        visit.identifier = f"{who}{visit.number}@example.com"
        return visit

    def all(self, visitor: Callable[[Visit], T], count: int = 60, who: str = "ada") -> list[T]:
        """Make visits at the same time, half of them in each direction."""
        visits = [self.visit(backwards=bool(number % 2), who=who) for number in range(count)]
        with ThreadPoolExecutor(CLIENTS) as clients:
            return list(clients.map(visitor, visits))
