"""Whether later primitives leave true what ``overlap``, ``parallel`` and ``assume_independent``
have promised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from functools import lru_cache

from allo_rtl.errors import ScheduleError
from allo_rtl.ir.dependence import before
from allo_rtl.ir.ops import Block, Call, For, Func, Load, Module, Op, Print, Store, Value
from allo_rtl.ir.rewrite import Changes, walk
from allo_rtl.schedule.buffers import aliases
from allo_rtl.schedule.independent import check_still_possible
from allo_rtl.schedule.legality import find_violation, illegal
from allo_rtl.schedule.loops import Place, nests_of
from allo_rtl.schedule.overlap import ALONE, BETWEEN, check_apart, check_no_turn

type _Chain = tuple[For, ...]
"""Loops of one block that run at the same time: all but the first are marked ``overlap``."""


def check_promises(module: Module, old: Module, changes: Changes, said: str) -> None:
    """Refuse a module in which a loop that changed is no longer what it was marked as.

    What has not changed since ``old`` has been checked already.

    Raises:
        ScheduleError, IllegalScheduleError: with the reason.
    """
    for func, was in changes:
        _check_chains(module, func, was, said)
        _check_independent(module, func, was, said)
        if was is not None:
            _check_parallel(module, func, was, old, said)


# --- overlap -------------------------------------------------------------------------------


def _check_chains(module: Module, func: Func, was: Func | None, said: str) -> None:
    checked = set(_chains(was.body)) if was else set()
    for chain in _chains(func.body):
        if chain in checked:
            continue
        if len(chain) < 2:
            raise ScheduleError(
                f"{said}: loop {chain[0].name!r} runs at the same time as the loop before it "
                "(overlap), and there would be none",
                loc=chain[0].loc,
                allowed="an overlapped loop right after the loops that it runs with",
            )
        for loop in chain:
            if _touched(loop) is None:
                check_no_turn(loop, said)
        if not _apart(module, func, chain):
            check_apart(module, func, chain, said)


def _apart(module: Module, func: Func, chain: _Chain) -> bool:
    """Whether no loop stores to an array that another one uses."""
    root = aliases(module, func).root
    loads: set[Value] = set()
    stores: set[Value] = set()
    for loop in chain:
        touched = _touched(loop) or frozenset()
        mine = {root(array) for array, is_store in touched if is_store}
        read = {root(array) for array, is_store in touched if not is_store}
        if mine & (loads | stores) or read & stores:
            return False
        loads, stores = loads | read, stores | mine
    return True


@lru_cache(maxsize=1 << 12)
def _touched(loop: For) -> frozenset[tuple[Value, bool]] | None:
    """The arrays that a loop uses, and whether it stores; None when it has to be in its turn."""
    ops = list(walk(loop.body))
    if any(isinstance(op, ALONE) for op in ops):
        return None
    return frozenset(
        (op.array, isinstance(op, Store)) for op in ops if isinstance(op, Load | Store)
    )


def _chains(block: Block) -> list[_Chain]:
    """The overlapped loops of a block and of those in it, those that run at once together."""
    if not [nest for nest in nests_of(block) if nest[-1].attrs.overlap]:
        return []
    found: list[_Chain] = []
    chain: list[For] = []
    for op in block:
        found += [chain for region in op.regions() for chain in _chains(region)]
        if isinstance(op, For):
            if not op.attrs.overlap:
                chain = [op]
                continue
            if len(chain) > 1:
                found.pop(found.index(tuple(chain)))
            chain.append(op)
            found.append(tuple(chain))
        elif not isinstance(op, BETWEEN):
            chain = []
    return found


# --- assume_independent --------------------------------------------------------------------


def _check_independent(module: Module, func: Func, was: Func | None, said: str) -> None:
    """Look again at what is assumed of loops that changed: it must not be known to be false.

    What depends on data nobody can check before it is there.
    """
    same = {*was.body} & {*func.body} if was else set()
    for nest in nests_of([part for part in func.body if part not in same]):
        if nest[-1].independent:
            check_still_possible(module, Place(func, nest), said)


# --- parallel ------------------------------------------------------------------------------


def _check_parallel(
    module: Module, func: Func, was: Func, earlier_module: Module, said: str
) -> None:
    """Analyse again the parallel loops that do more than they did.

    Loops that do the same or less, in another order or by new names, keep or lose the mark by the
    rule of the primitive that made them.
    """
    same = {*was.body} & {*func.body}
    nests = _parallel(func.body, same)
    if not nests:
        return
    funcs = {f.name for f in earlier_module.funcs}
    old = {(n[0].attrs.band, n[-1].name): n[-1] for n in _parallel(was.body, same)}
    for nest in nests:
        loop, earlier = nest[-1], old.get((nest[0].attrs.band, nest[-1].name))
        if earlier is None or earlier is loop or _does(loop, funcs) <= _does(earlier, funcs):
            continue
        found = find_violation(module, Place(func, nest), [loop], before, any_order_sums=False)
        if found:
            at_once = "iterations {source} and {sink} of a loop marked parallel would run at once"
            raise illegal(said, at_once, found)


def _parallel(block: Block, but: Set[Op]) -> list[tuple[For, ...]]:
    """The parallel loops of a block but for some parts, each with those around it."""
    nests = nests_of([part for part in block if part not in but])
    return [nest for nest in nests if nest[-1].attrs.parallel]


def _does(loop: For, funcs: set[str]) -> Counter[object]:
    """How often a loop loads, stores, prints and calls in its text.

    Calls of functions that the primitive has just made are no more than what stood there.
    """
    found: Counter[object] = Counter()
    for op in walk(loop.body):
        if isinstance(op, Load | Store):
            found[type(op), op.array] += 1
        elif isinstance(op, Print) or (isinstance(op, Call) and op.callee in funcs):
            found[type(op)] += 1
    return found
