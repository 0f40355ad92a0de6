"""The style sheet and the script of the pages: a URL with a hash, and a year in caches."""

import mimetypes
from functools import cache
from hashlib import sha256
from pathlib import Path

from flask import Response, abort, request

from ..web.responses import FOREVER

_FOLDER = Path(__file__).with_name("static")


@cache
def _files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.is_file()}


@cache
def version(filename: str) -> str:
    """Return the hash of a file, which its URL holds."""
    return sha256(_files()[filename]).hexdigest()[:16]


def answer(filename: str) -> Response:
    """Answer with a file of the package; nothing else is found."""
    content = _files().get(filename)
    if content is None:
        abort(404)
    response = Response(content, mimetype=mimetypes.guess_type(filename)[0])
    response.headers["X-Content-Type-Options"] = "nosniff"
    # During a deployment an older process may be asked for the newer file: don't keep that.
    if request.args.get("v") == version(filename):
        response.headers["Cache-Control"] = FOREVER
    return response
