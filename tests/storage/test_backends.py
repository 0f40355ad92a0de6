"""Backends by URI: what is found at the start, and what at the first use."""

import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stores import at_once

from flask_otp_auth.errors import ConfigError, Unavailable
from flask_otp_auth.storage.backends import LazyStore, backend_for
from flask_otp_auth.storage.base import CacheStore, Store
from flask_otp_auth.storage.memory import MemoryCache


class TestURI:
    @pytest.mark.parametrize(
        ("uri", "told"),
        [
            ("mysql://one", "must be a URI such as sqlite:///"),
            ("no uri", "must be a URI such as sqlite:///"),
            ("sqlite:///:memory:", "write memory://"),
            ("sqlite:///:MEMORY:", "write memory://"),
            ("sqlite:///file::memory:?cache=shared", "write memory://"),
            ("sqlite:///codes.sqlite3?timeout=9", "must name a file and no options"),
            ("sqlite:///file:codes.sqlite3", "must name a file and no options"),
            ("sqlite:///~/codes.sqlite3", "nothing is put in place of ~"),
            ("sqlite:///<instance>/codes.sqlite3", "the instance folder anyway"),
            ("sqlite:///$HOME/codes.sqlite3", "nothing is put in place of"),
            ("sqlite:///{instance}/codes.sqlite3", "nothing is put in place of"),
            ("sqlite:///my%20codes.sqlite3", "nothing is put in place of"),
            ("sqlite:///codes.sqlite3\n", "no white space"),
            ("sqlite:///codes\x00.sqlite3", "no control character"),
            ("sqlite:///codes\ud800.sqlite3", "must name a file as it is"),
            ("sqlite://", "must name a file"),
            ("sqlite:///", "must name a file"),
            ("sqlite:////", "must name a file"),
            ("sqlite:///codes/", "must name a file"),
            ("sqlite://codes.sqlite3", "must name a file"),
            ("sqlite:codes.sqlite3", "must be a URI such as sqlite:///"),
        ],
    )
    def test_what_can_not_work_is_told_at_the_start(self, uri: str, told: str) -> None:
        with pytest.raises(ConfigError, match=f"OTP_AUTH_SIGN_INS_URI .*{told}"):
            backend_for(uri, "/tmp", "OTP_AUTH_SIGN_INS_URI")  # noqa: S108 - nothing is made

    @pytest.mark.parametrize("uri", ["memory://", "sqlite:///codes.sqlite3"])
    def test_what_is_no_server_is_not_asked_at_the_start(self, uri: str, tmp_path: Path) -> None:
        backend = backend_for(uri, str(tmp_path))
        assert backend.contact_at_start is False

    def test_nothing_is_shared_in_memory(self) -> None:
        backend = backend_for("memory://", "")
        one, other = backend.open_store(), backend.open_store()
        one.put({"key": "1"}, 60)
        assert other.peek("key") == [None]


class TestSQLitePath:
    def test_an_instance_folder_may_have_any_name(self, tmp_path: Path) -> None:
        folder = tmp_path / "$HOME %20 {shop}"
        assert backend_for(f"sqlite:///{folder}/codes.sqlite3", "/").path is not None
        assert backend_for("sqlite:///codes.sqlite3", str(folder)).path is not None

    def test_nothing_is_made_before_the_first_use(self, tmp_path: Path) -> None:
        backend = backend_for("sqlite:///data/codes.sqlite3", str(tmp_path / "instance"))
        store = LazyStore(backend.open_store)
        backend.open_limits()
        assert list(tmp_path.iterdir()) == []
        store.put({"key": "1"}, 60)
        assert (tmp_path / "instance" / "data" / "codes.sqlite3").is_file()

    def test_an_absolute_path_is_taken_as_it_is(self, tmp_path: Path) -> None:
        backend = backend_for(f"sqlite:///{tmp_path}/codes.sqlite3", "/nowhere")
        backend.open_store().put({"key": "1"}, 60)
        assert (tmp_path / "codes.sqlite3").is_file()

    @pytest.mark.parametrize(
        ("path", "told"),
        [
            ("folder", "is a folder"),
            ("pipe", "is a device or a link to no file"),
            ("link", "is a device or a link to no file"),
            ("file/codes.sqlite3", "a folder that this user may write to"),
            ("file/deeper/codes.sqlite3", "a folder that this user may write to"),
        ],
    )
    def test_what_can_be_no_file_is_told_at_the_start(
        self, tmp_path: Path, path: str, told: str
    ) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()
        (tmp_path / "link").symlink_to("nowhere")
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ConfigError, match=f"OTP_AUTH_STORAGE_URI .*{told}"):
            backend_for(f"sqlite:///{tmp_path}/{path}", "")

    @pytest.mark.parametrize(
        ("closed", "told"),
        [
            ("codes.sqlite3", "a file that this user may write to"),
            ("", "a folder that this user may write to"),
        ],
    )
    def test_what_may_not_be_written_is_told_at_the_start(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str, told: str
    ) -> None:
        (tmp_path / "codes.sqlite3").touch()
        shut = os.path.normpath(tmp_path / closed)
        monkeypatch.setattr(os, "access", lambda path, mode: os.path.normpath(path) != shut)
        with pytest.raises(ConfigError, match=f"OTP_AUTH_STORAGE_URI .*{told}"):
            backend_for(f"sqlite:///{tmp_path}/codes.sqlite3", "")

    def test_a_planted_file_is_told_once_and_out_of_reach(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / "codes.sqlite3"
        path.touch()
        path.chmod(0o666)
        backend = backend_for(f"sqlite:///{path}", "")
        store, limits = LazyStore(backend.open_store), backend.open_limits()
        with pytest.raises(ConfigError, match="others may write to"):
            store.connect()
        for _ in range(2):
            with pytest.raises(Unavailable):
                store.peek("key")
            with pytest.raises(limits.base_exceptions):
                limits.incr("key", 60)
        assert [r.levelno for r in caplog.records].count(logging.ERROR) == 1
        path.chmod(0o600)
        assert store.peek("key") == [None]

    def test_so_is_a_file_of_something_else(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / "codes.sqlite3"
        path.write_text("a letter, not a database " * 100)
        path.chmod(0o644)
        store = LazyStore(backend_for(f"sqlite:///{path}", "").open_store)
        for _ in range(2):
            with pytest.raises(Unavailable):
                store.peek("key")
        told = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
        assert told == [f"{path} is no SQLite database: name another file"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o644  # others may need to read it
        path.unlink()
        assert store.peek("key") == [None]


class Outage:
    """Opens a store that can't be reached until a test says so."""

    def __init__(self, cache: MemoryCache, over: bool = False) -> None:
        self.cache = cache
        self.tries = 0
        self.over = over

    def __call__(self) -> Store:
        self.tries += 1
        if not self.over:
            raise Unavailable
        return CacheStore(self.cache)


class Liar(MemoryCache):
    """Says yes to everybody who takes a key."""

    def take(self, *keys: str, value: str | None = None) -> list[bool]:
        return [True for _ in keys]


class TestLazyStore:
    """A store is opened and tested at the first contact that there is."""

    VERBS = pytest.mark.parametrize(
        "use",
        [
            lambda store: store.put({"key": "1"}, 60),
            lambda store: store.peek("key"),
            lambda store: store.take("key"),
            lambda store: store.take("key", value="1"),
            lambda store: store.mark("key", 60, "1"),
        ],
        ids=["put", "peek", "take", "take_value", "mark"],
    )

    @VERBS
    def test_each_verb_is_tried_again_until_the_storage_answers(
        self, use: Callable[[Store], object]
    ) -> None:
        outage = Outage(MemoryCache())
        store = LazyStore(outage)
        for _ in range(2):
            with pytest.raises(Unavailable):
                use(store)
        outage.over = True
        outcomes = [use(store), use(CacheStore(MemoryCache()))]
        use(store)
        assert outcomes[0] == outcomes[1]
        assert outage.tries == 3

    @VERBS
    def test_a_storage_that_lies_stays_out_of_use_and_is_told_once(
        self, use: Callable[[Store], object], caplog: pytest.LogCaptureFixture
    ) -> None:
        store = LazyStore(Outage(Liar(), over=True))
        with pytest.raises(ConfigError, match="failed the self-test"):
            store.connect()
        for _ in range(3):
            with pytest.raises(Unavailable) as caught:
                use(store)
            assert isinstance(caught.value.__cause__, ConfigError)
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert "failed the self-test" in record.getMessage()

    def test_it_may_be_opened_anew(self) -> None:
        store = LazyStore(backend_for("memory://", "").open_store)
        store.put({"key": "1"}, 60)
        store.reopen()
        assert store.peek("key") == [None]

    def test_threads_that_come_first_together_share_one_store(self) -> None:
        """Or what one of them puts into memory is nowhere."""
        for _ in range(20):
            store = LazyStore(backend_for("memory://", "").open_store)
            marked = at_once(*[lambda store=store: store.mark("key", 60)] * 4)
            assert marked.count(True) == 1


def test_an_outage_is_logged_without_what_the_error_says(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryCache):
        def get_many(self, *keys: str) -> list[Any]:
            raise OSError(f"can't read {keys}")

    with pytest.raises(Unavailable):
        CacheStore(Broken(), (OSError,)).peek("secret")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "the storage is unavailable: OSError"
    with pytest.raises(OSError, match="can't read"):
        CacheStore(Broken()).peek("secret")
