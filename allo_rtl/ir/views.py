"""Views resolved: every access names an element of an array of its own.

Only parts that a region gives to its processes stay (see :mod:`allo_rtl.ir.parts`).

A load or store through a :class:`~allo_rtl.ir.ops.SubView` becomes one of the array it is part
of.  A call that passes a view calls a copy of the function which takes that array and, as index
arguments, the offsets that are not constant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Block,
    Call,
    For,
    Func,
    Load,
    LoopAttrs,
    Module,
    Op,
    Return,
    Store,
    SubView,
    Value,
)
from allo_rtl.ir.parts import is_only_part, part_type
from allo_rtl.ir.rewrite import clone, map_block, users_of, walk
from allo_rtl.ir.types import ArrayType, index


def resolve_views(module: Module) -> Module:
    """The module without SubViews; functions that are added stand before their first caller."""
    if not any(isinstance(op, SubView) for f in module.funcs for op in walk(f.body)):
        return module
    resolver = _Resolver(module)
    for func in module.funcs:
        resolver.add(func)
    return replace(module, funcs=tuple(resolver.funcs.values()))


@dataclass(frozen=True)
class _View:
    """What a view is of an array that is none: see :class:`~allo_rtl.ir.ops.SubView`."""

    root: Value
    offsets: tuple[AffineExpr, ...]
    sizes: tuple[int | None, ...]
    steps: tuple[int, ...]

    def element(self, subscripts: Sequence[AffineExpr]) -> tuple[AffineExpr, ...]:
        """The root's subscripts of an element of the view."""
        rest = iter(subscripts)
        return tuple(
            offset if size is None else offset + next(rest) * step
            for offset, size, step in zip(self.offsets, self.sizes, self.steps, strict=True)
        )

    def part(self, op: SubView) -> _View:
        """A view of this view."""
        inner = zip(op.sizes, op.steps, strict=True)
        merged = [
            (None, 1) if size is None else _scaled(next(inner), step)
            for size, step in zip(self.sizes, self.steps, strict=True)
        ]
        sizes, steps = tuple(m[0] for m in merged), tuple(m[1] for m in merged)
        return _View(self.root, self.element(op.offsets), sizes, steps)


def _scaled(inner: tuple[int | None, int], step: int) -> tuple[int | None, int]:
    return inner[0], inner[1] * step


class _Resolver:
    """Collects functions in the order in which they may be called."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._special: dict[object, str] = {}
        self._taken = {f.name for f in module.funcs}
        self.funcs: dict[str, Func] = {}

    def add(self, func: Func) -> None:
        """Add a function without its views, and before it what it now calls."""
        views: dict[Value, _View] = {}
        parts = self._parts(func) if func.dataflow else set()

        def visit(op: Op) -> Op | Block | None:
            match op:
                case SubView() if op.result in parts:
                    return None
                case SubView():
                    views[op.result] = _view(op, views)
                    return ()
                case Load() | Store() if op.array in views:
                    view = views[op.array]
                    return replace(op, array=view.root, index=view.element(op.index))
                case For() if any(a in views for a in op.independent):
                    roots = (views[a].root if a in views else a for a in op.independent)
                    return replace(op, independent=tuple(roots))
                case Call() if any(a in views for a in op.args):
                    return self._call(op, views)
                case Return() if any(v in views for v in op.values):
                    return _return_copies(op, views)
            return None

        self.funcs[func.name] = replace(func, body=map_block(func.body, visit))

    def _parts(self, region: Func) -> set[Value]:
        """The views of a region that stay: parts, only given to processes that take them so."""
        views = {op.result: op for op in region.body if isinstance(op, SubView)}
        users = users_of(region.body)
        found: set[Value] = set()
        for value, op in views.items():
            if (op.source in found or op.source not in views) and part_type(op) == value.type:
                given = [x for x in users.get(value, ()) if not isinstance(x, SubView)]
                if all(self._takes(x, value, views) for x in given):
                    found.add(value)
        return found

    def _takes(self, op: Op, part: Value, views: Mapping[Value, SubView]) -> bool:
        """Whether this is a call that is given a part as what it is, and nothing else of it."""
        if not isinstance(op, Call) or not is_only_part(op, part, views):
            return False
        return self.funcs[op.callee].args[op.args.index(part)].type == part.type

    def _call(self, op: Call, views: dict[Value, _View]) -> Block:
        """The call of a copy of the function that takes arrays where this one passes views."""
        given = [views.get(a) for a in op.args]
        key = (op.callee, *(None if v is None else _shape_of(v) for v in given))
        if key not in self._special:
            self._special[key] = name = self._name(op.callee)
            self.add(_specialise(self._module.func(op.callee), name, given))
        before: list[Op] = []
        args: list[Value] = []
        for arg, view in zip(op.args, given, strict=True):
            args.append(arg if view is None else view.root)
            for offset in () if view is None else view.offsets:
                if not offset.is_constant:
                    at = offset.as_value or Value(index)
                    if offset.as_value is None:
                        before.append(Apply(result=at, expr=offset, loc=op.loc))
                    args.append(at)
        return (*before, replace(op, callee=self._special[key], args=tuple(args)))

    def _name(self, callee: str) -> str:
        name = f"{callee}_part"
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def _view(op: SubView, views: dict[Value, _View]) -> _View:
    if op.source in views:
        return views[op.source].part(op)
    return _View(op.source, op.offsets, op.sizes, op.steps)


def _shape_of(view: _View) -> object:
    """What tells the copies of a callee apart: everything but offsets that are not constant."""
    offsets = tuple(o.const if o.is_constant else None for o in view.offsets)
    return view.root.type, offsets, view.sizes, view.steps


def _specialise(func: Func, name: str, given: Sequence[_View | None]) -> Func:
    """A copy that makes the views itself, of arrays it is passed with the open offsets."""
    args: list[Value] = []
    made: list[Op] = []
    mapping: dict[Value, Value | AffineExpr] = {}
    for param, view in zip(func.args, given, strict=True):
        mapping[param] = fresh = Value(param.type, param.name)
        if view is None:
            args.append(fresh)
            continue
        root = Value(view.root.type, param.name)
        offsets = tuple(
            o if o.is_constant else AffineExpr.of(Value(index, f"{param.name}_at_{d}"))
            for d, o in enumerate(view.offsets)
        )
        args += [root, *(v for o in offsets if (v := o.as_value) is not None)]
        made.append(SubView(
            result=fresh, source=root, offsets=offsets, sizes=view.sizes, steps=view.steps,
            loc=func.loc,
        ))  # fmt: skip
    body = (*made, *clone(func.body, mapping))
    return replace(func, name=name, args=tuple(args), body=body)


def _return_copies(op: Return, views: dict[Value, _View]) -> Block:
    """A Return whose views are copied to arrays of their own."""
    before: list[Op] = []
    values: list[Value] = []
    for value in op.values:
        view = views.get(value)
        if view is None:
            values.append(value)
            continue
        fresh = Value(value.type, value.name)
        before += [Alloc(result=fresh, loc=op.loc), *_copy(view, fresh, op)]
        values.append(fresh)
    return (*before, replace(op, values=tuple(values)))


def _copy(view: _View, target: Value, op: Op) -> Block:
    """A nest that copies a view to an array."""
    type_: ArrayType = target.array
    ivs = [Value(index, f"{target.name or 'copy'}_{d}") for d in range(type_.rank)]
    at = tuple(map(AffineExpr.of, ivs))
    word = Value(type_.element)
    body: Block = (
        Load(result=word, array=view.root, index=view.element(at), loc=op.loc),
        Store(value=word, array=target, index=at, loc=op.loc),
    )
    for depth in reversed(range(type_.rank)):
        bounds = (AffineExpr.constant(0),), (AffineExpr.constant(type_.shape[depth]),)
        attrs = LoopAttrs(pipeline_ii=1 if depth == type_.rank - 1 else None)
        body = (For(
            iv=ivs[depth], lower=bounds[0], upper=bounds[1], body=body,
            name=ivs[depth].name, attrs=attrs, loc=op.loc,
        ),)  # fmt: skip
    return body
