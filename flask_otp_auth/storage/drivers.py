"""Drivers of servers: loaded when they are needed, and what they raise."""

import importlib
import sys
from typing import Any

from .uris import fault


def driver(module: str, extra: str, setting: str) -> Any:
    """Import a driver.

    :raises ConfigError: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        text = f"needs its driver: pip install 'flask-otp-auth[{extra}]'"
        raise fault(setting, text) from None


# Not all errors of a driver have one base class.
_ERRORS = {
    "redis.exceptions": ("RedisError", "RedisClusterException"),
    "valkey.exceptions": ("ValkeyError", "ValkeyClusterException"),
    "pymemcache.exceptions": ("MemcacheError",),
}


def driver_errors() -> tuple[type[Exception], ...]:
    """Return what the drivers that this process has loaded raise in an outage."""
    loaded = [(sys.modules[name], names) for name, names in _ERRORS.items() if name in sys.modules]
    return (OSError, *(getattr(module, name) for module, names in loaded for name in names))
