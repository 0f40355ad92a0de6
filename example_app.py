"""A tiny shop whose customers join and enter with a code: the whole of it in one file.

``make run`` starts it. Codes are printed here instead of being mailed, each with the curl
lines to try next.
"""

import json
import os
import secrets
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from flask.typing import ResponseReturnValue

from flask_otp_auth import (
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
        return self._find("SELECT id, email FROM customer WHERE email = ?", identifier)

    def find_by_id(self, actor_id: str) -> Customer | None:
        return self._find("SELECT id, email FROM customer WHERE id = ?", actor_id)

    def create(self, email: str) -> Customer | None:
        """Return the new customer, or ``None`` if somebody has that address already."""
        try:
            return self._find("INSERT INTO customer (email) VALUES (?) RETURNING id, email", email)
        except sqlite3.IntegrityError:
            return None

    def _find(self, statement: str, value: str) -> Customer | None:
        connection = connect(current_app)
        try:
            with connection:
                row = connection.execute(statement, (value,)).fetchone()
        finally:
            connection.close()
        return Customer(*row) if row else None


customers = Customers()
otp_auth = OTPAuth()
otp_auth.add_actor_type("customer", customers, identifier="email")


def create_app() -> Flask:
    app = Flask(__name__)
    Path(app.instance_path).mkdir(exist_ok=True)
    app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY") or own_secret(app)
    app.config.update(settings_from_environment())
    otp_auth.init_app(app)
    otp_generated.connect(deliver_login_code, app)
    pre_register_otp_generated.connect(deliver_registration_code, app)
    otp_suppressed.connect(tell_owner, app)
    app.add_url_rule("/customers", view_func=create_customer, methods=["POST"])
    app.add_url_rule("/me", view_func=me)
    connection = connect(app)
    connection.execute(
        "CREATE TABLE IF NOT EXISTS customer (id INTEGER PRIMARY KEY, email TEXT UNIQUE NOT NULL)"
    )
    connection.close()
    return app


@registration_required("customer")
def create_customer() -> ResponseReturnValue:
    """Create the account whose address was proved by the code."""
    customer = customers.create(current_registration.identifier)
    if customer is None:
        return {"message": "You have an account already."}, 409
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
        f'curl -s {BASE}/me -H "Authorization: Bearer $TOKEN"\n',
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


def settings_from_environment() -> dict[str, Any]:
    """Return every OTP_AUTH_* variable; what reads as JSON is taken as such (8, false)."""
    settings: dict[str, Any] = {}
    for name, text in os.environ.items():
        if name.startswith("OTP_AUTH_"):
            try:
                settings[name] = json.loads(text)
            except ValueError:
                settings[name] = text
    return settings


app = create_app()

if __name__ == "__main__":
    start = curl("/auth/customer/otp/pre-register", '{"identifier": "ada@example.com"}')
    print(f"Codes are printed here. Paste this into another terminal:\n\n{start}\n", flush=True)
    app.run(port=PORT)
