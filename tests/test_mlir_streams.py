"""Streams and regions as MLIR text."""

import numpy as np
import pytest
from isomorphism import difference
from region_graphs import output_stationary, two_levels
from test_dataflow_streams import blocks, converted, until_the_last, without_waiting

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.errors import ParseError
from allo_rtl.ir.mlir_parser import parse_module
from allo_rtl.ir.types import Stream, UInt, int32


@df.region()
def top(A: int32[4], B: int32[4]):
    s: Stream[UInt(5), 3]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[4]):
        for i in range(4):
            s.put(a[i])

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[4]):
        for i in range(4):
            x, there = s.peek()
            b[i] = s.get() + (x - x if there else 0)


TEXT = """\
module {
  func.func @give_0(%a: memref<4xi32>, %s: !allo.stream<ui5, 3>) \
attributes {itypes = "s_", otypes = ""} {
    affine.for %i = 0 to 4 {
      %0 = affine.load %a[%i] : memref<4xi32>
      %1 = arith.trunci %0 {unsigned} : i32 to i5
      "allo.put"(%s, %1) : (!allo.stream<ui5, 3>, i5) -> ()
    } {loop_name = "i", op_name = "S_i_0"}
    return
  }
"""

TOP = """\
  func.func @top(%A: memref<4xi32>, %B: memref<4xi32>) \
attributes {dataflow, itypes = "ss", otypes = ""} {
    %s = "allo.stream"() {name = "s"} : () -> !allo.stream<ui5, 3>
    func.call @give_0(%A, %s) : (memref<4xi32>, !allo.stream<ui5, 3>) -> ()
    func.call @take_0(%B, %s) : (memref<4xi32>, !allo.stream<ui5, 3>) -> ()
    return
  }
}
"""


def test_what_is_printed():
    text = str(df.customize(top).module)
    assert text.startswith(TEXT)
    assert '%0:2 = "allo.peek"(%s) : (!allo.stream<ui5, 3>) -> (i5, i1)\n' in text
    assert '= "allo.get"(%s) {unsigned} : (!allo.stream<ui5, 3>) -> i5\n' in text
    assert text.endswith(TOP)


@pytest.mark.parametrize(
    "region",
    [top, output_stationary, two_levels, blocks, converted, until_the_last, without_waiting],
)
def test_text_reads_back_as_the_same_module(region):
    module = df.customize(region).module
    read = parse_module(str(module))
    assert difference(module, read) is None
    assert str(read) == str(module)


def test_text_runs():
    a, b = np.arange(4, dtype=np.int32), np.zeros(4, np.int32)
    allo.customize(str(df.customize(top).module)).build()(a, b)
    np.testing.assert_array_equal(b, a)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('%t = "allo.stream"() : () -> i32', "allo.stream gives int32, not a stream"),
        ('%t = "allo.get"(%x) : (i32) -> i32', "allo.get works on a stream, not on int32"),
        ('"allo.put"(%s) : (!allo.stream<i32, 2>) -> ()', "allo.put needs 2 operands, 1 are given"),
        ('%t = "allo.stream"() : () -> !allo.stream<i32, 0>',
         "a stream has scalars, and a depth of 1 or more"),
        ('%t = "allo.peek"(%s) : (!allo.stream<i32, 2>) -> i32', "allo.peek has 1 results"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(line, message):
    text = f"func.func @f(%x: i32, %s: !allo.stream<i32, 2>) {{\n  {line}\n  return\n}}\n"
    with pytest.raises(ParseError) as caught:
        parse_module(text)
    assert caught.value.message == message
