"""Sums in a pipeline: a stored word goes to the iteration that loads it next, past the memory.

Then a sum is taken up again as soon as the adder has made it: the initiation interval is the
adder's latency over the iterations from one visit of a cell to the next, rounded up.
"""

import pytest
from agreement import check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.ir.types import Partition, float32

ADDER = 4
"""Cycles of a sum on the device of these tests."""


def agree(schedule):
    """The hardware, after comparing its results and its cycles with what they should be."""
    return check(schedule, simulator="pysim", device="ultrascale+", clock_mhz=300)


def interval(rtl, name):
    """The initiation interval of a loop, and what limits it."""
    return next((x.ii, x.limit) for x in rtl.report().loops if x.name == name)


def sums(rows):
    """The rows of an array summed up, the loop over the terms outside."""
    def kernel(A: float32[rows, 5], y: float32[rows]):
        for j in allo.reduction(5):
            for i in range(rows):
                y[i] += A[i, j]

    s = allo.customize(kernel)
    s.pipeline("i")
    return s


@pytest.mark.parametrize("rows", [2, 3, 4, 5, 6, 7, 8])
def test_sums_that_take_turns_need_as_many_as_the_adder_has_cycles(rows):
    ii, limit = interval(agree(sums(rows)), "j, i")
    assert ii == -(-ADDER // rows)
    assert ii == 1 or "y, written at" in limit


def test_a_sum_in_a_register_goes_on_as_soon_as_it_is_made():
    def dot(a: float32[7], b: float32[7]) -> float32:
        total: float32 = 1.5
        for i in range(7):
            total += a[i] * b[i]
        return total

    s = allo.customize(dot)
    s.pipeline("i")
    ii, limit = interval(agree(s), "i")
    assert ii == ADDER
    assert "total, written at" in limit


def test_the_memory_is_read_where_a_nest_starts_again():
    """Each run of the inner nest goes on with what another loop left in the array."""
    def halves(A: float32[3, 4, 4], y: float32[4]):
        for n in range(3):
            for j in range(4):
                for i in range(4):
                    y[i] += A[n, i, j]
            for i in range(4):
                y[i] = y[i] * 0.5

    s = allo.customize(halves)
    for loop in [loop for _, band in s.get_loops() for name, loop in band if name == "i"]:
        s.pipeline(loop)
    agree(s)


def test_lanes_carry_each_its_own():
    def product(A: float32[4, 3], B: float32[3, 4]) -> float32[4, 4]:
        C: float32[4, 4] = 0.0
        for i, j in allo.grid(4, 4):
            for k in allo.reduction(3):
                C[i, j] += A[i, k] * B[k, j]
        return C

    s = allo.customize(product)
    s.split("i", 2)
    s.split("j", 2)
    s.reorder("k", "i.outer", "j.outer", "i.inner", "j.inner")
    s.pipeline("j.outer")
    for array, dim in (("A", 1), ("B", 2), ("C", 1), ("C", 2)):
        s.partition(array, Partition.Cyclic, dim=dim, factor=2)
    assert interval(agree(s), "k, i.outer, j.outer")[0] == 1


def test_what_is_not_stored_stays():
    """Under a condition the word of the visit before is handed on."""
    def some(A: float32[4, 6], y: float32[4]):
        for j in allo.reduction(6):
            for i in range(4):
                if j > i:
                    y[i] += A[i, j]

    s = allo.customize(some)
    s.pipeline("i")
    agree(s)


@pytest.mark.parametrize(
    "body",
    [
        "y[i] += A[i, j]\n            y[i] += A[i, j] * 0.5",  # twice in an iteration
        "y[j - i + 3] += A[i, j]",  # a cell is visited again after a varying time
        "y[i] += A[i, j]\n            y[i + 1] += 1.0",  # the next iteration's cell is touched
        "y[i] = A[i, j] - y[3 - i]",  # another cell is read
        "z[i, j] = y[i] + A[i, j]\n            y[i] = z[i, j] * 0.5",  # by way of an array
    ],
)
def test_other_recurrences_go_through_the_memory(body):
    source = "\n".join([
        "def kernel(A: float32[4, 4], y: float32[8], z: float32[4, 4]):",
        "    for j in range(4):",
        "        for i in range(4):",
        f"            {body}",
    ])
    s = allo.customize(source)
    s.pipeline("i")
    agree(s)


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.permutations(["i", "j", "k"]),
    st.tuples(*[st.integers(1, 4)] * 3),
    st.sampled_from(["i", "j", "i, j", "j, k", "0"]),
    st.sampled_from(["", "if A[i, j, k] < 1.0:", "if i <= k:"]),
    st.sampled_from(
        ["y[{0}] + A[i, j, k]", "A[i, j, k] * 0.5 - y[{0}]", "y[{0}] * A[i, j, k] + 1.0"]
    ),
)
def test_random_recurrences(order, extents, cell, guard, term):
    """Loops in any order, sums over any of them, with and without a condition."""
    n = dict(zip("ijk", extents, strict=True))
    shape = ", ".join(str(n.get(x.strip(), 1)) for x in cell.split(","))
    lines = [f"def kernel(A: float32[{n['i']}, {n['j']}, {n['k']}], y: float32[{shape}]):"]
    lines += [f"{'    ' * (d + 1)}for {x} in range({n[x]}):" for d, x in enumerate(order)]
    indent = "    " * 4
    if guard:
        lines.append(indent + guard)
        indent += "    "
    lines.append(f"{indent}y[{cell}] = {term.format(cell)}")
    s = allo.customize("\n".join(lines))
    s.pipeline(order[-1])
    agree(s)
