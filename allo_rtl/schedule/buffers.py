"""Buffers by name, and which arrays of a function may share elements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from allo_rtl.errors import ScheduleError, SourceLoc
from allo_rtl.ir.dependence import Access, base, states
from allo_rtl.ir.ops import Call, Func, GetGlobal, Module, SubView, Value
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import ArrayType
from allo_rtl.ir.utils import MockBuffer as MockBuffer
from allo_rtl.schedule.loops import did_you_mean, find_func

type Target = str | MockBuffer
"""How a primitive is told an array: ``s.A``, ``"A"`` (of the top function) or ``"func:A"``."""


def buffers(func: Func) -> Iterator[tuple[str, Value, SourceLoc | None]]:
    """(name, array, place) of every array of a function: arguments, allocations, results of
    calls, constant arrays and state, these by the name they have in the function."""
    for arg in func.args:
        if isinstance(arg.type, ArrayType):
            yield arg.name, arg, func.loc
    globals_seen: set[str] = set()
    for op in walk(func.body):
        if isinstance(op, GetGlobal):
            if op.name not in globals_seen:
                globals_seen.add(op.name)
                yield op.result.name or op.name, op.result, op.loc
            continue
        if isinstance(op, SubView):
            continue  # Part of an array that is in the list.
        for value in op.results():
            if isinstance(value.type, ArrayType):
                yield value.name, value, op.loc


def find_buffer(module: Module, target: Target) -> tuple[Func, Value]:
    """The function and the array a target names.

    Raises:
        ScheduleError: there is no such array, or several of that name.
    """
    if not isinstance(target, str | MockBuffer):
        raise ScheduleError(
            f"an array was expected, not {target!r}",
            allowed="s.<name>, an array's name, or 'function:name'",
        )
    func_name, colon, name = str(target).rpartition(":")
    func = find_func(module, func_name if colon else module.top)
    found = [(v, loc) for n, v, loc in buffers(func) if n == name] or [
        (op.result, op.loc)
        for op in walk(func.body)
        if isinstance(op, GetGlobal) and op.name == name
    ][:1]
    if len(found) == 1:
        return func, found[0][0]
    if found:
        raise ScheduleError(
            f"{func.name} has {len(found)} arrays called {name!r}",
            hint="give them different names in the kernel",
            notes=[(f"an array {name!r} is here", loc) for _, loc in found if loc],
        )
    names = [n for n, _, _ in buffers(func) if n]
    raise ScheduleError(
        f"there is no array {name!r} in {func.name}",
        allowed=", ".join(dict.fromkeys(names)) or f"{func.name} has no arrays",
        hint=did_you_mean(name, names),
    )


def alias_root(module: Module, func: Func) -> Callable[[Value], Value]:
    """A function from arrays to a representative of those that may share elements.

    That is the array of which they are views, or which they are in other functions too.
    Arguments are different arrays, except where some call in the module passes one array twice,
    or parts of one.
    """
    return aliases(module, func).root


@dataclass(frozen=True)
class Aliases:
    """The arrays of a function that may share elements.

    Attributes:
        root: from an array to the representative of those that it may share elements with.
        apart: representatives of arrays whose elements have different subscripts in each, for
            they are different parts of one array.
    """

    root: Callable[[Value], Value]
    apart: frozenset[Value]

    def access(self, found: Access) -> Access:
        """The access as one of the representative, with the subscripts that say where."""
        array = self.root(found.array)
        if array not in self.apart:
            return replace(found, array=array)
        return replace(found, array=array, affine=False, index=None)


def aliases(module: Module, func: Func) -> Aliases:
    """What :func:`alias_root` says, and where subscripts do not tell elements apart."""
    root: dict[Value, Value] = {}
    parts: set[Value] = set()

    def find(value: Value) -> Value:
        value, _ = base(module, value)
        while value in root:
            value = root[value]
        return value

    callers = module.funcs if func.name != module.top else ()  # Nothing calls the top.
    for caller in callers:
        for op in walk(caller.body):
            if isinstance(op, Call) and op.callee == func.name:
                outer = aliases(module, caller)
                first = {s: s for s in states(module)}
                given_parts: set[Value] = set()
                for arg, given in zip(func.args, op.args, strict=True):
                    if not isinstance(arg.type, ArrayType):
                        continue
                    whole = outer.root(given)
                    if base(module, given)[1] or whole in outer.apart:
                        given_parts.add(whole)
                    kept, new = find(first.setdefault(whole, arg)), find(arg)
                    if kept is not new:
                        root[new] = kept
                parts |= {first[w] for w in given_parts}
    merged = {find(v) for v in root}
    return Aliases(find, frozenset({find(p) for p in parts} & merged))
