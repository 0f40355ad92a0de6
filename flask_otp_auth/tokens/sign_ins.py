"""Sign-ins: one person on one device, from the code until sign-out.

An actor has a number of slots, and each sign-in stands in one of them. A slot is marked when the
sign-in begins, taken when it ends, and written at no other time. So a storage that forgets ends
sign-ins, and nothing brings one back.
"""

import math
import re
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ..core.context import Context
from ..core.crypto import KeyHasher, Keys, Sealer, is_expired, store_key
from ..errors import Unavailable
from ..storage.base import Store

#: The most slots that any setting allows, and the most seconds that a sign-in lasts.
MAX_SLOTS, MAX_TTL = 100, 400 * 86_400

#: How often a sign-in looks for a slot. Each time that it finds none, another sign-in found one.
ATTEMPTS = 100

#: What is known of a device: its browser and its platform, in words.
Device = tuple[str | None, str | None]

_ID = re.compile(r"(0|[1-9][0-9]?)\.[0-9a-f]{32}")


@dataclass(frozen=True)
class SignIn:
    """A live sign-in, as its actor may see it.

    :ivar id: names it in :meth:`~flask_otp_auth.OTPAuth.end_sign_in`.
    :ivar browser: in words, such as ``"Firefox"``; ``None`` if unknown.
    :ivar platform: in words, such as ``"Linux"``; ``None`` if unknown.
    :ivar since: when the actor proved its identity, an aware time in UTC.
    :ivar current: whether it is the one of the current request.
    """

    id: str
    browser: str | None
    platform: str | None
    since: datetime
    current: bool = False


@dataclass(frozen=True, repr=False)
class Owner:
    """Whose sign-ins these are, and how many and how long these may be.

    :ivar most: sign-ins at once.
    :ivar ttl: seconds that one lasts.
    """

    actor_type: str
    actor_id: str
    most: int
    ttl: int


@dataclass(frozen=True, repr=False, eq=False)
class Held:
    """A live sign-in, as it stands in the store.

    :ivar owner: whose it is.
    :ivar text: what stands under ``key``; taken only if it still does.
    :ivar turn: counts up with each sign-in of the actor, as clocks differ and seconds are long.
    """

    owner: Owner
    key: str
    text: str
    sid: str
    turn: int
    auth_time: int
    device: Device

    def shown(self, current: str | None) -> SignIn:
        """Return what its actor may see."""
        since = datetime.fromtimestamp(self.auth_time, UTC)
        return SignIn(self.sid, *self.device, since, self.sid == current)


@dataclass(frozen=True, repr=False, eq=False)
class Slot:
    """A slot as it was found under one of the keys, with something in it.

    :ivar text: whatever stands there.
    :ivar held: the live sign-in that this is; ``None`` if it is expired or garbage.
    """

    number: int
    key: str
    text: str
    held: Held | None


@dataclass(frozen=True, repr=False, eq=False)
class Proposal:
    """A sign-in that is ready to begin.

    :ivar sid: its id: the slot's number and 128 random bits.
    :ivar key: the slot's key.
    :ivar in_the_way: what must be taken first, if anything: the oldest sign-in, or garbage.
    :ivar new_device: whether no live sign-in is of this device; ``None`` outside of a request.
    """

    owner: Owner
    context: Context | None
    auth_time: int
    sid: str
    turn: int
    key: str
    in_the_way: tuple[str, str] | None
    new_device: bool | None


class SignIns:
    """The sign-ins of one app.

    :param store: where they are kept.
    """

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._hasher = KeyHasher(keys.slots)
        self._sealer = Sealer(keys.seals, "sign-in")

    def find(self, owner: Owner, sid: str) -> Held | None:
        """Return a sign-in, if it is live. One round trip.

        :raises Unavailable: if the store can't be reached.
        """
        number = _number(sid)
        if number is None or number >= owner.most:
            return None
        slots = self._look(owner, [number])
        return next((held for held in _live(slots) if held.sid == sid), None)

    def all(self, owner: Owner, current: str | None = None) -> list[SignIn]:
        """Return the live sign-ins, the newest first.

        :param current: the id of the current request's sign-in.
        :raises Unavailable: if the store can't be reached.
        """
        live = sorted(self._live(owner), key=lambda held: held.turn, reverse=True)
        return [held.shown(current) for held in live]

    def propose(self, owner: Owner, auth_time: int, context: Context | None) -> Proposal:
        """Choose a slot for a new sign-in. One round trip; nothing is written.

        :raises Unavailable: if the store can't be reached.
        """
        slots = self._look(owner, range(owner.most))
        live = _live(slots)
        number, in_the_way = _choose(slots, owner.most)
        return Proposal(
            owner,
            context,
            auth_time,
            sid=f"{number}.{secrets.token_hex(16)}",
            turn=1 + max((held.turn for held in live), default=0),
            key=_key(self._hasher.digest(*_names(owner)), number),
            in_the_way=in_the_way,
            new_device=_is_new(live, context),
        )

    def begin(self, proposal: Proposal) -> Proposal:
        """Begin a sign-in. If its slot is lost to another one, it begins in the next.

        :returns: the proposal that came true; the given one, unless its slot was lost.
        :raises Unavailable: if the store can't be reached.
        """
        for _ in range(ATTEMPTS):
            if self._clear(proposal) and self._mark(proposal):
                return proposal
            again = self.propose(proposal.owner, proposal.auth_time, proposal.context)
            proposal = replace(again, new_device=proposal.new_device)
        raise Unavailable

    def end(self, held: Held) -> bool:
        """End a sign-in; true for exactly one caller.

        :raises Unavailable: if the store can't be reached.
        """
        return self._take(held.key, held.text)

    def end_all(self, owner: Owner, *, but: str | None = None) -> int:
        """End every sign-in of an actor, in slots beyond ``owner.most``, too.

        :param but: the id of one to keep.
        :returns: how many ended.
        :raises Unavailable: if the store can't be reached.
        """
        places = self._places(owner, range(MAX_SLOTS))
        keys = [key for _, key in places]
        if but is not None:
            kept = self.find(owner, but)
            keys = [key for key in keys if kept is None or key != kept.key]
        return sum(self._store.take(*keys))

    def is_new_device(self, held: Held, context: Context | None) -> bool | None:
        """Tell whether no live sign-in is of the current device; ``None`` outside of a request.

        :param held: the sign-in of the request, which mostly answers that.
        :raises Unavailable: if the store can't be reached.
        """
        is_new = _is_new([held], context)
        return _is_new(self._live(held.owner), context) if is_new else is_new

    def _live(self, owner: Owner) -> list[Held]:
        return _live(self._look(owner, range(owner.most)))

    def _look(self, owner: Owner, numbers: Iterable[int]) -> list[Slot]:
        # Under every key, so that a change of SECRET_KEY ends no sign-in.
        places = self._places(owner, numbers)
        texts = self._store.peek(*[key for _, key in places])
        return [
            Slot(number, key, text, self._read(owner, key, text))
            for (number, key), text in zip(places, texts, strict=True)
            if text is not None
        ]

    def _places(self, owner: Owner, numbers: Iterable[int]) -> list[tuple[int, str]]:
        tags = self._hasher.digests(*_names(owner))
        return [(number, _key(tag, number)) for number in numbers for tag in tags]

    def _read(self, owner: Owner, key: str, text: str) -> Held | None:
        found = self._sealer.loads(text)
        # The key is sealed in, so that a value copied to another slot is garbage there.
        if found is None or found[0] != key:
            return None
        _, sid, turn, auth_time, browser, platform = found
        if is_expired(auth_time + owner.ttl):  # which may have become shorter since
            return None
        return Held(owner, key, text, sid, turn, auth_time, (browser, platform))

    def _clear(self, proposal: Proposal) -> bool:
        return proposal.in_the_way is None or self._take(*proposal.in_the_way)

    def _mark(self, proposal: Proposal) -> bool:
        deadline = proposal.auth_time + proposal.owner.ttl
        told = (proposal.sid, proposal.turn, proposal.auth_time, *_device_of(proposal.context))
        sealed = self._sealer.dumps(deadline, proposal.key, *told)
        ttl = max(1, math.ceil(deadline - time.time()))
        return self._store.mark(proposal.key, ttl, sealed)

    def _take(self, key: str, text: str) -> bool:
        (taken,) = self._store.take(key, value=text)
        return taken


def _choose(slots: Sequence[Slot], most: int) -> tuple[int, tuple[str, str] | None]:
    """Return the number of a slot to mark, and what must be taken before.

    At random, so that sign-ins at the same moment seldom choose the same one.

    :param slots: those that have something in them.
    :param most: how many slots there are.
    """
    written = {slot.number: (slot.key, slot.text) for slot in slots}
    occupied = {slot.number for slot in slots if slot.held is not None}
    if empty := set(range(most)) - written.keys():
        return secrets.choice(sorted(empty)), None
    if stale := written.keys() - occupied:
        number = secrets.choice(sorted(stale))
        return number, written[number]
    oldest = min(_live(slots), key=lambda held: held.turn)
    return int(oldest.sid.partition(".")[0]), (oldest.key, oldest.text)


def _live(slots: Iterable[Slot]) -> list[Held]:
    return [slot.held for slot in slots if slot.held is not None]


def _is_new(live: Iterable[Held], context: Context | None) -> bool | None:
    if context is None:
        return None
    return all(held.device != _device_of(context) for held in live)


def _device_of(context: Context | None) -> Device:
    return (None, None) if context is None else (context.browser, context.platform)


def _names(owner: Owner) -> tuple[str, ...]:
    return "sign-ins", owner.actor_type, owner.actor_id


def _key(tag: str, number: int) -> str:
    return store_key(tag, f"{number:02x}")


def _number(sid: str) -> int | None:
    return int(sid.partition(".")[0]) if _ID.fullmatch(sid) else None
