"""What is known of a request, for messages and for limits.

A handler runs after the answer, without the request, so what it may need is caught before.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property

from flask import current_app, has_request_context, request

from ..core.context import NO_CALLER, Caller, Context
from .limits import address_buckets, bare_address
from .state import current_state

#: What a User-Agent contains, and the browser in words. The first that fits is right: most
#: browsers name the ones that they resemble, too. They are compiled when they are first needed.
_BROWSERS = (
    (r"\bEdg(e|A|iOS)?/", "Edge"),
    (r"\b(OPR|OPT|OPiOS|Opera)/", "Opera"),
    (r"\bSamsungBrowser/", "Samsung Internet"),
    (r"\b(Firefox|FxiOS)/", "Firefox"),
    (r"\b(Chrome|Chromium|CriOS)/", "Chrome"),
    (r"\bVersion/\S+ .*\bSafari/", "Safari"),
)

#: The same for platforms. Android names Linux, too, and iOS and Windows Phone name others.
_PLATFORMS = (
    (r"\bWindows\b", "Windows"),
    (r"\b(iPhone|iPad|iPod)\b", "iOS"),
    (r"\bAndroid\b", "Android"),
    (r"\bCrOS\b", "ChromeOS"),
    (r"\b(Macintosh|Mac OS X)\b", "macOS"),
    (r"\b(Linux|X11)\b", "Linux"),
)

#: Characters of a User-Agent that are looked at: anybody can send any text.
_LONGEST_USER_AGENT = 512

# RFC 5646, 2.1, as far as browsers use it.
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")


class RequestCaller:
    """The caller of a flow within a request; its context is worked out once, if at all.

    :param proof: what the body shows to the app's gates.
    """

    def __init__(self, proof: str | None = None) -> None:
        self._proof = proof

    @property
    def proof(self) -> str | None:
        """What the caller shows to the app's gates: in the body, or else in a header."""
        return self._proof or request.headers.get("OTP-Proof") or _proof_in_body()

    @property
    def buckets(self) -> tuple[str, ...]:
        """What its address counts as, the narrowest first."""
        current_state().address_notice()
        return address_buckets(request.remote_addr)

    @property
    def address(self) -> str | None:
        """The address, without a port."""
        return bare_address(request.remote_addr)

    @property
    def endpoint(self) -> str | None:
        """The endpoint that was called."""
        return request.endpoint

    @cached_property
    def context(self) -> Context:
        """What messages may say of the request."""
        return context_of_request()


def _proof_in_body() -> str | None:
    """Return the field ``proof`` of a form or of JSON, where a view of the app's own is called."""
    try:
        body = request.get_json(silent=True) if request.is_json else request.form
    except RecursionError:  # of JSON that is nested too deeply
        return None
    found = body.get("proof") if isinstance(body, Mapping) else None
    return found if isinstance(found, str) else None


def current_caller(proof: str | None = None) -> Caller:
    """Return who calls a flow: the request's client, or nobody outside of a request.

    :param proof: what the body shows to the app's gates.
    """
    return RequestCaller(proof) if has_request_context() else NO_CALLER


def context_of_request() -> Context:
    """Return what messages may say of the current request."""
    user_agent = request.user_agent.string[:_LONGEST_USER_AGENT]
    return Context(
        locale=_locale(),
        requested_at=datetime.now(UTC),
        browser=_first_match(_BROWSERS, user_agent),
        platform=_first_match(_PLATFORMS, user_agent),
        address=bare_address(request.remote_addr),
    )


def _locale() -> str | None:
    if "babel" in current_app.extensions:
        from flask_babel import get_locale  # here: not each app has it

        locale = get_locale()
        return None if locale is None else str(locale)
    return _accepted_language()


def _accepted_language() -> str | None:
    """Return the best of Accept-Language; ``*`` and garbage are none."""
    if "Accept-Language" not in request.headers:
        return None
    for tag, quality in request.accept_languages:
        if quality > 0 and _LANGUAGE_TAG.fullmatch(tag):
            return tag
    return None


def _first_match(names: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((name for pattern, name in names if re.search(pattern, text)), None)
