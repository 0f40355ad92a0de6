"""``flask otp send`` and ``verify``: a real code by the real delivery, and the answer with it."""

import re
import shlex
from traceback import format_exception

import click

from .. import signals
from ..core import codes
from ..core.actors import ActorType
from ..core.purposes import DOOR, GRACE, LOGIN, REGISTRATION
from ..core.scopes import Scope
from ..errors import (
    ActorNotCreated,
    DuplicateError,
    InvalidData,
    InvalidOTP,
    RequestError,
    Unavailable,
)
from ..tokens.token import Token
from ..web.context import current_caller
from ..web.state import State
from .access import with_storage
from .commands import (
    actor_type_argument,
    command,
    command_line,
    identifier_argument,
    known,
    printable,
    said,
)
from .hearing import Heard, hearing, is_unheard

#: Why no code is sent.
_SUPPRESSED = {
    "unknown_actor": "nobody who is active has this identifier",
    "already_registered": "somebody has this identifier already; leave out --join",
    "not_invited": "sign_up= of the actor type lets nobody, or not this one, join",
    "country_not_allowed": "OTP_AUTH_PHONE_COUNTRIES lacks the number's country",
    "line_not_allowed": "OTP_AUTH_PHONE_LINES lacks the number's kind of line",
    "cooldown": "the last code was sent a moment ago; inspect says when the next is due",
    "destination_limit": "this mailbox has got too many messages today",
    "global_limit": "OTP_AUTH_GLOBAL_SEND_LIMIT is reached",
}

#: Why a code is refused.
_REJECTED = {
    "unknown": "no code is pending, or it was used already",
    "expired": "the code is expired",
    "wrong": "a code is pending, and it is another one",
    "budget": "not compared, as all guesses are used up; unlock gives them back",
}

_PURPOSES = {
    LOGIN.name: "a code to sign in",
    REGISTRATION.name: "a code to join",
    DOOR.name: "a code of the one door, to sign in or to join",
    GRACE: "the code of a registration, in its grace",
}

# A code may stand in groups, also as URLs and headers of mails write a blank; and a link is as good
# as a code.
_CODE = re.compile(r"\d(?:(?:[ +_-]|%20|=20)?\d){5,}")
_LINK = re.compile(r"(\w://[^/\s]*)/[^\s'\"]+")


@command("send", "customer ada@example.com")
@actor_type_argument
@identifier_argument
@click.option("--join", is_flag=True, help="A code to join with, not one to sign in with.")
@click.pass_context
@with_storage()
def send(state: State, ctx: click.Context, actor_type: str, identifier: str, join: bool) -> None:
    """Send a real code by the app's own delivery, and show what comes of it.

    It is counted and audited as any, and never printed. Exit code 1 if none was sent.
    """
    _, canonical = known(state, actor_type, identifier)
    if state.fixed_codes.has(Scope(actor_type, _purpose(join), canonical)):
        raise click.ClickException("Nothing was sent: this is a test identity, which has its code.")
    signal = signals.pre_register_otp_generated if join else signals.otp_generated
    with hearing(signals.otp_suppressed, signals.delivery_failed) as heard:
        refused = _ask(state, actor_type, canonical, join=join)
    _raise_if_suppressed(heard, refused)
    _raise_if_failed(heard)
    if is_unheard(signal, actor_type, "email" if "@" in canonical else "phone"):
        name = signal.name.replace("-", "_")
        raise click.ClickException(
            f"Nothing was sent: no handler of {name} is connected that sends to this identifier."
        )
    click.echo(f"{_PURPOSES[_purpose(join)].capitalize()} was sent. To check it:")
    click.echo(f"  {command_line(ctx, _in_a_shell(actor_type, canonical), 'verify')}")


def _in_a_shell(actor_type: str, identifier: str) -> str:
    """Return arguments as they are typed: an address may be `ls`@example.com, or begin with -."""
    options_end = "-- " if identifier.startswith("-") else ""
    return options_end + printable(shlex.join((actor_type, identifier)))


def _purpose(join: bool) -> str:
    return REGISTRATION.name if join else LOGIN.name


def _ask(state: State, actor_type: str, identifier: str, *, join: bool) -> str | None:
    """Ask for a code; return what a caller is told with plain answers, if that is a refusal."""
    ask = state.issuer.pre_register if join else state.issuer.generate
    with state.delivery.in_command():
        try:
            ask(actor_type, identifier, current_caller())
        except Unavailable:
            raise
        except RequestError as error:
            return error.message
    return None


def _raise_if_suppressed(heard: Heard, refused: str | None) -> None:
    reasons = [arguments["reason"] for _, arguments in heard if "reason" in arguments]
    if reasons:
        raise click.ClickException(f"Nothing was sent: {said(_SUPPRESSED, reasons[0])}.")
    if refused is not None:
        raise click.ClickException(f"Nothing was sent: {refused}")


def _raise_if_failed(heard: Heard) -> None:
    errors = [arguments["error"] for _, arguments in heard if "error" in arguments]
    for error in errors:
        lines = _without_code("".join(format_exception(error))).split("\n")
        click.echo("\n".join(map(printable, lines)), err=True)
    if errors:
        raise click.ClickException("The delivery failed: see above.")


def _without_code(text: str) -> str:
    """Hide what may be the code in the text of an error, or a link."""
    return _LINK.sub(r"\1/...", _CODE.sub("...", text))


@command("verify", "customer ada@example.com")
@actor_type_argument
@identifier_argument
@click.argument("code", metavar="[CODE]", required=False)
@click.option("--token", is_flag=True, help="Sign in with it, and print the token.")
@with_storage()
def verify(state: State, actor_type: str, identifier: str, code: str | None, token: bool) -> None:
    """Say whether CODE is right, and what for; it is used up by that.

    Without CODE it is asked for, and not shown. Nobody is signed in, unless --token says so. A
    wrong one counts as any guess. Exit code 1 if it is not right.
    """
    found, canonical = known(state, actor_type, identifier)
    otp = code or click.prompt("Code", hide_input=True)
    with hearing(signals.test_identity_used) as heard:
        purpose, given = _answer(state, found, canonical, otp, admit=token)
    what = f"{_PURPOSES[purpose]} ({purpose}). It is used up"
    what = "the code of a test identity, which stays good" if heard else what
    click.echo(f"Right: {what}.", err=token)
    if given is not None:
        click.echo(given)


def _misshapen(otp: str, digits: int) -> dict[str, str]:
    """Return what is to be said in place of "wrong" of what can't be a code."""
    code = codes.normalise(otp)
    if code is not None and len(code) in (digits, codes.LONG_DIGITS):
        return {}
    return {"wrong": f"a code has {digits} digits, or {codes.LONG_DIGITS}"}


def _answer(
    state: State, actor_type: ActorType, identifier: str, otp: str, *, admit: bool
) -> tuple[str, Token | None]:
    caller = current_caller()
    with hearing(signals.otp_rejected) as heard:
        try:
            return state.redeemer.answer_any(actor_type.name, identifier, otp, caller, admit=admit)
        except InvalidOTP:
            reason = heard[-1][1]["reason"]
            words = {**_REJECTED, **_misshapen(otp, actor_type.settings.digits)}
            raise click.ClickException(f"Not right: {said(words, reason)}.") from None
        except InvalidData as error:
            raise click.UsageError(error.message) from None
        except (ActorNotCreated, DuplicateError) as error:
            raise click.ClickException(f"Right, but there is no token: {error.message}") from None
