"""What the extension keeps for one app, in ``app.extensions["otp_auth"]``."""

from typing import cast

from flask import current_app

from .actors import Actors
from .config import Settings
from .credentials import Credentials
from .errors import ConfigError
from .flows import Flows
from .issuing import Issuing
from .keys import Names
from .limits import Limits
from .opaque import Opaque
from .ports import Emit

EXTENSION = "otp_auth"


class State(Opaque):
    """The parts of one app, put together by ``init_app``."""

    settings: Settings
    actors: Actors
    limits: Limits
    emit: Emit
    audit_names: Names
    credentials: Credentials
    issuing: Issuing
    flows: Flows


def current_state() -> State:
    """Return the current app's state.

    :raises ConfigError: if the extension was not initialised with this app.
    :raises RuntimeError: outside of an app context.
    """
    state = current_app.extensions.get(EXTENSION)
    if state is None:
        raise ConfigError("the app has no OTPAuth: call otp_auth.init_app(app)")
    return cast(State, state)
