"""Guessers: one at one member's codes, one at everybody's."""

from limits import RateLimitItem

from ..box import ADDRESS, Box
from .found import Found

#: Guesses that are made at most.
_MOST = 600

#: Headers that say where a request comes from, and that anybody can send.
_FORGED = (
    *("X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP", "CF-Connecting-IP"),
    *("X-Client-IP", "Client-IP", "X-Cluster-Client-IP", "Fastly-Client-IP", "Fly-Client-IP"),
    *("X-Original-Forwarded-For", "X-Envoy-External-Address", "X-Appengine-User-IP"),
    *("CF-Connecting-IPv6", "CloudFront-Viewer-Address", "X-Azure-ClientIP", "DO-Connecting-IP"),
)


def guesser(box: Box) -> Found:
    """Guess a member's codes, from another address each time."""
    bound = at_once(box.settings.verify_limits)
    found = Found("guesser", bound)
    box.begin()
    challenges = {
        "verify": box.ask("generate", box.known),
        "finish": box.ask("start", box.known),
    }
    box.deliver()
    right = {message.otp for message in box.outbox}
    for number in range(min(2 * bound + 20, _MOST)):
        otp = f"{number:0{box.settings.digits}}"
        if otp not in right:  # no attacker may be lucky
            found.tried(_is_compared(box, number, otp, challenges))
    if found.through > bound:
        found.leaks.append(
            f"{found.through} guesses at one member's codes were compared, where "
            f"OTP_AUTH_VERIFY_LIMITS allows {bound}{_because(box.uncounted)}"
        )
    return found


def _is_compared(box: Box, number: int, otp: str, challenges: dict[str, str]) -> bool:
    endpoint = "verify" if number % 4 < 2 else "finish"
    box.watch.begin()
    given = {"identifier": box.known, "otp": otp, "challenge": challenges[endpoint]}
    box.post(endpoint, given, worker=number)
    return "wrong" in box.watch.work.rejections


def sprayer(box: Box) -> Found:
    """Guess at everybody's codes, from one address that says it is another."""
    bound = at_once(box.settings.ip_verify_limits)
    found = Found("sprayer", bound)
    box.begin()
    victims = box.strangers(20) or [box.unknown]
    challenges = [box.ask("generate", victim) for victim in victims]
    for number in range(min(bound + bound // 5 + 20, _MOST)):
        whose = number % len(victims)
        guess = {"identifier": victims[whose], "challenge": challenges[whose]}
        guess["otp"] = "0" * box.settings.digits
        forged = {header: _forged(header, box.new_address()) for header in _FORGED}
        box.watch.begin()
        answer = box.post("verify", guess, worker=number, address=ADDRESS, headers=forged)
        # The app may give errors another status, and have limits of its own.
        is_refused = answer.status_code == 429 or "rate_limited" in box.watch.work.signals
        found.tried(not is_refused)
    believed = believed_header(box)
    if found.through > bound:
        found.leaks.append(
            f"{found.through} guesses from one address were answered, where "
            f"OTP_AUTH_IP_VERIFY_LIMITS allows {bound}{_because(believed or box.uncounted)}"
        )
    elif believed:
        found.leaks.append(believed)
    return found


def at_once(limit: tuple[RateLimitItem, ...]) -> int:
    """Return how often a limit lets somebody through at one moment."""
    return min(item.amount for item in limit)


def believed_header(box: Box) -> str:
    """Return which header the app believes an address from, whoever sends it."""
    for header in _FORGED:
        box.begin()
        forged = box.new_address()
        headers = {header: _forged(header, forged)}
        box.ask("generate", box.known, address=ADDRESS, headers=headers)
        box.deliver()
        seen = [each.context.address for each in box.outbox if each.context]
        if forged in seen:
            return (
                f"the app believes the address in {header}, which anybody can send; if it stands "
                "behind N proxies of its own, say proxies=N"
            )
    return ""


def _forged(header: str, address: str) -> str:
    return f"for={address}" if header == "Forwarded" else address


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
