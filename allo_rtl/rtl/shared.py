"""The shared units of a function, and the choice of operands in front of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from allo_rtl.hls.node import WITH_REST, FloatSpec, Kind, Node
from allo_rtl.hls.operators import Division
from allo_rtl.hls.sharing import SharedUnit
from allo_rtl.ir.ops import FloatKind
from allo_rtl.rtl.float_nodes import float_unit
from allo_rtl.rtl.names import Names
from allo_rtl.rtl.trees import balanced
from allo_rtl.rtl.units import Divided, divider, finished, multiply, registered, shape_of


@dataclass
class _Made:
    """The signals of one unit, and who gives it operands when: (condition, operands).

    A divider's ``begin`` is 1 when anybody does; of what it ``divided`` there are results of
    several kinds.
    """

    operands: tuple[Signal, ...]
    result: Value | None = None
    divided: Divided | None = None
    begin: Signal | None = None
    results: dict[tuple[Kind, int], Value] = field(default_factory=dict)
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
        made = self._made[shared]
        made.requests.append((condition, operands))
        return self._quotient(made, node) if made.result is None else made.result

    def _quotient(self, made: _Made, node: Node) -> Value:
        """The quotient or remainder that a divider makes; for each kind once."""
        assert made.divided is not None
        key = node.kind, node.type.bits if node.kind in WITH_REST.values() else 0
        if key not in made.results:
            names = self._names.at(node.loc)
            made.results[key] = finished(self._m, node, made.divided, names)
        return made.results[key]

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
        if isinstance(shared.job, Division):
            begin = names.signal(1, "begin")
            a = names.signal(shape_of(shared.job.left), "numerator")
            b = names.signal(shape_of(shared.job.right), "denominator")
            x, y, go, unit = a, b, begin, shared.unit
            if unit.input_register:
                x, y, go = (registered(self._m, s, names, "chosen") for s in (a, b, begin))
                unit = replace(unit, latency=unit.latency - 1)
            divided = divider(self._m, unit, x, y, go, names)
            return _Made((a, b), divided=divided, begin=begin)
        left, right, width = shared.job
        a = names.signal(shape_of(left), "multiplicand")
        b = names.signal(shape_of(right), "multiplier")
        return _Made((a, b), multiply(self._m, shared.unit, a, b, width, names))

    def build(self) -> None:
        """Connect every request made so far."""
        for unit in self._made.values():
            for k, operand in enumerate(unit.operands):
                self._m.d.comb += operand.eq(_choice(unit.requests, k, operand))
            if unit.begin is not None:
                conditions = [condition for condition, _ in unit.requests]
                self._m.d.comb += unit.begin.eq(balanced(or_, conditions))


def _choice(
    requests: list[tuple[Value, Sequence[Value]]], part: int, like: Signal
) -> Value:
    """The operand of the request that is made, in the shape of the unit's."""
    if len(requests) == 1:
        return requests[0][1][part]
    # Each in the same shape: an OR of numbers of unlike signedness would extend them.
    parts = [Mux(condition, given[part], 0)[: len(like)] for condition, given in requests]
    return balanced(or_, parts)
