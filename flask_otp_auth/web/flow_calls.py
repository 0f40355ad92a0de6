"""The flows without HTTP, for an app's own views, scripts and tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from . import sessions
from .context import current_caller
from .state import current_state

if TYPE_CHECKING:
    from ..flows.ask import Issued
    from ..tokens.sign_ins import SignIn
    from ..tokens.token import Token


class FlowCalls:
    """The methods of :class:`~flask_otp_auth.OTPAuth` that do what the routes do, and more.

    They need an app context, never a request, and are held to every limit; within a request its
    address counts as on our own routes.
    """

    def generate(self, actor_type: str, identifier: str, challenge: str | None = None) -> Issued:
        """Send a login code; see :meth:`flask_otp_auth.flows.issue.CodeIssuer.generate`.

        :param challenge: ignored, as on the wire.
        """
        return current_state().issuer.generate(actor_type, identifier, current_caller())

    def pre_register(
        self, actor_type: str, identifier: str, challenge: str | None = None
    ) -> Issued:
        """Send a registration code; see
        :meth:`flask_otp_auth.flows.issue.CodeIssuer.pre_register`.

        :param challenge: ignored, as on the wire.
        """
        return current_state().issuer.pre_register(actor_type, identifier, current_caller())

    def start(self, actor_type: str, identifier: str, challenge: str | None = None) -> Issued:
        """Send a code to sign in or to join with; see
        :meth:`flask_otp_auth.flows.issue.CodeIssuer.start`.

        :param challenge: ignored, as on the wire.
        """
        return current_state().issuer.start(actor_type, identifier, current_caller())

    def verify(
        self, actor_type: str, identifier: str, otp: str, challenge: str | None = None
    ) -> Token:
        """Redeem a login code; see :meth:`flask_otp_auth.flows.redeem.CodeRedeemer.verify`."""
        redeemer = current_state().redeemer
        return redeemer.verify(actor_type, identifier, otp, challenge, current_caller())

    def register(
        self, actor_type: str, identifier: str, otp: str, challenge: str | None = None
    ) -> Token:
        """Redeem a registration code; see
        :meth:`flask_otp_auth.flows.redeem.CodeRedeemer.register`."""
        redeemer = current_state().redeemer
        return redeemer.register(actor_type, identifier, otp, challenge, current_caller())

    def authenticate(
        self, actor_type: str, identifier: str, otp: str, challenge: str | None = None
    ) -> Token:
        """Redeem a code in its grace, or a login code; see
        :meth:`flask_otp_auth.flows.redeem.CodeRedeemer.authenticate`."""
        redeemer = current_state().redeemer
        return redeemer.authenticate(actor_type, identifier, otp, challenge, current_caller())

    def finish(
        self, actor_type: str, identifier: str, otp: str, challenge: str | None = None
    ) -> Token:
        """Redeem a code of the one door; see
        :meth:`flask_otp_auth.flows.redeem.CodeRedeemer.finish`."""
        redeemer = current_state().redeemer
        return redeemer.finish(actor_type, identifier, otp, challenge, current_caller())

    def refresh(self, token: str) -> Token:
        """Exchange a token; see :meth:`flask_otp_auth.tokens.credentials.Credentials.refresh`."""
        return current_state().credentials.refresh(token, current_caller())

    def complete(self, actor: Any) -> Token:
        """Sign in the actor that a view has just created, guarded by ``registration_required``.

        It takes the right to the one refresh of the registration token.

        :raises RuntimeError: outside of such a view.
        :raises Unauthorized: if the registration was completed before.
        :raises Unavailable: if the store can't be reached.
        """
        return current_state().credentials.complete(
            sessions.registration_claims(), actor, current_caller()
        )

    def revoke(self, token: str) -> None:
        """End a token's sign-in; see
        :meth:`flask_otp_auth.tokens.credentials.Credentials.revoke`."""
        current_state().credentials.revoke(token)

    def revoke_all(self, actor_type: str, actor: Any) -> None:
        """End all sign-ins of an actor, or of the actor with that id; see
        :meth:`flask_otp_auth.tokens.credentials.Credentials.revoke_all`."""
        current_state().credentials.revoke_all(actor_type, actor)

    def sign_in(self, actor_type: str, actor: Any, amr: Iterable[str] = ("pwd",)) -> Token:
        """Sign in an actor that has proved its identity without a code, as by a password.

        :param amr: how it did so (RFC 8176).
        :raises Unauthorized: if the actor is not active.
        :raises Unavailable: if the store can't be reached.
        """
        return current_state().credentials.sign_in(actor_type, actor, amr, current_caller())

    def identify(self, token: str, *actor_types: str, max_age: int | None = None) -> Any:
        """Return the actor of an authentication token, for WebSockets, GraphQL and such.

        :param actor_types: those that the token may be for; none for any.
        :param max_age: seconds since the sign-in at most (RFC 9470).
        :raises Unauthorized: if the token is not valid.
        :raises Unavailable: if the store can't be reached.
        """
        sessions.check_max_age(max_age)
        return current_state().credentials.identify(token, actor_types, max_age)[1]

    def begin_session(self, token: str) -> None:
        """Begin Flask's session with an authentication token; see
        :func:`flask_otp_auth.web.sessions.begin`."""
        sessions.begin(token)

    def end_session(self) -> None:
        """End the current session and its sign-in. Idempotent."""
        sessions.end()

    def sign_ins(self, actor_type: str, actor: Any) -> list[SignIn]:
        """Return the live sign-ins of an actor, the newest first.

        :param actor: the actor, or its id.
        """
        return current_state().credentials.sign_ins(actor_type, actor, sessions.current_sid())

    def end_sign_in(self, actor_type: str, actor: Any, sign_in_id: str) -> bool:
        """End one sign-in of an actor; false if it is not live.

        :param actor: the actor, or its id.
        """
        return current_state().credentials.end_sign_in(actor_type, actor, sign_in_id)

    def end_other_sign_ins(self) -> int:
        """End all sign-ins of the current actor but the request's own, and return how many.

        :raises Unauthorized: if the request comes without a token or a session.
        """
        claims, actor = sessions.identify_request()
        return current_state().credentials.end_other_sign_ins(claims.actor_type, actor, claims.sid)
