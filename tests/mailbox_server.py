"""A real SMTP server, for tests that read what arrives."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from queue import Queue

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from stores import PATIENCE, free_port


class Mailbox:
    """The server; it runs while the ``with`` block does, and keeps each mail."""

    def __init__(self) -> None:
        self.port = free_port()
        self._mails: Queue[tuple[list[str], EmailMessage]] = Queue()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    def __enter__(self) -> "Mailbox":
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_DATA(  # noqa: N802 - the library's own name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        read = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(read, EmailMessage)
        self._mails.put((envelope.rcpt_tos, read))
        return "250 taken"

    def next(self) -> EmailMessage:
        """Return the next mail, which is to its one receiver."""
        receivers, mail = self._mails.get(timeout=PATIENCE)
        assert receivers == [mail["To"]]
        return mail

    def is_empty(self) -> bool:
        """Tell whether every mail was read."""
        return self._mails.empty()
