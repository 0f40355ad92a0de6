"""What must happen once happens once, however many ask at the same moment.

Threads race on codes in memory, threads and processes on the default storage. What the contests
are about stands in :mod:`contests`. ``CONTEST_ROUNDS=10000 make test ARGS=tests/servers`` holds as
many rounds on each storage; how many there were is told when pytest is done.
"""

import os
from collections.abc import Iterator

import pytest
from contests import CONTESTS, Contest, Crew
from tallies import Races

ROUNDS = int(os.environ.get("CONTEST_ROUNDS", "600"))
SHARE = sum(contest.effort for contest in CONTESTS)

CREWS = {
    "memory, 8 threads": ("memory://", 1, 8),
    "SQLite, 8 threads": ("sqlite:///{folder}/codes.sqlite3", 1, 8),
    "SQLite, 4 processes of 2 threads": ("sqlite:///{folder}/codes.sqlite3", 4, 2),
}


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
def test_no_more_than_was_allowed(crew: tuple[str, Crew], contest: Contest, races: Races) -> None:
    """In no round did anybody get more than the contest's name says, or less."""
    name, workers = crew
    outcome = workers.run(contest, 1 + int(ROUNDS * contest.effort / SHARE))
    races.add((name, contest.name, *outcome.figures))
    assert outcome.violations == []
