"""A real PostgreSQL that deems two people's addresses equal: no code goes to the wrong one."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Api, Ear
from flask import Flask
from sqlalchemy import Engine, String, create_engine, func, select, text
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from flask_otp_auth import OTPAuth
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore
from flask_otp_auth.testing import Outbox

ADA, LOOK_ALIKE = "ada@example.com", "ÁDÁ@example.com"


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


def programs() -> Path:
    """Return the folder with PostgreSQL's programs; skip, or fail in CI, where there is none."""
    # Debian keeps them off the PATH.
    places = [*Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), shutil.which("pg_ctl")]
    found = [Path(place).resolve().parent for place in places if place]
    if not found:
        reason = "PostgreSQL is not installed"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return found[0]


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
def sessions(engine: Engine) -> sessionmaker[Session]:
    """Make sessions on the database."""
    return sessionmaker(engine)


@pytest.fixture
def make_shop(
    make_app: Callable[..., Flask], sessions: sessionmaker[Session]
) -> Callable[..., tuple[Flask, SQLAlchemyActorStore]]:
    """Make a shop with one row of a model in its database."""

    def make(model: type[Any], **row: Any) -> tuple[Flask, SQLAlchemyActorStore]:
        with sessions.begin() as session:
            session.add(model(**row))
        store = SQLAlchemyActorStore(model, sessions)
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", store)
        return make_app(otp_auth), store

    return make


def test_a_look_alike_gets_no_code_of_another(
    make_shop: Callable[..., Any], sessions: sessionmaker[Session]
) -> None:
    app, store = make_shop(ByLetters, id="1", email=LOOK_ALIKE)
    with sessions() as session:
        alike = select(func.count()).where(ByLetters.email == ADA)
        assert session.scalar(alike) == 1, "the database deems the two equal"
    ear = Ear(app)
    with Outbox(app) as outbox:
        assert Api(app.test_client()).generate(ADA).status_code == 200
    assert not outbox.messages
    assert ear.reasons("otp_suppressed") == ["unknown_actor"]
    assert store.find_by_identifier(LOOK_ALIKE).id == "1"


@pytest.mark.parametrize("model", [ByLetters, ByCitext])
@pytest.mark.parametrize("stored", ["Ada@Example.com", ADA])
def test_the_same_address_in_capitals_is_the_same_person(
    make_shop: Callable[..., Any], model: type[Any], stored: str
) -> None:
    row = uuid.UUID(int=7) if model is ByCitext else "7"
    app, _ = make_shop(model, id=row, email=stored)
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        api.generate(ADA)
    assert outbox.last.actor_id == str(row)
    token = api.verify(outbox.last.otp, ADA).json["token"]
    assert api.refresh(token).status_code == 200


def test_an_id_is_compared_exactly(make_shop: Callable[..., Any]) -> None:
    _, store = make_shop(ByLetters, id="ada", email=ADA)
    assert store.find_by_id("ada").email == ADA
    assert [store.find_by_id(text) for text in ("ADA", "ádá")] == [None, None]


@pytest.mark.parametrize(("model", "row"), [(ByNumber, 7), (ByCitext, uuid.UUID(int=7))])
@pytest.mark.parametrize("wrong", ["ada", "", "07", "7.0", "00000000000000000000000000000007"])
def test_what_is_no_id_is_nobody_s(
    make_shop: Callable[..., Any], model: type[Any], row: Any, wrong: str
) -> None:
    _, store = make_shop(model, id=row, email=ADA)
    assert store.find_by_id(str(row)).email == ADA
    assert store.find_by_id(wrong) is None
