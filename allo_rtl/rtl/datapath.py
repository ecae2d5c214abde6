"""The datapath of one region: every node in its cycle, with the registers between cycles.

In a region executed once at a time a value that is used later than the cycle it appears in is
kept in one register; in a pipelined loop it travels along a chain of registers, one for each
cycle, because the next iteration's value follows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from amaranth.hdl import Const, Module, Signal, Value

from allo_rtl.hls.node import DIVISIONS, EVENTS, STREAMS, Kind, Node
from allo_rtl.hls.op_schedule import OpSchedule
from allo_rtl.hls.region import Region
from allo_rtl.hls.streams import End, blocking, end_of
from allo_rtl.hls.widths import Shape
from allo_rtl.ir.ops import Value as IrValue
from allo_rtl.rtl.events import Events
from allo_rtl.rtl.float_nodes import float_unit
from allo_rtl.rtl.memory import Memories
from allo_rtl.rtl.names import Names, located, marked
from allo_rtl.rtl.shared import SharedUnits
from allo_rtl.rtl.streams import Island
from allo_rtl.rtl.units import combinational, divide, multiply, shape_of


class Datapath:
    """Builds the signals of one region.

    Args:
        m: the module to build into.
        active: for each cycle of the region, whether an iteration is in it.
        inputs: the signal of a value held outside the region (or of a loop counter).
        overlapped: whether iterations overlap (a pipelined loop).
        island: what streams are used through, in a function that uses any.
        taken: the words of leading gets, in the cycle in which their iteration starts.
    """

    def __init__(
        self,
        m: Module,
        region: Region,
        schedule: OpSchedule,
        active: Sequence[Value],
        inputs: Callable[[IrValue], Value],
        memories: Memories,
        shared: SharedUnits,
        events: Events,
        names: Names,
        overlapped: bool,
        island: Island | None = None,
        taken: Mapping[Node, Value] | None = None,
    ) -> None:
        self._m = m
        self._schedule = schedule
        self._active = active
        self._inputs = inputs
        self._memories = memories
        self._shared = shared
        self._events = events
        self._names = names
        self._overlapped = overlapped
        self._made: dict[Node, Value] = {}
        self._kept: dict[tuple[Node, int], Signal] = {}
        self._island = island
        self._taken = taken or {}
        if island is not None:
            island.plan(_together(region.nodes(), schedule))
        for node in region.nodes():
            self._build(node)
        for node, (source, distance) in region.carried.items():
            self._carry(node, source, distance)

    def _carry(self, node: Node, source: Node, distance: int) -> None:
        """Connect a node to what another made so many iterations before."""
        interval = self._schedule.ii
        assert interval is not None
        now = self.at(source, self._schedule.start[node] + distance * interval)
        self._m.d.comb += self._made[node].eq(now)

    def at(self, node: Node, cycle: int) -> Value:
        """The node's value in a cycle of the region, no earlier than it is ready."""
        if node.is_free or node in self._schedule.stable:
            return self._made[node]
        ready = self._schedule.ready[node]
        assert cycle >= ready, f"{node} is used in cycle {cycle}, before {ready}"
        if cycle == ready:
            return self._made[node]
        return self._delayed(node, cycle) if self._overlapped else self.held(node)

    def held(self, node: Node) -> Value:
        """The register that keeps a node's value until the region runs again."""
        ready = self._schedule.ready[node]
        key = (node, ready + 1)
        if key not in self._kept:
            self._kept[key] = register = self._register_like(node)
            with self._m.If(self._active[ready]):
                self._m.d.sync += register.eq(self._made[node])
        return self._kept[key]

    def _delayed(self, node: Node, cycle: int) -> Value:
        key = (node, cycle)
        if key not in self._kept:
            before = self.at(node, cycle - 1)
            self._kept[key] = register = self._register_like(node)
            self._m.d.sync += register.eq(before)
        return self._kept[key]

    def _register_like(self, node: Node) -> Signal:
        value = self._made[node]
        register = Signal(value.shape(), name=self._names(f"{_label(node)}_q"), reset_less=True)
        return located(register, node.loc)

    def _build(self, node: Node) -> None:
        start = self._schedule.start[node]
        match node.kind:
            case Kind.CONST:
                self._made[node] = self._constant(node)
            case Kind.INPUT | Kind.COUNTER:
                assert node.source is not None
                self._made[node] = self._inputs(node.source)
            case Kind.CARRIED:
                shape = shape_of(self._schedule.shapes[node])
                self._made[node] = Signal(shape, name=self._names(f"{node.name}_carried"))
            case Kind.REG_READ:
                assert node.bank is not None
                self._made[node] = self._memories.register(node.bank)
            case Kind.READ:
                assert node.bank is not None
                address, *enable = (self.at(o, start) for o in node.operands)
                condition = self._active[start] & enable[0] if enable else self._active[start]
                word = self._memories.read_of(node, condition, address)
                self._made[node] = self._signal(node, word)
            case Kind.WRITE | Kind.REG_WRITE:
                self._write(node, start)
            case Kind.LAST:
                self._made[node] = self._signal(node, self.at(node.operands[0], start))
            case kind if kind in EVENTS:
                *args, enable = (self.at(o, start) for o in node.operands)
                self._events.add(self._m, node, self._condition(start, enable), args)
            case kind if kind in STREAMS:
                self._stream(node, start)
            case _:
                operands = [self.at(o, start) for o in node.operands]
                self._made[node] = self._compute(node, operands)

    def _condition(self, start: int, enable: Value) -> Value:
        """Whether something happens in the cycle ``start`` of an iteration, and not yet again."""
        condition = self._active[start] & enable
        return condition if self._island is None else condition & self._island.advance

    def _stream(self, node: Node, start: int) -> None:
        island, op = self._island, node.stream
        assert island is not None
        assert op is not None
        operands = [self.at(o, start) for o in node.operands]
        match node.kind:
            case Kind.GET if node in self._taken:
                self._made[node] = self._signal(node, self._taken[node])
            case Kind.GET:
                word = island.get(node, self._active[start] & operands[0])
                self._made[node] = self._signal(node, word)
            case Kind.PUT:
                island.put(node, self._active[start] & operands[1], operands[0])
            case Kind.PEEK:
                self._made[node] = self._signal(node, island.streams.source(op.stream).data)
                for place in operands[1:]:
                    island.streams.look_at(op.stream, self._active[start], place)
            case Kind.ASK:
                streams, stream = island.streams, op.stream
                reads = end_of(op) is End.READ
                island.look(node)
                can = streams.source(stream).valid if reads else streams.sink(stream).ready
                self._made[node] = answer = Signal(name=self._names(f"{node.name}_answer"))
                self._m.d.sync += answer.eq(can)

    def _constant(self, node: Node) -> Const:
        shape = self._schedule.shapes[node]
        return Const(node.value, shape_of(shape))

    def _write(self, node: Node, start: int) -> None:
        assert node.bank is not None
        *place, data, enable = (self.at(o, start) for o in node.operands)
        condition = self._active[start]
        if not node.operands[-1].is_const:
            condition = condition & enable
        address = place[0] if place else Const(0, 1)
        self._memories.write_of(node, condition, address, data)

    def _compute(self, node: Node, operands: list[Value]) -> Value:
        shape, unit = self._schedule.shapes[node], self._schedule.units[node]
        names = self._names.at(node.loc)
        if node.kind is Kind.CAST and (same := _resized(operands[0], shape)) is not None:
            return same
        if node in self._shared:
            begin = self._active[self._schedule.start[node]]
            value = self._shared.result(node, begin, operands)
        elif node.kind is Kind.MUL:
            value = multiply(self._m, unit, operands[0], operands[1], shape.width, names)
        elif node.kind is Kind.FLOAT:
            assert node.float is not None
            value = float_unit(self._m, node.float, node.type, unit, operands, names)
        elif node.kind in DIVISIONS:
            begin = self._active[self._schedule.start[node]]
            a, b = operands
            value = divide(self._m, node, unit, a, b, begin, names)
        else:
            value = combinational(node, operands, shape.width)
        return self._signal(node, value)

    def _signal(self, node: Node, value: Value) -> Signal:
        shape = shape_of(self._schedule.shapes[node])
        signal = located(Signal(shape, name=self._names(_label(node))), node.loc)
        self._m.d.comb += signal.eq(marked(value, signal))
        return signal


def _together(nodes: Sequence[Node], schedule: OpSchedule) -> list[list[Node]]:
    """The blocking operations that may fall in one cycle, those of older iterations first."""
    groups: dict[int, list[Node]] = {}
    for node in blocking(nodes, pipelined=schedule.ii is not None):
        cycle = schedule.start[node]
        groups.setdefault(cycle % schedule.ii if schedule.ii else cycle, []).append(node)
    return [sorted(g, key=lambda n: (-schedule.start[n], n.order)) for g in groups.values()]


def _label(node: Node) -> str:
    """What to call a node's signal: its name, or its operation and source line."""
    while node.kind is Kind.CAST:
        node = node.operands[0]
    if node.name:
        return node.name
    kind = node.float.kind.value if node.float else node.kind.value
    return f"{kind}_line{node.loc.line}" if node.loc else f"{kind}_index"


def _resized(value: Value, shape: Shape) -> Value | None:
    """The low bits of a value in a shape, as wires; None when it has to be extended."""
    if shape.width > len(value):
        return None
    low = value[: shape.width]
    return low.as_signed() if shape.signed else low
