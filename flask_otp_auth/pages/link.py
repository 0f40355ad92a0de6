"""The link beside a code."""

from flask import Response, abort

from ..errors import RequestError
from .visits import Visit


def show(visit: Visit) -> Response:
    """Show one button to the browser that asked, and a form to any other."""
    abort(404)


def act(visit: Visit) -> Response:
    """Sign in whose link it is."""
    abort(404)


def show_problem(visit: Visit, error: RequestError) -> Response:
    """Show the page again."""
    abort(404)
