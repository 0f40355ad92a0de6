"""The actor store on SQLAlchemy: the right row, or none, or an error; never a guess."""

import sqlite3
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import flask_sqlalchemy
import flask_sqlalchemy_lite
import pytest
from conftest import SECRET, Api
from flask import Flask
from sqlalchemy import (
    Engine,
    ForeignKey,
    Integer,
    Numeric,
    String,
    create_engine,
    event,
    func,
    select,
)
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
)
from sqlalchemy.pool import StaticPool
from sqlalchemy.types import TypeDecorator, UserDefinedType

from flask_otp_auth import AmbiguousActor, ConfigError, OTPAuth
from flask_otp_auth.actors import ActorType
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore
from flask_otp_auth.testing import Outbox

ADA, BOB, PHONE = "ada@example.com", "bob@example.com", "+493012345678"


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


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A database in memory."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    """Make sessions on the database."""
    return sessionmaker(engine)


@pytest.fixture
def add(sessions: sessionmaker[Session]) -> Callable[..., None]:
    """Add a row to the database."""

    def add(row: Any) -> None:
        with sessions.begin() as session:
            session.add(row)

    return add


class TestByIdentifier:
    """Which row an identifier is that of."""

    @pytest.fixture
    def store(self, sessions: sessionmaker[Session]) -> SQLAlchemyActorStore:
        """Members by e-mail address or phone number."""
        return SQLAlchemyActorStore(Member, sessions, identifiers=("email", "phone"))

    def test_any_of_the_columns_may_have_it(
        self, store: SQLAlchemyActorStore, add: Callable[..., None]
    ) -> None:
        add(Member(id=1, email=ADA, phone=PHONE))
        add(Member(id=2, email=BOB))
        assert [store.find_by_identifier(text).id for text in (ADA, PHONE, BOB)] == [1, 1, 2]

    def test_one_column_is_enough(
        self, sessions: sessionmaker[Session], add: Callable[..., None]
    ) -> None:
        add(Member(email=ADA, phone=PHONE))
        by_mail = SQLAlchemyActorStore(Member, sessions)
        assert by_mail.find_by_identifier(ADA).email == ADA
        assert by_mail.find_by_identifier(PHONE) is None

    @pytest.mark.parametrize("identifier", ["eve@example.com", "", "None", "%", "' OR 1=1 --"])
    def test_an_unknown_one_is_nobody_s(
        self, store: SQLAlchemyActorStore, add: Callable[..., None], identifier: str
    ) -> None:
        add(Member(email=ADA))
        assert store.find_by_identifier(identifier) is None

    def test_two_rows_with_one_identifier_are_an_error(
        self, store: SQLAlchemyActorStore, add: Callable[..., None]
    ) -> None:
        add(Member(email=ADA))
        add(Member(email=ADA))
        with pytest.raises(AmbiguousActor) as caught:
            store.find_by_identifier(ADA)
        assert ADA not in str(caught.value)

    def test_so_are_two_rows_that_have_it_in_different_columns(
        self, store: SQLAlchemyActorStore, add: Callable[..., None]
    ) -> None:
        add(Member(email=ADA))
        add(Member(email=BOB, phone=ADA))
        with pytest.raises(AmbiguousActor):
            store.find_by_identifier(ADA)

    def test_one_row_that_has_it_twice_is_none(
        self, store: SQLAlchemyActorStore, add: Callable[..., None]
    ) -> None:
        add(Member(id=1, email=ADA, phone=ADA))
        assert store.find_by_identifier(ADA).id == 1


class TestRowsThatDoNotCount:
    """Deleted and inactive rows sign nobody in, and are in nobody's way."""

    @pytest.fixture
    def store(self, sessions: sessionmaker[Session]) -> SQLAlchemyActorStore:
        """Members who have not left."""
        return SQLAlchemyActorStore(
            Member, sessions, active=lambda member: member.deleted_at is None
        )

    @pytest.fixture
    def kind(self, store: SQLAlchemyActorStore) -> ActorType:
        """The actor type of these members."""
        return ActorType.build("member", store, "email", {})

    @pytest.mark.parametrize("gone", [{"deleted_at": datetime.now(UTC)}, {"is_active": False}])
    def test_they_can_not_sign_in(
        self, kind: ActorType, add: Callable[..., None], gone: dict[str, Any]
    ) -> None:
        add(Member(id=1, email=ADA, **gone))
        assert kind.find_by_identifier(ADA) is None
        assert kind.find_by_id("1") is None

    def test_who_left_may_register_anew_and_who_was_switched_off_may_not(
        self, kind: ActorType, add: Callable[..., None]
    ) -> None:
        add(Member(email=ADA, deleted_at=datetime.now(UTC)))
        add(Member(id=2, email=BOB, is_active=False))
        assert kind.find_owner(ADA) is None
        assert kind.find_owner(BOB).id == 2

    @pytest.mark.parametrize("gone", [{"deleted_at": datetime.now(UTC)}, {"is_active": False}])
    def test_who_has_a_new_row_is_found(
        self, store: SQLAlchemyActorStore, add: Callable[..., None], gone: dict[str, Any]
    ) -> None:
        add(Member(id=1, email=ADA, **gone))
        add(Member(id=2, email=ADA))
        assert store.find_by_identifier(ADA).id == 2

    def test_of_two_who_were_switched_off_none_is_the_owner(
        self, store: SQLAlchemyActorStore, add: Callable[..., None]
    ) -> None:
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
    def store(self, sessions: sessionmaker[Session]) -> SQLAlchemyActorStore:
        """The accounts."""
        return SQLAlchemyActorStore(Loose, sessions)

    @pytest.mark.parametrize("stored", ["ádá@example.com", "ada@exámple.com", "adá@example.com "])
    def test_a_look_alike_is_somebody_else(
        self,
        store: SQLAlchemyActorStore,
        add: Callable[..., None],
        sessions: sessionmaker[Session],
        stored: str,
    ) -> None:
        add(Loose(id="1", email=stored))
        with sessions() as session:
            assert session.scalar(select(Loose).where(Loose.email == ADA)) is not None
        assert store.find_by_identifier(ADA) is None

    @pytest.mark.parametrize("stored", ["Ada@Example.com", "ada@example.com "])
    def test_another_spelling_of_the_same_address_is_the_same_person(
        self, store: SQLAlchemyActorStore, add: Callable[..., None], stored: str
    ) -> None:
        add(Loose(id="1", email=stored))
        assert store.find_by_identifier(ADA).id == "1"

    def test_two_spellings_in_two_rows_are_an_error(
        self, store: SQLAlchemyActorStore, add: Callable[..., None]
    ) -> None:
        add(Loose(id="1", email="Ada@example.com"))
        add(Loose(id="2", email=ADA))
        with pytest.raises(AmbiguousActor):
            store.find_by_identifier(ADA)

    def test_what_is_no_address_is_compared_as_it_stands(
        self, sessions: sessionmaker[Session], add: Callable[..., None]
    ) -> None:
        add(Loose(id="1", email="Ada"))
        add(Loose(id="2", email="@da"))
        store = SQLAlchemyActorStore(Loose, sessions)
        found = [store.find_by_identifier(text) for text in ("ada", "Ada", "@DA", "@da")]
        assert [row and row.id for row in found] == [None, "1", None, "2"]

    def test_a_form_of_the_app_s_own_decides_what_is_equal(
        self, sessions: sessionmaker[Session], add: Callable[..., None]
    ) -> None:
        add(Loose(id="1", email="Ada@example.com"))
        case_matters = SQLAlchemyActorStore(Loose, sessions, canonical=str.strip)
        assert case_matters.find_by_identifier(ADA) is None
        assert case_matters.find_by_identifier("Ada@example.com").id == "1"

    def test_ids_are_compared_exactly_too(
        self, store: SQLAlchemyActorStore, add: Callable[..., None]
    ) -> None:
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


class TestById:
    """An id is a text everywhere but in the database."""

    @pytest.mark.parametrize(
        ("row", "actor_id"),
        [
            (Member(id=7, email=ADA), "7"),
            (ByUuid(id=uuid.UUID(int=7), email=ADA), "00000000-0000-0000-0000-000000000007"),
            (ByText(name="ada", email=ADA), "ada"),
            (ByDecimal(id=Decimal("7.5"), email=ADA), "7.5"),
            (BySerial(id="000007", email=ADA), "000007"),
            (ByOpaque(id="seven", email=ADA), "seven"),
        ],
        ids=["int", "uuid", "str", "decimal", "decorated", "opaque"],
    )
    def test_it_becomes_what_the_primary_key_is(
        self, add: Callable[..., None], sessions: sessionmaker[Session], row: Any, actor_id: str
    ) -> None:
        model = type(row)
        add(row)
        store = SQLAlchemyActorStore(model, sessions)
        assert store.find_by_id(actor_id).email == ADA
        assert store.find_by_id(actor_id + "1") is None

    @pytest.mark.parametrize(
        "actor_id", ["", "ada", "7.0", " 7", "07", "+7", "٧", "7\n", "7_", "9" * 5000, "None", "-1"]
    )
    def test_what_is_not_exactly_an_id_is_nobody_s(
        self, add: Callable[..., None], sessions: sessionmaker[Session], actor_id: str
    ) -> None:
        add(Member(id=7, email=ADA))
        assert SQLAlchemyActorStore(Member, sessions).find_by_id(actor_id) is None

    @pytest.mark.parametrize("actor_id", ["7", "{00000000-0000-0000-0000-000000000007}", "7" * 32])
    def test_a_uuid_has_one_spelling(
        self, add: Callable[..., None], sessions: sessionmaker[Session], actor_id: str
    ) -> None:
        add(ByUuid(id=uuid.UUID(int=7), email=ADA))
        add(ByUuid(id=uuid.UUID("7" * 32), email=BOB))
        assert SQLAlchemyActorStore(ByUuid, sessions).find_by_id(actor_id) is None

    def test_another_attribute_may_be_the_id(
        self, add: Callable[..., None], sessions: sessionmaker[Session]
    ) -> None:
        add(Member(id=1, email=ADA, token="2"))
        add(Member(id=2, email=BOB, token="1"))
        store = SQLAlchemyActorStore(Member, sessions, key="token")
        assert store.find_by_id("2").email == ADA

    def test_a_primary_key_of_two_columns_needs_one(self, sessions: sessionmaker[Session]) -> None:
        with pytest.raises(ConfigError, match="name the attribute that is an actor's id with key="):
            SQLAlchemyActorStore(ByPair, sessions)
        assert SQLAlchemyActorStore(ByPair, sessions, key="number").find_by_id("1") is None

    def test_an_id_that_two_rows_have_is_an_error(
        self, add: Callable[..., None], sessions: sessionmaker[Session]
    ) -> None:
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

    def test_an_attribute_may_be_a_hybrid(
        self, add: Callable[..., None], sessions: sessionmaker[Session]
    ) -> None:
        add(Buyer(typed="Ada@Example.com"))
        assert SQLAlchemyActorStore(Buyer, sessions).find_by_identifier(ADA) is not None

    def test_rows_that_come_with_others_are_one_row(
        self, add: Callable[..., None], sessions: sessionmaker[Session]
    ) -> None:
        add(Buyer(typed=ADA, orders=[Order(), Order()]))
        buyer = SQLAlchemyActorStore(Buyer, sessions).find_by_identifier(ADA)
        assert len(buyer.orders) == 2

    def test_a_store_can_be_made_before_all_models_are(
        self, sessions: sessionmaker[Session]
    ) -> None:
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

    @pytest.mark.parametrize("names", [("mail",), ("email", "fax"), ()])
    def test_its_attributes_are_checked_at_once(
        self, sessions: sessionmaker[Session], names: tuple[str, ...]
    ) -> None:
        with pytest.raises(ConfigError, match=r"mail|fax|identifiers="):
            SQLAlchemyActorStore(Member, sessions, identifiers=names)

    def test_a_single_name_is_not_taken_for_a_list_of_letters(
        self, sessions: sessionmaker[Session]
    ) -> None:
        with pytest.raises(ConfigError, match="must be a list of names"):
            SQLAlchemyActorStore(Member, sessions, identifiers="email")

    def test_so_is_its_key(self, sessions: sessionmaker[Session]) -> None:
        with pytest.raises(ConfigError, match="Member has no attribute 'uid'"):
            SQLAlchemyActorStore(Member, sessions, key="uid")


class TestSessions:
    """Where sessions come from, and who ends them."""

    @pytest.fixture(autouse=True)
    def ada(self, add: Callable[..., None]) -> None:
        add(Member(id=1, email=ADA))

    def test_one_made_for_a_look_up_is_closed_after_it(
        self, sessions: sessionmaker[Session]
    ) -> None:
        member = SQLAlchemyActorStore(Member, sessions).find_by_id("1")
        assert member.email == ADA
        assert object_session(member) is None

    def test_that_is_so_after_an_error_too(self, add: Callable[..., None], engine: Engine) -> None:
        closed = []

        class Watched(Session):
            def close(self) -> None:
                closed.append(self)
                super().close()

        add(Member(id=2, email=ADA))
        with pytest.raises(AmbiguousActor):
            SQLAlchemyActorStore(Member, sessionmaker(engine, class_=Watched)).find_by_identifier(
                ADA
            )
        assert len(closed) == 1

    @pytest.mark.parametrize("wrap", [lambda scoped: scoped, lambda scoped: lambda: scoped()])
    def test_the_current_one_is_left_as_it_is(
        self, sessions: sessionmaker[Session], wrap: Callable[[Any], Any]
    ) -> None:
        scoped = scoped_session(sessions)
        pending = Member(id=2, email=BOB)
        scoped.add(pending)
        member = SQLAlchemyActorStore(Member, wrap(scoped)).find_by_id("1")
        assert object_session(member) is scoped()
        assert pending in scoped
        scoped.remove()

    def test_a_single_one_is_refused(self, sessions: sessionmaker[Session]) -> None:
        with sessions() as session, pytest.raises(ConfigError, match="can't serve several threads"):
            SQLAlchemyActorStore(Member, session)

    @pytest.mark.parametrize("session", [None, "sqlite://"])
    def test_what_gives_no_session_is_refused(self, session: Any) -> None:
        with pytest.raises(ConfigError, match="session= must be db"):
            SQLAlchemyActorStore(Member, session)


@dataclass
class Shop:
    """An app with a database of its own, ready for a store."""

    app: Flask
    model: type[Any]
    db: Any
    session: Any


def classic(app: Flask) -> Shop:
    """Return a shop on Flask-SQLAlchemy."""
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{app.instance_path}/shop.sqlite3"
    db = flask_sqlalchemy.SQLAlchemy(app)

    class Customer(db.Model):  # type: ignore[name-defined, misc]  # made by a function
        id = db.Column(db.Integer, primary_key=True)
        email = db.Column(db.String, unique=True)

    return Shop(app, Customer, db, db.session)


def lite(app: Flask) -> Shop:
    """Return a shop on Flask-SQLAlchemy-Lite."""
    app.config["SQLALCHEMY_ENGINES"] = {"default": f"sqlite:///{app.instance_path}/shop.sqlite3"}
    db = flask_sqlalchemy_lite.SQLAlchemy(app)
    return Shop(app, Member, db, lambda: db.session)


class TestFlaskExtensions:
    """Both extensions, from the configuration to a token."""

    @pytest.fixture(params=[classic, lite])
    def shop(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
        app = Flask("shop", instance_path=str(tmp_path))
        app.config.update(TESTING=True, SECRET_KEY=SECRET)
        shop = request.param(app)
        with app.app_context():
            engine = shop.db.engine
            shop.model.metadata.create_all(engine)
            shop.db.session.add(shop.model(email=ADA))
            shop.db.session.commit()
        yield shop
        engine.dispose()

    @pytest.mark.parametrize("given", ["db", "session"])
    def test_a_customer_signs_in(self, shop: Shop, given: str) -> None:
        store = SQLAlchemyActorStore(shop.model, getattr(shop, given))
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", store)
        otp_auth.init_app(shop.app)
        api = Api(shop.app.test_client())
        with Outbox(shop.app) as outbox:
            api.generate(ADA)
        token = api.verify(outbox.last.otp, ADA).json["token"]
        assert api.refresh(token).status_code == 200
        with shop.app.app_context():
            member = store.find_by_identifier(ADA)
            assert object_session(member) is self.current(shop)

    @staticmethod
    def current(shop: Shop) -> Session:
        """Return the session of the app context."""
        session = shop.db.session
        return session if isinstance(session, Session) else session()


class Twins:
    """A store that finds two."""

    def find_by_identifier(self, identifier: str) -> None:
        raise AmbiguousActor

    def find_by_id(self, actor_id: str) -> None:
        raise AmbiguousActor


def test_an_ambiguous_customer_gets_no_code(make_app: Callable[..., Flask]) -> None:
    """The answer is an error of the server: the app's own data is at fault."""
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", Twins())
    app = make_app(otp_auth, PROPAGATE_EXCEPTIONS=False)
    with Outbox(app) as outbox:
        assert Api(app.test_client()).generate(ADA).status_code == 500
    assert not outbox.messages
