"""Sockets that wait in the kernel.

Before each call on a socket with a time-out, the interpreter polls it, and to poll it once hands
the interpreter over to another thread and back. A socket that blocks, with its time-out kept by
the kernel, needs no poll.
"""

import errno
import os
import signal
import socket
import struct
import sys
from typing import Any

#: Where ``struct timeval`` is known to be two longs of eight bytes (socket(7)).
KNOWN: bool = sys.platform == "linux" and struct.calcsize("l") == 8

#: What ``TCP_INFO`` begins with while both ends may send (``TCP_ESTABLISHED``).
_ESTABLISHED = b"\x01"

#: An option that begins with the bytes which data that nobody has read takes in the kernel
#: (``SO_MEMINFO``, for which Python has no name); a kernel without it says so.
_UNREAD = 55
_NONE = bytes(4)


class KernelTimedSocket(socket.socket):
    """A socket whose time-out the kernel keeps; to a driver it is like any other."""

    _seconds: float | None = None
    _flags = 0

    def settimeout(self, value: float | None) -> None:
        """Let calls take so many seconds at most; 0 not to wait, ``None`` for no end."""
        self._flags = socket.MSG_DONTWAIT if value == 0 else 0
        if value == 0 or value == self._seconds:
            return
        # To the kernel, a time-out of nothing is none.
        microseconds = 0 if value is None else max(1, int(value * 1_000_000))
        bound = struct.pack("@ll", *divmod(microseconds, 1_000_000))
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bound)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, bound)
        self._seconds = value

    def setblocking(self, flag: bool, /) -> None:
        """Wait without end, or not at all."""
        self.settimeout(None if flag else 0)

    def gettimeout(self) -> float | None:
        """Return what was set."""
        return 0.0 if self._flags else self._seconds

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive up to so many bytes."""
        self._check()
        try:
            return super().recv(bufsize, flags | self._flags)
        except BlockingIOError as error:
            raise self._ended(error) from None

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into a buffer; the number of bytes is returned."""
        self._check()
        try:
            return super().recv_into(buffer, nbytes, flags | self._flags)
        except BlockingIOError as error:
            raise self._ended(error) from None

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send all bytes."""
        try:
            super().sendall(data, flags | self._flags)
        except BlockingIOError as error:
            raise self._ended(error) from None

    def _check(self) -> None:
        """Raise, if it is not to wait, what a call would raise that finds nothing.

        redis-py makes such a call before each command, to see whether a connection is still of
        use. To ask for an option takes less than to call: the interpreter stays with its thread.
        """
        if self._flags and self._is_quiet():
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def _is_quiet(self) -> bool:
        """Tell whether it is sure that the connection stands and has nothing unread."""
        try:
            state = self.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, len(_ESTABLISHED))
            return (
                state == _ESTABLISHED
                and self.getsockopt(socket.SOL_SOCKET, _UNREAD, len(_NONE)) == _NONE
            )
        except OSError:
            return False

    def _ended(self, error: BlockingIOError) -> OSError:
        return error if self._flags else TimeoutError("timed out")


def kernel_timed(plain: socket.socket) -> socket.socket:
    """Return the same connection with its time-out kept by the kernel.

    A socket of another class is returned as it is: one with TLS, and one of a library that
    switches between greenlets, as the kernel must not block these.
    """
    if not KNOWN or type(plain) is not socket.socket or type(plain).__module__ != "socket":
        return plain
    # Each signal lets a wait in the kernel begin anew, so it would never end between two of them.
    timers = signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF
    if any(signal.getitimer(timer)[0] for timer in timers):
        return plain
    timeout = plain.gettimeout()
    timed = KernelTimedSocket(plain.family, plain.type, plain.proto, plain.detach())
    socket.socket.settimeout(timed, None)
    timed.settimeout(timeout)
    return timed
