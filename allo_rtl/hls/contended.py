"""Arrays of which processes of a region use one element at once, some of them to store to it.

Values that go through streams say when one is done with an element, and another may use it
(:mod:`allo_rtl.ir.races`, :mod:`allo_rtl.ir.tasks`).  So what a process knows of such an array ends
where it puts or takes a value: a word may be another one after that, and what it has stored may
have been read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from allo_rtl.ir.ops import Block, Call, Func, Load, Module, Store, Value
from allo_rtl.ir.parts import root, views
from allo_rtl.ir.races import meetings
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.stream_ops import STREAM_OPS


def contended(module: Module) -> Mapping[str, frozenset[int]]:
    """Of each function, by name: the numbers of the arguments that are such arrays.

    Functions come after those that they call.
    """
    found: dict[str, set[int]] = {f.name: set() for f in module.funcs}
    for func in reversed(module.funcs):
        parts = views(func.body)
        given = {func.args[k] for k in found[func.name]}
        own = _meeting(module, func) if func.dataflow else {}
        for call in (op for op in walk(func.body) if isinstance(op, Call)):
            arrays = given | own.get(call, set())
            found[call.callee] |= {
                k for k, arg in enumerate(call.args) if root(arg, parts) in arrays
            }
    return {name: frozenset(numbers) for name, numbers in found.items()}


def _meeting(module: Module, region: Func) -> Mapping[Call, set[Value]]:
    """Of each process of a region the arrays of which another one uses an element, too."""
    found: dict[Call, set[Value]] = {}
    for one, other, race in meetings(module, region):
        for call in (one, other):
            found.setdefault(call, set()).add(race.array)
    return found


def may_change(block: Block, arrays: Collection[Value]) -> bool:
    """Whether something of what a block finds in contended arrays may change on the way."""
    ops = list(walk(block))
    accessed: Iterable[Value] = (op.array for op in ops if isinstance(op, Load | Store))
    return any(a in arrays for a in accessed) and any(isinstance(op, STREAM_OPS) for op in ops)
