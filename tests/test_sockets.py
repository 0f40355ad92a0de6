"""Sockets that wait in the kernel: to their users they are like any others."""

import select
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import closing

import pytest

from flask_otp_auth import sockets
from flask_otp_auth.sockets import KernelTimedSocket, kernel_timed

pytestmark = pytest.mark.skipif(not sockets.KNOWN, reason="needs Linux with 64 bits")

#: Seconds that nobody minds to wait.
BRIEF = 0.01


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a connection as one has it to a server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        return ours, listener.accept()[0]


@pytest.fixture(params=[tcp_pair, socket.socketpair], ids=["tcp", "unix"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A socket of ours and its peer."""
    ours, peer = request.param()
    ours.settimeout(5)
    with closing(kernel_timed(ours)) as timed, closing(peer):
        yield timed, peer


def kernel_bound(timed: socket.socket, option: int) -> float:
    """Return the time-out that the kernel keeps, in seconds; 0 if none."""
    seconds, microseconds = struct.unpack("@ll", timed.getsockopt(socket.SOL_SOCKET, option, 16))
    return float(seconds + microseconds / 1e6)


def readable(timed: socket.socket) -> bool:
    """Wait until there is something to receive, were it the end."""
    return bool(select.select([timed], [], [], 5)[0])


def test_bytes_come_and_go(pair: tuple[socket.socket, socket.socket]) -> None:
    timed, peer = pair
    timed.sendall(b"ping")
    assert peer.recv(10) == b"ping"
    peer.sendall(b"pong, pong")
    assert timed.recv(4) == b"pong"
    buffer = bytearray(6)
    assert timed.recv_into(buffer) == 6
    assert buffer == b", pong"
    peer.close()
    assert timed.recv(1) == b""


def test_the_interpreter_has_nothing_to_poll(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    timed, _ = pair
    assert timed.gettimeout() == 5
    assert socket.socket.gettimeout(timed) is None
    assert kernel_bound(timed, socket.SO_RCVTIMEO) == 5
    assert kernel_bound(timed, socket.SO_SNDTIMEO) == 5


def test_what_takes_too_long_ends(pair: tuple[socket.socket, socket.socket]) -> None:
    timed, _ = pair
    timed.settimeout(BRIEF)
    with pytest.raises(TimeoutError):
        timed.recv(1)
    with pytest.raises(TimeoutError):
        timed.recv_into(bytearray(1))
    with pytest.raises(TimeoutError):
        timed.sendall(b"x" * 10_000_000)


def test_a_time_out_of_nothing_does_not_wait(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    timed, peer = pair
    timed.settimeout(0)
    assert timed.gettimeout() == 0
    with pytest.raises(BlockingIOError):
        timed.recv(1)
    with pytest.raises(BlockingIOError):
        timed.recv_into(bytearray(1))
    peer.sendall(b"xyz")
    assert readable(timed)
    assert timed.recv(1) == b"x"
    buffer = bytearray(2)
    assert timed.recv_into(buffer) == 2
    assert buffer == b"yz"
    with pytest.raises(BlockingIOError):
        timed.recv(1)
    timed.settimeout(5)
    assert timed.gettimeout() == 5


def test_a_look_at_a_connection_that_is_quiet_makes_no_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def call(*_: object) -> bytes:
        raise AssertionError("the interpreter was let go")

    ours, peer = tcp_pair()
    with closing(kernel_timed(ours)) as timed, closing(peer):
        timed.settimeout(0)
        monkeypatch.setattr(socket.socket, "recv", call)
        monkeypatch.setattr(socket.socket, "recv_into", call)
        with pytest.raises(BlockingIOError):
            timed.recv(1)
        with pytest.raises(BlockingIOError):
            timed.recv_into(bytearray(1))


def test_who_does_not_wait_sees_that_the_other_end_is_gone(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    timed, peer = pair
    timed.settimeout(0)
    peer.close()
    assert readable(timed)
    assert timed.recv(1) == b""
    assert timed.recv_into(bytearray(1)) == 0


def test_who_does_not_wait_sees_that_the_connection_broke() -> None:
    ours, peer = tcp_pair()
    ours.settimeout(0)
    with closing(kernel_timed(ours)) as timed:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        assert readable(timed)
        with pytest.raises(ConnectionResetError):
            timed.recv(1)


def test_blocking_or_not_is_a_time_out_too(pair: tuple[socket.socket, socket.socket]) -> None:
    timed, peer = pair
    timed.setblocking(False)
    with pytest.raises(BlockingIOError):
        timed.recv(1)
    timed.setblocking(True)
    assert timed.gettimeout() is None
    peer.sendall(b"x")
    assert timed.recv(1) == b"x"


@pytest.mark.parametrize(
    ("given", "kept"), [(2, 2), (1.25, 1.25), (1e-9, 1e-6), (None, 0)], ids=str
)
def test_every_time_out_is_kept(
    pair: tuple[socket.socket, socket.socket], given: float | None, kept: float
) -> None:
    """To the kernel 0 is no end, so a time-out that is as good as nothing must not become 0."""
    timed, _ = pair
    timed.settimeout(given)
    assert timed.gettimeout() == given
    assert kernel_bound(timed, socket.SO_RCVTIMEO) == pytest.approx(kept, abs=0.004)
    assert (kernel_bound(timed, socket.SO_RCVTIMEO) == 0) == (given is None)


class Green(socket.socket):
    """A socket of a library that switches between greenlets."""


def test_what_the_kernel_must_not_block_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Green()) as green:
        assert kernel_timed(green) is green
        monkeypatch.setattr(socket, "socket", Green)  # as such a library does it
        assert kernel_timed(green) is green


@pytest.mark.parametrize("timer", [signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF])
def test_where_signals_come_at_intervals_sockets_stay_as_they_are(timer: int) -> None:
    """Each would let the kernel's wait begin anew: a server that hangs would hang the app."""
    signal.setitimer(timer, 1000)
    try:
        with closing(socket.socket()) as plain:
            assert kernel_timed(plain) is plain
    finally:
        signal.setitimer(timer, 0)


def test_elsewhere_sockets_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "KNOWN", False)
    with closing(socket.socket()) as plain:
        assert kernel_timed(plain) is plain


def test_nothing_is_left_open(pair: tuple[socket.socket, socket.socket]) -> None:
    """The descriptor moves: closed once, and by its new owner."""
    timed, peer = pair
    assert isinstance(timed, KernelTimedSocket)
    timed.close()
    assert timed.fileno() == -1
    assert peer.recv(1) == b""
