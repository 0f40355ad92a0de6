"""Identifiers as a page shows them: enough to see a slip, too little for who looks over."""

from ..messages.translation import direction

_HIDDEN = "••"

#: What keeps a phone number as it is in a text that runs from right to left (Unicode, UAX 9).
_ISOLATED = "\N{LEFT-TO-RIGHT ISOLATE}%s\N{POP DIRECTIONAL ISOLATE}"


def shown(identifier: str) -> str:
    """Return what stands for an identifier in a sentence of the page."""
    text = masked(identifier)
    return _ISOLATED % text if direction() == "rtl" else text


def masked(identifier: str) -> str:
    """Return an identifier with most of it hidden: ``a••@example.com``, ``+49••67``."""
    local, at, domain = identifier.rpartition("@")
    if at:
        return f"{local[:1]}{_HIDDEN}@{domain}"
    if identifier.startswith("+") and len(identifier) > 7:
        return f"{identifier[:3]}{_HIDDEN}{identifier[-2:]}"
    return f"{identifier[:1]}{_HIDDEN}"
