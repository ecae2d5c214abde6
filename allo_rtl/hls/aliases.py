"""One array under two names: calls that pass an array twice get a function of their own.

In hardware each array parameter has ports of its own, and different arrays never share a cell.
A call that gives one array to several parameters therefore calls a copy of the function in which
these parameters are one.
"""

from __future__ import annotations

from dataclasses import replace

from allo_rtl.ir.ops import Call, Func, Module, Op, Value
from allo_rtl.ir.rewrite import clone, map_block
from allo_rtl.ir.types import ArrayType


def merge_aliases(module: Module) -> Module:
    """The module with no array passed to two parameters of one call.

    Functions that are added stand before the first that calls them.
    """
    merger = _Merger(module)
    for func in module.funcs:
        merger.add(func)
    return replace(module, funcs=tuple(merger.funcs.values()))


class _Merger:
    """Collects functions in the order in which they may be called."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._merged: dict[tuple[str, tuple[int, ...]], str] = {}
        self._taken = {f.name for f in module.funcs}
        self.funcs: dict[str, Func] = {}

    def add(self, func: Func) -> None:
        """Add a function whose calls are merged, and before it what they now call."""
        body = map_block(func.body, self._visit)
        self.funcs[func.name] = replace(func, body=body)

    def _visit(self, op: Op) -> Op | None:
        if not isinstance(op, Call):
            return None
        first = tuple(
            op.args.index(a) if isinstance(a.type, ArrayType) else k
            for k, a in enumerate(op.args)
        )
        kept = tuple(a for k, a in enumerate(op.args) if first[k] == k)
        if len(kept) == len(op.args):
            return None
        key = (op.callee, first)
        if key not in self._merged:
            self._merged[key] = name = self._name(op.callee)
            self.add(_merge(self._module.func(op.callee), name, first))
        return replace(op, callee=self._merged[key], args=kept)

    def _name(self, callee: str) -> str:
        name = f"{callee}_merged"
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def _merge(func: Func, name: str, first: tuple[int, ...]) -> Func:
    """A copy in which parameter ``k`` is parameter ``first[k]``."""
    fresh = [Value(a.type, a.name) for a in func.args]
    mapping = {a: fresh[k] for a, k in zip(func.args, first, strict=True)}
    args = tuple(a for k, a in enumerate(fresh) if first[k] == k)
    return replace(func, name=name, args=args, body=clone(func.body, mapping))
