"""Loops by name: the handles users hold, and where a handle is in the current module.

A *band* is an outermost loop of a function with everything inside it.  Loop names are unique in
their band (:func:`with_unique_names`), so (function, band, loop) names a loop for good: a handle
holds these three names and no IR, and stays right while other loops are rewritten.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache

from allo_rtl.errors import ScheduleError
from allo_rtl.ir.affine import AffineExpr, Interval
from allo_rtl.ir.ops import Apply, Block, For, Func, Module, Op, Value, While
from allo_rtl.ir.rewrite import loops as all_loops
from allo_rtl.ir.rewrite import map_block, replace_func, walk, with_fields
from allo_rtl.ir.transform import LoopWrapper as LoopWrapper
from allo_rtl.ir.types import index

type Axis = str | LoopWrapper
"""How a primitive is told a loop: ``"i"`` (of the top function), ``"func:i"`` or a handle."""


@dataclass(frozen=True)
class LoopBand:
    """The loops of one band in the order of the text: ``band.i``, ``band["i.outer"]``, or iterate
    over (name, loop) pairs."""

    name: str
    loops: dict[str, LoopWrapper]

    def __getitem__(self, name: str) -> LoopWrapper:
        if name not in self.loops:
            raise AttributeError(_no_such("loop", name, f"band {self.name}", list(self.loops)))
        return self.loops[name]

    def __getattr__(self, name: str) -> LoopWrapper:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __iter__(self) -> Iterator[tuple[str, LoopWrapper]]:
        return iter(self.loops.items())

    def __len__(self) -> int:
        return len(self.loops)


@dataclass(frozen=True)
class LoopBands:
    """The bands of one function: ``loops.S_i_j_0``, ``loops["S_i_j_0"]``, or iterate over
    (name, band) pairs."""

    func: str
    bands: dict[str, LoopBand]

    def __getitem__(self, name: str) -> LoopBand:
        if name not in self.bands:
            raise AttributeError(_no_such("band", name, self.func, list(self.bands)))
        return self.bands[name]

    def __getattr__(self, name: str) -> LoopBand:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __iter__(self) -> Iterator[tuple[str, LoopBand]]:
        return iter(self.bands.items())

    def __len__(self) -> int:
        return len(self.bands)


@dataclass(frozen=True)
class Place:
    """A loop in the current module: its function, and its band from the outermost loop to it."""

    func: Func
    nest: tuple[For, ...]

    @property
    def loop(self) -> For:
        """The loop itself."""
        return self.nest[-1]

    @property
    def band(self) -> str:
        """Name of its band."""
        return self.nest[0].attrs.band

    @property
    def handle(self) -> LoopWrapper:
        """The handle that leads here."""
        return LoopWrapper(self.func.name, self.band, self.loop.name)


@dataclass(frozen=True)
class Replaced:
    """A primitive replaced loops of a band by others; kept to explain a name that is gone."""

    func: str
    band: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    by: str


# --- naming --------------------------------------------------------------------------------


def with_unique_names(module: Module) -> Module:
    """The module with every band named, and loop names unique in their band.

    A second loop ``k`` of a band becomes ``k_1``, a third ``k_2``; a band without a name becomes
    ``S_<its perfect nest>_<number>``.
    """
    return replace(module, funcs=tuple(name_func(f) for f in module.funcs))


def name_func(func: Func) -> Func:
    new: dict[Value, tuple[str, str]] = {}
    bands: set[str] = set()
    for number, root in enumerate(roots(func.body)):
        nest = "_".join(p.name or "loop" for p in perfect_nest(root))
        new[root.iv] = ("", unused(root.attrs.band or f"S_{nest}_{number}", bands))
    for root in roots(func.body):
        names: set[str] = set()
        for loop in all_loops((root,)):
            band = new[loop.iv][1] if loop is root else loop.attrs.band
            if band and loop is not root:
                band = unused(band, bands)
            new[loop.iv] = (unused(loop.name or loop.iv.name or "loop", names), band)

    def visit(op: Op) -> Op | None:
        if not isinstance(op, For) or (op.name, op.attrs.band) == new[op.iv]:
            return None
        name, band = new[op.iv]
        return replace(op, name=name, attrs=replace(op.attrs, band=band))

    return replace(func, body=map_block(func.body, visit))


def unused(name: str, taken: set[str]) -> str:
    """``name``, with a number when it is taken; the answer is added to ``taken``."""
    found, k = name, 0
    while found in taken:
        k += 1
        found = f"{name}_{k}"
    taken.add(found)
    return found


def fresh_name(root: For, name: str) -> str:
    """A loop name like ``name`` that the band does not have yet."""
    return unused(name, {loop.name for loop in all_loops((root,))})


def fresh_array_name(func: Func, name: str) -> str:
    """An array name like ``name`` that the function does not have yet."""
    taken = {v.name for op in walk(func.body) for v in op.results()}
    return unused(name, taken | {a.name for a in func.args})


# --- structure -----------------------------------------------------------------------------


def roots(block: Block) -> Iterator[For]:
    """The loops of a block that no other loop contains."""
    for op in block:
        if isinstance(op, For):
            yield op
        else:
            for region in op.regions():
                yield from roots(region)


def counter_ranges(place: Place) -> dict[Value, Interval]:
    """Intervals of the counters of the loops around and inside a loop, and of its own."""
    ranges: dict[Value, Interval] = {}

    def env(value: Value) -> Interval:
        return ranges.get(value, (index.min, index.max))

    for loop in (*place.nest, *all_loops(place.loop.body)):
        low = max(e.bounds(env)[0] for e in loop.lower)
        high = min(e.bounds(env)[1] for e in loop.upper) - 1
        ranges[loop.iv] = (low, max(low, high))
    return ranges


def iterations(nest: Sequence[For], most: int = 10_000) -> Iterator[dict[Value, int]]:
    """The counters of loops in each of their iterations, up to ``most``, in the order they run.

    None where a bound depends on data.
    """
    found: list[dict[Value, int]] = [{}]
    for loop in nest:
        if not all(e.values <= found[0].keys() for e in (*loop.lower, *loop.upper)):
            return
        found = [
            {**outer, loop.iv: i}
            for outer in found
            for i in range(
                max(e.evaluate(outer.__getitem__) for e in loop.lower),
                min(e.evaluate(outer.__getitem__) for e in loop.upper),
                loop.step,
            )
        ][:most]
        if not found:
            return
    yield from found


def check_made_outside(loop: For, array: Value, primitive: str) -> None:
    """Raise ScheduleError when each iteration of the loop makes the array anew."""
    for op in walk(loop.body):
        if array in op.results():
            raise ScheduleError(
                f"{primitive}: each iteration of loop {loop.name!r} makes {array.name!r} anew",
                loc=op.loc,
                allowed="an array that is made outside the loop",
            )


def perfect_nest(root: For) -> tuple[For, ...]:
    """The loop and those inside it as long as each body is just the next loop."""
    nest = [root]
    while len(nest[-1].body) == 1 and isinstance(inner := nest[-1].body[0], For):
        nest.append(inner)
    return tuple(nest)


def enclosing_perfect_nest(place: Place) -> tuple[For, ...]:
    """The largest perfect nest that has the loop in it, outermost first."""
    first = len(place.nest) - 1
    while first > 0 and place.nest[first - 1].body == (place.nest[first],):
        first -= 1
    return perfect_nest(place.nest[first])


def get_bands(func: Func) -> LoopBands:
    """Handles of every band and loop of a function.

    A named nest inside a band is listed as a band of its own as well; there its loops have the
    names of the kernel, although another nest of the outer band may use them too.
    """
    found = {}
    for root in roots(func.body):
        top = root.attrs.band
        for loop in all_loops((root,)):
            if band := loop.attrs.band:
                inside = all_loops((loop,))
                handles = {
                    p.name if loop is root else p.iv.name: LoopWrapper(func.name, top, p.name)
                    for p in inside
                }
                found[band] = LoopBand(band, handles)
    return LoopBands(func.name, found)


# --- finding -------------------------------------------------------------------------------


def find_func(module: Module, name: str) -> Func:
    """The function of that name; ScheduleError when there is none."""
    with suppress(KeyError):
        return module.func(name)
    names = [f.name for f in module.funcs]
    raise ScheduleError(
        f"there is no function {name!r}",
        allowed=", ".join(names),
        hint=did_you_mean(str(name), names),
    )


def find_loop(module: Module, axis: Axis, replaced: Iterable[Replaced] = ()) -> Place:
    """Where a loop is now.

    Raises:
        ScheduleError: there is no such loop (with the primitive that replaced it, when one of
            ``replaced`` did), or several bands have one of that name.
    """
    func, band, name = _parse(module, axis)
    places = [p for p in _places(func, name) if band in ("", p.band)]
    if len(places) == 1:
        return places[0]
    if not places:
        raise _no_loop(func, band, name, tuple(replaced))
    bands = [p.band for p in places]
    raise ScheduleError(
        f"{len(places)} bands of {func.name} have a loop {name!r}: {', '.join(bands)}",
        hint=f"use a handle: s.get_loops({func.name!r})[{bands[0]!r}][{name!r}]",
        notes=[(f"a loop {name!r} is here", p.loop.loc) for p in places if p.loop.loc],
    )


def _parse(module: Module, axis: Axis) -> tuple[Func, str, str]:
    """(function, band or '', loop name) of an axis."""
    if isinstance(axis, LoopWrapper):
        return find_func(module, axis.func), axis.band, axis.loop
    if not isinstance(axis, str):
        raise ScheduleError(
            f"a loop was expected, not {axis!r}",
            allowed="a loop's name, 'function:name', or a loop of get_loops()",
        )
    func_name, colon, name = axis.rpartition(":")
    func = find_func(module, func_name if colon else module.top)
    if any(_places(func, name)):
        return func, "", name
    for root in roots(func.body):
        if name.startswith(f"{root.attrs.band}."):
            return func, root.attrs.band, name.removeprefix(f"{root.attrs.band}.")
    return func, "", name


def _places(func: Func, name: str | None = None) -> Iterator[Place]:
    """The loops of a function, of one name or all."""
    for part in func.body:
        if part.REGIONS:
            yield from (Place(func, nest) for nest in nests_in(part).get(name, ()))


def nests_of(block: Iterable[Op]) -> list[tuple[For, ...]]:
    """The loops in a block and in its parts, each with those around it, outermost first."""
    return [nest for op in block if op.REGIONS for nest in nests_in(op).get(None, ())]


@lru_cache(maxsize=1 << 12)
def nests_in(part: Op) -> Mapping[str | None, Sequence[tuple[For, ...]]]:
    """The loops in one operation by name, under None all: each with those around it, outermost
    first.  Most rewrites of a function leave most of its operations as they are."""
    found: dict[str | None, list[tuple[For, ...]]] = {}

    def visit(op: Op, outer: tuple[For, ...]) -> None:
        nest = (*outer, op) if isinstance(op, For) else outer
        if isinstance(op, For):
            found.setdefault(None, []).append(nest)
            found.setdefault(op.name, []).append(nest)
        for name in op.REGIONS:
            for inner in getattr(op, name):
                visit(inner, nest)

    visit(part, ())
    return found


def _no_loop(func: Func, band: str, name: str, replaced: Sequence[Replaced]) -> ScheduleError:
    for past in reversed(replaced):
        if past.func == func.name and name in past.old and band in ("", past.band):
            return ScheduleError(
                f"there is no loop {name!r} in {func.name} any more: {past.by} replaced it",
                allowed=", ".join(past.new),
            )
    if (early := _left_early(func, name)) is not None:
        return ScheduleError(
            f"data decide when loop {name!r} of {func.name} ends, as of a while loop: a break or a "
            "return leaves it",
            loc=early.loc, allowed="a loop that runs a number of iterations", hint=RUNS_ALL,
        )  # fmt: skip
    names = [p.loop.name for p in _places(func) if band in ("", p.band)]
    return ScheduleError(
        f"there is no loop {name!r} in {band or func.name}",
        loc=func.loc,
        allowed=", ".join(names) or f"{func.name} has no loops",
        hint=did_you_mean(name, names),
    )


RUNS_ALL = (
    "a for loop with a name runs all its iterations, which do nothing after a break: "
    "for i in allo.grid(8, name=\"search\")"
)
"""The hint for a loop that a break or a return leaves."""


def _left_early(func: Func, name: str) -> While | None:
    """The for loop of that name that became a while loop, for what leaves it early."""
    head = re.compile(rf"\s*for\s[^:]*\b{re.escape(name)}\b[^:]*\bin\b")
    whiles = (op for op in walk(func.body) if isinstance(op, While))
    return next((op for op in whiles if op.loc and head.match(op.loc.text)), None)


def did_you_mean(name: str, known: Sequence[str]) -> str | None:
    """The hint for a name that is close to a known one."""
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else None


def _no_such(kind: str, name: str, where: str, known: Sequence[str]) -> str:
    hint = did_you_mean(name, known)
    text = f"No such {kind}: {name!r} in {where}, which has {', '.join(known) or 'none'}"
    return f"{text}; {hint}" if hint else text


# --- rewriting -----------------------------------------------------------------------------


def replace_loop(module: Module, func: Func, old: For, new: For) -> Module:
    """The module with one loop of a function replaced."""
    body = _with_loop(func.body, old, new)
    assert body is not None, f"{func.name} has no such loop {old.name}"
    return replace_func(module, replace(func, body=body))


def _with_loop(block: Block, old: For, new: For) -> Block | None:
    """The block with the loop replaced; None when it is not there.  The rest is shared."""
    for k, op in enumerate(block):
        if op is old:
            return (*block[:k], new, *block[k + 1 :])
        if old.name not in nests_in(op):
            continue
        for name in op.REGIONS:
            if (inside := _with_loop(getattr(op, name), old, new)) is not None:
                return (*block[:k], with_fields(op, {name: inside}), *block[k + 1 :])
    return None


def replace_counter(body: Block, iv: Value, expr: AffineExpr) -> Block:
    """A loop body with the counter replaced by an affine expression.

    Subscripts and bounds take the expression itself; operations that use the counter as a value
    use an ``Apply`` of it, put first in the innermost loop: a perfect nest stays one.
    """
    value = Value(iv.type, iv.name)
    body = map_block(body, lambda op: _replace_in(op, iv, value, expr))
    if any(value in op.operands() for op in walk(body)):
        return _put_inside(body, Apply(result=value, expr=expr))
    return body


def _put_inside(body: Block, op: Op) -> Block:
    if len(body) == 1 and isinstance(body[0], For):
        return (replace(body[0], body=_put_inside(body[0].body, op)),)
    return (op, *body)


def _replace_in(op: Op, iv: Value, value: Value, expr: AffineExpr) -> Op:
    changes: dict[str, object] = {}
    for name in op.OPERANDS:
        old = getattr(op, name)
        if isinstance(old, tuple):
            changes[name] = tuple(value if v is iv else v for v in old)
        elif old is iv:
            changes[name] = value
    for name in op.AFFINE:
        exprs = tuple(
            e.substitute(lambda v: expr if v is iv else None) for e in getattr(op, name)
        )
        changes["expr" if isinstance(op, Apply) else name] = (
            exprs[0] if isinstance(op, Apply) else exprs
        )
    changed = any(new != getattr(op, name) for name, new in changes.items())
    return with_fields(op, changes) if changed else op
