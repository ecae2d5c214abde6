"""While loops in hardware."""

import numpy as np
import pytest
from ir_writer import Writer, agree, design_of, module_of

from allo_rtl.errors import BuildError
from allo_rtl.hls.certificate import Reason
from allo_rtl.hls.report_builder import build_report
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import bool_, index, int32, uint8, uint16


def gcd():
    """Subtraction only: the condition is cheap, the body one region."""
    a, b = Value(uint16, "a"), Value(uint16, "b")
    w = Writer(a, b)
    x, y = w.variable(a, "x"), w.variable(b, "y")
    with w.while_(lambda: w.compare("ne", w.load(x), w.load(y))):
        greater = w.compare("gt", w.load(x), w.load(y))
        with w.if_(greater, lambda: w.store(w.binary("sub", w.load(y), w.load(x)), y)):
            w.store(w.binary("sub", w.load(x), w.load(y)), x)
    return module_of(w.func("gcd", w.load(x)))


def euclid():
    """The condition has a division: it is built once, before the body."""
    a, b = Value(uint8, "a"), Value(uint8, "b")
    w = Writer(a, b)
    x, y = w.variable(a, "x"), w.variable(b, "y")

    def condition():
        rest = w.binary("rem", w.load(x), w.load(y))
        w.store(rest, x)
        return w.compare("ne", rest, 0)

    with w.while_(condition):
        old = w.load(x)
        w.store(w.load(y), x)
        w.store(old, y)
    return module_of(w.func("euclid", w.load(y)))


@pytest.mark.parametrize("make", [gcd, euclid])
@pytest.mark.parametrize("args", [(12, 18), (7, 1), (5, 5), (255, 34)])
def test_the_greatest_common_divisor(make, args):
    agree(make(), list(args))


def test_a_small_loop_takes_one_cycle_an_iteration():
    module = gcd()
    once, often = agree(module, [2, 1]), agree(module, [100, 1])
    assert often - once == 98


def test_the_latency_depends_on_data_and_the_report_says_so():
    report = build_report(design_of(gcd()))
    assert report.latency is None
    assert [(x.name, x.trip, x.ii, x.latency, x.limit) for x in report.loops] == [
        ("while", None, None, None,
         "not pipelined: each iteration waits for the one before; it takes 1 cycle"),
    ]  # fmt: skip


def test_the_cycles_of_an_iteration_are_explained():
    """The longest way through an iteration, step by step, adds up to what one takes."""
    [loop] = build_report(design_of(gcd(), clock_mhz=200)).loops
    proof = loop.certificate
    assert (proof.reason, proof.bound) == (Reason.ITERATION, loop.depth)
    assert sum(step.cycles for step in proof.steps) == loop.depth > 1
    often = [agree(gcd(), [n, 1], clock_mhz=200) for n in (2, 100)]
    assert often[1] - often[0] == 98 * loop.depth


def test_of_several_parts_of_an_iteration_the_longest_is_named():
    report = build_report(design_of(nested()))
    outer, inner = report.loops
    assert outer.limit.endswith(f"how long it takes depends on the while loop at {inner.loc.short}")
    loops = build_report(design_of(collatz_table())).loops
    loop, inside = (next(x for x in loops if x.name == name) for name in ("while", "k"))
    assert loop.limit.endswith(
        f"it takes {loop.depth} cycles: {inside.latency} in loop k at {inside.loc.short}"
    )


def collatz_table():
    """A while in a for, a for in the while, an if around the while, and a call of it all."""
    n, table = Value(uint16, "n"), Value(uint16[4], "T")
    w = Writer(n, table)
    x, steps = w.variable(n, "x"), w.variable(w.const(0, uint16), "steps")
    some = w.compare("ne", n, 0)
    with w.if_(some), w.while_(lambda: w.compare("ne", w.load(x), 1)):
        odd = w.cast(w.load(x), bool_)
        triple = w.binary("add", w.binary("mul", w.load(x), 3), 1)
        w.store(w.select(odd, triple, w.binary("shr", w.load(x), 1)), x)
        w.store(w.binary("add", w.load(steps), 1), steps)
        with w.loop("k", 4) as k:
            w.store(w.binary("xor", w.load(table, k), w.load(x)), table, k)
    helper = w.func("collatz", w.load(steps))
    table = Value(uint16[4], "T")
    w = Writer(table)
    total = w.variable(w.const(0, uint16), "total")
    with w.loop("i", 5) as i:
        (steps,) = w.call(helper, w.cast(i, uint16), table)
        w.store(w.binary("add", w.load(total), steps), total)
    return module_of(helper, w.func("table", w.load(total)))


def test_whiles_with_loops_ifs_and_calls_around_and_inside():
    agree(collatz_table(), [np.array([1, 2, 3, 4], object)])


def test_an_array_that_the_condition_allocates():
    """Both copies of a cheap condition have the same array."""
    n = Value(uint8, "n")
    w = Writer(n)
    left = w.variable(n, "left")

    def condition():
        flag = w.variable(w.load(left), "flag")
        return w.compare("gt", w.load(flag), 3)

    with w.while_(condition):
        w.store(w.binary("sub", w.load(left), 2), left)
    agree(module_of(w.func("k", w.load(left))), [9])


def nested():
    """For each element: halve it until it is odd, and count; stop early at a zero."""
    data = Value(uint8[6], "A")
    w = Writer(data)
    at = w.variable(w.const(0, uint8), "at")
    count = w.variable(w.const(0, uint8), "count")

    def inside():
        return w.compare("lt", w.load(at), 6)

    with w.while_(inside):
        i = w.cast(w.load(at), index)
        here = w.variable(w.load(data, i), "here")
        even = lambda: w.compare("eq", w.binary("and", w.load(here), 1), 0)  # noqa: E731
        with w.if_(w.compare("eq", w.load(here), 0)):
            w.store(w.const(1, uint8), here)
            w.store(w.const(6, uint8), at)
        with w.while_(even):
            w.store(w.binary("shr", w.load(here), 1), here)
            w.store(w.binary("add", w.load(count), 1), count)
        w.store(w.load(here), data, i)
        w.store(w.binary("add", w.load(at), 1), at)
    return module_of(w.func("nested", w.load(count)))


@pytest.mark.parametrize("data", [[8, 3, 6, 0, 4, 2], [1, 1, 1, 1, 1, 128], [0] * 6])
def test_nested_whiles(data):
    agree(nested(), [np.array(data, object)])


def in_a_pipeline(required=False):
    data = Value(uint8[4], "A")
    w = Writer(data)
    with w.loop("i", 4, pipeline_ii=1, ii_required=required) as i:
        here = w.variable(w.load(data, i), "here")
        with w.while_(lambda: w.compare("gt", w.load(here), 9)):
            w.store(w.binary("shr", w.load(here), 1), here)
        with w.loop("k", 3):
            w.store(w.binary("add", w.load(here), 1), here)
        w.store(w.load(here), data, i)
    return module_of(w.func())


def test_a_loop_with_a_while_inside_is_not_pipelined_and_the_report_says_why():
    module = in_a_pipeline()
    agree(module, [np.array([200, 3, 10, 77], object)])
    report = build_report(design_of(module))
    assert [(x.name, x.ii, x.limit) for x in report.loops] == [
        ("i", None, "not pipelined: the while loop at k.py:12 inside it cannot be unrolled"),
        ("while", None,
         "not pipelined: each iteration waits for the one before; it takes 1 cycle"),
        ("k", 1, "one iteration a cycle"),
    ]  # fmt: skip


def test_a_required_interval_of_a_loop_with_a_while_inside_is_an_error():
    with pytest.raises(BuildError) as caught:
        design_of(in_a_pipeline(required=True))
    assert str(caught.value) == (
        "k.py:20:1: error: loop 'i' cannot be pipelined: the while loop at k.py:12 inside it "
        "cannot be unrolled\n"
        "  allowed: loops with bounds that are constants or affine in the loops around them\n"
        "  hint: leave initiation_interval out to run its iterations one after the other"
    )


def with_dynamic_bounds():
    data, n = Value(int32[6], "A"), Value(int32, "n")
    w = Writer(data, n)
    end = w.cast(n, index)
    with w.loop("i", 3, pipeline_ii=1) as i, w.loop("j", end) as j:
        w.store(w.binary("add", w.load(data, j), w.cast(i, int32)), data, j)
    return module_of(w.func())


@pytest.mark.parametrize("n", [0, 1, 6])
def test_a_loop_whose_inner_bounds_depend_on_data_leaves_its_pipelining_to_them(n):
    module = with_dynamic_bounds()
    agree(module, [np.arange(6).astype(object), n])
    report = build_report(design_of(module))
    assert [(x.name, x.ii, x.limit) for x in report.loops] == [
        ("i, j", 1, "one iteration a cycle"),
    ]
