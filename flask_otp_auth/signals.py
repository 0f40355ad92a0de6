"""The signals (blinker). Sender is the app object; arguments come by keyword.

Each is sent after the state that it speaks of is written. A handler that raises neither stops
the other handlers nor changes the answer: it is logged, and sent on as ``delivery_failed``
where it concerned one identifier. Only the first two signals carry a code.
"""

from blinker import NamedSignal, Namespace

_signals = Namespace()

#: A login code to deliver: ``actor_type, identifier, otp, actor_id, expires_at`` (an aware
#: :class:`~datetime.datetime` in UTC). Handlers run in the background.
otp_generated: NamedSignal = _signals.signal("otp-generated")

#: A registration code to deliver: ``actor_type, identifier, otp, expires_at``. Handlers run in
#: the background.
pre_register_otp_generated: NamedSignal = _signals.signal("pre-register-otp-generated")

#: No code was sent: ``actor_type, identifier, purpose, reason``, the reason being
#: ``unknown_actor``, ``already_registered``, ``country_not_allowed``, ``cooldown`` or
#: ``send_limit``. Handlers run in the background.
otp_suppressed: NamedSignal = _signals.signal("otp-suppressed")

#: A code was right: ``actor_type, identifier, purpose``.
otp_verified: NamedSignal = _signals.signal("otp-verified")

#: A code was refused: ``actor_type, identifier, purpose, reason``, the reason being
#: ``unknown``, ``expired``, ``wrong``, ``exhausted`` or ``budget``.
otp_rejected: NamedSignal = _signals.signal("otp-rejected")

#: An authentication token was issued: ``actor_type, actor_id, method``, the method being
#: ``otp``, ``grace`` or ``refresh``.
actor_authenticated: NamedSignal = _signals.signal("actor-authenticated")

#: An address has used up its limit: ``endpoint, address``.
rate_limited: NamedSignal = _signals.signal("rate-limited")

#: A handler raised: ``actor_type, identifier, purpose, error`` (the exception).
delivery_failed: NamedSignal = _signals.signal("delivery-failed")

#: A token was revoked: ``actor_type, actor_id``.
token_revoked: NamedSignal = _signals.signal("token-revoked")

#: Guesses fail all over: new codes are long and short ones rest until the window has room
#: again: ``limit``. Each process says so when it learns of it.
breaker_opened: NamedSignal = _signals.signal("breaker-opened")
