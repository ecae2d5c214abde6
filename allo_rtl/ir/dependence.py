"""Which accesses touch the same array cell, and in which iterations: exact where affine.

Subscripts may use loop counters and values computed outside the loops asked about (symbolic
constants).  A subscript that uses anything computed inside them is data dependent: it may be any
cell along that dimension.  Conditions are taken as possibly true, but for those that counters
decide where :class:`~allo_rtl.ir.guards.Guards` are given.  Different arrays never share a cell; a
view is not an array of its own, and a stateful array is one in all functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from math import lcm

from allo_rtl.ir import domain, polyhedra, uniform
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.guards import Guards
from allo_rtl.ir.ops import (
    Apply,
    Block,
    Call,
    For,
    GetGlobal,
    If,
    Load,
    Module,
    Op,
    Store,
    SubView,
    Value,
)
from allo_rtl.ir.parts import views
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.stream_ops import Get, Poll, Put, StreamOp, TryGet, TryPut
from allo_rtl.ir.types import ArrayType, StreamType

type Condition = Callable[[Sequence[str], Sequence[str]], str]
"""A formula over a source's and a sink's iteration; see :func:`conflict`."""


@dataclass(frozen=True)
class Access:
    """One read or write of an array.

    Attributes:
        op: the operation; a call counts as one access of every array it may read or write.
        loops: the loops around it inside the block asked about, outermost first.
        position: where it stands in the text; compares like the order of the text.
        array: the array it touches; never a view.
        is_store: whether it writes.
        affine: whether every subscript is known at the start of the block or counts its loops.
        index: the subscripts with ``Apply`` resolved; None for a call, which may touch any cell.
        parents: the loops and conditions around it inside the block, outermost first.
    """

    op: Load | Store | Call | StreamOp
    loops: tuple[For, ...]
    position: tuple[int, ...]
    array: Value
    is_store: bool
    affine: bool
    index: tuple[AffineExpr, ...] | None
    parents: tuple[Op, ...] = ()


@dataclass(frozen=True)
class Conflict:
    """Two iterations that touch one cell, as loop counters, and the cell.

    A subscript of ``cell`` is None where it depends on data.
    """

    source: tuple[int, ...]
    sink: tuple[int, ...]
    cell: tuple[int | None, ...]


def accesses(
    block: Block, module: Module | None = None, numbers: Iterable[Apply] = ()
) -> tuple[Access, ...]:
    """Every array access of a block, in the order of the text.

    With the ``module``, a call touches only what its callee reads and writes; without, every
    array it is given, both ways.  Views that are made outside the block, and the states that
    calls touch, are known with the module only.  ``numbers`` come before the block, in the order of
    the text; what they define is resolved in subscripts.
    """
    inside = {value for op in walk(block) for value in op.results()}
    found = _Collector(module, inside, {**_views_of(module), **views(block)})
    for op in numbers:
        found.applied[op.result] = op.expr.substitute(found.applied.get)
    found.visit(block, (), ())
    return tuple(found.out)


def always_differ(a: Access | Load | Store, b: Access | Load | Store) -> bool:
    """Whether two accesses of one array touch different words in all iterations, as a subscript of
    theirs is another number.

    That is seen at once, and so it is for nearly all pairs of copies of an unrolled loop.
    """
    pairs = zip(a.index or (), b.index or (), strict=False)  # of a call they are not known
    return any(x.is_constant and y.is_constant and x.const != y.const for x, y in pairs)


class _Collector:
    """Walks a block with the definitions of ``Apply`` results seen so far."""

    def __init__(
        self, module: Module | None, inside: set[Value], views: Mapping[Value, SubView]
    ) -> None:
        self.module = module
        self.inside = inside
        self.views = views
        self.states = _states(module)
        self.applied: dict[Value, AffineExpr] = {}
        self.out: list[Access] = []

    def visit(self, block: Block, parents: tuple[Op, ...], position: tuple[int, ...]) -> None:
        for k, op in enumerate(block):
            here = (*position, k)
            match op:
                case Apply():
                    self.applied[op.result] = op.expr.substitute(self.applied.get)
                case Load():
                    self.add(op, op.array, False, op.index, parents, here)
                case Store():
                    self.add(op, op.array, True, op.index, parents, here)
                case Put() | Get() | TryPut() | TryGet() | Poll():
                    # What goes through a stream keeps its order, as writes to one cell do.
                    self.add(op, op.stream, True, (), parents, here)
                case Call():
                    for array, is_store in touched(op, self.module):
                        self.add(op, array, is_store, None, parents, here)
                case _:
                    for r, region in enumerate(op.regions()):
                        self.visit(region, (*parents, op), (*here, r))

    def add(
        self,
        op: Load | Store | Call | StreamOp,
        array: Value,
        is_store: bool,
        subscripts: tuple[AffineExpr, ...] | None,
        parents: tuple[Op, ...],
        position: tuple[int, ...],
    ) -> None:
        loops = tuple(p for p in parents if isinstance(p, For))
        while (view := self.views.get(array)) is not None:
            array = view.source
            subscripts = None if subscripts is None else _element(view, subscripts)
        array = self.states.get(array, array)
        index = subscripts
        if subscripts is not None:
            index = tuple(map(self.resolved, subscripts))
        affine = index is not None and not any(e.values & self.inside for e in index)
        self.out.append(
            Access(op, loops, position, array, is_store, affine, index, parents)
        )

    def resolved(self, expr: AffineExpr) -> AffineExpr:
        """An expression of what has been applied so far; most are of loop counters alone."""
        if self.applied.keys().isdisjoint(expr.values):
            return expr
        return expr.substitute(self.applied.get)


@lru_cache(maxsize=64)
def _views_of(module: Module | None) -> Mapping[Value, SubView]:
    """Every view of a module, by its value."""
    if module is None:
        return {}
    return {v: op for f in module.funcs for part in f.body for v, op in _views_in(part).items()}


@lru_cache(maxsize=1 << 12)
def _views_in(op: Op) -> Mapping[Value, SubView]:
    """Those of one operation, which most rewrites of its function leave as it is."""
    return views((op,))


@lru_cache(maxsize=64)
def _states(module: Module | None) -> Mapping[Value, Value]:
    """Of each value that is a stateful array: the first value that is this array."""
    if module is None:
        return {}
    if not (names := {g.name for g in module.globals if g.stateful}):
        return {}
    first: dict[str, Value] = {}
    found: dict[Value, Value] = {}
    for op in (op for f in module.funcs for op in walk(f.body)):
        if isinstance(op, GetGlobal) and op.name in names:
            found[op.result] = first.setdefault(op.name, op.result)
    return found


def states(module: Module) -> frozenset[Value]:
    """A value for each stateful array: the one that stands for it in accesses."""
    return frozenset(_states(module).values())


def base(module: Module, array: Value) -> tuple[Value, bool]:
    """The array that a value is, or is part of, and whether it is a part only."""
    known = _views_of(module)
    is_part = array in known
    while array in known:
        array = known[array].source
    return _states(module).get(array, array), is_part


def _element(view: SubView, subscripts: tuple[AffineExpr, ...]) -> tuple[AffineExpr, ...]:
    """The source's subscripts of an element of a view."""
    given = iter(subscripts)
    return tuple(
        offset if size is None else offset + next(given) * step
        for offset, size, step in zip(view.offsets, view.sizes, view.steps, strict=True)
    )


def touched(call: Call, module: Module | None) -> Iterator[tuple[Value, bool]]:
    """(array, whether written) for each way a call may touch an array.

    That is an array of its caller, or a stateful one (as in :func:`states`).
    """
    for k, arg in enumerate(call.args):
        if isinstance(arg.type, StreamType):
            yield arg, True
        if isinstance(arg.type, ArrayType):
            for is_store in (False, True):
                if module is None or (k, is_store) in _effects(module, call.callee):
                    yield arg, is_store
    for out in call.outs:
        if isinstance(out.type, ArrayType):
            yield out, True
    if module is not None:
        for key, is_store in _effects(module, call.callee):
            if isinstance(key, Value):
                yield key, is_store


@lru_cache(maxsize=64)
def _effects(module: Module, name: str) -> frozenset[tuple[int | Value, bool]]:
    """(argument number or stateful array, whether written) for each way a function touches one."""
    func = module.func(name)
    keys: dict[Value, int | Value] = {s: s for s in states(module)}
    keys |= {arg: k for k, arg in enumerate(func.args)}
    return frozenset(
        (keys[a.array], a.is_store) for a in accesses(func.body, module) if a.array in keys
    )


# --- questions -----------------------------------------------------------------------------


def carried_distance(
    src: Access, dst: Access, loops: Sequence[For], guards: Guards | None = None
) -> int | None:
    """The least number of iterations between two accesses of one cell, ``src`` first.

    Args:
        src, dst: accesses in the body of the innermost of ``loops``, by
            :func:`accesses` of the whole nest or of that body alone.
        loops: one loop, or a perfect nest taken as flattened, outermost first, with the
            accesses inside.  With trip counts that are not constant, but for that of the outermost,
            it is exact where they follow from the counters of the nest, and it is not too large;
            otherwise the answer is 1 or None.
        guards: the conditions of the nest; with them pairs are left out in which an access does
            not take place.

    Returns:
        The least distance, in iterations of the flattened nest (1 or more), over all pairs of
        an iteration of ``src`` and a later one of ``dst`` that may touch the same cell; None
        when there is no such pair.  Exact for affine subscripts; subscripts that depend on data
        are taken to be able to coincide.  Pairs that a loop would carry which the user said to be
        ``independent`` in the array are left out.
    """
    trips = [loop.trip_count for loop in loops]
    if src.array is not dst.array or 0 in trips or all(trip == 1 for trip in trips):
        return None
    pair = _pair(src, dst, loops)
    assumed = [src.array in loop.independent for loop in loops]
    if all(assumed):
        return None
    if pair is None:
        return 1
    if any(assumed):
        return _distance_carried(pair, assumed)
    least = _distance(pair)
    if least is None or guards is None:
        return least
    space = _Space(pair)
    if not (conditions := _conditions(src, dst, guards, space)):
        return least
    guarded = _least(space, pair.loops, " and ".join(conditions))
    return None if guarded is None else max(least, guarded)


def same_iteration(src: Access, dst: Access, loops: Sequence[For]) -> bool:
    """Whether two accesses may touch one cell in one iteration of ``loops``.

    The arguments are those of :func:`carried_distance`.
    """
    if src.array is not dst.array or any(loop.trip_count == 0 for loop in loops):
        return False
    pair = _pair(src, dst, loops)
    return _meet(pair) if pair else True


def _conditions(
    src: Access, dst: Access, guards: Guards, space: _Space
) -> tuple[str, ...]:
    """When both accesses take place, as far as counters decide that."""
    return tuple(
        f"({formula})"
        for access, names in ((src, space.src_names), (dst, space.dst_names))
        for depth, op in enumerate(access.parents)
        if isinstance(op, If)
        and (formula := guards.formula(op, access.position[2 * depth + 1], names)) is not None
    )


def conflict(
    src: Access,
    dst: Access,
    loops: Sequence[For],
    condition: Condition,
) -> Conflict | None:
    """Two iterations of a nest that touch one cell and satisfy a condition, or None.

    ``condition`` gets the names of the counters of the source's and of the sink's iteration and
    answers a formula in isl's syntax; see :func:`before`.
    """
    if src.array is not dst.array:
        return None
    pair = _pair(src, dst, loops)
    if pair is None:
        outer, inner = _around(src, loops)
        pair = _Pair((), (), tuple(loops), outer, inner, _around(dst, loops)[1])
    space = _Space(pair)
    found = polyhedra.points(space.dims, [*space.constraints, condition(space.src, space.dst)])
    if found.is_empty():
        return None
    if found.is_bounded():  # what depends on data or comes from outside may be any number
        found = found.lexmin()
    point = polyhedra.sample(found)
    assert point is not None, "isl found no point in a set that is not empty"
    at = dict(zip(space.dims, point, strict=True))
    return Conflict(
        tuple(at[n] for n in space.src),
        tuple(at[n] for n in space.dst),
        tuple(_value_at(e, space.src_names, at) for e in src.index or ()),
    )


def meeting(src: Access, dst: Access) -> Conflict | None:
    """The first iterations in which two accesses of different loops touch one cell, or None.

    The iterations are the counters of all loops that each access is in; the accesses have none of
    these in common.
    """
    if src.array is not dst.array:
        return None
    sides = (src, "s"), (dst, "d")
    names = [{p.iv: f"{c}{k}" for k, p in enumerate(a.loops)} for a, c in sides]
    inside = {v for a, _ in sides for loop in a.loops for v in _defined_in(loop)}
    used = {v for a, _ in sides for e in (*(a.index or ()), *_bounds(a.loops)) for v in e.values}
    symbols = sorted(used - inside, key=lambda v: v.uid)
    for own in names:
        own |= {v: f"p{k}" for k, v in enumerate(symbols)}
    dims = sorted({n for own in names for n in own.values()}, key=_dim_order)
    constraints = [*_domain(src.loops, names[0]), *_domain(dst.loops, names[1])]
    if src.index is not None and dst.index is not None:
        constraints += polyhedra.same_cell(src.index, names[0], dst.index, names[1])
    found = polyhedra.points(dims, constraints)
    if found.is_empty():
        return None
    point = polyhedra.sample(found.lexmin() if found.is_bounded() else found)
    assert point is not None, "isl found no point in a set that is not empty"
    at = dict(zip(dims, point, strict=True))
    return Conflict(
        tuple(at[names[0][p.iv]] for p in src.loops),
        tuple(at[names[1][p.iv]] for p in dst.loops),
        tuple(_value_at(e, names[0], at) for e in src.index or ()),
    )


def _bounds(loops: Iterable[For]) -> Iterator[AffineExpr]:
    for loop in loops:
        yield from (*loop.lower, *loop.upper)


def before(a: Sequence[str], b: Sequence[str]) -> str:
    """The formula: iteration ``a`` comes lexicographically before iteration ``b``."""
    cases = []
    for k in range(len(a)):
        equal = [f"{x} = {y}" for x, y in zip(a[:k], b[:k], strict=True)]
        cases.append("(" + " and ".join([*equal, f"{a[k]} < {b[k]}"]) + ")")
    return "(" + " or ".join(cases) + ")"


# --- one pair of accesses ------------------------------------------------------------------


@dataclass(frozen=True)
class _Pair:
    """What the answers depend on: subscripts of both, the loops, those outside and inside."""

    src: tuple[AffineExpr, ...]
    dst: tuple[AffineExpr, ...]
    loops: tuple[For, ...]
    outer: tuple[For, ...] = ()
    src_inner: tuple[For, ...] = ()
    dst_inner: tuple[For, ...] = ()


def _pair(src: Access, dst: Access, loops: Sequence[For]) -> _Pair | None:
    """None when one of them is a call, about whose cells nothing is known."""
    if src.index is None or dst.index is None:
        return None
    outer, src_inner = _around(src, loops)
    return _Pair(src.index, dst.index, tuple(loops), outer, src_inner, _around(dst, loops)[1])


def _around(access: Access, loops: Sequence[For]) -> tuple[tuple[For, ...], tuple[For, ...]]:
    """The loops of an access outside and inside ``loops``."""
    ivs = [loop.iv for loop in access.loops]
    if loops[-1].iv not in ivs:
        return (), access.loops
    return (
        access.loops[: ivs.index(loops[0].iv)],
        access.loops[ivs.index(loops[-1].iv) + 1 :],
    )


@lru_cache(maxsize=64)
def _defined_in(loop: For) -> frozenset[Value]:
    """Values that can differ from one iteration of the loop to another, its counter among them."""
    inner = (op.iv for op in walk(loop.body) if isinstance(op, For))
    return frozenset((loop.iv, *inner, *(v for op in walk(loop.body) for v in op.results())))


class _Space:
    """The isl dimensions and constraints of a pair: counters of both sides, shared symbols."""

    def __init__(self, pair: _Pair) -> None:
        ivs = [loop.iv for loop in pair.loops]
        self.src = [f"s{k}" for k in range(len(ivs))]
        self.dst = [f"d{k}" for k in range(len(ivs))]
        shared = {v: f"p{k}" for k, v in enumerate(_symbols(pair))}
        self.src_names = shared | dict(zip(ivs, self.src, strict=True))
        self.dst_names = shared | dict(zip(ivs, self.dst, strict=True))
        self.src_names |= {loop.iv: f"x{k}" for k, loop in enumerate(pair.src_inner)}
        self.dst_names |= {loop.iv: f"y{k}" for k, loop in enumerate(pair.dst_inner)}
        self.dims = sorted({*self.src_names.values(), *self.dst_names.values()}, key=_dim_order)
        self.constraints = [
            *polyhedra.same_cell(pair.src, self.src_names, pair.dst, self.dst_names),
            *_domain((*pair.outer, *pair.loops, *pair.src_inner), self.src_names),
            *_domain((*pair.loops, *pair.dst_inner), self.dst_names),
        ]


def _dim_order(name: str) -> tuple[int, int]:
    """Source, sink, then the rest, so that the smallest point has the first iterations."""
    return "sdpxy".index(name[0]), int(name[1:])


def _domain(loops: Iterable[For], names: polyhedra.Names) -> list[str]:
    return [c for loop in loops for c in polyhedra.iterates(loop, names)]


def _symbols(pair: _Pair) -> list[Value]:
    """Values both sides share: counters of outer loops first, then what else is used."""
    around = (*pair.outer, *pair.loops, *pair.src_inner, *pair.dst_inner)
    exprs = (*pair.src, *pair.dst, *(e for p in around for e in (*p.lower, *p.upper)))
    used = {v for e in exprs for v in e.values} - _defined_in(pair.loops[0])
    used -= {loop.iv for loop in around}
    return [*(loop.iv for loop in pair.outer), *sorted(used, key=lambda v: v.uid)]


def _value_at(expr: AffineExpr, names: polyhedra.Names, at: dict[str, int]) -> int | None:
    if not polyhedra.known(expr, names):
        return None
    return expr.evaluate(lambda v: at[names[v]])


@lru_cache(maxsize=1 << 14)
def _meet(pair: _Pair) -> bool:
    """Whether both touch one cell in one iteration."""
    if not pair.src_inner and not pair.dst_inner:
        # Here every value, even one that depends on data, is the same number on both sides.
        gaps = [d - s for s, d in zip(pair.src, pair.dst, strict=True)]
        if any(g.is_constant and g.const for g in gaps):
            return False
        if all(g.is_constant for g in gaps):
            return True
    space = _Space(pair)
    equal = [f"{s} = {d}" for s, d in zip(space.src, space.dst, strict=True)]
    return not polyhedra.points(space.dims, [*space.constraints, *equal]).is_empty()


@lru_cache(maxsize=1 << 14)
def _distance(pair: _Pair) -> int | None:
    """The least distance of iterations that share a cell; None when there are none."""
    constant = all(loop.trip_count is not None for loop in pair.loops[1:])
    if constant:
        inner = {loop.iv for loop in (*pair.src_inner, *pair.dst_inner)}
        with suppress(uniform.NotUniform):
            return uniform.distance(
                pair.src, pair.dst, pair.loops, _defined_in(pair.loops[0]), inner
            )
    elif domain.is_static(pair.loops) and not pair.src_inner and not pair.dst_inner:
        with suppress(ValueError):
            return domain.least_distance(pair.loops, *_comparable(pair))
    return _least(_Space(pair), pair.loops, "true")


def _comparable(pair: _Pair) -> tuple[tuple[AffineExpr, ...], tuple[AffineExpr, ...]]:
    """The subscripts of both that are known but for what they have in common.

    Those of lanes, which differ by constants, are then the same.
    """
    ivs = {loop.iv for loop in pair.loops}
    inside = _defined_in(pair.loops[0]) - ivs
    src, dst, zero = list[AffineExpr](), list[AffineExpr](), AffineExpr.constant(0)
    for a, b in zip(pair.src, pair.dst, strict=True):
        symbols = (a.values | b.values) - ivs
        same = all(a.coefficient(v) == b.coefficient(v) for v in symbols)
        plain = a.is_linear and b.is_linear and same and not symbols & inside
        if not symbols or plain:
            src.append(a.substitute(lambda v: None if v in ivs else zero) - a.const)
            dst.append(b.substitute(lambda v: None if v in ivs else zero) - a.const)
    return tuple(src), tuple(dst)


def _distance_carried(pair: _Pair, assumed: Sequence[bool]) -> int | None:
    """The least distance of those that differ first in a loop that is not assumed independent."""
    space = _Space(pair)
    carried = []
    for k, skip in enumerate(assumed):
        equal = [f"{s} = {d}" for s, d in zip(space.src[:k], space.dst[:k], strict=True)]
        if not skip:
            carried.append(" and ".join([*equal, f"{space.src[k]} < {space.dst[k]}"]))
    return _least(space, pair.loops, " or ".join(f"({c})" for c in carried))


def _least(space: _Space, loops: Sequence[For], condition: str) -> int | None:
    """The least distance in a space, of pairs that satisfy a condition."""
    constraints = [*space.constraints, f"({condition})"]
    if any(loop.trip_count is None for loop in loops[1:]):
        order = before(space.src, space.dst)
        found = polyhedra.points(space.dims, [*constraints, order])
        return None if found.is_empty() else 1
    unit = lcm(*(loop.step for loop in loops))
    weights = [s * (unit // p.step) for s, p in zip(_strides(loops), loops, strict=True)]
    apart = " + ".join(
        f"{w}*({d} - {s})" for w, s, d in zip(weights, space.src, space.dst, strict=True)
    )
    formula = f"exists {', '.join(space.dims)} : " + " and ".join(
        [*constraints, f"{unit}*t = {apart}", "t >= 1"]
    )
    least = polyhedra.points(["t"], [formula]).dim_min_val(0)
    return None if least.is_nan() else int(least.to_python())


def _strides(loops: Sequence[For]) -> list[int]:
    """Iterations of the flattened nest in one step of each loop."""
    strides = [1]
    for loop in reversed(loops[1:]):
        strides.append(strides[-1] * (loop.trip_count or 1))
    return strides[::-1]
