"""What the errors of a server mean that answers and refuses, or that holds what nobody can read."""

import re

#: What a server says of a right that its user lacks, or of a command that was renamed.
_COMMAND = re.compile(r"permissions to run the '([\w|.]+)' command|unknown command ['`](\w+)")

# Errors of a server that answers, by a part of their class's name or of their text.
_REFUSALS = {
    "AuthenticationError": "wants another user name or password",
    "DB index is out of range": "has no database of this number",
    "invalid DB index": "has no database of this number",
    "SELECT is not allowed in cluster mode": "belongs to a Cluster: write redis+cluster://",
    "MovedError": "belongs to a Cluster: write redis+cluster://",
    "Cluster mode is not enabled": "belongs to no Cluster: write redis://",
    "unknown command 'SENTINEL'": "is no Sentinel: write redis://",
    "unknown command": "does not know all commands that are needed",
    "Unknown Redis command": "does not know all commands that are needed",
    "permissions to access": "does not allow its user all commands that are needed on the keys "
    "otp_auth:* and LIMITS:*",
    "NoPermissionError": "does not allow its user all commands that are needed",
    "can't run this command": "does not allow its user all commands that are needed",
    "ACL failure in script": "does not allow its user all commands that are needed",
}

# What is said of a counter that is none, by Redis, by Lua in it, by Memcached, and by Python.
_GARBAGE = re.compile(
    "WRONGTYPE|attempt to (compare|perform arithmetic)|not an integer|would overflow"
    "|non-numeric value|invalid literal for int|int too large"
)


def is_garbage(error: Exception) -> bool:
    """Tell whether something stands under a key that was never written by us; no outage is that."""
    return _GARBAGE.search(str(error)) is not None


def refusal(error: BaseException | None) -> str | None:
    """Tell what is wrong where a server answered but refused; ``None`` if it was out of reach."""
    if error is None:
        return None
    if getattr(error, "told", False):
        return str(error)  # of a file that can't be trusted
    said = f"{type(error).__name__}: {error}"
    found = next((text for part, text in _REFUSALS.items() if part in said), None)
    if found is None:
        return refusal(error.__cause__)
    lacks = _COMMAND.search(said)
    which = f", such as {(lacks[1] or lacks[2]).upper()}" if lacks else ""
    return f"the storage's server {found}{which}"
