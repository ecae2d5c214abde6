"""Arrays of the top that come and go as AXI4-Streams: ``s.interface(array, "stream")``."""

import numpy as np
import pytest
import region_graphs as graphs
import test_dataflow_streams as blocks
from agreement import check, in_amaranth, random_args, run

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.errors import BuildError, IllegalScheduleError, IRError, ParseError, ScheduleError
from allo_rtl.ir.types import Int, UInt, float32, int8, int32
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim
from allo_rtl.sim.bench import run_bench
from allo_rtl.sim.stalls import Stalls


def scale(A: int32[4, 6], k: int32) -> int32[4, 6]:
    B: int32[4, 6]
    for i, j in allo.grid(4, 6):
        B[i, j] = A[i, j] * k
    return B


def streamed(kernel, *arrays, **options):
    s = (df.customize if hasattr(kernel, "__wrapped__") else allo.customize)(kernel, **options)
    for array in arrays:
        s.interface(array, "stream")
    return s


def waits(s, rtl, seeds=(1,), limits=None, percents=(60,)):
    """Assert that a build gives what the evaluator does, whenever words come and are taken."""
    evaluator = s.build(target="evaluator")
    for seed, percent in zip(seeds, percents, strict=True):
        args = random_args(s.module, seed, limits)
        expected = run(evaluator.run_raw, s.module, args)
        stalls = Stalls(seed, percent)
        found = run(
            lambda raw, stalls=stalls: pysim.run(
                KernelComponent(rtl.design), raw, stalls=stalls
            )[0],
            s.module, args,
        )  # fmt: skip
        assert found == expected


def agrees(s, **options):
    """All builds agree, the cycles are those predicted when nothing waits, and it may wait."""
    rtl = check(s, (1,), simulator="pysim", **options)
    waits(s, rtl)
    return rtl


# What it is


def test_the_call_is_the_same():
    """In Verilator; the report, the Verilog and the interface say what the ports are."""
    s = streamed(scale, "A", "B")
    s.pipeline("j")
    rtl = s.build(target="rtl")
    a = np.arange(24, dtype=np.int32).reshape(4, 6) - 9
    np.testing.assert_array_equal(rtl(a, -3), -3 * a)
    assert rtl.cycles == rtl.predicted_cycles == 24
    for seed in range(3):
        rtl.stalls = Stalls(seed, 60)
        np.testing.assert_array_equal(rtl(a, seed), seed * a)
        assert rtl.cycles > 24
    assert [n for n in rtl.interface.signals() if n[1:3] == "_t"] == [
        "A_tdata", "A_tvalid", "A_tready", "B_tdata", "B_tvalid", "B_tready", "B_tlast",
    ]  # fmt: skip
    assert "// A_t*        in   AXI4-Stream of int32[4, 6]\n" in rtl.verilog
    assert "// B_t*        out  AXI4-Stream of int32[4, 6]\n" in rtl.verilog
    report = rtl.report()
    assert [(x.name, x.storage, x.depth, x.width) for x in report.streams] == [
        ("A", "AXI4-Stream in", 24, 32), ("B", "AXI4-Stream out", 24, 32),
    ]  # fmt: skip
    assert not report.memories  # neither array is held anywhere
    assert report.notes == ("scale: the latency is that of a run in which no stream waits",)


def test_the_same_stalls_give_the_same_run():
    s = streamed(scale, "A", "B")
    s.pipeline("j")
    rtl = s.build(target="rtl")
    a = np.ones((4, 6), np.int32)

    def cycles(stalls):
        rtl.stalls = stalls
        rtl(a, 1)
        return rtl.cycles

    first = cycles(Stalls(7, 50))
    assert cycles(Stalls(8, 50)) != first
    assert cycles(Stalls(7, 50)) == first
    assert cycles(None) == rtl.predicted_cycles


def test_schedule_shows_it_and_the_text_keeps_it():
    s = streamed(scale, "A", "B")
    assert str(s).splitlines()[0] == (
        "scale(A: int32[4, 6] as a stream, k: int32) -> int32[4, 6] as a stream"
    )
    again = allo.customize(str(s.module))
    assert again.module.top_func.streams == {0, 2}
    assert str(again.module) == str(s.module)
    s.interface("A", "memory")
    assert s.module.top_func.streams == {2}
    s.undo()
    assert s.module.top_func.streams == {0, 2}


def test_the_text_must_number_arrays():
    text = str(streamed(scale, "A").module)
    with pytest.raises(IRError, match="argument or result 1 is a stream, and no array"):
        allo.customize(text.replace("array<i64: 0>", "array<i64: 1>"))
    with pytest.raises(ParseError, match="'streams' does not number"):
        allo.customize(text.replace("array<i64: 0>", '"A"'))


# Order of the accesses


def row_sums(A: int8[5, 3], R: int32[5]):
    for i in range(5):
        total: int32 = 0
        for j in range(3):
            total += A[i, j]
        R[i] = total


def stencil(A: int32[6, 6], B: int32[4, 4]):
    for y, x in allo.grid(4, 4):
        total: int32 = 0
        for r, c in allo.reduction(3, 3):
            total += A[y + r, x + c]
        B[y, x] = total


def by_hand(A: UInt(70)[4], B: Int(7)[8]):
    for i in range(0, 4, 2):
        B[2 * i] = A[i] + 1
        B[2 * i + 1] = A[i + 1] + 2
        for k in range(2):
            B[2 * i + 2 + k] = k


def flat(A: float32[3, 4], B: float32[12]):
    for n in range(12):
        B[n] = A[n // 4, n % 4] + 0.5


def triangle(A: int32[4, 4], B: int32[4, 4]):
    for i in range(4):
        for j in range(i):
            B[i, j] = 2 * A[i, j]
        for j in range(i, 4):
            B[i, j] = A[i, j] - i


def part(X: int32[6], Y: int32[6]):
    for i in range(6):
        Y[i] = X[i] + 1


def through_calls(A: int32[6], B: int32[6]):
    M: int32[6]
    part(A, M)
    part(M, B)


def doubled(X: int32[6]) -> int32[6]:
    Y: int32[6]
    for i in range(6):
        Y[i] = 2 * X[i]
    return Y


def results(A: int32[6]) -> (int32[6], int32, int32[6]):
    M: int32[6] = doubled(A)
    N: int32[6] = doubled(M)
    total: int32 = 0
    for i in range(6):
        total += N[i]
    return M, total, N


@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize(
    ("kernel", "arrays"),
    [
        (row_sums, "AR"), (by_hand, "AB"), (flat, "AB"), (triangle, "AB"), (through_calls, "AB"),
    ],
    ids=lambda x: getattr(x, "__name__", None),
)  # fmt: skip
def test_any_program_that_goes_through_the_elements_in_order(kernel, arrays, pipelined):
    s = streamed(kernel, *arrays)
    if pipelined:
        for _, band in s.get_loops():
            s.pipeline(list(band)[-1][1])
    agrees(s)


def test_an_array_result_is_a_stream_where_it_is_only_stored():
    s = streamed(scale, "B")
    agrees(s)
    s = streamed(results, "A")
    agrees(s)
    with pytest.raises(IllegalScheduleError, match="M cannot be a stream: M is both read and wr"):
        s.interface("M", "stream")


def test_a_window_makes_a_stencil_sequential():
    """What needs elements more than once gets them from a buffer of its own."""
    s = allo.customize(stencil)
    with pytest.raises(IllegalScheduleError, match=r"A\[0, 1\] is read in .*, after A\[2, 2\]"):
        s.interface("A", "stream")
    lines = s.reuse_at("A", "y")
    s.reuse_at(lines, "x")
    s.interface("A", "stream")
    s.pipeline("x")
    agrees(s)


def test_primitives_after_it_may_not_change_the_order():
    s = streamed(scale, "A")
    s.split("j", 2)
    agrees(s)
    s.reorder("j.outer", "i")
    with pytest.raises(BuildError, match=r"A cannot be a stream: A\[0, 2\] is read in") as caught:
        s.build(target="rtl")
    assert caught.value.loc.line == scale.__code__.co_firstlineno + 3
    s.build()


def conditional(A: int32[4], B: int32[4]):
    for i in range(4):
        if A[i] > 0:
            B[i] = 1


def reversed_(A: int32[4], B: int32[4]):
    for i in range(4):
        B[3 - i] = A[3 - i]


def half(A: int32[4], B: int32[4]):
    for i in range(2):
        B[i] = A[2 * i]


def gathers(A: int32[4], B: int32[4], at: int32[4]):
    for i in range(4):
        B[i] = A[at[i]]


def open_ended(A: int32[4], B: int32[4], n: int32):
    for i in range(n):
        B[i] = A[i]


def accumulates(A: int32[4], B: int32[4]):
    for i in range(4):
        B[i] += A[i]


def twice(A: int32[4], B: int32[4]):
    for r in range(2):
        for i in range(4):
            B[i] = A[i] + r


def unused(A: int32[4], B: int32[4]):
    for i in range(4):
        B[i] = i


REFUSED = [
    (conditional, "B", "B is written inside a condition, which is not known to be run each time"),
    (reversed_, "A", "A[2] is read in iteration i = 1, after A[3] in iteration i = 0"),
    (reversed_, "B", "B[2] is written in iteration i = 1, after B[3] in iteration i = 0"),
    (half, "A", "A[1] is never read"),
    (half, "B", "B[2] is never written"),
    (gathers, "A", "which element of A is read depends on data"),
    (open_ended, "A", "how many elements of A are read depends on data: loop 'i' has no constant "
     "bounds"),
    (accumulates, "B", "B is both read and written"),
    (twice, "B", "B[0] is written in iteration r = 1, i = 0, after B[3] in iteration r = 0, i = 3"),
    (unused, "A", "A is not used"),
]  # fmt: skip


@pytest.mark.parametrize(("kernel", "array", "why"), REFUSED, ids=lambda x: str(x)[:20])
def test_what_is_not_sequential_is_refused(kernel, array, why):
    s = allo.customize(kernel)
    with pytest.raises(IllegalScheduleError) as caught:
        s.interface(array, "stream")
    assert caught.value.message == (
        f"interface('{array}', 'stream') is not legal: {array} cannot be a stream: {why}"
    )
    assert caught.value.loc is not None
    assert not s.history()
    assert not s.module.top_func.streams


def test_other_arguments_of_the_primitive():
    s = allo.customize(through_calls)
    for target, kind, message in [
        ("A", "axi", "there is no interface 'axi'"),
        ("M", "stream", "'M' of through_calls is no argument or result of through_calls"),
        ("part:X", "stream", "'X' of part is no argument or result of through_calls"),
        ("C", "stream", "there is no array 'C' in through_calls"),
    ]:
        with pytest.raises(ScheduleError) as caught:
            s.interface(target, kind)
        assert caught.value.message == message


def in_two_parts(A: int32[9], B: int32[8]):
    gain: int32 = A[0]
    for i in range(4):
        B[i] = A[i + 1] * gain
    for j in range(4):
        B[j + 4] = A[j + 5] - gain


def test_several_parts_of_a_kernel_take_their_elements_in_turn():
    s = streamed(in_two_parts, "A", "B")
    s.pipeline("i")
    s.pipeline("j")
    agrees(s)


def sums(A: int32[8], R: int32[2]):
    low: int32 = 0
    high: int32 = 0
    for i in range(4):
        low += A[i]
    for j in range(4):
        high += A[j + 4]
    R[0] = low
    R[1] = high


def test_parts_that_take_from_a_stream_do_not_run_at_the_same_time():
    s = streamed(sums, "R")
    s.overlap("i", "j")
    s.interface("A", "stream")
    with pytest.raises(BuildError, match="at the same time as another uses the stream 'A'"):
        s.build(target="rtl")


# Words of several elements


def test_banks_of_the_last_dimension_make_words():
    """Two elements a cycle instead of one."""
    s = streamed(scale, "A", "B")
    s.unroll("j", 2)
    s.pipeline("j")
    slow = agrees(s).predicted_cycles
    s.partition("A", allo.Partition.Cyclic, dim=2, factor=2)
    s.partition("B", allo.Partition.Cyclic, dim=2, factor=2)
    rtl = agrees(s)
    assert rtl.interface.args[0].elements == 2
    assert rtl.predicted_cycles < 0.7 * slow


def test_words_of_whole_rows():
    s = streamed(scale, "A", "B")
    s.partition("A", dim=2)
    s.partition("B", dim=2)
    s.pipeline("i")
    rtl = agrees(s)
    a, _ = rtl.interface.args
    assert (a.elements, a.words, a.width) == (6, 4, 192)
    assert rtl.predicted_cycles == 4


def test_loops_must_use_whole_words():
    s = streamed(scale, "A")
    s.partition("A", allo.Partition.Cyclic, dim=2, factor=2)
    with pytest.raises(BuildError) as caught:
        s.build(target="rtl")
    assert caught.value.message == "A has 2 elements to a word, and 1 of one are used here"
    assert caught.value.hint == "unroll the loop by 2, or leave the array in one bank"


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ((allo.Partition.Complete, 1), "elements that are next to each other are in one bank"),
        ((allo.Partition.Block, 2, 2), "a partition in blocks has distant elements in its banks"),
        ((allo.Partition.Cyclic, 2, 4), "6 elements do not fill words of 4"),
    ],
)
def test_banks_that_make_no_words(how, why):
    s = allo.customize(scale)
    s.partition("A", *how)
    with pytest.raises(IllegalScheduleError) as caught:
        s.interface("A", "stream")
    assert caught.value.message.endswith(f"A cannot be a stream as it is partitioned: {why}")


# Regions


@pytest.mark.parametrize(
    ("region", "arrays"),
    [
        (graphs.add_then_copy, ["A", "B"]),
        (graphs.four_stages, ["A", "B"]),
        (graphs.fork_and_join, ["B"]),
        (graphs.running_sum, ["A"]),
        (graphs.matrix_vector, ["X"]),
        (graphs.weight_stationary, ["C"]),
        (graphs.convolution, ["A", "B"]),
        (graphs.two_levels, ["A", "B", "C", "D"]),
        (graphs.with_calls, ["A", "B"]),
        (blocks.blocks, ["A", "B"]),
        (blocks.spread_blocks, ["A", "B"]),
    ],
    ids=lambda x: getattr(x, "__name__", None),
)
def test_regions(region, arrays):
    s = df.customize(region, opt_default=True)
    for array in arrays:
        s.interface(array, "stream")
    evaluator, rtl = s.build(target="evaluator"), s.build(target="rtl")
    args = random_args(s.module)
    in_amaranth(rtl, s.module, [(args, run(evaluator.run_raw, s.module, args))])
    waits(s, rtl)


def test_a_stream_has_one_process():
    s = df.customize(graphs.matrix_vector)
    with pytest.raises(IllegalScheduleError) as caught:
        s.interface("A", "stream")
    assert "A is used by 3 processes of 'matrix_vector'; a stream has one" in caught.value.message
    assert len(caught.value.notes) == 1


# What else there is of a kernel


def test_compose_leaves_the_ports_of_a_kernel_that_is_called():
    inner = streamed(part, "X")
    inner.pipeline("i")
    s = allo.customize(through_calls)
    s.compose(inner)
    assert not s.module.func("part").streams
    assert [step.name for step in s.history()] == ["pipeline"]


def test_boards_have_memories():
    rtl = streamed(scale, "A").build(target="rtl", device="ice40-up5k", clock_mhz=12)
    with pytest.raises(BuildError) as caught:
        rtl.bitstream("icebreaker")
    assert caught.value.message == (
        "'A' of scale is a stream; the link of a board fills and reads memories"
    )
    assert caught.value.hint.startswith('s.interface("A", "memory")')


def test_the_cocotb_bench(tmp_path):
    """It gives and takes words, without waiting and with."""
    s = streamed(scale, "A", "B")
    s.partition("A", allo.Partition.Cyclic, dim=2, factor=2)
    s.unroll("j", 2)
    s.build(target="rtl").write(tmp_path)
    assert run_bench(tmp_path) == (5, 0)


def test_stalls_are_a_part_of_the_cycles():
    with pytest.raises(allo.errors.CallError, match="stalls in 100 % of cycles"):
        Stalls(percent=100)


def test_a_run_after_another_without_a_reset():
    """Words that come before a run starts are those of the next run."""
    s = streamed(scale, "A", "B")
    rtl = s.build(target="rtl")
    evaluator = s.build(target="evaluator")
    runs = [random_args(s.module, seed) for seed in range(3)]
    in_amaranth(rtl, s.module, [(a, run(evaluator.run_raw, s.module, a)) for a in runs])


def weighted(A: int32[8, 3], w: int32[6], B: int32[8]):
    for i in range(8):
        B[i] = (A[i, 0] * w[i % 3] + A[i, 1] * w[i % 3 + 1]) ^ (A[i, 2] * w[5 - i % 3])


def weighted_floats(A: float32[6, 3], w: float32[6], B: float32[6]):
    for i in range(6):
        B[i] = (A[i, 0] * w[i % 3] + A[i, 1] * w[i % 3 + 1]) - (A[i, 2] * w[5 - i % 3])


@pytest.mark.parametrize("kernel", [weighted, weighted_floats])
@pytest.mark.parametrize("limits", [{}, {"mul": 1, "float32 mul": 1, "float32 add": 1}])
@pytest.mark.parametrize("clock_mhz", [30, 110])
def test_shared_units_wait_with_the_words(kernel, limits, clock_mhz):
    """Their operands come in turn, and what is inside of them stays there while a stream waits."""
    s = streamed(kernel, "A", "B")
    s.pipeline("i")
    rtl = check(s, (1,), simulator="pysim", units=limits, clock_mhz=clock_mhz)
    if limits:
        counts = [n for name, n in rtl.report().units if "mul" in name]
        assert counts == [1]
    waits(s, rtl, seeds=(1, 2, 3), percents=(60, 30, 85))
