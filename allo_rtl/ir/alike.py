"""Processes that are alike become one function, which the region calls once for each.

Two functions are alike when they differ in nothing but the identity and names of their values,
and the names of their bands.
The constants of a process often say only which element of an array is its own: ``c[2, 3] = x``
here, ``c[2, 4] = x`` there, or ``c[8 * t + 2] = x``.  Such a subscript is taken out: along a
dimension that is partitioned completely, or in cycles, the process is given the part of the array
(see :mod:`allo_rtl.ir.parts`), along one that is not partitioned the subscript, as an argument.
So hardware is made once for all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from allo_rtl.ir.affine import AffineExpr, FloorDiv, Mod
from allo_rtl.ir.ops import (
    Call,
    Constant,
    For,
    Func,
    GetGlobal,
    Global,
    Load,
    LoopAttrs,
    Module,
    Op,
    Store,
    SubView,
    Value,
)
from allo_rtl.ir.parts import is_only_part, part_type
from allo_rtl.ir.rewrite import fold_applied, map_block, retype, users_of, walk
from allo_rtl.ir.types import ArrayType, DimPartition, Partition, index

type Place = tuple[int, int]
"""(position of an argument, dimension) of a function."""


def merge_alike(module: Module) -> Module:
    """The module with one function for all processes that are alike.

    The module was verified; it is not again, because parts have types with partitions here.  A
    call whose process has lost its function to another keeps its name in ``process``.
    """
    if not any(f.dataflow for f in module.funcs):
        return module
    merger = _Merger(module)
    for func in module.funcs:
        merger.add(func)
    return replace(module, funcs=tuple(merger.funcs.values()))


@dataclass(frozen=True)
class _Process:
    """A call of a region, the function, and its subscripts that are one constant everywhere.

    Along a dimension in cycles of n banks it is the remainder by n that is.
    """

    call: Call
    func: Func
    fixed: Mapping[Place, int]


class _Merger:
    """Collects the functions that are left, callees first."""

    def __init__(self, module: Module) -> None:
        self._globals = {g.name: g for g in module.globals}
        self._top = module.top
        calls = [(f, op) for f in module.funcs for op in walk(f.body) if isinstance(op, Call)]
        often = Counter(op.callee for _, op in calls)
        self._processes = {op.callee for f, op in calls if f.dataflow and often[op.callee] == 1}
        self._pending: dict[str, Func] = {}
        self._known: dict[object, str] = {}
        self._instead: dict[str, str] = {}
        self.funcs: dict[str, Func] = {}

    def add(self, func: Func) -> None:
        """Add a function; a process waits for its region."""
        func = self._renamed(func)
        if func.name in self._processes:
            self._pending[func.name] = fold_applied(func)
        elif func.dataflow:
            self._keep(self._region(func))
        else:
            self._keep(func)

    def _renamed(self, func: Func) -> Func:
        """The function calling those that stand for its callees."""

        def visit(op: Op) -> Op | None:
            if isinstance(op, Call) and op.callee in self._instead:
                return replace(op, callee=self._instead[op.callee])
            return None

        return replace(func, body=map_block(func.body, visit)) if self._instead else func

    def _keep(self, func: Func) -> str:
        """Keep a function unless there is one like it; the name of the one that is kept."""
        if func.name == self._top:
            self.funcs[func.name] = func
            return func.name
        name = self._known.setdefault(_key(func, self._globals), func.name)
        if name == func.name:
            self.funcs[name] = func
        else:
            self._instead[func.name] = name
        return name

    def _region(self, func: Func) -> Func:
        """A region that calls one function for all processes that are alike."""
        func = self._with_parts(func)
        views = {op.result: op for op in func.body if isinstance(op, SubView)}
        groups: dict[object, list[_Process]] = {}
        for call in func.body:
            if isinstance(call, Call) and call.callee in self._pending:
                process = self._pending[call.callee]
                if process.dataflow:
                    process = self._region(process)
                found = _Process(call, process, _fixed(process, call, views))
                groups.setdefault(_key(process, self._globals, found.fixed), []).append(found)
        calls: dict[Op, tuple[Op, ...]] = {}
        for group in groups.values():
            for alike in _separated(group):
                calls |= self._merged(alike)
        body = tuple(new for op in func.body for new in calls.get(op, (op,)))
        return replace(func, body=body)

    def _with_parts(self, func: Func) -> Func:
        """A region whose views that are parts have their types, and so what they are given to."""
        views = {op.result: op for op in func.body if isinstance(op, SubView)}
        users = users_of(func.body)
        types: dict[Value, ArrayType] = {}
        for view in views.values():
            found = part_type(view)
            if found is not None and found != view.result.array and all(
                self._takes(op, view.result, views) for op in users.get(view.result, ())
            ):
                types[view.result] = found
        for call in func.body:
            if isinstance(call, Call) and call.callee in self._pending:
                process = self._pending[call.callee]
                pairs = zip(process.args, call.args, strict=True)
                inner = {param: types[arg] for param, arg in pairs if arg in types}
                self._pending[call.callee] = retype(process, inner) if inner else process
        return retype(func, types) if types else func

    def _takes(self, op: Op, array: Value, views: Mapping[Value, SubView]) -> bool:
        """Whether this is a call of a process that only loads from and stores to an array."""
        if not isinstance(op, Call) or op.callee not in self._pending:
            return False
        func = self._pending[op.callee]
        param = func.args[op.args.index(array)]
        return is_only_part(op, array, views) and _plain(func).get(param) is not None

    def _merged(self, group: Sequence[_Process]) -> dict[Op, tuple[Op, ...]]:
        """What stands for the call of each process of a group."""
        first = group[0]
        differ = [p for p in first.fixed if len({g.fixed[p] for g in group}) > 1]
        arrays = {at for at, _ in differ}
        # Where it gets a part at all, the process need not know of banks that it never uses.
        cut = [
            p for p in first.fixed
            if p[0] in arrays and (part := _partition(first.func, p)) is not None
            and (p in differ or part.kind is Partition.Complete)
        ]
        passed = [p for p in differ if p not in cut]
        name = self._keep(_narrowed(first, cut, passed))
        return {g.call: _given(g, name, cut, passed) for g in group}


def _partition(func: Func, place: Place) -> DimPartition | None:
    type_ = func.args[place[0]].array
    return type_.partition[place[1]] if type_.partition else None


def _separated(group: Sequence[_Process]) -> Iterator[list[_Process]]:
    """A group cut where subscripts differ along a dimension in blocks."""
    first = group[0].func
    parts: dict[tuple[int, ...], list[_Process]] = {}
    for process in group:
        which = tuple(
            constant
            for place, constant in process.fixed.items()
            if (part := _partition(first, place)) is not None
            and part.kind is Partition.Block
        )
        parts.setdefault(which, []).append(process)
    yield from parts.values()


# --- subscripts that are one constant ---------------------------------------------------------


def _plain(func: Func) -> dict[Value, list[Load | Store]]:
    """The arguments that a function only loads from and stores to, with these operations."""
    found: dict[Value, list[Load | Store]] = {
        a: [] for a in func.args if isinstance(a.type, ArrayType)
    }
    for op in walk(func.body):
        for value in op.operands():
            if value in found and not isinstance(op, For):
                if isinstance(op, Load | Store) and op.array is value:
                    found[value].append(op)
                else:
                    del found[value]
    return found


def _fixed(func: Func, call: Call, views: Mapping[Value, SubView]) -> dict[Place, int]:
    """The subscripts that are one constant in all accesses to an argument (see _Process).

    ``views`` are those of the region.
    """
    found: dict[Place, int] = {}
    for param, ops in _plain(func).items():
        at = func.args.index(param)
        if not ops or not is_only_part(call, call.args[at], views):
            continue
        for dim in range(param.array.rank):
            part = _partition(func, (at, dim))
            constants = {_constant(op.index[dim], param.array.shape[dim], part) for op in ops}
            if len(constants) == 1 and (only := constants.pop()) is not None:
                found[at, dim] = only
    return found


def _constant(subscript: AffineExpr, extent: int, part: DimPartition | None) -> int | None:
    """The constant that a subscript is, or its remainder; None when there is none."""
    if part is None or part.kind is not Partition.Cyclic:
        return subscript.const if subscript.is_constant else None
    whole = extent % part.factor == 0 and all(c % part.factor == 0 for _, c in subscript.terms)
    return subscript.const % part.factor if whole else None


def _rest(subscript: AffineExpr, constant: int, part: DimPartition | None) -> AffineExpr:
    """A subscript in the part where its constant is 0."""
    if part is None or part.kind is not Partition.Cyclic:
        return AffineExpr.constant(0)
    return (subscript - constant).floordiv(part.factor)


def _narrowed(process: _Process, cut: Collection[Place], passed: Sequence[Place]) -> Func:
    """A function on parts that are cut at places, and with arguments for passed subscripts."""
    func = process.func
    news: dict[Value, Value] = {}
    kept: dict[Value, tuple[int, ...]] = {}
    for at in sorted({p[0] for p in cut}):
        param = func.args[at]
        view = _view(param, at, dict.fromkeys(cut, 0))
        news[param] = view.result
        kept[param] = tuple(d for d, size in enumerate(view.sizes) if size is not None)
    places = {p: Value(index, f"{func.args[p[0]].name}_at_{p[1]}") for p in passed}
    position = {param: at for at, param in enumerate(func.args)}

    def subscript(place: Place, expr: AffineExpr) -> AffineExpr:
        if place in cut:
            return _rest(expr, process.fixed[place], _partition(func, place))
        return AffineExpr.of(places[place]) if place in places else expr

    def visit(op: Op) -> Op | None:
        if isinstance(op, Load | Store) and op.array in position:
            dims = kept.get(op.array, range(len(op.index)))
            at = tuple(subscript((position[op.array], d), op.index[d]) for d in dims)
            return replace(op, array=news.get(op.array, op.array), index=at)
        if isinstance(op, For) and any(a in news for a in op.independent):
            return replace(op, independent=tuple(news.get(a, a) for a in op.independent))
        return None

    args = (*(news.get(a, a) for a in func.args), *places.values())
    return replace(func, args=args, body=map_block(func.body, visit))


def _given(
    process: _Process, name: str, cut: Collection[Place], passed: Sequence[Place]
) -> tuple[Op, ...]:
    """The call of the function that stands for a process, after what it is given."""
    call = process.call
    before: list[Op] = []
    args = list(call.args)
    for at in sorted({p[0] for p in cut}):
        view = _view(args[at], at, {p: process.fixed[p] for p in cut})
        before.append(replace(view, loc=call.loc))
        args[at] = view.result
    for place in passed:
        value = Value(index, f"{process.func.args[place[0]].name}_at_{place[1]}")
        before.append(Constant(result=value, value=process.fixed[place], loc=call.loc))
        args.append(value)
    label = "" if name == call.callee else call.callee
    return (*before, replace(call, callee=name, args=tuple(args), process=label))


def _view(source: Value, at: int, offsets: Mapping[Place, int]) -> SubView:
    """The part of argument ``at`` at constant places of some dimensions; one is left at least."""
    shape = source.array.shape
    sizes: list[int | None] = list(shape)
    steps = [1] * len(shape)
    for dim in (d for a, d in offsets if a == at):
        part = source.array.partition[dim]
        assert part is not None, "only partitioned arrays have parts"
        if part.kind is Partition.Cyclic:
            sizes[dim], steps[dim] = shape[dim] // part.factor, part.factor
        else:
            sizes[dim] = None
    if not any(sizes):
        sizes[-1] = 1
    plain = replace(
        source.array.unpartitioned, shape=tuple(n for n in sizes if n is not None)
    )
    view = SubView(
        result=Value(plain, source.name), source=source, sizes=tuple(sizes),
        offsets=tuple(AffineExpr.constant(offsets.get((at, d), 0)) for d in range(len(shape))),
        steps=tuple(steps),
    )  # fmt: skip
    type_ = part_type(view)
    assert type_ is not None, "the dimensions are partitioned completely or in cycles"
    return replace(view, result=Value(type_, source.name))


# --- what functions are alike -----------------------------------------------------------------

def _key(
    func: Func, arrays: Mapping[str, Global], fixed: Mapping[Place, int] | None = None
) -> object:
    """What is equal of functions that are alike, but for the subscripts at ``fixed``."""
    return _Description(func, arrays, fixed or {}).text()


_TOLD: dict[type[Op], tuple[str, ...]] = {}
"""The fields of operations of a kind that tell them apart."""


def _told(kind: type[Op]) -> tuple[str, ...]:
    if kind not in _TOLD:
        apart = (f.name for f in fields(kind))
        _TOLD[kind] = tuple(n for n in apart if n not in (*kind.RESULTS, "iv", "process"))
    return _TOLD[kind]


class _Description:
    """A function with its values numbered in the order in which they are defined."""

    def __init__(
        self, func: Func, arrays: Mapping[str, Global], fixed: Mapping[Place, int]
    ) -> None:
        self._func = func
        self._arrays = arrays
        self._open = {(func.args[at], dim): c for (at, dim), c in fixed.items()}
        self._numbers: dict[Value, int] = {}

    def text(self) -> object:
        """A value that is equal for functions that are alike."""
        func = self._func
        args = tuple(self._define(a) for a in func.args)
        marks = tuple(
            getattr(func, f.name) for f in fields(func) if f.name not in ("name", "args", "body")
        )
        return args, marks, self._part(func.body)

    def _define(self, value: Value) -> object:
        self._numbers[value] = len(self._numbers)
        return value.type, value.type.memory if isinstance(value.type, ArrayType) else None

    def _op(self, op: Op) -> object:
        if isinstance(op, For):
            defined: tuple[object, ...] = (self._define(op.iv),)
        else:
            defined = tuple(self._define(v) for v in op.results())
        if isinstance(op, GetGlobal) and not self._arrays[op.name].stateful:
            return type(op), op.loc, defined, self._arrays[op.name].data
        rest = tuple(
            self._index(op) if name == "index" else self._part(getattr(op, name))
            for name in _told(type(op))
        )
        return type(op), defined, rest

    def _index(self, op: Op) -> object:
        assert isinstance(op, Load | Store)
        parts = op.array.array.partition or (None,) * len(op.index)
        return tuple(
            self._part(_rest(e, constant, parts[dim]))
            if (constant := self._open.get((op.array, dim))) is not None
            else self._part(e)
            for dim, e in enumerate(op.index)
        )

    def _part(self, part: object) -> object:
        match part:
            case Op():
                return self._op(part)
            case Value():
                return self._numbers[part]
            case tuple():
                return tuple(map(self._part, part))
            case AffineExpr():
                return self._part(part.terms), part.const
            case LoopAttrs():
                return replace(part, band="")
            case FloorDiv() | Mod():
                return type(part), self._part(part.numerator), part.divisor
        return part
