"""Links: a token belongs to one code, under the keys of links, and tells nothing of whose it is."""

import itertools
from dataclasses import fields, replace

import pytest
from engine import LOGIN, NEW, OLD, SCOPES

from flask_otp_auth.core.crypto import Keys
from flask_otp_auth.core.links import Links

ID, OTHER_ID = "a" * 32, "b" * 32


def links(*secrets: bytes) -> Links:
    """Return the links of an app with these secret keys."""
    return Links(Keys.derive(secrets or (NEW,), "shop"))


def test_it_has_128_bits_that_stand_in_any_url() -> None:
    token = links().token(LOGIN, ID)
    assert len(bytes.fromhex(token)) == 16
    assert token == links().token(LOGIN, ID)


def test_it_belongs_to_one_code_of_one_scope() -> None:
    every = list(itertools.product(SCOPES, (ID, OTHER_ID)))
    tokens = [links().token(*each) for each in every]
    assert len(set(tokens)) == len(every)
    belongs = [links().belongs(tokens[0], *each) for each in every]
    assert belongs == [True] + [False] * (len(every) - 1)


def test_it_is_made_with_the_keys_of_links_alone() -> None:
    keys = Keys.derive([NEW], "shop")
    uses = [field.name for field in fields(Keys)]
    others = {use: Links(replace(keys, **{use: (b"another",)})).token(LOGIN, ID) for use in uses}
    mine = links().token(LOGIN, ID)
    assert [use for use in uses if others[use] != mine] == ["links"]


def test_it_is_good_under_the_former_secret_key_and_no_other() -> None:
    token = links(OLD).token(LOGIN, ID)
    assert links(OLD, NEW).belongs(token, LOGIN, ID)
    assert links(OLD, NEW).token(LOGIN, ID) == links(NEW).token(LOGIN, ID)
    assert not links(NEW).belongs(token, LOGIN, ID)


def test_one_that_was_sent_before_an_upgrade_is_good_after_it() -> None:
    assert links().belongs("905095ccb372f2cfb26aa1b7b6bcb5e2", LOGIN, ID)


@pytest.mark.parametrize("garbage", ["", "0", "é", "\ud800", "\0", "A" * 32, "0" * 10_000])
def test_any_text_may_stand_in_a_url(garbage: str) -> None:
    assert not links().belongs(garbage, LOGIN, ID)


def test_a_token_in_other_letters_is_none() -> None:
    token = links().token(LOGIN, ID)
    assert not links().belongs(token.upper(), LOGIN, ID)
    assert not links().belongs(f"{token} ", LOGIN, ID)
