"""Replaying the schedule of one kernel in the schedule of another that calls it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from allo_rtl.errors import ScheduleError
from allo_rtl.ir.ops import Module
from allo_rtl.schedule.buffers import MockBuffer
from allo_rtl.schedule.loops import LoopWrapper, did_you_mean
from allo_rtl.schedule.unfold import ElementAxis

_NAMES = {
    "split": 1, "unroll": 1, "pipeline": 1, "parallel": 1, "outline": 1,
    "partition": 1, "reshape": 1, "dataflow": 1, "to": 1, "unfold": 1,
    "assume_independent": 2, "buffer_at": 2, "reuse_at": 2, "compute_at": 2,
}  # fmt: skip
"""How many of a primitive's first arguments name loops or arrays, as plain strings may; of those
that are not here, ``reorder`` and ``fuse``, every one."""


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
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], old: str, new: str,
    functions: Collection[str] = (),
) -> tuple[tuple[Any, ...], dict[str, Any]]:  # fmt: skip
    """The arguments of a primitive on ``old``, a top function, as those on ``new``, a callee.

    Names of other functions, which ``functions`` has, stay.
    """
    if name == "inline":
        return _inlined(args, kwargs, old, new)
    if name == "dataflow" and args[0] in functions:
        return (new if args[0] == old else args[0],), kwargs
    named = _NAMES.get(name, len(args))
    moved = tuple(_renamed(a, k < named, old, new) for k, a in enumerate(args))
    return moved, {k: _renamed(v, False, old, new) for k, v in kwargs.items()}


def _inlined(
    args: tuple[Any, ...], kwargs: dict[str, Any], old: str, new: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Those of inline: what concerned all calls of the kernel concerns all calls in it now."""
    others = tuple(a for a in args if a not in (None, old))
    within = kwargs.get("within") or (None if others else old)
    return others, {"within": new if within == old else within} if within else {}


def _renamed(arg: Any, is_name: bool, old: str, new: str) -> Any:  # noqa: ANN401 - of a primitive
    match arg:
        case LoopWrapper(func=func, band=band, loop=loop):
            return LoopWrapper(new if func == old else func, band, loop)
        case MockBuffer(func=func, name=name):
            return MockBuffer(new if func == old else func, name)
        case ElementAxis(func=func):
            return replace(arg, func=new if func == old else func)
        case list():
            return [_renamed(a, False, old, new) for a in arg]
        case str() if is_name:
            func, colon, name = arg.rpartition(":")
            return f"{new if not colon or func == old else func}:{name}"
    return arg
