"""Challenges: a code is issued, guessed at and redeemed, each by taking a right.

Issuing puts one key for the challenge and one for each guess. A guess takes its key before
anything is compared; a right guess must take the challenge, too. So whatever the store
forgets can only refuse: it never adds a guess or a second use.
"""

import secrets
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime

from . import codes
from .errors import InvalidData, Unavailable
from .keys import Keys, Names, Seal, is_past
from .opaque import Opaque
from .verbs import Store

LOGIN = "login"
REGISTRATION = "registration"
GRACE = "grace"

#: Characters that a caller's challenge may have at most.
MAX_ID_LENGTH = 64

#: Guesses at a code in its grace.
GRACE_ATTEMPTS = 3

#: What a decoy is bound to in place of a code: no code has spaces, however it is spelt.
_NO_CODE = "no code"

#: Seconds that a challenge is remembered after its end, to tell "expired" from "unknown".
AFTERLIFE = 60


class Subject(Opaque):
    """What a code is for; a code of one subject never works for another."""

    actor_type: str
    purpose: str
    identifier: str

    @property
    def owner(self) -> tuple[str, str]:
        """Whose code it is: all keys of one owner share a hashed name."""
        return self.actor_type, self.identifier


class Challenge(Opaque):
    """One issued code, waiting for its answer.

    :ivar key: what a right guess takes.
    :ivar attempts: the number of tickets; a long code has none and needs none.
    """

    subject: Subject
    key: str
    id: str
    digest: str
    length: int
    attempts: int
    deadline: float

    @property
    def long(self) -> bool:
        """Whether this is a code of 65 bits, which needs no tickets."""
        return self.attempts == 0

    @property
    def expires_at(self) -> datetime:
        """The deadline as an aware time in UTC."""
        return datetime.fromtimestamp(self.deadline, UTC)

    @property
    def tickets(self) -> list[str]:
        """The keys of which each guess takes one."""
        return [f"{self.key}:{number}" for number in range(self.attempts)]


def check_id(challenge_id: object, *, required: bool = False) -> None:
    """Refuse what can't be a challenge id.

    :raises InvalidData: if it is not a text, too long or not encodable, or missing.
    """
    if challenge_id is None and not required:
        return
    if not isinstance(challenge_id, str) or len(challenge_id) > MAX_ID_LENGTH:
        raise InvalidData(f"challenge must be a text of at most {MAX_ID_LENGTH} characters.")
    if any("\ud800" <= character <= "\udfff" for character in challenge_id):
        raise InvalidData("challenge must be valid Unicode.")


def _newest_key(tag: str, purpose: str) -> str:
    # The braces keep all keys of one owner in one slot of a Redis Cluster.
    return f"otp_auth:{{{tag}}}:{purpose}"


def _key(newest: str, challenge_id: str) -> str:
    # The id may come from a caller, so a hash of it stands in the key.
    return f"{newest}:{codes.short_hash(challenge_id)}"


class Challenges:
    """The rules on the four verbs of the store."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._digest_keys = keys.digests
        self._names = Names(keys.names)
        self._seals = {
            LOGIN: Seal(keys.seals, "challenge"),
            REGISTRATION: Seal(keys.seals, "challenge"),
            GRACE: Seal(keys.seals, "grace"),
        }

    def turn(self) -> AbstractContextManager[object]:
        """Hold together what is done in a ``with`` block; see :meth:`Store.turn`.

        Others may wait meanwhile, so nothing of the app's own is called in it.
        """
        return self._store.turn()

    def new_id(self) -> str:
        """Return a fresh challenge id: 128 random bits in hex."""
        return secrets.token_hex(16)

    def open_window(self, subject: Subject, seconds: int) -> bool:
        """Open the resend window; true for exactly one caller while it is open."""
        return seconds == 0 or self._store.mark(self._window_key(subject), seconds)

    def close_window(self, subject: Subject) -> None:
        """Close a window that was opened for nothing, if the store can be reached."""
        # It mostly can't, as this follows an outage: then the window ends by itself.
        with suppress(Unavailable):
            self._store.take(self._window_key(subject))

    def _window_key(self, subject: Subject) -> str:
        return f"{self._newest_key(subject)}:window"

    def _newest_key(self, subject: Subject) -> str:
        return _newest_key(self._names.tag(*subject.owner), subject.purpose)

    def issue(
        self,
        subject: Subject,
        code: str | None,
        *,
        length: int,
        attempts: int,
        ttl: int,
        challenge_id: str | None = None,
    ) -> Challenge:
        """Put a challenge, its tickets, and itself again as the subject's newest.

        :param code: the code, or ``None`` for a decoy, which no code can answer.
        :param attempts: guesses that it allows; 0 for a long code.
        :param ttl: seconds until it expires.
        :param challenge_id: a text that was never used for this subject, if not a fresh one.
        :raises Unavailable: if the store can't be reached.
        """
        challenge_id = challenge_id or self.new_id()
        digest = self._digest(self._digest_keys[-1], subject, challenge_id, code or _NO_CODE)
        newest = self._newest_key(subject)
        challenge = Challenge(
            subject,
            _key(newest, challenge_id),
            challenge_id,
            digest,
            length,
            attempts,
            time.time() + ttl,
        )
        sealed = self._close(challenge)
        tickets = dict.fromkeys(challenge.tickets, "1")
        self._store.put({challenge.key: sealed, newest: sealed, **tickets}, ttl + AFTERLIFE)
        return challenge

    def _close(self, challenge: Challenge) -> str:
        return self._seals[challenge.subject.purpose].close(
            challenge.deadline,
            challenge.id,
            challenge.digest,
            challenge.length,
            challenge.attempts,
        )

    @staticmethod
    def _digest(key: bytes, subject: Subject, challenge_id: str, code: str) -> str:
        return codes.digest(key, (*subject.owner, subject.purpose, challenge_id), code)

    def find(self, challenge_id: str | None, *subjects: Subject) -> list[Challenge | None]:
        """Return each subject's challenge of that id, or its newest if no id is given."""
        places = [
            (number, _newest_key(tag, subject.purpose))
            for number, subject in enumerate(subjects)
            for tag in self._names.tags(*subject.owner)
        ]
        values = self._store.peek(
            *[
                newest if challenge_id is None else _key(newest, challenge_id)
                for _, newest in places
            ]
        )
        found: list[Challenge | None] = [None] * len(subjects)
        for (number, newest), value in zip(places, values, strict=True):
            challenge = self._open(subjects[number], newest, value)
            if challenge and challenge_id in (None, challenge.id):
                found[number] = found[number] or challenge
        return found

    def _open(self, subject: Subject, newest: str, value: str | None) -> Challenge | None:
        opened = self._seals[subject.purpose].open(value)
        if opened is None:
            return None
        deadline, (challenge_id, digest, length, attempts) = opened
        key = _key(newest, challenge_id)
        return Challenge(subject, key, challenge_id, digest, length, attempts, deadline)

    def guess(self, challenge: Challenge, code: str, budget: Callable[[], bool]) -> str | None:
        """Try a code. The challenge stays; who was right must still redeem it.

        :param budget: takes one guess from the identifier's budget; called for short codes.
        :returns: ``None`` if the code is right, else the reason of the refusal.
        :raises Unavailable: if the store or the limiter can't be reached.
        """
        if is_past(challenge.deadline):
            return "expired"
        if not codes.fits(code, challenge.length, challenge.long):
            return "wrong"
        if not challenge.long:
            if not any(self._store.take(ticket) for ticket in challenge.tickets):
                return "exhausted"
            if not budget():
                return "budget"
        digests = [
            self._digest(key, challenge.subject, challenge.id, code) for key in self._digest_keys
        ]
        return None if codes.matches(digests, challenge.digest) else "wrong"

    def redeem(self, challenge: Challenge) -> bool:
        """Use the challenge up; true for exactly one caller."""
        return self._store.take(challenge.key)


class Rights:
    """Rights that belong to tokens: one refresh of a registration."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._names = Names(keys.names)

    def put(self, ttl: int, *parts: str) -> None:
        """Put the right that these parts name, for ``ttl`` seconds."""
        self._store.put({_right_key(self._names.tag(*parts)): "1"}, ttl)

    def take(self, *parts: str) -> bool:
        """Take the right; true for exactly one caller."""
        return any(self._store.take(_right_key(tag)) for tag in self._names.tags(*parts))


def _right_key(tag: str) -> str:
    return f"otp_auth:{{{tag}}}:right"
