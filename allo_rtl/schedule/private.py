"""Arrays that carry nothing from one iteration of a nest to another.

A scalar or an array that every iteration writes before it reads it, and that nothing reads after
the nest, orders no iterations, although all of them use the same cells.  Neither does one that
is allocated in the nest: each iteration has its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from allo_rtl.ir import polyhedra
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.dependence import Access
from allo_rtl.ir.ops import Alloc, For, If, Value, While
from allo_rtl.ir.rewrite import walk


def private_arrays(
    all_accesses: Iterable[Access], nest: Sequence[For], kept: Set[Value]
) -> frozenset[Value]:
    """The arrays of a function that carry nothing between iterations of a perfect nest.

    Args:
        all_accesses: every access of the function's body.
        nest: the loops, outermost first.
        kept: arrays that are used outside the function too: arguments, results and states.
    """
    by_array: dict[Value, list[Access]] = {}
    for access in all_accesses:
        by_array.setdefault(access.array, []).append(access)
    own = {op.result for op in walk(nest[-1].body) if isinstance(op, Alloc)}
    return frozenset(
        array
        for array, found in by_array.items()
        if array in own or (array not in kept and _is_private(found, nest))
    )


def _is_private(found: Sequence[Access], nest: Sequence[For]) -> bool:
    if any(a.index is None for a in found):
        return False
    inner = nest[-1].iv
    inside = [a for a in found if any(loop.iv is inner for loop in a.loops)]
    stores = [a for a in inside if a.is_store]
    loads = [a for a in found if not a.is_store]
    return all(a in inside and _covered(a, stores, nest) for a in loads)


def _covered(load: Access, stores: Iterable[Access], nest: Sequence[For]) -> bool:
    """Whether stores of the same iteration, before the load, write every cell it may read."""
    assert load.index is not None
    varying = {v for op in walk(nest[0].body) for v in op.results()}
    names = {loop.iv: f"i{k}" for k, loop in enumerate(load.loops)}
    cells = [f"c{k}" for k in range(len(load.index))]
    candidates = [s for s in stores if _always_before(s, load)]
    _name_symbols([load, *candidates], names, varying)
    dims = [*dict.fromkeys(names.values()), *cells]
    # Accesses are inside their arrays, so where nothing is known any cell of the array is read.
    box = [f"0 <= {c} < {n}" for c, n in zip(cells, load.array.array.shape, strict=True)]
    domain = [c for loop in load.loops for c in polyhedra.iterates(loop, names)]
    missing = polyhedra.points(dims, [*box, *domain, *_at(cells, load.index, names)])
    for store in candidates:
        if (written := _written(store, load, names, cells)) is not None:
            missing = missing.subtract(polyhedra.points(dims, [written]))
    return bool(missing.is_empty())


def _always_before(store: Access, load: Access) -> bool:
    """Whether the store comes first in the text, under no condition of its own."""
    own = store.parents[_common(store, load) :]
    return store.position < load.position and not any(isinstance(p, If | While) for p in own)


def _common(a: Access, b: Access) -> int:
    """Number of regions both are in."""
    depth = 0
    for p, q in zip(a.parents, b.parents, strict=False):
        end = 2 * depth + 2
        if p is not q or a.position[:end] != b.position[:end]:
            break
        depth += 1
    return depth


def _name_symbols(found: Iterable[Access], names: dict[Value, str], varying: set[Value]) -> None:
    """Give names to the values from outside the nest, which are the same for all accesses."""
    own = {loop.iv for a in found for loop in a.loops}
    used: set[Value] = set()
    for access in found:
        bounds = (e for loop in access.loops for e in (*loop.lower, *loop.upper))
        used |= {v for e in (*(access.index or ()), *bounds) for v in e.values}
    symbols = sorted(used - own - varying - names.keys(), key=lambda v: v.uid)
    names |= {v: f"p{k}" for k, v in enumerate(symbols)}


def _written(
    store: Access, load: Access, names: polyhedra.Names, cells: Sequence[str]
) -> str | None:
    """The cells a store writes in the load's iteration, as a formula; None when unknown."""
    assert store.index is not None
    common = sum(isinstance(p, For) for p in store.parents[: _common(store, load)])
    own = store.loops[common:]
    shared = {loop.iv for loop in store.loops[:common]}
    hidden = {loop.iv for loop in load.loops} - shared
    known = {v: n for v, n in names.items() if v not in hidden}
    known |= {loop.iv: f"w{k}" for k, loop in enumerate(own)}
    exprs = [*store.index, *(e for p in own for e in (*p.lower, *p.upper))]
    if not all(polyhedra.known(e, known) for e in exprs):
        return None
    inside = [c for p in own for c in polyhedra.iterates(p, known)]
    formula = " and ".join([*inside, *_at(cells, store.index, known)]) or "true"
    exists = ", ".join(known[p.iv] for p in own)
    return f"(exists {exists} : {formula})" if exists else formula


def _at(cells: Sequence[str], index: Iterable[AffineExpr], names: polyhedra.Names) -> list[str]:
    return [
        f"{c} = {polyhedra.text(e, names)}"
        for c, e in zip(cells, index, strict=True)
        if polyhedra.known(e, names)
    ]
