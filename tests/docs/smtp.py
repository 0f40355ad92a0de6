"""A mail server that keeps each mail, for tests of what the documentation mails."""

from email.message import Message
from queue import Queue

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from stores import PATIENCE, free_port


class Mailbox(MessageHandler):
    """A real SMTP server that runs while the ``with`` block does."""

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()
        self._mails: Queue[Message] = Queue()
        self._server = Controller(self, hostname="127.0.0.1", port=self.port)

    def __enter__(self) -> "Mailbox":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def handle_message(self, message: Message) -> None:
        self._mails.put(message)

    def next(self) -> Message:
        """Return the next mail."""
        return self._mails.get(timeout=PATIENCE)
