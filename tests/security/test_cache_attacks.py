"""Storage attacks: whoever reads and writes the storage, or makes it forget, gets in no sooner."""

import itertools
import json
import os
import pickle
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attacks import ASKING, GUESSING, MANY_ADDRESSES, Begin, OpenIt
from fakes import ADA, BOB, Api, MakeApp, bearer, register, wrong
from fakes import sign_in as sign_in_at
from itsdangerous import Serializer, URLSafeTimedSerializer

from flask_otp_auth.testing import Outbox

EVE = "eve@evil.example"


def forgeries(value: str, other: str) -> Iterator[str]:
    """Yield what an attacker without the secret key can make of a sealed value."""
    payload, signature = value.rsplit(".", 1)
    fields = json.loads(payload)
    later, endless = json.dumps([fields[0] + 600, *fields[1:]]), json.dumps([9e9, *fields[1:]])
    for forged in (later, endless, payload + " ", payload.replace(",", " ,")):
        yield from (f"{forged}.{signature}", forged, f"{forged}.", f"{forged}..")
    for key in ("secret", "s" * 32, " "):
        yield str(Serializer(key).dumps(fields))
        yield str(URLSafeTimedSerializer(key).dumps(fields))
    yield from (f"{payload}.{other.rsplit('.', 1)[1]}", f"{other.rsplit('.', 1)[0]}.{signature}")
    yield from (value[:-1], value + "A", value.swapcase(), value.upper(), payload, signature)
    yield from ("", "null", "[]", "\x00", "é", "1", "1" * 100_000)


def test_asvs_1_5_2_a_forged_code_or_sign_in_opens_nothing(
    open_shop: OpenIt, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 1.5.2 and 11.4.1: what is read from the storage was written by us."""
    shop = open_shop()
    api = shop.api()
    forging = attack("storage: forged values in place of the right ones")
    token = sign_in_at(shop.app)
    with Outbox(shop.app) as outbox:
        challenge = api.generate().get_json()["challenge"]
        before = {key: value for key, value in shop.values.items() if value != "1"}
        api.pre_register(BOB)
    (otp,) = outbox.codes_to(ADA)
    others = [value for key, value in shop.values.items() if key not in before and value != "1"]
    for mine, other in itertools.product(list(before.values()), others):
        for forgery in forgeries(mine, other):
            shop.plant(dict.fromkeys(before, forgery))
            for given in (None, challenge):
                forging.tried(api.verify(otp, challenge=given).status_code != 400)
            forging.tried(api.client.get("/me", headers=bearer(token)).status_code != 401)
            shop.limits.reset()
    shop.plant(before)
    assert api.client.get("/me", headers=bearer(token)).status_code == 200
    assert api.verify(otp).status_code == 200
    assert forging.failed(tries=300)


def test_asvs_11_4_1_a_value_counts_at_its_own_key_only(open_shop: OpenIt, attack: Begin) -> None:
    """OWASP ASVS 5.0, 11.4.1: a seal holds what it is for, and where it belongs.

    The attacker copies every value onto every key. He holds codes and tokens of his own, and
    tries them in Ada's name; and his registration code where a login code is asked for.
    """
    shop = open_shop(OTP_AUTH_VERIFY_LIMITS="100000/day", OTP_AUTH_MAX_GUESS_CHANCE=1)
    shop.customers.add(EVE)
    api, own = shop.api(), []
    ada = sign_in_at(shop.app)
    with_ada = set(shop.values)
    assert api.revoke(ada).status_code == 200
    (adas_slot,) = with_ada - set(shop.values)
    eve, registration = sign_in_at(shop.app, EVE), register(shop.app, BOB)
    with Outbox(shop.app) as outbox:
        api.generate(ADA)
        for who in (EVE, BOB):
            (api.generate if who != BOB else api.pre_register)(who)
            own.append(outbox.last.otp)
    swapping = attack("storage: values moved to other keys")
    before = shop.values
    for source, target in itertools.permutations([*before, adas_slot], 2):
        if source == adas_slot:
            continue  # it is empty, since she has signed out
        shop.store.items.clear()
        shop.plant({**before, target: before[source]})
        for route, otp in itertools.product(GUESSING, own):
            swapping.tried(getattr(api, route)(otp, ADA).status_code == 200)
        for token in (ada, registration):
            swapping.tried(api.client.get("/me", headers=bearer(token)).status_code != 401)
    shop.plant(before)
    assert api.client.get("/me", headers=bearer(eve)).get_json() == {"id": "2"}
    assert swapping.failed(tries=900)


@pytest.mark.parametrize("purpose", ASKING)
def test_asvs_11_4_1_whole_codes_moved_to_somebody_elses_keys_are_none_there(
    open_shop: OpenIt, attack: Begin, purpose: str
) -> None:
    """OWASP ASVS 5.0, 11.4.1: moved with its right and its pointer, a code of Eve's is Eve's.

    The attacker knows how keys are built, and Ada's pseudonym from hers. All of Eve's values are
    put under each name that is known with it, whatever it stands for.
    """
    shop = open_shop(OTP_AUTH_VERIFY_LIMITS="100000/day", OTP_AUTH_MAX_GUESS_CHANCE=1)
    shop.customers.add(EVE)
    api = shop.api()
    with Outbox(shop.app) as outbox:
        for verb in ASKING.values():
            getattr(api, verb)(ADA)
        adas = set(shop.values)
        getattr(api, ASKING[purpose])(BOB if purpose == "registration" else EVE)
    eves = {key: value for key, value in shop.values.items() if key not in adas}
    tag = next(iter(adas)).partition("}")[0]
    names = {key.partition("}")[2] for key in shop.values}
    moving = attack("storage: whole codes moved to somebody else's keys")
    for value in eves.values():
        shop.plant({f"{tag}}}{name}": value for name in names})
        shop.plant({f"{tag}}}{key.partition('}')[2]}": text for key, text in eves.items()})
        for route in GUESSING:
            moving.tried(getattr(api, route)(outbox.last.otp, ADA).status_code == 200)
    assert moving.failed(tries=8)


class Bomb:
    """Goes off when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a value was unpickled",)


PLANTS = [pickle.dumps(Bomb()), b"!" + pickle.dumps(Bomb()), pickle.dumps("1"), b"[1]", b"\x80"]
PLANTS += ["[]", "1"]


@pytest.mark.parametrize("plant", [*PLANTS, 7, 1.5, None], ids=lambda plant: repr(plant)[:20])
def test_asvs_1_5_2_a_planted_value_is_never_loaded(
    make_guarded: MakeApp, tmp_path: Path, attack: Begin, plant: object
) -> None:
    """OWASP ASVS 5.0, 1.5.2: no object comes out of the storage; garbage counts as absent."""
    path = tmp_path / "codes.sqlite3"
    app = make_guarded(OTP_AUTH_STORAGE_URI=f"sqlite:///{path}", **MANY_ADDRESSES)
    api = Api(app.test_client())
    token, registration = sign_in_at(app), register(app, "carl@example.com")
    with Outbox(app) as outbox:
        challenge = api.generate().get_json()["challenge"]
        api.pre_register()
        api.start()
    codes = [message.otp for message in outbox]
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE otp_cache SET value = ?", (plant,))
        connection.execute("UPDATE OR IGNORE otp_hit SET after = ?, first = ?", (plant, plant))
    connection.close()
    planting = attack("storage: pickles and garbage planted in SQLite")
    for route, otp, given in itertools.product(GUESSING, codes, (None, challenge)):
        for who in (ADA, BOB):
            answer = getattr(api, route)(otp, who, challenge=given)
            planting.tried(answer.status_code != 400)
    for text in (token, registration):
        planting.tried(api.client.get("/me", headers=bearer(text)).status_code != 401)
        planting.tried(api.refresh(text).status_code not in (401, 409))
    assert api.generate("new@example.com").status_code == 200
    assert planting.failed(tries=50)


@pytest.mark.parametrize("whose", ["another user's", "writable by all"])
def test_asvs_13_2_2_a_file_that_somebody_else_planted_is_not_used(
    make_app: MakeApp, tmp_path: Path, attack: Begin, whose: str
) -> None:
    """OWASP ASVS 5.0, 13.2.2: in a folder that others may write to, they could wait for us."""
    path = tmp_path / "codes.sqlite3"
    path.touch(0o600)
    if whose == "writable by all":
        path.chmod(0o666)
    elif os.getuid() == 0:
        os.chown(path, 65534, 65534)
    else:
        pytest.skip("only root can give files away")
    app = make_app(OTP_AUTH_STORAGE_URI=f"sqlite:///{path}")
    planting = attack("storage: an SQLite file that was planted before the start")
    with Outbox(app) as outbox:
        for verb in ("generate", "pre_register", "start"):
            answer = getattr(Api(app.test_client()), verb)()
            planting.tried(answer.status_code != 503 or len(outbox) > 0)
    planting.tried(path.stat().st_size > 0)
    assert planting.failed(tries=4)


def test_asvs_7_4_1_a_storage_that_forgets_brings_no_sign_in_back(
    open_shop: OpenIt, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 7.4.1: whatever it evicts, while people sign in and out and are put out.

    Of codes ``tests/flows`` says the same.
    """
    shop, dice = open_shop(OTP_AUTH_MAX_SIGN_INS=3), random.Random(0)
    reviving = attack("storage: sign-ins that were ended, evicted or crowded out")
    live: list[str] = []
    over: list[str] = []
    for _ in range(150):
        with shop.app.app_context():
            live.append(shop.otp_auth.sign_in("customer", shop.customers.accounts[0]))
        if dice.random() < 0.5:
            shop.api().revoke(dice.choice(live))
        keys = sorted(shop.store.items)
        for key in dice.sample(keys, min(len(keys), dice.choice((0, 0, 0, 1, 2)))):
            shop.store.items.pop(key)
        for token in over:
            reviving.tried(shop.api().client.get("/any", headers=bearer(token)).status_code != 401)
        states = {each: shop.api().client.get("/me", headers=bearer(each)) for each in live}
        live = [token for token, answer in states.items() if answer.status_code == 200]
        over += [token for token in states if token not in live]
        over = dice.sample(over, min(len(over), 20))
        assert len(live) <= 3
    assert reviving.failed(tries=2_000)


def test_whoever_restores_deleted_keys_uses_a_code_again_and_is_signed_in_again(
    open_shop: OpenIt,
) -> None:
    """Not prevented: whoever can write to the storage can put back what was taken.

    Nobody can tell a key that was restored from one that was never taken, except Redis after a
    restart. Budgets are in another place if ``limiter=`` is: they still hold.
    """
    shop = open_shop()
    api = shop.api()
    with Outbox(shop.app) as outbox:
        api.generate()
    sent = shop.values
    token = api.verify(outbox.last.otp).get_json()["token"]
    signed_in = shop.values
    assert api.revoke(token).status_code == 200
    assert api.client.get("/me", headers=bearer(token)).status_code == 401
    shop.plant(signed_in)
    assert api.client.get("/me", headers=bearer(token)).status_code == 200
    shop.plant(sent)
    assert api.verify(outbox.last.otp).status_code == 200
    for _ in range(18):
        api.verify(wrong(outbox.last.otp))
    shop.plant(sent)
    assert api.verify(outbox.last.otp).status_code == 400
