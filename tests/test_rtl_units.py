"""Arithmetic units in Amaranth's simulator: every operator, width, sign and pipelining."""

import random
import re
from itertools import pairwise

import pytest
from amaranth.hdl import ClockDomain, Const, Module, Signal, signed, unsigned
from amaranth.sim import Simulator

import allo_rtl as allo
from allo_rtl.hls.fold import apply
from allo_rtl.hls.graph import Graph, signed_digits
from allo_rtl.hls.node import DIVISIONS, WITH_REST, Kind, Node
from allo_rtl.hls.operators import Operators, Stretch, Unit
from allo_rtl.hls.ranges import result_range
from allo_rtl.hls.widths import Shape, range_shape
from allo_rtl.ir.arithmetic import eval_binary, eval_compare
from allo_rtl.ir.ops import BinaryKind, Predicate
from allo_rtl.ir.types import Index, Int, UInt
from allo_rtl.rtl.names import Names
from allo_rtl.rtl.units import combinational, divide, multiply
from allo_rtl.target import device

BINARY = [Kind(k.value) for k in BinaryKind]
COMPARE = [Kind(p.value) for p in Predicate]


def source(type, interval=None):
    return Node(Kind.INPUT, type, (), interval or (type.min, type.max))


def amaranth_shape(shape: Shape):
    return signed(shape.width) if shape.signed else unsigned(shape.width)


def result_type(kind, type):
    """A node that makes a quotient and a remainder has the bits of both."""
    if kind in COMPARE:
        return UInt(1)
    return UInt(2 * type.bits) if kind in WITH_REST.values() else type


def expected(kind, type, a, b):
    if kind in WITH_REST.values():
        return apply(kind, result_type(kind, type), (a, b))
    if kind in COMPARE:
        return eval_compare(Predicate(kind.value), a, b)
    return eval_binary(BinaryKind(kind.value), type, a, b)


def simulate(m, inputs, output, latency, pairs):
    """Outputs of a unit for pairs of operands given one a cycle."""
    found = []

    async def bench(ctx):
        for a, b in [*pairs, *[pairs[-1]] * latency]:
            ctx.set(inputs[0], a)
            ctx.set(inputs[1], b)
            if latency:
                await ctx.tick()
            else:
                await ctx.delay(1e-9)
            found.append(ctx.get(output))

    simulator = Simulator(m)
    if latency:
        simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found[latency - 1 :][: len(pairs)] if latency else found[: len(pairs)]


def check_unit(kind, type, ranges, pairs, unit):
    a, b = (source(type, r) for r in ranges)
    result = result_type(kind, type)
    node = Node(kind, result, (a, b), result_range(kind, result, [a.range, b.range]))
    m = Module()
    m.domains.sync = ClockDomain()
    x, y = (Signal(amaranth_shape(range_shape(n.range))) for n in (a, b))
    shape = range_shape(node.range)
    out = Signal(amaranth_shape(shape))
    if kind is Kind.MUL:
        value = multiply(m, unit, x, y, shape.width, Names())
    elif kind in DIVISIONS:
        value = divide(m, node, unit, x, y, Const(1), Names())
    else:
        value = combinational(node, [x, y], shape.width)
    m.d.comb += out.eq(value)
    latency = unit.latency
    got = simulate(m, (x, y), out, latency, pairs)
    assert got == [expected(kind, type, p, q) for p, q in pairs]


@pytest.mark.parametrize("kind", [k for k in BINARY if k not in DIVISIONS] + COMPARE)
@pytest.mark.parametrize("type", [Int(4), UInt(4), Int(1), UInt(1), Int(3), UInt(5)], ids=str)
def test_combinational_units_on_all_operands(kind, type):
    every = range(type.min, type.max + 1)
    full = (type.min, type.max)
    check_unit(kind, type, (full, full), [(a, b) for a in every for b in every], Unit(0, 0, 0))


@pytest.mark.parametrize("kind", sorted(DIVISIONS, key=lambda k: k.value))
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("type", [Int(4), UInt(4), Int(1), UInt(1)], ids=str)
def test_dividers_on_all_operands(kind, steps, type):
    every = range(type.min, type.max + 1)
    full = (type.min, type.max)
    latency = -(-type.bits // steps) + 2
    unit = Unit(latency, 0, 0, steps=steps)
    check_unit(kind, type, (full, full), [(a, b) for a in every for b in every], unit)


@pytest.mark.parametrize("kind", sorted(DIVISIONS, key=lambda k: k.value))
def test_dividers_of_numbers_narrower_than_their_type(kind):
    ranges = ((-20, 90), (-3, 5))
    pairs = [(a, b) for a in range(-20, 91, 7) for b in range(-3, 6)]
    check_unit(kind, Int(32), ranges, pairs, Unit(8 + 2, 0, 0, steps=1))


def in_turn(kind, types, unit, pairs):
    """Results of an iterative divider that gets a pair as soon as it may, and noise between."""
    m = Module()
    m.domains.sync = ClockDomain()
    x, y = (Signal(amaranth_shape(range_shape((t.min, t.max)))) for t in types)
    result = result_type(kind, types[0])
    begin, out = Signal(), Signal(amaranth_shape(range_shape((result.min, result.max))))
    node = Node(kind, result, tuple(source(t) for t in types), (result.min, result.max))
    m.d.comb += out.eq(divide(m, node, unit, x, y, begin, Names()))
    interval, found = unit.latency - 1, []

    async def bench(ctx):
        for cycle in range(interval * len(pairs) + 2):
            a, b = pairs[cycle // interval] if cycle < interval * len(pairs) else (1, 1)
            first = cycle % interval == 0
            ctx.set(begin, int(first))
            ctx.set(x, a if first else 5)
            ctx.set(y, b if first else 1)
            if cycle >= unit.latency and (cycle - unit.latency) % interval == 0:
                found.append(ctx.get(out))
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


@pytest.mark.parametrize("kind", sorted(DIVISIONS, key=lambda k: k.value))
@pytest.mark.parametrize("types", [(Int(4), Int(4)), (UInt(5), UInt(5)), (Int(70), Int(70))])
@pytest.mark.parametrize("steps", [1, 3])
def test_iterative_dividers(kind, types, steps):
    type = types[0]
    latency = -(-type.bits // steps) + 2
    unit = Unit(latency, 0, 0, name="div", steps=steps).at_interval(latency - 1)
    assert unit.name == "iterative div"
    pairs = spots(type, 10, 4)
    found = in_turn(kind, types, unit, pairs)
    assert found == [expected(kind, type, a, b) for a, b in pairs[: len(found)]]
    assert len(found) == len(pairs)


def test_a_divider_is_iterative_where_its_operands_come_seldom_enough():
    unit = Unit(10, 0, 0, name="div 8", steps=1)
    assert unit.at_interval(None).iterative
    assert unit.at_interval(9).iterative
    assert unit.at_interval(8) is unit


def spots(type, count, seed):
    dice = random.Random(seed)
    corners = [type.min, type.max, 0, 1, type.wrap(-1), type.min + 1, type.max // 2]
    numbers = corners + [dice.randint(type.min, type.max) for _ in range(count)]
    return [(a, b) for a in corners for b in corners] + list(
        zip(numbers, reversed(numbers), strict=True)
    )


@pytest.mark.parametrize("type", [Int(32), UInt(32), Int(17), UInt(18), Int(19), Int(64)], ids=str)
@pytest.mark.parametrize(
    "unit",
    [Unit(0, 0, 0), Unit(1, 0, 0), Unit(1, 0, 0, limb=17), Unit(3, 0, 0, limb=17, levels=2),
     Unit(2, 0, 0, input_register=True), Unit(4, 0, 0, limb=15, levels=2, input_register=True)],
    ids=["whole", "registered", "limbs", "tree", "inputs", "all"],
)
def test_multipliers(type, unit):
    full = (type.min, type.max)
    check_unit(Kind.MUL, type, (full, full), spots(type, 60, type.bits), unit)


@pytest.mark.parametrize("type", [Int(32), UInt(33), Int(64), UInt(100)], ids=str)
@pytest.mark.parametrize("kind", [Kind.SHL, Kind.SHR])
def test_wide_shifts(kind, type):
    dice = random.Random(1)
    pairs = [(dice.randint(type.min, type.max), n % (type.max + 1)) for n in range(0, 130)]
    pairs += [(a, b) for a, b in spots(type, 20, 2)]
    full = (type.min, type.max)
    check_unit(kind, type, (full, full), pairs, Unit(0, 0, 0))


@pytest.mark.parametrize("family", ["ecp5-85", "ice40-up5k", "gw1n-9", "ice40-hx8k"])
@pytest.mark.parametrize("clock", [10, 50, 100, 200])
def test_a_chosen_multiplier_has_the_latency_it_promises(family, clock):
    operators = Operators(device(family), clock)
    for type in (Int(8), UInt(18), Int(32), UInt(40), Int(64)):
        a, b = source(type), source(type)
        node = Node(Kind.MUL, type, (a, b), (type.min, type.max))
        shapes = {n: range_shape(n.range) for n in (a, b, node)}
        unit = operators.unit(node, shapes)
        full = (type.min, type.max)
        check_unit(Kind.MUL, type, (full, full), spots(type, 10, 3), unit)


def test_signed_digits_are_few_and_add_up():
    for value in range(-300, 3000):
        digits = signed_digits(value)
        assert sum(sign << shift for shift, sign in digits) == value
        places = sorted(shift for shift, _ in digits)
        assert all(b - a > 1 for a, b in pairwise(places))


def test_a_condition_that_is_known_is_not_asked_again():
    """A chain of conditional moves stays one choice deep, however long it is."""
    graph, bit, type = Graph(), UInt(1), UInt(8)
    condition, (first, second, third) = source(bit), (source(type) for _ in range(3))
    inner = graph.select(condition, first, second)
    assert graph.select(condition, inner, third) is graph.select(condition, first, third)
    assert graph.select(condition, third, inner) is graph.select(condition, third, second)
    assert graph.select(condition, first, inner) is inner
    assert graph.select(condition, inner, second) is inner
    assert graph.select(condition, inner, graph.select(condition, third, second)) is inner
    assert graph.select(source(bit), inner, third).operands[1] is inner


def test_divisions_by_constants_are_exact():
    graph = Graph()
    for divisor in (3, 5, 7, 10, 12, 100, 1000):
        for low, high in ((0, 5000), (-700, 900), (17, 60000)):
            a = Node(Kind.INPUT, Index(), (), (low, high))
            node = graph.make(Kind.FLOORDIV, Index(), a, graph.const(divisor, Index()))
            assert node.kind is not Kind.FLOORDIV
            near = range(low, min(high, low + 3 * divisor))
            for number in (low, high, *range(low, high, 97), *near):
                assert value_of(node, {a: number}) == number // divisor


def value_of(node, env):
    if node in env:
        return env[node]
    if node.is_const:
        return node.value
    return apply(node.kind, node.type, [value_of(o, env) for o in node.operands])


def test_products_that_a_block_is_too_slow_for_are_cut_for_smaller_ones():
    """On GW1N a block of 18 bits and its wires take 15.2 ns, half a block 12.9 ns."""
    type = Int(32)
    a, b = source(type), source(type)
    node = Node(Kind.MUL, type, (a, b), (type.min, type.max))
    shapes = {n: range_shape(n.range) for n in (a, b, node)}
    limbs = [Operators(device("gw1n-9"), clock).unit(node, shapes).limb for clock in (60, 75)]
    assert limbs == [18, 8]
    slow = Operators(device("gw1n-9"), 60, stretch=Stretch({}, 1.2))
    assert slow.unit(node, shapes).limb == 8
    assert Operators(device("ecp5-85"), 200).unit(node, shapes).limb == 18


def cube(x: Int(32)[4], d: Int(16)[4], y: Int(32)[4], q: Int(16)[4]):
    for i in range(4):
        y[i] = x[i] * x[i] * x[i]
        q[i] = d[i] / (d[i] + 1)


@pytest.mark.parametrize("base", ["product", "sum", "dividend", "rest"])
def test_registers_inside_of_units_tell_the_line(base):
    """Place and route says by them where a path is."""
    s = allo.customize(cube)
    s.pipeline("i")
    text = s.build(target="rtl", device="ecp5-85", clock_mhz=180).verilog
    first = cube.__code__.co_firstlineno
    line = first + 2 if base in ("product", "sum") else first + 3
    found = re.findall(rf'\(\* src = "(.*?)" \*\)\n +reg (?:\[.*?\] )?{base}(?:_\d+)? ', text)
    assert found
    assert set(found) == {f"test_rtl_units.py:{line}"}
