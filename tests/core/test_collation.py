"""A real PostgreSQL that deems two people's addresses equal: nobody is found for another."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, String, create_engine, func, select, text
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    sessionmaker,
)
from stores import installed

from flask_otp_auth.errors import DuplicateError
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

ADA, LOOK_ALIKE = "ada@example.com", "ÁDÁ@example.com"


Sessions = sessionmaker[Session]
MakeStore = Callable[..., SQLAlchemyActorStore]


class Base(DeclarativeBase):
    """The models of these tests."""


class ByLetters(Base):
    """An account whose column sees neither case nor accents: an ICU collation of level 1."""

    __tablename__ = "by_letters"
    id: Mapped[str] = mapped_column(String(collation="letters"), primary_key=True)
    email: Mapped[str] = mapped_column(String(collation="letters"), unique=True)


class ByCitext(Base):
    """An account whose column doesn't see case."""

    __tablename__ = "by_citext"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    email: Mapped[str] = mapped_column(CITEXT, unique=True)


class ByNumber(Base):
    """An account whose id is a number, which PostgreSQL compares with nothing else."""

    __tablename__ = "by_number"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)


class ByName(Base):
    """An account that must have a name."""

    __tablename__ = "by_name"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]


def programs() -> Path:
    """Return the folder with PostgreSQL's programs, which Debian keeps off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return Path(found[0] if found else installed("pg_ctl")).resolve().parent


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL of our own, on a socket in a folder of its own; returns that folder."""
    bin_path = programs()
    with tempfile.TemporaryDirectory(prefix="otp-auth-pg-") as folder:
        yield from running(bin_path, folder)


def running(bin_path: Path, folder: str) -> Iterator[str]:
    """Make and start a server in a folder, and stop it when it has served."""
    options: dict[str, Any] = {"cwd": folder, "check": True, "capture_output": True}
    if os.geteuid() == 0:  # as whom PostgreSQL refuses to run
        shutil.chown(folder, "postgres")
        options |= {"user": "postgres", "group": "postgres", "extra_groups": []}
    control = [bin_path / "pg_ctl", "--silent", "--wait", "--pgdata", f"{folder}/data"]
    subprocess.run(
        [bin_path / "initdb", "--no-sync", "--auth=trust", "--username=shop", "--encoding=UTF8",
         "--locale=C", "--pgdata", f"{folder}/data"],
        **options,
    )  # fmt: skip
    settings = f"-F -c listen_addresses='' -c unix_socket_directories='{folder}'"
    # Its output goes to a file: a pipe would stay open as long as the server runs.
    subprocess.run([*control, "--log", f"{folder}/log", "--options", settings, "start"], **options)
    yield folder
    subprocess.run([*control, "--mode", "immediate", "stop"], **options)


@pytest.fixture
def engine(server: str) -> Iterator[Engine]:
    """A database with empty tables."""
    engine = create_engine(f"postgresql+psycopg://shop@/postgres?host={server}")
    with engine.begin() as connection:
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS citext"))
        connection.execute(
            text(
                "CREATE COLLATION IF NOT EXISTS letters "
                "(provider = icu, locale = 'und-u-ks-level1', deterministic = false)"
            )
        )
        Base.metadata.drop_all(connection)
        Base.metadata.create_all(connection)
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> Sessions:
    """Make sessions on the database."""
    return sessionmaker(engine)


@pytest.fixture
def make_store(sessions: Sessions) -> MakeStore:
    """Make a store on a table with one row."""

    def make(model: type[Any], **row: Any) -> SQLAlchemyActorStore:
        with sessions.begin() as session:
            session.add(model(**row))
        return SQLAlchemyActorStore(model, sessions)

    return make


def test_a_look_alike_is_somebody_else(make_store: MakeStore, sessions: Sessions) -> None:
    store = make_store(ByLetters, id="1", email=LOOK_ALIKE)
    with sessions() as session:
        alike = select(func.count()).where(ByLetters.email == ADA)
        assert session.scalar(alike) == 1, "the database deems the two equal"
    assert store.find_by_identifier(ADA) is None
    assert store.find_by_identifier(LOOK_ALIKE).id == "1"


@pytest.mark.parametrize("model", [ByLetters, ByCitext])
def test_a_phone_number_with_spaces_is_found(make_store: MakeStore, model: type[Any]) -> None:
    key = {ByLetters: "1", ByCitext: uuid.UUID(int=1)}[model]
    store = make_store(model, id=key, email="+49 30 1234567")
    assert store.find_by_identifier("+49301234567").id == key
    assert store.find_by_identifier("+49301234568") is None


@pytest.mark.parametrize("model", [ByLetters, ByCitext, ByNumber])
@pytest.mark.parametrize("stored", ["Ada@Example.com", ADA])
@pytest.mark.parametrize("ignore_case", [None, True])
def test_the_same_address_in_capitals_is_the_same_person(
    make_store: MakeStore,
    sessions: Sessions,
    model: type[Any],
    stored: str,
    ignore_case: bool | None,
) -> None:
    row = {ByLetters: "7", ByCitext: uuid.UUID(int=7), ByNumber: 7}[model]
    make_store(model, id=row, email=stored)
    store = SQLAlchemyActorStore(model, sessions, ignore_case=ignore_case)
    assert store.find_by_identifier(ADA).id == row
    assert store.count_non_canonical() == (stored != ADA)


def test_an_id_is_compared_exactly(make_store: MakeStore) -> None:
    store = make_store(ByLetters, id="ada", email=ADA)
    assert store.find_by_id("ada").email == ADA
    assert [store.find_by_id(text) for text in ("ADA", "ádá")] == [None, None]


@pytest.mark.parametrize(("model", "row"), [(ByNumber, 7), (ByCitext, uuid.UUID(int=7))])
@pytest.mark.parametrize("wrong", ["ada", "", "07", "7.0", "00000000000000000000000000000007"])
def test_what_is_no_id_is_nobody_s(
    make_store: MakeStore, model: type[Any], row: Any, wrong: str
) -> None:
    store = make_store(model, id=row, email=ADA)
    assert store.find_by_id(str(row)).email == ADA
    assert store.find_by_id(wrong) is None


def test_a_row_that_is_there_already_is_told_from_one_that_lacks_a_value(
    make_store: MakeStore,
) -> None:
    """Whatever the value is, which the database's error repeats."""
    store = make_store(ByName, email="not-null@example.com", name="Ada")
    with pytest.raises(DuplicateError):
        store.create("not-null@example.com", {"name": "Eve"})
    with pytest.raises(IntegrityError, match="null value"):
        store.create(ADA, {})
