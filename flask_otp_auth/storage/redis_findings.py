"""How a Redis or Valkey server is set up, as far as its user may see, and what its user may do."""

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from .drivers import driver_errors
from .findings import Finding
from .refusals import refusal

#: The commands that are needed, with arguments that change nothing but two keys of the look's own.
_NEEDED: tuple[tuple[str, ...], ...] = (
    ("SET", "{key}", "1", "PX", "10000"),
    ("MGET", "{key}"),
    ("LPUSH", "{limit}", "1"),
    ("EXPIRE", "{limit}", "10"),
    ("TYPE", "{limit}"),
    ("LINDEX", "{limit}", "0"),
    ("LRANGE", "{limit}", "0", "0"),
    ("LTRIM", "{limit}", "0", "0"),
    ("SCRIPT LOAD", "return 1"),
    ("EVALSHA", "0" * 40, "1", "{key}"),
    ("INFO", "replication"),
    ("DEL", "{key}", "{limit}"),
)

#: What is said in place of a command whose keys the user may not touch.
_KEYS = "the keys otp_auth:* and LIMITS:*"


def redis_findings(client: Any) -> list[Finding]:
    """Look at a server through a client of redis-py or valkey-py."""
    missing = list(dict.fromkeys(_refused(client)))
    info = {} if "INFO" in missing else _info(client)
    return [*_of_policy(info), *_of_durability(info), *_of_rights(missing)]


def limit_findings(client: Any) -> list[Finding]:
    """Look only at what makes a server forget; whoever may not use INFO is told nothing."""
    try:
        info = _info(client)
    except driver_errors() as error:
        if not _is_answer(error):
            raise
        return []
    return [*_of_policy(info), *_of_durability(info)]


def _refused(client: Any) -> Iterator[str]:
    name_of_both = f"{{check{secrets.token_hex(8)}}}:{secrets.token_hex(16)}"
    keys = {"key": f"otp_auth:{name_of_both}", "limit": f"LIMITS:{name_of_both}"}
    for name, *arguments in _NEEDED:
        try:
            client.execute_command(name, *(each.format(**keys) for each in arguments))
        except driver_errors() as error:
            if _is_refusal(error):
                yield _KEYS if "on the keys" in (refusal(error) or "") else name
            elif not _is_answer(error):
                raise


def _is_refusal(error: Exception) -> bool:
    return "all commands" in (refusal(error) or "")


def _is_answer(error: Exception) -> bool:
    """Tell whether the server has answered, with an error that was to be expected."""
    return any(kind.__name__ == "ResponseError" for kind in type(error).__mro__)


def _info(client: Any) -> Mapping[str, Any]:
    return {**client.info("memory"), **client.info("persistence")}


def _of_policy(info: Mapping[str, Any]) -> list[Finding]:
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return []
    return [
        Finding(
            "storage-evicts",
            "warning",
            f"Redis has the maxmemory-policy {policy}, so a full server forgets: people are "
            "signed out, and limits begin anew, which gives a guesser more guesses",
            "set maxmemory-policy noeviction",
        )
    ]


def _of_durability(info: Mapping[str, Any]) -> list[Finding]:
    if int(info.get("aof_enabled", 1)):
        return []
    return [
        Finding(
            "storage-not-durable",
            "warning",
            "Redis keeps no append-only file, so a restart forgets limits, codes and sign-ins",
            "set appendonly yes",
        )
    ]


def _of_rights(missing: list[str]) -> list[Finding]:
    if not missing:
        return []
    needed = " ".join(map(_as_rule, missing))
    if missing == ["INFO"]:
        problem = (
            "the Redis user may not use INFO, so a failover or a restart from an older snapshot "
            "may revive codes that were used and sign-ins that were ended"
        )
        return [Finding("redis-rights", "warning", problem, f"ACL SETUSER <user> {needed}")]
    names = ", ".join(missing)
    problem = f"the Redis user may not use {names}, so requests are answered 503"
    return [Finding("redis-rights", "error", problem, f"ACL SETUSER <user> {needed}")]


def _as_rule(name: str) -> str:
    return "~otp_auth:* ~LIMITS:*" if name == _KEYS else f"+{name.lower().replace(' ', '|')}"
