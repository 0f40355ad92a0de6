"""What attacks have in common: their limits, their routes, and the shops that they are tried on."""

from collections.abc import Callable
from dataclasses import dataclass

from fakes import Api, FakeLimits, FakeStore, Watched
from flask import Flask
from tallies import Attack

from flask_otp_auth.testing.executors import Held

#: Limits of addresses out of the way: this attacker has as many addresses as he likes.
MANY_ADDRESSES = {
    "OTP_AUTH_IP_GENERATE_LIMITS": "10000000/hour",
    "OTP_AUTH_IP_VERIFY_LIMITS": "10000000/hour",
}

#: All limits out of the way, for attacks on something else.
NO_LIMITS = {
    **MANY_ADDRESSES,
    "OTP_AUTH_RESEND_INTERVAL": 0,
    "OTP_AUTH_SEND_LIMITS": "1000000/hour",
    "OTP_AUTH_VERIFY_LIMITS": "1000000/day",
    "OTP_AUTH_GLOBAL_SEND_LIMIT": "1000000/hour",
    "OTP_AUTH_GLOBAL_FAILURE_LIMIT": "1000000/hour",
    "OTP_AUTH_MAX_GUESS_CHANCE": 1,
    "OTP_AUTH_WARN_ON_ERROR": False,
}

#: Who asks for a code of each purpose, and by which routes codes of it are redeemed.
ASKING = {"login": "generate", "registration": "pre_register", "door": "start"}
GUESSING = ("verify", "register", "authenticate", "finish")


Begin = Callable[[str], Attack]


@dataclass
class Standing:
    """A shop whose deliveries are held, on a store and on limits that can be watched."""

    app: Flask
    jobs: Held
    store: FakeStore
    limits: FakeLimits

    def work(self) -> list[tuple[str, int]]:
        """Return what store and limiter were asked for since the last time."""
        calls = [(verb, len(keys)) for verb, keys in self.store.calls]
        calls += [(verb, 0) for verb in self.limits.calls]
        self.store.calls.clear()
        self.limits.calls.clear()
        return calls


@dataclass
class Comparisons:
    """How often a code that somebody sent was compared with one that was sent to an owner."""

    count: int = 0


class OpenShop(Watched):
    """A shop whose storage lies open to whoever attacks it; limits are elsewhere."""

    @property
    def values(self) -> dict[str, str]:
        """What is stored, by key."""
        return {key: value for key, (value, _) in self.store.items.items()}

    def plant(self, values: dict[str, str]) -> None:
        """Write values that never expire."""
        self.store.items.update((key, (value, 9e9)) for key, value in values.items())

    def api(self) -> Api:
        """Return the routes, for a new client."""
        return Api(self.app.test_client())


OpenIt = Callable[..., OpenShop]
MakeStanding = Callable[..., Standing]


def guesses(count: int, *right: str) -> list[str]:
    """Return wrong guesses; no attacker may be lucky."""
    wrong = [f"{number:06}" for number in range(count + len(right))]
    return [guess for guess in wrong if guess not in right][:count]
