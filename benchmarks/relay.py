"""A relay that counts round trips, for servers that don't."""

import socket
import threading


class Relay:
    """Passes bytes between clients and one server, and counts the turns of the clients.

    However many packets they are, what a client sends between two replies is one round trip.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._turns: dict[int, int] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def trips(self) -> int:
        return sum(self._turns.values())

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            talk = _Talk(self._turns, client, server)
            threading.Thread(target=talk.forward, daemon=True).start()
            threading.Thread(target=talk.reply, daemon=True).start()


class _Talk:
    """One client's connection."""

    def __init__(self, turns: dict[int, int], client: socket.socket, server: socket.socket) -> None:
        self._turns = turns
        self._client = client
        self._server = server
        self._sending = False

    def forward(self) -> None:
        while data := self._client.recv(65536):
            if not self._sending:
                self._sending = True
                self._turns[id(self)] = self._turns.get(id(self), 0) + 1
            self._server.sendall(data)
        self._server.close()

    def reply(self) -> None:
        while data := self._server.recv(65536):
            self._sending = False
            self._client.sendall(data)
        self._client.close()
