"""Scopes: no two that differ share anything but what is theirs together."""

import itertools

from flask_otp_auth.core.scopes import Scope

ADA = "ada@example.com"


def test_actor_types_identifiers_and_purposes_of_the_apps_own_have_owners_apart() -> None:
    scopes = [
        Scope("customer", "login", ADA),
        Scope("user", "login", ADA),
        Scope("customer", "login", "bob@example.com"),
        Scope("", "contact", ADA),
        Scope("", "transfer", ADA),
        Scope("contact", "login", ADA),
    ]
    for one, other in itertools.combinations(scopes, 2):
        assert one.owner != other.owner
