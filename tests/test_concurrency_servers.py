"""What happens once on one machine happens once on many: the contests on real servers."""

from collections.abc import Iterator

import pytest
from concurrency import CONTESTS, Contest, Crew, Figures
from stores import KINDS, Storages

PROCESSES = 8
ROUNDS = 230


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Figures:
    """Tells at the end how many rounds were raced."""
    return Figures.of(pytestconfig)


@pytest.fixture(scope="module", params=KINDS)
def crew(request: pytest.FixtureRequest, storages: Storages) -> Iterator[tuple[str, Crew]]:
    """Eight processes that share nothing but the server."""
    config = {"OTP_AUTH_STORAGE_URI": storages[request.param].uri}
    with Crew(config, processes=PROCESSES, threads=1) as crew:
        yield f"{request.param}, {PROCESSES} processes", crew


@pytest.mark.parametrize("contest", CONTESTS, ids=str)
def test_no_more_than_was_allowed(
    crew: tuple[str, Crew], contest: Contest, figures: Figures
) -> None:
    """In no round did anybody get more than the contest's name says, or less."""
    name, workers = crew
    outcome = workers.run(contest, int(ROUNDS * contest.effort))
    figures.note(name, contest, outcome)
    assert outcome.violations == []


def test_there_are_two_thousand_rounds_on_each_server() -> None:
    assert sum(int(ROUNDS * contest.effort) for contest in CONTESTS) >= 2_000
