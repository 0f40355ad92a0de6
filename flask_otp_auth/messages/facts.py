"""What a message says of a request and of its code, in words of the reader's language."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..core.context import Context
from .translation import gettext, has_babel, language, ngettext

#: English names, whatever locale the process has.
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)

#: Digits from which on a code is shown in groups.
_LONG = 11


def grouped(otp: str) -> str:
    """Return a code as it is read best: a long one in fives. Blanks in a pasted one do no harm."""
    if len(otp) < _LONG:
        return otp
    return " ".join(otp[at : at + 5] for at in range(0, len(otp), 5))


def lasts(expires_at: datetime) -> str:
    """Say how long a code still works, to the nearest minute or hour."""
    minutes = max(1, round((expires_at - datetime.now(UTC)).total_seconds() / 60))
    if minutes < 120:
        return ngettext("It works for %(num)s minute.", "It works for %(num)s minutes.", minutes)
    hours = round(minutes / 60)
    return ngettext("It works for %(num)s hour.", "It works for %(num)s hours.", hours)


def device(context: Context | None) -> str | None:
    """Say what browser and system a request came from; ``None`` if there was no request."""
    if context is None:
        return None
    if context.browser and context.platform:
        return gettext(
            "%(browser)s on %(platform)s", browser=context.browser, platform=context.platform
        )
    return context.browser or context.platform or gettext("unknown browser")


def time(context: Context | None) -> str | None:
    """Say when a request came, with the time zone; ``None`` if there was no request."""
    return None if context is None else moment(context.requested_at)


def moment(at: datetime) -> str:
    """Say a time, with its zone: in the form of the language and the app's own zone, or in UTC."""
    if has_babel():
        return _local_time(at)
    at = at.astimezone(UTC)
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}, {at:%H:%M} UTC"


def _local_time(at: datetime) -> str:
    from babel import Locale, dates  # comes with Flask-Babel
    from flask_babel import get_babel  # here: not each app has it

    # The app's default, as its selector may need the request.
    zone = dates.get_timezone(get_babel().default_timezone)
    locale = Locale.parse(language(), sep="-")
    return dates.format_datetime(at, "long", tzinfo=zone, locale=locale)


def fields(binds: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return the name and the value of all that a code confirms, exactly as it is bound."""
    return [(name, _shown(value)) for name, value in (binds or {}).items()]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
