"""Codes and notices by e-mail (the extra ``mail``): Flask-Mail or Flask-Mailman sends them."""

import logging
import smtplib
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from email.charset import QP, Charset
from email.header import Header
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.policy import compat32
from email.utils import formataddr, formatdate, make_msgid, parseaddr
from functools import partial
from typing import Any

from blinker import NamedSignal
from flask import Flask

from . import signals
from .core.identifiers import IdentifierSpec
from .core.scopes import Scope
from .errors import ConfigError
from .messages import Email, email
from .web.signalling import Selective
from .web.state import State, app_itself, current_state

logger: logging.Logger = logging.getLogger("flask_otp_auth")

#: Takes the mail object, the message, whom it is from and whom it is to.
Send = Callable[[Any, Email, str, str], None]

#: Seconds that a mail server may take for each of its answers, where the app says nothing of it:
#: one that hangs would hold a thread for ever, and so other people's codes.
TIMEOUT = 10

#: Where an app keeps what sends its mail, as blinker holds it weakly.
_EXTENSION = "otp_auth_mail"


def mail_codes(app: Flask, mail: Any, *, only: Collection[str] | None = None) -> None:
    """Send codes and notices to identifiers that are e-mail addresses; after ``init_app``.

    Codes to phone numbers are for handlers of the app's own. The sender is the address in
    ``MAIL_DEFAULT_SENDER``, under the name in ``OTP_AUTH_SITE_NAME``. Codes of purposes belong to
    no actor type: the first call for an app sends them, whatever its ``only`` is.

    :param mail: the app's ``Mail`` of Flask-Mail or Flask-Mailman.
    :param only: names of the actor types whose codes and notices are sent; by default all.
    :raises ConfigError: if ``init_app`` was not called, ``mail`` is something else,
        ``MAIL_DEFAULT_SENDER`` has no address, or an actor type is not registered or has been
        named before.
    """
    app = app_itself(app)
    with app.app_context():
        state = current_state()
    mailer = _Mailer(state, _sender_of(mail), _address(app), _checked(state, only))
    mailers: list[_Mailer] = app.extensions.setdefault(_EXTENSION, [])
    if any(mailer.shares(each) for each in mailers):
        raise ConfigError(
            "mail_codes() was called for these actor types before, and would mail each code "
            "twice; call it once, or for others by only="
        )
    if not mailers:
        signals.confirmation_otp_generated.connect(mailer.send_code, app)
    mailers.append(mailer)
    signals.otp_generated.connect(mailer.send_code, app)
    signals.pre_register_otp_generated.connect(mailer.send_code, app)
    signals.otp_suppressed.connect(mailer.send_notice, app)
    signals.actor_authenticated.connect(mailer.tell_of_device, app)


class _Mailer(Selective):
    """Sends the messages of one app.

    :param send: takes a message, whom it is from and whom it is to.
    :param address: the sender's.
    :param only: names of actor types; ``None`` for all.
    """

    def __init__(
        self,
        state: State,
        send: Callable[[Email, str, str], None],
        address: str,
        only: frozenset[str] | None,
    ) -> None:
        self._delivery = state.delivery
        self._fixed_codes = state.fixed_codes
        self._send = send
        # As RFC 5322, 3.4 wants a display name: quoted, or encoded.
        self._from = formataddr((state.settings.site_name, address))
        self._only = only
        self._has_reported_phones = False

    def shares(self, other: "_Mailer") -> bool:
        """Tell whether both send messages of one actor type."""
        return self._only is None or other._only is None or bool(self._only & other._only)

    def send_code(self, sender: Flask, **signal: Any) -> None:
        """Send a code."""
        if not self._is_for(signal):
            return
        if "@" in signal["identifier"]:
            self._mail(sender, signal)
        elif not self._has_reported_phones and _is_alone(sender, _signal_of(signal)):
            self._has_reported_phones = True
            logger.error(
                "nobody delivers a code to a phone number: mail_codes() sends to e-mail addresses "
                "alone, so connect a handler to %s that sends an SMS", _signal_of(signal).name,
            )  # fmt: skip

    def send_notice(self, sender: Flask, **signal: Any) -> None:
        """Tell the owner of an address why no code was sent, where there is something to tell."""
        if (
            signal["actor_type"] is not None
            and self._is_for(signal)
            and "@" in signal["identifier"]
        ):
            self._mail(sender, signal)

    def tell_of_device(self, sender: Flask, **signal: Any) -> None:
        """Tell of a sign-in on a new device; the sign-in doesn't wait for the mail server."""
        identifier = signal["identifier"] or ""
        if not signal["new_device"] or not self._is_for(signal) or "@" not in identifier:
            return
        if not self._fixed_codes.has(Scope(signal["actor_type"], "", identifier)):
            self._delivery.run_soon("mail_codes", partial(self._mail, sender, signal))

    def delivers(self, actor_type: str | None, identifier: IdentifierSpec | None = None) -> bool:
        """Tell whether codes of an actor type are sent, and to such identifiers."""
        is_chosen = actor_type is None or self._only is None or actor_type in self._only
        return is_chosen and identifier not in ("phone", ("phone",))

    def _is_for(self, signal: Mapping[str, Any]) -> bool:
        return self.delivers(signal.get("actor_type"))

    def _mail(self, app: Flask, signal: Mapping[str, Any]) -> None:
        message = email(app, **signal)
        if message is not None:
            self._send(message, self._from, signal["identifier"])


def _signal_of(arguments: Mapping[str, Any]) -> NamedSignal:
    if "purpose" in arguments:
        return signals.confirmation_otp_generated
    if "actor_id" in arguments:
        return signals.otp_generated
    return signals.pre_register_otp_generated


def _is_alone(app: Flask, signal: NamedSignal) -> bool:
    """Tell whether nobody but us handles a signal."""
    handlers = signal.receivers_for(app)
    return all(isinstance(getattr(each, "__self__", None), _Mailer) for each in handlers)


def _checked(state: State, only: Collection[str] | None) -> frozenset[str] | None:
    if only is None:
        return None
    names = [only] if isinstance(only, str) else only
    if unknown := [name for name in names if state.actors.find(name) is None]:
        raise ConfigError(
            f"only= of mail_codes() takes names of actor types, such as "
            f"{', '.join(state.actors.names)}; add_actor_type() was not called for "
            f"{', '.join(map(repr, unknown))}"
        )
    return frozenset(names)


def _address(app: Flask) -> str:
    sender = app.config.get("MAIL_DEFAULT_SENDER")
    named = parseaddr(sender) if isinstance(sender, str) else sender
    address = named[1] if isinstance(named, tuple | list) and len(named) == 2 else ""
    local, _, domain = str(address).rpartition("@")
    try:
        # Of other letters only a domain has an ASCII form (RFC 5891); idna is the codec's name.
        if local.isascii() and local:
            return f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        pass
    raise ConfigError(
        "mail_codes() needs MAIL_DEFAULT_SENDER, the address that codes are sent from, such as "
        '"post@shop.example"'
    )


def _sender_of(mail: Any) -> Callable[[Email, str, str], None]:
    """Return what sends by a mail object of a library that we know."""
    for kind in type(mail).__mro__:
        send = _LIBRARIES.get(kind.__module__.partition(".")[0])
        if send is not None:
            return partial(send, mail)
    raise ConfigError(
        "mail_codes() takes the Mail object of Flask-Mail (pip install 'flask-otp-auth[mail]') or "
        f"of Flask-Mailman, not {type(mail).__name__}"
    )


def _by_flask_mail(mail: Any, message: Email, sender: str, to: str) -> None:
    from flask_mail import Connection, Message  # here: the app may have the other library

    class Own(Message):
        """A message that we write out: Flask-Mail drops the quotes of the sender's name."""

        def as_bytes(self) -> bytes:
            return _written(message, sender, to)

    class Patient(Connection):
        """A connection with a time-out, of which Flask-Mail's settings know nothing."""

        def configure_host(self) -> smtplib.SMTP:
            return _smtp(self.mail)

    made = Own(message.subject, [to], message.text, message.html, sender=sender)
    if not _is_flask_mails(mail.send):
        mail.send(made)  # the app, or a test, has a way of its own
        return
    connection = mail.connect()
    if type(connection) is Connection and _is_flask_mails(connection.configure_host):
        connection = Patient(connection.mail)
    with connection as opened:
        opened.send(made)


def _is_flask_mails(function: Any) -> bool:
    """Tell whether a function is the library's own, and no other in its place."""
    return getattr(function, "__globals__", {}).get("__name__") == "flask_mail"


def _smtp(settings: Any) -> smtplib.SMTP:
    """Return a connection to a server, as Flask-Mail's settings have it."""
    kind = smtplib.SMTP_SSL if settings.use_ssl else smtplib.SMTP
    server = kind(settings.server, settings.port, timeout=TIMEOUT)
    server.set_debuglevel(int(settings.debug))
    with ExitStack() as failing:
        failing.callback(server.close)
        if settings.use_tls:
            server.starttls()
        if settings.username and settings.password:
            server.login(settings.username, settings.password)
        failing.pop_all()
    return server


def _written(message: Email, sender: str, to: str) -> bytes:
    """Return a message with its headers, as it goes over SMTP."""
    utf8 = Charset("utf-8")
    utf8.body_encoding = QP  # lines of any length fit, and all servers take it
    made = MIMEMultipart("alternative")
    for kind, text in (("plain", message.text), ("html", message.html)):
        part = MIMENonMultipart("text", kind)
        part.set_payload(text, utf8)
        made.attach(part)
    charset = None if message.subject.isascii() else "utf-8"
    made["Subject"] = Header(message.subject, charset, header_name="Subject").encode()
    made["From"], made["To"] = sender, to
    made["Date"], made["Message-ID"] = formatdate(), make_msgid(domain=_domain(sender))
    for name, value in message.headers.items():
        made[name] = value
    return made.as_bytes(policy=compat32.clone(linesep="\r\n"))


def _domain(sender: str) -> str:
    return parseaddr(sender)[1].rpartition("@")[2]


def _by_flask_mailman(mail: Any, message: Email, sender: str, to: str) -> None:
    from flask_mailman import EmailMultiAlternatives  # here: the app may have the other library

    connection = mail.get_connection()
    if getattr(connection, "timeout", TIMEOUT) is None:  # MAIL_TIMEOUT is not set
        connection.timeout = TIMEOUT
    made = EmailMultiAlternatives(
        message.subject,
        message.text,
        sender,
        [to],
        connection=connection,
        headers=dict(message.headers),
    )
    made.attach_alternative(message.html, "text/html")
    made.send()


_LIBRARIES: dict[str, Send] = {"flask_mail": _by_flask_mail, "flask_mailman": _by_flask_mailman}
