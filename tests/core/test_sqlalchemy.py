"""The actor store on SQLAlchemy: the right row, or none, or an error; never a guess."""

import logging
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import flask_sqlalchemy
import flask_sqlalchemy_lite
import pytest
import time_machine
from flask import Flask
from flask_login import UserMixin
from sqlalchemy import (
    DateTime,
    Engine,
    ForeignKey,
    Integer,
    LargeBinary,
    Numeric,
    String,
    create_engine,
    event,
    func,
    inspect,
    select,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    object_session,
    relationship,
    scoped_session,
    sessionmaker,
    synonym,
)
from sqlalchemy.pool import StaticPool
from sqlalchemy.types import TypeDecorator, UserDefinedType

from flask_otp_auth import canonicaliser
from flask_otp_auth.core.actors import ActorType, ActorTypeSpec
from flask_otp_auth.core.phones import phone
from flask_otp_auth.core.settings import Settings
from flask_otp_auth.errors import AmbiguousActor, ConfigError, DuplicateError
from flask_otp_auth.sqlalchemy import RECHECK_INTERVAL, SQLAlchemyActorStore

ADA, BOB, PHONE = "ada@example.com", "bob@example.com", "+493012345678"

Add = Callable[..., None]
Store = SQLAlchemyActorStore
Make = Callable[..., Store]
Sessions = sessionmaker[Session]


class Base(DeclarativeBase):
    """The models of these tests."""


class Member(Base):
    """An account with two identifiers, either of which may be missing."""

    __tablename__ = "member"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str | None]
    phone: Mapped[str | None]
    token: Mapped[str | None] = mapped_column(unique=True)
    deleted_at: Mapped[datetime | None]
    is_active: Mapped[bool] = mapped_column(default=True)


def actor_type(store: Store) -> ActorType:
    return ActorTypeSpec.build("member", store).resolve(Settings(), special_use=lambda: False)


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A database in memory."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> Sessions:
    """Make sessions on the database."""
    return sessionmaker(engine)


@pytest.fixture
def add(sessions: Sessions) -> Add:
    """Add a row to the database."""

    def add(row: Any) -> None:
        with sessions.begin() as session:
            session.add(row)

    return add


class TestByIdentifier:
    """Which row an identifier is that of."""

    @pytest.fixture
    def store(self, sessions: Sessions) -> Store:
        """Members by e-mail address or phone number."""
        return SQLAlchemyActorStore(Member, sessions, identifiers=("email", "phone"))

    def test_any_of_the_columns_may_have_it(self, store: Store, add: Add) -> None:
        add(Member(id=1, email=ADA, phone=PHONE))
        add(Member(id=2, email=BOB))
        assert [store.find_by_identifier(text).id for text in (ADA, PHONE, BOB)] == [1, 1, 2]

    def test_one_column_is_enough(self, sessions: Sessions, add: Add) -> None:
        add(Member(email=ADA, phone=PHONE))
        by_mail = SQLAlchemyActorStore(Member, sessions)
        assert by_mail.find_by_identifier(ADA).email == ADA
        assert by_mail.find_by_identifier(PHONE) is None

    @pytest.mark.parametrize("identifier", ["eve@example.com", "", "None", "%", "' OR 1=1 --"])
    def test_an_unknown_one_is_nobody_s(self, store: Store, add: Add, identifier: str) -> None:
        add(Member(email=ADA))
        assert store.find_by_identifier(identifier) is None

    @pytest.mark.parametrize("other", [{"email": ADA}, {"email": BOB, "phone": ADA}])
    def test_two_rows_with_one_identifier_in_whichever_columns_are_an_error(
        self, store: Store, add: Add, other: dict[str, str]
    ) -> None:
        add(Member(email=ADA))
        add(Member(**other))
        with pytest.raises(AmbiguousActor) as caught:
            store.find_by_identifier(ADA)
        assert ADA not in str(caught.value)

    def test_one_row_that_has_it_twice_is_none(self, store: Store, add: Add) -> None:
        add(Member(id=1, email=ADA, phone=ADA))
        assert store.find_by_identifier(ADA).id == 1


class TestRowsThatDoNotCount:
    """Deleted and inactive rows sign nobody in, and are in nobody's way."""

    @pytest.fixture
    def store(self, sessions: Sessions) -> Store:
        """Members who have not left."""
        return SQLAlchemyActorStore(
            Member, sessions, is_deleted=lambda member: member.deleted_at is not None
        )

    @pytest.fixture
    def members(self, store: Store) -> ActorType:
        """The actor type of these members."""
        return actor_type(store)

    @pytest.mark.parametrize("gone", [{"deleted_at": datetime.now(UTC)}, {"is_active": False}])
    def test_they_can_not_sign_in(self, members: ActorType, add: Add, gone: dict[str, Any]) -> None:
        add(Member(id=1, email=ADA, **gone))
        assert members.find_by_identifier(ADA) is None
        assert members.find_by_id("1") is None

    def test_who_left_may_register_anew_and_who_was_switched_off_may_not(
        self, members: ActorType, add: Add
    ) -> None:
        add(Member(email=ADA, deleted_at=datetime.now(UTC)))
        add(Member(id=2, email=BOB, is_active=False))
        assert members.find_including_inactive(ADA) is None
        assert members.find_including_inactive(BOB).id == 2

    @pytest.mark.parametrize("gone", [{"deleted_at": datetime.now(UTC)}, {"is_active": False}])
    def test_who_has_a_new_row_is_found(self, store: Store, add: Add, gone: dict[str, Any]) -> None:
        add(Member(id=1, email=ADA, **gone))
        add(Member(id=2, email=ADA))
        assert store.find_by_identifier(ADA).id == 2

    def test_of_two_who_were_switched_off_none_is_the_owner(self, store: Store, add: Add) -> None:
        add(Member(email=ADA, is_active=False))
        add(Member(email=ADA, is_active=False))
        with pytest.raises(AmbiguousActor):
            store.find_by_identifier(ADA)


def unaccented(text: str | None) -> str | None:
    """Return what some collations of MySQL and ICU make of a text before they compare it."""
    return text and text.lower().replace("á", "a").replace("ß", "ss").rstrip(" ")


class LooseBase(DeclarativeBase):
    """The models of a database with a collation of its own."""


class Loose(LooseBase):
    """An account whose database sees neither case, accents nor trailing spaces."""

    __tablename__ = "loose"
    id: Mapped[str] = mapped_column(String(collation="loose"), primary_key=True)
    email: Mapped[str] = mapped_column(String(collation="loose"))


class TestCollations:
    """A database may deem two addresses equal; then they are compared once more, exactly."""

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        """A database with such a collation."""

        def compare(one: str, other: str) -> int:
            return 0 if unaccented(one) == unaccented(other) else 1

        def teach(connection: sqlite3.Connection, record: object) -> None:
            connection.create_collation("loose", compare)

        engine = create_engine("sqlite://", poolclass=StaticPool)
        event.listen(engine, "connect", teach)
        LooseBase.metadata.create_all(engine)
        yield engine
        engine.dispose()

    @pytest.fixture
    def store(self, sessions: Sessions) -> Store:
        """The accounts."""
        return SQLAlchemyActorStore(Loose, sessions)

    @pytest.mark.parametrize("stored", ["ádá@example.com", "ada@exámple.com", "adá@example.com "])
    def test_a_look_alike_is_somebody_else(
        self, store: Store, add: Add, sessions: Sessions, stored: str
    ) -> None:
        add(Loose(id="1", email=stored))
        with sessions() as session:
            assert session.scalar(select(Loose).where(Loose.email == ADA)) is not None
        assert store.find_by_identifier(ADA) is None

    @pytest.mark.parametrize("stored", ["Ada@Example.com", "ada@example.com "])
    def test_another_spelling_of_the_same_address_is_the_same_person(
        self, store: Store, add: Add, stored: str
    ) -> None:
        add(Loose(id="1", email=stored))
        assert store.find_by_identifier(ADA).id == "1"

    def test_two_spellings_in_two_rows_are_an_error(self, store: Store, add: Add) -> None:
        add(Loose(id="1", email="Ada@example.com"))
        add(Loose(id="2", email=ADA))
        with pytest.raises(AmbiguousActor):
            store.find_by_identifier(ADA)

    def test_what_is_no_address_is_compared_as_it_stands(
        self, sessions: Sessions, add: Add
    ) -> None:
        add(Loose(id="1", email="Ada"))
        add(Loose(id="2", email="@da"))
        store = SQLAlchemyActorStore(Loose, sessions)
        found = [store.find_by_identifier(text) for text in ("ada", "Ada", "@DA", "@da")]
        assert [row and row.id for row in found] == [None, "1", None, "2"]

    def test_a_form_of_the_app_s_own_decides_what_is_equal(
        self, sessions: Sessions, add: Add
    ) -> None:
        add(Loose(id="1", email="Ada@example.com"))
        case_matters = SQLAlchemyActorStore(Loose, sessions, canonical=str.strip)
        assert case_matters.find_by_identifier(ADA) is None
        assert case_matters.find_by_identifier("Ada@example.com").id == "1"

    def test_ids_are_compared_exactly_too(self, store: Store, add: Add) -> None:
        add(Loose(id="ada", email=ADA))
        assert store.find_by_id("ada").email == ADA
        assert [store.find_by_id(text) for text in ("ADA", "ádá", "ada ")] == [None, None, None]


class Serial(TypeDecorator[str]):
    """An id that Python knows as a text and the database as a number."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: object) -> int:
        return int(value)

    def process_result_value(self, value: Any, dialect: object) -> str:
        return f"{value:06}"


class Opaque(UserDefinedType[Any]):
    """A type that doesn't tell what it is in Python, as SQLAlchemy 2.0 has these."""

    cache_ok = True

    @property
    def python_type(self) -> type[Any]:
        raise NotImplementedError

    def get_col_spec(self, **_: Any) -> str:
        return "VARCHAR(10)"


class ByUuid(Base):
    __tablename__ = "by_uuid"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    email: Mapped[str]


class ByText(Base):
    __tablename__ = "by_text"
    name: Mapped[str] = mapped_column("id", primary_key=True)
    email: Mapped[str]

    def get_id(self) -> str:
        return self.name


class ByDecimal(Base):
    __tablename__ = "by_decimal"
    id: Mapped[Decimal] = mapped_column(Numeric(asdecimal=False), primary_key=True)
    email: Mapped[str]


class BySerial(Base):
    __tablename__ = "by_serial"
    id: Mapped[str] = mapped_column(Serial, primary_key=True)
    email: Mapped[str]


class ByOpaque(Base):
    __tablename__ = "by_opaque"
    id: Mapped[Any] = mapped_column(Opaque, primary_key=True)
    email: Mapped[str]


class ByPair(Base):
    __tablename__ = "by_pair"
    shop: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]

    def get_id(self) -> str:
        return str(self.number)


class Uniquified(Base):
    """A user of Flask-Security, whose id in a session is not its primary key."""

    __tablename__ = "uniquified"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    fs_uniquifier: Mapped[str]

    def get_id(self) -> str:
        return self.fs_uniquifier


class TestById:
    """An id is a text everywhere but in the database."""

    @pytest.mark.parametrize(
        ("model", "stored", "actor_id"),
        [
            (Member, {"id": 7}, "7"),
            (ByUuid, {"id": uuid.UUID(int=7)}, "00000000-0000-0000-0000-000000000007"),
            (ByText, {"name": "ada"}, "ada"),
            (ByDecimal, {"id": Decimal("7.5")}, "7.5"),
            (BySerial, {"id": "000007"}, "000007"),
            (ByOpaque, {"id": "seven"}, "seven"),
        ],
        ids=["int", "uuid", "str", "decimal", "decorated", "opaque"],
    )
    def test_it_becomes_what_the_primary_key_is(
        self, add: Add, sessions: Sessions, model: type[Any], stored: dict[str, Any], actor_id: str
    ) -> None:
        add(model(**stored, email=ADA))
        store = SQLAlchemyActorStore(model, sessions)
        assert store.find_by_id(actor_id).email == ADA
        assert store.find_by_id(actor_id + "1") is None

    @pytest.mark.parametrize(
        "actor_id", ["", "ada", "7.0", " 7", "07", "+7", "٧", "7\n", "7_", "9" * 5000, "None", "-1"]
    )
    def test_what_is_not_exactly_an_id_is_nobody_s(
        self, add: Add, sessions: Sessions, actor_id: str
    ) -> None:
        add(Member(id=7, email=ADA))
        assert SQLAlchemyActorStore(Member, sessions).find_by_id(actor_id) is None

    @pytest.mark.parametrize("actor_id", ["7", "{00000000-0000-0000-0000-000000000007}", "7" * 32])
    def test_a_uuid_has_one_spelling(self, add: Add, sessions: Sessions, actor_id: str) -> None:
        add(ByUuid(id=uuid.UUID(int=7), email=ADA))
        add(ByUuid(id=uuid.UUID("7" * 32), email=BOB))
        assert SQLAlchemyActorStore(ByUuid, sessions).find_by_id(actor_id) is None

    def test_another_attribute_may_be_the_id(self, add: Add, sessions: Sessions) -> None:
        add(Member(id=1, email=ADA, token="2"))
        add(Member(id=2, email=BOB, token="1"))
        store = SQLAlchemyActorStore(Member, sessions, key="token")
        assert store.find_by_id("2").email == ADA

    def test_an_id_by_which_the_row_is_not_found_is_told_once(
        self, add: Add, sessions: Sessions, caplog: pytest.LogCaptureFixture
    ) -> None:
        add(Uniquified(id=7, email=ADA, fs_uniquifier="x9"))
        store = SQLAlchemyActorStore(Uniquified, sessions)
        for _ in range(2):
            assert store.find_by_identifier(ADA).id == 7
        (record,) = caplog.records
        assert "the id of a Uniquified" in record.getMessage()
        assert "is not its id, by which its store finds it again" in record.getMessage()

    def test_a_row_without_an_id_is_told_by_whoever_needs_one(
        self, add: Add, sessions: Sessions, caplog: pytest.LogCaptureFixture
    ) -> None:
        add(Uniquified(id=7, email=ADA, fs_uniquifier=""))
        store = SQLAlchemyActorStore(Uniquified, sessions)
        assert store.find_by_identifier(ADA).id == 7
        assert caplog.records == []
        with pytest.raises(TypeError, match="must return an actor"):
            actor_type(store).find_by_identifier(ADA)

    def test_nothing_is_told_where_it_is_found(
        self, add: Add, sessions: Sessions, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Finding(SQLAlchemyActorStore):
            """Finds it in its own way."""

            def find_by_id(self, actor_id: str) -> Any | None:
                return super().find_by_id("7" if actor_id == "x9" else actor_id)

        add(Uniquified(id=7, email=ADA, fs_uniquifier="x9"))
        keyed = SQLAlchemyActorStore(Uniquified, sessions, key="fs_uniquifier")
        for store in (keyed, Finding(Uniquified, sessions)):
            assert store.find_by_identifier(ADA).id == 7
            assert store.find_by_id("x9").id == 7
        assert caplog.records == []

    def test_an_id_that_two_rows_have_is_an_error(self, add: Add, sessions: Sessions) -> None:
        add(ByPair(shop=1, number=7, email=ADA))
        add(ByPair(shop=2, number=7, email=BOB))
        with pytest.raises(AmbiguousActor):
            SQLAlchemyActorStore(ByPair, sessions, key="number").find_by_id("7")


class Order(Base):
    __tablename__ = "order"
    id: Mapped[int] = mapped_column(primary_key=True)
    buyer_id: Mapped[int] = mapped_column(ForeignKey("buyer.id"))


class Buyer(Base):
    """An account with orders, loaded along with it, and an address as it was typed."""

    __tablename__ = "buyer"
    id: Mapped[int] = mapped_column(primary_key=True)
    typed: Mapped[str]
    orders: Mapped[list[Order]] = relationship(lazy="joined")

    @hybrid_property
    def email(self) -> str:
        return self.typed.lower()

    @email.inplace.expression
    @classmethod
    def _email(cls) -> Any:
        return func.lower(cls.typed)


class TestModels:
    """What a model may look like."""

    def test_an_attribute_may_be_a_hybrid(self, add: Add, sessions: Sessions) -> None:
        add(Buyer(typed="Ada@Example.com"))
        assert SQLAlchemyActorStore(Buyer, sessions).find_by_identifier(ADA) is not None

    def test_rows_that_come_with_others_are_one_row(self, add: Add, sessions: Sessions) -> None:
        add(Buyer(typed=ADA, orders=[Order(), Order()]))
        buyer = SQLAlchemyActorStore(Buyer, sessions).find_by_identifier(ADA)
        assert len(buyer.orders) == 2

    def test_a_store_can_be_made_before_all_models_are(self, sessions: Sessions) -> None:
        class Early(DeclarativeBase):
            pass

        class Account(Early):
            __tablename__ = "account"
            id: Mapped[int] = mapped_column(primary_key=True)
            email: Mapped[str]
            notes: Mapped[list["Note"]] = relationship()

        store = SQLAlchemyActorStore(Account, sessions)

        class Note(Early):
            __tablename__ = "note"
            id: Mapped[int] = mapped_column(primary_key=True)
            account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))

        with sessions.begin() as session:
            Early.metadata.create_all(session.connection())
            session.add(Account(email=ADA, notes=[Note()]))
        assert store.find_by_identifier(ADA).email == ADA


class TestSessions:
    """Where sessions come from, and who ends them."""

    @pytest.fixture(autouse=True)
    def ada(self, add: Add) -> None:
        add(Member(id=1, email=ADA))

    def test_one_made_for_a_look_up_is_closed_after_it(self, sessions: Sessions) -> None:
        member = SQLAlchemyActorStore(Member, sessions).find_by_id("1")
        assert member.email == ADA
        assert object_session(member) is None

    def test_that_is_so_after_an_error_too(self, add: Add, engine: Engine) -> None:
        closed = []

        class Watched(Session):
            def close(self) -> None:
                closed.append(self)
                super().close()

        add(Member(id=2, email=ADA))
        store = SQLAlchemyActorStore(Member, sessionmaker(engine, class_=Watched))
        with pytest.raises(AmbiguousActor):
            store.find_by_identifier(ADA)
        assert len(closed) == 1

    def test_a_single_one_is_refused(self, sessions: Sessions) -> None:
        with sessions() as session, pytest.raises(ConfigError, match="can't serve several threads"):
            SQLAlchemyActorStore(Member, session)

    @pytest.mark.parametrize("session", [object(), None])
    def test_what_gives_another_object_is_refused_at_the_first_call(self, session: Any) -> None:
        """An AsyncSession, for one."""
        store = SQLAlchemyActorStore(Member, lambda: session)
        with pytest.raises(TypeError, match=r"must give a sqlalchemy\.orm\.Session, not .* class"):
            store.find_by_id("1")


async def ask_later(row: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"identifiers": ("mail",)}, "mail"),
        ({"identifiers": ("email", "fax")}, "fax"),
        ({"identifiers": ()}, "identifiers="),
        ({"identifiers": "email"}, "must be a list of names"),
        ({"key": "uid"}, "Member has no attribute 'uid'"),
        ({"model": object}, "model must be a mapped class"),
        ({"model": Member()}, "model must be a mapped class"),
        ({"model": "member"}, "model must be a mapped class"),
        ({"model": ByPair}, "name the attribute that is an actor's id with key="),
        ({"session": None}, "session= must be db"),
        ({"session": "sqlite://"}, "session= must be db"),
        ({"session": async_sessionmaker()}, "must give plain sessions"),
        ({"session": async_scoped_session(async_sessionmaker(), int)}, "must give plain sessions"),
        ({"session": AsyncSession}, "must give plain sessions"),
        ({"session": ask_later}, "must give plain sessions"),
        ({"key": Member.id}, "has no attribute 'Member"),
        ({"identifiers": [Member.email]}, "has no attribute 'Member"),
        ({"key": "metadata"}, "can't be made of the text"),
        ({"is_active": "disabled"}, "must be plain functions"),
        ({"is_active": Member.is_active}, "must be plain functions"),
        ({"is_active": False}, "must be plain functions"),
        ({"is_deleted": None}, "must be plain functions"),
        ({"canonical": "email"}, "must be plain functions"),
        ({"is_active": ask_later}, "must be plain functions, not async def"),
        ({"is_deleted": ask_later}, "must be plain functions, not async def"),
        ({"canonical": ask_later}, "must be plain functions, not async def"),
    ],
)
def test_what_can_not_work_is_told_at_once(sessions: Sessions, given: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        SQLAlchemyActorStore(**{"model": Member, "session": sessions, **given})


@pytest.mark.parametrize("kind", [LargeBinary(16), DateTime()])
def test_a_key_that_no_text_leads_to_is_refused(sessions: Sessions, kind: Any) -> None:
    by_kind = model("ByKind", column="number", id=mapped_column(kind, primary_key=True))
    with pytest.raises(ConfigError, match=r"ByKind\.id can't be made of the text .* key="):
        SQLAlchemyActorStore(by_kind, sessions)
    assert SQLAlchemyActorStore(by_kind, sessions, key="number")


ASKS = [
    lambda store: store.find_by_identifier(ADA),
    lambda store: store.find_by_identifier("eve@example.com"),
    lambda store: store.find_by_id("1"),
    lambda store: store.count_non_canonical(),
    lambda store: store.create("eve@example.com", {}),
]


class TestTransactions:
    """A look-up leaves no transaction of its own behind, and ends none of the app's."""

    @pytest.fixture(params=["scoped_session", "function", "function of a scoped_session"])
    def scoped(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
        """The sessions of an app, one a thread; ``.given`` is what the store gets."""
        engine = create_engine(f"sqlite:///{tmp_path}/shop.sqlite3")
        Base.metadata.create_all(engine)
        scoped = scoped_session(sessionmaker(engine))
        scoped.given = {
            "scoped_session": scoped,
            "function": lambda: scoped(),
            "function of a scoped_session": lambda: scoped,
        }[request.param]
        scoped.add(Member(id=1, email=ADA))
        scoped.commit()
        yield scoped
        scoped.remove()
        engine.dispose()

    @pytest.fixture
    def store(self, scoped: Any) -> Store:
        return SQLAlchemyActorStore(Member, scoped.given)

    @pytest.mark.parametrize("ask", ASKS)
    def test_the_one_that_a_look_up_begins_ends_with_it(
        self, store: Store, scoped: Any, ask: Callable[[Any], Any]
    ) -> None:
        ask(store)
        assert not scoped().in_transaction()
        assert scoped.get_bind().pool.checkedout() == 0
        with scoped.begin():  # as a view may do
            pass

    def test_so_it_does_after_an_error(self, scoped: Any) -> None:
        scoped.add(Member(id=2, email=ADA))
        scoped.commit()
        with pytest.raises(AmbiguousActor):
            SQLAlchemyActorStore(Member, scoped.given).find_by_identifier(ADA)
        assert not scoped().in_transaction()

    @pytest.mark.parametrize("ask", [*ASKS[:1], *ASKS[2:3], ASKS[4]])
    def test_an_actor_stays_loaded_and_in_the_session(
        self, store: Store, scoped: Any, ask: Callable[[Any], Any]
    ) -> None:
        member = ask(store)
        assert not inspect(member).expired_attributes
        assert (member.id, member.is_active) in ((1, True), (2, True))
        assert object_session(member) is scoped()
        assert not scoped().in_transaction()
        member.phone = PHONE
        scoped.commit()
        assert store.find_by_id(str(member.id)).phone == PHONE

    @pytest.mark.parametrize("ask", ASKS[:4])
    def test_one_that_the_app_has_begun_goes_on(
        self, store: Store, scoped: Any, ask: Callable[[Any], Any]
    ) -> None:
        bob = Member(id=2, email=BOB)
        scoped.add(bob)
        ada = scoped.get(Member, 1)
        ada.phone = PHONE
        ask(store)
        assert bob in scoped
        assert ada.phone == PHONE
        scoped.rollback()
        assert store.find_by_identifier(BOB) is None

    def test_changes_that_are_not_written_yet_are_not_lost(self, store: Store, scoped: Any) -> None:
        ada = store.find_by_id("1")
        ada.phone = PHONE
        with scoped.no_autoflush:
            assert store.find_by_id("1").phone == PHONE
        scoped.commit()
        assert ada.phone == PHONE

    def test_what_an_earlier_look_up_has_loaded_is_read_anew(
        self, store: Store, scoped: Any
    ) -> None:
        ada = store.find_by_id("1")
        with Session(scoped.get_bind()) as another, another.begin():
            another.get(Member, 1).is_active = False
        assert store.find_by_id("1") is ada
        assert not ada.is_active

    def test_the_transaction_that_a_test_has_joined_its_session_to_goes_on(
        self, engine: Engine
    ) -> None:
        """The recipe of SQLAlchemy's documentation and of pytest-flask-sqlalchemy."""
        with engine.connect() as connection, connection.begin() as transaction:
            scoped = scoped_session(sessionmaker(connection))
            scoped.add(Member(id=1, email=ADA))
            scoped.commit()
            store = SQLAlchemyActorStore(Member, scoped)
            assert store.find_by_identifier(ADA).id == 1
            assert store.find_by_identifier(BOB) is None
            assert store.find_by_id("1").id == 1
            assert transaction.is_active
            scoped.remove()
            transaction.rollback()

    def test_sessions_that_begin_nothing_by_themselves_are_served(self, engine: Engine) -> None:
        scoped = scoped_session(sessionmaker(engine, autobegin=False))
        with scoped.begin():
            scoped.add(Member(id=1, email=ADA))
        assert SQLAlchemyActorStore(Member, scoped).find_by_id("1").email == ADA
        scoped.remove()


def classic(app: Flask) -> tuple[Any, type[Any]]:
    """Return Flask-SQLAlchemy's ``db`` and a model."""
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{app.instance_path}/shop.sqlite3"
    db = flask_sqlalchemy.SQLAlchemy(app)

    class Customer(db.Model):  # type: ignore[name-defined, misc]  # made by a function
        id = db.Column(db.Integer, primary_key=True)
        email = db.Column(db.String, unique=True)

    return db, Customer


def lite(app: Flask) -> tuple[Any, type[Any]]:
    """Return Flask-SQLAlchemy-Lite's ``db`` and a model."""
    app.config["SQLALCHEMY_ENGINES"] = {"default": f"sqlite:///{app.instance_path}/shop.sqlite3"}
    return flask_sqlalchemy_lite.SQLAlchemy(app), Member


@pytest.mark.parametrize("given", ["db", "db.session"])
@pytest.mark.parametrize("extension", [classic, lite])
def test_both_flask_extensions_are_served_in_an_app_context(
    tmp_path: Path, extension: Callable[[Flask], tuple[Any, type[Any]]], given: str
) -> None:
    app = Flask("shop", instance_path=str(tmp_path))
    db, model = extension(app)
    # Lite has a session only in an app context, so db.session can't be given outside of one.
    session = db if given == "db" else getattr(type(db), "session", None) and (lambda: db.session)
    store = SQLAlchemyActorStore(model, session or db.session)
    with app.app_context():
        engine = db.engine
        model.metadata.create_all(engine)
        made = store.create(ADA, {})
        found = store.find_by_identifier(ADA)
        assert found is made is store.find_by_id(str(made.id))
        assert object_session(found).in_transaction() is False
        with db.session.begin():
            assert found in db.session
    engine.dispose()


class TestIgnoringCase:
    """Rows whose addresses stand as people typed them."""

    @pytest.fixture
    def make(self, sessions: Sessions) -> Make:
        def make(**options: Any) -> Store:
            return SQLAlchemyActorStore(Member, sessions, ("email", "phone"), **options)

        return make

    @pytest.mark.parametrize("options", [{}, {"ignore_case": True}, {"canonical": str.lower}])
    def test_they_are_their_owner_s(self, make: Make, add: Add, options: dict[str, Any]) -> None:
        add(Member(id=1, email="Ada@Example.com"))
        add(Member(id=2, email=BOB, phone=PHONE))
        store = make(**options)
        assert store.find_by_identifier(ADA).id == 1
        assert store.find_by_identifier(BOB).id == 2
        assert store.find_by_identifier(PHONE).id == 2
        assert store.find_by_identifier("eve@example.com") is None

    @pytest.mark.parametrize("options", [{}, {"ignore_case": True}])
    @pytest.mark.parametrize("blanks", ["{} ", " {}", "{}\r\n", "\t{}", " {}\n"], ids=repr)
    def test_nor_do_blanks_around_them_matter(
        self, make: Make, add: Add, options: dict[str, Any], blanks: str
    ) -> None:
        """As they come along when a table is filled from a file."""
        add(Member(id=1, email=blanks.format("Ada@Example.com")))
        add(Member(id=2, email=BOB, phone=blanks.format(PHONE)))
        store = make(**options)
        assert store.find_by_identifier(ADA).id == 1
        assert store.find_by_identifier(BOB).id == store.find_by_identifier(PHONE).id == 2
        assert store.find_by_identifier("eve@example.com") is None

    @pytest.mark.parametrize("options", [{}, {"ignore_case": True}])
    @pytest.mark.parametrize(
        "typed", ["ada@münchen.example", "Ada@münchen.Example", "Ada@münchen.Example "]
    )
    def test_a_domain_may_stand_in_letters_that_are_not_ascii(
        self, make: Make, add: Add, options: dict[str, Any], typed: str
    ) -> None:
        add(Member(id=1, email=typed))
        add(Member(id=2, email="bob@xn--mnchen-3ya.example"))
        store = make(**options)
        assert store.find_by_identifier("ada@xn--mnchen-3ya.example").id == 1
        assert store.find_by_identifier("bob@xn--mnchen-3ya.example").id == 2
        assert store.find_by_identifier("eve@xn--mnchen-3ya.example") is None
        assert store.find_by_identifier("eve@xn--garbage-.example") is None

    def test_one_with_blanks_is_found_only_if_there_is_no_other(self, make: Make, add: Add) -> None:
        """Or whoever can write one into the table would keep its owner out."""
        add(Member(id=1, email="Ada@Example.com "))
        store = make()
        assert store.find_by_identifier(ADA).id == 1
        add(Member(id=2, email="Ada@Example.com"))
        assert store.find_by_identifier(ADA).id == 2

    @pytest.mark.parametrize("options", [{}, {"ignore_case": True}])
    def test_a_database_may_lack_the_letters_of_a_domain(
        self, make: Make, add: Add, engine: Engine, options: dict[str, Any]
    ) -> None:
        def encode(*args: Any) -> None:
            str(args[3]).encode("ascii")

        add(Member(id=1, email=ADA))
        event.listen(engine, "before_cursor_execute", encode)
        store = make(**options)
        assert store.find_by_identifier("ada@xn--mnchen-3ya.example") is None
        assert store.find_by_identifier(ADA).id == 1

    @pytest.mark.parametrize("typed", ["Ada@Example.com", f"{ADA} ", "ada@münchen.example"])
    def test_that_can_be_switched_off(self, make: Make, add: Add, typed: str) -> None:
        add(Member(email=typed))
        store = make(ignore_case=False)
        assert store.find_by_identifier(ADA) is None
        assert store.find_by_identifier("ada@xn--mnchen-3ya.example") is None

    @pytest.mark.parametrize("options", [{}, {"ignore_case": True}])
    def test_two_of_them_are_an_error(self, make: Make, add: Add, options: dict[str, Any]) -> None:
        add(Member(email="Ada@Example.com"))
        add(Member(email="ADA@example.com"))
        with pytest.raises(AmbiguousActor):
            make(**options).find_by_identifier(ADA)

    def test_so_are_one_of_them_and_a_canonical_one(self, make: Make, add: Add) -> None:
        add(Member(id=1, email="Ada@Example.com"))
        add(Member(id=2, email=ADA))
        with pytest.raises(AmbiguousActor):
            make(ignore_case=True).find_by_identifier(ADA)
        assert make().find_by_identifier(ADA).id == 2

    def test_a_form_in_which_case_matters_is_heeded(self, make: Make, add: Add) -> None:
        add(Member(email="Ada@Example.com"))
        assert make(canonical=str, ignore_case=True).find_by_identifier(ADA) is None

    def test_columns_of_other_types_are_compared_as_they_are(
        self, sessions: Sessions, add: Add
    ) -> None:
        add(ByUuid(id=uuid.UUID(int=7), email=ADA))
        add(ByOpaque(id="Ada@Example.com", email=BOB))
        by_id = {"identifiers": ("id",), "key": "email"}
        for ignore_case in (None, True):
            store = SQLAlchemyActorStore(ByOpaque, sessions, ignore_case=ignore_case, **by_id)
            assert store.find_by_identifier("Ada@Example.com").email == BOB
            assert store.find_by_identifier(ADA) is None

    def test_a_table_is_looked_through_for_them_once_an_hour(
        self, make: Make, add: Add, engine: Engine, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Or strangers could make the database read all of it with each unknown address."""
        queries: list[str] = []
        event.listen(engine, "before_cursor_execute", lambda *args: queries.append(args[2]))

        def find(identifier: str = ADA) -> tuple[int | None, int]:
            queries.clear()
            row = store.find_by_identifier(identifier)
            return row and row.id, len(queries)

        with time_machine.travel(0, tick=False) as clock:
            store = make()
            add(Member(id=1, email=BOB, phone="deleted-17"))  # which is no number
            add(
                Member(id=3, email="1@例子.中国", phone="+12125550123")
            )  # no phone, and a canonical one
            assert find(BOB) == (1, 1)
            for unknown in (ADA, PHONE):
                assert find(unknown) == (None, 3)
                assert find(unknown) == (None, 2)  # one with blanks around it is looked for
            add(Member(id=2, email="Ada@Example.com"))
            clock.shift(RECHECK_INTERVAL - 1)
            assert find() == (None, 2)
            assert not caplog.records
            clock.shift(1)
            assert find() == (2, 3)
            assert find() == (2, 2)
            assert find(BOB) == (1, 1)
        (record,) = caplog.records
        assert (record.name, record.levelno) == ("flask_otp_auth", logging.WARNING)
        assert "the table of Member has e-mail addresses in mixed case" in record.getMessage()

    @pytest.mark.parametrize(
        "typed", ["+49 30 12345678", "+49-30-123 456 78", "+49 (30) 123/45678", "+49.30.12345678"]
    )
    @pytest.mark.parametrize("options", [{}, {"ignore_case": True}])
    def test_phone_numbers_with_separators_are_found_alike(
        self,
        make: Make,
        add: Add,
        caplog: pytest.LogCaptureFixture,
        options: dict[str, Any],
        typed: str,
    ) -> None:
        add(Member(id=1, email="Ada@Example.com", phone=typed))
        add(Member(id=2, phone="+1 212 12345678"))  # which ends alike
        store = make(**options)
        assert store.find_by_identifier(PHONE).id == 1
        assert store.find_by_identifier("+4930123456") is None
        assert "the table of Member has phone numbers that are not canonical" in caplog.text
        assert make(ignore_case=False).find_by_identifier(PHONE) is None

    @pytest.mark.parametrize(
        ("stored", "canonical"),
        [
            ("+5215551234567", "+525551234567"),
            ("+541123456789", "+5491123456789"),
            ("+551161234567", "+5511961234567"),
            ("+22990011234", "+2290190011234"),
            ("+24106031234", "+24166031234"),
            ("+24107712345", "+24177712345"),
        ],
    )
    def test_a_number_as_its_country_wrote_it_before_is_found_alike(
        self, make: Make, add: Add, caplog: pytest.LogCaptureFixture, stored: str, canonical: str
    ) -> None:
        """Even if it is the only one: it looks like any other number."""
        assert phone(stored) == canonical
        add(Member(id=1, phone=stored))
        assert make().find_by_identifier(canonical).id == 1
        assert make().find_by_identifier(canonical[:-1] + "8") is None
        assert make(ignore_case=False).find_by_identifier(canonical) is None
        add(Member(id=2, phone=canonical))
        assert make().find_by_identifier(canonical).id == 2
        assert caplog.records == []

    def test_a_number_without_a_country_code_is_found_if_the_form_has_a_country(
        self, make: Make, add: Add
    ) -> None:
        add(Member(id=1, phone="030 12345678"))
        assert make().find_by_identifier(PHONE) is None
        assert make(canonical=canonicaliser("phone", "DE")).find_by_identifier(PHONE).id == 1

    @pytest.mark.parametrize(
        ("row", "count"),
        [
            ({"email": ADA, "phone": PHONE}, 0),
            ({"email": None, "phone": ""}, 0),
            ({"email": "Ada@Example.com"}, 1),
            ({"email": ADA, "phone": "+49 30 12345678"}, 1),
            ({"email": "Ada@Example.com", "phone": "030 12345678"}, 1),
            ({"email": "ada@"}, 1),
        ],
    )
    def test_rows_that_are_not_canonical_are_counted(
        self, make: Make, add: Add, row: dict[str, Any], count: int
    ) -> None:
        add(Member(email="bob@shop.test"))
        add(Member(**row))
        assert make().count_non_canonical() == count

    def test_what_is_no_text_is_canonical(self, add: Add, sessions: Sessions) -> None:
        add(Member(id=7))
        assert SQLAlchemyActorStore(Member, sessions, ("id",)).count_non_canonical() == 0


class Switched(Base):
    """An account that is switched off by a column which its ``is_active`` doesn't read."""

    __tablename__ = "switched"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    disabled: Mapped[bool] = mapped_column(default=False)


def model(name: str, *bases: type[Any], column: str = "disabled", **members: Any) -> type[Any]:
    """Make a model with a column that says who is switched off."""

    class Own(DeclarativeBase):
        pass

    columns = {
        "__tablename__": "user",
        "id": mapped_column(Integer, primary_key=True),
        "email": mapped_column(String),
        column: mapped_column(Integer),
    }
    return type(name, (*bases, Own), columns | members)


def wrapped(function: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def call(self: Any) -> bool:
        return function(self)

    return call


class TestWhoIsSwitchedOff:
    """A column that nobody reads would let in who was switched off."""

    @pytest.mark.parametrize(
        "column",
        ["active", "is_disabled", "enabled", "inactive", "deactivated", "deactivated_at",
         "blocked", "banned_until", "is_suspended", "locked_at", "archived", "deleted_at"],
    )  # fmt: skip
    def test_such_a_model_is_refused(self, sessions: Sessions, column: str) -> None:
        with pytest.raises(ConfigError, match=f"User has a column '{column}'.* with|is_active="):
            SQLAlchemyActorStore(model("User", UserMixin, column=column), sessions)

    @pytest.mark.parametrize(
        "members",
        [{}, {"is_active": True}, {"is_active": property(lambda self: True)},
         {"is_active": lambda self: True}],
        ids=["none", "attribute", "property", "method"],
    )  # fmt: skip
    def test_so_it_is_with_any_constant(self, sessions: Sessions, members: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match="so users who are switched off could sign in"):
            SQLAlchemyActorStore(model("User", **members), sessions)

    @pytest.mark.parametrize(
        "members",
        [{"is_active": property(lambda self: not self.disabled)},
         {"is_active": lambda self: not self.disabled},
         {"is_active": hybrid_property(lambda self: self.disabled == 0)},
         {"is_active": synonym("disabled")},
         {"is_active": property(wrapped(lambda self: not self.disabled))}],
        ids=["property", "method", "hybrid", "synonym", "wrapped"],
    )  # fmt: skip
    def test_one_that_reads_something_is_taken(
        self, sessions: Sessions, members: dict[str, Any]
    ) -> None:
        assert SQLAlchemyActorStore(model("User", **members), sessions)

    def test_so_is_one_whose_is_active_is_a_column(self, sessions: Sessions) -> None:
        model_of_users = model("User", is_active=mapped_column(Integer))
        assert SQLAlchemyActorStore(model_of_users, sessions)

    @pytest.mark.parametrize("column", ["name", "activity", "inactive_reason", "radioactive"])
    def test_so_is_one_without_such_a_column(self, sessions: Sessions, column: str) -> None:
        assert SQLAlchemyActorStore(model("User", UserMixin, column=column), sessions)

    def test_the_app_says_who_may_sign_in(self, sessions: Sessions, add: Add) -> None:
        add(Switched(id=1, email=ADA, disabled=True))
        add(Switched(id=2, email=BOB))
        store = SQLAlchemyActorStore(Switched, sessions, is_active=lambda row: not row.disabled)
        accounts = actor_type(store)
        assert accounts.find_by_identifier(ADA) is None
        assert accounts.find_by_id("1") is None
        assert accounts.find_including_inactive(ADA).id == 1
        assert accounts.find_by_identifier(BOB).id == 2

    def test_or_which_rows_are_deleted(self, sessions: Sessions) -> None:
        for column in ("deleted_at", "archived_at"):
            marked = model("User", UserMixin, column=column)
            assert SQLAlchemyActorStore(marked, sessions, is_deleted=lambda row: True)
        with pytest.raises(ConfigError, match="a column 'disabled'"):
            SQLAlchemyActorStore(Switched, sessions, is_deleted=lambda row: row.deleted_at)


class Joined(Base):
    """An account with what a registration form asks for."""

    __tablename__ = "joined"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str | None] = mapped_column(unique=True)
    phone: Mapped[str | None] = mapped_column(unique=True)
    nickname: Mapped[str | None] = mapped_column(unique=True)
    name: Mapped[str]


class TestCreating:
    """New rows, for somebody who has proved an identifier."""

    @pytest.fixture
    def store(self, sessions: Sessions) -> Store:
        return SQLAlchemyActorStore(Joined, sessions, ("email", "phone"))

    def test_a_row_is_written_and_comes_back_loaded(self, store: Store, sessions: Sessions) -> None:
        made = store.create(ADA, {"name": "Ada"})
        assert (made.id, made.email, made.phone, made.name) == (1, ADA, None, "Ada")
        with sessions() as session:
            assert session.get(Joined, 1).email == ADA

    @pytest.mark.parametrize(
        ("names", "of_email", "of_phone"),
        [
            (("email", "phone"), "email", "phone"),
            (("phone", "email"), "email", "phone"),
            (("email",), "email", "email"),
            (("phone",), "phone", "phone"),
            (("phone", "nickname"), "phone", "nickname"),
        ],
    )
    def test_the_identifier_goes_where_it_belongs(
        self, sessions: Sessions, names: tuple[str, ...], of_email: str, of_phone: str
    ) -> None:
        store = SQLAlchemyActorStore(Joined, sessions, names)
        for identifier, name in ((ADA, of_email), (PHONE, of_phone)):
            made = store.create(identifier, {"name": "Ada"})
            values = {n: getattr(made, n) for n in ("email", "phone", "nickname")}
            assert {n: v for n, v in values.items() if v is not None} == {name: identifier}

    @pytest.mark.parametrize("taken", [{}, {"nickname": "countess"}])
    def test_a_row_that_is_there_already_is_a_duplicate(
        self, store: Store, taken: dict[str, str]
    ) -> None:
        store.create(BOB if taken else ADA, {"name": "First", **taken})
        with pytest.raises(DuplicateError) as caught:
            store.create(ADA, {"name": "Second", **taken})
        assert caught.value.__suppress_context__
        assert store.find_by_identifier(BOB if taken else ADA).name == "First"

    def test_a_session_of_the_app_s_can_be_used_after_that(self, sessions: Sessions) -> None:
        scoped = scoped_session(sessions)
        store = SQLAlchemyActorStore(Joined, scoped)
        store.create(ADA, {"name": "First"})
        with pytest.raises(DuplicateError):
            store.create(ADA, {"name": "Second"})
        assert store.create(BOB, {"name": "Bob"}).name == "Bob"
        scoped.remove()

    def test_a_form_that_lacks_a_field_is_no_duplicate(self, store: Store) -> None:
        with pytest.raises(IntegrityError):
            store.create(ADA, {})

    @pytest.mark.parametrize("field", ["email", "phone", "id"])
    def test_a_form_can_not_set_what_nobody_has_proved(self, store: Store, field: str) -> None:
        with pytest.raises(ValueError, match=f"fields= must not set {field}"):
            store.create(ADA, {"name": "Eve", field: PHONE})
