"""Which arrays of a module are one and the same, in its functions under different names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from allo_rtl.ir.ops import Call, Func, GetGlobal, Module, SubView, Value
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import ArrayType

type Named = tuple[str, Value]
"""An array, and the name of the function it is in: a constant may be in several."""


def equal_arrays(module: Module, func: Func, array: Value) -> dict[str, set[Value]]:
    """Every array of the module that calls, returns or a constant make the same as this one.

    Returns:
        The arrays by function name; those of one constant array are all in it.
    """
    found: dict[str, set[Value]] = {}
    for name, value in connected(array_links(module.funcs), [(func.name, array)]):
        found.setdefault(name, set()).add(value)
    return found


def array_links(funcs: Sequence[Func], *, parts: bool = False) -> Mapping[Named, Sequence[Named]]:
    """For each array those that a call, a return or a constant makes the same as it.

    With ``parts`` also those that are part of it, or that it is part of.
    """
    links: dict[Named, list[Named]] = {}
    for a, b in _pairs(funcs, parts):
        links.setdefault(a, []).append(b)
        links.setdefault(b, []).append(a)
    return links


def connected(links: Mapping[Named, Sequence[Named]], starts: Iterable[Named]) -> set[Named]:
    """The arrays that links connect with some, and these."""
    reached = set(starts)
    work = list(reached)
    while work:
        for other in links.get(work.pop(), ()):
            if other not in reached:
                reached.add(other)
                work.append(other)
    return reached


def _pairs(funcs: Sequence[Func], parts: bool) -> Iterator[tuple[Named, Named]]:
    by_name = {f.name: f for f in funcs}
    constants: dict[str, Named] = {}
    for func in funcs:
        for op in walk(func.body):
            if isinstance(op, GetGlobal):
                here = (func.name, op.result)
                yield constants.setdefault(op.name, here), here
            elif isinstance(op, Call):
                callee = by_name[op.callee]
                inner = (*callee.args, *callee.returned)
                for a, b in zip((*op.args, *op.outs), inner, strict=True):
                    if isinstance(a.type, ArrayType):
                        yield (func.name, a), (callee.name, b)
            elif isinstance(op, SubView) and parts:
                yield (func.name, op.source), (func.name, op.result)
