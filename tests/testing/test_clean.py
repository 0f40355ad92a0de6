"""No false alarm: apps without a leak have none, however busy the machine is."""

import os
from collections.abc import Iterator

import pytest
from clean_apps import CLEAN, Clean
from fakes import ADA
from flask import Flask

from flask_otp_auth.testing import attack
from flask_otp_auth.testing.attackers.redirecting import pages_of, redirector
from flask_otp_auth.testing.attackers.scanning import mail_scanner
from flask_otp_auth.testing.box import boxed
from flask_otp_auth.testing.enumeration import Enumeration

#: How often each app is compared. With 7, and the attacks, that is more than 100 times in all.
RUNS = int(os.environ.get("CLEAN_RUNS", "2"))


@pytest.fixture(params=CLEAN)
def clean(request: pytest.FixtureRequest) -> Iterator[Clean]:
    """One of the apps; what it has opened is closed."""
    clean, made = CLEAN[request.param], []

    def create() -> Flask:
        made.append(clean.create())
        return made[-1]

    yield Clean(create, clean.known, clean.arguments)
    for app in made:
        if "sqlalchemy" in app.extensions:
            with app.app_context():
                app.extensions["sqlalchemy"].engine.dispose()


def test_no_attacker_gets_through(clean: Clean) -> None:
    report = attack(clean.create, "customer", known=clean.known, tries=20, **dict(clean.arguments))
    assert report.ok, str(report)
    assert report.leaks == []


def test_a_mail_scanner_opens_the_links_of_real_pages() -> None:
    with boxed(CLEAN["pages"].create, "customer", ADA, None, 0) as box:
        rows = mail_scanner(box).row, redirector(box, pages_of(box)).row
    assert [(row.tries, row.through) for row in rows] == [(5, 0), (6, 0)]


def test_nobody_can_tell_who_has_an_account(clean: Clean) -> None:
    app = clean.create()
    unknown = "+4915987654321" if clean.known.startswith("+") else "somebody@elsewhere.example.com"
    for _ in range(RUNS):
        comparison = Enumeration(app, "customer", clean.known, unknown, tries=20, through=[])
        comparison.run()
        assert comparison.leaks() == []
