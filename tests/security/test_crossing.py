"""Crossing: a code of one purpose, actor type, identifier or challenge fits no other."""

import itertools
from collections.abc import Callable

from attacks import MANY_ADDRESSES, Attack
from conftest import Api
from flask import Flask

from flask_otp_auth import OTPAuth
from flask_otp_auth.testing import Outbox

TYPES = ("customer", "user")
PEOPLE = ("ada@example.com", "bob@example.com")
#: Which route asks for a code of each purpose, and which ones take it.
ASKING = {"login": "generate", "registration": "pre_register"}
TAKING = {"verify": "login", "register": "registration", "authenticate": "login"}


class Somebody:
    """An account."""

    id = 1


class Members:
    """An actor store in which everybody is a member, or nobody."""

    def __init__(self) -> None:
        self.joined = False

    def find_by_identifier(self, identifier: str) -> Somebody | None:
        return Somebody() if self.joined else None

    find_by_id = find_by_identifier


def shop(make_app: Callable[..., Flask], members: Members) -> Flask:
    """Return a shop with two actor types whose accounts are the same people."""
    otp_auth = OTPAuth()
    for name in TYPES:
        otp_auth.add_actor_type(name, members)
    return make_app(
        otp_auth, OTP_AUTH_VERIFY_LIMITS="90/day", OTP_AUTH_MAX_ATTEMPTS=50, **MANY_ADDRESSES
    )


def test_asvs_6_6_2_a_code_fits_only_what_it_was_issued_for(
    make_app: Callable[..., Flask], attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 6.6.2: each code is bound to the request that it was generated for.

    Eight codes are on their way at once, one for each combination. Each is sent to every route
    of every actor type in everybody's name, without a challenge and with each of the eight.
    """
    members = Members()
    app = shop(make_app, members)
    codes = {}
    with Outbox(app) as outbox:
        for purpose, name, who in itertools.product(ASKING, TYPES, PEOPLE):
            members.joined = purpose == "login"
            answer = getattr(Api(app.test_client(), actor_type=name), ASKING[purpose])(who)
            codes[purpose, name, who] = outbox.last.otp, answer.get_json()["challenge"]
    members.joined = True
    crossing = attack("crossing: codes of another purpose, type, identifier or challenge")
    challenges = [None, *(challenge for _, challenge in codes.values())]
    for (issued, (otp, own)), route, name, who in itertools.product(
        codes.items(), TAKING, TYPES, PEOPLE
    ):
        for challenge in challenges:
            if (TAKING[route], name, who) == issued and challenge in (None, own):
                continue  # that is what it is for
            fields = {} if challenge is None else {"challenge": challenge}
            api = Api(app.test_client(), actor_type=name)
            crossing.tried(getattr(api, route)(otp, who, **fields).status_code != 400)
    assert crossing.failed(tries=800)


def test_asvs_6_6_2_a_grace_is_no_login_code(
    make_app: Callable[..., Flask], attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 6.6.2: the code of a registration does for ``/otp`` alone, and its owner."""
    members = Members()
    app = shop(make_app, members)
    crossing = attack("crossing: the code of a registration in its grace")
    with Outbox(app) as outbox:
        for who in PEOPLE:
            members.joined = False
            api = Api(app.test_client())
            challenge = api.pre_register(who).get_json()["challenge"]
            assert api.register(outbox.last.otp, who).status_code == 200
            members.joined = True
            others = itertools.product(TAKING, TYPES, PEOPLE, (None, challenge))
            for route, name, other, given in others:
                if route == "authenticate" and (name, other) == ("customer", who):
                    continue  # that is what it is for
                fields = {} if given is None else {"challenge": given}
                there = Api(app.test_client(), actor_type=name)
                answer = getattr(there, route)(outbox.last.otp, other, **fields)
                crossing.tried(answer.status_code == 200)
            assert api.authenticate(outbox.last.otp, who).status_code == 200
    assert crossing.failed(tries=44)


def test_asvs_6_6_2_two_apps_with_one_storage_share_no_codes(
    make_app: Callable[..., Flask], tmp_path: object, attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 6.6.2: keys of another ``SECRET_KEY`` open nothing, in one storage."""
    storage = {"OTP_AUTH_STORAGE_URI": f"sqlite:///{tmp_path}/codes.sqlite3"}
    ours = make_app(**storage)
    theirs = make_app(**storage, SECRET_KEY="the secret key of another shop, as long")
    with Outbox(ours) as outbox:
        challenge = Api(ours.test_client()).generate().get_json()["challenge"]
    crossing = attack("crossing: a code of another app on the same storage")
    other = Api(theirs.test_client())
    crossing.tried(other.verify(outbox.last.otp).status_code == 200)
    crossing.tried(other.verify(outbox.last.otp, challenge=challenge).status_code == 200)
    assert crossing.failed(tries=2)
