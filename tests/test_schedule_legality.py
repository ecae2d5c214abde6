"""Which orders of iterations are refused, and why; and that nothing else is."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.customize import customize
from allo_rtl.errors import IllegalScheduleError
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.ops import (
    Binary,
    BinaryKind,
    Cast,
    Constant,
    For,
    Func,
    Load,
    Module,
    Store,
    Value,
)
from allo_rtl.ir.reductions import reductions
from allo_rtl.ir.types import Fixed, Int, UInt, float32, index, int8, int16, int32, uint8
from allo_rtl.ir.verify import verify_module


def skewed(A: int32[8, 8]):
    for i in range(1, 8):
        for j in range(7):
            A[i, j] = A[i - 1, j + 1]


def straight(A: int32[8, 8]):
    for i in range(1, 8):
        for j in range(1, 8):
            A[i, j] = A[i - 1, j - 1] + A[i - 1, j]


def last_wins(A: int32[8], B: int32[8, 8]):
    for i, j in allo.grid(8, 8):
        A[i] = B[i, j]


def last_row_wins(A: int32[8], B: int32[8, 8]):
    for i, j in allo.grid(8, 8):
        A[j] = B[i, j]


def histogram(data: int32[4, 8], bins: int32[16]):
    for i, j in allo.grid(4, 8):
        bins[data[i, j]] += 1


def scatter(data: int32[4, 8], out: int32[16]):
    for i, j in allo.grid(4, 8):
        out[data[i, j]] = i


def temporary(A: int32[6, 6], B: int32[6, 6]):
    for i, j in allo.grid(6, 6):
        t: int32 = A[i, j] + 1
        B[i, j] = t * t


def temporary_row(A: int32[6, 6, 4], B: int32[6, 6]):
    for i, j in allo.grid(6, 6):
        row: int32[4] = 0
        for k in range(4):
            row[k] = A[i, j, k]
        for k in range(4):
            B[i, j] += row[k] * row[3 - k]


def half_written_row(A: int32[6, 6, 4], B: int32[6, 6]):
    row: int32[4] = 0
    for i, j in allo.grid(6, 6):
        for k in range(2):
            row[k] = A[i, j, k]
        for k in range(4):
            B[i, j] += row[3 - k]


def guarded(A: int32[6, 6], B: int32[6, 6]):
    t: int32 = 0
    for i, j in allo.grid(6, 6):
        if A[i, j] > 0:
            t = A[i, j]
        B[i, j] = t


def live_after(A: int32[6, 6], B: int32[1]):
    t: int32 = 0
    for i, j in allo.grid(6, 6):
        t = A[i, j]
    B[0] = t


def observed_sum(A: int32[4, 4], S: int32[1], B: int32[4, 4]):
    for i, j in allo.grid(4, 4):
        S[0] += A[i, j]
        B[i, j] = S[0]


def add_one(X: int32[8]):
    for n in range(8):
        X[n] = X[n] + 1


def calls(A: int32[8], B: int32[2, 3]):
    for i, j in allo.grid(2, 3):
        add_one(A)
        B[i, j] = A[0]


def copy_from(X: int32[8, 8], Y: int32[8, 8]):
    for i in range(1, 8):
        for j in range(7):
            X[i, j] = Y[i - 1, j + 1]


def copies_apart(A: int32[8, 8], B: int32[8, 8]):
    copy_from(A, B)


def copies_onto_itself(A: int32[8, 8]):
    copy_from(A, A)


def run(schedule):
    verify_module(schedule.module)
    rng = np.random.default_rng(1)
    args = [rng.integers(0, 16, a.array.shape).astype(np.int32) for a in schedule.top_func.args]
    evaluate(schedule.module, args)
    return [a.tolist() for a in args]


def test_an_illegal_reorder_names_both_iterations_and_the_cell():
    s = customize(skewed)
    before = s.module
    with pytest.raises(IllegalScheduleError) as caught:
        s.reorder("j", "i")
    error = caught.value
    assert error.message == (
        "reorder('j', 'i') would change what the kernel computes: "
        "iteration (i=2, j=0) would run before (i=1, j=1), which it must follow"
    )
    assert [text for text, _ in error.notes] == [
        "iteration (i=1, j=1) writes A[1, 1]",
        "iteration (i=2, j=0) reads A[1, 1]",
    ]
    assert [loc.text[loc.col - 1 : loc.end_col - 1] for _, loc in error.notes] == [
        "A[i, j]",
        "A[i - 1, j + 1]",
    ]
    assert s.module is before
    assert s.history() == ()


def test_the_text_of_the_error():
    text = "def k(A: int32[9]):\n    for i, j in allo.grid(4, 4):\n        A[i + 1] = A[i] + j\n"
    with pytest.raises(IllegalScheduleError) as caught:
        customize(text, global_vars={"allo": allo, "int32": int32}).reorder("j", "i")
    assert str(caught.value) == (
        "<kernel>:2:5: error: reorder('j', 'i') would change what the kernel computes: "
        "iteration (i=1, j=0) would run before (i=0, j=1), which it must follow\n"
        "    2 |     for i, j in allo.grid(4, 4):\n"
        "      |     ^~~~~~~~~~~~~~~~~~~~~~~~~~~~\n"
        "  note: <kernel>:3:9: iteration (i=0, j=1) writes A[1]\n"
        "    3 |         A[i + 1] = A[i] + j\n"
        "      |         ^~~~~~~~\n"
        "  note: <kernel>:3:20: iteration (i=1, j=0) reads A[1]\n"
        "    3 |         A[i + 1] = A[i] + j\n"
        "      |                    ^~~~"
    )


def test_dependences_that_keep_their_order_are_no_obstacle():
    s = customize(straight)
    expected = run(s)
    s.reorder("j", "i")
    assert run(s) == expected


def test_the_last_write_must_stay_the_last():
    # Swapped, each A[i] still gets B[i, 7] last; and each A[j] still B[7, j].
    for kernel in (last_wins, last_row_wins):
        s = customize(kernel)
        expected = run(s)
        s.reorder("j", "i")
        assert run(s) == expected


def test_a_histogram_is_an_accumulation():
    s = customize(histogram)
    expected = run(s)
    s.reorder("j", "i")
    assert run(s) == expected


def test_a_data_dependent_store_may_be_any_cell():
    with pytest.raises(IllegalScheduleError) as caught:
        customize(scatter).reorder("j", "i")
    assert [text for text, _ in caught.value.notes] == [
        "iteration (i=0, j=1) writes out[?]",
        "iteration (i=1, j=0) writes out[?]",
    ]
    assert caught.value.hint == (
        "a subscript of out depends on data ('?'), so it is taken to be any cell; "
        "assume_independent promises that iterations never share one"
    )


def test_bounds_that_depend_on_data_may_be_any():
    def segments(start: int32[4, 4], A: int32[8], B: int32[4, 4], C: int32[4, 4, 8]):
        for i, j in allo.grid(4, 4):
            for k in range(start[i, j], 8):
                C[i, j, k] = A[k]
            for k in range(start[i, j], 8):
                A[k] = B[i, j]

    with pytest.raises(IllegalScheduleError) as caught:
        customize(segments).reorder("j", "i")
    first, second = (text for text, _ in caught.value.notes)
    assert first.startswith("iteration (i=0, j=1) reads A[")
    assert second.startswith("iteration (i=1, j=0) writes A[")


@pytest.mark.parametrize("kernel", [temporary, temporary_row])
def test_what_each_iteration_writes_before_it_reads_is_no_obstacle(kernel):
    s = customize(kernel)
    expected = run(s)
    s.reorder("j", "i")
    assert run(s) == expected


@pytest.mark.parametrize(
    ("kernel", "note"),
    [
        (half_written_row, "writes row[0]"),
        (guarded, "writes t"),
        (live_after, "writes t"),
        (observed_sum, "writes S[0]"),
    ],
)
def test_what_is_carried_is_an_obstacle(kernel, note):
    with pytest.raises(IllegalScheduleError) as caught:
        customize(kernel).reorder("j", "i")
    assert note in caught.value.notes[0][0]


def test_a_call_is_taken_to_touch_whole_arrays():
    s = customize(calls)
    with pytest.raises(IllegalScheduleError) as caught:
        s.reorder("j", "i")
    assert caught.value.notes[0][0] == (
        "iteration (i=0, j=1) calls add_one, which reads A"
    )
    assert caught.value.hint == "a call is taken to touch all of A"


def test_arguments_are_one_array_when_a_call_says_so():
    s = customize(copies_apart)
    s.reorder("copy_from:j", "copy_from:i")
    with pytest.raises(IllegalScheduleError):
        customize(copies_onto_itself).reorder("copy_from:j", "copy_from:i")


def test_parallel_needs_independent_iterations():
    s = customize(straight)
    s.parallel("j")
    assert "for j in 1..8  parallel" in s.show()
    with pytest.raises(IllegalScheduleError) as caught:
        s.parallel("i")
    assert caught.value.message == (
        "parallel('i') would change what the kernel computes: "
        "iterations (i=1) and (i=2) would run at once"
    )
    with pytest.raises(IllegalScheduleError):
        customize(histogram).parallel("j")


# --- random nests: refused exactly when enumeration finds a dependence turned around ---------

IVS = [Value(index, n) for n in "abc"]


def nest_module(ranges, written, read) -> Module:
    """``A[written] = A[read] * 3 + 1`` in a nest: an order of iterations that can be seen."""
    array = Value(int32[32] if len(written) == 1 else int32[32, 32], "A")
    old, three, one, product_, total = (Value(int32, n) for n in ("old", "3", "1", "p", "t"))
    body = (
        Load(result=old, array=array, index=tuple(read)),
        Constant(result=three, value=3),
        Constant(result=one, value=1),
        Binary(kind=BinaryKind.MUL, result=product_, lhs=old, rhs=three),
        Binary(kind=BinaryKind.ADD, result=total, lhs=product_, rhs=one),
        Store(value=total, array=array, index=tuple(written)),
    )
    for iv, (lower, upper, step) in reversed(list(zip(IVS, ranges, strict=False))):
        bounds = [(AffineExpr.constant(b),) for b in (lower, upper)]
        body = (
            For(iv=iv, lower=bounds[0], upper=bounds[1], step=step, body=body, name=iv.name),
        )
    return Module(funcs=(Func(name="f", args=(array,), results=(), body=body),), top="f")


@st.composite
def nests(draw):
    depth = draw(st.integers(2, 3))
    ranges = [(0, draw(st.integers(1, 4)), draw(st.integers(1, 2))) for _ in range(depth)]

    def subscript(offset):
        expr = AffineExpr.constant(9 + offset)
        for iv in IVS[:depth]:
            expr = expr + AffineExpr.of(iv) * draw(st.sampled_from([0, 0, 1, 1, -1, 2]))
        return expr

    rank = draw(st.integers(1, 2))
    written = [subscript(0) for _ in range(rank)]
    near = [w + draw(st.integers(-1, 1)) for w in written]
    read = near if draw(st.booleans()) else [subscript(draw(st.integers(-1, 1))) for _ in written]
    order = draw(st.sampled_from(list(permutations(range(depth)))))
    return ranges, written, read, order


@given(nests())
@settings(max_examples=150, deadline=None)
def test_a_reorder_is_refused_exactly_when_it_turns_a_dependence_around(case):
    ranges, written, read, order = case
    points = list(product(*(range(*r) for r in ranges)))

    def cells(subscripts, point):
        env = dict(zip(IVS, point, strict=False))
        return tuple(e.evaluate(env.get) for e in subscripts)

    def turned(p, q):
        return tuple(q[k] for k in order) < tuple(p[k] for k in order)

    touch = {p: (cells(written, p), cells(read, p)) for p in points}
    broken = any(
        touch[p][0] in touch[q] or touch[p][1] == touch[q][0]
        for p in points
        for q in points
        if p < q and turned(p, q)
    )
    s = customize(nest_module(ranges, written, read))
    expected = run(s)
    names = [IVS[k].name for k in order]
    if broken:
        with pytest.raises(IllegalScheduleError):
            s.reorder(*names)
    else:
        s.reorder(*names)
    assert run(s) == expected


# --- random programs: what is accepted computes the same ----------------------------------------

STATEMENTS = [
    "t = A[i, j]",
    "t += A[j, i]",
    "t = t * 3 + 1",
    "A[i, j] = t",
    "A[j, i] = B[i, j] + 1",
    "B[i, j] = t",
    "B[i, j] += A[i, j]",
    "S[i] += t",
    "S[j] *= A[i, j]",
    "S[A[i, j] % 4] += 1",
    "S[0] = t",
    "if A[i, j] > 7:\n            t = j",
    "for k in range(4):\n            row[k] = A[i, k] + j",
    "for k in range(1, 4):\n            row[k] = row[k - 1] + A[k, j]",
    "for k in range(4):\n            B[i, k] += row[3 - k]",
    "bump(row)",
]


def bump(X: int32[4]):
    for n in range(4):
        X[n] = X[n] * 2 + 1


def program(statements, declared_inside, used_after) -> str:
    declare = ["t: int32 = 5", "row: int32[4] = 0"]
    outside, inside = ([], declare) if declared_inside else (declare, [])
    return "\n    ".join(
        [
            "def f(A: int32[4, 4], B: int32[4, 4], S: int32[4]):",
            *outside,
            "for i, j in allo.grid(4, 4):",
            *(f"    {line}" for line in (*inside, *statements)),
            *(["S[3] = t + row[1]"] if used_after and not declared_inside else []),
        ]
    )


@given(
    st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=4),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_a_reorder_that_is_accepted_computes_the_same(statements, inside, after, blocked):
    text = program(statements, inside, after)
    s = customize(text, global_vars={"allo": allo, "int32": int32, "bump": bump})
    expected = run(s)
    try:
        if blocked:
            s.split("j", 2)
            s.reorder("j.outer", "i")
        else:
            s.reorder("j", "i")
    except IllegalScheduleError:
        return
    assert run(s) == expected


# --- accumulations: whatever is taken for one gives the same in any order ----------------------

TYPES = [int8, uint8, int16, Int(9), Int(17), UInt(7), int32]
KINDS = list(BinaryKind)


def accumulation(kind, stored, term, wide, swapped) -> Func:
    """``for n: acc = stored(wide(acc) kind wide(terms[n]))``."""
    acc, terms = Value(stored[1], "acc"), Value(term[4], "terms")
    old, new = Value(stored, "old"), Value(term, "new")
    sides = Value(wide, "l"), Value(wide, "r")
    total, result, n = Value(wide, "total"), Value(stored, "result"), Value(index, "n")
    left, right = reversed(sides) if swapped else sides
    zero = (AffineExpr.constant(0),)
    body = (
        Load(result=old, array=acc, index=zero),
        Load(result=new, array=terms, index=(AffineExpr.of(n),)),
        Cast(result=sides[0], operand=old),
        Cast(result=sides[1], operand=new),
        Binary(kind=kind, result=total, lhs=left, rhs=right),
        Cast(result=result, operand=total),
        Store(value=result, array=acc, index=zero),
    )
    loop = For(iv=n, lower=zero, upper=(AffineExpr.constant(4),), body=body, name="n")
    return Func(name="f", args=(acc, terms), results=(), body=(loop,))


@given(
    st.sampled_from(KINDS),
    *[st.sampled_from(TYPES)] * 3,
    st.booleans(),
    st.lists(st.integers(-(1 << 16), 1 << 16), min_size=5, max_size=5),
)
@settings(max_examples=300, deadline=None)
def test_what_is_taken_for_an_accumulation_commutes(kind, stored, term, wide, swapped, numbers):
    func = accumulation(kind, stored, term, wide, swapped)
    module = Module(funcs=(func,), top="f")
    results = set()
    for order in permutations(numbers[1:]):
        acc = np.array([stored.wrap(numbers[0])], dtype=object)
        evaluate(module, [acc, np.array([term.wrap(n) for n in order], dtype=object)])
        results.add(int(acc[0]))
    assert not reductions(func) or len(results) == 1


@pytest.mark.parametrize(
    ("kind", "stored", "term", "wide", "swapped", "found"),
    [
        (BinaryKind.ADD, int32, int32, Int(33), False, "sum"),
        (BinaryKind.ADD, int32, int8, Int(33), True, "sum"),
        (BinaryKind.SUB, int32, int32, Int(33), False, "sum"),
        (BinaryKind.SUB, int32, int32, Int(33), True, None),  # e - A
        (BinaryKind.MUL, int16, int16, int32, False, "product"),
        (BinaryKind.ADD, int32, int8, int16, False, None),  # the sum loses the high bits
        (BinaryKind.MAX, int16, int8, int32, False, "maximum"),
        (BinaryKind.MAX, int16, int32, int32, False, None),  # a large term is cut off
        (BinaryKind.XOR, uint8, uint8, uint8, False, "xor"),
        (BinaryKind.DIV, int32, int32, int32, False, None),
    ],
)
def test_which_accumulations_are_recognised(kind, stored, term, wide, swapped, found):
    kinds = set(reductions(accumulation(kind, stored, term, wide, swapped)).values())
    assert kinds == ({found} if found else set())


# --- the order of rounding -------------------------------------------------------------------


def float_sum(A: float32[4, 8], s: float32[1]):
    for i, j in allo.grid(4, 8):
        s[0] += A[i, j]


def declared_sum(A: float32[4, 8], s: float32[1]):
    for i, j in allo.reduction(4, 8):
        s[0] += A[i, j]


def row_sums(A: float32[4, 8], s: float32[4]):
    for i, j in allo.grid(4, 8):
        s[i] += A[i, j]


def fixed_sum(A: Fixed(16, 8)[4, 8], s: Fixed(24, 8)[1]):
    for i, j in allo.grid(4, 8):
        s[0] += A[i, j]


def largest(A: float32[4, 8], s: float32[1]):
    for i, j in allo.grid(4, 8):
        s[0] = max(s[0], A[i, j])


def test_a_floating_point_sum_keeps_its_order():
    s = customize(float_sum)
    with pytest.raises(IllegalScheduleError) as caught:
        s.reorder("j", "i")
    assert (
        "hint: this is a floating-point sum, which rounds after each step; declare its loops with "
        "allo.reduction, or say reassociate=True, if another order is as good"
    ) in str(caught.value)
    s.reorder("j", "i", reassociate=True)
    assert [str(step) for step in s.history()] == ["reorder('j', 'i', reassociate=True)"]


@pytest.mark.parametrize("kernel", [declared_sum, row_sums, fixed_sum, largest])
def test_other_accumulations_may_change_it(kernel):
    customize(kernel).reorder("j", "i")
