"""The signals (blinker). Sender is the app object; arguments come by keyword.

Each is sent after the state that it speaks of is written. A handler that raises neither stops
the other handlers nor changes the answer: it is logged, and sent on as ``delivery_failed``
where it was to deliver something. Handlers take what they need and ``**_``. Only the first three
signals carry a code.

``context`` is a :class:`~flask_otp_auth.core.context.Context`: what is known of the request that
asked; ``None`` for flows without a request. ``expires_at`` is an aware time in UTC.
"""

from blinker import NamedSignal, Namespace

_signals = Namespace()

#: A code to deliver to a member: ``actor_type, identifier, otp, actor_id, expires_at, challenge,
#: context, link``. Handlers run in the background.
otp_generated: NamedSignal = _signals.signal("otp-generated")

#: A code to deliver to somebody who has no account: ``actor_type, identifier, otp, expires_at,
#: challenge, context, link``. Handlers run in the background.
pre_register_otp_generated: NamedSignal = _signals.signal("pre-register-otp-generated")

#: A code that confirms an address or an action: ``purpose, identifier, otp, subject, binds,
#: expires_at, challenge, context``. Handlers run in the background.
confirmation_otp_generated: NamedSignal = _signals.signal("confirmation-otp-generated")

#: No code was sent: ``actor_type, identifier, purpose, reason, context``, the reason being
#: ``unknown_actor``, ``already_registered``, ``not_invited``, ``country_not_allowed``,
#: ``line_not_allowed``, ``cooldown``, ``destination_limit`` or ``global_limit``. Handlers run in
#: the background.
otp_suppressed: NamedSignal = _signals.signal("otp-suppressed")

#: A code was right: ``actor_type, identifier, purpose``.
otp_verified: NamedSignal = _signals.signal("otp-verified")

#: A code was refused: ``actor_type, identifier, purpose, reason``, the reason being ``unknown``,
#: ``expired``, ``wrong``, ``challenge`` or ``budget``.
otp_rejected: NamedSignal = _signals.signal("otp-rejected")

#: An authentication token was issued: ``actor_type, actor_id, identifier, method, new_device,
#: context``, the method being ``otp``, ``grace``, ``refresh``, ``link`` or ``app``. ``identifier``
#: is ``None`` for ``refresh`` and ``app``, ``new_device`` where there is no request.
actor_authenticated: NamedSignal = _signals.signal("actor-authenticated")

#: An address has used up its limit: ``endpoint, address``.
rate_limited: NamedSignal = _signals.signal("rate-limited")

#: Somebody asks or guesses too often in the name of an identifier, so its codes become long:
#: ``actor_type, identifier, purpose, limit``, the limit being ``sends`` or ``guesses``.
identifier_attacked: NamedSignal = _signals.signal("identifier-attacked")

#: A message could not be delivered: ``actor_type, identifier, purpose, error, attempts``
#: (the exception, and how often it was tried).
delivery_failed: NamedSignal = _signals.signal("delivery-failed")

#: A sign-in was ended, or all of an actor's: ``actor_type, actor_id``.
token_revoked: NamedSignal = _signals.signal("token-revoked")

#: A limit over all identifiers of an actor type is reached: ``limit``, which is
#: ``global_failure_limit`` or ``global_send_limit``.
breaker_opened: NamedSignal = _signals.signal("breaker-opened")

#: A code of a test identity was used: ``actor_type, identifier``.
test_identity_used: NamedSignal = _signals.signal("test-identity-used")
