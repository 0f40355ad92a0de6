"""An upgrade that nobody notices: whoever begins at one version can go on at the other.

``make upgrade-test`` runs both at once on one Redis and on one SQLite file. Each visit begins at
the version before and ends at this one, or the other way round, as in a rolling update or a
rollback; many are under way at once. All settings are the defaults.
"""

from collections import Counter

from stores import at_once
from visits import Version, Versions, Visit

from flask_otp_auth.core.settings import Settings

#: Guesses that `VERIFY_LIMITS` has room for.
GUESSES = 20

#: Requests for a code that `IP_GENERATE_LIMITS` has room for.
REQUESTS = 100


def test_two_versions_are_compared(versions: Versions) -> None:
    paths = {at.call("GET", "/package").body["path"] for at in (versions.old, versions.new)}
    assert len(paths) == 2


def test_the_limits_are_those_that_these_tests_count_to() -> None:
    settings = Settings()
    assert str(settings.verify_limits[0]) == f"{GUESSES} per 1 day"
    assert str(settings.ip_generate_limits[0]) == f"{REQUESTS} per 1 hour"


def test_a_code_is_used_once_by_both_together(versions: Versions) -> None:
    def use_it_at_both(visit: Visit) -> list[int]:
        challenge = visit.ask(visit.first)
        (otp,) = visit.codes()
        uses = [lambda at=at: visit.answer(at, otp, challenge).status for at in both(visit)] * 2
        return sorted(at_once(*uses))

    outcomes = versions.all(use_it_at_both)
    assert outcomes == [[200, 400, 400, 400]] * len(outcomes)


def test_a_token_is_good_at_both_until_one_ends_it(versions: Versions) -> None:
    def come_and_go(visit: Visit) -> list[int]:
        token = visit.sign_in(visit.second)
        before = me(visit.first, token=token)
        fresh = refresh(visit.first, token)
        at_the_other = me(visit.second, token=fresh)
        ended = visit.first.call("POST", "/auth/token/revoke", token=fresh).status
        return [before, at_the_other, ended, me(visit.second, token=token)]

    outcomes = versions.all(come_and_go)
    assert outcomes == [[200, 200, 200, 401]] * len(outcomes)


def test_a_session_is_good_at_both_until_one_ends_it(versions: Versions) -> None:
    def come_and_go(visit: Visit) -> list[int]:
        token = visit.sign_in(visit.second)
        cookie = visit.first.call("POST", "/auth/session", token=token).cookie
        before = [me(at, cookie=cookie) for at in both(visit)]
        ended = visit.second.call("DELETE", "/auth/session", cookie=cookie).status
        return [*before, ended, me(visit.first, cookie=cookie)]

    outcomes = versions.all(come_and_go)
    assert outcomes == [[200, 200, 200, 401]] * len(outcomes)


def test_sign_ins_of_both_are_in_one_list(versions: Versions) -> None:
    def sign_in_at_both(visit: Visit) -> bool:
        visit.sign_in(visit.first)
        token = visit.sign_in(visit.second)
        lists = [sign_ins(at, token) for at in both(visit)]
        return lists[0] == lists[1] and len(lists[0]) == 2

    assert all(versions.all(sign_in_at_both))


def test_who_joins_begins_at_one_and_ends_at_the_other(versions: Versions) -> None:
    def join(visit: Visit) -> list[int]:
        challenge = visit.ask(visit.first, "pre-register")
        (otp,) = visit.codes()
        token = visit.answer(visit.second, otp, challenge, "/register").body["token"]
        made = visit.first.call("POST", "/customers", token=token).status
        graces = [visit.answer(at, otp, challenge, "").status for at in both(visit)[::-1]]
        completed = [
            at.call("POST", "/auth/token/refresh", token=token).status for at in both(visit)
        ]
        return [made, *graces, *completed]

    outcomes = versions.all(join, who="new")
    assert outcomes == [[200, 200, 400, 200, 401]] * len(outcomes)


def test_one_door_opens_from_both(versions: Versions) -> None:
    def enter(visit: Visit) -> int:
        challenge = visit.ask(visit.first, "start")
        return visit.answer(visit.second, visit.codes()[-1], challenge, "/finish").status

    assert Counter(versions.all(enter)) == {200: 60}


def test_a_window_of_one_is_that_of_the_other(versions: Versions) -> None:
    def ask_twice(visit: Visit) -> int:
        visit.ask(visit.first)
        visit.ask(visit.second)
        return len(visit.codes())

    assert Counter(versions.all(ask_twice)) == {1: 60}


def test_guesses_at_both_take_from_one_budget(versions: Versions) -> None:
    def guess(visit: Visit, wrong_ones: int) -> int:
        visit.ask(visit.first)
        (otp,) = visit.codes()
        wrong = f"{(int(otp) + 1) % 10 ** len(otp):0{len(otp)}}"
        statuses = {visit.answer(both(visit)[n % 2], wrong).status for n in range(wrong_ones)}
        assert statuses == {400}
        return visit.answer(visit.second, otp).status

    assert Counter(versions.all(lambda visit: guess(visit, GUESSES - 1), 8)) == {200: 8}
    assert Counter(versions.all(lambda visit: guess(visit, GUESSES), 8)) == {400: 8}


def test_requests_at_both_take_from_the_budget_of_their_address(versions: Versions) -> None:
    def ask_often(visit: Visit) -> list[int]:
        asked = [visit.first, visit.second] * (REQUESTS // 2 + 1)
        return [visit.post(at, "otp/generate", identifier=visit.identifier).status for at in asked]

    outcomes = versions.all(ask_often, 2)
    assert outcomes == [[200] * REQUESTS + [429, 429]] * 2


def both(visit: Visit) -> list[Version]:
    return [visit.first, visit.second]


def me(at: Version, *, token: str = "", cookie: str = "") -> int:
    return at.call("GET", "/me", token=token, cookie=cookie).status


def refresh(at: Version, token: str) -> str:
    answer = at.call("POST", "/auth/token/refresh", token=token)
    assert answer.status == 200, answer
    fresh: str = answer.body["token"]
    return fresh


def sign_ins(at: Version, token: str) -> list[object]:
    answer = at.call("GET", "/auth/sign-ins", token=token)
    assert answer.status == 200, answer
    listed: list[object] = answer.body["sign_ins"]
    return listed
