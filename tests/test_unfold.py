"""unfold and to: processing elements from plain loops, which run at once and hand words on."""

import numpy as np
import pytest
from ir_writer import agree

import allo_rtl as allo
from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.rewrite import loops
from allo_rtl.ir.types import int8, int16, int32
from allo_rtl.library import KERNEL2SCHEDULE, systolic

M, N, K = 3, 4, 5


def gemm(A: int8[M, K], B: int8[K, N], C: int32[M, N]):
    for i, j in allo.grid(M, N, name="PE"):
        total: int32 = 0
        for k in range(K):
            total += A[i, k] * B[k, j]
        C[i, j] = total


def elements(kernel=gemm, axes=(0, 1)):
    s = allo.customize(kernel)
    s.pipeline("k")
    return s, s.unfold("PE", list(axes))


def output_stationary():
    s, pe = elements()
    s.to("A", pe, axis="j", depth=2)
    s.to("B", pe, axis=0, depth=2)
    s.partition("A", dim=1)
    s.partition("B", dim=2)
    s.partition("C", dim=0)
    return s


def cycles(s, seed=3):
    """Cycles of a run in hardware, which agrees with the evaluator."""
    dice = np.random.default_rng(seed)
    module = legalize(s.module)
    args = [dice.integers(-9, 9, v.type.shape).astype(object) for v in module.top_func.args]
    return agree(module, args)


def test_a_systolic_array_from_three_loops():
    """One element after the other takes M N K cycles, the array the way through it and K."""
    plain = allo.customize(gemm)
    plain.pipeline("k")
    assert cycles(plain) > M * N * K
    s = output_stationary()
    rtl = s.build(target="rtl")
    assert cycles(s) == rtl.predicted_cycles <= M + N + K + 3
    assert len(rtl.design.functions) == 10  # nine kinds of elements: corners, edges, inside


def test_in_verilator_and_on_the_cpu():
    s = output_stationary()
    rtl = s.build(target="rtl")
    a = np.arange(M * K, dtype=np.int8).reshape(M, K) - 7
    b = np.arange(K * N, dtype=np.int8).reshape(K, N) - 11
    for run in (s.build(), rtl, rtl):
        c = np.zeros((M, N), np.int32)
        run(a, b, c)
        np.testing.assert_array_equal(c, a.astype(np.int32) @ b)


def test_elements_without_fifos_share_the_memories():
    """Each word is read by all that need it, in turn."""
    s, _ = elements()
    assert cycles(s) > cycles(output_stationary())


def test_one_word_is_read_once():
    """Only the first element along an axis reads the array."""
    text = str(output_stationary().module)
    assert text.count("%A[") == M
    assert text.count("%B[") == N


def gemv(A: int16[M, K], x: int16[K], y: int32[M]):
    for i in allo.grid(M, name="PE"):
        total: int32 = 0
        for k in range(K):
            total += A[i, k] * x[k]
        y[i] = total


def test_an_array_in_one_dimension():
    s, pe = elements(gemv, [0])
    s.to("x", pe, axis="i", depth=2)
    s.partition("A", dim=1)
    s.partition("y", dim=0)
    assert cycles(s) <= K + M + 4


def chain(A: int32[K], B: int32[K]):
    link: int32[M + 1, K]
    for a in range(K):
        link[0, a] = A[a]
    for i in allo.grid(M, name="PE"):
        for k in range(K):
            link[i + 1, k] = link[i, k] * 2 + i
    for b in range(K):
        B[b] = link[M, b]


def test_an_array_of_the_kernels_own_between_elements():
    s, pe = elements(chain, [0])
    before = cycles(s)
    s.pipeline("a")
    s.pipeline("b")
    s.to("link", pe, axis=0, depth=2)
    assert cycles(s) <= K + M + 6 < before
    assert [b.name for b in s.build(target="rtl").report().streams if "link" in b.name]


def accumulating(A: int32[M, K], B: int32[K]):
    for i in allo.grid(M, name="PE"):
        for k in range(K):
            B[k] = B[k] + A[i, k]


def test_elements_that_need_each_other_wait():
    s, _ = elements(accumulating, [0])
    cycles(s)


def test_histories_replay_and_undo():
    s = output_stationary()
    assert [step.name for step in s.history()][:4] == ["pipeline", "unfold", "to", "to"]
    while s.history():
        s.undo()
    assert str(s.module) == str(allo.customize(gemm).module)


def caller(A: int8[M, K], B: int8[K, N], C: int32[M, N]):
    gemm(A, B, C)


def test_composed():
    sub, pe = elements()
    sub.to("A", pe, axis=1, depth=2)
    s = allo.customize(caller)
    s.compose(sub)
    assert "PE_2_3" in str(s.module)
    cycles(s)


def shifted(A: int32[M + K], B: int32[M]):
    for i in allo.grid(M, name="PE"):
        total: int32 = 0
        for k in range(K):
            total += A[i + k]
        B[i] = total


def test_neighbours_that_read_different_elements():
    s, pe = elements(shifted, [0])
    before = s.module
    with pytest.raises(IllegalScheduleError, match="read different elements of 'A'"):
        s.to("A", pe, axis=0)
    assert s.module is before


REFUSED = [
    (lambda s, pe: s.to("A", pe, axis=0), "neighbours along 'i' read different elements of 'A'"),
    (lambda s, pe: s.to("C", pe, axis=0), "neighbours along 'i' store to different elements of"),
    (lambda s, pe: s.to("A", pe, axis="k"), "there is no axis 'k'"),
    (lambda s, pe: s.to("A", pe, axis=1, depth=0), "the depth is 0"),
    (lambda s, pe: s.to("A", "PE", axis=1), "the elements are 'PE'"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "message"), REFUSED)
def test_what_cannot_be_handed_on(wrong, message):
    s, pe = elements()
    before = s.module
    with pytest.raises(ScheduleError, match=message):
        wrong(s, pe)
    assert s.module is before


def moving(A: int32[8], n: int32):
    for i in allo.grid(8, name="PE"):
        A[i] = 1
        for k in range(n):
            A[i] += k
    for j in range(n):
        A[j] = 0
    for m in range(1, 8):
        A[m] = 0


@pytest.mark.parametrize(("band", "axes", "message"), [
    ("nowhere", [0], "there is no band 'nowhere'"),
    ("PE", [1], r"the axes are \[1\]"),
    ("PE", 0, "the axes are 0"),
    ("PE", [0, 2], "the axes are"),
    ("PE", [0, 1, 2], "the band has 1 loop"),
    ("S_j_2", [0], "does not count from 0 to a constant"),
    ("S_m_3", [0], "does not count from 0 to a constant"),
])  # fmt: skip
def test_what_cannot_be_elements(band, axes, message):
    with pytest.raises(ScheduleError, match=message):
        allo.customize(moving).unfold(band, axes)


def nested(A: int32[8], n: int32):
    for t in range(2):
        for i in allo.grid(8, name="in_loop"):
            A[i] += t
    if n > 0:
        for j in allo.grid(8, name="in_if"):
            A[j] = 0
    while n > 0:
        for k in allo.grid(8, name="in_while"):
            A[k] += n
        n -= 1


@pytest.mark.parametrize("band", ["in_loop", "in_if", "in_while"])
def test_a_band_inside_something_is_not_outermost(band):
    with pytest.raises(ScheduleError, match=f"band '{band}' is not outermost") as error:
        allo.customize(nested).unfold(band, [0])
    assert f'name="{band}"' in error.value.loc.text
    ((_, outer),) = error.value.notes
    assert outer.line < error.value.loc.line


def similar_names(A: int32[4], B: int32[4]):
    for i in allo.grid(4, name="P"):
        for x in allo.grid(2, name="P_3"):
            A[i] += x
    for j in allo.grid(4, name="P_1"):
        B[j] = A[j] * 2


def add_one(A: int32[4]):
    for i in range(4):
        A[i] += 1


def add_two(A: int32[4]):
    add_one(A)
    add_one(A)


def band_names(s):
    """Those of all bands, after a check that each loop nest is in get_loops."""
    named = [x.attrs.band for x in loops(s.module.top_func.body) if x.attrs.band]
    assert sorted(named) == sorted(s.get_loops().bands)
    return named


def test_every_band_has_a_name_of_its_own():
    s = allo.customize(similar_names)
    s.unfold("P", [0])
    assert [n for n in band_names(s) if n[-1] == "1"] == ["P_element_1", "P_3_1", "P_1"]
    s.unfold("P_1", [0])
    assert len(band_names(s)) == 3 * 4
    assert allo.verify(allo.customize(similar_names).module, s.module).equal


def test_the_bands_of_calls_that_were_inlined_can_be_elements():
    s = allo.customize(add_two)
    s.inline("add_two")
    s.unfold("S_i_0", [0])
    assert len(band_names(s)) == 5
    assert allo.verify(allo.customize(add_two).module, s.module).equal


def test_pipelined_loops_are_no_elements():
    s = allo.customize(gemm)
    s.pipeline("j")
    with pytest.raises(ScheduleError, match="'j' is pipelined or unrolled"):
        s.unfold("PE", [0, 1])


@pytest.mark.parametrize(("kernel", "instantiate"), [
    (systolic.systolic, [int8, int8, int32, 4, 6, 4, 2, 2]),
    (systolic.packed_systolic, [int8, int8, int32, 4, 6, 4, 2, 2, 2]),
    (systolic.packed_int8xint8_systolic, [4, 6, 4, 2, 4, 2]),
])  # fmt: skip
def test_the_librarys_elements_run_at_once(kernel, instantiate):
    """Before, a tile took the time of its elements together."""
    s = allo.customize(kernel, instantiate=instantiate)
    for name in [f.name for f in s.module.funcs]:
        if name.startswith("PE_kernel"):
            s.pipeline(f"{name}:k")
    before = s.build(target="rtl").predicted_cycles
    s = KERNEL2SCHEDULE[kernel](allo.customize(kernel, instantiate=instantiate))
    assert cycles(s) < before / 2


def returned(A: int32[3], n: int32) -> int32[3, 2]:
    R: int32[3, 2]
    for i in allo.grid(2, name="PE"):
        A[i] = R[0, i] + R[1, i] + R[2, i]
    return R


def by_data(A: int32[3], n: int32):
    link: int32[3, 3]
    for i in allo.grid(2, name="PE"):
        for k in range(3):
            link[i + 1, k] = link[i, k] + A[k]
    A[0] = link[n, 0]


def stores_in_the_last(A: int32[3, 4], B: int32[4]):
    for i in allo.grid(3, name="PE"):
        if i == 2:
            B[3] = 5
        for k in range(4):
            A[i, k] = B[k]


def put(X: int32[4]):
    X[3] = 5


def stores_in_a_call(A: int32[3, 4], B: int32[2, 4]):
    for i in allo.grid(3, name="PE"):
        if i == 2:
            put(B[0])
        for k in range(4):
            A[i, k] = B[0, k]


@pytest.mark.parametrize(("kernel", "array", "message"), [
    (returned, "R", "'R' is a result of returned, which has it as a whole"),
    (by_data, "link", "this does not say by constants between which elements 'link' is used"),
    (stores_in_the_last, "B", "neighbours along 'i' have other loops, or use 'B' more often"),
    (stores_in_a_call, "B", "an element does more with 'B' than read it"),
])  # fmt: skip
def test_what_the_elements_do_not_hand_on_alike_is_refused(kernel, array, message):
    s = allo.customize(kernel)
    pe = s.unfold("PE", [0])
    with pytest.raises(ScheduleError, match=message):
        s.to(array, pe, axis=0)


def test_elements_of_which_one_was_scheduled_apart_do_not_hand_on():
    s, pe = elements(gemv, [0])
    s.undo()
    s.undo()
    pe = s.unfold("PE", [0])
    s.split("PE_1.k", 2)
    with pytest.raises(IllegalScheduleError, match="neighbours along 'i' have other loops"):
        s.to("x", pe, axis="i")
