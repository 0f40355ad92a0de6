"""How a Redis or Valkey server is set up, as far as its user may see, and what its user may do."""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .drivers import driver_errors
from .findings import Finding
from .refusals import refusal

#: The commands that are needed, with arguments that change nothing but a key of the look's own.
_FOR_CODES: tuple[tuple[str, ...], ...] = (
    ("SET", "{key}", "1", "PX", "10000"),
    ("MGET", "{key}"),
    ("SCRIPT LOAD", "return 1"),
    ("EVALSHA", "0" * 40, "1", "{key}"),
    ("INFO", "replication"),
    ("DEL", "{key}"),
)
_FOR_LIMITS: tuple[tuple[str, ...], ...] = (
    ("LPUSH", "{key}", "1"),
    ("EXPIRE", "{key}", "10"),
    ("TYPE", "{key}"),
    ("LINDEX", "{key}", "0"),
    ("LRANGE", "{key}", "0", "0"),
    ("LTRIM", "{key}", "0", "0"),
    ("SCRIPT LOAD", "return 1"),
    ("EVALSHA", "0" * 40, "1", "{key}"),
    ("DEL", "{key}"),
)


def redis_findings(client: Any) -> list[Finding]:
    """Look at the server of codes or sign-ins through a client of redis-py or valkey-py."""
    missing = _missing(client, _FOR_CODES, "otp_auth:")
    info = {} if "INFO" in missing else _info(client)
    return [*_of_policy(info), *_of_durability(info), *_of_rights(missing)]


def limit_findings(client: Any, *, ours: bool) -> list[Finding]:
    """Look at the server of limits; whoever may not use INFO is told nothing of what it forgets.

    :param ours: whether they are counted by our own commands.
    """
    rights = _of_rights(_missing(client, _FOR_LIMITS, "LIMITS:")) if ours else []
    try:
        info = _info(client)
    except driver_errors() as error:
        if not _is_answer(error):
            raise
        return rights
    return [*_of_policy(info), *_of_durability(info), *rights]


def _missing(client: Any, needed: Iterable[tuple[str, ...]], prefix: str) -> list[str]:
    return list(dict.fromkeys(_refused(client, needed, prefix)))


def _refused(client: Any, needed: Iterable[tuple[str, ...]], prefix: str) -> Iterator[str]:
    key = f"{prefix}{{check{secrets.token_hex(8)}}}:{secrets.token_hex(16)}"
    for name, *arguments in needed:
        try:
            client.execute_command(name, *(each.format(key=key) for each in arguments))
        except driver_errors() as error:
            if _is_refusal(error):
                yield f"the keys {prefix}*" if "on the keys" in (refusal(error) or "") else name
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
    keys = name.removeprefix("the keys ")
    return f"+{name.lower().replace(' ', '|')}" if keys == name else f"~{keys}"
