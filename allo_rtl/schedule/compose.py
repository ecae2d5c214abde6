"""Replaying the schedule of one kernel in the schedule of another that calls it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from allo_rtl.errors import ScheduleError
from allo_rtl.ir.ops import Module
from allo_rtl.schedule.buffers import MockBuffer
from allo_rtl.schedule.loops import LoopWrapper, did_you_mean

_LOOPS = ("split", "reorder", "fuse", "unroll", "pipeline", "parallel", "compute_at")
"""Primitives of which every positional argument that is a string names a loop."""

_BUFFERS = ("partition", "reshape")
"""Primitives of which the first argument names an array."""

_BOTH = ("buffer_at", "reuse_at")
"""Primitives of which the first argument names an array and the second a loop."""


def instance_of(module: Module, kernel: str, id: str | None) -> str:
    """The function of a module that is the (named) instance of a kernel.

    Raises:
        ScheduleError: there is none.
    """
    wanted = f"{kernel}_{id}" if id else kernel
    names = [f.name for f in module.funcs]
    for name in (wanted, f"{wanted}_0"):
        if name in names:
            return name
    raise ScheduleError(
        f"Cannot find schedule for kernel: {module.top} does not call {wanted!r}",
        allowed=", ".join(n for n in names if n != module.top) or "it calls nothing",
        hint=did_you_mean(wanted, names),
    )


def renamed(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], old: str, new: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a primitive on ``old``, a top function, as those on ``new``, a callee.

    Names of other functions stay.
    """
    pairs = zip(args, _named(name), strict=False)
    moved = tuple(_renamed(a, named, old, new) for a, named in pairs)
    return moved, {k: _renamed(v, False, old, new) for k, v in kwargs.items()}


def _named(primitive: str) -> Iterator[bool]:
    """Of each argument in order: whether a plain string in it is a name of a loop or array."""
    firsts = {**dict.fromkeys(_BUFFERS, 1), **dict.fromkeys(_BOTH, 2)}
    count = firsts.get(primitive, 0)
    position = 0
    while True:
        yield primitive in _LOOPS or position < count
        position += 1


def _renamed(arg: Any, is_name: bool, old: str, new: str) -> Any:  # noqa: ANN401 - of a primitive
    match arg:
        case LoopWrapper(func=func, band=band, loop=loop):
            return LoopWrapper(new if func == old else func, band, loop)
        case MockBuffer(func=func, name=name):
            return MockBuffer(new if func == old else func, name)
        case str() if is_name:
            func, colon, name = arg.rpartition(":")
            return f"{new if not colon or func == old else func}:{name}"
    return arg
