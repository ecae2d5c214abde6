"""Tasks in hardware: they overlap, and compute what they compute one after the other.

``cycles`` also compares evaluator, CPU and hardware bit for bit, in several runs one after the
other.
"""

import agreement
import numpy as np
import task_kernels as kernels
from task_kernels import cycles, pipelined, two_gathered

import allo_rtl as allo
from allo_rtl.hls.report_builder import build_report
from allo_rtl.hls.tasks import split_tasks
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.mlir_parser import parse_module
from allo_rtl.ir.types import Fixed, Int, Struct, float32, int32
from allo_rtl.rtl.ports import interface
from allo_rtl.schedule.show import show_module

Pair = Struct({"low": Int(5), "high": float32})


def report(schedule):
    return build_report(schedule.build(target="rtl").design)


# FIFOs between the nests of a function


def stages():
    return pipelined(kernels.stages, "i", "j", "k")


def test_nests_through_fifos_take_the_time_of_one():
    """Three stages of 16 elements: 51 cycles one after the other, 16 and the filling at once."""
    schedule = stages()
    before = cycles(schedule)
    schedule.to("B", "two", depth=2)
    schedule.to("C", "three", depth=2)
    assert before >= 3 * 16
    assert 16 <= cycles(schedule) <= 16 + 8


def test_the_array_is_gone_and_a_fifo_of_its_depth_is_there():
    schedule = stages()
    schedule.to("B", "two", depth=3)
    schedule.to("C", "three")
    found = report(schedule)
    assert {(s.name, s.depth, s.width) for s in found.streams} == {("B", 3, 32), ("C", 16, 32)}
    assert {m.name for m in found.memories} == {"A", "D"}


def test_a_fifo_of_one_element_is_enough():
    schedule = stages()
    schedule.to("B", "two", depth=1)
    schedule.to("C", "three", depth=1)
    assert cycles(schedule) <= 2 * 16 + 8


def test_dataflow_alone_keeps_arrays_and_their_order():
    """In one run nothing overlaps through an array that is read when it is complete."""
    schedule = stages()
    schedule.dataflow("stages")
    assert {m.name for m in report(schedule).memories} == {"A", "B", "C", "D"}
    assert cycles(schedule) >= 3 * 16


def test_filters_one_after_the_other_run_at_once():
    """Windows read each element once; what a filter stores, it stores from the third row on."""
    schedule = allo.customize(kernels.two_filters)
    for array, outer, inner in (("A", "y", "x"), ("X", "p", "q")):
        schedule.reuse_at(schedule.reuse_at(array, outer), inner)
        schedule.pipeline(inner)
    before = cycles(schedule)
    schedule.to("X", "second", depth=4)
    assert before >= 8 * 8 + 7 * 7
    assert cycles(schedule) <= 8 * 8 + 24


def test_elements_under_conditions_of_counters():
    """Stored from the first on, or but for the last; read where they are there, else a zero."""
    schedule = pipelined(kernels.margins, "j", "n")
    schedule.to("X", "padded", depth=3)
    assert cycles(schedule) <= 5 * 6 + 16


# Buffers between the nests of a loop


def test_load_work_and_store_of_tiles_overlap():
    """Eight tiles of three times 16 elements: the time of eight and the first two stages."""
    schedule = pipelined(kernels.tiles, "i", "j", "k")
    before = cycles(schedule)
    schedule.dataflow("t")
    after = cycles(schedule)
    assert before >= 8 * 3 * 16
    assert after <= (8 + 2) * (16 + 8)


def test_a_buffer_has_a_copy_for_each_task_that_uses_it():
    schedule = pipelined(kernels.tiles, "i", "j", "k")
    schedule.dataflow("t")
    rams = {m.name: (m.banks, m.depth) for m in report(schedule).memories if m.storage != "port"}
    assert rams == {"X": (1, 2 * 16), "Y": (1, 2 * 16)}


def test_the_report_says_what_runs_at_once():
    schedule = pipelined(kernels.tiles, "i", "j", "k")
    schedule.dataflow("t")
    assert report(schedule).notes == (
        "tiles_t: load, work, store run at once, with X: int32[2, 16]; Y: int32[2, 16] between "
        "them",
    )
    schedule = stages()
    schedule.to("B", "two")
    schedule.to("C", "three")
    assert report(schedule).notes == ("stages: one, two, three run at once",)


def test_fifo_and_buffer_in_one_loop():
    schedule = pipelined(kernels.tiles, "i", "j", "k")
    schedule.to("Y", "store", depth=4)
    assert cycles(schedule) <= (8 + 1) * (16 + 8)
    found = report(schedule)
    assert ("Y", 4) in {(s.name, s.depth) for s in found.streams}
    assert "Y" not in {m.name for m in found.memories}


def test_a_tile_that_is_changed_in_place_goes_round_in_three_copies():
    """And what the first task leaves out is zero in every iteration."""
    schedule = pipelined(kernels.in_place, "i", "j", "k")
    before = cycles(schedule)
    schedule.dataflow("t")
    assert cycles(schedule) < before
    (buffer,) = {(m.banks, m.depth) for m in report(schedule).memories
                 if m.name == "X" and m.storage != "port"}  # fmt: skip
    assert buffer == (3, 8)


def test_tasks_that_use_different_elements_of_a_buffer_share_a_copy():
    """One half is filled while the other is; only the last task waits for both."""
    schedule = pipelined(kernels.halves, "i", "j", "k")
    schedule.partition("X", dim=1)
    before = cycles(schedule)
    schedule.dataflow("t")
    assert before >= 8 * 3 * 16
    assert cycles(schedule) <= (8 + 1) * (16 + 8)
    buffers = {(m.banks, m.depth) for m in report(schedule).memories if m.name == "X"}
    assert (2 * 2, 16) in buffers


def test_what_several_tasks_leave_out_is_zero_before_any_of_them_stores():
    schedule = pipelined(kernels.halves_with_gaps, "i", "j", "k")
    schedule.partition("X", dim=1)
    schedule.dataflow("t")
    cycles(schedule, seeds=range(3))


def test_fifos_between_tasks_that_use_different_elements_of_a_buffer():
    """The FIFO holds two words: the second task fills its half while the first fills its own."""
    schedule = pipelined(kernels.halves_and_words, "i", "j", "k")
    schedule.partition("X", dim=1)
    schedule.to("W", "lower", depth=2)
    schedule.dataflow("t")
    assert cycles(schedule) <= (8 + 1) * (16 + 8)


def test_tasks_take_turns_at_a_memory_that_holds_what_both_store():
    schedule = pipelined(kernels.halves_and_words, "i", "j", "k")
    schedule.to("W", "lower", depth=2)
    schedule.dataflow("t")
    assert 8 * 2 * 16 <= cycles(schedule) <= (8 + 1) * (2 * 16 + 8)


def test_loops_that_run_as_often_as_data_say():
    schedule = pipelined(kernels.sized, "i", "j", "k")
    schedule.dataflow("t")
    cycles(schedule, seeds=(0,))
    cycles(schedule, seeds=(3,))


def test_loops_that_start_late():
    schedule = pipelined(kernels.starts_late, "i", "j")
    schedule.dataflow("t")
    cycles(schedule, seeds=(0,))
    cycles(schedule, seeds=(2,))


# Variables, arguments and calls


def test_variables_and_arguments_pass_in_order():
    schedule = pipelined(kernels.variables, "i", "j")
    schedule.dataflow("variables")
    cycles(schedule)


def test_a_number_that_comes_first_does_not_keep_others_waiting():
    """The second nest waits for the number, not for the nest behind it."""
    schedule = pipelined(kernels.prologue, "i", "j")
    before = cycles(schedule)
    schedule.to("X", "two", depth=2)
    assert cycles(schedule) <= before - 10


def test_what_is_kept_from_run_to_run():
    schedule = pipelined(kernels.stateful, "i", "j", "k")
    schedule.to("X", "keep", depth=2)
    cycles(schedule, seeds=(0, 1, 2))


def test_calls_are_tasks():
    schedule = pipelined(kernels.chain, "add_one:i", "mirrored:j", "k")
    before = cycles(schedule)
    schedule.to("Y", "subtract", depth=2)
    assert cycles(schedule) < before - 8


def test_the_calls_of_a_loop_overlap():
    """A loop that only calls a function with tasks: each starts the next call when it can."""
    schedule = pipelined(kernels.rows, "add_one:i", "mirrored:j", "chain:k")
    before = cycles(schedule)
    schedule.dataflow("chain")
    assert before >= 5 * 3 * 12
    assert cycles(schedule) <= (5 + 2) * (12 + 10)


def test_calls_that_need_each_other_do_not_overlap():
    """Each call reads the row that the one before stored; the report says why."""
    schedule = pipelined(kernels.row_after_row, "add_one:i", "mirrored:j", "chain:k")
    schedule.dataflow("chain")
    assert cycles(schedule) >= 4 * 3 * 12
    (note,) = (n for n in report(schedule).notes if "overlap" in n)
    assert note.startswith("calls do not overlap: row_after_row: loop 't' would change what the")


def test_tasks_of_a_function_that_is_called_are_tasks_of_its_caller():
    schedule = pipelined(kernels.longer_chain, "add_one:i", "mirrored:j", "chain:k", "m")
    before = cycles(schedule)
    schedule.dataflow("chain")
    schedule.to("C", "square", depth=2)
    names = {f.name for f in schedule.build(target="rtl").design.functions}
    assert {f"longer_chain_{n}" for n in ("add_one", "mirrored", "subtract", "square")} <= names
    assert cycles(schedule) < before - 8


def test_products_one_after_the_other_overlap_row_by_row():
    """Tasks in tasks: the loops of both products, and the products themselves."""
    schedule = two_gathered()
    plain = cycles(schedule)
    schedule.dataflow("product:i")
    schedule.dataflow("product_again:i")
    rows = cycles(schedule)
    schedule.to("AB", "product_again")
    both = cycles(schedule)
    assert rows < plain
    assert both < 0.75 * rows


def test_compose_brings_tasks_along():
    """Names are those of the caller's function, but for the reader, which is a task of it."""
    inner = pipelined(kernels.chain, "add_one:i", "mirrored:j", "k")
    inner.to("Y", "subtract", depth=2)
    inner.dataflow("chain")
    schedule = allo.customize(kernels.rows)
    schedule.compose(inner)
    assert [str(step) for step in schedule.history()[3:]] == [
        "to('chain:Y', 'subtract', depth=2)", "dataflow('chain')",
    ]  # fmt: skip
    tiles = pipelined(kernels.tiles, "i")
    tiles.dataflow("t")
    schedule = allo.customize(kernels.calls_tiles)
    schedule.compose(tiles)
    assert str(schedule.history()[-1]) == "dataflow('tiles:t')"


# FIFOs that are too shallow


def branches(**depths):
    schedule = pipelined(kernels.branches, "i", "j", "k", "m")
    for array, reader in (("X", "sum"), ("S", "join"), ("Y", "join")):
        schedule.to(array, reader, depth=depths.get(array, -1))
    return schedule


def test_a_fifo_beside_another_way_has_to_hold_what_waits():
    """The other way adds up all elements before the first comes out."""
    cycles(branches(X=1, S=1, Y=15))


def test_tasks_without_a_second_way_need_no_depth():
    cycles(branches(X=1, S=1))


# The marks


def test_marks_are_shown_printed_and_read_back():
    schedule = pipelined(kernels.chain, "add_one:i")
    schedule.to("Y", "subtract", depth=2)
    text = str(schedule)
    assert "chain(A: int32[12], B: int32[12])  dataflow" in text
    assert "Y = mirrored(X)  Y in a FIFO of 2" in text
    again = parse_module(str(schedule.module))
    assert str(again) == str(schedule.module)
    assert show_module(again) == text

    schedule = allo.customize(kernels.tiles)
    schedule.to("Y", "store", depth=4)
    assert "for t in 0..8  dataflow" in str(schedule)
    assert "Y: int32[16]  in a FIFO of 4" in str(schedule)
    assert show_module(parse_module(str(schedule.module))) == str(schedule)


def test_loops_keep_their_names_and_a_step_can_be_taken_back():
    schedule = allo.customize(kernels.tiles)
    before = schedule.module
    loops = schedule.get_loops().S_t_0
    schedule.dataflow(loops.t)
    schedule.pipeline(loops.i)
    assert [str(s) for s in schedule.history()] == [
        "dataflow('tiles:S_t_0.t')", "pipeline('tiles:S_t_0.i')",
    ]  # fmt: skip
    schedule.undo()
    schedule.undo()
    assert schedule.module is before


def test_a_loop_of_tasks_that_is_split_keeps_them_in_its_blocks():
    schedule = pipelined(kernels.tiles, "i", "j", "k")
    schedule.dataflow("t")
    schedule.split("t", 4)
    assert "for t.inner in 0..4  dataflow" in str(schedule)
    assert cycles(schedule) <= 2 * (4 + 2) * (16 + 8)


# With other things


def test_inlined_calls_stay_tasks_of_a_function_that_has_some():
    schedule = pipelined(kernels.chain, "add_one:i", "mirrored:j", "k")
    schedule.to("Y", "subtract", depth=2)
    before = cycles(schedule)
    schedule.inline("mirrored")
    assert "Y: int32[12]  in a FIFO of 2" in str(schedule)
    assert cycles(schedule) <= before


def test_a_function_without_tasks_that_takes_some_in_has_none():
    schedule = pipelined(kernels.longer_chain, "add_one:i", "mirrored:j", "chain:k", "m")
    schedule.to("chain:Y", "subtract", depth=2)
    schedule.inline()
    assert "FIFO" not in str(schedule)
    assert cycles(schedule) >= 4 * 12


def test_a_pipelined_loop_runs_the_calls_in_it_as_any_others():
    schedule = allo.customize(kernels.rows)
    schedule.dataflow("chain")
    schedule.pipeline("t")
    assert not any(f.dataflow for f in split_tasks(legalize(schedule.module))[0].funcs)
    cycles(schedule, seeds=(0,))


def test_arguments_may_be_streams_of_the_task_that_uses_them():
    schedule = stages()
    schedule.to("B", "two", depth=2)
    schedule.to("C", "three", depth=2)
    schedule.interface("A", "stream")
    rtl = schedule.build(target="rtl")
    A = np.arange(16, dtype=np.int32)
    np.testing.assert_array_equal(rtl(A), (A + 1) * 2 - 3)
    assert rtl.cycles <= 16 + 8
    assert "A_tvalid" in rtl.verilog


def test_cycles_are_predicted_where_they_do_not_depend_on_data():
    """``cycles`` compares them with those of the simulation."""
    schedule = stages()
    schedule.to("B", "two", depth=2)
    schedule.to("C", "three", depth=2)
    assert schedule.build(target="rtl").predicted_cycles == cycles(schedule)


def test_elements_of_every_kind_go_through_fifos():
    """Numbers of any type, structs, and tables."""

    def kinds(
        A: float32[3, 4], B: Pair[3, 4], C: Fixed(12, 4)[3, 4],
        D: float32[3, 4], E: Pair[3, 4], F: Fixed(12, 4)[3, 4],
    ):  # fmt: skip
        X: float32[3, 4]
        Y: Pair[3, 4]
        Z: Fixed(12, 4)[3, 4]
        for i, j in allo.grid(3, 4, name="make"):
            X[i, j] = A[i, j] * 1.5
            Y[i, j] = B[2 - i, j]
            Z[i, j] = C[i, j] + 1
        for m, n in allo.grid(3, 4, name="use"):
            D[m, n] = X[m, n] + 0.5
            E[m, n] = Y[m, n]
            F[m, n] = Z[m, n]

    schedule = pipelined(kinds, "j", "n")
    for array in "XYZ":
        schedule.to(array, "use", depth=2)
    agreement.check(schedule)


def fork(A: int32[8], B: int32[8]):
    T: int32[8]
    U: int32[8]
    for i in range(8):
        T[i] = A[i] + 1
    for j in range(8):
        U[j] = T[7 - j] * 3
    for k in range(8):
        B[k] = U[7 - k] - T[0]


def test_a_task_that_two_others_wait_for_tells_both():
    """It has a stream to each, and these have one name."""
    schedule = pipelined(fork, "i", "j", "k")
    schedule.dataflow("fork")
    names = [
        [p.name for p in interface(design, f).streams]
        for design in [schedule.build(target="rtl").design] for f in design.functions
    ]
    assert all(len(set(found)) == len(found) for found in names)
    assert ["S_i_0_done", "S_i_0_done_"] in names
    assert cycles(schedule)
