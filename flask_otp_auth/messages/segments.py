"""How much fits in one segment of an SMS (3GPP TS 23.038)."""

#: The basic table: one septet each.
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)

#: The extension table: two septets each.
_EXTENSION = frozenset("\f^{}\\[~]|€")

_SEPTETS, _UCS2_UNITS = 160, 70


def fits(text: str) -> bool:
    """Tell whether a text fits in one segment, in GSM-7 or, if that lacks a character, in UCS-2."""
    if _BASIC.union(_EXTENSION).issuperset(text):
        return len(text) + sum(each in _EXTENSION for each in text) <= _SEPTETS
    return len(text.encode("utf-16-be")) // 2 <= _UCS2_UNITS
