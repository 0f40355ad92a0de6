"""What happens once on one machine happens once on many: the contests on real servers."""

import os
from collections.abc import Iterator

import pytest
from contests import CONTESTS, Contest, Crew
from stores import KINDS, Storages
from tallies import Races

PROCESSES = 8
ROUNDS = int(os.environ.get("CONTEST_ROUNDS", "400"))
SHARE = sum(contest.effort for contest in CONTESTS)


@pytest.fixture(scope="module", params=KINDS)
def crew(
    request: pytest.FixtureRequest, storages: Storages, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Crew]]:
    """Eight processes that share nothing but the server."""
    config = {"OTP_AUTH_STORAGE_URI": storages[request.param].uri}
    if request.param == "memcached":  # which forgets, so it can't keep sign-ins
        folder = tmp_path_factory.mktemp("sign-ins")
        config["OTP_AUTH_SIGN_INS_URI"] = f"sqlite:///{folder}/sign-ins.sqlite3"
    with Crew(config, processes=PROCESSES, threads=1) as crew:
        yield f"{request.param}, {PROCESSES} processes", crew


@pytest.mark.parametrize("contest", CONTESTS, ids=str)
def test_no_more_than_was_allowed(crew: tuple[str, Crew], contest: Contest, races: Races) -> None:
    """In no round did anybody get more than the contest's name says, or less."""
    name, workers = crew
    outcome = workers.run(contest, 1 + int(ROUNDS * contest.effort / SHARE))
    races.add((name, contest.name, *outcome.figures))
    assert outcome.violations == []
