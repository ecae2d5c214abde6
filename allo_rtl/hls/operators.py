"""The operator library: how an operation is built for a device and a clock, and its timing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, inf, log2

from allo_rtl.hls import delay
from allo_rtl.hls.delay import DelayModel
from allo_rtl.hls.float_timing import float_timing, limb_of
from allo_rtl.hls.node import DIVISIONS, FloatSpec, Kind, Node, disjoint
from allo_rtl.hls.widths import Shape
from allo_rtl.ir.ops import FloatKind, FloatOp
from allo_rtl.target import Device

_CLASS = {
    Kind.ADD: "add", Kind.SUB: "add", Kind.AND: "logic", Kind.OR: "logic", Kind.XOR: "logic",
    Kind.SHL: "shift", Kind.SHR: "shift", Kind.MIN: "minmax", Kind.MAX: "minmax",
    Kind.EQ: "eq", Kind.NE: "eq", Kind.LT: "cmp", Kind.LE: "cmp", Kind.GT: "cmp",
    Kind.GE: "cmp", Kind.SELECT: "select",
}


@dataclass(frozen=True, slots=True)
class Unit:
    """How one operation is built.

    Attributes:
        latency: cycles from operands to result; 0 is combinational.
        first_ns: logic before the first register, or all of it when latency is 0.
        last_ns: logic after the last register (0 when latency is 0).
        name: what reports call it; "" for what costs nothing.
        limb: multipliers, also of significands: operands are cut into pieces of so many bits; 0
            for uncut.
        levels: multipliers: registered levels of the tree that adds the partial products.
        input_register: operands are registered before the first product, or the first stage.
        steps: dividers: quotient bits made in each stage.
        iterative: dividers: one stage makes all bits in turn, instead of a pipeline of them.
        shared: other operations may use the same one in other cycles.
    """

    latency: int
    first_ns: float
    last_ns: float
    name: str = ""
    limb: int = 0
    levels: int = 0
    input_register: bool = False
    steps: int = 0
    iterative: bool = False
    shared: bool = False

    def at_interval(self, ii: int | None) -> Unit:
        """The unit where operands come every ``ii`` cycles (None: once its result is used).

        A divider is iterative where it is done with one pair of operands before the next comes;
        of a shared one that is decided for all of its users.
        """
        if not self.steps or self.shared or (ii is not None and ii < self.latency - 1):
            return self
        return self.in_turn()

    def in_turn(self) -> Unit:
        """The divider that makes its bits in turn."""
        return replace(self, iterative=True, name=f"iterative {self.name}")

    @property
    def busy(self) -> int:
        """Cycles after which it takes the next operands."""
        return self.latency - 1 if self.iterative else 1


WIRE = Unit(0, 0.0, 0.0)
_ROUNDING = 1e-9

type Product = tuple[Shape, Shape, int]
"""What tells multipliers apart: the shapes of both operands, and the bits of the result."""


@dataclass(frozen=True, slots=True)
class Division:
    """What tells dividers apart: the shapes of the dividend and of the divisor."""

    left: Shape
    right: Shape

    @property
    def width(self) -> int:
        """Bits that are made one after the other."""
        return max(self.left.width, self.right.width)


type Job = Product | Division | FloatSpec
"""What a unit does that may be shared: an integer product or division (quotient, remainder or
both), or a floating-point operation."""

_LARGE_FLOATS = frozenset({
    FloatKind.ADD, FloatKind.SUB, FloatKind.MUL, FloatKind.FMA, FloatKind.DIV, FloatKind.SQRT,
})  # fmt: skip
_NARROW_FLOAT = 8
"""Floating-point units of so many bits are as small as the choice of their operands."""
_NARROW_DIVIDER = 4
"""So are dividers of so many."""


def product_of(node: Node, shapes: Mapping[Node, Shape]) -> Product:
    """The product that a MUL makes."""
    a, b = node.operands
    return shapes[a], shapes[b], shapes[node].width


def job_of(node: Node, shapes: Mapping[Node, Shape]) -> Job | None:
    """What a node's unit does, if it is one that can be shared; differences are sums."""
    if node.kind is Kind.MUL and not any(o.is_const for o in node.operands):
        return product_of(node, shapes)
    if node.kind in DIVISIONS:
        return Division(*(shapes[o] for o in node.operands))
    if node.float is not None and node.float.kind in _LARGE_FLOATS:
        is_sub = node.float.kind is FloatKind.SUB
        return replace(node.float, kind=FloatKind.ADD) if is_sub else node.float
    return None


def unit_name(job: Job) -> str:
    """What a kind of unit is called in limits: ``"mul"``, ``"div"``, or ``"float32 add"``."""
    if isinstance(job, FloatSpec):
        return str(job)
    return "div" if isinstance(job, Division) else "mul"


@dataclass(frozen=True)
class Sharing:
    """Which units of a function have several users.

    Attributes:
        most: of jobs whose units are shared, how many operations may share one.
        limits: how many units of a job there may be, where the user said so.
        product: what all products are made as, where the number of multipliers is limited.
        wider: what a division is made as, where it has a divider that is for others as well.
        in_turn: the divisions whose shared dividers make their bits in turn.
    """

    most: Mapping[Job, int] = field(default_factory=dict)
    limits: Mapping[Job, int] = field(default_factory=dict)
    product: Product | None = None
    wider: Mapping[Division, Division] = field(default_factory=dict)
    in_turn: frozenset[Job] = frozenset()

    def job(self, node: Node, shapes: Mapping[Node, Shape]) -> Job | None:
        """What a node's unit does, if it is one that can be shared."""
        if node.kind is Kind.MUL and self.product:
            return self.product
        job = job_of(node, shapes)
        return self.wider.get(job, job) if isinstance(job, Division) else job

    def users(self, node: Node, shapes: Mapping[Node, Shape]) -> int:
        """How many operations share the node's unit, at most."""
        job = self.job(node, shapes)
        return 1 if job is None else self.most.get(job, 1)

    def is_limited(self, node: Node, shapes: Mapping[Node, Shape]) -> bool:
        """Whether the user said how many units like the node's there may be."""
        return self.job(node, shapes) in self.limits


@dataclass(frozen=True)
class Stretch:
    """How much longer than the model says operations are taken to last.

    ``lines`` has factors of operations of single lines (``file.py:line``), ``everything`` that of
    all; both are multiplied.  Place and route finds them, see :mod:`allo_rtl.boards.closure`.
    """

    lines: Mapping[str, float] = field(default_factory=dict)
    everything: float = 1.0

    def of(self, line: str | None) -> float:
        """The factor for operations of a line."""
        return self.everything * self.lines.get(line or "", 1.0)

    @property
    def longest(self) -> float:
        """The largest factor."""
        return self.everything * max([1.0, *self.lines.values()])


class Operators:
    """Units for a device at a clock.

    Args:
        device: what we build for.
        clock_mhz: the clock the operations are chained for.
        sharing: which units are shared.
        stretch: which operations are taken to last longer than the model says.
        cut_ns: products that take so long in one go are cut, with a register inside, also where
            they fit into a cycle.
    """

    def __init__(
        self, device: Device, clock_mhz: float, sharing: Sharing | None = None,
        stretch: Stretch | None = None, cut_ns: float = inf,
    ) -> None:
        self.sharing = sharing or Sharing()
        self.stretch = stretch or Stretch()
        self.cut_ns = cut_ns
        self.device = device
        self.model: DelayModel = delay.load(device.family)
        self.period_ns = 1000.0 / clock_mhz
        self.budget_ns = self.period_ns - self.model.register_ns
        """Combinational logic that fits between two registers, in ns."""

    def factor(self, node: Node) -> float:
        """How much longer than the model says a node is taken to last."""
        if not self.stretch.lines:
            return self.stretch.everything
        return self.stretch.of(node.loc.short if node.loc else None)

    def unit(self, node: Node, shapes: Mapping[Node, Shape]) -> Unit:
        """How to build a node; memory accesses and inputs are wires here."""
        factor = self.factor(node)
        if self.sharing.is_limited(node, shapes):
            factor = self.stretch.longest  # one unit is for operations of all lines
        if factor == 1.0:
            return self._unit(node, shapes)
        slow = Operators(self.device, 1000.0 / self.period_ns, self.sharing, cut_ns=self.cut_ns)
        slow.budget_ns = self.budget_ns / factor
        unit = slow._unit(node, shapes)
        return replace(unit, first_ns=unit.first_ns * factor, last_ns=unit.last_ns * factor)

    def _unit(self, node: Node, shapes: Mapping[Node, Shape]) -> Unit:
        if node.kind is Kind.MUL:
            return self._multiplier(node, shapes)
        if node.kind in DIVISIONS:
            return self._divider(node, shapes)
        if node.kind is Kind.FLOAT:
            return self._float(node, shapes)
        if node.kind not in _CLASS or self._is_wiring(node):
            return WIRE
        bits = max(shapes[n].width for n in (node, *node.operands))
        kind = _CLASS[node.kind]
        if kind in ("add", "logic", "select"):
            bits = shapes[node].width
        return Unit(0, self.model.delay(kind, bits), 0.0, f"{kind} {bits}")

    def _is_wiring(self, node: Node) -> bool:
        if node.kind in (Kind.SHL, Kind.SHR, Kind.AND):
            return any(o.is_const for o in node.operands)
        return node.kind is Kind.OR and disjoint(*node.operands)

    def _multiplier(self, node: Node, shapes: Mapping[Node, Shape]) -> Unit:
        """The shallowest pipelining whose every stage fits the clock.

        Registers between blocks that make one product would be of no use to open tools, so wide
        products are cut into limbs whose partial products are registered and added in a
        (registered) tree.  Where even such a product takes longer than a cycle, it is cut for the
        smaller blocks that there are.
        """
        left, right, result = self.sharing.product or product_of(node, shapes)
        w1, w2, name = left.width, right.width, f"mul {left.width}x{right.width}"
        kind = "mul_low" if result <= max(w1, w2) else "mul"
        ways = self.sharing.users(node, shapes)
        whole, choice = self.model.delay(kind, max(w1, w2)), self.model.mux(ways, max(w1, w2))
        if whole <= self.budget_ns and ways == 1 and whole < self.cut_ns:
            return Unit(0, whole, 0.0, name)
        # Of a product no wider than its operands all pieces are unsigned, and may fill a block.
        fills = result <= min(w1, w2) and self.device.dsps and not self.model.dsp_signed
        limb = self._limb + bool(fills) if max(w1, w2) > self._limb + 1 else 0
        block = self.model.mul_stage_ns(w1, w2)
        smaller = self.device.dsp_smaller_bits
        if block > self.budget_ns and smaller and max(w1, w2) > smaller:
            limb, block = smaller - 1, self.model.mul_stage_ns(smaller, smaller)
        levels = ceil(log2(_partial_products(w1, w2, result, limb))) if limb else 0
        stage, add = block + choice, self.model.delay("add", result)
        shared = ways > 1
        if stage <= self.budget_ns and levels * add <= self.budget_ns:
            return Unit(1, stage, levels * add, name, limb, shared=shared)
        if stage <= self.budget_ns:
            return Unit(1 + levels, stage, 0.0, name, limb, levels, shared=shared)
        return Unit(2 + levels, choice, 0.0, name, limb, levels, True, shared=shared)

    @property
    def _limb(self) -> int:
        """Bits of the pieces that wide factors are cut into."""
        return max(self.device.dsp_operand_bits) - 1 if self.device.dsps else 8

    def is_costly(self, job: Job) -> bool:
        """Whether a unit costs more than choosing its operands: a multiplier of several blocks."""
        if isinstance(job, FloatSpec):
            return job.format.width > _NARROW_FLOAT
        if isinstance(job, Division):
            return job.width > _NARROW_DIVIDER
        widths = [shape.width for shape in job[:2]]
        return max(widths) > self._limb + 1 and min(widths) > 8

    def variants(self, nodes: Sequence[Node], shapes: Mapping[Node, Shape]) -> list[Operators]:
        """These operators, then such that cut the widest products although they fit into a cycle.

        A whole product may leave too little of its cycle for operations before and behind it; with
        a register inside there may be room for both.  A faster clock has that anyway, and must not
        be ahead of a slower one.  Then those that cut the second widest as well, and so on.
        """
        units = {n: self.unit(n, shapes) for n in nodes if n.kind is Kind.MUL}
        fit = {
            unit.first_ns / self.factor(node)
            for node, unit in units.items()
            if not unit.latency and max(shapes[o].width for o in node.operands) > self._limb + 1
        }
        mhz = 1000.0 / self.period_ns
        cut = (
            Operators(self.device, mhz, self.sharing, self.stretch, ns * (1 - _ROUNDING))
            for ns in sorted(fit, reverse=True)
        )
        return [self, *cut]

    def shared_by(self, sharing: Sharing) -> Operators:
        """The same operators, with units that are shared."""
        return Operators(self.device, 1000.0 / self.period_ns, sharing, self.stretch)

    def float_latency(self, op: FloatOp) -> int:
        """Cycles of the unit of a floating-point operation (of a narrow integer, if of one)."""
        spec = FloatSpec(op.kind, op.format, op.target, op.fraction)
        return float_timing(spec, 0, self.model, self.budget_ns).stages

    def _float(self, node: Node, shapes: Mapping[Node, Shape]) -> Unit:
        """A floating-point unit: its last register holds the result.

        It is shared where the choice of operands leaves its latency what it is: in a sum that is
        added up a cycle more would be lost in every term.  Where the user limits the number of
        units it is shared all the same, with a register behind the choice.
        """
        spec = node.float
        assert spec is not None
        bits = {
            FloatKind.FROM_INT: shapes[node.operands[0]].width,
            FloatKind.TO_INT: node.type.bits,
        }.get(spec.kind, 0)
        timing = float_timing(spec, bits, self.model, self.budget_ns)
        job, ways = job_of(node, shapes), self.sharing.users(node, shapes)
        choice = self.model.mux(ways, spec.format.width)
        first, limb = timing.first_ns + choice, limb_of(self.model)
        if ways > 1 and timing.stages > 0 and first <= self.budget_ns:
            return Unit(timing.stages, first, 0.0, str(job), limb, shared=True)
        if ways > 1 and self.sharing.is_limited(node, shapes):
            last_ns = 0.0 if timing.stages else timing.first_ns
            return Unit(
                timing.stages + 1, choice, last_ns, str(job), limb, input_register=True,
                shared=True,
            )  # fmt: skip
        return Unit(timing.stages, timing.first_ns, 0.0, str(spec), limb)

    def _divider(self, node: Node, shapes: Mapping[Node, Shape]) -> Unit:
        """A restoring divider: one subtraction and choice for each quotient bit."""
        job, ways = self.sharing.job(node, shapes), self.sharing.users(node, shapes)
        assert isinstance(job, Division)
        unit = self._divider_of(job.width, ways)
        return unit.in_turn() if unit.shared and job in self.sharing.in_turn else unit

    def busy(self, job: Job) -> int:
        """Cycles after which a divider that makes its bits in turn takes the next operands; 1 for
        units of other kinds."""
        if not isinstance(job, Division):
            return 1
        return self._divider_of(job.width, 1).in_turn().busy

    def _divider_of(self, width: int, ways: int) -> Unit:
        step = self.model.delay("add", width) + self.model.delay("select", width)
        # Routing makes a chain of carries longer than its parts: place and route says a tenth.
        steps = min(width, max(1, int(0.9 * self.budget_ns / step)))
        sign = self.model.delay("add", width) + self.model.delay("select", width)
        stages = ceil(width / steps)
        choice, name = self.model.mux(ways, width), f"div {width}"
        if choice + sign <= self.budget_ns or ways == 1:
            return Unit(stages + 2, choice + sign, 0.0, name, steps=steps, shared=ways > 1)
        return Unit(stages + 3, choice, 0.0, name, 0, 0, True, steps, shared=True)


def limb_offsets(width: int, limb: int) -> list[int]:
    """Lowest bits of the pieces of a number of ``width`` bits; the topmost may have limb + 1."""
    if not limb:
        return [0]
    return [0, *range(limb, width - 1, limb)]


def _partial_products(w1: int, w2: int, result: int, limb: int) -> int:
    """Products of limbs that reach the low ``result`` bits."""
    return sum(
        a + b < result for a in limb_offsets(w1, limb) for b in limb_offsets(w2, limb)
    )
