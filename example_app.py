"""A tiny shop whose customers join and enter with a code: the whole of it in one file.

``make run`` starts it. It mails nothing: codes are printed, and in development its letterbox shows
what would have been mailed. A real shop mails instead, by ``flask_otp_auth.mail.mail_codes``.
"""

import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, render_template
from jinja2 import DictLoader
from sqlalchemy import NullPool, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from sqlalchemy.schema import CreateTable
from werkzeug.serving import make_server

from flask_otp_auth import OTPAuth, current_actor, current_registration, signals
from flask_otp_auth.guards import page_required, registration_required, token_required
from flask_otp_auth.messages import email
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore


class Base(DeclarativeBase):
    """The shop's tables."""


class Customer(Base):
    """Somebody who has joined. No id is used again: nobody must own what a deleted one had."""

    __tablename__ = "customer"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)


class Letter(Base):
    """What would have been mailed. In a table, as each worker has to show the same."""

    __tablename__ = "letter"
    id: Mapped[int] = mapped_column(primary_key=True)
    receiver: Mapped[str]
    subject: Mapped[str]
    text: Mapped[str]


Session = sessionmaker()
customers = SQLAlchemyActorStore(Customer, Session)
otp_auth = OTPAuth()
otp_auth.add_actor_type("customer", customers, identifier="email")
shop = Blueprint("shop", __name__)
PORT = int(os.environ.get("PORT", "5000"))


def create_app() -> Flask:
    app = Flask(__name__)
    Path(app.instance_path).mkdir(exist_ok=True)
    app.config.update(
        SECRET_KEY=os.environ.get("SECRET_KEY") or own_secret(app),
        SESSION_COOKIE_SAMESITE="Lax",
        OTP_AUTH_TOKEN_ISSUER=app.name,  # yours is a name that no other app has
        OTP_AUTH_SITE_NAME="Tiny shop",
        OTP_AUTH_PAGES=True,
        OTP_AUTH_AFTER_SIGN_IN="shop.account",
    )
    # The letterbox shows everybody's codes to whoever opens it, and who has a code can sign in. So
    # there is one for a developer at his own machine only, and under no other server, whatever
    # FLASK_DEBUG says.
    by_flask_run = app.debug and os.environ.get("FLASK_RUN_FROM_CLI") == "true"
    app.config["LETTERBOX"] = __name__ == "__main__" or by_flask_run
    app.config["SESSION_COOKIE_SECURE"] = not app.config["LETTERBOX"]  # elsewhere there is TLS
    if app.config["LETTERBOX"]:
        app.add_url_rule("/letterbox", view_func=letterbox)
        app.config.update(OTP_AUTH_LINKS=True, OTP_AUTH_SITE_URL=f"http://127.0.0.1:{PORT}")
        app.config["OTP_AUTH_DELIVERY"] = "inline"  # the letter is there as soon as the page
    app.config.update({name: os.environ[name] for name in os.environ if name[:9] == "OTP_AUTH_"})
    engine = create_engine(f"sqlite:///{app.instance_path}/shop.sqlite3", poolclass=NullPool)
    with engine.begin() as connection:
        for table in Base.metadata.sorted_tables:  # create_all() fails where workers start at once
            connection.execute(CreateTable(table, if_not_exists=True))
    Session.configure(bind=engine)
    otp_auth.init_app(app)
    for name in ("otp_generated", "pre_register_otp_generated", "otp_suppressed"):
        getattr(signals, name).connect(deliver, app)
    app.jinja_loader = DictLoader(TEMPLATES)  # in place of a folder of templates
    app.register_blueprint(shop)
    return app


def own_secret(app: Flask) -> str:
    """Return a secret key made once for this machine; a real shop sets SECRET_KEY itself."""
    path, draft = (Path(app.instance_path) / name for name in ("secret_key", secrets.token_hex()))
    draft.touch(mode=0o600)
    draft.write_text(secrets.token_hex(32))
    with suppress(FileExistsError):  # there is one already, or another worker was faster
        path.hardlink_to(draft)
    draft.unlink()
    return path.read_text()


def deliver(sender: Flask, /, **signal: Any) -> None:
    """Print what a real shop would mail, and put it into the letterbox if there is one."""
    message, receiver = email(sender, **signal), signal["identifier"]
    if message is None:  # nothing that anybody is told
        return
    purpose = "sign in" if "actor_id" in signal else "join"
    said = f"your code to {purpose} is {signal['otp']}." if "otp" in signal else message.subject
    print(f"To {receiver}: {said}", flush=True)
    if sender.config["LETTERBOX"]:
        with Session.begin() as session:
            session.add(Letter(receiver=receiver, subject=message.subject, text=message.text))


@shop.get("/")
@token_required("customer", session=True, optional=True)
def home() -> str:
    return render_template("home.html", customer=current_actor)


@shop.get("/account")
@page_required("customer")
def account() -> str:
    return render_template("account.html", customer=current_actor)


def letterbox() -> str:
    with Session() as session:
        letters = session.scalars(select(Letter).order_by(Letter.id.desc()).limit(20)).all()
    return render_template("letterbox.html", letters=letters)


@shop.post("/customers")
@registration_required("customer")
def create_customer() -> tuple[dict[str, Any], int]:
    """Create the account whose address was proved by the code, for clients of the JSON API."""
    customer = customers.create(current_registration.identifier, {})
    return {"id": customer.id, "email": customer.email}, 201


@shop.get("/me")
@token_required("customer", session=True)
def me() -> dict[str, Any]:
    return {"id": current_actor.id, "email": current_actor.email}


@shop.after_app_request
def harden(response: Response) -> Response:
    """Keep pages of the shop's own out of caches and frames, as the package does with its pages."""
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("Content-Security-Policy", "frame-ancestors 'none'")
    return response


TEMPLATES = {
    "otp_auth/base.html": """{% extends "otp_auth_original/base.html" %}
{% block brand %}<a class="otp-site-name" href="{{ url_for("shop.home") }}">
{{- site_name }}</a>{% endblock %}
{% block footer %}{% if config.LETTERBOX %}This shop mails nothing. See its
<a href="{{ url_for("letterbox") }}" target="_blank">letterbox</a>.{% endif %}{% endblock %}""",
    "shop.html": """{% set lang, dir, site_name = "en", "ltr", config.OTP_AUTH_SITE_NAME %}
{% set style_url = url_for("otp_auth.static", filename="otp_auth.css") %}
{% set script_url = url_for("otp_auth.static", filename="otp_auth.js") %}
{% extends "otp_auth/base.html" %}
{% block title %}{{ self.heading() }}{% endblock %}
{% block head %}<style>a.otp-button { display: grid; place-content: center; text-decoration: none }
.otp-main a.otp-button:not(.otp-secondary) { color: var(--otp-accent-text) }
summary { font-weight: 600; cursor: pointer }
details { padding: 1rem 0; border-top: 1px dashed; white-space: pre-line; overflow-wrap: anywhere }
</style>{% endblock %}{% block content %}<h1>{% block heading %}{% endblock %}</h1>
{% block body %}{% endblock %}{% endblock %}""",
    "home.html": """{% extends "shop.html" %}{% block heading %}Welcome{% endblock %}
{% block body %}<p>A shop so small that all it has is customers. They come in with a code that is
sent to their e-mail address, and need no password.</p>{% if customer %}
<a class="otp-button" href="{{ url_for("shop.account") }}">My account</a>{% else %}
<a class="otp-button" href="{{ url_for("otp_auth.sign_in", actor_type="customer") }}">Sign in or
join</a>{% endif %}{% endblock %}""",
    "account.html": """{% extends "shop.html" %}{% block heading %}My account{% endblock %}
{% block body %}<p>{{ customer.email }}<br>Customer no. {{ customer.id }}</p>
{% for page, name in (("devices", "My devices"), ("sign_out", "Sign out")) %}<p>
<a class="otp-button otp-secondary" href="{{ url_for("otp_auth." + page, actor_type="customer") }}">
{{ name }}</a></p>{% endfor %}{% endblock %}""",
    "letterbox.html": """{% extends "shop.html" %}{% block heading %}Letterbox{% endblock %}
{% block body %}<p><a href="{{ url_for("letterbox") }}">Look for new letters</a></p>
{% for letter in letters %}<details{% if loop.first %} open{% endif %}>
<summary>{{ letter.subject }}</summary><p class="otp-hint">To {{ letter.receiver }}</p>
{{ letter.text | urlize }}</details>{% else %}<p>It is empty.</p>{% endfor %}{% endblock %}""",
}

app = create_app()

if __name__ == "__main__":
    server = make_server("127.0.0.1", PORT, app, threaded=True)
    logging.getLogger("werkzeug").setLevel("WARNING")  # so that the codes are seen
    print(f"Open http://127.0.0.1:{PORT}", flush=True)
    server.serve_forever()
