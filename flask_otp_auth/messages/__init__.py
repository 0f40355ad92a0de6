"""Messages: what people read of us, in their language. Rendered here, and never sent."""

from .emails import Email, email
from .short_messages import sms

__all__ = ["Email", "email", "sms"]
