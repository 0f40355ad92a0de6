"""For an app's own tests: an outbox, signing in, a clock, and attackers in a box.

.. code-block:: python

    with Outbox(app) as outbox:
        client.post("/auth/customer/otp/start", json={"identifier": "ada@example.com"})
        otp = outbox.last.otp

With pytest the same things are fixtures: ``otp_outbox``, ``otp_sign_in``, ``otp_clock`` and so on.
"""

from .attack import attack
from .clock import Clock
from .enumeration import assert_enumeration_safe
from .limits import no_limits, reset
from .messages import Message, Suppression
from .outbox import Outbox
from .report import Report, Row
from .signing_in import SignedIn, sign_in

__all__ = [
    "Clock",
    "Message",
    "Outbox",
    "Report",
    "Row",
    "SignedIn",
    "Suppression",
    "assert_enumeration_safe",
    "attack",
    "no_limits",
    "reset",
    "sign_in",
]
