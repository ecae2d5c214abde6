"""What cannot be tasks, or a FIFO between two: refused at the call, which then changes nothing.

Each kernel is wrong when it is run so; the message says what collides and both places are noted.
"""

import pytest
import task_kernels as kernels
from task_kernels import pipelined

import allo_rtl as allo
from allo_rtl.errors import AlloError, BuildError, IllegalScheduleError, ScheduleError
from allo_rtl.ir.types import int32


def refused(schedule, primitive, *args, **kwargs):
    """The error of a primitive, which has changed nothing."""
    module, steps = schedule.module, schedule.history()
    with pytest.raises(AlloError) as caught:
        getattr(schedule, primitive)(*args, **kwargs)
    assert schedule.module is module
    assert schedule.history() == steps
    return caught.value


def lines(error):
    """The lines of the source that an error notes."""
    return [loc.text.strip() for _, loc in error.notes if loc]


# Orders of stores and reads


def mirrored(A: int32[8], B: int32[8]):
    X: int32[8]
    for i in allo.grid(8, name="forward"):
        X[i] = A[i]
    for j in allo.grid(8, name="backward"):
        B[j] = X[7 - j]


def columns(A: int32[3, 4], B: int32[3, 4]):
    X: int32[3, 4]
    for i, j in allo.grid(3, 4, name="by_row"):
        X[i, j] = A[i, j]
    for n, m in allo.grid(4, 3, name="by_column"):
        B[m, n] = X[m, n] + 1


def twice_stored(A: int32[8], B: int32[8]):
    X: int32[8]
    for i, r in allo.grid(8, 3, name="sum"):
        X[i] = A[i] + r
    for j in allo.grid(8, name="use"):
        B[j] = X[j]


def summed(A: int32[8, 4], B: int32[8]):
    X: int32[8]
    for i, r in allo.grid(8, 4, name="sum"):
        X[i] += A[i, r]
    for j in allo.grid(8, name="use"):
        B[j] = X[j]


def twice_read(A: int32[8], B: int32[8]):
    X: int32[8]
    for i in allo.grid(8, name="make"):
        X[i] = A[i]
    for j in allo.grid(7, name="window"):
        B[j] = X[j] + X[j + 1]


def left_over(A: int32[8], B: int32[8]):
    X: int32[8]
    for i in allo.grid(8, name="make"):
        X[i] = A[i]
    for j in allo.grid(6, name="use"):
        B[j] = X[j]


def never_stored(A: int32[8], B: int32[8]):
    X: int32[8]
    for i in allo.grid(6, name="make"):
        X[i] = A[i]
    for j in allo.grid(8, name="use"):
        B[j] = X[j]


def conditional(A: int32[8], B: int32[8]):
    X: int32[8]
    for i in allo.grid(8, name="make"):
        if A[i] > 0:
            X[i] = A[i]
    for j in allo.grid(8, name="use"):
        B[j] = X[j]


def looked_up(A: int32[8], B: int32[8]):
    X: int32[8]
    for i in allo.grid(8, name="make"):
        X[A[i] & 7] = i
    for j in allo.grid(8, name="use"):
        B[j] = X[j]


def read_by_two(A: int32[8], B: int32[8]):
    X: int32[8]
    for i in allo.grid(8, name="make"):
        X[i] = A[i]
    for j in allo.grid(8, name="first"):
        B[j] = X[j]
    for k in allo.grid(8, name="second"):
        B[k] += X[k]


def stored_by_two(A: int32[8], B: int32[8]):
    X: int32[8]
    for i in allo.grid(4, name="low"):
        X[i] = A[i]
    for j in allo.grid(4, name="high"):
        X[j + 4] = A[j + 4]
    for k in allo.grid(8, name="use"):
        B[k] = X[k]


ORDERS = [
    (mirrored, "backward", "X[0] is stored before X[1] and read after it"),
    (columns, "by_column", "X[0, 1] is stored before X[1, 0] and read after it"),
    (twice_stored, "use", "X[0] is stored more than once"),
    (summed, "use", "X[0] is stored more than once"),
    (twice_read, "window", "X[1] is read more than once"),
    (left_over, "use", "X[6] is stored and never read"),
    (never_stored, "use", "X[6] is read and never stored"),
]


@pytest.mark.parametrize(
    ("kernel", "reader", "why"), ORDERS, ids=[k.__name__ for k, _, _ in ORDERS]
)
def test_elements_that_do_not_come_once_and_in_one_order(kernel, reader, why):
    error = refused(allo.customize(kernel), "to", "X", reader)
    assert isinstance(error, IllegalScheduleError)
    assert error.message.endswith(why)
    assert all("X[" in line for line in lines(error))


UNKNOWN = [
    (conditional, "use", "'X' is stored to under a condition that depends on data"),
    (looked_up, "use", "the order in which 'X' is used depends on data"),
    (read_by_two, "first", "'X' is read by 'first', 'second'"),
    (stored_by_two, "use", "'X' is stored to by 'low', 'high'"),
]


@pytest.mark.parametrize(
    ("kernel", "reader", "why"), UNKNOWN, ids=[k.__name__ for k, _, _ in UNKNOWN]
)
def test_arrays_of_which_nothing_is_sure_or_that_are_shared(kernel, reader, why):
    error = refused(allo.customize(kernel), "to", "X", reader)
    assert error.message.endswith(why)
    assert error.allowed == "each element stored once and read once, in one order"


def test_a_primitive_that_would_spoil_the_order_of_a_fifo_is_refused():
    schedule = pipelined(kernels.chain, "add_one:i", "mirrored:j", "k")
    schedule.to("Y", "subtract")
    error = refused(schedule, "compute_at", "chain:k", "add_one:i")
    assert isinstance(error, ScheduleError)

    def table(A: int32[3, 4], B: int32[3, 4]):
        X: int32[3, 4]
        for i, j in allo.grid(3, 4, name="make"):
            X[i, j] = A[i, j]
        for n, m in allo.grid(3, 4, name="use"):
            B[n, m] = X[n, m]

    schedule = allo.customize(table)
    schedule.to("X", "use")
    error = refused(schedule, "reorder", "m", "n")
    assert error.message == "reorder('m', 'n'): X[0, 1] is stored before X[1, 0] and read after it"
    schedule.undo()
    schedule.reorder("m", "n")


# Arrays that are not of one function


def test_arguments_results_and_what_does_not_pass_on():
    schedule = allo.customize(kernels.stages)
    assert "is an argument of stages" in refused(schedule, "to", "A", "one").message
    assert "is returned by stages" in refused(schedule, "to", "D", "three").message
    assert "is read by 'two', not by 'three'" in refused(schedule, "to", "B", "three").message
    assert "no array 'Z'" in refused(schedule, "to", "Z", "three").message
    for depth in (0, -2, 1.5, True):
        assert "the depth is" in refused(schedule, "to", "B", "two", depth=depth).message
    assert "the reader is 3" in refused(schedule, "to", "B", 3).message

    def one_nest(A: int32[8], B: int32[8]):
        X: int32[8]
        for i in range(8):
            X[i] = A[i]
            B[i] = X[i]

    error = refused(allo.customize(one_nest), "to", "X", "i")
    assert "does not pass from one task of one_nest to another" in error.message


# Iterations that need what a later task of an earlier one does


def carried(A: int32[8], B: int32[8]):
    state: int32[4]
    for t in range(8):
        X: int32[4]
        for i in allo.grid(4, name="use"):
            X[i] = A[t] + state[i]
        for j in allo.grid(4, name="change"):
            state[j] = X[j] * 2
    for k in range(4):
        B[k] = state[k]


def carried_by_rows(A: int32[9, 4]):
    """Row t + 1 is made of row t, by two nests."""
    for t in range(8):
        X: int32[4]
        for i in allo.grid(4, name="use"):
            X[i] = A[t, i] + 1
        for j in allo.grid(4, name="change"):
            A[t + 1, j] = X[j]


def total(A: int32[8, 4]) -> int32:
    s: int32 = 0
    for t in range(8):
        for i in allo.grid(4, name="one"):
            s += A[t, i]
        for j in allo.grid(4, name="two"):
            s = s * j
    return s


@pytest.mark.parametrize(("kernel", "first", "second", "cell"), [
    (carried, "(t=0)", "(t=1)", "state[0]"), (carried_by_rows, "(t=0)", "(t=1)", "A[1, 0]"),
    (total, "(t=0)", "(t=1)", "s"),
])  # fmt: skip
def test_loops_that_carry_something_from_a_task_to_one_before_it(kernel, first, second, cell):
    error = refused(allo.customize(kernel), "dataflow", "t")
    assert isinstance(error, IllegalScheduleError)
    assert error.message == (
        f"dataflow('t') would change what the kernel computes: iteration {second} of a task would "
        f"run before iteration {first} of one after it, which it must follow"
    )
    assert error.notes[0][0].endswith(cell)
    assert len(lines(error)) == 2


def test_rows_that_no_other_iteration_touches_are_no_obstacle():
    def by_rows(A: int32[8, 4]):
        for t in range(8):
            X: int32[4]
            for i in allo.grid(4, name="use"):
                X[i] = A[t, i] + 1
            for j in allo.grid(4, name="change"):
                A[t, j] = X[j]

    schedule = pipelined(by_rows, "i", "j")
    before = kernels.cycles(schedule)
    schedule.dataflow("t")
    assert kernels.cycles(schedule) < before


def test_lines_that_are_printed_keep_their_order():
    def talking(A: int32[4]):
        for i in allo.grid(4, name="one"):
            print("one", A[i])
        for j in allo.grid(4, name="two"):
            print("two", A[j])

    error = refused(allo.customize(talking), "dataflow", "talking")
    assert "tasks 'one' and 'two' print lines" in error.message
    assert len(lines(error)) == 2


# Loops


def test_tasks_are_not_in_pipelines_and_not_copied():
    schedule = allo.customize(kernels.tiles)
    schedule.pipeline("t")
    assert "is pipelined" in refused(schedule, "dataflow", "t").message
    schedule.undo()
    schedule.unroll("t", 2)
    assert "is unrolled" in refused(schedule, "dataflow", "t").message
    schedule.undo()
    schedule.dataflow("t")
    assert "tasks" in refused(schedule, "pipeline", "t").message
    assert "tasks" in refused(schedule, "unroll", "t").message
    assert "no loop 'nothing'" in refused(schedule, "dataflow", "nothing").message


# FIFOs that are too shallow


def test_a_fifo_that_would_stop_all_tasks_is_refused_with_the_depth_that_it_needs():
    schedule = pipelined(kernels.branches, "i", "j", "k", "m")
    schedule.to("X", "sum", depth=2)
    schedule.to("Y", "join", depth=3)
    with pytest.raises(BuildError, match="Y needs a depth of 15, and has 3"):
        schedule.build(target="rtl")
    schedule.undo()
    schedule.to("Y", "join", depth=15)
    schedule.build(target="rtl")


def test_a_fifo_beside_a_buffer_between_the_same_tasks():
    def both(A: int32[8], B: int32[8]):
        X: int32[8]
        Y: int32[8]
        for i in allo.grid(8, name="make"):
            X[i] = A[i]
            Y[i] = A[i] + 1
        for j in allo.grid(8, name="use"):
            B[j] = X[j] * Y[7 - j]

    schedule = pipelined(both, "i", "j")
    schedule.to("X", "use", depth=7)
    with pytest.raises(BuildError, match="X needs a depth of 8, and has 7"):
        schedule.build(target="rtl")
    schedule.undo()
    schedule.to("X", "use")
    kernels.cycles(schedule)
