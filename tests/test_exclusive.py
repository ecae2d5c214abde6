"""One unit for operations of which an iteration never needs two: the branches of an ``if``.

Both branches are computed, and a choice takes one.  What only one of them needs may have the unit
that the other one's has, in the same cycle.  That two are never needed together is proved, from
conditions that are contrary or that no numbers meet both.
"""

# ruff: noqa: SIM108 (the branches of an `if` are what this is about)

import json
from unittest.mock import patch

from agreement import check
from amaranth.back import rtlil
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.boards.synthesis import _count
from allo_rtl.boards.toolchain import run_commands
from allo_rtl.hls import design
from allo_rtl.hls.certificate import Reason
from allo_rtl.hls.control import Straight
from allo_rtl.hls.exclusive import exclusive, joined_region
from allo_rtl.hls.fold import apply
from allo_rtl.hls.graph import BIT, Graph
from allo_rtl.hls.needs import Exclusion, literals, needs
from allo_rtl.hls.node import Kind, Node
from allo_rtl.hls.operators import Operators
from allo_rtl.hls.region import Region
from allo_rtl.hls.render import render_json
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import Int, UInt, float32, int8, int32, uint32
from allo_rtl.target import device as find_device

FAST = {"device": "ultrascale+", "clock_mhz": 143}
WORD = Int(5)


def agree(schedule, **options):
    """The hardware, after comparing its results and its cycles with what they should be."""
    return check(schedule, simulator="pysim", **{**FAST, **options})


def count(rtl, start):
    """How many units of the design have a name that starts so."""
    return sum(n for name, n in rtl.report().units if name.startswith(start))


def piped(kernel, **options):
    s = allo.customize(kernel)
    s.pipeline("i", **options)
    return s


# What is never needed together


@st.composite
def conditions(draw, graph, words, most=3):
    """A bit made of comparisons."""
    kinds = (Kind.LT, Kind.GE, Kind.EQ, Kind.NE, Kind.GT, Kind.LE)
    bits = []
    for _ in range(draw(st.integers(1, most))):
        a = draw(st.sampled_from(words))
        b = draw(st.one_of(st.sampled_from(words), st.integers(-16, 15)))
        b = graph.const(b, WORD) if isinstance(b, int) else b
        bit = graph.make(draw(st.sampled_from(kinds)), BIT, a, b)
        bits.append(graph.negate(bit) if draw(st.booleans()) else bit)
    found = bits[0]
    for bit in bits[1:]:
        found = graph.make(draw(st.sampled_from((Kind.AND, Kind.OR))), BIT, found, bit)
    return found


@st.composite
def regions(draw):
    """A region of words, choices and enabled writes, and its inputs."""
    graph = Graph()
    inputs = [Node(Kind.INPUT, WORD, (), (WORD.min, WORD.max), source=Value(WORD)) for _ in "abc"]
    words, bits = list(inputs), [draw(conditions(graph, inputs)) for _ in range(2)]
    kinds = (Kind.MUL, Kind.ADD, Kind.SUB, Kind.SELECT, Kind.SELECT, Kind.MIN, Kind.EQ)
    for _ in range(draw(st.integers(3, 12))):
        kind = draw(st.sampled_from(kinds))
        a, b = (draw(st.sampled_from(words)) for _ in range(2))
        if kind is Kind.EQ:
            bits.append(draw(conditions(graph, words)))
            continue
        both = (draw(st.sampled_from(bits)), a, b) if kind is Kind.SELECT else (a, b)
        words.append(graph.make(kind, WORD, *both))
    sinks = tuple(
        Node(Kind.REG_WRITE, WORD, (draw(st.sampled_from(words[3:])), draw(st.sampled_from(bits))),
             (WORD.min, WORD.max), order=k)
        for k in range(draw(st.integers(1, 2)))
    )  # fmt: skip
    outputs = {Value(WORD): draw(st.sampled_from(words)) for _ in range(draw(st.integers(0, 1)))}
    return inputs, Region(sinks, outputs)


def effects(region, numbers, other=None):
    """What a region writes and hands on; ``other`` is a node and what it is to be instead."""
    known = dict(numbers)
    for node in region.nodes():
        if node.is_const:
            known[node] = node.value
        elif node.kind is not Kind.REG_WRITE and node not in known:
            known[node] = apply(node.kind, node.type, [known[o] for o in node.operands])
        if other and node is other[0]:
            known[node] = other[1]
    written = [known[s.operands[0]] if known[s.operands[1]] else None for s in region.sinks]
    return known, (written, [known[n] for n in region.outputs.values()])


NUMBERS = st.tuples(*[st.integers(WORD.min, WORD.max)] * 3)


@settings(max_examples=150, deadline=None)
@given(regions(), st.lists(NUMBERS, min_size=3, max_size=8), st.integers(WORD.min, WORD.max))
def test_a_result_makes_no_difference_where_it_is_not_needed(made, rows, wrong):
    inputs, region = made
    nodes = region.nodes()
    when = needs(nodes, region.results)
    for row in rows:
        numbers = dict(zip(inputs, row, strict=True))
        known, right = effects(region, numbers)
        for node in nodes:
            if node.kind not in (Kind.MUL, Kind.ADD, Kind.SUB, Kind.MIN):
                continue
            needed = any(all(known[b] == holds for b, holds in cube) for cube in when[node])
            if not needed:
                assert effects(region, numbers, (node, wrong))[1] == right


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_conditions_exclude_each_other_exactly_when_no_numbers_meet_both(data):
    graph, word = Graph(), Int(3)
    inputs = [Node(Kind.INPUT, word, (), (word.min, word.max), source=Value(word)) for _ in "ab"]
    wide = [graph.cast(n, Int(8)) for n in inputs]
    words = [*wide, graph.make(Kind.ADD, Int(8), *wide),
             graph.make(Kind.SUB, Int(8), wide[0], graph.const(2, Int(8)))]  # fmt: skip
    kinds = (Kind.LT, Kind.GE, Kind.EQ, Kind.NE)
    cubes = []
    for _ in range(2):
        a, b = (data.draw(st.sampled_from(words)) for _ in range(2))
        bit = graph.make(data.draw(st.sampled_from(kinds)), BIT, a, b)
        cubes.append(literals(bit, data.draw(st.booleans())))
    assume(None not in cubes)

    def holds(cube, x, y):
        known = {inputs[0]: x, inputs[1]: y}
        bits = [bit for bit, _ in cube]
        for node in Region((), {Value(BIT): bit for bit in bits}).nodes():
            operands = [known[o] for o in node.operands]
            if node not in known:
                known[node] = node.value if node.is_const else apply(
                    node.kind, node.type, operands
                )  # fmt: skip
        return all(known[bit] == value for bit, value in cube)

    points = [(x, y) for x in range(-4, 4) for y in range(-4, 4)]
    both = any(all(holds(cube, x, y) for cube in cubes) for x, y in points)
    alone = all(any(holds(cube, x, y) for x, y in points) for cube in cubes)
    apart = Exclusion().apart(*(frozenset({cube}) for cube in cubes))
    assert not (apart and both)
    # What a single comparison says is known from the ranges already.
    assert apart != both or not alone


@st.composite
def trees(draw):
    """A region of choices between products, of which some wait for others."""
    graph = Graph()
    inputs = [Node(Kind.INPUT, WORD, (), (WORD.min, WORD.max), source=Value(WORD)) for _ in "abc"]
    made = list(inputs)

    def tree(depth):
        if depth and draw(st.integers(0, 3)):
            words = inputs if draw(st.integers(0, 2)) else made
            condition = draw(conditions(graph, words, most=2))
            node = graph.select(condition, tree(depth - 1), tree(depth - 1))
        else:
            factors = draw(st.sampled_from(made)), draw(st.sampled_from(inputs))
            node = graph.make(Kind.MUL, draw(st.sampled_from((WORD, UInt(5)))), *factors)
        made.append(graph.cast(node, WORD))
        return made[-1]

    outputs = {Value(WORD): tree(3) for _ in range(draw(st.integers(1, 2)))}
    return inputs, Region((), outputs)


@settings(max_examples=150, deadline=None)
@given(trees(), st.lists(NUMBERS, min_size=3, max_size=8))
def test_a_region_whose_operations_are_joined_does_the_same(made, rows):
    inputs, region = made
    operators = Operators(find_device("ultrascale+"), 100.0)
    groups = exclusive(Straight(region), operators, {"mul"})
    event(f"{len(groups)} groups")
    new, _ = joined_region(region, groups)
    before, after = (sum(n.kind is Kind.MUL for n in r.nodes()) for r in (region, new))
    assert after <= before - sum(len(g.nodes) - 1 for g in groups)
    for row in rows:
        numbers = dict(zip(inputs, row, strict=True))
        known, found = effects(new, numbers)
        assert found == effects(region, numbers)[1]
        assert all(n.range[0] <= known[n] <= n.range[1] for n in new.nodes() if n in known)


def test_a_proof_does_not_count_on_what_is_not_needed_either():
    """What is known of a product is not, in an iteration that does not need it.

    ``u`` is 5 to 9, so that ``t > u`` and ``t < 3`` exclude each other.  But where ``u`` is not
    needed its unit may do something else.
    """
    graph = Graph()
    word, few = Int(16), UInt(2)
    t = Node(Kind.INPUT, word, (), (word.min, word.max), source=Value(word))
    x = Node(Kind.INPUT, few, (), (0, 2), source=Value(few))
    plain = graph.make(Kind.ADD, word, graph.cast(x, word), graph.const(5, word))
    product = graph.make(
        Kind.ADD,
        word,
        graph.const(5, word),
        graph.make(Kind.MUL, word, graph.cast(x, word), graph.cast(x, word)),
    )
    small = literals(graph.make(Kind.LT, BIT, t, graph.const(3, word)), True)
    for u, proved in ((plain, True), (product, False)):
        large = literals(graph.make(Kind.GT, BIT, t, u), True)
        assert u.range[0] == 5
        assert Exclusion().apart(frozenset({small}), frozenset({large})) is proved


# Kernels

# Of 128 iterations: a cycle more to fill the pipeline is below one in a hundred.


def branches(A: uint32[128], B: uint32[128], C: uint32[128], D: uint32[128]):
    for i in range(128):
        t: uint32 = 0
        if C[i] > 9:
            t = A[i] * B[i]
        else:
            t = A[i] * (A[i] + 5)
        D[i] = t


def test_the_branches_of_an_if_have_one_multiplier_at_an_iteration_a_cycle():
    rtl = agree(piped(branches))
    assert (rtl.report().loops[0].ii, count(rtl, "mul")) == (1, 1)


def test_each_of_a_chain_of_conditions_is_apart_from_the_others():
    def chain(A: int32[128], B: int32[128], C: int32[128]):
        for i in range(128):
            a: int32 = A[i]
            b: int32 = B[i]
            t: int32 = 0
            if a > 900:
                t = a * b
            elif a > 20:
                t = a * (b + 1)
            elif b == 4:
                t = b * b
            else:
                t = (a - b) * b
            C[i] = t

    rtl = agree(piped(chain))
    assert (rtl.report().loops[0].ii, count(rtl, "mul")) == (1, 1)


def test_conditions_of_which_no_iteration_meets_two():
    """Nothing but the numbers says that these exclude each other."""

    def thirds(A: int32[128], x: int32, y: int32, C: int32[128]):
        for i in range(128):
            t: int32 = A[i]
            if i + 10 < y & 63:
                t = A[i] * x
            if i - 3 > y & 63:
                t = A[i] * y
            C[i] = t

    rtl = agree(piped(thirds))
    assert (rtl.report().loops[0].ii, count(rtl, "mul")) == (1, 1)

    def meeting(A: int32[128], x: int32, y: int32, C: int32[128]):
        for i in range(128):
            t: int32 = A[i]
            if i - 10 < y & 63:
                t = A[i] * x
            if i - 3 > y & 63:
                t = t + A[i] * y
            C[i] = t

    assert count(agree(piped(meeting)), "mul") == 2


def test_sums_and_differences_of_floats_have_one_adder():
    def signs(A: float32[128], B: float32[128], which: int8[128], C: float32[128]):
        for i in range(128):
            t: float32 = 0.0
            if which[i] > 5:
                t = A[i] * B[i] + 1.5
            else:
                t = 2.5 - B[i] * B[i]
            C[i] = t

    rtl = agree(piped(signs), clock_mhz=300)
    assert rtl.report().loops[0].ii == 1
    assert (count(rtl, "float32 mul"), count(rtl, "float32 add")) == (1, 1)


def test_quotients_of_both_branches_have_one_divider():
    def quotients(A: uint32[128], B: uint32[128], C: uint32[128]):
        for i in range(128):
            t: uint32 = 0
            if B[i] > 77:
                t = A[i] // B[i]
            else:
                t = (A[i] ^ 5) // (B[i] + A[i])
            C[i] = t

    rtl = agree(piped(quotients))
    assert (rtl.report().loops[0].ii, count(rtl, "div")) == (1, 1)


def test_what_both_conditions_may_need_has_two_units():
    def both(A: uint32[128], B: uint32[128], C: uint32[128]):
        for i in range(128):
            p: uint32 = A[i] * B[i]
            q: uint32 = A[i] * (A[i] + 5)
            C[i] = p if B[i] > 9 else p ^ q

    assert count(agree(piped(both)), "mul") == 2


def test_a_condition_that_waits_for_one_of_the_products():
    """The choice of operands would come after what it chooses for."""

    def waiting(A: uint32[128], B: uint32[128], C: uint32[128]):
        for i in range(128):
            p: uint32 = A[i] * B[i]
            if p <= 77:
                p = A[i] * (A[i] + 5)
            C[i] = p

    assert count(agree(piped(waiting)), "mul") == 2


def test_a_read_that_waits_for_a_write_of_the_other_branch():
    """One unit for both would have to start before it ends: nothing says so but the memory."""

    def through(A: uint32[128], B: uint32[128], c: uint32, T: uint32[4]):
        for i in range(128):
            if c > 5:
                T[A[i] & 3] = A[i] * c
            t: uint32 = T[i & 3]
            if c <= 5:
                B[i] = t * A[i]

    s = allo.customize(through)
    assert count(agree(s), "mul") <= 2
    agree(piped(through), units={"mul": 1})


def test_narrow_products_are_not_worth_the_choice():
    def narrow(A: int8[128], B: int8[128], C: int32[128]):
        for i in range(128):
            C[i] = A[i] * B[i] if B[i] > 9 else A[i] * (A[i] - 3)

    assert count(agree(piped(narrow)), "mul") == 2
    assert count(agree(piped(narrow), units={"mul": 1}), "mul") == 1


def test_a_pipeline_that_would_be_too_much_longer_keeps_its_units():
    def short(A: uint32[4], B: uint32[4], C: uint32[4]):
        for i in range(4):
            C[i] = A[i] * B[i] if B[i] > 9 else A[i] * (A[i] + 5)

    plain, limited = agree(piped(short)), agree(piped(short), units={"mul": 1})
    assert (count(plain, "mul"), count(limited, "mul")) == (2, 1)
    assert plain.predicted_cycles < limited.predicted_cycles


def test_a_limit_counts_them_as_one():
    def fourfold(A: uint32[16], B: uint32[16], C: uint32[16]):
        for i in range(16):
            t: uint32 = 0
            if B[i] > 9:
                t = A[i] * B[i] * (A[i] + 1)
            else:
                t = B[i] * B[i] * (A[i] - 1)
            C[i] = t

    rtl = agree(piped(fourfold), units={"mul": 1})
    [loop] = rtl.report().loops
    assert (loop.ii, loop.certificate.reason, count(rtl, "mul")) == (2, Reason.UNIT, 1)
    assert loop.limit.startswith("mul is done 2 times per iteration by 1 unit")
    assert all("mul, or that at test_exclusive.py:" in s.what for s in loop.certificate.steps)
    assert agree(piped(fourfold, initiation_interval=1), units={"mul": 2}).report().loops[0].ii == 1


def test_the_report_says_which_operations_have_one_unit():
    rtl = agree(piped(branches))
    first = branches.__code__.co_firstlineno
    lines = [f"test_exclusive.py:{first + n}" for n in (4, 6)]
    assert rtl.report().notes == (
        "branches: 2 operations in one unit, of which an iteration needs one at most: mul at "
        f"{lines[0]}, {lines[1]}",
    )
    [shared] = json.loads(render_json(rtl.report()))["shared"]
    assert (shared["unit"], shared["func"]) == ("mul 32x32", "branches")
    assert [(u["what"], u["loc"]) for u in shared["users"]] == [("mul", line) for line in lines]
    assert len({(u["loop"], u["cycle"]) for u in shared["users"]}) == 1


def test_the_netlist_has_half_the_blocks(tmp_path):
    blocks = {}
    for name, sizes in (("joined", 128), ("apart", 8)):
        source = f"""
def kernel(A: uint32[{sizes}], B: uint32[{sizes}], C: uint32[{sizes}]):
    for i in range({sizes}):
        C[i] = A[i] * B[i] if B[i] > 9 else A[i] * (A[i] + 5)
"""
        rtl = piped(source).build(target="rtl", device="ecp5-85", clock_mhz=80)
        (tmp_path / "top.il").write_text(rtlil.convert(rtl.component, name="top"))
        script = "read_rtlil top.il; synth_ecp5 -run begin:map_ram -top top; tee -q -o s stat -json"
        run_commands([["yosys", "-q", "-p", script]], tmp_path, what=name, family="ecp5")
        cells = json.loads((tmp_path / "s").read_text())["design"]["num_cells_by_type"]
        blocks[name] = _count(cells, "ecp5")[3]
    assert blocks["apart"] == 2 * blocks["joined"] > 0


# Stores


def test_stores_of_both_branches_take_a_port_once():
    """Also to other words of it; so the products have one unit at an iteration a cycle."""

    def either(A: uint32[128], B: uint32[128], C: uint32[128]):
        for i in range(128):
            if B[i] > 9:
                C[i] = A[i] * B[i]
            else:
                C[127 - i] = A[i] * (A[i] + 5)

    rtl = check(piped(either), **FAST)  # in Verilator
    assert (rtl.report().loops[0].ii, count(rtl, "mul")) == (1, 1)
    first = either.__code__.co_firstlineno
    lines = ", ".join(f"test_exclusive.py:{first + n}" for n in (3, 5))
    assert (
        "either: 2 operations at one port, of which an iteration needs one at most: write C at "
        f"{lines}"
    ) in rtl.report().notes


def test_stores_of_one_word_in_both_branches_take_its_port_once():
    """Neither has to come before the other, as only one of them is made."""

    def one(A: int32[16], B: int32[16], C: int32[16]):
        for i in range(16):
            if A[i] < B[i]:
                C[i] = A[i] - B[i]
            else:
                C[i] = B[i] + 7

    def any_word(A: int32[16], B: int32[16], C: int32[16]):
        for i in range(16):
            if A[i] < B[i]:
                C[A[i] & 7] = A[i] - B[i]
            else:
                C[B[i] & 15] = B[i] + 7

    for kernel in (one, any_word):
        assert agree(piped(kernel)).report().loops[0].ii == 1


def test_a_store_between_two_that_exclude_each_other_keeps_its_place():
    """The middle one excludes the last, not the first: as one, they would be before and after."""

    def three(A: int32[16], B: int32[16], C: int32[16]):
        for i in range(16):
            if A[i] > 9:
                C[B[i] & 3] = 1
            if A[i] > 4:
                C[A[i] & 3] = 2
            if A[i] <= 4:
                C[B[i] & 1] = 3

    agree(piped(three))


def test_what_stands_between_two_stores_sees_the_first_and_not_the_second():
    def between(A: int32[64], B: int32[64], C: int32[64]):
        for i in range(64):
            if A[i] > 0:
                C[A[i] & 63] = i
            B[i] = C[i]
            if A[i] <= 0:
                C[B[i] & 63] = 2 * i

    agree(piped(between))
    agree(allo.customize(between))


def test_later_iterations_see_both_stores():
    def follow(A: int32[64], C: int32[64]):
        for i in range(64):
            t: int32 = C[A[i] & 7]
            if t & 1 == 1:
                C[i & 7] = t + i
            else:
                C[A[i] & 15] = t - i

    agree(piped(follow))


# Random kernels

TERMS = (
    "a * b", "b * (a + 3)", "t * a", "(a ^ t) * (b - i)", "a // (b | 1)", "a % (b | 3)", "a + t",
)  # fmt: skip
CONDITIONS = ("a > 9", "b <= a", "i < 3", "i > 2", "t == 0", "a & 1 == 1", "i == x")


STORES = ("C[i] = t * b", "C[5 - i] = a", "C[a & 3] = t", "C[b & 3] = t + 1", "t = C[a & 3]")


@st.composite
def bodies(draw, depth=2):
    """Statements that set ``t`` or store it, with conditions in conditions."""
    lines = []
    for _ in range(draw(st.integers(1, 2)) if depth < 2 else 1):
        if depth and draw(st.integers(0, 3)):
            lines += [f"if {draw(st.sampled_from(CONDITIONS))}:", *_inside(draw(bodies(depth - 1)))]
            if draw(st.integers(0, 3)):
                lines += ["else:", *_inside(draw(bodies(depth - 1)))]
        elif draw(st.integers(0, 2)):
            lines.append(f"t = {draw(st.sampled_from(TERMS))}")
        else:
            lines.append(draw(st.sampled_from(STORES)))
    return lines


@st.composite
def choices(draw):
    """One of two bodies that begin with operations that can share a unit, or a port."""
    first, second = draw(st.lists(st.sampled_from(TERMS[:6]), min_size=2, max_size=2, unique=True))
    ends = [[f"C[{draw(st.sampled_from(('i', '5 - i', 'a & 3')))}] = t"], []]
    sides = [[f"t = {x}", *draw(bodies(1)), *draw(st.sampled_from(ends))] for x in (first, second)]
    condition = draw(st.sampled_from(CONDITIONS))
    return [f"if {condition}:", *_inside(sides[0]), "else:", *_inside(sides[1]), "C[i] = t"]


def _inside(lines):
    return [f"    {line}" for line in lines]


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    choices(), st.sampled_from(["uint32", "int32", "Int(20)"]), st.integers(0, 3),
    st.sampled_from([("ecp5-85", 60), ("ultrascale+", 143), ("gw1n-9", 40)]),
    st.sampled_from([{}, {"mul": 1}, {"mul": 2}, {"div": 1}]),
)  # fmt: skip
def test_random_conditions(body, word, interval, target, units):
    """Nested conditions, pipelined or not, with few multipliers: all builds agree."""
    lines = [f"def kernel(A: {word}[6], B: {word}[6], C: {word}[6], x: {word}) -> {word}:",
             f"    t: {word} = 1", "    for i in range(6):",
             f"        a: {word} = A[i]", f"        b: {word} = B[i]",
             *_inside(_inside(body)), "    return t"]  # fmt: skip
    s = allo.customize("\n".join(lines))
    if interval:
        s.pipeline("i", initiation_interval=40 * interval if interval > 1 else None)
    with patch.object(design, "is_worth", lambda joined, plain: True):  # whatever it costs
        rtl = agree(s, device=target[0], clock_mhz=target[1], units=units)
    nodes = [n for r in rtl.design.top.schedules for n in r.nodes()]
    event(f"joined: {sorted({n.kind.value for n in nodes if n.merged})}")
    for name, most in units.items():
        assert sum(n for unit, n in rtl.report().units if name in unit.split()) <= most
