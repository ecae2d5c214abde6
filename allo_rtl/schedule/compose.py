"""Replaying the schedule of one kernel in the schedule of another that calls it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], old: str, names: Mapping[str, str],
    functions: Collection[str] = (),
) -> tuple[tuple[Any, ...], dict[str, Any]]:  # fmt: skip
    """The arguments of a primitive on ``old``, a top function, as those on a callee.

    Args:
        name: of the primitive.
        args: its arguments, and
        kwargs: those by name.
        old: the top function of the schedule that they come from.
        names: what functions of that schedule, ``old`` among them, are called now; others keep
            their names.
        functions: those of that schedule, where the primitive may name one.
    """
    if name == "inline":
        return _inlined(args, kwargs, old, names)
    if name == "dataflow" and args[0] in functions:
        return (names.get(args[0], args[0]),), kwargs
    named = _NAMES.get(name, len(args))
    moved = tuple(_renamed(a, k < named, old, names) for k, a in enumerate(args))
    return moved, {k: _renamed(v, False, old, names) for k, v in kwargs.items()}


def free_name(module: Module, kwargs: dict[str, Any], id: str | None) -> dict[str, Any]:
    """The arguments of an outline, for another instance under another name: with its id."""
    name = kwargs.get("name")
    if id is None or name is None or all(f.name != name for f in module.funcs):
        return kwargs
    return kwargs | {"name": f"{name}_{id}"}


def made_names(before: Module, after: Module) -> list[str]:
    """The functions that a primitive has made, in their order."""
    known = {f.name for f in before.funcs}
    return [f.name for f in after.funcs if f.name not in known]


def _inlined(
    args: tuple[Any, ...], kwargs: dict[str, Any], old: str, names: Mapping[str, str]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Those of inline: what concerned all calls of the kernel concerns all calls in it now."""
    others = tuple(names.get(a, a) for a in args if a not in (None, old))
    within = kwargs.get("within") or (None if others else old)
    return others, {"within": names.get(within, within)} if within else {}


def _renamed(arg: Any, is_name: bool, old: str, names: Mapping[str, str]) -> Any:  # noqa: ANN401
    match arg:
        case LoopWrapper(func=func, band=band, loop=loop):
            return LoopWrapper(names.get(func, func), band, loop)
        case MockBuffer(func=func, name=name):
            return MockBuffer(names.get(func, func), name)
        case ElementAxis(func=func):
            return replace(arg, func=names.get(func, func))
        case list():
            return [_renamed(a, False, old, names) for a in arg]
        case str() if is_name:
            func, _, name = arg.rpartition(":")
            return f"{names.get(func or old, func)}:{name}"
    return arg
