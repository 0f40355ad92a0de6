"""What the package offers on top, and what it imports for that."""

import subprocess
import sys

import pytest

import flask_otp_auth


def test_every_public_name_is_there() -> None:
    for name in flask_otp_auth.__all__:
        assert getattr(flask_otp_auth, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'OTPAuht'"):
        _ = flask_otp_auth.OTPAuht  # type: ignore[attr-defined] # a slip


def test_the_engine_is_imported_by_init_app_alone() -> None:
    """Command-line tools import apps that they never run."""
    program = "import sys, flask_otp_auth; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    engine = ("flask_otp_auth.flows", "flask_otp_auth.storage", "flask_otp_auth.tokens")
    assert [name for name in loaded if name.startswith(engine)] == []
