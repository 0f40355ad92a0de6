"""Where in an app's own code something happens."""

import cProfile
import pstats
import sysconfig
import time
from collections.abc import Callable
from inspect import unwrap
from pathlib import Path
from types import CodeType, FrameType

from flask import Flask

#: Where a request begins: whatever called that has served it, or made it.
_BEGINNING = Flask.wsgi_app.__code__

#: Where no code of the app's own is: the standard library, what is installed, this package.
_ELSEWHERE = tuple(
    str(Path(str(folder)).resolve())
    for folder in (
        *(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        Path(__file__).parent.parent,
    )
)


def place_of(frame: FrameType | None) -> str:
    """Return the innermost line of the app's own code that a frame was called from.

    :returns: an empty text if there is none within the request.
    """
    while frame is not None and frame.f_code is not _BEGINNING:
        if _is_own(frame.f_code.co_filename):
            return _named(frame.f_code, frame.f_lineno)
        frame = frame.f_back
    return ""


def slowest_place(slow: Callable[[], object], fast: Callable[[], object]) -> str:
    """Return the app's own function that takes longer in one call than in another.

    :returns: an empty text where that is none of the app's own, or can't be told.
    """
    try:
        spent, base = _spent(slow), _spent(fast)
    except ValueError:  # another profiler is at work
        return ""
    more = {place: spent[place] - base.get(place, 0.0) for place in spent}
    most = max(more.values(), default=0.0)
    if most <= 0:  # what made the difference has not come again
        return ""
    # The innermost one that has most of it: those around it have the same, and their own.
    return min((place for place in more if more[place] > most * 0.8), key=lambda p: spent[p])


def _spent(call: Callable[[], object], times: int = 5) -> dict[str, float]:
    """Return the seconds spent in each of the app's own functions."""
    profile = cProfile.Profile(time.perf_counter)  # the clock that has found them slow
    profile.enable()
    try:
        for _ in range(times):
            call()
    finally:
        profile.disable()
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined] # typeshed lacks it
    return {
        f"{name} ({Path(file).name}:{line})": row[3]
        for (file, line, name), row in stats.items()
        if _is_own(file)
    }


def _named(code: CodeType, line: int) -> str:
    return f"{code.co_qualname} ({Path(code.co_filename).name}:{line})"


def _is_own(file: str) -> bool:
    return not file.startswith("<") and file != "~" and not file.startswith(_ELSEWHERE)


def places(*found: str) -> str:
    """Return what a finding says of places, if there are any."""
    named = list(dict.fromkeys(filter(None, found)))
    return f", in {' and '.join(named)}" if named else ""


def defined_at(function: Callable[..., object]) -> str:
    """Return where a function is defined, if in the app's own code."""
    code = getattr(unwrap(getattr(function, "__func__", function)), "__code__", None)
    return _named(code, code.co_firstlineno) if code and _is_own(code.co_filename) else ""
