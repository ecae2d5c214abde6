"""The three builds agree on how kernels are made: jumps, calls, generics, state, what is known."""

import random
import textwrap

import pytest
import test_frontend_calls as calls
import test_frontend_generics as generics
import test_frontend_jumps as jumps
import test_frontend_known as known
import test_frontend_simulation as simulation
from agreement import check

import allo_rtl as allo
from allo_rtl.ir.types import ConstExpr, int8, int16, int32

SMALL = {"n": (0, 3), "A": (-20, 100), "a": (0, 40), "b": (1, 40), "x": (-20, 20)}


@pytest.mark.parametrize("kernel", [*jumps.KERNELS, jumps.early], ids=lambda k: k.__name__)
def test_loops_that_end_early(kernel):
    check(allo.customize(kernel), seeds=(0, 1, 2), limits=SMALL, simulator="pysim")


def named_arguments(x: int32) -> (int32, int16):
    return calls.affine(x, b=calls.affine(1, a=x), a=3), calls.small(y=1)


def many_results(A: int32[4], C: int32[2]) -> (int32[2], int32):
    low, total, high = calls.halves(A)
    for i in range(2):
        C[i], high[i] = calls.both(low[i], high[i])
    a = b = total
    a, b = b + C[0], a
    return high, a - b


@pytest.mark.parametrize("kernel", [named_arguments, many_results], ids=lambda k: k.__name__)
def test_calls(kernel):
    check(allo.customize(kernel), limits=SMALL, simulator="pysim")


def instances(A: int16[4], B: int32[3]) -> (int16[4], int32):
    C: int16[4] = generics.scale[int16, 4](A, 2)
    D: int32[3] = generics.scale[int32, 3, "wide"](B, C[0])
    return generics.scale[int16, 4](C, 1), generics.total[3](D) + generics.by_type[int8](1)


def test_generics_and_decisions_at_compile_time():
    check(allo.customize(instances), simulator="pysim")
    check(allo.customize(generics.total, instantiate=[5]), simulator="pysim")


def unrolled(A: int32[11]) -> int32:
    total: int32 = 0
    with allo.meta_for(1, 8, 3) as i:
        size: ConstExpr[int32] = known.halves(i + 2)
        t: int16[size] = i
        for j in range(size):
            total += t[j] * A[i + j]
    return total


def test_const_expr_and_meta_for():
    check(allo.customize(unrolled), simulator="pysim")


def counted(x: int32) -> (int32, int32):
    return generics.count[10](x), generics.count[20](x) + known.counter(x)


@pytest.mark.parametrize("kernel", [known.window, counted], ids=lambda k: k.__name__)
def test_state(kernel):
    check(allo.customize(kernel), seeds=range(4), simulator="pysim")


def test_state_is_scheduled_by_the_name_it_has_in_the_kernel():
    schedule = allo.customize(known.window)
    schedule.partition(schedule.last)
    schedule.pipeline(schedule.get_loops()["S_i_0"]["i"])
    assert schedule.module.global_("window_last").type.partition
    check(schedule, seeds=range(3), simulator="pysim")


def searching(A: int32[8], x: int32) -> int32:
    place: int32 = -1
    for i in allo.grid(8, name="search"):
        if A[i] == x:
            place = i
            break
    return place


@pytest.mark.parametrize("primitive", ["pipeline", "unroll", "split"])
def test_named_loops_that_end_early_are_scheduled(primitive):
    schedule = allo.customize(searching)
    getattr(schedule, primitive)("i", *[4] * (primitive == "split"))
    check(schedule, seeds=range(4), limits={"A": (0, 5), "x": (0, 5)}, simulator="pysim")


def test_instances_are_scheduled_by_their_names():
    schedule = allo.customize(instances)
    schedule.pipeline("scale:i")
    schedule.unroll("scale_wide:i")
    check(schedule, simulator="pysim")


def talking(A: int32[3], x: int8):
    for i in range(3):
        if A[i] < 0:
            continue
        print("A", i, "=", A[i], f"({A[i] * 2} twice, {{{x}}})", sep=" ")


def test_printed_lines():
    check(allo.customize(talking), seeds=range(3), limits={"A": (-9, 9)}, simulator="pysim")


def test_assertions_that_hold():
    limits = {"A": (1, 9), "n": (0, 3)}
    check(allo.customize(simulation.root), limits=limits, simulator="pysim")


def dynamic(A: int32[...], n: int32) -> int32:
    s: int32 = 0
    for i in range(n):
        s += A[i]
    return s


def test_dynamic_extents_on_cpu():
    check(allo.customize(dynamic), limits={"n": (0, 7)}, rtl=False)


def random_jumps(seed):
    lines = jumps.program(random.Random(seed), 3, False)
    body = textwrap.indent("\n".join(["s: int32 = 0", *lines, "return s"]), "    ")
    text = "def kernel(A: int32[8], n: int32) -> int32:\n" + body
    schedule = allo.customize(text, global_vars=jumps.NAMES)
    check(schedule, limits={"n": (0, 5), "A": (0, 9)}, simulator="pysim")


@pytest.mark.parametrize("seed", range(4))
def test_random_nests_of_loops_and_jumps(seed):
    random_jumps(seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4, 400))
def test_many_random_nests_of_loops_and_jumps(seed):
    random_jumps(seed)
