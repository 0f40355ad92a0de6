"""Real servers that keep codes and limits, each on a free port and in a folder of its own."""

import os
import random
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
import redis

T = TypeVar("T")

#: Seconds after which something that was waited for is missed.
PATIENCE = 30

#: A replica is given the data as soon as it asks, not seconds later.
AT_ONCE = ("--repl-diskless-sync-delay", "0")

#: Milliseconds after which Sentinels and Cluster nodes give up a server that doesn't answer.
GIVE_UP = 500


def until(happened: Callable[[], bool], what: str) -> None:
    """Look until something has happened, but not forever."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def at_once(*calls: Callable[[], T]) -> list[T]:
    """Make all calls at the same moment, and return their results in order."""
    barrier = threading.Barrier(len(calls), timeout=PATIENCE)

    def call(function: Callable[[], T]) -> T:
        barrier.wait()
        return function()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def free_port() -> int:
    """Return a port that nobody listens on, of those that no connection is given as its own."""
    while True:
        port = random.randrange(20_000, 32_768)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def installed(program: str) -> str:
    """Return the path of a program, or skip the test; on a machine for checks, fail it."""
    path = shutil.which(program)
    if path is None:
        reason = f"{program} is not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


class StorageServer:
    """A server that can be stopped, killed, frozen and started again, always on the same port.

    :ivar folder: where it is started; what it prints is kept there as well.
    """

    def __init__(
        self, folder: Path, port: int, command: Sequence[str], env: Mapping[str, str] | None = None
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.port = port
        self._command = command
        self._env = env
        self._output = folder / "output.txt"

    def __enter__(self) -> "StorageServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()  # there is nothing to be saved, and it may be frozen

    def start(self) -> None:
        """Start it, or start it again."""
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            until(self._is_up, "the server")
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop it as an administrator does."""
        self._process.terminate()
        self._process.wait(PATIENCE)

    def kill(self) -> None:
        """End it without giving it time for anything."""
        self._process.kill()
        self._process.wait(PATIENCE)

    def freeze(self) -> None:
        """Let it keep its connections but answer no more."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)  # until all of its threads stand still

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    @property
    def output(self) -> str:
        """What it has printed until now."""
        return self._output.read_text()

    def _is_up(self) -> bool:
        assert self._process.poll() is None, f"{self._command} has stopped:\n{self.output}"
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


class Redis(StorageServer):
    """One redis-server that keeps nothing on disk unless told so."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        port = port or free_port()
        program, where = installed("redis-server"), ("--port", str(port), "--dir", str(folder))
        own = ("--bind", "127.0.0.1", "--save", "", *options)
        super().__init__(folder, port, [program, *where, *own])

    @property
    def uri(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def ask(self, *command: str | int) -> Any:
        """Return the server's answer to a command."""
        with redis.Redis(port=self.port, decode_responses=True) as client:
            return client.execute_command(*command)

    def _is_up(self) -> bool:
        return super()._is_up() and self._answers()

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except redis.BusyLoadingError:
            return False


class Memcached(StorageServer):
    """One memcached."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        port = port or free_port()
        program = installed("memcached")
        where = ("-l", "127.0.0.1", "-p", str(port), "-u", "nobody")
        super().__init__(folder, port, [program, *where, *options])

    @property
    def uri(self) -> str:
        return f"memcached://127.0.0.1:{self.port}"


class Sentinel:
    """A master and a replica, watched by one Sentinel that makes the one take over the other."""

    def __init__(self, folder: Path) -> None:
        # After a failover, either may be the master.
        self.master = Redis(folder / "master", *AT_ONCE)
        copy = ("--replicaof", f"127.0.0.1 {self.master.port}")
        self.replica = Redis(folder / "replica", *AT_ONCE, *copy)
        port = free_port()
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {port}\n"
            f"dir {folder}\n"
            f"sentinel monitor shop 127.0.0.1 {self.master.port} 1\n"
            f"sentinel down-after-milliseconds shop {GIVE_UP}\n"
            f"sentinel failover-timeout shop {2 * GIVE_UP}\n"
        )
        command = [installed("redis-server"), str(config), "--sentinel"]
        self.sentinel = StorageServer(folder / "sentinel", port, command)
        self._running = ExitStack()

    def __enter__(self) -> "Sentinel":
        with ExitStack() as running:
            running.enter_context(self.master)
            running.enter_context(self.replica)
            until(lambda: self.replica.ask("INFO")["master_link_status"] == "up", "the replica")
            running.enter_context(self.sentinel)
            until(lambda: self._knows_replica(), "the Sentinel to know the replica")
            self._running = running.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._running.__exit__(*error)

    @property
    def uri(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/shop"

    def cut_replica_off(self) -> None:
        """Let the replica hear of nothing that the master does from now on."""
        self.replica.freeze()
        self.master.ask("CLIENT", "KILL", "TYPE", "replica")

    def fail_over(self) -> None:
        """Lose the master for good, and wait until the replica has taken over."""
        self.master.kill()
        self.replica.thaw()
        until(lambda: self.master_port() == self.replica.port, "the failover")
        until(lambda: self.replica.ask("ROLE")[0] == "master", "the new master")

    def master_port(self) -> int:
        """Return the port of the server that is the master in the Sentinel's eyes."""
        with redis.Redis(port=self.sentinel.port, decode_responses=True) as client:
            return int(client.sentinel_masters()["shop"]["port"])

    def _knows_replica(self) -> bool:
        with redis.Redis(port=self.sentinel.port, decode_responses=True) as client:
            return int(client.sentinel_masters()["shop"]["num-slaves"]) == 1


class Cluster:
    """A Redis Cluster of three nodes, each with a third of the slots."""

    def __init__(self, folder: Path) -> None:
        self._buses = [free_port() for _ in range(3)]
        self.nodes = [self._node(folder / str(bus), bus) for bus in self._buses]
        self._running = ExitStack()

    @staticmethod
    def _node(folder: Path, bus: int) -> Redis:
        timeout = ("--cluster-node-timeout", str(2 * GIVE_UP))
        return Redis(folder, "--cluster-enabled", "yes", "--cluster-port", str(bus), *timeout)

    def __enter__(self) -> "Cluster":
        with ExitStack() as running:
            for number, node in enumerate(self.nodes):
                running.enter_context(node)
                first, last = 16384 * number // 3, 16384 * (number + 1) // 3 - 1
                node.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
                node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, self._buses[0])
            until(self.is_complete, "the Cluster")
            self._running = running.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._running.__exit__(*error)

    @property
    def uri(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def is_complete(self) -> bool:
        """Tell whether all nodes know that all are there."""
        told = [node.ask("CLUSTER INFO") for node in self.nodes]
        return {(one["cluster_state"], one["cluster_known_nodes"]) for one in told} == {("ok", "3")}


AnyStorage = Redis | Memcached | Sentinel | Cluster

KINDS = {"redis": Redis, "sentinel": Sentinel, "cluster": Cluster, "memcached": Memcached}


@pytest.fixture(scope="session")
def storages(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Storages"]:
    """Starts each kind of storage at its first use; they are shared by all tests."""
    with Storages(tmp_path_factory) as storages:
        yield storages


class Storages(ExitStack):
    """The storages that are running, by their kind."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        super().__init__()
        self._folders = folders
        self._running: dict[str, AnyStorage] = {}

    def __getitem__(self, kind: str) -> AnyStorage:
        if kind not in self._running:
            storage = KINDS[kind](self._folders.mktemp(kind))
            self._running[kind] = cast(AnyStorage, self.enter_context(storage))
        return self._running[kind]


class Proxy:
    """Stands between an app and a server: counts their round trips, and gets in their way.

    :ivar trips: how often the app waited for the server.
    :ivar events: what happens in a trip, after the server has answered and before that is heard.
    """

    def __init__(self, target: int, port: int = 0) -> None:
        self.trips = 0
        self.events: dict[int, Callable[[], object]] = {}
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[tuple[threading.Thread, tuple[socket.socket, ...]]] = []

    def __enter__(self) -> "Proxy":
        self._listening = threading.Thread(target=self._accept, args=[self._listener], daemon=True)
        self._listening.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listening.join(PATIENCE)
        self._listener.close()
        self.reset()

    def cut_off(self, trip: int) -> None:
        """Lose the answer of a trip, counted from now, together with the connection."""

        def cut() -> None:
            raise ConnectionAbortedError

        self.events[self.trips + trip] = cut

    def reset(self) -> None:
        """Cut all connections, as a firewall that has forgotten them does."""
        while self._threads:
            thread, sockets = self._threads.pop()
            for one in sockets:
                with suppress(OSError):  # it is closed already
                    # To linger for no time is to send a reset.
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    one.shutdown(socket.SHUT_RD)
            thread.join(PATIENCE)

    def _run(self, work: Callable[..., None], *sockets: socket.socket) -> None:
        thread = threading.Thread(target=work, args=sockets, daemon=True)
        self._threads.append((thread, sockets))
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                app, _ = listener.accept()
                self._run(self._serve, app, socket.create_connection(("127.0.0.1", self._target)))

    def _serve(self, app: socket.socket, server: socket.socket) -> None:
        """Carry requests there and answers back; a trip begins with what follows an answer."""
        answered = True
        with app, server, suppress(OSError), selectors.DefaultSelector() as selector:
            selector.register(app, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, app)
            while True:
                for key, _ in selector.select():
                    data = cast(socket.socket, key.fileobj).recv(65536)
                    if not data:
                        return
                    if key.fileobj is app:
                        self.trips += answered
                    else:
                        self.events.pop(self.trips, lambda: None)()
                    answered = key.fileobj is server
                    key.data.sendall(data)
