"""Texts in the reader's language, with Flask-Babel and without."""

from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from fakes import MakeApp
from flask import Flask
from flask_babel import Babel

from flask_otp_auth.messages import translation
from flask_otp_auth.messages.translation import (
    direction,
    gettext,
    in_language,
    language,
    ngettext,
)


def write_catalogue(
    folder: Path, locale: str, domain: str = "otp_auth", **texts: str | tuple[str, ...]
) -> None:
    """Write a catalogue of texts; a text with plurals is a tuple."""
    catalogue = Catalog(locale=locale)
    for message, text in texts.items():
        catalogue.add(message if isinstance(text, str) else (message, f"{message}s"), text)
    place = folder / locale / "LC_MESSAGES"
    place.mkdir(parents=True, exist_ok=True)
    with (place / f"{domain}.mo").open("wb") as file:
        write_mo(file, catalogue)


@pytest.fixture
def catalogues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the package's own catalogues."""
    folder = tmp_path / "package"
    write_catalogue(folder, "de", code="Code", bye="Servus", day=("Tag", "Tage"))
    write_catalogue(folder, "ar", code=("صفر", "واحد", "اثنان", "قليل", "كثير", "غير"))
    monkeypatch.setattr(translation, "CATALOGUES", folder)
    return folder


@pytest.fixture
def babel_app(app: Flask, catalogues: Path, tmp_path: Path) -> Flask:
    """The shop with Flask-Babel, in German, with a catalogue of its own."""
    write_catalogue(tmp_path / "shop", "de", bye="Tschüs, %(name)s")
    Babel(app, default_locale="de", default_translation_directories=str(tmp_path / "shop"))
    return app


def test_without_babel_texts_are_english(app: Flask) -> None:
    with app.app_context(), in_language("ar"):
        assert gettext("bye %(name)s, 100 %%", name="Ada") == "bye Ada, 100 %"
        assert [ngettext("%(num)s day", "%(num)s days", num) for num in (1, 2)] == [
            "1 day",
            "2 days",
        ]
        assert (language(), direction()) == ("en", "ltr")


def test_the_apps_own_catalogue_goes_first(babel_app: Flask) -> None:
    with babel_app.app_context():
        assert gettext("code") == "Code"
        assert gettext("bye", name="Ada") == "Tschüs, Ada"
        assert (language(), direction()) == ("de", "ltr")


@pytest.mark.parametrize(
    ("tag", "text", "ours"),
    [("de", "Korb", ("Code", "Tage")), ("fa", "سبد", ("code", "days"))],
)
def test_texts_of_the_apps_own_layout_are_in_its_own_domain(
    babel_app: Flask, tmp_path: Path, tag: str, text: str, ours: tuple[str, str]
) -> None:
    own: dict[str, Any] = {"code": "not ours", "day": ("not ours",) * 2}
    own |= {"basket": text, "thing": (f"%(num)s {text}",) * 2}
    write_catalogue(tmp_path / "shop", "de", "messages", **own)
    write_catalogue(tmp_path / "shop", "fa", "messages", **own)
    with babel_app.app_context(), in_language(tag):
        assert gettext("basket") == text
        assert ngettext("thing", "things", 2) == f"2 {text}"
        assert ngettext("thing", "things", 1) == f"1 {text}"
        # A text of ours is never one of the app's: a page is in one language.
        assert (gettext("code"), ngettext("day", "days", 2)) == ours


def test_plurals_are_those_of_the_language(babel_app: Flask) -> None:
    with babel_app.app_context(), in_language("ar-EG"):
        assert [ngettext("code", "codes", num) for num in (0, 2, 3)] == ["صفر", "اثنان", "قليل"]
        assert (language(), direction()) == ("ar-EG", "rtl")


@pytest.mark.parametrize("tag", ["de_AT", "de-AT"])
def test_a_locale_has_the_catalogue_of_its_language(babel_app: Flask, tag: str) -> None:
    with babel_app.app_context(), in_language(tag):
        assert (gettext("code"), language()) == ("Code", "de-AT")


def test_what_has_no_catalogue_is_said_to_be_english(babel_app: Flask) -> None:
    with babel_app.app_context(), in_language("fa"):
        assert (gettext("code"), language(), direction()) == ("code", "en", "ltr")


@pytest.mark.parametrize("tag", [None, "", "xx-nowhere", "*", "de;q=1"])
def test_an_unknown_language_leaves_the_current_one(babel_app: Flask, tag: str | None) -> None:
    with babel_app.app_context(), in_language(tag):
        assert language() == "de"


def test_the_former_language_comes_back(babel_app: Flask, make_app: MakeApp) -> None:
    with babel_app.app_context():
        with in_language("en_GB"):
            assert (gettext("bye"), language()) == ("bye", "en-GB")
        assert language() == "de"
