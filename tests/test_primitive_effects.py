"""What each primitive does to the hardware, measured: cycles, memories, operators, modules.

Every schedule here is also run: results are the unscheduled kernel's, and the cycles in simulation
are the predicted ones.
"""

import numpy as np
from agreement import check

import allo_rtl as allo
from allo_rtl.ir.types import Partition, float16, int8, int16, int32
from allo_rtl.primitives.unify import unify

CYCLIC = Partition.Cyclic


def build(kernel, *steps, limits=None):
    """The hardware of a kernel after some primitives, each a name and its arguments."""
    s = allo.customize(kernel)
    for name, *args in steps:
        getattr(s, name)(*args)
    original = allo.customize(kernel).module
    return check(s, seeds=(0,), limits=limits, original=original, simulator="pysim")


def cycles(rtl):
    return rtl.predicted_cycles


def memory(rtl, name):
    """(storage, banks, words a bank) of an array."""
    return next(
        (m.storage, m.banks, m.depth) for m in rtl.report().memories if m.name.startswith(name)
    )


def units(rtl, name):
    """How many operators of a kind there are."""
    return sum(n for unit, n in rtl.report().units if unit.startswith(name))


def squares(A: int16[6, 3], B: int32[6, 3]):
    for i, j in allo.grid(6, 3):
        B[i, j] = A[i, j] * A[i, j]


def test_unroll_makes_copies_of_the_operators():
    plain = build(squares)
    copies = build(squares, ("unroll", "j"), ("partition", "A", 0, 2), ("partition", "B", 0, 2))
    assert (units(plain, "mul"), units(copies, "mul")) == (1, 3)
    assert (cycles(plain), cycles(copies)) == (36, 12)


def test_pipeline_starts_an_iteration_a_cycle():
    plain, fast = build(squares), build(squares, ("pipeline", "j"))
    assert cycles(plain) == 18 * 2
    assert cycles(fast) == 18 + 1
    slow = build(squares, ("pipeline", "j", 3))
    assert [loop.ii for loop in slow.report().loops] == [3]
    assert cycles(slow) == 17 * 3 + 2


def rows(A: int8[6, 8], C: int32[6]):
    for i in range(6):
        total: int32 = 0
        for k in range(8):
            total += A[i, k] * A[i, k]
        C[i] = total


def test_rewind_does_not_drain_the_pipeline_between_runs_of_a_loop():
    drained, rewound = build(rows, ("pipeline", "k")), build(rows, ("pipeline", "k", None, True))
    assert cycles(rewound) == 6 * 8 + 1
    assert cycles(drained) >= 6 * (8 + 1) + 6


def staged(A: int32[16, 4], B: int32[16]):
    t: int32[4] = 0
    for i in range(16):
        for j in range(4):
            t[j] = A[i, j] * 3
        B[i] = t[0] + t[1] - t[2]


def test_parallel_gives_each_iteration_what_it_works_with():
    steps = [("partition", "A", 0, 2), ("pipeline", "i")]
    shared, own = build(staged, *steps), build(staged, ("parallel", "i"), *steps)
    assert memory(shared, "t")[1:] == (1, 4)
    assert memory(own, "t") == ("registers", 4, 1)
    assert [loop.ii for rtl in (shared, own) for loop in rtl.report().loops] == [2, 1]
    assert cycles(own) < 0.6 * cycles(shared)


def product(A: float16[2, 6], B: float16[6, 8], C: float16[2, 8]):
    for i, j, k in allo.grid(2, 8, 6):
        C[i, j] += A[i, k] * B[k, j]


def test_reorder_lets_sums_take_turns():
    """One float sum waits for its adder; those of a row do not wait for one another."""
    waiting = build(product, ("pipeline", "k"))
    turns = build(product, ("reorder", "k", "j"), ("pipeline", "j"))
    assert [loop.ii for rtl in (waiting, turns) for loop in rtl.report().loops] == [2, 1]
    assert cycles(turns) < cycles(waiting) * 0.6


def test_split_and_reorder_make_tiles_whose_rows_are_lanes():
    steps = [("split", "j", 4), ("reorder", "k", "j.inner"), ("pipeline", "k")]
    banks = [("partition", name, CYCLIC, 2, 4) for name in "BC"]
    tiles = build(product, *steps, *banks)
    assert units(tiles, "float16 mul") == 4
    assert cycles(tiles) < cycles(build(product, ("pipeline", "k"))) / 3.5


def test_fuse_makes_one_loop_whose_copies_cross_rows():
    """Rows of three do not come in sixes, the elements of two rows do."""
    fused = build(squares, ("fuse", "i", "j"), ("unroll", "i_j_fused", 6))
    assert [(loop.name, loop.trip) for loop in fused.report().loops] == [("i_j_fused", 3)]
    assert units(fused, "mul") == 6
    assert cycles(fused) == 3 * (6 + 1)


def test_partition_multiplies_ports():
    steps = [("pipeline", "i")]
    one = build(squares, *steps)
    banked = build(squares, *steps, ("partition", "A", 0, 2), ("partition", "B", 0, 2))
    assert memory(banked, "A") == ("port", 3, 6)
    assert [loop.ii for rtl in (one, banked) for loop in rtl.report().loops] == [3, 1]
    assert cycles(banked) < cycles(one) / 2


def line(A: int32[16], B: int32[8]):
    for i in range(8):
        B[i] = A[2 * i] + A[2 * i + 1]


def test_reshape_makes_a_dimension_that_can_be_partitioned():
    one = build(line, ("pipeline", "i"))
    pairs = allo.customize(line)
    pairs.reshape(pairs.A, (8, 2))
    pairs.partition(pairs.A, dim=2)
    pairs.pipeline("i")
    two = check(pairs, seeds=(0,), simulator="pysim")
    assert memory(two, "A") == ("port", 2, 8)
    assert [loop.ii for rtl in (one, two) for loop in rtl.report().loops] == [2, 1]


def blur(A: int8[8, 8], B: int32[6, 6]):
    for y, x in allo.grid(6, 6, name="blur"):
        v: int32 = 0
        for r, c in allo.reduction(3, 3):
            v += A[y + r, x + c]
        B[y, x] = v


def test_reuse_at_makes_line_buffers_and_a_window_of_registers():
    nine_reads = build(blur, ("pipeline", "x"))
    window = build(
        blur, ("reuse_at", "A", "y"), ("reuse_at", "blur_reuse_y", "x"), ("pipeline", "x")
    )
    assert memory(window, "blur_reuse_y")[1:] == (3, 8)
    assert memory(window, "blur_reuse_x") == ("registers", 9, 1)
    assert [loop.ii for rtl in (nine_reads, window) for loop in rtl.report().loops] == [9, 1]
    assert cycles(window) < 9 * 8 + 5 < cycles(nine_reads) / 4


def test_buffer_at_keeps_a_row_of_sums_on_chip():
    """The array outside is then read and written once an element."""
    steps = [("reorder", "k", "j"), ("buffer_at", "C", "i"), ("pipeline", "j")]
    buffered = build(product, *steps)
    assert memory(buffered, "C_buf")[1:] == (1, 8)
    assert memory(buffered, "C_buf")[0] != "port"
    loops = {loop.name: loop for loop in buffered.report().loops}
    reads = [row.label for row in loops["k, j"].chart if "read" in row.label]
    assert "read C" not in " ".join(r.split("[")[0] for r in reads if "buf" not in r)
    assert loops["j_init"].trip == loops["j_back"].trip == 8


def stages(A: int32[16]) -> int32[16]:
    B: int32[16] = 0
    C: int32[16] = 0
    for i in range(16):
        B[i] = A[i] + 1
    for i1 in range(16):
        C[i1] = B[i1] * 2
    return C


def test_compute_at_joins_loops_and_the_array_between_them_is_gone():
    apart, joined = build(stages), build(stages, ("compute_at", "i", "i1"))
    assert memory(apart, "B")[1:] == (1, 16)
    assert [m.name for m in joined.report().memories if m.name == "B"] == []
    assert cycles(joined) < cycles(apart) * 0.6


def double(X: int32[16]) -> int32[16]:
    Y: int32[16] = 0
    for i in range(16):
        Y[i] = X[i] * 2
    return Y


def twice(A: int32[16]) -> int32[16]:
    B = double(A)
    C = double(B)
    return C


def modules(rtl):
    return [function.name for function in rtl.design.functions]


def test_inline_removes_a_module_and_its_handshake():
    called, inlined = build(twice), build(twice, ("inline",))
    assert modules(called) == ["double", "twice"]
    assert modules(inlined) == ["twice"]
    assert cycles(inlined) < cycles(called)


def test_outline_makes_a_module():
    outlined = build(stages, ("outline", "i", "first"))
    assert modules(outlined) == ["first", "stages"]
    assert cycles(outlined) > cycles(build(stages))


def test_compose_brings_the_schedule_of_a_kernel_along():
    inner = allo.customize(double)
    inner.pipeline("i")
    s = allo.customize(twice)
    s.compose(inner)
    composed = check(s, seeds=(0,), simulator="pysim", original=allo.customize(twice).module)
    assert [(loop.func, loop.ii) for loop in composed.report().loops] == [("double", 1)]
    assert cycles(composed) < cycles(build(twice)) * 0.7


ORDER = np.random.default_rng(0).permutation(16).astype(np.int8)


def scatter(bins: float16[16]):
    at: int8[16] = ORDER
    for i in range(16):
        bins[at[i]] += 0.5


def test_assume_independent_lets_iterations_overlap():
    waiting = build(scatter, ("pipeline", "i"))
    free = build(scatter, ("assume_independent", "bins", "i"), ("pipeline", "i"))
    assert [loop.ii for loop in free.report().loops] == [1]
    assert cycles(free) < cycles(waiting) / 2


def copy_out(X: int32[16], Y: int32[16]):
    for i in range(16):
        Y[i] = X[i]


def test_unify_has_both_kernels_and_runs_one_at_a_time():
    s = allo.customize(unify(double, copy_out, 2))
    rtl = check(s, seeds=(0,), limits={"inst": (0, 1)}, simulator="pysim")
    assert modules(rtl) == ["double", "copy_out", "double_copy_out_unified"]
