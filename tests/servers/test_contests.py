"""What must happen once happens once, however many ask at the same moment, wherever they are.

Threads race on codes in memory, threads and processes on the default storage, processes that share
nothing but a server on each kind of server. What the contests are about stands in :mod:`contests`.
``CONTEST_ROUNDS=10000 make test ARGS=tests/servers`` holds as many rounds on each storage; how many
there were is told when pytest is done.
"""

import os
from collections.abc import Iterator

import pytest
from contests import CONTESTS, Contest, Crew
from stores import KINDS, Storages
from tallies import Races

ROUNDS = int(os.environ.get("CONTEST_ROUNDS", "500"))
SHARE = sum(contest.effort for contest in CONTESTS)

#: The storage, how many processes there are, and how many threads in each.
CREWS = {
    "memory, 8 threads": ("memory", 1, 8),
    "SQLite, 8 threads": ("sqlite", 1, 8),
    "SQLite, 4 processes of 2 threads": ("sqlite", 4, 2),
    **{f"{kind}, 8 processes": (kind, 8, 1) for kind in KINDS},
}


@pytest.fixture(scope="module", params=CREWS)
def crew(
    request: pytest.FixtureRequest, storages: Storages, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Crew]]:
    """A crew on a storage of its own."""
    kind, processes, threads = CREWS[request.param]
    file = f"sqlite:///{tmp_path_factory.mktemp('storage')}/codes.sqlite3"
    own = {"memory": "memory://", "sqlite": file}
    config = {"OTP_AUTH_STORAGE_URI": own.get(kind) or storages[kind].uri}
    if kind == "memcached":  # which forgets, so it can't keep sign-ins
        config["OTP_AUTH_SIGN_INS_URI"] = file
    with Crew(config, processes=processes, threads=threads) as crew:
        yield request.param, crew


@pytest.mark.parametrize("contest", CONTESTS, ids=str)
def test_no_more_than_was_allowed(crew: tuple[str, Crew], contest: Contest, races: Races) -> None:
    """In no round did anybody get more than the contest's name says, or less."""
    name, workers = crew
    outcome = workers.run(contest, 1 + int(ROUNDS * contest.effort / SHARE))
    races.add((name, contest.name, *outcome.figures))
    assert outcome.violations == []
