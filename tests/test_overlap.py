"""overlap: loops that follow each other and have nothing in common run at the same time."""

import pytest
from agreement import check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.errors import BuildError, IllegalScheduleError, ScheduleError
from allo_rtl.ir.types import float32, int32


def agree(schedule, **options):
    """The hardware, after comparing its results and its cycles with what they should be."""
    return check(schedule, simulator="pysim", device="ultrascale+", clock_mhz=300, **options)


def two(a: int32[6], b: int32[9]) -> int32:
    for i in range(6):
        a[i] = a[i] * 3
    for j in range(9):
        b[j] = b[j] + 1
    return a[2] + b[3]


def test_two_loops_take_as_long_as_the_longer_one():
    cycles = {}
    for together in (False, True):
        s = allo.customize(two)
        s.pipeline("i")
        s.pipeline("j")
        if together:
            s.overlap("i", "j")
        rtl = agree(s, overlap=False)
        cycles[together] = rtl.predicted_cycles
        first, second = (x.latency for x in rtl.report().loops)
    assert cycles[False] - cycles[True] == min(first, second)


def test_the_mark_is_shown_and_goes_through_mlir():
    s = allo.customize(two)
    s.overlap("i", "j")
    assert "for j in 0..9  with the loop before" in str(s)
    assert str(s.history()[-1]) == "overlap('i', 'j')"
    again = allo.customize(str(s.module))
    assert again.module.top_func.body[1].attrs.overlap


def test_it_stays_on_the_outermost_loop():
    def nests(a: int32[4, 4], b: int32[4, 4]):
        for i, j in allo.grid(4, 4):
            a[i, j] = 1
        for k, l in allo.grid(4, 4):
            b[k, l] = 2

    s = allo.customize(nests)
    s.overlap("i", "k")
    s.reorder("l", "k")
    s.split("l", 2)
    outer = s.module.top_func.body[1]
    assert (outer.name, outer.attrs.overlap) == ("l.outer", True)
    assert not any(x.attrs.overlap for x in outer.body)
    agree(s)


def test_loops_that_run_at_once_have_units_of_their_own():
    def kernel(a: float32[4], b: float32[4], c: float32[4]):
        for i in range(4):
            a[i] = a[i] * 3.0
        for j in range(4):
            b[j] = b[j] * 5.0
        for k in range(4):
            c[k] = c[k] * 7.0

    units = []
    for together in ((), ("i", "j"), ("i", "j", "k")):
        s = allo.customize(kernel)
        for loop in "ijk":
            s.pipeline(loop)
        if together:
            s.overlap(*together)
        units.append(dict(agree(s).report().units)["float32 mul"])
    assert units == [1, 2, 3]


def test_arrays_made_and_cleared_between_belong_to_the_second_loop():
    def kernel(a: float32[6], b: float32[2, 6]) -> (float32[6], float32[2]):
        x: float32[6] = 0.0
        for i in range(6):
            x[i] = a[i] + 1.0
        y: float32[2] = 0.0
        for k in range(6):
            for j in range(2):
                if k < 5:
                    y[j] += b[j, k]
        return x, y

    s = allo.customize(kernel)
    s.pipeline("i")
    s.pipeline("j")
    s.overlap("i", "k")
    rtl = agree(s)
    assert any("y is zeroed first" in note for note in rtl.report().notes)


REFUSED = {
    "b[j] = a[j]": (IllegalScheduleError, "both loops use 'a', and one stores to it"),
    "a[j] = 1": (IllegalScheduleError, "both loops use 'a'"),
    "print(j)": (ScheduleError, "has to be in its turn"),
}


@pytest.mark.parametrize(("body", "error"), REFUSED.items(), ids=list(REFUSED))
def test_loops_that_have_something_in_common_are_refused(body, error):
    s = allo.customize("\n".join([
        "def kernel(a: int32[4], b: int32[4]):",
        "    for i in range(4):", "        a[i] = a[i] + 1",
        "    for j in range(4):", f"        {body}",
    ]))  # fmt: skip
    with pytest.raises(error[0], match=error[1]):
        s.overlap("i", "j")
    assert not s.history()


def test_loops_apart_are_refused():
    def kernel(a: int32[4], b: int32[4], c: int32[1]):
        for i in range(4):
            a[i] = 1
        c[0] = 3
        for j in range(4):
            b[j] = 2

    for loops in (("i", "j"), ("j", "i"), ("i",)):
        with pytest.raises(ScheduleError):
            allo.customize(kernel).overlap(*loops)


def test_a_memory_that_both_read_has_one_port():
    def kernel(a: int32[4], b: int32[4], c: int32[4]):
        for i in range(4):
            b[i] = a[i]
        for j in range(4):
            c[j] = a[j]

    s = allo.customize(kernel)
    s.overlap("i", "j")
    with pytest.raises(BuildError, match="both use 'a'"):
        s.build(target="rtl")


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.integers(1, 5), st.booleans(), st.sampled_from([
        "{x}[i{n}] = {x}[i{n}] * 0.5", "{x}[0] += {x}[i{n}]",
        "if {x}[i{n}] > 1.0:\n            {x}[i{n}] = 1.0 / {x}[i{n}]",
    ])), min_size=2, max_size=4),
    st.integers(0, 2),
)  # fmt: skip
def test_random_loops(loops, first):
    """Some of several loops at once, pipelined or not; the others before and after."""
    names = "abcd"[: len(loops)]
    lines = [f"def kernel({', '.join(f'{x}: float32[5]' for x in names)}) -> float32:"]
    for n, (x, (trips, _, body)) in enumerate(zip(names, loops, strict=True)):
        lines += [f"    for i{n} in range({trips}):", f"        {body.format(x=x, n=n)}"]
    s = allo.customize("\n".join([*lines, "    return a[0] + b[1]"]))
    for n, (_, pipelined, _) in enumerate(loops):
        if pipelined:
            s.pipeline(f"i{n}")
    first = min(first, len(loops) - 2)
    s.overlap(*(f"i{n}" for n in range(first, len(loops))))
    agree(s)


# --- primitives after it ---------------------------------------------------------------------


def squares(a: int32[8], d: int32[8], e: int32[4]):
    b: int32[8]
    for i in range(8):
        b[i] = a[i] * a[i]
    for x in range(8):
        d[x] = b[x]
    for z in range(4):
        e[z] = b[2 * z]


def test_a_store_that_moves_into_an_overlapped_loop_is_refused():
    s = allo.customize(squares)
    s.partition("b")
    s.overlap("x", "z")
    before = s.module
    with pytest.raises(IllegalScheduleError, match="both loops use 'b'") as caught:
        s.compute_at("i", "x")
    assert "compute_at('i', 'x')" in caught.value.message
    assert [note for note, _ in caught.value.notes] == [
        "iteration (x=0) writes b[0]", "iteration (z=0) reads b[0]"
    ]  # fmt: skip
    assert s.module is before
    s.undo()
    s.compute_at("i", "x")
    with pytest.raises(IllegalScheduleError, match="both loops use 'b'"):
        s.overlap("x", "z")


def test_a_call_that_comes_into_an_overlapped_loop_is_refused():
    def kernel(a: int32[4, 4], b: int32[4]):
        for i in range(4):
            for k in range(4):
                a[i, k] = 1
        for j in range(4):
            b[j] = 2

    s = allo.customize(kernel)
    s.overlap("i", "j")
    with pytest.raises(ScheduleError, match="what loop 'i' does here has to be in its turn"):
        s.outline("k")


def test_a_loop_stays_behind_those_that_it_runs_with():
    s = allo.customize(two)
    s.overlap("i", "j")
    for loop in "ij":
        with pytest.raises(ScheduleError, match="and there would be none"):
            s.outline(loop)
    s.split("j", 3)
    s.split("i", 2)
    agree(s)


def test_overlaps_that_join_are_checked_together():
    def kernel(a: int32[4], b: int32[4]):
        for i in range(4):
            a[i] = 1
        for j in range(4):
            b[j] = 2
        for k in range(4):
            a[k] = a[k] + 3

    for pairs in ((("i", "j"), ("j", "k")), (("j", "k"), ("i", "j"))):
        s = allo.customize(kernel)
        s.overlap(*pairs[0])
        with pytest.raises(IllegalScheduleError, match="both loops use 'a'"):
            s.overlap(*pairs[1])


def three(a: int32[8], b: int32[8], c: int32[8], d: int32[8]):
    for i in range(8):
        a[i] = a[i] + 1
    for j in range(8):
        b[j] = b[j] * 3
    for k in range(8):
        c[k] = c[k] * 5
    for m in range(8):
        d[m] = b[m] + c[m]


@pytest.mark.parametrize(("pair", "moved", "who"), [
    (("i", "j"), "j", "'j'.*and it would move"), (("j", "k"), "j", "'k'.*that one would move"),
])  # fmt: skip
def test_loops_that_run_at_once_do_not_move_apart(pair, moved, who):
    """Neither the mark is lost, nor does it come to be about another loop."""
    s = allo.customize(three)
    s.overlap(*pair)
    with pytest.raises(ScheduleError, match=who):
        s.compute_at(moved, "m")
    s.undo()
    s.compute_at(moved, "m")


def test_loops_that_run_at_once_are_no_elements():
    s = allo.customize(two)
    s.overlap("i", "j")
    with pytest.raises(ScheduleError, match="runs at the same time as the one before"):
        s.unfold("S_j_1", [0])


def ends_by_data(a: int32[6], b: int32[5], n: int32) -> int32:
    for i in range(6):
        y: int32 = n % 5
        while y > 0:
            a[i] = a[i] * 3
            y -= 1
    for j in range(5):
        z: int32 = 9
        while z > j:
            b[j] = b[j] * 5
            z -= 2
    return a[2] + b[3]


def test_while_loops_inside_run_at_once_too():
    cycles = []
    for together in (False, True):
        s = allo.customize(ends_by_data)
        if together:
            s.overlap("i", "j")
        cycles.append(agree(s, overlap=False).measured_cycles)
    assert cycles[1] < cycles[0]


def test_loops_inside_a_while_loop():
    def kernel(a: int32[6], b: int32[5], n: int32):
        x: int32 = n % 4
        while x > 0:
            for i in range(6):
                a[i] = a[i] * 3
            for j in range(5):
                b[j] = b[j] * 5
            x -= 1

    s = allo.customize(kernel)
    s.overlap("i", "j")
    agree(s)


@pytest.mark.parametrize(("body", "reason"), [
    ("print(j)", "it prints"), ("assert a[j] < 3", "an assertion"),
])  # fmt: skip
def test_what_has_to_be_in_its_turn_is_named(body, reason):
    s = allo.customize("\n".join([
        "def kernel(a: int32[4], b: int32[4]):",
        "    for i in range(4):", "        b[i] = b[i] + 1",
        "    for j in range(4):", f"        {body}",
    ]))  # fmt: skip
    with pytest.raises(ScheduleError, match=f"has to be in its turn: .*{reason}"):
        s.overlap("i", "j")
