"""Open extents closed: a function that is given an array of known shape gets a copy for it."""

from __future__ import annotations

from dataclasses import replace

from allo_rtl.ir.ops import Call, Func, Module, Op, Value
from allo_rtl.ir.rewrite import clone, map_block, walk
from allo_rtl.ir.types import ArrayType, Type


def close_extents(module: Module) -> Module:
    """The module in which only arrays that come from outside have an extent left open.

    Functions that are added stand before the first that calls them; open ones that nothing calls
    any more are gone.
    """
    if not any(_is_open(a.type) for f in module.funcs for a in f.args):
        return module
    closer = _Closer(module)
    for func in module.funcs:
        closer.add(func)
    called = {module.top}
    for func in reversed(closer.funcs.values()):  # callers come after what they call
        if func.name in called:
            called |= {op.callee for op in walk(func.body) if isinstance(op, Call)}
    kept = (
        f for f in closer.funcs.values()
        if f.name in called or not any(_is_open(a.type) for a in f.args)
    )  # fmt: skip
    return replace(module, funcs=tuple(kept))


def _is_open(type_: Type) -> bool:
    return isinstance(type_, ArrayType) and type_.is_dynamic


class _Closer:
    """Collects functions in the order in which they may be called."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._closed: dict[object, str] = {}
        self._taken = {f.name for f in module.funcs}
        self.funcs: dict[str, Func] = {}

    def add(self, func: Func) -> None:
        """Add a function whose calls are of closed copies, and before it those copies."""
        body = map_block(func.body, self._visit)
        self.funcs[func.name] = replace(func, body=body)

    def _visit(self, op: Op) -> Op | None:
        if not isinstance(op, Call):
            return None
        callee = self._module.func(op.callee)
        types = tuple(
            a.type if _is_open(p.type) else p.type
            for p, a in zip(callee.args, op.args, strict=True)
        )
        if types == tuple(p.type for p in callee.args):
            return None
        key = (op.callee, types)
        if key not in self._closed:
            self._closed[key] = name = self._name(op.callee)
            self.add(_with_types(callee, name, types))
        return replace(op, callee=self._closed[key])

    def _name(self, callee: str) -> str:
        name = f"{callee}_sized"
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def _with_types(func: Func, name: str, types: tuple[Type, ...]) -> Func:
    """A copy whose parameters have these types."""
    args = tuple(Value(t, a.name) for t, a in zip(types, func.args, strict=True))
    body = clone(func.body, dict(zip(func.args, args, strict=True)))
    return replace(func, name=name, args=args, body=body)

