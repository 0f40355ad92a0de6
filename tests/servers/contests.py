"""Contests: many workers attempt the same thing at once, and what came of it is counted.

A :class:`Crew` is threads, of one process or of several. Every round of a :class:`Contest` has an
identifier of its own; all workers are released together by a barrier, so each round is a race.
A storage is one parameter, the ``config`` of the crew's apps::

    with Crew({"OTP_AUTH_STORAGE_URI": uri}, processes=8, threads=1) as crew:
        for contest in CONTESTS:
            assert crew.run(contest, rounds=1_000).violations == []

Some contests are about a number, so a crew has eight workers or more.
"""

import hashlib
import multiprocessing
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import cachelib
import limits
from fakes import SECRET, Everybody, Somebody, wrong
from flask import Flask

import flask_otp_auth
from flask_otp_auth import InvalidOTP, OTPAuth, RequestError, Unauthorized, signals
from flask_otp_auth.core.context import NO_CALLER
from flask_otp_auth.testing import Outbox

#: Seconds after which a worker that waits for the others gives up.
PATIENCE = 60

#: What the processes of a crew share: imported once, as that takes longer than many rounds.
PRELOADED = ["email_validator", "flask_otp_auth.testing", "pymemcache", "pytest", "redis"]

#: Where the package and its storages stand, and at how many of their returns a thread gives way.
PACKAGES = tuple(str(Path(p.__file__).parent) for p in (flask_otp_auth, cachelib, limits))
JOSTLING = 0.1

#: Budgets out of the way, except where a contest is about one of them.
GENEROUS = {
    "SECRET_KEY": SECRET,
    "TESTING": True,  # codes are delivered inline, so that they can be counted
    "OTP_AUTH_DIGITS": 10,
    "OTP_AUTH_TTL": 600,
    "OTP_AUTH_GRACE_TTL": 600,
    "OTP_AUTH_RESEND_INTERVAL": 0,
    "OTP_AUTH_SEND_LIMITS": "1000000/hour",
    "OTP_AUTH_VERIFY_LIMITS": "100000/day",
    "OTP_AUTH_IP_GENERATE_LIMITS": "1000000/hour",
    "OTP_AUTH_IP_VERIFY_LIMITS": "1000000/hour",
    "OTP_AUTH_ACTOR_LIMITS": "1000000/hour",
    "OTP_AUTH_GLOBAL_SEND_LIMIT": "1000000/hour",
    "OTP_AUTH_GLOBAL_FAILURE_LIMIT": "1000000/hour",
    "OTP_AUTH_WARN_ON_ERROR": False,
}

Events = Counter[str]


class Shop:
    """One app, and what happened to each identifier in it.

    :ivar events: pairs of identifier and event: ``sent`` a code, ``compared`` a wrong one,
        ``attacked``, and what the attempts came to, such as ``token`` or ``refused``.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.customers = Everybody()
        self.otp_auth = OTPAuth()
        self.otp_auth.add_actor_type("customer", self.customers)
        self.app = Flask("shop")
        self.app.config.update({**GENEROUS, **config})
        self.otp_auth.init_app(self.app)
        self.events: list[tuple[str, str]] = []
        signals.otp_generated.connect(self._sent, self.app)
        signals.pre_register_otp_generated.connect(self._sent, self.app)
        signals.otp_rejected.connect(self._rejected, self.app)
        signals.identifier_attacked.connect(self._attacked, self.app)

    def _attacked(self, sender: Flask, identifier: str, **_: Any) -> None:
        self.events.append((identifier, "attacked"))

    def _sent(self, sender: Flask, identifier: str, **_: Any) -> None:
        self.events.append((identifier, "sent"))

    def _rejected(self, sender: Flask, identifier: str, reason: str, **_: Any) -> None:
        if reason == "wrong":  # of all reasons, the only one that follows a comparison
            self.events.append((identifier, "compared"))

    def do(self, verb: str, *arguments: Any, **named: Any) -> Any:
        """Call a method of the extension, as an app's own view would."""
        with self.app.app_context():
            return getattr(self.otp_auth, verb)(*arguments, **named)

    def token(self, verb: str, *arguments: Any) -> str:
        """Call a method that gives a token, or raises."""
        self.do(verb, *arguments)
        return "token"

    def note(self, job: "Job", attempt: Callable[["Shop", "Job"], str]) -> None:
        """Attempt something and note what it comes to."""
        try:
            event = attempt(self, job)
        except (InvalidOTP, Unauthorized):
            event = "refused"
        except RequestError as error:
            event = error.type
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no allowed outcome
            event = repr(error)
        self.events.append((job.identifier, event))


class Shops:
    """The apps of one process: one for each of the contests' settings."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._made: dict[tuple[tuple[str, Any], ...], Shop] = {}

    def of(self, contest: "Contest") -> Shop:
        """Return the app of a contest; nothing has happened in it yet."""
        settings = tuple(contest.settings.items())
        if settings not in self._made:
            self._made[settings] = Shop({**self._config, **contest.settings})
        self._made[settings].events = []
        return self._made[settings]


@dataclass(frozen=True)
class Job:
    """One round: whose, and what the workers need for it.

    :ivar otp: a code, or a stranger's token.
    :ivar token: a token, the ids of sign-ins, or the end of a link.
    :ivar challenge: what goes with a link.
    :ivar after: when the round may begin at the earliest, seconds since the epoch.
    """

    identifier: str
    otp: str = ""
    token: str = ""
    challenge: str = ""
    after: float = 0.0


class Verdict(Protocol):
    """Tells whether what happened in a round was allowed."""

    def __call__(self, events: Events, attempts: int) -> bool:
        """Judge the events of a round in which the workers made so many attempts."""


@dataclass(frozen=True)
class Contest:
    """What a crew races for, and what may come of it. All functions are a module's own.

    :ivar name: what must hold.
    :ivar prepare: makes a round's right, before anybody has an account unless ``members``.
    :ivar attempt: what a worker does once it is released; workers are numbered.
    :ivar times: how often each worker attempts it in one round.
    :ivar last: what is attempted when the race is over.
    :ivar allowed: judges a round.
    :ivar settings: settings that the contest is about.
    :ivar members: whether everybody has an account when the race is prepared, and when it is run.
    :ivar effort: the part of the usual number of rounds that is enough.
    """

    name: str
    prepare: Callable[[Shop, str], Job]
    attempt: Callable[[Shop, Job, int], str]
    allowed: Verdict
    last: Callable[[Shop, Job], str] | None = None
    times: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[bool, bool] = (True, True)
    effort: float = 1.0

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Outcome:
    """What a contest came to.

    :ivar violations: what happened in each round that was not as allowed.
    """

    rounds: int
    attempts: int
    seconds: float
    violations: list[str]

    @property
    def figures(self) -> tuple[int, int, int, float]:
        """What is shown of it at the end of a run."""
        return len(self.violations), self.rounds, self.attempts, self.seconds


class Crew:
    """Workers that attempt the same thing at once.

    :param config: what the storage needs of an app's configuration.
    :param processes: 1 for threads of this process, which share one app; else each process has
        an app of its own, and lives as long as the crew.
    :param threads: workers in each process.
    """

    def __init__(self, config: Mapping[str, Any], *, processes: int, threads: int) -> None:
        self._config = dict(config)
        self._shops = Shops(config)
        self._threads = threads
        self.workers = processes * threads
        # As a server's workers do, processes fork off one that has imported the package and has
        # used nothing of it yet.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        self._remote = processes if processes > 1 else 0
        self._processes: list[multiprocessing.process.BaseProcess] = []
        self._connections: list[Connection] = []
        self._barrier = self._context.Barrier(self.workers, timeout=PATIENCE)

    def __enter__(self) -> "Crew":
        for number in range(self._remote):
            ours, theirs = self._context.Pipe()
            seats = range(number * self._threads, (number + 1) * self._threads)
            process = self._context.Process(
                target=serve, args=(theirs, self._config, seats, self._barrier), daemon=True
            )
            process.start()
            theirs.close()
            self._processes.append(process)
            self._connections.append(ours)
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.send(None)
            connection.close()
        for process in self._processes:
            process.join(PATIENCE)
            process.close()

    def run(self, contest: Contest, rounds: int) -> Outcome:
        """Hold a contest and judge each of its rounds."""
        start = time.monotonic()
        shop = self._shops.of(contest)
        shop.customers.joined = contest.members[0]
        jobs = [contest.prepare(shop, f"u{n}.{time.time_ns()}@example.com") for n in range(rounds)]
        shop.events = []
        shop.customers.joined = contest.members[1]
        self._race(contest, jobs, shop)
        if contest.last:
            for job in jobs:
                shop.note(job, contest.last)
        return self._judge(contest, jobs, shop.events, time.monotonic() - start)

    def _race(self, contest: Contest, jobs: list[Job], shop: Shop) -> None:
        if not self._remote:
            barrier = threading.Barrier(self.workers, timeout=PATIENCE)
            race(contest, jobs, shop, range(self.workers), barrier)
        for connection in self._connections:
            connection.send((contest, jobs))
        for connection in self._connections:
            shop.events += connection.recv()

    def _judge(
        self, contest: Contest, jobs: list[Job], events: list[tuple[str, str]], seconds: float
    ) -> Outcome:
        by_round: dict[str, Events] = {job.identifier: Counter() for job in jobs}
        for identifier, event in events:
            by_round[identifier][event] += 1
        violations = [
            f"round {number}: {dict(happened)}"
            for number, happened in enumerate(by_round.values())
            if not contest.allowed(happened, self.workers * contest.times)
        ]
        attempts = len(jobs) * self.workers * contest.times
        return Outcome(len(jobs), attempts, seconds, violations)


def serve(
    connection: Connection, config: Mapping[str, Any], seats: Sequence[int], barrier: Any
) -> None:
    """Be a process of a crew: take part in one contest after the other until sent home."""
    shops = Shops(config)
    while (order := connection.recv()) is not None:
        contest, jobs = order
        shop = shops.of(contest)
        shop.customers.joined = contest.members[1]
        race(contest, jobs, shop, seats, barrier)
        connection.send(shop.events)
    connection.close()


def race(
    contest: Contest, jobs: Sequence[Job], shop: Shop, seats: Sequence[int], barrier: Any
) -> None:
    """Run every round with one thread for each seat."""

    def work(seat: int) -> None:
        for number, job in enumerate(jobs):
            barrier.wait()
            while time.time() < job.after:
                pass  # all are released by the clock, in the same instant
            sys.setprofile(jostle if number % 3 == 0 else None)
            for _ in range(contest.times):
                shop.note(job, lambda shop, job: contest.attempt(shop, job, seat))
            sys.setprofile(None)

    with ThreadPoolExecutor(len(seats)) as pool:
        for done in [pool.submit(work, seat) for seat in seats]:
            done.result()


def jostle(frame: FrameType, event: str, argument: object) -> None:
    """Let another thread go first, now and then, when a function of the packages returns.

    Left alone, threads seldom meet between two steps that ought to be one.
    """
    if event != "return" or not frame.f_code.co_filename.startswith(PACKAGES):
        return
    if random.random() < JOSTLING:
        time.sleep(0)


# What a round starts with.


def nothing(shop: Shop, identifier: str) -> Job:
    return Job(identifier)


def code_of(shop: Shop, verb: str, identifier: str) -> str:
    with Outbox(shop.app) as outbox:
        shop.do(verb, "customer", identifier)
    return outbox.last.otp


def login_code(shop: Shop, identifier: str) -> Job:
    return Job(identifier, code_of(shop, "generate", identifier))


def code_with_link(shop: Shop, identifier: str) -> Job:
    issuer = shop.app.extensions["otp_auth"].issuer
    with shop.app.app_context(), Outbox(shop.app) as outbox:
        issued = issuer.start("customer", identifier, NO_CALLER, link_to="https://shop.example/")
    token = str(outbox.last.link).rpartition("/")[2]
    return Job(identifier, outbox.last.otp, token, issued.challenge)


def registration_code(shop: Shop, identifier: str) -> Job:
    return Job(identifier, code_of(shop, "pre_register", identifier))


def registration(shop: Shop, identifier: str) -> Job:
    code = registration_code(shop, identifier).otp
    return Job(identifier, code, shop.do("register", "customer", identifier, code))


def window_that_ends(shop: Shop, identifier: str) -> Job:
    login_code(shop, identifier)
    return Job(identifier, after=time.time() + SHORT_WINDOW)


def a_sign_in(shop: Shop, identifier: str) -> Job:
    """Sign somebody in, and a stranger who must not notice what happens to others."""
    token, other = (
        shop.do("sign_in", "customer", Somebody(who)) for who in (identifier, f"other.{identifier}")
    )
    return Job(identifier, otp=other, token=token)


def full_slots(shop: Shop, identifier: str) -> Job:
    """Take all slots of somebody, and keep the ids of these sign-ins."""
    job = Job(identifier)
    for _ in range(SLOTS):
        sign_in(shop, job)
    return Job(identifier, token=",".join(live_sign_ins(shop, job)))


# What the workers attempt.


def verify(shop: Shop, job: Job, seat: int = 0) -> str:
    return shop.token("verify", "customer", job.identifier, job.otp)


def finish_or_follow(shop: Shop, job: Job, seat: int) -> str:
    """Use the code, or the link beside it: half of the workers do the one, half the other."""
    if seat % 2:
        return shop.token("finish", "customer", job.identifier, job.otp)
    redeemer = shop.app.extensions["otp_auth"].redeemer
    with shop.app.app_context():
        redeemer.follow("customer", job.identifier, job.token, job.challenge, NO_CALLER)
    return "token"


def register(shop: Shop, job: Job, seat: int) -> str:
    return shop.token("register", "customer", job.identifier, job.otp)


def sign_in_by_grace(shop: Shop, job: Job, seat: int) -> str:
    return shop.token("authenticate", "customer", job.identifier, job.otp)


def refresh(shop: Shop, job: Job, seat: int) -> str:
    return shop.token("refresh", job.token)


def ask_for_code(shop: Shop, job: Job, seat: int) -> str:
    shop.do("generate", "customer", job.identifier)
    return "answered"


def guess_wrong(shop: Shop, job: Job, seat: int = 0) -> str:
    return shop.token("verify", "customer", job.identifier, wrong(job.otp))


def guess_right_once(shop: Shop, job: Job, seat: int) -> str:
    return verify(shop, job) if seat == 0 else guess_wrong(shop, job)


def sign_in(shop: Shop, job: Job, seat: int = 0) -> str:
    return shop.token("sign_in", "customer", Somebody(job.identifier))


def sign_out(shop: Shop, job: Job, seat: int) -> str:
    shop.do("revoke", job.token)
    return "signed out"


def revoke_all_once(shop: Shop, job: Job, seat: int) -> str:
    if seat:
        return sign_in(shop, job)
    shop.do("revoke_all", "customer", job.identifier)
    return "revoked"


def verify_over_http(shop: Shop, job: Job, seat: int) -> str:
    return post(shop, job, seat, "/otp/verify", otp=job.otp)


def ask_over_http(shop: Shop, job: Job, seat: int) -> str:
    return post(shop, job, seat, "/otp/generate")


def post(shop: Shop, job: Job, seat: int, route: str, **fields: str) -> str:
    """Call a route. Each round has an IPv6 network of its own, and each worker an address in it."""
    network = hashlib.sha256(job.identifier.encode()).hexdigest()
    answer = shop.app.test_client().post(
        f"/auth/customer{route}",
        json={"identifier": job.identifier, **fields},
        environ_base={"REMOTE_ADDR": f"2001:db8:{network[:4]}:{network[4:8]}::{seat + 1:x}"},
    )
    return str(answer.status_code)


# What is looked at when a race is over.


def live_sign_ins(shop: Shop, job: Job) -> list[str]:
    return [each.id for each in shop.do("sign_ins", "customer", job.identifier)]


def count_sign_ins(shop: Shop, job: Job) -> str:
    """Count those of the race, and those from before it."""
    live, old = live_sign_ins(shop, job), job.token.split(",")
    return f"{len(live)} live, {len(set(live) & set(old))} old"


def look_at_old_tokens(shop: Shop, job: Job) -> str:
    """Tell whether the stranger's token is still good, and the one of before not."""
    shop.do("identify", job.otp)
    try:
        shop.do("identify", job.token)
    except Unauthorized:
        return "ended"
    return "still signed in"


# What may come of a round.


def one_token(events: Events, attempts: int) -> bool:
    return events == {"token": 1, "refused": attempts - 1}


def one_token_over_http(events: Events, attempts: int) -> bool:
    return events == {"200": 1, "400": attempts - 1}


def one_code(events: Events, attempts: int) -> bool:
    return events == {"answered": attempts, "sent": 1}


def codes_within_limit(events: Events, attempts: int) -> bool:
    # Beyond the limit there is one long code, and one caller learns that an attack begins.
    return events == {"answered": attempts, "sent": SEND_LIMIT + 1, "attacked": 1}


def answers_within_limit(events: Events, attempts: int) -> bool:
    return events == {"sent": ADDRESS_LIMIT, "200": ADDRESS_LIMIT, "429": attempts - ADDRESS_LIMIT}


def comparisons_within_budget(events: Events, attempts: int) -> bool:
    # The right code at last is refused as well, and is not compared.
    return events == {"refused": attempts + 1, "compared": VERIFY_LIMIT, "attacked": 1}


def right_one_counts_too(events: Events, attempts: int) -> bool:
    tokens = events["token"]
    compared = events["compared"] + tokens
    return events["refused"] == attempts - tokens and tokens <= 1 and compared <= VERIFY_LIMIT


def no_more_sign_ins_than_slots(events: Events, attempts: int) -> bool:
    return events == {"token": attempts, f"{SLOTS} live, 0 old": 1}


def one_sign_out(events: Events, attempts: int) -> bool:
    return events == {"signed out": 1, "refused": attempts - 1, "ended": 1}


def all_old_ones_ended(events: Events, attempts: int) -> bool:
    return events == {"token": attempts - 1, "revoked": 1, "ended": 1}


VERIFY_LIMIT, SEND_LIMIT, ADDRESS_LIMIT, SLOTS = 3, 5, 10, 4
SHORT_WINDOW = 1

CONTESTS = [
    Contest("one token per login code", login_code, verify, one_token),
    Contest("one token per code and its link", code_with_link, finish_or_follow, one_token),
    Contest(
        "one token per registration code",
        registration_code,
        register,
        one_token,
        members=(False, False),
    ),
    Contest(
        "one token per grace", registration, sign_in_by_grace, one_token, members=(False, True)
    ),
    Contest(
        "one refresh per registration token",
        registration,
        refresh,
        one_token,
        members=(False, True),
    ),
    Contest(
        "one code per resend window",
        nothing,
        ask_for_code,
        one_code,
        settings={"OTP_AUTH_RESEND_INTERVAL": 60},
    ),
    Contest(
        "one code when a resend window ends",
        window_that_ends,
        ask_for_code,
        one_code,
        settings={"OTP_AUTH_RESEND_INTERVAL": SHORT_WINDOW},
    ),
    Contest(
        "VERIFY_LIMITS comparisons per identifier, and one attack",
        login_code,
        guess_wrong,
        comparisons_within_budget,
        last=verify,
        settings={"OTP_AUTH_VERIFY_LIMITS": f"{VERIFY_LIMIT}/day"},
    ),
    Contest(
        "VERIFY_LIMITS comparisons, one of them right",
        login_code,
        guess_right_once,
        right_one_counts_too,
        settings={"OTP_AUTH_VERIFY_LIMITS": f"{VERIFY_LIMIT}/day"},
        effort=0.5,
    ),
    Contest(
        "SEND_LIMITS short codes per identifier, and one attack",
        nothing,
        ask_for_code,
        codes_within_limit,
        times=2,
        settings={"OTP_AUTH_SEND_LIMITS": f"{SEND_LIMIT}/hour"},
        effort=0.5,
    ),
    Contest(
        "MAX_SIGN_INS sign-ins at once",
        nothing,
        sign_in,
        no_more_sign_ins_than_slots,
        last=count_sign_ins,
        settings={"OTP_AUTH_MAX_SIGN_INS": SLOTS},
    ),
    Contest(
        "MAX_SIGN_INS new sign-ins, for which the oldest end",
        full_slots,
        sign_in,
        no_more_sign_ins_than_slots,
        last=count_sign_ins,
        settings={"OTP_AUTH_MAX_SIGN_INS": SLOTS},
        effort=0.5,
    ),
    Contest(
        "one sign-out per sign-in, and no stranger signed out",
        a_sign_in,
        sign_out,
        one_sign_out,
        last=look_at_old_tokens,
        effort=0.5,
    ),
    Contest(
        "nobody signed in after revoke_all, and no stranger signed out",
        a_sign_in,
        revoke_all_once,
        all_old_ones_ended,
        last=look_at_old_tokens,
    ),
    Contest(
        "IP_GENERATE_LIMITS answers per address, over HTTP",
        nothing,
        ask_over_http,
        answers_within_limit,
        times=2,
        settings={"OTP_AUTH_IP_GENERATE_LIMITS": f"{ADDRESS_LIMIT}/hour"},
        effort=0.25,
    ),
    Contest(
        "one token per login code, over HTTP",
        login_code,
        verify_over_http,
        one_token_over_http,
        effort=0.25,
    ),
]
