"""What went wrong, in words for the person who reads the page."""

from dataclasses import dataclass

from ..errors import (
    InvalidData,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    Refused,
    RequestError,
    SignUpRefused,
    Unavailable,
)
from ..messages.translation import gettext as _
from ..messages.translation import ngettext


class PageExpired(InvalidData):
    """A form is not of this browser's flow, or of its session: it is old, or forged."""


@dataclass(frozen=True)
class Problem:
    """What a page says of an error.

    :ivar text: a sentence or two.
    :ivar field: the id of the input that it is about; ``None`` if it is about none.
    """

    text: str
    status: int = 400
    field: str | None = None
    retry_after: int | None = None


def problem_of(error: RequestError, kind: str = "text") -> Problem:
    """Return what a page says of an error.

    :param kind: of the identifiers of the actor type: ``email``, ``tel`` or ``text``.
    """
    match error:
        case PageExpired():
            return Problem(_("This page had expired. Please try again."))
        case RateLimited():
            return Problem(_wait(error.retry_after), 429, retry_after=error.retry_after)
        case Unavailable():
            text = _("The service can't be reached at the moment. Please try again in a minute.")
            return Problem(text, 503)
        case PayloadTooLarge():
            return Problem(_("That is too much for this form. Please send less."), 413)
        case SignUpRefused():  # a Refused with a text of the app's own
            return Problem(error.message)
        case Refused():
            return Problem(_("No code can be sent now. Please try again."), 403)
        case NotFound():
            return Problem(_("There is no account for this."), field="identifier")
        case InvalidData():
            return Problem(_advice(kind), field="identifier")
    return wrong_code()


def wrong_code() -> Problem:
    """Return what the page says of a code that was not accepted, for whatever reason."""
    text = _("That code is not right, or it has expired. You can try again or ask for a new one.")
    return Problem(text, field="otp")


def check_form() -> Problem:
    """Return what the page says of a sign-up form with errors, which are named beside it."""
    return Problem(_("Please check what you have filled in."))


def _wait(seconds: int | None) -> str:
    minutes = -(-(seconds or 60) // 60)
    return ngettext(
        "There were too many tries from this network. Please wait a minute.",
        "There were too many tries from this network. Please wait %(num)s minutes.",
        minutes,
    )


def _advice(kind: str) -> str:
    if kind == "email":
        return _("Please enter an e-mail address, such as name@example.com.")
    if kind == "tel":
        return _("Please enter a phone number with its country code, such as +49 151 23456789.")
    return _("Please check what you have entered.")
