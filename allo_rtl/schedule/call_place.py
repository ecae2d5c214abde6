"""Where the user called a primitive: the place of an error that is about no line of the kernel."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable
from functools import wraps
from inspect import getframeinfo
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from allo_rtl.errors import ScheduleError, SourceLoc

_PACKAGE = Path(__file__).resolve().parents[1]


def primitive[**P, R](method: Callable[P, R]) -> Callable[P, R]:
    """The method; a ScheduleError that it raises without a place gets that of the call."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        plain: Any = tuple(map(_plain, args)), {k: _plain(v) for k, v in kwargs.items()}
        try:
            return method(*plain[0], **plain[1])
        except ScheduleError as error:
            if error.loc is not None or (loc := _users_line()) is None:
                raise
            raise error.at(loc) from None

    return call


def _plain(arg: object) -> object:
    """A number of numpy as Python's: factors are often computed with it."""
    return int(arg) if isinstance(arg, np.integer) else arg


def _users_line() -> SourceLoc | None:
    """The innermost call on the stack that is not one of this package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_own(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None:
        return None
    info = getframeinfo(frame, context=0)
    text = linecache.getline(info.filename, info.lineno).rstrip("\n")
    at = info.positions
    if at is None or at.col_offset is None or at.end_col_offset is None:
        return SourceLoc(info.filename, info.lineno, text=text)
    # Python counts columns in bytes of UTF-8, from 0.
    first, last = (len(text.encode()[:n].decode()) + 1 for n in (at.col_offset, at.end_col_offset))
    end = last if at.end_lineno == info.lineno else len(text) + 1
    return SourceLoc(info.filename, info.lineno, first, end, text)


def _is_own(file: str) -> bool:
    return Path(file).resolve().is_relative_to(_PACKAGE)
