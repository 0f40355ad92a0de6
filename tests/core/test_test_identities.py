"""Lines of test identities: made by us alone, for ninety days at most, giving no code away."""

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from fakes import ADA, BOB, SECRET, START
from time_machine import Traveller

from flask_otp_auth.core.crypto import Keys
from flask_otp_auth.core.scopes import Scope
from flask_otp_auth.core.settings import Settings
from flask_otp_auth.core.test_identities import FixedCodes, IdentityLine
from flask_otp_auth.errors import ConfigError

KEYS = Keys.derive([SECRET.encode()], "shop")
ADA_SCOPE = Scope("customer", "login", ADA)
OTHER_SECRET = "n" + SECRET[::-1]


def new(days: int = 30, actor_type: str = "customer", who: str = ADA) -> tuple[IdentityLine, str]:
    """Return a new line and its code."""
    return FixedCodes(KEYS, ()).new(actor_type, who, days)


def fits(line: IdentityLine, code: str, scope: Scope = ADA_SCOPE) -> bool:
    return FixedCodes(KEYS, [line]).fits(scope, code)


def load(*lines: object, **config: Any) -> tuple[IdentityLine, ...]:
    """Load the settings with these lines."""
    given = {"SECRET_KEY": SECRET, "OTP_AUTH_TEST_IDENTITIES": [*map(str, lines)], **config}
    return Settings.load(given).test_identities


def fault(*lines: object, **config: Any) -> str:
    """Return the one fault of settings with these lines."""
    with pytest.raises(ConfigError) as caught:
        load(*lines, **config)
    (found,) = caught.value.faults
    return found


class TestALine:
    def test_says_who_from_when_and_until_when(self, clock: Traveller) -> None:
        line, code = new(7)
        words = str(line).split(" ")
        assert words[:4] == ["customer", ADA, "2026-01-02T03:04:05Z", "2026-01-09T03:04:05Z"]
        assert (len(bytes.fromhex(words[4])), len(code), code.isdigit()) == (32, 20, True)
        assert str(IdentityLine.parse(str(line))) == str(line)

    def test_gives_its_code_to_nobody_and_is_another_each_time(self) -> None:
        (line, code), (other, another) = new(), new()
        assert (code != another, line.digest != other.digest) == (True, True)
        assert code not in str(line)
        assert ADA not in repr(line)

    def test_may_be_of_an_identifier_in_any_form(self) -> None:
        line, _ = new(who="Ada of  Accounting 7")
        assert IdentityLine.parse(str(line)).identifier == "Ada of  Accounting 7"

    def test_is_made_with_the_keys_of_test_identities_alone(self) -> None:
        line, code = new()
        good = [
            field.name
            for field in fields(Keys)
            if not FixedCodes(replace(KEYS, **{field.name: (b"other",)}), [line]).fits(
                ADA_SCOPE, code
            )
        ]
        assert good == ["test_identities"]


class TestACode:
    def test_of_another_line_is_not_good(self) -> None:
        line, _ = new()
        assert not fits(line, new()[1])

    def test_does_not_move_to_another_line(self) -> None:
        """Who may write the configuration and has one code gives nobody else that code."""
        line, code = new()
        for changed in (
            replace(line, identifier=BOB),
            replace(line, actor_type="user"),
            replace(line, end=line.end + timedelta(days=30)),
            replace(line, begin=line.begin - timedelta(days=1)),
        ):
            scope = Scope(changed.actor_type, "login", changed.identifier)
            assert not fits(changed, code, scope)

    def test_is_good_from_its_beginning_to_its_end(self, clock: Traveller) -> None:
        line, code = new(7)
        for moment, is_good in (
            (line.begin - timedelta(seconds=1), False),
            (line.begin, True),
            (line.end - timedelta(seconds=1), True),
            (line.end, False),
        ):
            clock.move_to(moment)
            assert (fits(line, code), FixedCodes(KEYS, [line]).has(ADA_SCOPE)) == (is_good,) * 2

    def test_of_two_lines_for_one_identifier_each_is_good(self) -> None:
        (line, code), (other, another) = new(), new()
        both = FixedCodes(KEYS, [line, other])
        assert [both.fits(ADA_SCOPE, each) for each in (code, another, "1" * 20)] == [
            True, True, False
        ]  # fmt: skip


class TestTheSetting:
    def test_takes_lines_as_they_were_printed(self) -> None:
        line, _ = new()
        assert list(map(str, load(line))) == [str(line)]
        given = {"SECRET_KEY": SECRET, "OTP_AUTH_TEST_IDENTITIES": f'["{line}"]'}
        assert list(map(str, Settings.load(given).test_identities)) == [str(line)]

    def test_takes_those_of_a_former_secret_key(self) -> None:
        line, code = new()
        config = {"SECRET_KEY": OTHER_SECRET, "SECRET_KEY_FALLBACKS": [SECRET]}
        assert len(load(line, **config)) == 1
        keys = Keys.derive([SECRET.encode(), OTHER_SECRET.encode()], "shop")
        assert FixedCodes(keys, [line]).fits(ADA_SCOPE, code)

    def test_takes_those_from_before_an_upgrade(self, clock: Traveller) -> None:
        clock.move_to(1_700_000_000)
        text = (
            f"customer {ADA} 2023-11-14T22:13:20Z 2023-12-14T22:13:20Z "
            "74feccaf803fc9a3a95fdfcc5584b3cce195bea3795d9fdb6be246a551722361"
        )
        (line,) = load(text)
        assert fits(line, "38231835742023605456")

    def test_refuses_those_of_another_secret_key_by_their_number(self) -> None:
        foreign, _ = FixedCodes(Keys.derive([b"other"], "shop"), ()).new("customer", ADA, 1)
        found = fault(new()[0], foreign)
        assert found.startswith("OTP_AUTH_TEST_IDENTITIES: number 2 was changed, or was not made")
        assert "flask otp test-identity" in found
        assert ADA not in found

    @pytest.mark.parametrize(
        "change",
        [
            {"actor_type": "user"},
            {"identifier": BOB},
            {"begin": START.replace(microsecond=0) + timedelta(days=1)},
            {"end": START.replace(microsecond=0) + timedelta(days=31)},
            {"digest": "0" * 32},
            {"seal": "0" * 32},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_refuses_one_that_was_changed(self, clock: Traveller, change: dict[str, Any]) -> None:
        assert "number 1 was changed" in fault(replace(new()[0], **change))

    def test_refuses_one_for_more_than_ninety_days(self, clock: Traveller) -> None:
        assert len(load(new(90)[0])) == 1
        for days in (91, 0, -1):
            assert "must be good for 90 days at most" in fault(new(days)[0])

    def test_refuses_one_that_ends_more_than_ninety_days_ahead(self, clock: Traveller) -> None:
        """But a clock may be five minutes ahead of another one."""
        clock.shift(300)
        line, _ = new(90)
        clock.shift(-300)
        assert len(load(line)) == 1
        clock.shift(-2)
        assert "must end in 90 days at the latest" in fault(line)

    def test_takes_one_that_has_ended(self, clock: Traveller) -> None:
        """A deployment must not stop on its own one morning."""
        line, _ = new(7)
        clock.shift(8 * 86_400)
        assert load(line)[0].has_ended

    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("", "no line"),
            ("customer", "no line"),
            (f"customer {ADA} 2026-01-02T03:04:05Z 2026-01-09T03:04:05Z", "no line"),
            (f"customer {ADA} 2026-01-02T03:04:05Z 2026-01-09T03:04:05Z {'0' * 63}", "no line"),
            (f"cus tomer/x 2026-01-02 2026-01-09T03:04:05Z {'0' * 64}", "a time"),
            (f"customer {ADA} 2026-13-02T03:04:05Z 2026-01-09T03:04:05Z {'0' * 64}", "a time"),
            (f"customer {ADA} 2026-01-02T03:04:05Z 2026-01-09T03:04:05Z {'0' * 64}\n", "no line"),
        ],
    )
    def test_refuses_what_is_no_line_and_repeats_nothing_of_it(self, text: str, what: str) -> None:
        found = fault(new()[0], text)
        assert found.startswith("OTP_AUTH_TEST_IDENTITIES must be lines of test identities: number")
        assert "number 2 " in found
        assert what in found
        assert "ada" not in found
