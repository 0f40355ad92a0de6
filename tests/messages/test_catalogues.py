"""The catalogues: each text that people read is in every language, and compiled.

Where one of these fails: ``make messages``, fill in what is empty in the .po files, and again.
"""

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.frontend import CommandLineInterface
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from launch import ROOT
from said import LANGUAGES

from flask_otp_auth.messages.translation import CATALOGUES

LOCALES = [locale for locale in LANGUAGES if locale != "en"]


def read(path: Path, locale: str | None = None) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=locale)


def folder(locale: str) -> Path:
    return CATALOGUES / locale / "LC_MESSAGES"


def texts(catalogue: Catalog) -> list[Message]:
    return [message for message in catalogue if message.id]


def strings(message: Message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else tuple(message.string)


def content(catalogue: Catalog) -> dict[str, tuple[str, ...]]:
    """Return the translations by their texts; those of one that tells a number by its singular."""
    found = {}
    for message in texts(catalogue):
        text = message.id if isinstance(message.id, str) else message.id[0]
        found[text] = strings(message)
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """All texts of the package as it stands."""
    path = tmp_path_factory.mktemp("texts") / "otp_auth.pot"
    mapping = str(ROOT / "pyproject.toml")
    package = str(ROOT / "flask_otp_auth")
    CommandLineInterface().run(
        ["pybabel", "--quiet", "extract", "--mapping-file", mapping, "--output-file", str(path),
         package]
    )  # fmt: skip
    return read(path)


def test_the_languages_are_those_that_are_promised() -> None:
    assert sorted(path.name for path in CATALOGUES.iterdir() if path.is_dir()) == sorted(LOCALES)


def test_the_template_has_every_text(source: Catalog) -> None:
    committed = read(CATALOGUES / "otp_auth.pot")
    assert {message.id for message in committed} == {message.id for message in source}


@pytest.mark.parametrize("locale", LOCALES)
def test_every_text_is_translated(source: Catalog, locale: str) -> None:
    catalogue = read(folder(locale) / "otp_auth.po", locale)
    translated = {message.id for message in texts(catalogue) if all(strings(message))}
    assert {message.id for message in texts(source)} == translated
    assert not [message.id for message in texts(catalogue) if message.fuzzy]
    assert not catalogue.obsolete


@pytest.mark.parametrize("locale", LOCALES)
def test_every_translation_has_the_same_values(locale: str) -> None:
    """But for the number, which some languages put in words."""
    for message in texts(read(folder(locale) / "otp_auth.po", locale)):
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        for string in strings(message):
            assert values(string) | {"num"} == values(ids[-1]) | {"num"}, message.id
        assert not message.check()


def values(text: str) -> set[str]:
    assert not re.search(r"%(?!\(\w+\)s|%)", text), text
    return set(re.findall(r"%\((\w+)\)s", text))


@pytest.mark.parametrize("locale", LOCALES)
def test_what_is_compiled_is_what_is_written(locale: str) -> None:
    written = read(folder(locale) / "otp_auth.po", locale)
    with (folder(locale) / "otp_auth.mo").open("rb") as file:
        compiled = read_mo(file)
    assert content(compiled) == content(written)
    assert compiled.num_plurals == written.num_plurals
    assert compiled.plural_expr == written.plural_expr


def test_arabic_has_all_its_plurals() -> None:
    catalogue = read(folder("ar") / "otp_auth.po", "ar")
    plurals = [message for message in texts(catalogue) if message.pluralizable]
    assert plurals
    assert all(len(strings(message)) == 6 for message in plurals)
