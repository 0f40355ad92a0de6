"""Mail: codes and notices over a real SMTP server, read back from what arrived."""

import gc
import smtplib
import socket
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any
from weakref import ref

import flask_mail
import flask_mailman
import pytest
from fakes import ADA, BOB, SECRET, Api, Customers, MakeApp, SignalRecorder, sign_in
from flask import Flask, current_app
from mailbox_server import Mailbox
from stores import PATIENCE, free_port, until

from flask_otp_auth import ConfigError, OTPAuth
from flask_otp_auth.core.crypto import Keys
from flask_otp_auth.core.test_identities import FixedCodes
from flask_otp_auth.mail import mail_codes
from flask_otp_auth.testing import Outbox

PHONE = "+4915123456789"
MADE = {"flask-mail": flask_mail.Mail, "flask-mailman": flask_mailman.Mail}


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A real SMTP server."""
    with Mailbox() as mailbox:
        yield mailbox


@pytest.fixture(params=MADE)
def make_mailing(request: pytest.FixtureRequest, mailbox: Mailbox, customers: Customers) -> MakeApp:
    """Make the shop that mails, by each of the libraries."""

    def make(*, only: Any = None, otp_auth: OTPAuth | None = None, **config: Any) -> Flask:
        app = configured(mailbox, **config)
        if otp_auth is None:
            otp_auth = OTPAuth()
            otp_auth.add_actor_type("customer", customers, identifier=("email", "phone"))
        otp_auth.init_app(app)
        mail_codes(app, MADE[request.param](app), only=only)
        return app

    return make


def configured(mailbox: Mailbox, **config: Any) -> Flask:
    app = Flask("shop")
    app.config.update(
        TESTING=True,
        SECRET_KEY=SECRET,
        MAIL_SERVER="127.0.0.1",
        MAIL_PORT=mailbox.port,
        MAIL_BACKEND="smtp",
        MAIL_SUPPRESS_SEND=False,
        MAIL_DEFAULT_SENDER="post@shop.example",
        OTP_AUTH_SITE_NAME="Ada's shop",
    )
    app.config.update(config)
    return app


def initialised(app: Flask, customers: Customers, *names: str) -> OTPAuth:
    """Initialise an extension object with actor types of these names; else with customers."""
    otp_auth = OTPAuth()
    for name in names or ("customer",):
        otp_auth.add_actor_type(name, customers)
    otp_auth.init_app(app)
    return otp_auth


def part(mail: EmailMessage, kind: str) -> str:
    """Return the text of one of the two alternatives."""
    body = mail.get_body((kind,))
    assert body is not None
    text: str = body.get_content()
    return text


def test_a_code_arrives_in_both_forms(make_mailing: MakeApp, mailbox: Mailbox) -> None:
    app = make_mailing()
    with Outbox(app, alone=False) as outbox:
        Api(app.test_client()).generate(ADA)
    mail, otp = mailbox.next(), outbox.last.otp
    assert mail["Subject"] == f"{otp} is your code for Ada's shop"
    assert (mail["To"], mail["From"].addresses[0].addr_spec) == (ADA, "post@shop.example")
    assert "multipart/alternative" in [each.get_content_type() for each in mail.walk()]
    assert otp in part(mail, "plain").splitlines()
    assert f">{otp}<" in part(mail, "html")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Auto-Response-Suppress"] == "All"
    assert mail["References"].endswith("@otp-auth.invalid>")
    assert mail["Message-ID"] != mail["References"]


NAMES = (
    "Ada's shop",
    'Ada, Bob & "Sons" <eve@example.com>',
    "Bücher Ümlaut, GmbH",
    "متجر آدا",
    "The very old and well-known shop of Ada and her seven sisters, in the High Street of our town",
    "Bücherstube der Geschwister Ädelgunde, Öttilie und Ünne Müller-Lüdenscheidt, Gesellschaft mbH",
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "sender", ["post@shop.example", ("Somebody", "post@shop.example"), "Else <post@shop.example>"]
)
def test_the_mail_is_from_the_site(
    make_mailing: MakeApp, mailbox: Mailbox, name: str, sender: object
) -> None:
    app = make_mailing(OTP_AUTH_SITE_NAME=name, MAIL_DEFAULT_SENDER=sender)
    Api(app.test_client()).generate(ADA)
    mail = mailbox.next()
    (address,) = mail["From"].addresses
    assert (address.display_name, address.addr_spec) == (name, "post@shop.example")
    assert mail["Subject"].endswith(f" is your code for {name}")
    assert "Bcc" not in mail


def test_domains_may_have_any_letters(
    make_mailing: MakeApp, mailbox: Mailbox, customers: Customers
) -> None:
    customers.add("ada@xn--bcher-kva.example")
    app = make_mailing(MAIL_DEFAULT_SENDER="post@bücher.example")
    Api(app.test_client()).generate("Ada@Bücher.example")
    mail = mailbox.next()
    assert mail["To"] == "ada@xn--bcher-kva.example"
    assert mail["From"].addresses[0].addr_spec == "post@xn--bcher-kva.example"


def test_somebody_new_gets_a_code_and_a_member_a_notice(
    make_mailing: MakeApp, mailbox: Mailbox
) -> None:
    api = Api(make_mailing().test_client())
    api.pre_register(BOB)
    assert "create your account" in part(mailbox.next(), "plain")
    api.pre_register(ADA)
    assert mailbox.next()["Subject"] == "You already have an account at Ada's shop"
    api.generate("eve@example.com")
    assert mailbox.next()["Subject"] == "There is no account at Ada's shop for this address"
    api.generate("eve@example.com")  # within the window: nothing
    assert mailbox.is_empty()


def test_a_confirmation_arrives_with_what_it_confirms(
    mailbox: Mailbox, make_mailing: MakeApp
) -> None:
    otp_auth = OTPAuth()
    app = make_mailing(otp_auth=otp_auth)
    with app.app_context():
        otp_auth.purpose("payment").send(ADA, binds={"amount": "950.00", "payee": "Zoë"})
    assert "amount: 950.00\npayee: Zoë\n" in part(mailbox.next(), "plain").replace("\r\n", "\n")


def test_a_new_device_is_told_of(make_mailing: MakeApp, mailbox: Mailbox) -> None:
    sign_in(make_mailing())
    subject = mailbox.next()["Subject"]
    assert subject == "A new device has signed in to your account at Ada's shop"


def test_a_test_identity_is_told_of_none(
    make_mailing: MakeApp, mailbox: Mailbox, customers: Customers
) -> None:
    """No message is sent to it: its address may be nobody's."""
    keys = Keys.derive([SECRET.encode()], "shop")
    line, code = FixedCodes(keys, ()).new("customer", BOB, 7)
    app = make_mailing(OTP_AUTH_TEST_IDENTITIES=[str(line)])
    customers.add(BOB)
    assert Api(app.test_client()).verify(code, BOB).status_code == 200
    sign_in(app, ADA)
    assert mailbox.next()["To"] == ADA
    assert mailbox.is_empty()


def test_a_sign_in_waits_for_no_mail_server(
    mailbox: Mailbox, customers: Customers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notice is sent by another thread, after the answer."""
    app = configured(mailbox, OTP_AUTH_DELIVERY="background", OTP_AUTH_TOKEN_ISSUER="shop")
    initialised(app, customers)
    mail = flask_mail.Mail(app)
    has_answered = threading.Event()
    send = mail.send

    def send_late(message: flask_mail.Message) -> None:
        assert has_answered.wait(PATIENCE)
        send(message)

    monkeypatch.setattr(mail, "send", send_late)
    mail_codes(app, mail)
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        api.generate(ADA)
        until(lambda: bool(outbox.messages), "the code")
    assert api.verify(outbox.last.otp).status_code == 200
    assert mailbox.is_empty()
    has_answered.set()
    assert mailbox.next()["Subject"].startswith("A new device")


def test_only_some_actor_types(
    make_mailing: MakeApp, mailbox: Mailbox, customers: Customers
) -> None:
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    otp_auth.add_actor_type("staff", customers)
    app = make_mailing(otp_auth=otp_auth, only=["staff"])
    client = app.test_client()
    sign_in(app)
    Api(client).pre_register(ADA)
    Api(client).pre_register(BOB)
    assert mailbox.is_empty()
    Api(client, actor_type="staff").generate(ADA)
    assert "is your code" in mailbox.next()["Subject"]
    assert mailbox.is_empty()


def test_what_nobody_sends_to_others_is_logged(
    make_mailing: MakeApp, customers: Customers, caplog: pytest.LogCaptureFixture
) -> None:
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    otp_auth.add_actor_type("staff", customers)
    client = make_mailing(otp_auth=otp_auth, only=["staff"]).test_client()
    Api(client, actor_type="staff").generate(ADA)
    assert caplog.messages == []
    Api(client).generate(ADA)
    (message,) = caplog.messages
    assert message.startswith("no handler delivers codes")


def test_two_calls_send_nothing_twice(mailbox: Mailbox, customers: Customers) -> None:
    app = configured(mailbox)
    otp_auth = initialised(app, customers, "customer", "staff")
    mail = flask_mail.Mail(app)
    mail_codes(app, mail, only="staff")
    mail_codes(app, mail, only=["customer"])
    with app.app_context():
        otp_auth.purpose("contact").send(BOB)
    Api(app.test_client()).generate(ADA)
    assert [mailbox.next()["To"], mailbox.next()["To"]] == [BOB, ADA]
    assert mailbox.is_empty()


@pytest.mark.parametrize(
    ("former", "later"),
    [(None, None), (None, "staff"), ("staff", None), ("staff", ["customer", "staff"])],
)
def test_calls_that_would_are_refused(mailbox: Mailbox, former: Any, later: Any) -> None:
    app = configured(mailbox)
    initialised(app, Customers(), "customer", "staff")
    mail_codes(app, flask_mail.Mail(app), only=former)
    with pytest.raises(ConfigError, match="would mail each code twice"):
        mail_codes(app, flask_mail.Mail(app), only=later)


def test_a_phone_that_nobody_serves_is_logged_once(
    make_mailing: MakeApp, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", Customers(), identifier=("email", "phone"))
    app = make_mailing(otp_auth=otp_auth, OTP_AUTH_RESEND_INTERVAL=0, OTP_AUTH_WARN_ON_ERROR=False)
    api = Api(app.test_client())
    with Outbox(app, alone=False):  # somebody else takes them
        api.pre_register(PHONE)
    assert caplog.records == []
    for _ in range(2):
        api.pre_register(PHONE)
    (record,) = caplog.records
    assert (record.levelname, PHONE in record.getMessage()) == ("ERROR", False)
    assert "connect a handler to pre-register-otp-generated" in record.getMessage()
    api.generate(PHONE)  # unknown, so a notice: nobody is told
    assert len(caplog.records) == 1
    assert mailbox.is_empty()


@pytest.mark.parametrize("signal", ["otp-generated", "confirmation-otp-generated"])
def test_the_log_names_the_signal(
    make_mailing: MakeApp, caplog: pytest.LogCaptureFixture, signal: str
) -> None:
    customers = Customers()
    customers.add(PHONE)
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers, identifier="phone")
    app = make_mailing(otp_auth=otp_auth)
    if signal == "otp-generated":
        Api(app.test_client()).generate(PHONE)
    else:
        with app.app_context():
            otp_auth.purpose("contact", identifier="phone").send(PHONE)
    assert f"connect a handler to {signal} that" in caplog.text


def test_a_server_that_is_away_is_a_failed_delivery(
    make_mailing: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_mailing(MAIL_PORT=free_port())
    assert Api(app.test_client()).generate(ADA).status_code == 200
    assert "send_code raised ConnectionRefusedError on signal otp-generated" in caplog.text


@pytest.mark.parametrize("encrypted", [{}, {"MAIL_USE_SSL": True}], ids=["plain", "TLS"])
def test_so_is_a_server_that_takes_the_call_and_says_nothing(
    make_mailing: MakeApp,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    encrypted: dict[str, bool],
) -> None:
    """Or it would hold a thread for ever, and after eight codes nobody would get one."""
    monkeypatch.setattr("flask_otp_auth.mail.TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        app = make_mailing(MAIL_PORT=silent.getsockname()[1], **encrypted)
        assert Api(app.test_client()).generate(ADA).status_code == 200
    assert "_Mailer.send_code raised" in caplog.text


def test_a_time_out_of_the_app_s_own_counts(
    mailbox: Mailbox, customers: Customers, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = configured(mailbox, MAIL_TIMEOUT=7)
    initialised(app, customers)
    mail = flask_mailman.Mail(app)
    connection = mail.get_connection()
    monkeypatch.setattr(mail, "get_connection", lambda: connection)
    mail_codes(app, mail)
    Api(app.test_client()).generate(ADA)
    assert mailbox.next()["To"] == ADA
    assert connection.timeout == 7


def test_a_connection_of_the_app_s_own_is_used(mailbox: Mailbox, customers: Customers) -> None:
    """Such as one with a certificate, or one that is kept open."""
    used: list[flask_mail.Connection] = []

    class Own(flask_mail.Connection):
        def configure_host(self) -> Any:
            used.append(self)
            return super().configure_host()

    class Mail(flask_mail.Mail):
        def connect(self) -> flask_mail.Connection:
            return Own(current_app.extensions["mail"])

    app = configured(mailbox)
    initialised(app, customers)
    mail_codes(app, Mail(app))
    Api(app.test_client()).generate(ADA)
    assert mailbox.next()["To"] == ADA
    assert len(used) == 1


def test_so_is_what_a_test_has_put_in_place_of_the_librarys_way(
    customers: Customers, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[flask_mail.Message] = []
    monkeypatch.setattr(flask_mail.Mail, "send", lambda _, message: sent.append(message))
    with Mailbox() as mailbox:
        app = configured(mailbox)
        initialised(app, customers)
        mail_codes(app, flask_mail.Mail(app))
        Api(app.test_client()).generate(ADA)
        assert mailbox.is_empty()
    assert [message.recipients for message in sent] == [[ADA]]


def test_settings_of_the_mail_library_are_heeded(customers: Customers) -> None:
    """TLS is begun, then somebody logs in; a server that can't do that gets no code."""
    with Mailbox() as mailbox:
        for config in ({"MAIL_USE_TLS": True}, {"MAIL_USERNAME": "ada", "MAIL_PASSWORD": "secret"}):
            app = configured(mailbox, **config)
            initialised(app, customers)
            mail_codes(app, flask_mail.Mail(app))
            recorder = SignalRecorder(app)
            Api(app.test_client()).generate(ADA)
            (failed,) = recorder.of("delivery_failed")
            assert isinstance(failed["error"], smtplib.SMTPNotSupportedError)
        assert mailbox.is_empty()


def test_handlers_live_as_long_as_the_app(mailbox: Mailbox) -> None:
    app = configured(mailbox)
    initialised(app, Customers())
    mail_codes(app, flask_mail.Mail(app))
    gc.collect()
    Api(app.test_client()).pre_register(BOB)
    assert mailbox.next()["To"] == BOB
    gone = ref(app)
    del app
    gc.collect()
    assert gone() is None


def test_the_current_app_may_stand_for_the_app(mailbox: Mailbox) -> None:
    app = configured(mailbox)
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", Customers())
    with app.app_context():
        otp_auth.init_app(current_app)
        mail_codes(current_app, flask_mail.Mail(app))
    Api(app.test_client()).pre_register(BOB)
    assert mailbox.next()["To"] == BOB


# -- bad configurations -------------------------------------------------------------------


@pytest.mark.parametrize(
    "sender",
    [
        None,
        "",
        "nobody",
        ("Ada", ""),
        "ädä@shop.example",
        "a@b..example",
        ("post@shop.example",),
        b"post@shop.example",
        7,
    ],
)
def test_a_sender_without_an_address_is_refused(
    mailbox: Mailbox, customers: Customers, sender: object
) -> None:
    app = configured(mailbox, MAIL_DEFAULT_SENDER=sender)
    initialised(app, customers)
    with pytest.raises(ConfigError, match="needs MAIL_DEFAULT_SENDER"):
        mail_codes(app, flask_mail.Mail(app))


def test_an_unknown_actor_type_is_refused(make_mailing: MakeApp) -> None:
    with pytest.raises(ConfigError, match=r"such as customer; .* for 'custmer'"):
        make_mailing(only=["custmer"])


def test_an_unknown_kind_of_mail_is_refused(app: Flask) -> None:
    app.config["MAIL_DEFAULT_SENDER"] = "post@shop.example"
    with pytest.raises(ConfigError, match=r"Flask-Mail .* or of Flask-Mailman, not Flask"):
        mail_codes(app, app)


def test_an_app_without_the_extension_is_refused(mailbox: Mailbox) -> None:
    app = configured(mailbox)
    with pytest.raises(ConfigError, match="init_app"):
        mail_codes(app, flask_mail.Mail(app))
