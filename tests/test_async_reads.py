"""Arrays whose words are there in the cycle of the address: ``Memory(latency=0)``."""

import numpy as np
import pytest
from agreement import check

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.boards.host import Host
from allo_rtl.boards.virtual import VirtualBoard
from allo_rtl.errors import BuildError, LanguageError
from allo_rtl.hls.node import Kind
from allo_rtl.ir.mlir_parser import parse_module
from allo_rtl.ir.types import Memory, Stateful, Stream, int8, int16, int32
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim
from allo_rtl.sim.bench import run_bench
from allo_rtl.sim.marshal import Signature, call_with_numpy
from allo_rtl.sim.stalls import Stalls

NOW = Memory("LUTRAM", latency=0)


def sums(A: int16[16] @ NOW, B: int16[16]) -> int32:
    total: int32 = 0
    for i in range(16):
        total += A[i] + B[i]
    return total


def pipelined(kernel, *loops):
    schedule = allo.customize(kernel)
    for loop in loops:
        schedule.pipeline(loop)
    return schedule


def storage(rtl):
    return {m.name: m.storage for m in rtl.report().memories}


def starts(rtl, kind):
    """(name, start, ready) of the operations of a kind."""
    return sorted(
        (node.name, schedule.start[node], schedule.ready[node])
        for function in rtl.design.functions
        for schedule in function.schedules.values()
        for node in schedule.start
        if node.kind is kind
    )


def test_a_word_of_an_argument_is_there_in_the_cycle_of_its_address():
    rtl = check(pipelined(sums, "i"))
    assert storage(rtl) == {"A": "port, asynchronous", "B": "port", "total": "registers"}
    assert [(n, ready - start) for n, start, ready in starts(rtl, Kind.READ)] == [
        ("A", 0), ("B", 1)
    ]  # fmt: skip


def test_a_kernel_that_reads_nothing_else_is_a_cycle_shorter():
    def copied(A: int16[16], B: int16[16]):
        for i in range(16):
            B[i] = A[i]

    def copied_now(A: int16[16] @ NOW, B: int16[16]):
        for i in range(16):
            B[i] = A[i]

    cycles = [
        check(pipelined(k, "i"), simulator="pysim").predicted_cycles for k in (copied, copied_now)
    ]
    assert cycles == [17, 16]


def histogram(A: int8[32], B: int16[16]):
    counts: int16[16] @ NOW = 0
    for i in range(32):
        counts[A[i] & 15] += 1
    for j in range(16):
        B[j] = counts[j]


def test_a_word_is_read_changed_and_stored_in_one_cycle():
    """Two of the same number in a row are no recurrence of more than a cycle."""
    rtl = check(pipelined(histogram, "i", "j"), seeds=range(4))
    assert storage(rtl)["counts"] == "LUT RAM, asynchronous"
    assert [loop.ii for loop in rtl.report().loops] == [1, 1]
    assert '(* ram_style = "distributed" *)' in rtl.verilog


def test_between_a_word_and_an_address_made_of_it_is_a_register():
    """So that no two memories whose addresses depend on each other are a ring of wires."""

    def twice(A: int8[16] @ NOW, B: int8[16] @ NOW) -> int8[16]:
        C: int8[16]
        for i in range(16):
            a = A[i] & 15
            C[i] = B[A[B[a] & 15] & 15]
        return C

    rtl = check(pipelined(twice, "i"))
    begins = [start for _, start, _ in starts(rtl, Kind.READ)]
    assert len(set(begins)) == len(begins) == 4


def test_tables_and_state_may_be_read_so_as_well():
    table = np.arange(16, dtype=np.int16) ** 2

    def filtered(x: int8) -> int16:
        squares: int16[16] @ NOW = table
        seen: int16[16] @ Stateful @ NOW
        at: int8 = x & 15
        seen[at] += squares[at]
        return seen[at]

    rtl = check(allo.customize(filtered), seeds=range(3))
    assert set(storage(rtl).values()) == {"LUT RAM, asynchronous", "ROM, asynchronous", "registers"}


def test_what_is_said_of_an_array_holds_in_every_function_that_gets_it():
    def row(a: int8[8], b: int8[8]):
        for k in range(8):
            b[k] = a[k] + 1

    def top(A: int8[2, 8] @ NOW, B: int8[2, 8]):
        for i in range(2):
            row(A[i], B[i])

    rtl = check(allo.customize(top), simulator="pysim")
    assert {n for n, start, ready in starts(rtl, Kind.READ) if start == ready} == {"a"}
    assert storage(rtl)["A"] == storage(rtl)["a"] == "port, asynchronous"


def test_registers_answer_callees_at_once_too():
    def chosen(of: int8[4], i: int8) -> int8:
        return of[i & 3]

    def top(A: int8[4], i: int8) -> int8:
        t: int8[4] @ NOW
        for k in range(4):
            t[k] = A[k] * 2
        return chosen(t, i)

    schedule = allo.customize(top)
    schedule.partition("t", dim=1)
    rtl = check(schedule, simulator="pysim", device="ice40-up5k", clock_mhz=12)
    assert storage(rtl)["t"] == "registers"
    assert storage(rtl)["of"] == "port, asynchronous"


@df.region()
def passed_on(A: int8[8] @ NOW, B: int8[8] @ NOW, C: int16[8]):
    left: Stream[int8, 2]
    right: Stream[int8, 2]

    @df.kernel(mapping=[1], args=[A, B])
    def read(a: int8[8], b: int8[8]):
        for i in range(8):
            left.put(a[i])
            right.put(b[7 - i])

    @df.kernel(mapping=[1], args=[C])
    def multiply(c: int16[8]):
        for i in range(8):
            c[i] = left.get() * right.get()


A8, B8 = np.arange(8, dtype=np.int8), np.arange(8, dtype=np.int8) - 3
C8 = A8.astype(np.int16) * B8[::-1]


def test_a_word_goes_into_a_fifo_in_the_cycle_in_which_it_is_read():
    rtl = df.customize(passed_on, opt_default=True).build(target="rtl")
    c = np.zeros(8, np.int16)
    rtl(A8, B8, c)
    assert (c == C8).all()
    # Read and put, take and multiply: eight iterations of two cycles that overlap.
    assert rtl.predicted_cycles == rtl.measured_cycles == 9


def test_a_process_that_holds_still_has_its_word():
    """One word may be put while the process waits to put another."""
    schedule = df.customize(passed_on, opt_default=True)
    schedule.interface("C", "stream")
    rtl = schedule.build(target="rtl")
    for seed in range(8):
        rtl.stalls, c = Stalls(seed=seed, percent=50), np.zeros(8, np.int16)
        rtl(A8, B8, c)
        assert (c == C8).all()


def test_processes_that_are_alike_but_for_their_memories_are_two_modules():
    @df.region()
    def two(A: int8[8] @ NOW, B: int8[8], C: int8[8], D: int8[8]):
        @df.kernel(mapping=[1], args=[A, C])
        def first(a: int8[8], c: int8[8]):
            for i in range(8):
                c[i] = a[i]

        @df.kernel(mapping=[1], args=[B, D])
        def second(a: int8[8], c: int8[8]):
            for i in range(8):
                c[i] = a[i]

    schedule = df.customize(two, opt_default=True)
    rtl = schedule.build(target="rtl")
    reads = [ready - start for _, start, ready in starts(rtl, Kind.READ)]
    assert sorted(reads) == [0, 1]
    c, d = np.zeros(8, np.int8), np.zeros(8, np.int8)
    run = lambda args: pysim.run(KernelComponent(rtl.design), args)[0]  # noqa: E731
    call_with_numpy(Signature.of(schedule.module.top_func), (A8, B8, c, d), run)
    assert (c == A8).all()
    assert (d == B8).all()


def test_a_printed_module_says_so_too():
    module = allo.customize(sums).module
    text = str(module)
    assert "memref<16xi16, 176 : i32>" in text  # 3 * 16 for LUTRAM, and 128
    again = parse_module(text).top_func.args[0].array
    assert again.memory == NOW
    assert again.async_read


# What drives a kernel


def counted(x: int8[16], seen: int16[16] @ NOW):
    for i in range(16):
        seen[x[i] & 15] += 1


X16, SEEN = np.arange(16, dtype=np.int8) // 3, np.arange(16, dtype=np.int16)
COUNTED = SEEN + np.bincount(X16, minlength=16)


def test_the_cocotb_bench_answers_in_the_same_cycle(tmp_path):
    rtl = pipelined(counted, "i").build(target="rtl")
    rtl.write(tmp_path)
    assert run_bench(tmp_path) == (4, 0)


def test_a_board_has_such_memories_and_the_host_reaches_them():
    rtl = pipelined(counted, "i").build(target="rtl")
    seen = SEEN.copy()
    with (
        VirtualBoard(rtl.component, rtl.interface) as port,
        Host(port, rtl.interface, timeout=8.0) as host,
    ):
        host(X16, seen)
    assert (seen == COUNTED).all()


# What is refused


def test_a_device_without_such_memories_is_refused():
    with pytest.raises(BuildError) as caught:
        pipelined(sums, "i").build(target="rtl", device="ice40-up5k", clock_mhz=12)
    text = str(caught.value)
    assert "A of sums is to be read in the cycle of the address (latency=0)" in text
    assert "ice40-up5k has no look-up tables that are memory" in text
    assert "test_async_reads.py" in text
    assert "def sums" in text


def test_block_ram_is_refused_where_it_is_written():
    with pytest.raises(ValueError, match="BRAM answers one cycle after the address"):
        Memory("BRAM", latency=0)

    def kernel(A: "int16[16] @ Memory('BRAM', latency=0)") -> int16:
        return A[0]

    with pytest.raises(LanguageError, match="BRAM answers one cycle after the address"):
        allo.customize(kernel)


def test_an_array_that_is_asked_to_be_two_things_is_refused():
    def first(a: int16[16] @ NOW) -> int16:
        return a[0]

    def top(A: int16[16] @ Memory("BRAM")) -> int16:
        return first(A)

    with pytest.raises(BuildError, match="A of top is to be in BRAM, and is a of first"):
        allo.customize(top).build(target="rtl")


def test_turns_at_a_port_are_refused():
    @df.region()
    def shared(A: int8[8] @ NOW, C: int8[2, 8]):
        @df.kernel(mapping=[2], args=[A, C])
        def each(a: int8[8], c: int8[2, 8]):
            n = df.get_pid()
            for i in range(8):
                c[n, i] = a[i]

    schedule = df.customize(shared, opt_default=True)
    schedule.partition("shared:C", dim=1)
    with pytest.raises(BuildError) as caught:
        schedule.build(target="rtl")
    assert "A is read by each_0 and each_1, which take turns" in str(caught.value)
    assert "c[n, i] = a[i]" in str(caught.value)


def test_turns_at_writing_are_refused_to_a_process_that_reads_what_it_writes():
    """While it waits for its turn at another memory its own word would be there too early."""

    @df.region()
    def updated(A: int8[16] @ NOW, C: int8[16]):
        @df.kernel(mapping=[1], args=[A, C])
        def first(a: int8[16], c: int8[16]):
            for i in range(8):
                v: int8 = a[i]
                a[i] = v + 1
                c[i] = v

        @df.kernel(mapping=[1], args=[A, C])
        def second(a: int8[16], c: int8[16]):
            for i in range(8):
                a[i + 8] = i
                c[i + 8] = i

    schedule = df.customize(updated, opt_default=True)
    with pytest.raises(BuildError) as caught:
        schedule.build(target="rtl")
    assert "A is written by first_0 and second_0, which take turns" in str(caught.value)
    assert "and read by first_0" in str(caught.value)
    assert "a[i] = v + 1" in str(caught.value)
    schedule.partition("updated:A", partition_type=allo.Partition.Block, factor=2)
    rtl = schedule.build(target="rtl")
    a, c = np.arange(16, dtype=np.int8) * 7, np.zeros(16, np.int8)
    rtl(a, c)
    eight = np.arange(8)
    assert (c == [*eight * 7, *eight]).all()
    assert (a == [*eight * 7 + 1, *eight]).all()
    assert rtl.predicted_cycles == rtl.measured_cycles


def test_a_process_may_read_what_others_write_in_turns():
    """Its words are there when the values come that tell so."""

    @df.region()
    def told(X: int8[16], A: int8[16] @ NOW, C: int8[16]):
        low: Stream[int8, 2]
        high: Stream[int8, 2]

        @df.kernel(mapping=[1], args=[X, A])
        def first(x: int8[16], a: int8[16]):
            for i in range(8):
                a[i] = x[i]
                low.put(1)

        @df.kernel(mapping=[1], args=[X, A])
        def second(x: int8[16], a: int8[16]):
            for i in range(8):
                a[i + 8] = x[15 - i]
                high.put(2)

        @df.kernel(mapping=[1], args=[A, C])
        def third(a: int8[16], c: int8[16]):
            for i in range(8):
                n: int8 = low.get()
                c[i] = a[i] + n
                m: int8 = high.get()
                c[i + 8] = a[i + 8] + m

    rtl = df.customize(told, opt_default=True).build(target="rtl")
    x, a, c = np.arange(16, dtype=np.int8) * 5, np.zeros(16, np.int8), np.zeros(16, np.int8)
    rtl(x, a, c)
    assert (c[:8] == x[:8] + 1).all()
    assert (c[8:] == x[:7:-1] + 2).all()
    assert rtl.predicted_cycles == rtl.measured_cycles
