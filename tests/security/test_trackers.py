"""Error trackers: no event of Sentry's holds a code, an identifier or a challenge.

Sentry keeps the body of the request in which an error is logged or raised, and the variables of
each frame. So what is logged as an error belongs to no request, what delivers codes shows none,
and for errors of the app itself there are the scrubber's lines of the manual.
"""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from attacks import GUESSING, Begin, MakeStanding
from fakes import ADA, BOB, Api, Customers, MakeApp, MakeWatched, SignalRecorder, wrong
from flask import Flask
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.integrations.threading import ThreadingIntegration
from sentry_sdk.scrubber import DEFAULT_DENYLIST, EventScrubber
from stores import until
from trackers import templates_as_before

from flask_otp_auth import OTPAuth, signals
from flask_otp_auth.core.context import NO_CALLER
from flask_otp_auth.storage.base import CacheStore
from flask_otp_auth.storage.memory import MemoryCache
from flask_otp_auth.testing import Outbox


class Events(sentry_sdk.transport.Transport):
    """Keeps what would be sent to Sentry, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        event = envelope.get_event()
        if event is not None:
            self.texts.append(json.dumps(event, default=str))


Watch = Callable[..., Events]

#: So that no time or id in an event looks like a code by chance.
TEN_DIGITS = {"OTP_AUTH_DIGITS": 10}


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Begin to watch for events, as Sentry's manual says for Flask."""

    def begin(event_level: int = logging.ERROR, **options: Any) -> Events:
        events = Events()
        sentry_sdk.init(
            dsn="https://key@sentry.example/1",
            transport=events,
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[
                FlaskIntegration(),
                # Breadcrumbs of whatever is logged.
                LoggingIntegration(level=logging.DEBUG, event_level=event_level),
                ThreadingIntegration(),
            ],
            max_request_body_size="always",
            **options,
        )
        return events

    with templates_as_before():
        yield begin
    sentry_sdk.get_global_scope().set_client(None)
    sentry_sdk.get_isolation_scope().clear()
    sentry_sdk.get_current_scope().clear()


def scrubber() -> EventScrubber:
    """Return the scrubber of the manual."""
    names = ["otp", "identifier", "challenge", "link"]
    return EventScrubber(denylist=[*DEFAULT_DENYLIST, *names], recursive=True)


PREFIX = "https://shop.example/auth/customer/link/"


def ask_with_link(app: Flask) -> str:
    """Ask for a code of Ada's with a link beside it, as a page does; return the challenge."""
    issuer = app.extensions["otp_auth"].issuer
    with app.app_context():
        return str(issuer.start("customer", ADA, NO_CALLER, link_to=PREFIX).challenge)


def fail_badly(
    sender: Flask, otp: str, identifier: str, challenge: str, link: str, **_: Any
) -> None:
    """Fail as mailers do, with all that they know in the text of the error."""
    raise OSError(f"550 {identifier} {otp} {challenge} {link}")


def count(attack: Begin, kind: str, events: Events, secrets: list[str]) -> None:
    """Look for each secret in each event, and in what a later event would show of before."""
    sentry_sdk.capture_message("something else, later")  # with all breadcrumbs until now
    searching = attack(f"trackers: {kind}")
    for text in events.texts:
        for secret in secrets:
            searching.tried(secret in text)
    assert searching.failed(tries=len(secrets))


def test_asvs_16_2_5_an_outage_is_no_event_so_no_body_is_kept(
    make_watched: MakeWatched, watch: Watch, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 16.2.5: or whoever reads the tracker could use the code that was entered."""
    watched = make_watched(**TEN_DIGITS)
    api = Api(watched.app.test_client())
    with Outbox(watched.app) as outbox:
        challenge = api.generate().get_json()["challenge"]
    otp, events = outbox.last.otp, watch()
    for part in (watched.store, watched.limits):
        part.reachable = False
        assert api.verify(otp, challenge=challenge).status_code == 503
        for route in GUESSING:
            assert getattr(api, route)(otp, ADA).status_code == 503
        assert api.generate().status_code == 503
        part.reachable = True
    assert events.texts == []
    count(attack, "an outage while a right code is entered", events, [otp, ADA, challenge])
    assert api.verify(otp).status_code == 200


class Cut(MemoryCache):
    """A cache that can be cut off."""

    reachable = True

    def get_many(self, *keys: str) -> list[Any]:
        if not self.reachable:
            raise OSError
        return super().get_many(*keys)


def test_asvs_16_2_5_where_warnings_are_events_they_are_none_with_a_body(
    make_app: MakeApp, customers: Customers, watch: Watch, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 16.2.5: of an outage, and of a proxy that the app doesn't trust."""
    cache = Cut()
    otp_auth = OTPAuth(cache=CacheStore(cache, (OSError,)))
    otp_auth.add_actor_type("customer", customers)
    api = Api(make_app(otp_auth, **TEN_DIGITS).test_client())
    with Outbox(api.client.application) as outbox:
        challenge = api.generate().get_json()["challenge"]
    otp, events = outbox.last.otp, watch(logging.WARNING)
    cache.reachable = False
    answer = api.client.post(
        "/auth/customer/otp/verify",
        json={"identifier": ADA, "otp": otp, "challenge": challenge},
        headers={"X-Forwarded-For": "203.0.113.7"},
    )
    assert answer.status_code == 503
    assert "the storage is unavailable" in "".join(events.texts)
    assert "X-Forwarded-For" in "".join(events.texts)
    count(attack, "warnings while a right code is entered", events, [otp, ADA, challenge])


def test_asvs_16_2_5_an_outage_between_two_steps_is_none_either(
    make_watched: MakeWatched, watch: Watch, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 16.2.5: whichever call of the store is the first without an answer."""
    watched = make_watched(**TEN_DIGITS, OTP_AUTH_RESEND_INTERVAL=0, OTP_AUTH_WARN_ON_ERROR=False)
    api, events = Api(watched.app.test_client()), watch()
    secrets = [ADA, BOB]
    with Outbox(watched.app) as outbox:
        for call in range(6):
            for ask, redeem, who in (
                ("generate", "verify", ADA),
                ("pre_register", "register", BOB),
            ):
                secrets.append(getattr(api, ask)(who).get_json()["challenge"])
                secrets.append(outbox.last.otp)
                watched.store.fails_at = len(watched.store.calls) + call
                getattr(api, redeem)(outbox.last.otp, who, challenge=secrets[-2])
                watched.store.fails_at = None
    assert events.texts == []
    count(attack, "an outage between two calls of the store", events, secrets)


def test_asvs_16_2_5_a_handler_that_raises_after_the_answer_is_an_event_without_the_code(
    make_standing: MakeStanding, customers: Customers, watch: Watch, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 16.2.5: though the text of its error has everything; a finder's as well.

    The link would sign in whoever read it there, as the code would.
    """
    shop = make_standing(customers, **TEN_DIGITS)
    signals.otp_generated.connect(fail_badly, shop.app)
    recorder, events, api = SignalRecorder(shop.app), watch(), Api(shop.app.test_client())
    challenge = ask_with_link(shop.app)
    shop.jobs.run()
    (sent,) = recorder.of("otp_generated")
    assert len(events.texts) == 1
    assert "fail_badly" in events.texts[0]
    customers.find_by_identifier = fail_to_find
    api.generate(BOB)
    shop.jobs.run()
    assert len(events.texts) == 2
    link = sent["link"].removeprefix(PREFIX)
    secrets = [sent["otp"], sent["link"], link, ADA, BOB, challenge]
    count(attack, "a handler or a finder that raises in the background", events, secrets)


def fail_to_find(identifier: str) -> None:
    """Fail as databases do, with the parameters in the text of the error."""
    raise OSError(f"no answer to SELECT ... WHERE email = '{identifier}'")


def test_asvs_16_2_5_a_delivery_that_is_tried_again_is_an_event_without_the_code(
    make_app: MakeApp, watch: Watch, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 16.2.5: in the threads of the real queue."""
    config = {"OTP_AUTH_DELIVERY": "background", "OTP_AUTH_DELIVERY_RETRIES": (1,), **TEN_DIGITS}
    app = make_app(**config)
    signals.otp_generated.connect(fail_badly, app)
    recorder, events = SignalRecorder(app), watch()
    challenge = Api(app.test_client()).generate().get_json()["challenge"]
    until(lambda: "delivery_failed" in recorder.names, "the last try to fail")
    tried = recorder.of("otp_generated")
    assert recorder.of("delivery_failed")[0]["attempts"] == 2
    assert any("fail_badly" in text for text in events.texts)
    count(attack, "a delivery that is tried again", events, [tried[0]["otp"], ADA, challenge])


def test_asvs_16_2_5_with_the_scrubber_no_error_of_the_app_shows_what_was_entered(
    make_app: MakeApp, watch: Watch, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 16.2.5: a claims loader, a finder and a handler that raise in the request.

    The code is not used up by that, so whoever read it in the tracker could use it, or its link.
    """
    table, otp_auth = Table(), OTPAuth()
    otp_auth.add_actor_type("customer", table)
    otp_auth.claims_loader(lambda actor_type, actor: table.claims())
    app = make_app(otp_auth, **TEN_DIGITS, PROPAGATE_EXCEPTIONS=False)
    api, events = Api(app.test_client()), watch(event_scrubber=scrubber())
    redeemer = app.extensions["otp_auth"].redeemer

    @app.post("/open")
    def open_link() -> str:
        return str(redeemer.follow("customer", ADA, link, challenge, NO_CALLER))

    with Outbox(app) as outbox:
        challenge = ask_with_link(app)
        otp, link = outbox.last.otp, str(outbox.last.link).removeprefix(PREFIX)
        for table.fails in ("claims", "find"):
            assert api.finish(otp, challenge=challenge).status_code == 500
            assert api.client.post("/open").status_code == 500
        assert api.generate(BOB).status_code == 200  # delivered inline here
        table.fails = ""
        signals.actor_authenticated.connect(table.fail, app)
        assert api.client.post("/open").status_code == 200
    assert len(events.texts) >= 6
    assert "[Filtered]" in events.texts[0]
    assert "redeem.py" in "".join(events.texts)
    secrets = [otp, link, str(outbox.messages[0].link), ADA, BOB, challenge]
    count(attack, "errors of the app itself in the request, scrubbed", events, secrets)


class Account:
    """An account of which nothing can be printed; what others print is their own business."""

    id = "1"


class Table:
    """An actor store that fails where a test says so, with nothing in the text of the error.

    :ivar fails: what fails.
    """

    fails = ""

    def find_by_identifier(self, identifier: str) -> Account:
        return self.fail() if self.fails == "find" else Account()

    find_by_id = find_by_identifier

    def claims(self) -> dict[str, Any]:
        return self.fail() if self.fails == "claims" else {}

    def fail(self, *_: Any, **__: Any) -> Any:
        raise OSError("no answer")


def test_asvs_16_2_5_a_breaker_that_opens_shows_nobodys_guess(
    make_app: MakeApp, watch: Watch, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 16.2.5: that it opens is an error, in whose request it may be."""
    app = make_app(**TEN_DIGITS, OTP_AUTH_GLOBAL_FAILURE_LIMIT="3/hour")
    api, events = Api(app.test_client()), watch()
    with Outbox(app) as outbox:
        challenge = api.generate().get_json()["challenge"]
        guess = wrong(outbox.last.otp)
        for _ in range(3):
            assert api.verify(guess, challenge=challenge).status_code == 400
    assert any("OTP_AUTH_GLOBAL_FAILURE_LIMIT" in text for text in events.texts)
    secrets = [guess, outbox.last.otp, ADA, challenge]
    count(attack, "the breaker's alarm", events, secrets)


def test_asvs_16_2_5_a_handler_that_raises_in_the_request_shows_no_code_that_is_still_good(
    make_app: Callable[..., Flask], watch: Watch, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 16.2.5: without the scrubber, too, as that is no error of a request."""
    app = make_app(**TEN_DIGITS, OTP_AUTH_IP_VERIFY_LIMITS="1/hour")
    table, api, events = Table(), Api(app.test_client()), watch()
    for signal in (signals.otp_rejected, signals.rate_limited):
        signal.connect(table.fail, app)
    with Outbox(app) as outbox:
        challenge = api.generate().get_json()["challenge"]
        otp = outbox.last.otp
        assert api.register(otp, ADA, challenge=challenge).status_code == 400
        assert api.verify(otp, challenge=challenge).status_code == 429
    assert len(events.texts) == 2
    assert all("Table.fail" in text for text in events.texts)
    count(attack, "a handler that raises while a right code is entered", events, [otp, ADA])
    api.address = "198.51.100.7"
    assert api.verify(otp, challenge=challenge).status_code == 200


def test_asvs_16_2_5_a_storage_that_is_refused_while_a_right_code_is_entered_shows_none(
    make_app: Callable[..., Flask], watch: Watch, attack: Begin, tmp_path: Path
) -> None:
    """OWASP ASVS 5.0, 16.2.5: as by a worker that has just started."""
    file = tmp_path / "codes.sqlite3"
    settings = {**TEN_DIGITS, "OTP_AUTH_STORAGE_URI": f"sqlite:///{file}"}
    former, worker = make_app(**settings), make_app(**settings)
    with Outbox(former) as outbox:
        Api(former.test_client()).generate()
    events, api = watch(), Api(worker.test_client())
    file.chmod(0o666)
    assert api.verify(outbox.last.otp).status_code == 503
    file.chmod(0o600)
    (text,) = events.texts
    assert "others may write to" in text
    count(attack, "a storage that is refused", events, [outbox.last.otp, ADA])
    assert api.verify(outbox.last.otp).status_code == 200
