"""Challenges: what somebody holds who asked; sealed for what he asked for, stored nowhere."""

import pytest
from engine import LOGIN, NEW, OLD, SCOPES
from hypothesis import given
from hypothesis import strategies as st
from time_machine import Traveller

from flask_otp_auth.core.challenges import MAX_LENGTH, Challenges, check_challenge
from flask_otp_auth.core.crypto import Keys
from flask_otp_auth.errors import InvalidData


@pytest.fixture
def challenges() -> Challenges:
    """The challenges of an app."""
    return Challenges(Keys.derive([NEW], "shop"))


class TestSealing:
    def test_a_challenge_fits_what_it_was_made_for_and_nothing_else(
        self, challenges: Challenges
    ) -> None:
        for scope in SCOPES:
            assert challenges.fitting(challenges.new(scope), SCOPES) == [scope]

    def test_each_request_gets_another_one(self, challenges: Challenges) -> None:
        made = {challenges.new(LOGIN) for _ in range(100)}
        assert len(made) == 100
        assert all(len(challenge) <= MAX_LENGTH for challenge in made)

    def test_it_can_stand_in_a_url_and_tells_nothing(self, challenges: Challenges) -> None:
        challenge = challenges.new(LOGIN)
        assert challenge.replace("-", "").replace("_", "").isalnum()
        assert "ada" not in challenge

    def test_it_lives_for_fifteen_minutes(self, challenges: Challenges, clock: Traveller) -> None:
        challenge = challenges.new(LOGIN)
        clock.shift(899)
        assert challenges.fitting(challenge, [LOGIN]) == [LOGIN]
        clock.shift(1)
        assert challenges.fitting(challenge, [LOGIN]) == []

    def test_one_under_a_former_secret_key_fits_while_that_is_a_fallback(self) -> None:
        challenge = Challenges(Keys.derive([OLD], "shop")).new(LOGIN)
        rotated, replaced = Keys.derive([OLD, NEW], "shop"), Keys.derive([NEW], "shop")
        assert Challenges(rotated).fitting(challenge, [LOGIN]) == [LOGIN]
        assert Challenges(replaced).fitting(challenge, [LOGIN]) == []

    def test_one_from_before_an_upgrade_fits_after_it(
        self, challenges: Challenges, clock: Traveller
    ) -> None:
        clock.move_to(1_700_000_000)
        challenge = "ABSVH5EEYQCXZEMC2P6FALNV6ZHPSMIT7CMEUI66J4OY4ZBCLLJPNIJJ"
        assert challenges.fitting(challenge, SCOPES) == [LOGIN]


class TestForging:
    @given(st.text(max_size=MAX_LENGTH) | st.binary(max_size=48).map(lambda raw: raw.hex()))
    def test_garbage_fits_nothing(self, garbage: str) -> None:
        assert Challenges(Keys.derive([NEW], "shop")).fitting(garbage, SCOPES) == []


class TestWhatCallersSend:
    @pytest.mark.parametrize("challenge", ["", "f00d", "x" * MAX_LENGTH, "ü", "\x00"])
    @pytest.mark.parametrize("required", [True, False])
    def test_any_short_text_may_be_sent(self, challenge: str, required: bool) -> None:
        check_challenge(challenge, required=required)

    def test_none_may_be_sent_unless_one_is_required(self) -> None:
        check_challenge(None)
        with pytest.raises(InvalidData, match="challenge is missing"):
            check_challenge(None, required=True)

    @pytest.mark.parametrize("challenge", [7, b"f00d", ["f00d"], "x" * 65])
    def test_what_can_not_be_one_is_refused_without_an_echo(self, challenge: object) -> None:
        with pytest.raises(InvalidData, match="challenge must be") as caught:
            check_challenge(challenge)
        assert str(challenge) not in str(caught.value)
