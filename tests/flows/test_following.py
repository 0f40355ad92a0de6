"""The link beside a code: the same right, used by whoever asked and opens the message."""

from dataclasses import dataclass

import pytest
from fakes import ADA, BOB, wrong
from routes import DOOR_IN, LOGIN, REGISTRATION, Shop, configured

from flask_otp_auth import InvalidData, InvalidIdentifier, InvalidOTP, NotFound, RateLimited
from flask_otp_auth.core.context import NO_CALLER, NoCaller
from flask_otp_auth.core.links import Links
from flask_otp_auth.core.scopes import Scope
from flask_otp_auth.flows.redeem import CodeRedeemer
from flask_otp_auth.tokens.token import Token

PREFIX = "https://shop.example/auth/customer/link/"


@dataclass
class Page:
    """A browser at the shop's pages: it asks for a code with a link, and opens links.

    :ivar challenge: what it was answered when it asked last.
    """

    shop: Shop
    actor_type: str = "customer"
    challenge: str = ""

    @property
    def redeemer(self) -> CodeRedeemer:
        return self.shop.app.extensions["otp_auth"].redeemer

    def ask(self, identifier: str = ADA, by: str = "start") -> str:
        """Ask for a code with a link, and return the end of the newest link."""
        ask = getattr(self.shop.app.extensions["otp_auth"].issuer, by)
        with self.shop.app.app_context():
            issued = ask(self.actor_type, identifier, NO_CALLER, link_to=PREFIX)
        self.challenge = issued.challenge
        return self.newest() if len(self.shop.outbox) else ""

    def newest(self) -> str:
        """Return the end of the newest link."""
        link = self.shop.outbox.last.link
        assert link.startswith(PREFIX)
        return link.removeprefix(PREFIX)

    def opens(self, token: str, identifier: str = ADA, purpose: str | None = None) -> bool:
        with self.shop.app.app_context():
            return self.redeemer.opens(self.actor_type, identifier, token, purpose=purpose)

    def follow(self, token: str, identifier: str = ADA, caller: NoCaller = NO_CALLER) -> Token:
        with self.shop.app.app_context():
            return self.redeemer.follow(self.actor_type, identifier, token, self.challenge, caller)

    def is_good(self, token: str, identifier: str = ADA) -> bool:
        try:
            self.follow(token, identifier)
        except InvalidOTP:
            return False
        return True


@pytest.fixture
def page(shop: Shop) -> Page:
    return Page(shop)


class TestTheMessage:
    def test_has_a_link_that_says_nobody_s_name(self, page: Page) -> None:
        token = page.ask()
        assert len(token) == 32
        assert "ada" not in page.shop.outbox.last.link

    def test_each_code_has_its_own(self, page: Page) -> None:
        first = page.ask()
        page.shop.clock.shift(60)
        assert page.ask() != first

    def test_has_none_where_nobody_wanted_one(self, shop: Shop) -> None:
        for route in (DOOR_IN, LOGIN, REGISTRATION):
            route.ask(shop)
        assert [message.link for message in shop.outbox] == [None] * 3

    def test_nothing_is_stored_for_it(self, page: Page) -> None:
        DOOR_IN.ask(page.shop)
        without = page.shop.store.verbs
        page.shop.forget_calls()
        page.ask(BOB)
        assert page.shop.store.verbs == without
        assert page.newest() not in repr(page.shop.store.items)

    @pytest.mark.parametrize("by", ["generate", "pre_register"])
    def test_of_another_request_has_one_that_only_its_own_page_opens(
        self, page: Page, by: str
    ) -> None:
        who, purpose = (ADA, "login") if by == "generate" else (BOB, "registration")
        token = page.ask(who, by)
        assert (page.opens(token, who), page.is_good(token, who)) == (False, False)
        assert [page.opens(token, who, name) for name in ("door", purpose)] == [False, True]
        with page.shop.app.app_context():
            given = (page.actor_type, who, token, page.challenge, NO_CALLER)
            assert page.redeemer.follow(*given, purpose=purpose).identifier == who


class TestOpening:
    """A page looks whether a link is one, before it shows a button."""

    def test_changes_nothing_and_counts_nothing(self, page: Page) -> None:
        token = page.ask()
        page.shop.forget_calls()
        assert [page.opens(token) for _ in range(50)] == [True] * 50
        assert set(page.shop.store.verbs) == {"peek"}
        assert (page.shop.limits.calls, page.shop.customers.calls) == ([], [])
        assert page.shop.recorder.names == ["otp_generated"]
        assert page.is_good(token)

    def test_only_those_of_this_identifier_and_type(self, page: Page) -> None:
        token = page.ask()
        page.shop.otp_auth.add_actor_type("user", page.shop.customers)
        assert not page.opens(token, BOB)
        assert not Page(page.shop, "user").opens(token)
        assert not page.opens(token[:-1])
        assert not page.opens("\ud800")

    def test_until_the_code_ends(self, page: Page) -> None:
        token = page.ask()
        page.shop.clock.shift(299.9)
        assert page.opens(token)
        page.shop.clock.shift(0.1)
        assert not page.opens(token)
        page.shop.clock.shift(61)
        assert not page.opens(token)

    def test_also_one_from_before_send_again(self, page: Page) -> None:
        first = page.ask()
        page.shop.clock.shift(60)
        second = page.ask()
        assert (page.opens(first), page.opens(second)) == (True, True)
        assert page.is_good(first)
        assert (page.opens(first), page.opens(second)) == (False, False)

    def test_not_once_the_code_was_used(self, page: Page) -> None:
        token = page.ask()
        assert DOOR_IN.is_good(page.shop, page.shop.otp)
        assert not page.opens(token)

    @configured(send_limits="1/hour", resend_interval=0)
    def test_those_of_long_codes_and_short_ones(self, page: Page) -> None:
        tokens = [page.ask(), page.ask()]
        assert [len(message.otp) for message in page.shop.outbox] == [6, 20]
        assert [page.opens(token) for token in tokens] == [True, True]
        assert [page.is_good(token) for token in reversed(tokens)] == [True, True]

    def test_does_the_same_work_whatever_is_there(
        self, page: Page, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Or its time would tell who has asked for a code."""
        token = page.ask()
        compared: list[str] = []
        belongs = Links.belongs

        def compare(links: Links, end: str, scope: Scope, code_id: str) -> bool:
            compared.append(code_id)
            return belongs(links, end, scope, code_id)

        monkeypatch.setattr(Links, "belongs", compare)
        work = []
        for who, end in ((ADA, token), (ADA, "0" * 32), (BOB, token), (BOB, "x")):
            del compared[:]
            page.shop.forget_calls()
            page.opens(end, who)
            lengths = list(map(len, compared))
            work.append(([(verb, len(keys)) for verb, keys in page.shop.store.calls], lengths))
        assert work == [([("peek", 2)], [32] * 4)] * 4

    @pytest.mark.parametrize("what", ["opens", "follow"])
    def test_with_arguments_that_can_not_be_is_told(self, page: Page, what: str) -> None:
        token = page.ask()
        with pytest.raises(InvalidIdentifier):
            getattr(page, what)(token, "ada")
        page.actor_type = "robot"
        with pytest.raises(NotFound):
            getattr(page, what)(token)


class TestFollowing:
    def test_signs_a_member_in(self, page: Page) -> None:
        token = page.follow(page.ask())
        assert (token.actor.email, token.identifier, token.registration) == (ADA, ADA, False)
        (said,) = page.shop.recorder.of("actor_authenticated")
        assert (said["method"], said["identifier"]) == ("link", ADA)
        facts = {"actor_type": "customer", "identifier": ADA, "purpose": "door"}
        assert page.shop.recorder.of("otp_verified") == [facts]
        with page.shop.app.app_context():
            assert page.shop.otp_auth.identify(token, "customer").email == ADA

    def test_lets_somebody_new_register_without_a_grace(self, page: Page) -> None:
        """That stands on a code that was typed; the page completes the registration itself."""
        token = page.follow(page.ask(BOB), BOB)
        assert (token.registration, token.identifier) == (True, BOB)
        bob = page.shop.customers.add(BOB)
        for by in ("finish", "authenticate"):
            assert getattr(page.shop.api, by)(page.shop.otp, BOB).status_code == 400
        with page.shop.app.app_context():
            assert page.shop.otp_auth.refresh(token).actor is bob

    def test_is_one_right_with_the_code(self, page: Page) -> None:
        token = page.ask()
        assert [page.is_good(token), page.is_good(token)] == [True, False]
        assert not DOOR_IN.is_good(page.shop, page.shop.otp)
        token = page.ask()
        assert DOOR_IN.is_good(page.shop, page.shop.otp)
        assert not page.is_good(token)
        assert page.shop.recorder.reasons() == ["unknown"] * 3

    @pytest.mark.parametrize("first", ["code", "link"])
    def test_whoever_is_faster_by_a_hair_has_it(self, page: Page, first: str) -> None:
        token = page.ask()
        rival: list[bool] = []
        tries = {
            "code": lambda: DOOR_IN.is_good(page.shop, page.shop.otp),
            "link": lambda: page.is_good(token),
        }
        slower = tries.pop("link" if first == "code" else "code")

        def overtake() -> None:
            page.shop.store.before_take = lambda: None
            rival.append(tries[first]())

        page.shop.store.before_take = overtake
        assert (slower(), rival) == (False, [True])
        assert len(page.shop.recorder.of("otp_verified")) == 1

    @configured(verify_limits="1/day")
    def test_takes_no_guess_and_works_when_none_is_left(self, page: Page) -> None:
        token = page.ask()
        for _ in range(30):
            assert not page.is_good("0" * 32)
        assert page.shop.recorder.reasons() == ["wrong"] * 30
        assert page.shop.recorder.of("identifier_attacked") == []
        assert not DOOR_IN.is_good(page.shop, wrong(page.shop.otp))
        assert len(page.shop.recorder.of("identifier_attacked")) == 1
        assert page.is_good(token)

    @configured(ip_verify_limits="2/hour")
    def test_counts_against_the_address(self, page: Page) -> None:
        token, caller = page.ask(), NoCaller(("192.0.2.1",), "192.0.2.1", "link")
        for _ in range(2):
            with pytest.raises(InvalidOTP):
                page.follow("0" * 32, caller=caller)
        page.shop.forget_calls()
        with pytest.raises(RateLimited):
            page.follow(token, caller=caller)
        assert page.shop.store.calls == []
        (said,) = page.shop.recorder.of("rate_limited")
        assert said == {"endpoint": "link", "address": "192.0.2.1"}

    def test_tells_an_expired_link_from_one_that_never_was(self, page: Page) -> None:
        token = page.ask()
        assert not page.is_good("f" * 32)
        page.shop.clock.shift(300)
        assert not page.is_good(token)
        page.shop.clock.shift(61)
        assert not page.is_good(token)
        assert page.shop.recorder.reasons() == ["wrong", "expired", "unknown"]

    def test_of_whom_the_account_was_switched_off_or_deleted_is_refused(self, page: Page) -> None:
        page.shop.otp_auth.add_actor_type(
            "guest", page.shop.customers, sign_up=lambda identifier: False
        )
        page.actor_type = "guest"
        token = page.ask()
        page.shop.customers.accounts[0].is_active = False
        assert not page.is_good(token)
        ada = page.shop.customers.accounts.pop()
        assert not page.is_good(token)
        page.shop.customers.accounts.append(ada)
        ada.is_active = True
        assert page.is_good(token)


class TestChallenges:
    """Whoever has not asked can't follow a link: a scanner of mails, a thief of the mail alone."""

    @pytest.mark.parametrize("challenge", [None, 7, "c" * 65])
    def test_one_is_always_needed(self, page: Page, challenge: object) -> None:
        token = page.ask()
        page.challenge = challenge  # type: ignore[assignment] - whatever a cookie holds
        with pytest.raises(InvalidData):
            page.follow(token)
        assert page.opens(token)

    def test_one_that_does_not_fit_is_refused(self, page: Page) -> None:
        page.ask(BOB)
        unfit = [page.challenge, LOGIN.ask(page.shop), "", "made up"]
        token = page.ask()
        for page.challenge in unfit:
            assert not page.is_good(token)
        assert page.shop.recorder.reasons() == ["challenge"] * 4
        page.challenge = DOOR_IN.ask(page.shop)  # a second tab's
        assert page.is_good(token)


class TestClosed:
    """With ``sign_up="closed"`` the links are those of login codes."""

    @pytest.fixture
    def page(self, shop: Shop) -> Page:
        shop.otp_auth.add_actor_type("staff", shop.customers, sign_up="closed")
        return Page(shop, "staff")

    def test_members_sign_in(self, page: Page) -> None:
        for by in ("start", "generate"):
            token = page.ask(by=by)
            assert page.opens(token)
            assert page.follow(token).actor.email == ADA

    def test_nobody_joins(self, page: Page) -> None:
        assert page.ask(BOB) == ""
        token = page.ask()
        page.shop.customers.accounts.clear()
        assert not page.is_good(token)
