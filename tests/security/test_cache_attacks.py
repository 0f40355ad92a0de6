"""Cache attacks: who can read and write the cache, or makes it forget, gets in no sooner."""

import itertools
import json
import pickle
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import time_machine
from attacks import MANY_ADDRESSES, Attack, OpenStore
from conftest import ADA, BOB, SECRET, START, Api, Customers, wrong
from flask import Flask
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from itsdangerous import TimestampSigner, URLSafeTimedSerializer

from flask_otp_auth import OTPAuth, RequestError
from flask_otp_auth.testing import Outbox


def open_shop(**config: Any) -> tuple[Flask, OTPAuth, OpenStore, Customers]:
    """Return a shop whose cache lies open."""
    store, customers = OpenStore(), Customers()
    customers.add(ADA)
    otp_auth = OTPAuth(cache=store)
    otp_auth.add_actor_type("customer", customers)
    app = Flask("shop")
    app.config.update(
        TESTING=True, SECRET_KEY=SECRET, OTP_AUTH_WARN_ON_ERROR=False, **MANY_ADDRESSES, **config
    )
    otp_auth.init_app(app)
    store.items.clear()
    return app, otp_auth, store, customers


def forgeries(value: str, other: str) -> list[str]:
    """Return what an attacker without the secret key can make of a sealed value."""
    payload, stamp, signature = value.rsplit(".", 2)
    fields = json.loads(payload)
    later = json.dumps([fields[0] + 600, *fields[1:]])
    endless = json.dumps([*fields[:-1], 10**9])
    long = json.dumps([*fields[:-1], 0])
    payloads = (later, endless, long, payload + " ", payload.replace(",", " ,"))
    guessed = [TimestampSigner("secret"), TimestampSigner(""), TimestampSigner("s" * 32)]
    return [
        *(f"{forged}.{stamp}.{signature}" for forged in payloads),
        *(signer.sign(later).decode() for signer in guessed),
        str(URLSafeTimedSerializer("secret").dumps(fields)),
        later,
        payload,
        f"{payload}.{stamp}",
        f"{payload}.{stamp}.",
        f"{payload}..{signature}",
        f"{payload}.{stamp}.{other.rsplit('.', 1)[1]}",
        f"{other.rsplit('.', 2)[0]}.{stamp}.{signature}",
        value[:-1],
        value + "A",
        value.swapcase(),
        "",
        "null",
        "[]",
        "\x00",
        "é",
        "1" * 100_000,
    ]


def test_asvs_1_5_2_a_forged_challenge_opens_nothing(attack: Callable[[str], Attack]) -> None:
    """OWASP ASVS 5.0, 1.5.2 and 11.4.1: what is read from the cache was written by us."""
    app, _, store, _ = open_shop()
    api = Api(app.test_client())
    forging = attack("cache: forged challenges in place of the right one")
    with Outbox(app) as outbox:
        challenge = api.generate().get_json()["challenge"]
        before = dict(store.items)
        sealed = [key for key, value in before.items() if value != "1"]
        api.generate(BOB)
        other = next(v for k, v in store.items.items() if v != "1" and k not in before)
    for forgery in forgeries(before[sealed[0]], other):
        store.items.update(dict.fromkeys(sealed, forgery))
        for fields in ({}, {"challenge": challenge}):
            answer = api.verify(outbox.last.otp, **fields)
            forging.tried(answer.status_code != 400)
    store.items.update(before)
    assert api.verify(outbox.last.otp).status_code == 200
    assert forging.failed(tries=50)


def test_asvs_11_4_1_a_value_lets_in_at_its_own_key_only(
    attack: Callable[[str], Attack],
) -> None:
    """OWASP ASVS 5.0, 11.4.1: a seal holds whose challenge it is, for what, and which.

    The attacker copies every value onto every key, in pairs. He holds a code of his own, and
    tries it in Ada's name; and his registration code where a login code is asked for.
    """
    app, _, store, customers = open_shop()
    customers.add("eve@evil.example")
    api = Api(app.test_client())
    own = []
    with Outbox(app) as outbox:
        api.generate(ADA)
        for who in ("eve@evil.example", BOB):
            (api.generate if who != BOB else api.pre_register)(who)
            own.append(outbox.last.otp)
    swapping = attack("cache: values moved to other keys")
    before = dict(store.items)
    sealed = [key for key, value in before.items() if value.startswith("[")]
    for source, target in itertools.permutations(sealed, 2):
        store.items.clear()
        store.items.update({**before, target: before[source]})
        for otp in own:
            swapping.tried(api.verify(otp, ADA).status_code == 200)
            store.items.update(before)
    assert swapping.failed(tries=60)


def test_asvs_11_4_1_a_whole_challenge_moved_lets_in_nowhere_else(
    attack: Callable[[str], Attack],
) -> None:
    """OWASP ASVS 5.0, 11.4.1: moved with all its tickets, a code of Eve's is still Eve's.

    The attacker knows how keys are built, and Ada's hashed name from her keys.
    """
    app, _, store, customers = open_shop()
    customers.add("eve@evil.example")
    api = Api(app.test_client())
    moving = attack("cache: whole challenges with their tickets moved to somebody else's keys")
    with Outbox(app) as outbox:
        for ask, who in ((api.generate, "eve@evil.example"), (api.pre_register, BOB)):
            store.items.clear()
            api.generate(ADA)
            tag = next(iter(store.items)).split("{")[1].split("}")[0]
            store.items.clear()
            ask(who)
            for key, value in list(store.items.items()):
                name = f"{key.split('{')[0]}{{{tag}}}{key.split('}')[1]}"
                for purpose in ("login", "registration", "grace"):
                    moved = name.replace(":registration", ":login").replace(":login", f":{purpose}")
                    store.items[moved] = value
            for verb in (api.verify, api.authenticate):
                moving.tried(verb(outbox.last.otp, ADA).status_code != 400)
    assert moving.failed(tries=4)


def test_asvs_6_5_1_an_older_value_brings_no_code_back(attack: Callable[[str], Attack]) -> None:
    """OWASP ASVS 5.0, 6.5.1: what was overwritten may come back; what was taken is gone."""
    app, _, store, _ = open_shop(OTP_AUTH_RESEND_INTERVAL=0, OTP_AUTH_VERIFY_LIMITS="90/day")
    api = Api(app.test_client())
    replaying = attack("cache: older values of keys that are still there")
    used: list[str] = []
    history: dict[str, set[str]] = {}
    with Outbox(app) as outbox:
        for _ in range(5):
            api.generate()
            for key, value in store.items.items():
                history.setdefault(key, set()).add(value)
            used.append(outbox.last.otp)
            assert api.verify(used[-1]).status_code == 200
    for key, values in history.items():
        if key not in store.items:
            continue  # to restore a deleted key is another matter; see below
        for value, otp in itertools.product(values, used):
            store.items[key] = value
            replaying.tried(api.verify(otp).status_code == 200)
    assert replaying.failed(tries=25)


class Bomb:
    """Goes off when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a value was unpickled",)


@pytest.mark.parametrize(
    "plant",
    [
        pickle.dumps(Bomb()),
        b"!" + pickle.dumps(Bomb()),
        pickle.dumps("1"),
        b"\x80",
        b"",
        b"[" * 100_000,
        b"[1]",
        7,
        1.5,
        None,
        "\ud7ff",
        "[]",
    ],
    ids=lambda plant: repr(plant)[:20],
)
def test_asvs_1_5_2_a_planted_value_is_never_loaded(
    make_app: Callable[..., Flask], tmp_path: Path, attack: Callable[[str], Attack], plant: object
) -> None:
    """OWASP ASVS 5.0, 1.5.2: no object comes out of the cache; garbage counts as absent."""
    path = tmp_path / "codes.sqlite3"
    app = make_app(OTP_AUTH_STORAGE_URI=f"sqlite:///{path}", **MANY_ADDRESSES)
    api = Api(app.test_client())
    planting = attack("cache: pickles and garbage planted in SQLite")
    with Outbox(app) as outbox:
        challenge = api.generate().get_json()["challenge"]
        token = api.verify(outbox.last.otp).get_json()["token"]
        api.pre_register()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE otp_cache SET value = ?", (plant,))
        rows = connection.execute("SELECT key FROM otp_cache").fetchall()
        # Where a challenge was taken, and where a revocation would be, there is one again.
        for (key,) in rows:
            connection.execute("INSERT OR REPLACE INTO otp_cache VALUES (?, ?, 9e9)", (key, plant))
    connection.close()
    for answer in (
        api.verify(outbox.last.otp, ADA),
        api.verify(outbox.last.otp, ADA, challenge=challenge),
        api.register(outbox.last.otp, BOB),
        api.authenticate(outbox.last.otp, BOB),
    ):
        planting.tried(answer.status_code != 400)
    planting.tried(api.refresh(token).status_code not in (200, 401))
    assert planting.failed(tries=5)


class ForgetfulCache(RuleBasedStateMachine):
    """Whatever a cache forgets, at any time: never more guesses at a code, never a second use.

    NIST SP 800-63B-4, 3.2.2 and 3.1.3; OWASP ASVS 5.0, 6.5.1 and 6.6.3.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = time_machine.travel(START, tick=False)
        self.traveller = self.clock.__enter__()
        self.app, self.otp_auth, self.store, self.customers = open_shop(
            OTP_AUTH_VERIFY_LIMITS="90/day", OTP_AUTH_SEND_LIMITS="1000/hour"
        )
        self.outbox = Outbox(self.app).__enter__()
        self.statuses: set[int] = set()
        self.uses: Counter[tuple[str, str]] = Counter()

    def teardown(self) -> None:
        self.outbox.__exit__(None, None, None)
        self.clock.__exit__(None, None, None)

    def call(self, verb: str, *arguments: str) -> bool:
        with self.app.app_context():
            try:
                getattr(self.otp_auth, verb)("customer", *arguments)
            except RequestError as error:
                self.statuses.add(error.status)
                return False
            return True

    @rule(who=st.sampled_from([ADA, BOB]), verb=st.sampled_from(["generate", "pre_register"]))
    def ask(self, who: str, verb: str) -> None:
        self.call(verb, who)

    @precondition(lambda self: self.outbox.messages)
    @rule(data=st.data(), verb=st.sampled_from(["verify", "register", "authenticate"]))
    def answer(self, data: st.DataObject, verb: str) -> None:
        sent = data.draw(st.sampled_from(self.outbox.messages))
        if self.call(verb, sent.identifier, sent.otp):
            self.uses[sent.otp, verb] += 1

    @precondition(lambda self: self.outbox.messages)
    @rule(times=st.integers(1, 7))
    def guess(self, times: int) -> None:
        sent = self.outbox.last
        for _ in range(times):
            assert not self.call("verify", sent.identifier, wrong(sent.otp))

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        for key in data.draw(st.sets(st.sampled_from(["", *self.store.items]))):
            self.store.items.pop(key, None)

    @rule()
    def flush(self) -> None:
        self.store.items.clear()

    @rule(seconds=st.sampled_from([1, 61, 301]))
    def wait(self, seconds: int) -> None:
        self.traveller.shift(seconds)
        # A store of dictionaries has no clock: its marks run out here.
        if seconds > 60:
            for key in [key for key in self.store.items if key.endswith(":window")]:
                del self.store.items[key]

    @rule()
    def join(self) -> None:
        if self.customers.find_by_identifier(BOB) is None:
            self.customers.add(BOB)

    @invariant()
    def nothing_breaks(self) -> None:
        assert self.statuses <= {400, 409}

    @invariant()
    def no_code_is_used_twice(self) -> None:
        assert all(times <= 1 for times in self.uses.values())

    @invariant()
    def no_code_keeps_tickets_that_it_did_not_have(self) -> None:
        tickets = Counter(
            key.rsplit(":", 1)[0] for key in self.store.items if key.rsplit(":", 1)[1].isdigit()
        )
        assert all(count <= 5 for count in tickets.values())


class TestForgetfulCache(ForgetfulCache.TestCase):
    """Runs the machine."""

    settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_asvs_6_6_3_forgetting_adds_no_guess(
    attack: Callable[[str], Attack], comparisons: Any
) -> None:
    """OWASP ASVS 5.0, 6.6.3: every subset of a code's keys is deleted in turn."""
    forgetting = attack("cache: every subset of a code's keys deleted")
    app, _, store, _ = open_shop(
        OTP_AUTH_RESEND_INTERVAL=0,
        OTP_AUTH_SEND_LIMITS="100000/hour",
        OTP_AUTH_VERIFY_LIMITS="1000/day",
        OTP_AUTH_MAX_GUESS_CHANCE=1,
    )
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        for chosen in range(2**7):
            store.items.clear()
            api.generate()
            keys = sorted(store.items)
            assert len(keys) == 7
            for number, key in enumerate(keys):
                if chosen >> number & 1:
                    del store.items[key]
            before = comparisons.count
            for _ in range(6):
                api.verify(wrong(outbox.last.otp))
            forgetting.tried(comparisons.count - before > 5)
            forgetting.tried(api.verify(outbox.last.otp).status_code == 200)
    assert forgetting.failed(tries=256)


def test_who_restores_deleted_keys_gets_more_guesses() -> None:
    """Not prevented: who can write to the cache can put back what was taken.

    Tickets are keys that are there or not. Nobody can tell one that was restored from one that
    was never taken, except Redis after a restart. The budget of the identifier is in another
    place if ``limiter=`` is: then it still holds.
    """
    app, _, store, _ = open_shop()
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        api.generate()
    before = dict(store.items)
    for _ in range(5):
        api.verify(wrong(outbox.last.otp))
    assert api.verify(outbox.last.otp).status_code == 400
    store.items.update(before)
    assert api.verify(outbox.last.otp).status_code == 200
    store.items.update(before)
    assert api.verify(outbox.last.otp).status_code == 200
