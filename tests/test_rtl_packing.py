"""Two products of a kernel with a factor in common, put into one multiplier by the build."""

import json
import random
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from agreement import check, in_amaranth, run
from amaranth.back import rtlil
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.boards import synthesis
from allo_rtl.boards.closure import close
from allo_rtl.boards.scripts import after_read
from allo_rtl.boards.toolchain import run_commands
from allo_rtl.hls.control import Straight
from allo_rtl.hls.fold import apply
from allo_rtl.hls.graph import Graph
from allo_rtl.hls.node import Kind, Node
from allo_rtl.hls.operators import Operators
from allo_rtl.hls.packing import packed_region, pairs_of
from allo_rtl.hls.region import Region
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import Int, UInt, int4, int8, int16, int32, uint4, uint8
from allo_rtl.sim.reference import ReferenceModule
from allo_rtl.target import device as find_device

ECP5 = {"device": "ecp5-85", "clock_mhz": 60}
ULTRASCALE = {"device": "ultrascale+", "clock_mhz": 200}
SIGNS = list(product((Int, UInt), repeat=3))


def packed(schedule, pairs, simulator="pysim", **options):
    """The hardware of a schedule that has so many packed pairs, compared with all other builds."""
    options = {**ECP5, **options}
    rtl = check(schedule, simulator=simulator, pack_products=True, **options)
    assert sum(len(f.pairs) for f in rtl.design.functions) == pairs
    return rtl


def multipliers(rtl):
    """How many multipliers of the design there are."""
    return sum(n for name, n in rtl.report().units if name.startswith("mul"))


def pipelined(kernel, loop="i"):
    s = allo.customize(kernel)
    s.pipeline(loop)
    return s


# The nodes


def made(types, device="ultrascale+", wide=None):
    """(factors x, a and b, the region of a*x and b*x packed); ``wide`` is the products' type."""
    graph = Graph()
    inputs = [Node(Kind.INPUT, t, (), (t.min, t.max), source=Value(t)) for t in types]
    wide = wide or Int(64)
    x, a, b = (graph.cast(n, wide) for n in inputs)
    products = [graph.make(Kind.MUL, wide, f, x) for f in (a, b)]
    region = Region((), {Value(wide): p for p in products})
    [pair] = pairs_of(Straight(region), Operators(find_device(device), 100.0))
    new, _ = packed_region(region, [pair])
    assert sum(n.kind is Kind.MUL for n in new.nodes()) == 1
    return inputs, new


def values(region, known):
    """The number of each node, within its interval."""
    for node in region.nodes():
        if node not in known:
            operands = [known[o] for o in node.operands]
            known[node] = node.value if node.is_const else apply(node.kind, node.type, operands)
        assert node.range[0] <= known[node] <= node.range[1], node
    return known


@pytest.mark.parametrize("signs", SIGNS)
def test_the_nodes_on_all_operands_of_four_bits(signs):
    types = [sign(4) for sign in signs]
    inputs, region = made(types, "ecp5-85")
    for x, a, b in product(*(range(t.min, t.max + 1) for t in types)):
        known = values(region, dict(zip(inputs, (x, a, b), strict=True)))
        assert [known[n] for n in region.outputs.values()] == [a * x, b * x]


def test_products_that_are_wrapped():
    """Numbers as other tools' modules may have them: the product is no wider than its factors."""
    types = [Int(4), Int(4), Int(4)]
    inputs, region = made(types, "ecp5-85", Int(4))
    assert all(n.type == Int(4) for n in region.outputs.values())
    for x, a, b in product(range(-8, 8), repeat=3):
        known = values(region, dict(zip(inputs, (x, a, b), strict=True)))
        found = [known[n] for n in region.outputs.values()]
        assert found == [Int(4).wrap(a * x), Int(4).wrap(b * x)]


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(2, 8), st.integers(2, 8), st.integers(2, 8)),
    st.sampled_from(SIGNS), st.data(),
)
def test_the_nodes_on_numbers_of_any_width(widths, signs, data):
    types = [sign(width) for sign, width in zip(signs, widths, strict=True)]
    inputs, region = made(types)
    ends = st.tuples(*(st.sampled_from([t.min, t.max, 0, -1 & t.max, 1]) for t in types))
    anything = st.tuples(*(st.integers(t.min, t.max) for t in types))
    for x, a, b in data.draw(st.lists(st.one_of(ends, anything), min_size=10)):
        known = values(region, dict(zip(inputs, (x, a, b), strict=True)))
        assert [known[n] for n in region.outputs.values()] == [a * x, b * x]


# The hardware


def two_products(types, count, results=int16):
    """A kernel that multiplies numbers of one array by those of two others."""
    tx, ta, tb = types

    def both(x: tx[count], a: ta[count], b: tb[count], P: results[count], Q: results[count]):
        for i in range(count):
            P[i] = x[i] * a[i]
            Q[i] = b[i] * x[i]

    return pipelined(both)


@pytest.mark.parametrize("signs", SIGNS)
def test_the_multiplier_on_all_operands_of_three_and_four_bits(signs):
    """All 1,024 triples; those of (4, 4, 4) are in the long tests."""
    every_triple([sign(width) for sign, width in zip(signs, (4, 3, 3), strict=True)])


@pytest.mark.long
@pytest.mark.parametrize("signs", SIGNS)
def test_the_multiplier_on_all_operands_of_four_bits(signs):
    every_triple([sign(4) for sign in signs])


def every_triple(types):
    triples = list(product(*(range(t.min, t.max + 1) for t in types)))
    s = two_products(types, len(triples))
    args = [np.array(column, object) for column in zip(*triples, strict=True)]
    args += [np.array([0] * len(triples), object)] * 2
    expected = run(ReferenceModule(legalize(s.module)).run_raw, s.module, args)
    rtl = s.build(target="rtl", pack_products=True, **ECP5)
    assert multipliers(rtl) == 1
    in_amaranth(rtl, s.module, [(args, expected)])
    assert expected.args[3] == [x * a for x, a, _ in triples]
    assert expected.args[4] == [x * b for x, _, b in triples]


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.tuples(st.integers(2, 10), st.integers(2, 10), st.integers(2, 10)),
    st.sampled_from(SIGNS), st.sampled_from([int4, int8, int16, int32, UInt(5)]),
    st.sampled_from(["ecp5-85", "ice40-up5k", "gw1n-9", "ultrascale+"]),
    st.sampled_from([30, 150]),
)
def test_random_widths(widths, signs, results, device, clock_mhz):
    types = [sign(width) for sign, width in zip(signs, widths, strict=True)]
    check(
        two_products(types, 12, results), simulator="pysim", device=device, clock_mhz=clock_mhz,
        pack_products=True,
    )  # fmt: skip


def random_products(dice):
    """A kernel of products of a few numbers, of each other, and of words of a memory."""
    types = [f"{dice.choice(['int', 'uint'])}{dice.choice([3, 4, 5])}" for _ in range(4)]
    args = ", ".join(f"{n}: {t}[6]" for n, t in zip("abcd", types, strict=True))
    lines = [f"def kernel({args}, M: int4[8], R: int32[6]):", "    for i in range(6):"]
    factors, products = ["a[i]", "b[i]", "c[i]", "d[i]", "M[i & 7]"], []
    for n in range(dice.randint(3, 8)):
        x, y = dice.choice(factors + products), dice.choice(factors + products)
        products.append(f"p{n}")
        lines.append(f"        p{n}: {dice.choice(['int4', 'uint4', 'int9', 'int16'])} = {x} * {y}")
        if dice.random() < 0.3:
            lines.append(f"        M[{dice.choice(['i', '(p0 & 7)', '7 - i'])}] = p{n}")
    lines.append(f"        R[i] += {' + '.join(products)}")
    return allo.customize("\n".join(lines))


def random_kernels_agree(seeds):
    """Checks kernels; gives how many of them have packed products."""
    count = 0
    for seed in seeds:
        dice = random.Random(seed)
        s = random_products(dice)
        if seed % 4:
            s.pipeline("i")
        if seed % 2:
            s.partition("M")
        rtl = check(
            s, simulator="pysim", pack_products=True, clock_mhz=dice.choice([20, 60, 120]),
            device=dice.choice(["ecp5-85", "ultrascale+"]),
        )  # fmt: skip
        count += any(f.pairs for f in rtl.design.functions)
    return count


def test_random_kernels():
    assert random_kernels_agree(range(12)) >= 4


@pytest.mark.long
def test_many_random_kernels():
    assert random_kernels_agree(range(12, 100)) >= 50


def cells_of(rtl, folder):
    """How many cells of each kind Yosys makes of hardware for an ECP5."""
    (folder / "top.il").write_text(rtlil.convert(rtl.component, name="top"))
    flow = synthesis._flow("ecp5-85")
    script = (
        f"read_rtlil top.il; {after_read(flow.family)}; {flow.synth} -top top; "
        "tee -q -o stat.json stat -json"
    )
    run_commands([["yosys", "-q", "-p", script]], folder, what="gemm", family=flow.family)
    return json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]


def gemm(A: int4[4, 4], B: int4[4, 4], C: int32[4, 4]):
    for i, k in allo.grid(4, 4):
        for j in range(4):
            C[i, j] += A[i, k] * B[k, j]


def unrolled_gemm():
    s = pipelined(gemm, "k")
    s.partition("B", dim=2)
    s.partition("C", dim=2)
    return s


def test_an_unrolled_int4_product_of_matrices_takes_half_of_the_blocks(tmp_path):
    rtl = packed(unrolled_gemm(), 2, simulator="verilator")
    plain = unrolled_gemm().build(target="rtl", **ECP5)
    assert (multipliers(plain), multipliers(rtl)) == (4, 2)
    assert [cells_of(r, tmp_path)["MULT18X18D"] for r in (plain, rtl)] == [4, 2]
    intervals = [[x.ii for x in r.report().loops] for r in (plain, rtl)]
    assert intervals[0] == intervals[1]
    [note] = rtl.report().notes
    assert note.startswith("gemm: 2 products in one multiplier, 2 times: test_rtl_packing.py:")
    assert note.count("test_rtl_packing.py") == 2


def test_int8_on_ultrascale():
    def outer(a: int8[4], b: int8[4], C: int32[4, 4]):
        for i in range(4):
            for j in range(4):
                C[i, j] += a[i] * b[j]

    def scheduled():
        s = pipelined(outer)
        s.partition("b")
        s.partition("C", dim=2)
        return s

    assert multipliers(packed(scheduled(), 2, **ULTRASCALE)) == 2
    assert multipliers(packed(scheduled(), 0)) == 4  # 25 bits: ECP5 has 18


def test_pairs_with_the_same_factors_share_their_sum():
    def square(A: int4[2, 8], B: int4[8, 2], C: int32[2, 2]):
        for k in range(8):
            for i, j in allo.grid(2, 2):
                C[i, j] += A[i, k] * B[k, j]

    s = pipelined(square, "k")
    s.partition("A", dim=1)
    s.partition("B", dim=2)
    s.partition("C")
    rtl = packed(s, 2)
    assert dict(rtl.report().units)["add 13"] == 1


def test_numbers_without_signs_need_no_addition():
    def both(x: uint4[8], a: uint4[8], b: uint4[8], P: uint8[8], Q: uint8[8]):
        for i in range(8):
            P[i] = x[i] * a[i]
            Q[i] = x[i] * b[i]

    assert dict(packed(pipelined(both), 1).report().units) == {"mul 12x4": 1}


def test_the_number_without_a_sign_is_the_low_one():
    rtl = packed(two_products([UInt(4), Int(4), UInt(4)], 8), 1)
    assert dict(rtl.report().units) == {"mul 12x4": 1}


def test_blocks_are_signed_or_not_for_both_factors():
    """A number without a sign is a bit wider beside one that has one: 17 bits fit, 18 do not."""
    assert multipliers(packed(two_products([Int(4), UInt(7), UInt(6)], 8), 1)) == 1
    assert multipliers(packed(two_products([Int(4), UInt(7), UInt(7)], 8), 0)) == 2
    assert multipliers(packed(two_products([UInt(4), UInt(7), UInt(7)], 8), 1)) == 1


def test_a_piece_that_runs_once_does_not_get_longer():
    def once(x: int4, a: int4, b: int4, P: int32[1], Q: int32[1]):
        P[0] = x * a
        Q[0] = x * b

    lengths = []
    for clock_mhz in (20, 75, 300):
        s = allo.customize(once)
        plain = s.build(target="rtl", device="ecp5-85", clock_mhz=clock_mhz)
        rtl = check(s, simulator="pysim", pack_products=True, device="ecp5-85",
                    clock_mhz=clock_mhz)  # fmt: skip
        assert rtl.predicted_cycles == plain.predicted_cycles
        lengths.append(multipliers(rtl))
    assert lengths[0] == 1
    assert 2 in lengths


def test_a_design_that_misses_its_clock_is_packed_again():
    first = unrolled_gemm().build(target="rtl", pack_products=True, **ECP5).design
    tried = []

    @dataclass(frozen=True)
    class Placed:
        fmax_mhz: float
        critical: None = None

    def build(design, seed):
        tried.append(design)
        return Placed(40.0 + len(tried))

    close(first, first.device, 60.0, build, rounds=1)
    assert [len(design.top.pairs) for design in tried] == [2, 2]
    assert tried[0] is not tried[1]


# What is not packed


@pytest.mark.parametrize("device", ["ice40-hx8k", "ice40-up5k", "gw1n-9"])
def test_products_that_have_no_block_each(device):
    """Of LUTs, there are no blocks or the products are too small; halves of blocks on Gowin."""
    rtl = packed(two_products([int4] * 3, 8), 0, device=device)
    assert multipliers(rtl) == 2


def test_six_bits_of_a_product_on_an_up5k():
    """Eleven bits are the least for which Yosys takes a block there."""
    types = [Int(6), Int(5), Int(3)]
    assert multipliers(packed(two_products(types, 8), 0, device="ice40-up5k")) == 2
    types = [Int(3), Int(8), Int(8)]
    rtl = two_products(types, 8).build(target="rtl", device="ice40-up5k", pack_products=True)
    assert multipliers(rtl) == 2  # 11 + 8 bits


def test_products_of_each_other():
    def chain(x: int4[8], a: int4[8], P: int32[8], Q: int32[8]):
        for i in range(8):
            y: int4 = x[i] * a[i]
            P[i] = y
            Q[i] = x[i] * y

    packed(pipelined(chain), 0)


def test_pairs_that_would_wait_for_each_other():
    """x*a with x*q, where q is y*b, and y*b with y*p, where p is x*a: at most one pair is made."""
    def cross(x: int4[8], y: int4[8], a: int4[8], b: int4[8], P: int32[8], Q: int32[8]):
        for i in range(8):
            p: int4 = x[i] * a[i]
            q: int4 = y[i] * b[i]
            P[i] = x[i] * q
            Q[i] = y[i] * p

    packed(pipelined(cross), 0)


def test_a_product_that_is_read_back_from_memory():
    """The second product's factor may be the word that the first one stored."""
    def through(x: int4, a: int4[8], at: UInt(3)[8], M: int4[8], Q: int32[8]):
        for i in range(8):
            M[i] = x * a[i]
            Q[i] = x * M[at[i]]

    packed(pipelined(through), 0)
    packed(allo.customize(through), 0)


def test_the_interval_of_a_recurrence_stays():
    """The product that is carried on has no time for an addition behind it."""
    def recurrence(x: int4[16], c: int4[16], B: int32[16], C: int32[16]):
        y: int4 = 1
        for i in range(16):
            y = x[i] * y + 3
            B[i] = x[i] * c[i]
            C[i] = y

    plain = pipelined(recurrence).build(target="rtl", device="ecp5-85", clock_mhz=90)
    rtl = packed(pipelined(recurrence), 0, clock_mhz=90)
    assert [x.ii for x in rtl.report().loops] == [x.ii for x in plain.report().loops]
    packed(pipelined(recurrence), 1, clock_mhz=20)


def test_limited_multipliers_are_left_alone():
    rtl = packed(two_products([int4] * 3, 8), 0, units={"mul": 1})
    assert multipliers(rtl) == 1


def test_nothing_is_packed_unless_asked_for():
    rtl = two_products([int4] * 3, 8).build(target="rtl", **ECP5)
    assert multipliers(rtl) == 2
