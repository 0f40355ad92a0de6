"""One who has seen what was used: codes, tokens, cookies."""

from ..box import Box
from ..routes import path_of
from .found import Found


def replayer(box: Box) -> Found:
    """Use everything a second time."""
    found = Found("replayer")
    _codes(box, found)
    _tokens(box, found)
    _sessions(box, found)
    return found


def _codes(box: Box, found: Found) -> None:
    for ask, guess in (("generate", "verify"), ("start", "finish")):
        box.begin()
        box.ask(ask, box.known)
        box.deliver()
        if not box.outbox.messages:
            raise ValueError(f"no code was sent to known= by {ask}, so nothing could be attacked")
        given = box.given(box.outbox.last)
        first = box.post(guess, given)
        if first.status_code != 200:
            raise ValueError(f"a right code was answered {first.status_code} by {guess}")
        for again in ("verify", "finish", "authenticate", "register"):
            status = box.post(again, given).status_code
            found.tried(status == 200, f"a code that was used worked again at {again}")


def _tokens(box: Box, found: Found) -> None:
    token = _signed_in(box)
    bearer = {"Authorization": f"Bearer {token}"}
    refreshed = box.post("refresh", headers=bearer).get_json(silent=True) or {}
    box.post("revoke", headers=bearer)
    for old in (token, refreshed.get("token", "")):
        for endpoint in ("refresh", "begin_session"):
            answer = box.post(endpoint, headers={"Authorization": f"Bearer {old}"})
            found.tried(
                answer.status_code == 200, f"a token worked after the sign-out, at {endpoint}"
            )


def _sessions(box: Box, found: Found) -> None:
    client, copy = box.app.test_client(), box.app.test_client()
    token = _signed_in(box)
    box.post("begin_session", client=client, headers={"Authorization": f"Bearer {token}"})
    cookie = client.get_cookie(box.app.config["SESSION_COOKIE_NAME"])
    if cookie is None:  # sessions of the app's own are kept elsewhere
        return
    copy.set_cookie(cookie.key, cookie.value)
    client.delete(path_of(box.app, "end_session"))
    answer = copy.get(path_of(box.app, "sign_ins"))
    found.tried(answer.status_code == 200, "a copy of the session's cookie outlived the sign-out")


def _signed_in(box: Box) -> str:
    box.begin()
    box.ask("generate", box.known)
    box.deliver()
    return box.enter() or ""  # it is there: codes were seen to work
