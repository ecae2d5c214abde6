"""The shared multipliers of a function, and the choice of operands in front of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

from amaranth.hdl import Const, Module, Mux, Signal, Value

from allo_rtl.hls.node import Node
from allo_rtl.hls.sharing import SharedUnit
from allo_rtl.rtl.units import Namer, multiply, shape_of


@dataclass
class _Multiplier:
    """The signals of one multiplier, and who gives it operands when: (condition, a, b)."""

    a: Signal
    b: Signal
    product: Value
    requests: list[tuple[Value, Value, Value]] = field(default_factory=list)


class Multipliers:
    """Makes each multiplier once.

    Args:
        m: the module to build into.
        assigned: the multiplier of each operation that shares one.
    """

    def __init__(self, m: Module, assigned: Mapping[Node, SharedUnit], names: Namer) -> None:
        self._m = m
        self._assigned = assigned
        self._names = names
        self._made: dict[SharedUnit, _Multiplier] = {}

    def __contains__(self, node: Node) -> bool:
        return node in self._assigned

    def multiply(self, node: Node, condition: Value, a: Value, b: Value) -> Value:
        """The product of the operands of a cycle in which ``condition`` is 1.

        It is there as many cycles later as the unit's latency says.  The schedule guarantees
        that no other operation's condition is 1 in that cycle.
        """
        shared = self._assigned[node]
        if shared not in self._made:
            self._made[shared] = self._make(shared)
        self._made[shared].requests.append((condition, a, b))
        return self._made[shared].product

    def _make(self, shared: SharedUnit) -> _Multiplier:
        left, right, width = shared.product
        a = Signal(shape_of(left), name=self._names("multiplicand"))
        b = Signal(shape_of(right), name=self._names("multiplier"))
        return _Multiplier(a, b, multiply(self._m, shared.unit, a, b, width, self._names))

    def build(self) -> None:
        """Connect every request made so far."""
        for unit in self._made.values():
            for k, operand in ((1, unit.a), (2, unit.b)):
                self._m.d.comb += operand.eq(_choice(unit.requests, k, operand))


def _choice(
    requests: list[tuple[Value, Value, Value]], part: int, like: Signal
) -> Value:
    """The operand of the request that is made, in the shape of the multiplier's."""
    if len(requests) == 1:
        return requests[0][part]
    # Each in the same shape: an OR of numbers of unlike signedness would extend them.
    parts = [Mux(r[0], r[part], 0)[: len(like)] for r in requests]
    return reduce(or_, parts, Const(0, len(like)))
