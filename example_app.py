"""A tiny shop whose customers join and enter with a code: the whole of it in one file.

``make run`` starts it. Codes are printed here instead of being mailed, each with the curl
lines to try next. These use two doors: pre-register and register to join, generate and verify to
sign in. The one door, start and finish, is there as well, for clients that don't ask people
whether they are new.
"""

import json
import os
import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from flask.typing import ResponseReturnValue

from flask_otp_auth import (
    DuplicateError,
    OTPAuth,
    current_actor,
    current_registration,
    registration_required,
    token_required,
)
from flask_otp_auth.signals import otp_generated, otp_suppressed, pre_register_otp_generated


@dataclass
class Customer:
    """A row of the table of customers."""

    id: int
    email: str


class Customers:
    """The shop's customers in SQLite; two finders make it an actor store."""

    def find_by_identifier(self, identifier: str) -> Customer | None:
        rows = self._rows("SELECT id, email FROM customer WHERE email = ?", identifier)
        return rows[0] if rows else None

    def find_by_id(self, actor_id: str) -> Customer | None:
        rows = self._rows("SELECT id, email FROM customer WHERE id = ?", actor_id)
        return rows[0] if rows else None

    def add(self, email: str) -> Customer:
        """Return the new customer. The table decides who is first: see its UNIQUE column."""
        insert = "INSERT INTO customer (email) VALUES (?) RETURNING id, email"
        try:
            return self._rows(insert, email)[0]
        except sqlite3.IntegrityError:
            raise DuplicateError from None

    def _rows(self, statement: str, value: str) -> list[Customer]:
        with closing(connect(current_app)) as connection, connection:
            return [Customer(*row) for row in connection.execute(statement, (value,)).fetchall()]


# Ids are never used again (AUTOINCREMENT): a new customer must not own what a deleted one had.
TABLE = """CREATE TABLE IF NOT EXISTS customer
    (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT UNIQUE NOT NULL)"""

customers = Customers()
otp_auth = OTPAuth()
otp_auth.add_actor_type("customer", customers, identifier="email")


def create_app() -> Flask:
    app = Flask(__name__)
    Path(app.instance_path).mkdir(exist_ok=True)
    app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY") or own_secret(app)
    issuer = {"OTP_AUTH_TOKEN_ISSUER": "example_app"}  # a name that no other app has
    given = {name: os.environ[name] for name in os.environ if name.startswith("OTP_AUTH_")}
    app.config.update({**issuer, **given})
    otp_auth.init_app(app)
    otp_generated.connect(deliver_login_code, app)
    pre_register_otp_generated.connect(deliver_registration_code, app)
    otp_suppressed.connect(tell_owner, app)
    app.add_url_rule("/customers", view_func=create_customer, methods=["POST"])
    app.add_url_rule("/me", view_func=me)
    with closing(connect(app)) as connection:
        connection.execute(TABLE)
    return app


@registration_required("customer")
def create_customer() -> ResponseReturnValue:
    """Create the account whose address was proved by the code."""
    customer = customers.add(current_registration.identifier)
    return {"id": customer.id, "email": customer.email}, 201


@token_required("customer", session=True)
def me() -> ResponseReturnValue:
    """Show who is signed in."""
    return {"id": current_actor.id, "email": current_actor.email}


def deliver_registration_code(sender: Flask, identifier: str, otp: str, **_: Any) -> None:
    """Print what a real shop would mail, and how to go on."""
    body = json.dumps({"identifier": identifier, "otp": otp})
    print(
        f"\nTo {identifier}: your code to join is {otp}. Next, register with it, create the "
        f"account and sign in with the same code, within 60 seconds:\n\n"
        f"{token_line('REGISTRATION', '/auth/customer/otp/register', body)}\n"
        f'curl -s -X POST {BASE}/customers -H "Authorization: Bearer $REGISTRATION"\n'
        f"{token_line('TOKEN', '/auth/customer/otp', body)}\n"
        f'curl -s {BASE}/me -H "Authorization: Bearer $TOKEN"\n\n'
        f"The same code a second time is refused; a new one signs in:\n\n"
        f"{curl('/auth/customer/otp', body)}\n"
        f"{curl('/auth/customer/otp/generate', json.dumps({'identifier': identifier}))}\n",
        flush=True,
    )


def deliver_login_code(sender: Flask, identifier: str, otp: str, **_: Any) -> None:
    """Print what a real shop would mail, and how to go on."""
    body = json.dumps({"identifier": identifier, "otp": otp})
    print(
        f"\nTo {identifier}: your code to sign in is {otp}. Next:\n\n"
        f"{token_line('TOKEN', '/auth/customer/otp/verify', body)}\n"
        f'curl -s {BASE}/me -H "Authorization: Bearer $TOKEN"\n\n'
        "(Asked at /otp/start? Then answer at /otp/finish.)\n",
        flush=True,
    )


def tell_owner(sender: Flask, identifier: str, reason: str, **_: Any) -> None:
    """Print the mail to somebody who wants to join but is a customer already."""
    if reason == "already_registered":
        print(f"\nTo {identifier}: you have an account already, just sign in.\n", flush=True)


PORT = int(os.environ.get("PORT", "5000"))
BASE = f"http://127.0.0.1:{PORT}"


def curl(path: str, body: str) -> str:
    return f"curl -s {BASE}{path} -H 'Content-Type: application/json' -d '{body}'"


def token_line(name: str, path: str, body: str) -> str:
    return f"{name}=$({curl(path, body)} | cut -d '\"' -f 4)"


def connect(app: Flask) -> sqlite3.Connection:
    return sqlite3.connect(Path(app.instance_path) / "shop.sqlite3", timeout=5)


def own_secret(app: Flask) -> str:
    """Return a secret key made once for this machine; a real shop sets SECRET_KEY itself."""
    path = Path(app.instance_path) / "secret_key"
    draft = path.with_name(f"secret_key.{secrets.token_hex(8)}")
    if not path.exists():
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(32))
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass  # another worker was faster: its key is everybody's
        finally:
            draft.unlink()
    return path.read_text()


app = create_app()

if __name__ == "__main__":
    start = curl("/auth/customer/otp/pre-register", '{"identifier": "ada@example.com"}')
    print(f"Codes are printed here. Paste this into another terminal:\n\n{start}\n", flush=True)
    app.run(port=PORT)
