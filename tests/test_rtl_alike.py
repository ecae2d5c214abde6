"""Processes that are alike are one module in hardware, wherever their elements and streams are."""

import re

import numpy as np
import pytest
from ir_writer import agree
from test_schedule_cost import calls

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.hls import design as designs
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.types import ArrayType, Stateful, Stream, int8, int32
from allo_rtl.memory import Layout

S, R = Layout.Shard, Layout.Replicate


def array(n, k=3):
    """Output-stationary, n by n."""

    @df.region()
    def gemm(A: int8[n, k], B: int8[k, n], C: int32[n, n]):
        rows: Stream[int8, 2][n, n]
        columns: Stream[int8, 2][n, n]

        @df.kernel(mapping=[n], args=[A])
        def load_a(a: int8[n, k]):
            i = df.get_pid()
            for t in range(k):
                rows[i, 0].put(a[i, t])

        @df.kernel(mapping=[n], args=[B])
        def load_b(b: int8[k, n]):
            j = df.get_pid()
            for t in range(k):
                columns[0, j].put(b[t, j])

        @df.kernel(mapping=[n, n], args=[C])
        def pe(c: int32[n, n]):
            i, j = df.get_pid()
            total: int32 = 0
            for _ in range(k):
                x = rows[i, j].get()
                y = columns[i, j].get()
                total += x * y
                with allo.meta_if(j < n - 1):
                    rows[i, j + 1].put(x)
                with allo.meta_if(i < n - 1):
                    columns[i + 1, j].put(y)
            c[i, j] = total

    return gemm


def partitioned(n):
    s = df.customize(array(n), opt_default=True)
    s.partition("gemm:A", dim=1)
    s.partition("gemm:B", dim=2)
    s.partition("gemm:C", dim=0)
    return s


def names(schedule):
    """The functions that hardware is made of."""
    return [f.name for f in schedule.build(target="rtl").design.functions]


def check(schedule):
    """Hardware and evaluator agree on the module as it is before it is merged."""
    dice = np.random.default_rng(2)
    module = legalize(schedule.module)
    agree(module, [
        dice.integers(0, 10, v.type.shape).astype(object) if isinstance(v.type, ArrayType) else 3
        for v in module.top_func.args
    ])  # fmt: skip


@pytest.mark.parametrize("n", [3, 5])
def test_a_systolic_array_of_any_size_has_six_functions(n, monkeypatch):
    """An element, one at each edge, one in the corner, and the loaders; scheduled once each."""
    scheduled = []
    original = designs._time

    def counting(control, *args):
        scheduled.append(control.func.name)
        return original(control, *args)

    monkeypatch.setattr(designs, "_time", counting)
    s = partitioned(n)
    last = n - 1
    assert names(s) == scheduled
    assert scheduled == [
        "load_a_0", "load_b_0", "pe_0_0", f"pe_0_{last}", f"pe_{last}_0", f"pe_{last}_{last}",
        "gemm",
    ]  # fmt: skip


def test_elements_are_joined_by_wires_that_are_theirs_alone():
    """Nothing copies one signal to another between an element, its FIFOs and its memories."""
    text = partitioned(3).build(target="rtl").verilog
    top = text[text.index("\nmodule gemm("):].split("endmodule", 1)[0]
    own = set(re.findall(r"call_pe_\d_\d_(\w+)", top.split("gemm_pe_0_0 call_pe", 1)[0]))
    assert own == {"ready"}
    assert len(re.findall(r"\.rows_0_1_valid\(rows_\d_\d_fifo_put_valid\)", top)) == 4
    assert ".c_wdata(C_4_wdata)" in top


def test_work_grows_with_the_number_of_processes():
    """From the kernel to its Verilog; 8, 24 and 48 processes."""

    def work(n):
        return calls(lambda: partitioned(n).build(target="rtl").verilog)

    work(2)
    small, middle, large = work(2), work(4), work(6)
    assert (large - middle) / 24 < 1.3 * (middle - small) / 16


def test_a_module_is_instantiated_under_the_name_of_each_process():
    text = partitioned(3).build(target="rtl").verilog
    assert text.count("\nmodule gemm_pe_") == 4
    assert text.count("gemm_pe_0_0 call_pe_") == 4
    for process in ("pe_0_0", "pe_0_1", "pe_1_0", "pe_1_1"):
        assert re.search(rf"gemm_pe_0_0 call_{process} \(", text)


def test_elements_are_the_right_ones():
    check(partitioned(3))


def test_subscripts_of_one_memory_are_arguments():
    """Nothing is partitioned: the processes take turns, and are told what is theirs."""
    s = df.customize(array(3), opt_default=True)
    assert len(names(s)) == 7
    check(s)


@df.region()
def shards(A: int32[4, 6], B: int32[4, 6]):
    @df.kernel(mapping=[2, 3], args=[A, B])
    def negate(a: int32[4, 6] @ [S(0), S(1)], b: int32[4, 6] @ [S(0), S(1)]):
        for i, j in allo.grid(2, 2):
            b[i, j] = -a[i, j] + i


@pytest.mark.parametrize("kind", ["whole blocks", "every element", "cyclic", "one memory"])
def test_shards(kind):
    """Parts that are banks of their own are alike; others are what they were."""
    s = df.customize(shards)
    for name in ("A", "B"):
        if kind == "whole blocks":
            s.partition(f"shards:{name}", allo.Partition.Block, dim=1, factor=2)
            s.partition(f"shards:{name}", allo.Partition.Block, dim=2, factor=3)
        elif kind == "every element":
            s.partition(f"shards:{name}", dim=0)
        elif kind == "cyclic":
            s.partition(f"shards:{name}", allo.Partition.Cyclic, dim=2, factor=2)
    if kind in ("whole blocks", "every element"):
        assert names(s) == ["negate_0_0", "shards"]
    check(s)


@df.region()
def overlapping(A: int32[4], B: int32[4]):
    @df.kernel(mapping=[2], args=[A, A, B])
    def swap(a: int32[4], again: int32[4], b: int32[4] @ [S(0)]):
        p = df.get_pid()
        b[0] = a[p] + again[p + 1]
        b[1] = a[p + 2] - again[p]


def test_an_array_that_is_given_twice():
    s = df.customize(overlapping)
    s.partition("overlapping:A", dim=0)
    s.partition("overlapping:B", dim=0)
    check(s)


@df.region()
def cycles(A: int32[8], B: int32[8]):
    @df.kernel(mapping=[8], args=[A, B])
    def double(a: int32[8], b: int32[8]):
        p = df.get_pid()
        b[p] = a[p] * 2


@pytest.mark.parametrize("kind", [allo.Partition.Cyclic, allo.Partition.Block])
def test_banks_that_hold_elements_of_several_processes(kind):
    """A process for each word of a bank: as many functions as there are places."""
    s = df.customize(cycles)
    s.partition("cycles:A", kind, dim=1, factor=4)
    s.partition("cycles:B", kind, dim=1, factor=4)
    check(s)


@df.region()
def different(A: int32[3], B: int32[3]):
    @df.kernel(mapping=[3], args=[A, B])
    def add(a: int32[3], b: int32[3]):
        p = df.get_pid()
        b[p] = a[p] + p * p


def test_what_computes_with_its_place_is_not_alike():
    s = df.customize(different)
    s.partition("different:A", dim=0)
    s.partition("different:B", dim=0)
    assert names(s) == ["add_0", "add_1", "add_2", "different"]
    check(s)


@df.region()
def counters(A: int32[3], B: int32[3]):
    @df.kernel(mapping=[3], args=[A, B])
    def count(a: int32[3], b: int32[3]):
        p = df.get_pid()
        total: int32 @ Stateful = 0
        total += a[p]
        b[p] = total


def test_each_process_has_a_state_of_its_own():
    rtl = df.build(counters, target="rtl")
    b = np.zeros(3, np.int32)
    for run in (1, 2):
        rtl(np.array([1, 2, 3], np.int32), b)
        assert list(b) == [run, 2 * run, 3 * run]


@df.region()
def inner(A: int32[2], B: int32[2]):
    link: Stream[int32, 2][2]

    @df.kernel(mapping=[2], args=[A])
    def give(a: int32[2]):
        p = df.get_pid()
        link[p].put(a[p])

    @df.kernel(mapping=[2], args=[B])
    def take(b: int32[2]):
        p = df.get_pid()
        b[p] = link[p].get() + 1


@df.region()
def outer(A: int32[4], B: int32[4]):
    @df.kernel(mapping=[2], args=[A, B])
    def half(a: int32[4] @ [S(0)], b: int32[4] @ [S(0)]):
        inner(a, b)


def test_regions_in_regions():
    s = df.customize(outer)
    s.partition("outer:A", dim=0)
    s.partition("outer:B", dim=0)
    check(s)


@df.region()
def tiles(A: int32[6, 4], B: int32[6, 4]):
    @df.kernel(mapping=[2, 2], args=[A, B])
    def element(a: int32[6, 4], b: int32[6, 4]):
        i, j = df.get_pid()
        for m, n in allo.grid(3, 2):
            b[2 * m + i, 2 * n + j] = a[2 * m + i, 2 * n + j] * 3 - m


def test_elements_of_tiles():
    """In cycles of banks each process has one of them."""
    s = df.customize(tiles, opt_default=True)
    for name in ("A", "B"):
        for dim in (1, 2):
            s.partition(f"tiles:{name}", allo.Partition.Cyclic, dim=dim, factor=2)
    assert names(s) == ["element_0_0", "tiles"]
    check(s)
