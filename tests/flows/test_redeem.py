"""Answering with a code: once, in time, for whom it was sent to and for what it was asked."""

import pytest
from fakes import ADA, BOB, SECRET, wrong
from routes import (
    DOOR_IN,
    DOOR_JOIN,
    LOGIN,
    REGISTRATION,
    MakeShop,
    Route,
    Shop,
    all_routes,
    configured,
)
from werkzeug.test import TestResponse

from flask_otp_auth import InvalidData, NotFound, OTPAuth, RequestError, Unauthorized
from flask_otp_auth.core.crypto import KeyHasher, Keys


@all_routes
class TestACode:
    def test_is_good_once(self, shop: Shop, route: Route) -> None:
        route.ask(shop)
        assert not route.is_good(shop, wrong(shop.otp))
        assert [route.is_good(shop, shop.otp) for _ in range(2)] == [True, False]
        facts = {"actor_type": "customer", "identifier": route.wanted, "purpose": route.purpose}
        assert shop.recorder.of("otp_verified") == [facts]
        reasons = ["wrong"] if route is DOOR_JOIN else ["wrong", "unknown"]
        assert shop.recorder.of("otp_rejected") == [
            {**facts, "reason": reason} for reason in reasons
        ]

    def test_is_good_for_its_five_minutes(self, shop: Shop, route: Route) -> None:
        for seconds, is_good in ((299.9, True), (300, False)):
            route.ask(shop)
            shop.clock.shift(seconds)
            assert route.is_good(shop, shop.otp) is is_good
        shop.clock.shift(86_400)
        assert not route.is_good(shop, shop.otp)
        assert shop.recorder.reasons() == ["expired", "unknown"]

    def test_may_be_pasted_with_what_stands_around_it_and_for_any_spelling(
        self, shop: Shop, route: Route
    ) -> None:
        route.ask(shop)
        otp = shop.otp
        pasted = f"\u2068{otp[:3]}–{otp[3:]} \n".translate({ord("1"): "１", ord("2"): "٢"})
        assert route.is_good(shop, pasted, f" {route.wanted.upper()}\u200b")

    def test_of_a_form_that_no_code_has_costs_no_guess(self, shop: Shop, route: Route) -> None:
        route.ask(shop)
        shop.forget_calls()
        for otp in ("", "hello", "12345", "1234567", "12345²", "1" * 19, "1" * 128, "\0"):
            assert not route.is_good(shop, otp)
        assert shop.recorder.reasons() == ["wrong"] * 8
        assert shop.store.calls == []
        assert shop.limits.calls == ["hit", "look"] * 8  # the address

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"otp": None}, InvalidData),
            ({"otp": 123456}, InvalidData),
            ({"otp": "1" * 129}, InvalidData),
            ({"challenge": "c" * 65}, InvalidData),
            ({"challenge": 7}, InvalidData),
            ({"identifier": None}, InvalidData),
            ({"identifier": "ada"}, InvalidData),
            ({"actor_type": "robot"}, NotFound),
        ],
    )
    def test_with_arguments_that_can_not_be_costs_nothing(
        self, shop: Shop, route: Route, fields: dict[str, object], error: type[Exception]
    ) -> None:
        given = {"actor_type": "customer", "identifier": ADA, "otp": "123456", **fields}
        with shop.app.app_context(), pytest.raises(error):
            getattr(shop.otp_auth, route.redeem_by)(**given)
        assert (shop.store.calls, shop.limits.calls) == ([], [])

    @configured(ip_verify_limits="2/hour")
    def test_is_not_looked_at_from_an_address_without_guesses(
        self, shop: Shop, route: Route
    ) -> None:
        route.ask(shop)
        for otp in ("12345", "1" * 20):  # of whatever form
            assert not route.is_good(shop, otp)
        shop.forget_calls()
        answer = route.redeem(shop, shop.otp)
        assert (answer.status_code, answer.get_json()["type"]) == (429, "rate_limited")
        assert shop.store.calls == []
        assert [each["address"] for each in shop.recorder.of("rate_limited")] == ["127.0.0.1"]
        shop.api.address = "192.0.2.1"
        assert route.is_good(shop, shop.otp)

    def test_under_a_former_secret_key_stays_good_with_its_challenge(
        self, shop: Shop, make_shop: MakeShop, route: Route
    ) -> None:
        challenge, otp = route.ask(shop), shop.otp
        rotated = make_shop(SECRET_KEY="n" + SECRET[::-1], SECRET_KEY_FALLBACKS=[SECRET])
        rotated.store.items.update(shop.store.items)
        tries = [route.is_good(rotated, otp, challenge=challenge) for _ in range(2)]
        assert tries == [True, False]


class TestChallenges:
    @all_routes
    def test_any_of_this_identifier_and_purpose_goes_with_any_of_its_codes(
        self, shop: Shop, route: Route
    ) -> None:
        """A double click, a reload, a second tab."""
        held = [route.ask(shop) for _ in range(3)]
        assert len(shop.outbox) == 1
        assert route.is_good(shop, shop.otp, challenge=held[2])
        route.ask(shop)
        assert route.is_good(shop, shop.otp, challenge=held[0])
        assert not route.is_good(shop, shop.otp, challenge=None)

    @all_routes
    def test_one_that_does_not_fit_is_refused_and_costs_no_guess(
        self, shop: Shop, route: Route
    ) -> None:
        own = route.ask(shop)
        other = DOOR_IN if route == LOGIN else LOGIN
        unfit = ["", "made up", "ü" * 64, own[:-1] + "!", other.ask(shop, route.wanted)]
        unfit.append(route.ask(shop, "eve@example.com"))
        shop.forget_calls()
        otp = next(one.otp for one in shop.outbox.messages if one.challenge == own)
        for challenge in unfit:
            assert not route.is_good(shop, otp, challenge=challenge)
        assert shop.store.calls == []
        shop.clock.shift(900)
        assert not route.is_good(shop, otp, challenge=own)
        assert shop.recorder.reasons() == ["challenge"] * 7

    @all_routes
    @configured(require_challenge=True)
    def test_they_can_be_required(self, shop: Shop, route: Route) -> None:
        challenge = route.ask(shop)
        answer = route.redeem(shop, shop.otp)
        error = {"type": "invalid_data", "message": "challenge is missing."}
        assert (answer.status_code, answer.get_json()) == (400, error)
        assert route.is_good(shop, shop.otp, challenge=challenge)

    def test_one_of_a_registration_goes_with_its_grace_and_one_of_a_login_does_not(
        self, shop: Shop
    ) -> None:
        challenge = REGISTRATION.ask(shop)
        otp = shop.otp
        assert REGISTRATION.is_good(shop, otp)
        shop.customers.add(BOB)
        other = LOGIN.ask(shop, BOB)
        assert shop.api.authenticate(otp, challenge=other).status_code == 400
        assert shop.api.authenticate(shop.otp, challenge=challenge).status_code == 400
        assert shop.api.authenticate(otp, challenge=challenge).status_code == 200
        assert shop.api.authenticate(shop.otp, challenge=other).status_code == 200


class TestRegistration:
    @pytest.mark.parametrize("is_active", [True, False])
    def test_whoever_has_the_code_is_told_once_that_there_is_an_account(
        self, shop: Shop, is_active: bool
    ) -> None:
        REGISTRATION.ask(shop)
        otp = shop.otp
        shop.customers.add(BOB).is_active = is_active
        assert not REGISTRATION.is_good(shop, wrong(otp))
        assert shop.api.register(otp).get_json()["type"] == "duplicate_error"
        assert not REGISTRATION.is_good(shop, otp)
        assert shop.api.authenticate(otp).status_code == 400  # there is no grace

    def test_whoever_is_not_invited_any_more_does_not_register(self, shop: Shop) -> None:
        invited = {BOB}
        shop.otp_auth.add_actor_type("guest", shop.customers, sign_up=invited.__contains__)
        shop.api.actor_type = "guest"
        REGISTRATION.ask(shop)
        invited.clear()
        assert not REGISTRATION.is_good(shop, shop.otp)
        invited.add(BOB)
        assert REGISTRATION.is_good(shop, shop.otp)


class TestGrace:
    @pytest.fixture
    def otp(self, shop: Shop) -> str:
        """Bob's code, just registered."""
        REGISTRATION.ask(shop)
        assert REGISTRATION.is_good(shop, shop.otp)
        return shop.otp

    def grace(self, shop: Shop, otp: str) -> int:
        return shop.api.authenticate(otp, BOB).status_code

    def test_the_code_signs_in_once_more(self, shop: Shop, otp: str) -> None:
        shop.customers.add(BOB)
        assert [self.grace(shop, otp) for _ in range(2)] == [200, 400]
        assert [each["method"] for each in shop.recorder.of("actor_authenticated")] == ["grace"]

    @pytest.mark.parametrize(("seconds", "status"), [(59.9, 200), (60, 400)])
    def test_within_a_minute(self, shop: Shop, otp: str, seconds: float, status: int) -> None:
        shop.customers.add(BOB)
        shop.clock.shift(seconds)
        assert self.grace(shop, otp) == status

    def test_it_is_kept_while_there_is_no_active_account(self, shop: Shop, otp: str) -> None:
        assert self.grace(shop, otp) == 409
        bob = shop.customers.add(BOB)
        bob.is_active = False
        assert self.grace(shop, otp) == 409
        bob.is_active = True
        assert self.grace(shop, otp) == 200

    def test_that_answer_is_for_whoever_has_the_code(self, shop: Shop, otp: str) -> None:
        assert [self.grace(shop, wrong(otp)), shop.api.authenticate(otp, ADA).status_code] == [
            400,
            400,
        ]

    @configured(verify_limits="2/day")
    def test_guesses_at_it_are_guesses_as_any(self, shop: Shop, otp: str) -> None:
        challenge = REGISTRATION.ask(shop)
        shop.customers.add(BOB)
        shop.api.authenticate(wrong(otp), challenge=challenge)
        assert self.grace(shop, otp) == 400
        assert shop.recorder.reasons() == ["wrong", "budget"]
        assert [each["purpose"] for each in shop.recorder.of("identifier_attacked")] == ["login"]

    @configured(send_limits="1/hour", resend_interval=0)
    def test_that_of_a_long_code_is_long_as_well(self, shop: Shop) -> None:
        for _ in range(2):
            REGISTRATION.ask(shop)
        otp = shop.otp
        assert (len(otp), REGISTRATION.is_good(shop, otp)) == (20, True)
        shop.customers.add(BOB)
        for _ in range(25):
            assert self.grace(shop, wrong(otp)) == 400
        assert self.grace(shop, otp) == 200

    def test_without_one_the_route_takes_login_codes(self, shop: Shop) -> None:
        LOGIN.ask(shop)
        assert self.grace(shop, shop.otp) == 400
        assert shop.api.authenticate(shop.otp, ADA).status_code == 200
        assert [each["method"] for each in shop.recorder.of("actor_authenticated")] == ["otp"]


class TestGuesses:
    @all_routes
    def test_twenty_a_day_are_compared_and_then_codes_are_long(
        self, shop: Shop, route: Route
    ) -> None:
        route.ask(shop)
        short = shop.otp
        for _ in range(20):
            assert not route.is_good(shop, wrong(short))
        assert not route.is_good(shop, short)
        assert shop.recorder.reasons() == ["wrong"] * 20 + ["budget"]
        assert [
            (each["purpose"], each["limit"]) for each in shop.recorder.of("identifier_attacked")
        ] == [(route.purpose, "guesses")]
        route.ask(shop)
        long = shop.otp
        assert len(long) == 20
        for _ in range(30):
            assert not route.is_good(shop, wrong(long))
        assert [route.is_good(shop, long) for _ in range(2)] == [True, False]
        shop.clock.shift(86_401)
        route.ask(shop)
        assert len(shop.otp) == 6
        assert route.is_good(shop, shop.otp)

    def test_the_last_one_may_be_right(self, shop: Shop) -> None:
        LOGIN.ask(shop)
        for _ in range(19):
            LOGIN.is_good(shop, wrong(shop.otp))
        assert shop.recorder.of("identifier_attacked") == []
        assert LOGIN.is_good(shop, shop.otp)
        assert len(shop.recorder.of("identifier_attacked")) == 1

    def test_all_purposes_share_them(self, shop: Shop) -> None:
        LOGIN.ask(shop)
        redeemers = (shop.api.verify, shop.api.register, shop.api.authenticate, shop.api.finish)
        for number in range(20):
            assert redeemers[number % 4]("000000", ADA).status_code == 400
        assert not LOGIN.is_good(shop, shop.otp)
        for route in (LOGIN, DOOR_IN):
            route.ask(shop)
            assert len(shop.otp) == 20

    @all_routes
    def test_they_do_the_same_work_whether_there_is_a_code_an_account_or_nothing(
        self, make_shop: MakeShop, route: Route
    ) -> None:
        """To the last one, and beyond; also past the limit that opens the breaker."""
        work = []
        for situation in ("a code", "a used code", "an account", "nothing"):
            shop = make_shop(OTP_AUTH_VERIFY_LIMITS="6/day", OTP_AUTH_GLOBAL_FAILURE_LIMIT="3/hour")
            who = "eve@example.com" if situation == "nothing" else route.wanted
            route.ask(shop, who if "code" in situation else "adam@example.com")
            if situation == "a used code":
                assert route.is_good(shop, shop.otp)
                shop.limits.reset()
            otp = wrong(shop.otp) if "code" in situation else "123456"
            shop.forget_calls()
            for guess in [otp] * 8 + [otp * 3 + "12"] * 2:
                assert not route.is_good(shop, guess, who)
            keys = [(verb, len(keys)) for verb, keys in shop.store.calls]
            work.append((keys, shop.limits.calls, shop.customers.calls))
        assert work[0][2] == []
        assert work == [work[0]] * 4

    @configured(global_failure_limit="3/hour", verify_limits="9/day", max_guess_chance=1)
    def test_too_many_that_fail_make_new_codes_long_and_leave_those_that_were_sent(
        self, shop: Shop
    ) -> None:
        shop.customers.add(BOB)
        LOGIN.ask(shop)
        LOGIN.ask(shop, BOB)
        ada, bob = (message.otp for message in shop.outbox.messages)
        for _ in range(3):
            LOGIN.is_good(shop, wrong(bob), BOB)
        assert shop.recorder.of("breaker_opened") == [{"limit": "global_failure_limit"}]
        assert LOGIN.is_good(shop, ada)
        LOGIN.ask(shop)
        assert len(shop.otp) == 20
        assert LOGIN.is_good(shop, shop.otp)

    @configured(global_failure_limit="3/hour")
    def test_none_is_a_failure_that_no_code_could_have_stood(self, shop: Shop) -> None:
        """At nothing, of another form, long ones, or right ones."""
        for _ in range(3):
            LOGIN.is_good(shop, "123456", BOB)
            LOGIN.is_good(shop, "12345")
            LOGIN.is_good(shop, "1" * 20)
            LOGIN.ask(shop)
            assert LOGIN.is_good(shop, shop.otp)
            LOGIN.is_good(shop, shop.otp)
        LOGIN.ask(shop)
        assert len(shop.otp) == 6


class TestRaces:
    """Of two callers with the right code one wins, however they interleave."""

    @all_routes
    def test_somebody_else_is_faster_by_a_hair(self, shop: Shop, route: Route) -> None:
        route.ask(shop)
        rival: list[TestResponse] = []

        def overtake() -> None:
            shop.store.before_take = lambda: None
            rival.append(route.redeem(shop, shop.otp))

        shop.store.before_take = overtake
        assert not route.is_good(shop, shop.otp)
        assert rival[0].status_code == 200
        assert shop.recorder.reasons() == ["unknown"]
        assert len(shop.recorder.of("otp_verified")) == 1

    def test_a_code_is_used_while_the_next_one_is_sent(self, shop: Shop) -> None:
        """That one ends with it, and another one can be asked for."""
        LOGIN.ask(shop)
        shop.clock.shift(60)

        def ask() -> None:
            shop.store.before_take = lambda: None
            LOGIN.ask(shop)

        shop.store.before_take = ask
        first = shop.otp
        assert LOGIN.is_good(shop, first)
        assert not LOGIN.is_good(shop, shop.otp)
        LOGIN.ask(shop)
        assert LOGIN.is_good(shop, shop.otp)


class TestWithoutHTTP:
    """An app's own views, scripts and tests call the flows; only an app context is needed."""

    @configured(ip_verify_limits="1/day", verify_limits="2/day")
    def test_no_address_counts_but_every_other_limit_does(self, shop: Shop) -> None:
        with shop.app.app_context():
            issued = shop.otp_auth.generate("customer", ADA)
            refused = [self.refusal(shop.otp_auth, otp) for otp in ("1", "1" * 20, "1" * 20)]
            refused += [self.refusal(shop.otp_auth, wrong(shop.otp)) for _ in range(2)]
            assert refused == ["invalid_otp"] * 5
            assert self.refusal(shop.otp_auth, shop.otp) == "invalid_otp"
            shop.otp_auth.generate("customer", ADA)
            token = shop.otp_auth.verify("customer", ADA, shop.otp, issued.challenge)
        assert (token.actor.email, token.identifier, token.registration) == (ADA, ADA, False)

    def refusal(self, otp_auth: OTPAuth, otp: str) -> str:
        with pytest.raises(RequestError) as caught:
            otp_auth.verify("customer", ADA, otp)
        return caught.value.type


def test_sign_ins_are_listed_and_ended_without_http(shop: Shop) -> None:
    ada = shop.customers.accounts[0]
    with shop.app.app_context():
        token = shop.otp_auth.sign_in("customer", ada)
        (sign_in,) = shop.otp_auth.sign_ins("customer", ada)
        assert shop.otp_auth.end_sign_in("customer", ada, sign_in.id)
        assert not shop.otp_auth.end_sign_in("customer", ada, sign_in.id)
        with pytest.raises(Unauthorized):
            shop.otp_auth.identify(token)


def test_an_account_that_is_gone_signs_nobody_in(shop: Shop) -> None:
    for route in (LOGIN, DOOR_IN):
        route.ask(shop)
    REGISTRATION.ask(shop)
    ada = shop.customers.accounts.pop()
    ada.is_active = False
    assert not LOGIN.is_good(shop, shop.outbox.messages[0].otp)
    shop.customers.accounts.append(ada)
    assert not LOGIN.is_good(shop, shop.outbox.messages[0].otp)
    assert not DOOR_IN.is_good(shop, shop.outbox.messages[1].otp)
    assert shop.recorder.reasons() == ["unknown"] * 3
    ada.is_active = True
    assert LOGIN.is_good(shop, shop.outbox.messages[0].otp)


def test_an_upgrade_goes_on_counting_where_the_version_before_stopped(shop: Shop) -> None:
    for route in (REGISTRATION, LOGIN):
        route.ask(shop)
        assert not route.is_good(shop, wrong(shop.otp))
    assert not LOGIN.is_good(shop, "000000", "eve@example.com")
    hasher = KeyHasher(Keys.derive([SECRET.encode()], shop.app.name).names)
    assert {key.split("/")[2] for key in shop.limits.events} == {
        hasher.digest(*parts)
        for parts in (
            ("address", "generate", "127.0.0.1"),
            ("address", "verify", "127.0.0.1"),
            ("send", "customer", "login", ADA),
            ("send", "customer", "registration", BOB),
            ("verify", "customer", ADA),
            ("verify", "customer", BOB),
            ("verify", "customer", "eve@example.com"),
            ("destination", BOB),
            ("global_send_limit", "customer"),
            ("global_failure_limit", "customer"),
            ("guesses at nothing", "customer"),
        )
    }
