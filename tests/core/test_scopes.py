"""Scopes: no two that differ share anything but what is theirs together."""

import itertools

from flask_otp_auth.core.purposes import PURPOSES
from flask_otp_auth.core.scopes import Scope

ADA = "ada@example.com"


def test_purposes_of_one_identifier_have_one_owner() -> None:
    owners = {Scope("customer", name, ADA).owner for name in PURPOSES}
    assert owners == {("customer", ADA)}


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


def test_what_a_code_is_bound_to_is_part_of_its_scope_and_not_of_its_owner() -> None:
    one, other = Scope("", "transfer", ADA, "10"), Scope("", "transfer", ADA, "20")
    assert one.owner == other.owner
    assert one.parts != other.parts


def test_signals_are_told_whose_code_it_is_and_what_for() -> None:
    assert Scope("customer", "login", ADA, "bound").facts() == {
        "actor_type": "customer",
        "purpose": "login",
        "identifier": ADA,
    }


def test_nothing_prints_an_identifier() -> None:
    assert ADA not in repr(Scope("customer", "login", ADA))
