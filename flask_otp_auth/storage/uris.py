"""URIs of storages. What is wrong with one is said without repeating it: it may hold a password."""

import os
import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from ..errors import ConfigError


@dataclass(frozen=True, repr=False, eq=False)
class ServerURI:
    """A URI that names servers.

    :ivar credentials: what stands before the hosts, ``@`` included; empty if nothing.
    :ivar servers: host and port of each.
    """

    scheme: str
    credentials: str
    servers: tuple[tuple[str, int], ...]
    path: str
    query: str


def fault(setting: str, text: str) -> ConfigError:
    """Return the error for a setting that can't be used.

    :param text: a verb, and what follows it.
    """
    return ConfigError(f"{setting} {text}")


def split_uri(uri: str, setting: str) -> SplitResult:
    """Split a URI.

    :raises ConfigError: if it has what no URI may have.
    """
    if any(character.isspace() for character in uri):
        raise fault(setting, "must not contain a space; in a password, write %20")
    if "#" in uri:
        raise fault(setting, "must not contain a #, which ends a URI; in a password, write %23")
    try:
        return urlsplit(uri)
    except ValueError:
        raise _no_servers(uri, setting) from None


def server_uri(uri: str, setting: str, default_port: int) -> ServerURI:
    """Split a URI that names servers.

    :raises ConfigError: if it names none, or a port that can't be one.
    """
    parts = split_uri(uri, setting)
    credentials, at, listed = parts.netloc.rpartition("@")
    try:
        each = [urlsplit(f"//{server}") for server in listed.split(",")]
        servers = tuple((server.hostname or "", server.port or default_port) for server in each)
        for host, _ in servers:
            host.encode("idna")  # as sockets do, which would raise this at each use
    except ValueError:
        raise _no_servers(uri, setting) from None
    if not all(host for host, _ in servers):
        raise _no_servers(uri, setting)
    return ServerURI(parts.scheme, credentials + at, servers, parts.path, parts.query)


def _no_servers(uri: str, setting: str) -> ConfigError:
    scheme = uri.partition(":")[0]
    return fault(
        setting,
        f"must list its servers: {scheme}://host:port. In a password, write %2F for /, %3F for ?, "
        "%23 for # and %40 for @",
    )


def is_sqlites_own(name: str) -> bool:
    """Tell whether SQLite reads a name as something else than a file: in memory, or a URI."""
    return ":memory:" in name.lower() or name.startswith("file:")


def is_plain(name: str) -> bool:
    """Tell whether a name is one that somebody may want a file to have as it is.

    Of others a file would be made, or it could not even be asked for.
    """
    if name.startswith("~") or "<instance>" in name or name != name.strip():
        return False
    if not os.path.isabs(name) and re.search(r"[$%{]", name):  # an instance folder may have them
        return False
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return not any(unicodedata.category(character) == "Cc" for character in name)
