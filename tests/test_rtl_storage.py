"""Where arrays are stored: what the user asks for, where the device has it."""

import numpy as np
import pytest
from ir_writer import Writer, agree, design_of, module_of

import allo_rtl as allo
from allo_rtl.hls.report_builder import build_report
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import Global, Value
from allo_rtl.ir.types import ArrayType, DimPartition, Memory, Partition, int16, int32
from allo_rtl.rtl.kernel import emit_verilog
from allo_rtl.sim import pysim
from allo_rtl.sim.marshal import Signature, call_with_numpy


def reverse(memory, partition=()):
    """Through a local array, and a table of constants stored the same way."""
    type_ = ArrayType(int16, (32,), partition, memory)
    item = Global(name="table", type=type_, data=tuple(range(32)))
    data = Value(int16[32], "A")
    w = Writer(data)
    buffer, table = w.alloc(type_, "buffer"), w.global_(item)
    with w.loop("i", 32, pipeline_ii=1) as i:
        w.store(w.binary("add", w.load(data, i), w.load(table, i)), buffer, i)
    with w.loop("j", 32, pipeline_ii=1) as j:
        w.store(w.load(buffer, AffineExpr.constant(31) - AffineExpr.of(j)), data, j)
    return module_of(w.func(), globals=[item])


@pytest.mark.parametrize(
    ("resource", "device", "storage", "style"),
    [
        (None, "ecp5-85", "block RAM", None),
        ("AUTO", "ecp5-85", "block RAM", None),
        ("BRAM", "ecp5-85", "block RAM", "block"),
        ("LUTRAM", "ecp5-85", "LUT RAM", "distributed"),
        ("SRL", "gw1n-9", "LUT RAM", "distributed"),
        ("LUTRAM", "ice40-up5k", "block RAM", "block"),
        ("URAM", "ultrascale+", "ultra RAM", "ultra"),
        ("URAM", "ecp5-85", "block RAM", "block"),
    ],
)
def test_the_named_resource_is_what_synthesis_is_told(resource, device, storage, style):
    module = reverse(Memory(resource) if resource else None)
    design = design_of(module, device)
    found = {m.name: m.storage for m in build_report(design).memories}
    assert found == {"A": "port", "buffer": storage, "table": "ROM"}
    told = [line.strip() for line in emit_verilog(design).splitlines() if "ram_style" in line]
    assert told == ([f'(* ram_style = "{style}" *)'] * 2 if style else [])


def test_completely_partitioned_arrays_are_registers_whatever_they_ask_for():
    module = reverse(Memory("BRAM"), (DimPartition(Partition.Complete, 32),))
    found = {m.name: m.storage for m in build_report(design_of(module)).memories}
    assert found["buffer"] == "registers"


def test_every_storage_holds_the_same():
    for resource in ("BRAM", "LUTRAM", "URAM"):
        agree(reverse(Memory(resource)), [np.arange(32).astype(object)])


def test_lanes_of_an_accumulation_need_no_clearing_and_no_time():
    """What unrolling made of one store is one again: 40 lanes are as quick as 2."""

    def row_sums(A: int32[8, 80]) -> int32[80]:
        out: int32[80] = 0
        for i in range(8):
            for j in range(80):
                out[j] += A[i, j]
        return out

    cycles = {}
    for lanes in (2, 40):
        s = allo.customize(row_sums)
        s.split("j", lanes)
        s.pipeline("j.outer")
        for array in ("A", "out"):
            s.partition(array, Partition.Cyclic, dim=2 if array == "A" else 1, factor=lanes)
        cycles[lanes] = s.build(target="rtl", device="ecp5-85", clock_mhz=50).predicted_cycles
    assert cycles[2] < 8 * 40 + 8
    assert cycles[40] >= 8 * 2
    assert cycles[40] < 8 * 2 + 8


@pytest.mark.parametrize("kind", [Partition.Cyclic, Partition.Block])
def test_lanes_over_a_part_of_the_banks_do_not_get_in_each_others_way(kind):
    """Two lanes over six banks: each is in three of them, the other lane in the other three."""

    def double(A: int32[24], B: int32[24]):
        for i in range(24):
            B[i] = A[i] * 2

    s = allo.customize(double)
    lanes = 2
    if kind is Partition.Cyclic:
        s.split("i", lanes)
        s.pipeline("i.outer")
    else:
        s.split("i", 24 // lanes)
        s.reorder("i.inner", "i.outer")
        s.pipeline("i.inner")
    for array in ("A", "B"):
        s.partition(array, kind, dim=1, factor=6)
    rtl = s.build(target="rtl", device="ecp5-85", clock_mhz=50)
    assert next(x.ii for x in rtl.report().loops if x.ii) == 1
    taken = []

    def simulated(raw):
        results, cycles = pysim.run(rtl.component, raw)
        taken.append(cycles)
        return results

    A, B = np.arange(24, dtype=np.int32), np.zeros(24, np.int32)
    call_with_numpy(Signature.of(s.module.top_func), [A, B], simulated)
    assert B.tolist() == [2 * x for x in range(24)]
    assert taken == [rtl.predicted_cycles]
