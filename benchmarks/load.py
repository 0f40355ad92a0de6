"""The load: requests over a few keep-alive connections, from one light thread."""

import json
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

#: Connections of a load, each of which has one request under way at any time.
CONNECTIONS = 8

#: Seconds without any answer after which a server counts as stuck.
PATIENCE = 30


@dataclass
class Load:
    """What one run of requests took.

    :ivar seconds: from the first request to the last answer.
    :ivar latencies: of each request, in seconds.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)


def post(path: str, body: dict[str, str]) -> bytes:
    """Return the bytes of a request."""
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


class _Connection:
    """A keep-alive connection with at most one request under way."""

    def __init__(self, port: int, address: str) -> None:
        self.socket = socket.create_connection(
            ("127.0.0.1", port), timeout=PATIENCE, source_address=(address, 0)
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.started = 0.0
        self._received = b""

    def send(self, request: bytes) -> None:
        self.started, self._received = time.perf_counter(), b""
        self.socket.sendall(request)

    def receive(self) -> tuple[int, bytes] | None:
        """Return status and body once they are complete."""
        chunk = self.socket.recv(65536)
        if not chunk:
            raise ConnectionError("the server closed a keep-alive connection")
        self._received += chunk
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        return (int(head[9:12]), body) if separator and len(body) >= int(length) else None


class Driver:
    """Connections to one server, each from an address of its own, as limits count by address."""

    def __init__(self, port: int, connections: int = CONNECTIONS) -> None:
        self.port = port
        self._connections = [_Connection(port, f"127.1.0.{n + 1}") for n in range(connections)]

    def close(self) -> None:
        for connection in self._connections:
            connection.socket.close()

    def run(self, requests: Sequence[bytes], status: int) -> Load:
        """Send all requests and wait for all answers.

        :raises RuntimeError: if an answer has another status.
        """
        load, waiting, start = Load(), iter(requests), time.perf_counter()
        with selectors.DefaultSelector() as selector:
            for connection, request in zip(self._connections, waiting, strict=False):
                selector.register(connection.socket, selectors.EVENT_READ, connection)
                connection.send(request)
            while len(load.latencies) < len(requests):
                events = selector.select(PATIENCE)
                if not events:
                    raise TimeoutError(f"no answer for {PATIENCE} s")
                for key, _ in events:
                    self._answered(key.data, status, load, waiting)
        load.seconds = time.perf_counter() - start
        return load

    def _answered(
        self, connection: _Connection, status: int, load: Load, waiting: Iterator[bytes]
    ) -> None:
        answer = connection.receive()
        if answer is None:
            return
        load.latencies.append(time.perf_counter() - connection.started)
        if answer[0] != status:
            raise RuntimeError(f"{answer[0]} instead of {status}: {answer[1]!r}")
        if (request := next(waiting, None)) is not None:
            connection.send(request)
