"""What only tests that move the clock need."""

from types import ModuleType


def import_time_machine() -> ModuleType:
    """Return the module ``time_machine``.

    :raises ImportError: with what to install.
    """
    try:
        import time_machine
    except ImportError:
        raise ImportError(
            "a clock that tests move needs time-machine: pip install 'flask-otp-auth[pytest]'"
        ) from None
    return time_machine
