"""The shared units of a function, and the choice of operands in front of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from allo_rtl.hls.node import FloatSpec, Node
from allo_rtl.hls.sharing import SharedUnit
from allo_rtl.ir.ops import FloatKind
from allo_rtl.rtl.float_nodes import float_unit
from allo_rtl.rtl.names import Names
from allo_rtl.rtl.trees import balanced
from allo_rtl.rtl.units import multiply, registered, shape_of


@dataclass
class _Made:
    """The signals of one unit, and who gives it operands when: (condition, operands)."""

    operands: tuple[Signal, ...]
    result: Value
    requests: list[tuple[Value, Sequence[Value]]] = field(default_factory=list)


class SharedUnits:
    """Makes each unit once.

    Args:
        m: the module to build into.
        assigned: the unit of each operation that shares one.
    """

    def __init__(self, m: Module, assigned: Mapping[Node, SharedUnit], names: Names) -> None:
        self._m = m
        self._assigned = assigned
        self._names = names
        self._made: dict[SharedUnit, _Made] = {}

    def __contains__(self, node: Node) -> bool:
        return node in self._assigned

    def result(self, node: Node, condition: Value, operands: Sequence[Value]) -> Value:
        """What the unit makes of the operands of a cycle in which ``condition`` is 1.

        It is there as many cycles later as the unit's latency says.  The schedule guarantees
        that no other operation's condition is 1 in that cycle.
        """
        shared = self._assigned[node]
        if shared not in self._made:
            self._made[shared] = self._make(shared, node)
        if node.float is not None:
            operands = [x[: node.float.format.width] for x in operands]
            if node.float.kind is FloatKind.SUB:
                operands = [operands[0], self._negative(operands[1], node.float.format.width)]
        else:
            operands = self._widened(self._made[shared], operands)
        self._made[shared].requests.append((condition, operands))
        return self._made[shared].result

    def _widened(self, made: _Made, operands: Sequence[Value]) -> list[Value]:
        """Numbers in the shapes of the unit's, which may be made for wider ones."""
        found: list[Value] = []
        for given, like in zip(operands, made.operands, strict=True):
            if given.shape() == like.shape():
                found.append(given)
                continue
            wide = self._names.signal(like.shape(), "factor")
            self._m.d.comb += wide.eq(given)
            found.append(wide)
        return found

    def _negative(self, pattern: Value, width: int) -> Value:
        """The number of the other sign: a difference is the sum with it."""
        whole = self._names.signal(width, "subtrahend")
        self._m.d.comb += whole.eq(pattern)
        return Cat(whole[:-1], ~whole[-1])

    def _make(self, shared: SharedUnit, node: Node) -> _Made:
        names = self._names.at(node.loc)
        if isinstance(shared.job, FloatSpec):
            width, unit = shared.job.format.width, shared.unit
            operands = tuple(names.signal(width, "term") for _ in node.operands)
            given: list[Value] = list(operands)
            if unit.input_register:
                given = [registered(self._m, x, names, "term") for x in operands]
                unit = replace(unit, latency=unit.latency - 1)
            made = float_unit(self._m, shared.job, node.type, unit, given, names)
            return _Made(operands, made)
        left, right, width = shared.job
        a = names.signal(shape_of(left), "multiplicand")
        b = names.signal(shape_of(right), "multiplier")
        return _Made((a, b), multiply(self._m, shared.unit, a, b, width, names))

    def build(self) -> None:
        """Connect every request made so far."""
        for unit in self._made.values():
            for k, operand in enumerate(unit.operands):
                self._m.d.comb += operand.eq(_choice(unit.requests, k, operand))


def _choice(
    requests: list[tuple[Value, Sequence[Value]]], part: int, like: Signal
) -> Value:
    """The operand of the request that is made, in the shape of the unit's."""
    if len(requests) == 1:
        return requests[0][1][part]
    # Each in the same shape: an OR of numbers of unlike signedness would extend them.
    parts = [Mux(condition, given[part], 0)[: len(like)] for condition, given in requests]
    return balanced(or_, parts)
