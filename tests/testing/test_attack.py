"""The attackers, one by one, where the leaky example has nothing for them."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from clean_apps import shop
from fakes import ADA, BOB
from flask import Flask, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from flask_otp_auth import OTPAuth
from flask_otp_auth.testing import Message, Outbox, Report, Row, attack
from flask_otp_auth.testing.attackers.scanning import mail_scanner
from flask_otp_auth.testing.box import boxed


def test_it_takes_a_factory() -> None:
    with pytest.raises(TypeError, match="the factory of an app, and never an app"):
        attack(shop(), "customer", known=ADA)  # type: ignore[arg-type] # what is refused


def test_the_actor_type_is_one_of_the_apps() -> None:
    with pytest.raises(ValueError, match="no actor type 'clerk'; it has: customer"):
        attack(shop, "clerk", known=ADA)


def test_known_is_a_member() -> None:
    with pytest.raises(ValueError, match="known= must have an active customer"):
        attack(shop, "customer", known=BOB)


def test_a_limiter_that_is_switched_off_is_named() -> None:
    def create() -> Flask:
        app = Flask("shop")
        app.config.update(TESTING=True, RATELIMIT_ENABLED=False)
        return shop(app, OTPAuth(limiter=Limiter(get_remote_address, app=app)))

    report = attack(create, "customer", known=ADA, tries=20)
    broken = [row.attacker for row in report.rows if row.through > row.bound]
    assert {"guesser", "sprayer"} <= set(broken)
    assert "limiter= is switched off (RATELIMIT_ENABLED)" in str(report.leaks)


def test_the_report_is_a_table() -> None:
    report = Report([Row("guesser", 60, 20, 20), Row("replayer", 13, 1, 0)], ["replayer: again"])
    assert not report.ok
    head, guesser, replayer, leak, end = str(report).splitlines()
    assert head.split() == ["attacker", "tries", "through", "bound"]
    assert guesser.split() == ["guesser", "60", "20", "20"]
    assert replayer.split() == ["replayer", "13", "1", "0", "broken"]
    assert (leak, end) == ("- replayer: again", "not every bound holds")
    assert Report([Row("guesser", 60, 20, 20)], []).ok


def with_links(*, get_uses_it: bool) -> Flask:
    """A shop whose page sends links, and whose link a GET may use up."""
    otp_auth = OTPAuth()
    app = shop(otp_auth=otp_auth)

    @app.route("/auth/customer/sign-in", methods=["GET", "POST"])
    def page() -> Any:
        if request.method == "POST":
            otp_auth.start("customer", request.form["identifier"])
        return '<form method="post"><input name="identifier"></form>'

    @app.route("/auth/customer/link/<otp>", methods=["GET", "POST"])
    def link(otp: str) -> Any:
        if get_uses_it or request.method == "POST":
            if not get_uses_it:
                return "Please type your address.", 400
            otp_auth.finish("customer", ADA, otp)
        return '<form method="post"><button name="go">Sign in</button></form>'

    return app


@pytest.mark.parametrize(("get_uses_it", "through"), [(True, 5), (False, 0)])
def test_a_mail_scanner_opens_links(get_uses_it: bool, through: int) -> None:
    create = partial(with_links, get_uses_it=get_uses_it)
    with boxed(create, "customer", ADA, None, 0) as box, Linked(box.app) as box.outbox:
        found = mail_scanner(box)
    assert (found.row.tries, found.row.through) == (5, through)


class Linked(Outbox):
    """Messages that carry a link, which only pages send."""

    def __iter__(self) -> Iterator[Message]:
        for message in self.messages:
            link = f"https://shop.example/auth/customer/link/{message.otp}"
            yield replace(message, link=link)


def test_a_page_without_links_gives_a_scanner_nothing_to_open() -> None:
    with boxed(partial(with_links, get_uses_it=True), "customer", ADA, None, 0) as box:
        assert mail_scanner(box).row == Row("mail scanner", 0, 0, 0)
