"""Floods: whoever does the same thing again and again fills no storage and no mailbox."""

from pathlib import Path

import pytest
from attacks import ASKING, GUESSING, MANY_ADDRESSES, NO_LIMITS, Begin, OpenIt, OpenShop
from fakes import ADA, Api, MakeApp, bearer, sign_in
from stores import Redis
from time_machine import Traveller

from flask_otp_auth.testing import Outbox

HOUR = 3_600


def live_keys(shop: OpenShop) -> int:
    """Return how many keys the storage holds."""
    return sum(value is not None for value in shop.store.peek(*shop.store.items))


def test_asvs_2_4_1_no_member_fills_the_storage_by_refreshing_and_signing_out(
    open_shop: OpenIt, attack: Begin, clock: Traveller
) -> None:
    """OWASP ASVS 5.0, 2.4.1: neither leaves a key, and both have a limit."""
    shop = open_shop()
    api = shop.api()
    flood = attack("floods: refreshes, sign-outs and sessions of one member")
    keys, token = live_keys(shop), sign_in(shop.app)
    statuses = []
    for _ in range(400):
        answer = api.refresh(token)
        statuses.append(answer.status_code)
        statuses.append(api.client.post("/auth/session", headers=bearer(token)).status_code)
        flood.tried(live_keys(shop) > keys + 2)  # the sign-in, and what a used code leaves
    assert statuses.count(200) == 600
    assert statuses.count(429) == 200
    clock.shift(HOUR + 1)
    for _ in range(40):
        with shop.app.app_context():
            token = shop.otp_auth.sign_in("customer", shop.customers.find_by_id("1"))
        assert api.revoke(token).status_code == 200
        flood.tried(live_keys(shop) > keys + 2)
    assert flood.failed(tries=440)


@pytest.mark.parametrize("verb", ASKING.values())
def test_asvs_2_4_1_whoever_asks_in_strangers_names_stores_few_codes(
    open_shop: OpenIt, attack: Begin, clock: Traveller, verb: str
) -> None:
    """OWASP ASVS 5.0, 2.4.1: a request writes a window, and a code only if one is sent.

    So many are sent to newcomers in an hour and no more, and then a member still gets his.
    """
    shop = open_shop(OTP_AUTH_GLOBAL_SEND_LIMIT="20/hour")
    flood = attack("floods: requests for codes in strangers' names")
    api, sent = shop.api(), 0 if verb == "generate" else 20
    with Outbox(shop.app) as outbox:
        for number in range(200):
            assert getattr(api, verb)(f"{number}@example.com").status_code == 200
        rights = [value for value in shop.values.values() if value == "1"]
        flood.tried(len(rights) > sent or len(outbox) > sent)
        clock.shift(61)
        flood.tried(live_keys(shop) > 2 * sent + 1)  # rights and pointers; the breaker's mark
        clock.shift(700)
        flood.tried(live_keys(shop) > 0)
        assert api.generate().status_code == 200
        assert outbox.last.identifier == ADA
    assert flood.failed(tries=3)


def test_asvs_2_4_1_a_full_server_lets_nobody_in_and_signs_nobody_out(
    make_guarded: MakeApp, tmp_path: Path, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 2.4.1: Redis without room for one more key (noeviction).

    Who is signed in stays so; nothing is sent that could not be counted and stored.
    """
    full = attack("floods: requests for codes at a server that is full")
    with Redis(tmp_path / "redis", "--maxmemory-policy", "noeviction") as server:
        app = make_guarded(OTP_AUTH_STORAGE_URI=server.uri, **NO_LIMITS)
        api, head = Api(app.test_client()), bearer(sign_in(app))
        with Outbox(app) as outbox:
            assert api.generate().status_code == 200
            server.ask("CONFIG", "SET", "maxmemory", "1kb")
            for verb in ASKING.values():
                full.tried(getattr(api, verb)().status_code != 503)
            for route in GUESSING:
                full.tried(getattr(api, route)(outbox.last.otp).status_code != 503)
            full.tried(len(outbox) > 1)
            assert api.client.get("/me", headers=head).status_code == 200
            server.ask("CONFIG", "SET", "maxmemory", "0")
            assert api.verify(outbox.last.otp).status_code == 200
    assert full.failed(tries=8)


def test_asvs_6_3_1_nobodys_mailbox_is_flooded(
    make_app: MakeApp, attack: Begin, clock: Traveller
) -> None:
    """OWASP ASVS 5.0, 6.3.1: five short messages and nine long ones in an hour and five minutes
    to a member, and 40 a day to a mailbox that has no account, however its address is spelt."""
    app = make_app(OTP_AUTH_WARN_ON_ERROR=False, **MANY_ADDRESSES)
    api = Api(app.test_client())
    flooding = attack("floods: a day of requests for codes to one mailbox")
    with Outbox(app) as outbox:
        for minute in range(24 * 60):
            api.generate()
            api.pre_register(f"bob+{minute}@example.com")
            flooding.tried(len(outbox.codes_to(ADA)) > 14 * (minute // 65 + 1))
            clock.shift(60)
        to_bob = [each for each in outbox if each.identifier.startswith("bob+")]
        flooding.tried(len(to_bob) > 40)
        assert len(to_bob) == 40
    assert flooding.failed(tries=1_441)
