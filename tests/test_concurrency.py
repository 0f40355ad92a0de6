"""What must happen once happens once, however many ask at the same moment.

Threads race on codes in memory, threads and processes on the default storage. What the contests
are about stands in :mod:`concurrency`; how many rounds each had is told when pytest is done.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from concurrency import CONTESTS, Contest, Crew, Figures
from limits import parse_many
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter, RateLimiter

from flask_otp_auth.keys import Keys
from flask_otp_auth.limits import Limits

ROUNDS = 130

CREWS = {
    "memory, 8 threads": ("memory://", 1, 8),
    "SQLite, 8 threads": ("sqlite:///{folder}/codes.sqlite3", 1, 8),
    "SQLite, 4 processes of 2 threads": ("sqlite:///{folder}/codes.sqlite3", 4, 2),
}


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Figures:
    """Tells at the end how many rounds were raced."""
    return Figures.of(pytestconfig)


@pytest.fixture(scope="module", params=CREWS)
def crew(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Crew]]:
    """A crew on a storage of its own."""
    uri, processes, threads = CREWS[request.param]
    config = {"OTP_AUTH_STORAGE_URI": uri.format(folder=tmp_path_factory.mktemp("storage"))}
    with Crew(config, processes=processes, threads=threads) as crew:
        yield request.param, crew


@pytest.mark.parametrize("contest", CONTESTS, ids=str)
def test_no_more_than_was_allowed(
    crew: tuple[str, Crew], contest: Contest, figures: Figures
) -> None:
    """In no round did anybody get more than the contest's name says, or less."""
    name, workers = crew
    outcome = workers.run(contest, int(ROUNDS * contest.effort))
    figures.note(name, contest, outcome)
    assert outcome.violations == []


def test_there_are_a_thousand_rounds_on_each_storage() -> None:
    assert sum(int(ROUNDS * contest.effort) for contest in CONTESTS) >= 1_000


def test_threads_that_come_first_together_share_one_storage_of_limits() -> None:
    """The storage of limits is opened at first use; each thread's own would give each a budget."""
    together = threading.Barrier(2, timeout=10)

    def connect() -> RateLimiter:
        together.wait()
        return MovingWindowRateLimiter(MemoryStorage())

    limits = Limits(connect, Keys.derive([b"a secret"]))
    once = tuple(parse_many("1/hour"))
    with ThreadPoolExecutor(2) as pool:
        hits = list(pool.map(lambda _: limits.hit(once, "somebody"), range(2)))
    assert sorted(hits) == [False, True]
