"""Live codes: stored by the job that sends them, compared without being used, used once.

A code is kept as a digest in the pointer to its lane's newest codes, and as the right to use it,
a key that exactly one caller can take. So a storage that forgets can only refuse.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..storage.base import Store
from . import codes
from .crypto import KeyHasher, Keys, Sealer, is_expired, store_key
from .lane_keys import pointer_keys
from .lanes import Lanes
from .links import Links
from .purposes import GRACE
from .scopes import Scope
from .settings import Settings

#: How many of a lane's codes can be used: the newest two, as one mail may overtake another.
NEWEST = 2

#: Seconds that a code is remembered after its end, to tell "expired" from "unknown".
EXPIRED_RETENTION = 60


class Rejected(Exception):
    """A code is not accepted.

    :ivar reason: why, as handlers of ``otp_rejected`` are told.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class NothingLive(Rejected):
    """A code is not accepted, and there was none that a guess could have hit."""


@dataclass(frozen=True, repr=False, eq=False)
class SentCode:
    """What is kept of a code that was sent.

    :ivar key: its right: whoever takes it has used the code. It ends in the code's id.
    :ivar digest: an HMAC over the code and all that it is bound to.
    :ivar deadline: seconds since the epoch.
    """

    scope: Scope
    key: str
    digest: str
    deadline: float

    @property
    def id(self) -> str:
        """The code's id: 128 random bits in hex."""
        return self.key.rpartition(":")[2]


@dataclass(frozen=True, repr=False, eq=False)
class Match:
    """A code that was right and has yet to be used.

    :ivar lane: the newest codes of its lane, which end with it.
    :ivar is_fixed: whether it is that of a test identity, which is not used up.
    """

    code: SentCode
    long: bool
    lane: Sequence[SentCode]
    is_fixed: bool = False

    @classmethod
    def fixed(cls, scope: Scope) -> "Match":
        """Return the code of a test identity, of which nothing is stored."""
        return cls(SentCode(scope, "", "", 0), True, (), is_fixed=True)


class LiveCodes:
    """The codes of one app."""

    def __init__(self, store: Store, keys: Keys, lanes: Lanes) -> None:
        self._store = store
        self._lanes = lanes
        self._digest_keys = keys.digests
        self._links = Links(keys)
        self._hasher = KeyHasher(keys.names)
        self._sealer = Sealer(keys.seals, "codes")
        # Unsealed where there is no pointer, or a guess at nothing would take less time.
        self._no_pointer = self._sealer.dumps(0, ("", "0" * 64, 0))

    def put(
        self, scope: Scope, code: str, *, long: bool, ttl: int, alone: bool = False
    ) -> SentCode:
        """Store a code as one of its lane's newest.

        :param ttl: seconds until it expires.
        :param alone: whether it is the lane's only one, so that no earlier one is looked up.
        :raises Unavailable: if the store can't be reached; then the code must not be sent.
        """
        deadline = time.time() + ttl
        tag, pointer = pointer_keys(self._hasher, scope, long=long)[0]
        code_id = secrets.token_hex(16)
        key = store_key(tag, code_id)
        digest = codes.digest(self._digest_keys[-1], scope, code_id, code)
        (lane,) = [[]] if alone else self._newest([(scope, long)], absent=None)
        sent = SentCode(scope, key, digest, deadline)
        kept = [sent, *lane[: NEWEST - 1]]
        last = max(each.deadline for each in kept) + EXPIRED_RETENTION
        entries = [(each.key, each.digest, each.deadline) for each in kept]
        # The pointer comes last, as some storages write one item after the other.
        items = {key: "1", pointer: self._sealer.dumps(last, *entries)}
        self._store.put(items, int(last - time.time()) + 1)
        return sent

    def pending(self, scope: Scope, *, long: bool) -> list[SentCode]:
        """Return the live codes of a lane, for whoever only looks.

        :raises Unavailable: if the store can't be reached.
        """
        (lane,) = self._newest([(scope, long)], absent=None)
        known = [each for each in lane if not is_expired(each.deadline)]
        rights = self._store.peek(*(each.key for each in known)) if known else ()
        return [each for each, right in zip(known, rights, strict=True) if right is not None]

    def match(self, scopes: Sequence[Scope], code: str, *, long: bool) -> Match:
        """Compare a code with the two newest live ones of each purpose, without using it.

        A grace counts as a code of the other purpose: a guess has two chances on the wire, where
        it is for one purpose. The work is the same whether there are any or not.

        :param scopes: what the code may be good for; those that come first go before the others.
        :raises Rejected: if it is not right; :class:`NothingLive` if none could have been.
        :raises Unavailable: if the store can't be reached.
        """
        lanes = [(scope, long) for scope in scopes]
        most = NEWEST * max(1, sum(scope.purpose != GRACE for scope in scopes))
        return self._match(lanes, most, lambda sent: self._is_right(sent, code))

    def match_link(self, scope: Scope, token: str) -> Match:
        """Find the code that a link belongs to, without using it, among those of both kinds.

        The work is the same whether there are any or not. Errors are those of :meth:`match`.

        :param token: the end of the link.
        """
        lanes = [(scope, False), (scope, True)]
        return self._match(
            lanes, 2 * NEWEST, lambda sent: self._links.belongs(token, sent.scope, sent.id)
        )

    def link_token(self, sent: SentCode) -> str:
        """Return the end of the link beside a code."""
        return self._links.token(sent.scope, sent.id)

    def _match(
        self, lanes: Sequence[tuple[Scope, bool]], most: int, is_right: Callable[[SentCode], bool]
    ) -> Match:
        """Return the first live code that is right.

        :param lanes: scopes, each with whether its long codes are meant.
        :param most: how many codes are compared, whether there are so many or not.
        """
        found = zip(lanes, self._newest(lanes, absent=self._no_pointer), strict=True)
        known = [(each, long, lane) for (_, long), lane in found for each in lane]
        live = [match for match in known if not is_expired(match[0].deadline)][:most]
        nothing = SentCode(lanes[0][0], "0" * 32, "0" * 64, 0)
        compared = [*(each for each, _, _ in live), *[nothing] * most][:most]
        hits = [is_right(each) for each in compared]
        for match, hit in zip(live, hits, strict=False):
            if hit:
                return Match(*match)
        if live:
            raise Rejected("wrong")
        raise NothingLive("expired" if known else "unknown")

    def _is_right(self, each: SentCode, code: str) -> bool:
        digests = [codes.digest(key, each.scope, each.id, code) for key in self._digest_keys]
        return codes.matches(digests, each.digest)

    def use(self, match: Match, settings: Settings) -> bool:
        """Use a code up; true for exactly one caller.

        The other codes of its lane end with it, the lane's window opens, and there is room for
        one code more.

        :raises Unavailable: if the store can't be reached.
        """
        scope = match.code.scope
        others = [each.key for each in match.lane if each is not match.code]
        # With the pointer gone, later guesses know that nothing is live.
        pointers = [key for _, key in pointer_keys(self._hasher, scope, long=match.long)]
        window = self._lanes.window(scope, long=match.long)
        won, *_ = self._store.take(match.code.key, *others, *pointers, window)
        if won and scope.purpose != GRACE:
            self._lanes.leave_credit(scope, settings)
        return won

    def _newest(
        self, lanes: Sequence[tuple[Scope, bool]], *, absent: str | None
    ) -> list[list[SentCode]]:
        """Return what is known of each lane's codes, the newest first; one look-up.

        :param lanes: scopes, each with whether its long codes are meant.
        :param absent: what is unsealed in place of a pointer that is not there.
        """
        named = [(scope, pointer_keys(self._hasher, scope, long=long)) for scope, long in lanes]
        values = iter(self._store.peek(*(key for _, each in named for _, key in each)))
        found = []
        for scope, pointers in named:
            lane = [code for _ in pointers for code in self._read(scope, next(values) or absent)]
            found.append(sorted(lane, key=lambda code: code.deadline, reverse=True)[:NEWEST])
        return found

    def _read(self, scope: Scope, value: str | None) -> list[SentCode]:
        entries = self._sealer.loads(value) or []
        return [SentCode(scope, key, digest, deadline) for key, digest, deadline in entries]
