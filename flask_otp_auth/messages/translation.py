"""Texts in the reader's language: by Flask-Babel where the app has it, else in plain English.

The catalogues are the package's own (domain ``otp_auth``); those of that name in the app's own
directories go before them. What none of them has, such as a text of the app's own layout, is looked
up in the app's own domain.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Any

from flask import current_app

DOMAIN = "otp_auth"

#: Where the package's own catalogues are.
CATALOGUES: Path = Path(__file__).parents[1] / "translations"


def gettext(message: str, /, **values: Any) -> str:
    """Return a text in the current language.

    :param values: what ``%(name)s`` in it stands for; a per cent sign is written ``%%``. They are
        not escaped here: a template that escapes does so with the whole text.
    """
    return _catalogue().gettext(message) % values


def ngettext(singular: str, plural: str, num: int, /, **values: Any) -> str:
    """Return a text in the current language that tells a number, as ``%(num)s``."""
    return _catalogue().ngettext(singular, plural, num) % {"num": num, **values}


def language() -> str:
    """Return the tag of the language that texts are in (BCP 47), such as ``de`` or ``pt-BR``."""
    locale = _rendered()
    return "en" if locale is None else str(locale).replace("_", "-")


def direction() -> str:
    """Return how that language is written: ``ltr`` or ``rtl``."""
    locale = _rendered()
    return "ltr" if locale is None else str(locale.text_direction)


@contextmanager
def in_language(tag: str | None) -> Iterator[None]:
    """Render in the language of a locale such as ``de_AT``, or of a tag such as ``de-AT``.

    :param tag: ``None``, and what no language is known for, leaves the current one.
    """
    locale = _parsed(tag) if tag and has_babel() else None
    if locale is None:
        yield
        return
    from flask_babel import force_locale  # here: not each app has it

    with force_locale(locale):
        yield


def has_babel() -> bool:
    """Tell whether the app has Flask-Babel."""
    return "babel" in current_app.extensions


def _parsed(tag: str) -> Any | None:
    from babel import Locale, UnknownLocaleError  # comes with Flask-Babel

    try:
        return Locale.parse(tag.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return None


def _locale() -> Any | None:
    if not has_babel():
        return None
    from flask_babel import get_locale  # here: not each app has it

    return get_locale()


def _rendered() -> Any | None:
    """Return the current locale, or ``None`` if it has no catalogue: texts are in English then."""
    locale = _locale()
    if locale is None or locale.language == "en" or isinstance(_catalogue(), GNUTranslations):
        return locale
    return None


def _catalogue() -> NullTranslations:
    locale = _locale()
    if locale is None:
        return NullTranslations()
    from flask_babel import get_babel  # here: not each app has it

    own = map(str, reversed(get_babel().translation_directories))
    return _load(str(locale), (str(CATALOGUES), *own))


class _OfTheApp(NullTranslations):
    """The catalogue of the app's other texts, in the current language.

    Texts of ours are not looked up there: a page is in one language.
    """

    def gettext(self, message: str) -> str:
        """Return a text."""
        is_ours = _complete(str(CATALOGUES)).gettext(message) != message
        return message if is_ours else self._current().gettext(message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        """Return a text that tells a number."""
        english = msgid1 if n == 1 else msgid2
        is_ours = _complete(str(CATALOGUES)).ngettext(msgid1, msgid2, n) != english
        return english if is_ours else self._current().ngettext(msgid1, msgid2, n)

    @staticmethod
    def _current() -> NullTranslations:
        from flask_babel import get_translations  # here: not each app has it

        found: NullTranslations = get_translations()
        return found


@lru_cache(maxsize=1)
def _complete(directory: str) -> NullTranslations:
    """Return a catalogue of the package's own, which has all of its texts."""
    from babel.support import Translations  # comes with Flask-Babel

    return Translations.load(directory, ["de"], DOMAIN)


# A catalogue is a file of some kilobytes, read and parsed.
@lru_cache(maxsize=64)
def _load(locale: str, directories: tuple[str, ...]) -> NullTranslations:
    """Return the catalogues of a locale in one; those of later directories go before."""
    from babel.support import Translations  # comes with Flask-Babel

    # Not Flask-Babel's Domain: it takes the rule of plurals from the last directory, even if there
    # is no catalogue in it.
    loaded = [Translations.load(directory, [locale], DOMAIN) for directory in directories]
    found = [each for each in loaded if isinstance(each, Translations)]
    for other in found[1:]:
        found[0].merge(other)
    catalogue = found[0] if found else NullTranslations()
    catalogue.add_fallback(_OfTheApp())
    return catalogue
