"""Accesses of one cell in an iteration of a pipelined loop: in both branches of an ``if``, and in
several lanes.

Guaranteed: the transformed loop computes what the original one does, reads no cell that was not
read, and has no more accesses; a loop that updates a cell in both branches has the interval of the
one that a hand keeps in a variable, and lanes of a recurrence have the interval of their
arithmetic.
"""

from dataclasses import replace

import pytest
from agreement import check, random_args, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from source_generators import PREAMBLE, load

import allo_rtl as allo
from allo_rtl.hls.unroll import unroll_by
from allo_rtl.hls.words import once
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.ops import For, If, Load, Store
from allo_rtl.ir.rewrite import map_block, walk
from allo_rtl.ir.types import Partition, float32, int8, int32, uint2, uint3
from allo_rtl.ir.verify import verify_module
from allo_rtl.sim.reference import ReferenceModule

ADDER = 4
"""Cycles of a sum of floats on an UltraScale+ at 300 MHz."""

# Random kernels

TYPES = st.sampled_from(["int32", "float32", "uint8"])
SUBSCRIPTS = ["0", "1", "i", "i + 1", "i + 2", "b[i]", "b[i + 1]", "b[i] + 1", "v"]
CONDITIONS = ["c[i] > 0", "A[i] > B[0]", "A[0] > B[b[i]]", "i > 2", "b[i] == 1"]


@st.composite
def expressions(draw):
    """What is stored: of words and of what an operation makes of them."""
    cell = draw(cells())
    other = draw(st.sampled_from(["x[i]", "x[i + 1]", "1", cell]))
    operator = draw(st.sampled_from(["+", "-", "*"]))
    return f"{draw(cells())} {operator} {other}"


@st.composite
def cells(draw):
    """An element, of an argument or of an array in registers, or a variable."""
    array = draw(st.sampled_from(["A", "A", "A", "B", "R", "s"]))
    return "s" if array == "s" else f"{array}[{draw(st.sampled_from(SUBSCRIPTS))}]"


@st.composite
def statements(draw, depth):
    """A few statements, each as its lines."""
    out = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["set", "set", "add", "if", "if", "guard", "print", "assert"]))
        if kind == "add":
            out.append([f"{draw(cells())} {draw(st.sampled_from('+-'))}= {draw(cells())}"])
        elif kind == "guard":  # a subscript that may be read only here
            out.append(["if i > 0:", f"    {draw(cells())} = A[i - 1] + x[i - 1]"])
        elif kind == "if" and depth:
            out.append(draw(choices(depth)))
        elif kind in ("print", "assert") and draw(st.integers(0, 3)) == 0:
            out.append(['print("at", i)' if kind == "print" else "assert i >= 0"])
        else:
            out.append([f"{draw(cells())} = {draw(expressions())}"])
    return out


@st.composite
def choices(draw, depth):
    """An ``if``, perhaps with more branches, which often update one cell in all of them."""
    heads = [f"if {draw(st.sampled_from(CONDITIONS))}:"]
    if draw(st.booleans()):
        heads.append(f"elif {draw(st.sampled_from(CONDITIONS))}:")
    if draw(st.integers(0, 3)):
        heads.append("else:")
    common = draw(st.one_of(st.none(), cells()))
    lines = []
    for head in heads:
        body = draw(statements(depth - 1))
        if common is not None:
            body.insert(draw(st.integers(0, len(body))), [f"{common} += {draw(cells())}"])
        lines += [head, *(f"    {line}" for part in body for line in part)]
    return lines


@st.composite
def kernels(draw, depth=2, types=TYPES):
    """The text of a kernel whose subscripts are in range."""
    element = draw(types)
    body = [f"        {line}" for part in draw(statements(depth)) for line in part]
    return PREAMBLE + "\n".join([
        f"def kernel(A: {element}[16], B: {element}[16], x: {element}[16], c: int8[16], "
        f"b: uint2[16]) -> {element}[16]:",
        f"    R: {element}[16] = 0",
        f"    s: {element} = 0",
        "    for i in range(8):",
        "        v: index = b[i + 2]",
        *body,
        "    R[15] += s",
        "    return R",
        "",
    ])  # fmt: skip


def with_lanes(module, lanes):
    """A legalized module with the body of each loop as it is pipelined, and the original."""
    def prepared(transform):
        def visit(op):
            if not isinstance(op, For):
                return None
            loop = unroll_by(op, lanes) if lanes > 1 else op
            return replace(loop, body=transform(loop.body))

        funcs = tuple(replace(f, body=map_block(f.body, visit)) for f in module.funcs)
        return replace(module, funcs=funcs)

    return prepared(lambda body: body), prepared(once)


def count(module):
    """How many accesses to arrays a module has."""
    ops = (op for f in module.funcs for op in walk(f.body))
    return sum(isinstance(op, Load | Store) and bool(op.array.array.shape) for op in ops)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=kernels(), lanes=st.sampled_from([1, 1, 2, 4]), seed=st.integers(0, 9))
def test_what_is_computed_stays_the_same(text, lanes, seed):
    module = legalize(allo.customize(load(text, "kernel")).module)
    plain, changed = with_lanes(module, lanes)
    verify_module(changed)
    assert count(changed) <= count(plain)
    args = random_args(module, seed)
    lines = []
    expected, found = (
        run(ReferenceModule(m, lines.append).run_raw, module, args, lines)
        for m in (plain, changed)
    )
    assert found == expected


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    text=kernels(depth=1, types=st.just("int16")), lanes=st.sampled_from([0, 2]),
    seed=st.integers(0, 9),
)  # fmt: skip
def test_hardware_agrees(text, lanes, seed):
    s = allo.customize(load(text, "kernel"))
    if lanes:
        s.unroll("i", lanes)
    s.pipeline("i")
    check(s, seeds=(seed, seed + 1), device="ecp5-85", clock_mhz=40, simulator="pysim")


# Both branches, against what a hand writes

def branches(A: int32[4], x: int32[12], y: int32[12], c: int8[12]):
    for i in range(12):
        if c[i] > 0:
            A[0] += x[i]
        else:
            A[0] -= y[i]


def branches_by_hand(A: int32[4], x: int32[12], y: int32[12], c: int8[12]):
    for i in range(12):
        t: int32 = A[0]
        if c[i] > 0:
            t += x[i]
        else:
            t -= y[i]
        A[0] = t


def bins(H: int32[8], b: uint3[12], c: int8[12]):
    for i in range(12):
        if c[i] > 20:
            H[b[i]] += 3
        elif c[i] > -20:
            H[b[i]] -= 1
        else:
            H[b[i]] = H[b[i]] ^ 5


def bins_by_hand(H: int32[8], b: uint3[12], c: int8[12]):
    for i in range(12):
        t: int32 = H[b[i]]
        if c[i] > 20:
            t += 3
        elif c[i] > -20:
            t -= 1
        else:
            t = t ^ 5
        H[b[i]] = t


def own_condition(A: float32[4], x: float32[12], y: float32[4]):
    for i in range(12):
        if A[1] < x[i]:
            A[1] += x[i]
            y[2] = A[1]
        else:
            A[1] -= x[i]
            y[2] = x[i]


def own_condition_by_hand(A: float32[4], x: float32[12], y: float32[4]):
    for i in range(12):
        t: float32 = A[1]
        u: float32 = x[i]
        if t < x[i]:
            t += x[i]
            u = t
        else:
            t -= x[i]
        A[1] = t
        y[2] = u


def floats(A: float32[4], x: float32[12], c: int8[12]):
    for i in range(12):
        if c[i] > 0:
            A[0] += x[i]
        else:
            A[0] -= x[i]


def floats_by_hand(A: float32[4], x: float32[12], c: int8[12]):
    for i in range(12):
        t: float32 = A[0]
        if c[i] > 0:
            t += x[i]
        else:
            t -= x[i]
        A[0] = t


def built(kernel, lanes=0, cyclic=(), **options):
    """The hardware of a kernel pipelined with so many lanes, after comparing what it computes."""
    s = allo.customize(kernel)
    if lanes:
        s.unroll("i", lanes)
    for array in cyclic:
        s.partition(array, Partition.Cyclic, dim=1, factor=lanes)
    s.pipeline("i")
    return check(s, **({"device": "ecp5-85", "clock_mhz": 25, "simulator": "pysim"} | options))


def interval(rtl):
    """The initiation interval of the last loop."""
    return rtl.report().loops[-1].ii


@pytest.mark.parametrize(
    ("plain", "by_hand", "expected"),
    [(branches, branches_by_hand, 1), (bins, bins_by_hand, 1),
     (own_condition, own_condition_by_hand, None), (floats, floats_by_hand, None)],
    ids=lambda x: getattr(x, "__name__", ""),
)  # fmt: skip
def test_both_branches_are_as_fast_as_by_hand(plain, by_hand, expected):
    rtl, other = built(plain, simulator="verilator"), built(by_hand)
    assert interval(rtl) == interval(other)
    assert rtl.predicted_cycles == other.predicted_cycles
    assert expected in (None, interval(rtl))


def test_what_one_branch_alone_touches_stays():
    """A subscript that is in range in one branch alone is read and stored there alone."""
    def kernel(A: int32[4], x: int32[12]):
        for i in range(12):
            if i < 4:
                A[i] += x[i]
            else:
                A[3] = x[i]

    module = legalize(allo.customize(kernel).module)
    [loop] = [op for op in walk(module.top_func.body) if isinstance(op, For)]
    new = once(loop.body)
    [choice] = [op for op in new if isinstance(op, If)]
    accesses = [[(type(op), op.array.name) for op in part if isinstance(op, Load | Store)]
                for part in (choice.then, choice.orelse)]  # fmt: skip
    assert accesses == [[(Load, "A"), (Store, "A")], [(Store, "A")]]


def test_stores_keep_their_order():
    """Both cells, which may be one, are stored after the ``if``, in the order of the branches."""
    def kernel(A: int32[4], b: uint2[12], c: int8[12], x: int32[12]):
        for i in range(12):
            if c[i] > 0:
                A[0] = x[i]
                A[b[i]] = i
            else:
                A[0] = i
                A[b[i]] = x[i]

    module = legalize(allo.customize(kernel).module)
    plain, changed = with_lanes(module, 1)
    [loop] = [op for op in walk(changed.top_func.body) if isinstance(op, For)]
    stored = [op.index[0].is_constant for op in loop.body if isinstance(op, Store)]
    assert stored == [True, False]
    args = random_args(module, 1)
    assert run(ReferenceModule(plain).run_raw, module, args) == run(
        ReferenceModule(changed).run_raw, module, args
    )


# Lanes

def running(A: int32[17], x: int32[16]):
    for i in range(16):
        A[i + 1] = A[i] + x[i]


def running_float(A: float32[17], x: float32[16]):
    for i in range(16):
        A[i + 1] = A[i] + x[i]


def fibonacci(A: int32[18]):
    for i in range(16):
        A[i + 2] = A[i + 1] + A[i]


def rows(A: float32[3, 9], x: float32[3, 8]):
    for r in range(3):
        for i in range(8):
            A[r, i + 1] = A[r, i] * x[r, i]


def sweeps(A: float32[10], x: float32[3]):
    for t in range(3):
        for i in range(1, 9):
            A[i] = A[i - 1] * x[t] + A[i + 1]


def around(A: float32[9], x: float32[8]):
    """The first cell of a run is one that the run before stored to."""
    for t in range(3):
        for i in range(8):
            A[(i + t + 1) % 9] = A[(i + t) % 9] + x[i]


def total(A: float32[4], x: float32[16]):
    for i in range(16):
        A[1] += x[i]


def test_lanes_of_a_recurrence_start_every_cycle():
    assert interval(built(running, 2, ("A", "x"), simulator="verilator")) == 1
    assert interval(built(running, 4, ("A", "x"), clock_mhz=12)) == 1


def test_each_lane_hands_on_its_own_word():
    assert interval(built(fibonacci, 2, ("A",), clock_mhz=12)) == 1


@pytest.mark.parametrize("kernel", [running_float, total], ids=lambda k: k.__name__)
@pytest.mark.parametrize("lanes", [0, 2])
def test_lanes_of_floats_take_as_long_as_their_additions(kernel, lanes):
    rtl = built(kernel, lanes, device="ultrascale+", clock_mhz=300)
    assert interval(rtl) == max(lanes, 1) * ADDER


@pytest.mark.parametrize("kernel", [rows, sweeps, around], ids=lambda k: k.__name__)
@pytest.mark.parametrize("lanes", [0, 2])
def test_runs_of_an_inner_loop_begin_with_what_is_in_memory(kernel, lanes):
    built(kernel, lanes, clock_mhz=50)
