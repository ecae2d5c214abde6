"""MLIR of other tools as kernels: read, scheduled, evaluated and built like Python ones."""

import math
import re
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ir_generators import all_types, modules
from ir_writer import agree as agree_in_hardware
from isomorphism import difference
from test_ir_mlir import agree, iree_opt

import allo_rtl as allo
from allo_rtl.errors import IRError, LanguageError, ParseError
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.mlir_kernel import is_mlir, read_kernel
from allo_rtl.ir.mlir_raise import raise_affine
from allo_rtl.ir.ops import For
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import Float
from allo_rtl.ir.verify import verify_module

# A C function through a C front end: what it knows of the machine is on module and function.
GEMM = """
#map = affine_map<()[s0] -> (s0)>
module attributes {dlti.dl_spec = #dlti.dl_spec<#dlti.dl_entry<"dlti.endianness", "little">,
    #dlti.dl_entry<i64, dense<64> : vector<2xi32>>,
    #dlti.dl_entry<!llvm.ptr<272>, dense<64> : vector<4xi32>>>,
    llvm.data_layout = "e-m:e-p270:32:32", "polygeist.target-cpu" = "x86-64"} {
  func.func @kernel_gemm(%arg0: i32, %arg1: f64, %arg2: f64, %arg3: memref<?x6xf64>,
      %arg4: memref<?x5xf64> {llvm.noundef}, %arg5: memref<?x6xf64>)
      attributes {llvm.linkage = #llvm.linkage<external>} {
    %0 = arith.index_cast %arg0 : i32 to index
    affine.for %arg6 = 0 to %0 {
      affine.for %arg7 = 0 to 6 {
        %1 = affine.load %arg3[%arg6, %arg7] : memref<?x6xf64>
        %2 = arith.mulf %1, %arg2 : f64
        affine.store %2, %arg3[%arg6, %arg7] : memref<?x6xf64>
      }
      affine.for %arg7 = 0 to 5 {
        %1 = affine.load %arg4[%arg6, %arg7] : memref<?x5xf64>
        %2 = arith.mulf %arg1, %1 fastmath<contract> : f64
        affine.for %arg8 = 0 to 6 {
          %3 = affine.load %arg5[%arg7, %arg8] : memref<?x6xf64>
          %4 = arith.mulf %2, %3 : f64
          %5 = affine.load %arg3[%arg6, %arg8] : memref<?x6xf64>
          %6 = arith.addf %5, %4 : f64
          affine.store %6, %arg3[%arg6, %arg8] : memref<?x6xf64>
        }
      }
    }
    return
  }
}
"""


def test_a_c_kernel_is_read_scheduled_and_built():
    s = allo.customize(GEMM)
    assert s.top_func_name == "kernel_gemm"
    assert str(s).splitlines() == [
        "kernel_gemm(arg0: int32, arg1: float64, arg2: float64, arg3: float64[..., 6], "
        "arg4: float64[..., 5], arg5: float64[..., 6])",
        "  S_i_0: for i in 0..arg0",
        "    for j in 0..6",
        "      arg3[i, j] = ...",
        "    for j_1 in 0..5",
        "      for k in 0..6",
        "        arg3[i, k] = ...",
    ]
    a, b, c = (np.random.default_rng(n).random((n, m)) for n, m in ((4, 5), (5, 6), (4, 6)))
    expected = c * 0.5 + 2.0 * a @ b
    s.split("k", 2)
    s.unroll("j")
    cpu = s.build()
    cpu(4, 2.0, 0.5, c, a, b)
    np.testing.assert_allclose(c, expected)


# What mlir-opt leaves of affine loops, a modulo and a tile's minimum after -lower-affine.
LOWERED = """
module {
  memref.global "private" @taps : memref<2xi32> = dense<[3, -5]>
  func.func private @sum(%arg0: memref<2xi32>) -> i32 {
    %c0_i32 = arith.constant 0 : i32
    %0 = affine.for %arg1 = 0 to 2 iter_args(%arg2 = %c0_i32) -> (i32) {
      %1 = affine.load %arg0[%arg1] : memref<2xi32>
      %2 = arith.addi %arg2, %1 : i32
      affine.yield %2 : i32
    }
    return %0 : i32
  }
  func.func @filter(%arg0: memref<4x7xi32>, %arg1: memref<4x7xi32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c2 = arith.constant 2 : index
    %c4 = arith.constant 4 : index
    %c7 = arith.constant 7 : index
    %c-1 = arith.constant -1 : index
    %c0_i32 = arith.constant 0 : i32
    %0 = memref.get_global @taps : memref<2xi32>
    scf.for %arg2 = %c0 to %c4 step %c1 {
      scf.for %arg3 = %c0 to %c7 step %c2 {
        %1 = arith.addi %arg3, %c2 : index
        %2 = arith.cmpi slt, %1, %c7 : index
        %3 = arith.select %2, %1, %c7 : index
        scf.for %arg4 = %arg3 to %3 step %c1 {
          %4 = arith.remsi %arg4, %c2 : index
          %5 = arith.cmpi slt, %4, %c0 : index
          %6 = arith.addi %4, %c2 : index
          %7 = arith.select %5, %6, %4 : index
          %8 = memref.load %0[%7] : memref<2xi32>
          %9 = memref.load %arg0[%arg2, %arg4] : memref<4x7xi32>
          %10 = arith.cmpi sgt, %9, %c0_i32 : i32
          %11 = scf.if %10 -> (i32) {
            %14 = arith.muli %9, %8 : i32
            scf.yield %14 : i32
          } else {
            %14 = func.call @sum(%0) : (memref<2xi32>) -> i32
            scf.yield %14 : i32
          }
          %12 = arith.muli %arg4, %c-1 : index
          %13 = arith.addi %12, %c7 : index
          %15 = arith.addi %13, %c-1 : index
          memref.store %11, %arg1[%arg2, %15] : memref<4x7xi32>
        }
      }
    }
    return
  }
}
"""


def filtered(a):
    taps = np.array([3, -5, 3, -5, 3, -5, 3])
    return np.where(a > 0, a * taps, -2)[:, ::-1]


def test_lowered_loops_get_their_affine_subscripts_and_bounds_back():
    s = allo.customize(LOWERED)
    text = str(s.module)
    assert 'memref.global "private" constant @taps' in text
    assert "affine.for %k = affine_map<(d0) -> (d0)>(%j)" in text
    assert "to min affine_map<(d0) -> (d0 + 2, 7)>(%j) {" in text
    assert "affine.load %0[%k mod 2]" in text
    assert ", %arg1[%i, -%k + 6] : memref<4x7xi32>" in text
    assert "arith.constant -1" not in text
    a, b = np.arange(-14, 14, dtype=np.int32).reshape(4, 7), np.zeros((4, 7), np.int32)
    s.pipeline("k")
    s.build()(a, b)
    assert b.tolist() == filtered(a).tolist()


def test_a_kernel_of_another_tool_in_hardware():
    a = np.arange(-14, 14, dtype=object).reshape(4, 7)
    agree_in_hardware(read_kernel(LOWERED), [a, np.zeros((4, 7), dtype=object)])


WHILE = """
func.func @collatz(%arg0: i32) -> (i32, i32) {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c3 = arith.constant 3 : i32
  %0:2 = scf.while (%arg1 = %arg0, %arg2 = %c0) : (i32, i32) -> (i32, i32) {
    %1 = arith.cmpi ne, %arg1, %c1 : i32
    scf.condition(%1) %arg2, %arg1 : i32, i32
  } do {
  ^bb0(%steps: i32, %x: i32):
    %2 = arith.andi %x, %c1 : i32
    %3 = arith.trunci %2 : i32 to i1
    %4 = scf.if %3 -> (i32) {
      %6 = arith.muli %x, %c3 : i32
      %7 = arith.addi %6, %c1 overflow<nsw> : i32
      scf.yield %7 : i32
    } else {
      %6 = arith.shrsi %x, %c1 : i32
      scf.yield %6 : i32
    }
    %5 = arith.addi %steps, %c1 : i32
    scf.yield %4, %5 : i32, i32
  }
  return %0#0, %0#1 : i32, i32
}
"""


def test_a_while_loop_carries_values_around_and_out():
    assert evaluate(read_kernel(WHILE), [27]) == (111, 1)
    assert list(allo.customize(WHILE).build()(27)) == [111, 1]


MIXED = """
#set = affine_set<(d0, d1)[s0] : (d0 - d1 >= 0, -d1 + s0 >= 0)>
func.func @mixed(%A: memref<4x8xi32>, %B: memref<4x8xi32, strided<[8, 1], offset: ?>>, %n: index)
    -> (i32, memref<4xi32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %c5_i32 = arith.constant 5 : i32
  affine.parallel (%i, %j) = (0, 0) to (4, 8) step (1, 2) {
    %x = affine.load %A[%i, %j + 1] : memref<4x8xi32>
    affine.if #set(%i, %j)[%n] {
      affine.store %x, %B[%i, %j] : memref<4x8xi32, strided<[8, 1], offset: ?>>
    }
  }
  scf.parallel (%i) = (%c0) to (%c8) step (%c1) {
    memref.store %c5_i32, %A[%c1, %i] : memref<4x8xi32>
    scf.reduce
  }
  %new = memref.alloca() : memref<4xi32>
  %v = memref.subview %A[0, 3] [4, 1] [1, 1]
    : memref<4x8xi32> to memref<4xi32, strided<[8], offset: 3>>
  memref.copy %v, %new : memref<4xi32, strided<[8], offset: 3>> to memref<4xi32>
  %d = memref.dim %A, %c1 : memref<4x8xi32>
  %m = affine.min affine_map<(d0)[s0] -> (d0 * 4, s0)>(%c1)[%d]
  %mi = arith.index_cast %m : index to i32
  %r = affine.for %i = 0 to 4 iter_args(%acc = %mi) -> (i32) {
    %x = affine.load %new[%i] : memref<4xi32>
    %s = arith.addi %acc, %x : i32
    %t = affine.if affine_set<(d0) : (d0 == 0)>(%i) -> i32 {
      affine.yield %s : i32
    } else {
      %z = arith.subi %s, %c5_i32 : i32
      affine.yield %z : i32
    }
    affine.yield %t : i32
  }
  return %r, %new : i32, memref<4xi32>
}
"""


def test_parallel_loops_sets_views_copies_minima():
    a, b = np.arange(32).reshape(4, 8), np.zeros((4, 8), int)
    before = a.copy()
    total, new = evaluate(read_kernel(MIXED), [a, b, 2])
    assert new.tolist() == [3, 5, 19, 27]
    assert total == 4 + 3 + 5 + 19 + 27 - 15
    kept = [(i, j) for i in range(4) for j in (0, 2) if i >= j]
    assert {tuple(map(int, p)) for p in np.argwhere(b)} == set(kept)
    assert all(b[i, j] == before[i, j + 1] for i, j in kept)
    marked = [op.attrs.parallel for op in walk(read_kernel(MIXED).top_func.body)
              if isinstance(op, For)]  # fmt: skip
    assert marked == [True, True, True, False, False]


RESHAPED = """
func.func @reshaped(%A: memref<4x2x3xi32>, %B: memref<24xi32>) {
  %0 = memref.collapse_shape %A [[0, 1], [2]] : memref<4x2x3xi32> into memref<8x3xi32>
  %1 = memref.expand_shape %B [[0, 1]] output_shape [8, 3] : memref<24xi32> into memref<8x3xi32>
  affine.for %i = 0 to 8 {
    affine.for %j = 0 to 3 {
      %x = affine.load %0[%i, %j] : memref<8x3xi32>
      affine.store %x, %1[%i, %j] : memref<8x3xi32>
    }
  }
  return
}
"""


def test_another_shape_of_an_array_is_other_subscripts():
    text = str(read_kernel(RESHAPED))
    assert "affine.load %A[%i floordiv 2, %i mod 2, %j] : memref<4x2x3xi32>" in text
    assert "affine.store %x, %B[%i * 3 + %j] : memref<24xi32>" in text
    a, b = np.arange(24).reshape(4, 2, 3), np.zeros(24, int)
    evaluate(read_kernel(RESHAPED), [a, b])
    assert b.tolist() == list(range(24))


@pytest.mark.parametrize("text", [GEMM, LOWERED, WHILE, MIXED, RESHAPED])
def test_both_forms_that_mlir_prints_give_the_same_kernel(text):
    module = read_kernel(text)
    for options in ((), ("--mlir-print-op-generic",), ("--mlir-print-debuginfo",)):
        assert difference(module, read_kernel(iree_opt(text, *options))) is None


GENERIC = """
"builtin.module"() ({
  "func.func"() <{function_type = (memref<4xf32>) -> f32, sym_name = "norm"}> ({
  ^bb0(%arg0: memref<4xf32>):
    %0 = "arith.constant"() <{value = 0.000000e+00 : f32}> : () -> f32
    %1 = "affine.for"(%0) <{lowerBoundMap = affine_map<() -> (0)>,
        operandSegmentSizes = array<i32: 0, 0, 1>, step = 1 : index,
        upperBoundMap = affine_map<() -> (4)>}> ({
    ^bb0(%arg1: index, %arg2: f32):
      %3 = "affine.load"(%arg0, %arg1) <{map = affine_map<(d0) -> (d0)>}> :
          (memref<4xf32>, index) -> f32
      %4 = "math.fma"(%3, %3, %arg2) <{fastmath = #arith.fastmath<none>}> :
          (f32, f32, f32) -> f32
      "affine.yield"(%4) : (f32) -> ()
    }) : (f32) -> f32
    %2 = "math.sqrt"(%1) <{fastmath = #arith.fastmath<none>}> : (f32) -> f32
    "func.return"(%2) : (f32) -> ()
  }) : () -> ()
}) : () -> ()
"""


def test_the_generic_form():
    s = allo.customize(GENERIC)
    assert s.build()(np.array([2, 4, 4, 8], np.float32)) == 10.0


# --- what MLIR's own passes make of one program -----------------------------------------------

LINALG = """
#id = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (j)>
func.func @layer(%x: memref<4x6xf32>, %w: memref<6x8xf32>, %b: memref<8xf32>,
    %y: memref<4x8xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%y : memref<4x8xf32>)
  linalg.matmul ins(%x, %w : memref<4x6xf32>, memref<6x8xf32>) outs(%y : memref<4x8xf32>)
  linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
    ins(%y, %b : memref<4x8xf32>, memref<8xf32>) outs(%y : memref<4x8xf32>) {
    ^bb0(%in: f32, %bias: f32, %out: f32):
      %s = arith.addf %in, %bias : f32
      %m = arith.maximumf %s, %zero : f32
      linalg.yield %m : f32
  }
  return
}
"""


@pytest.mark.parametrize(
    "passes",
    [
        "convert-linalg-to-affine-loops,affine-loop-tile{tile-size=3}",
        "convert-linalg-to-affine-loops,affine-loop-unroll-jam{unroll-jam-factor=3}",
        "convert-linalg-to-affine-loops,affine-loop-fusion,affine-parallelize",
        "convert-linalg-to-affine-loops,affine-loop-tile{tile-size=3},lower-affine,canonicalize",
        "convert-linalg-to-affine-loops,affine-loop-coalescing,lower-affine",
        "convert-linalg-to-parallel-loops,"
        "scf-parallel-loop-tiling{parallel-loop-tile-sizes=2,3}",
    ],
)
def test_loops_as_mlir_makes_them(passes):
    pipeline = f"--pass-pipeline=builtin.module(func.func({passes}))"
    random = np.random.default_rng(0)
    x, w, b = (random.normal(size=n).astype(np.float32) for n in ((4, 6), (6, 8), (8,)))
    for form in ((), ("--mlir-print-op-generic",)):
        s = allo.customize(iree_opt(LINALG, pipeline, *form))
        text = str(s.module)
        assert "scf.for" not in text
        assert "memref.load" not in text
        y = np.zeros((4, 8), np.float32)
        s.build()(x, w, b, y)
        np.testing.assert_allclose(y, np.maximum(x @ w + b, 0), rtol=1e-5, atol=1e-6)


# --- operations that are several of ours ---------------------------------------------------


def numbers(kind, *args, width=64):
    """What an operation on f64 or an integer gives, by the evaluator."""
    types = {"f": "f64", "i": f"i{width}", "u": f"i{width}"}
    name, of, to = kind
    names = ", ".join(f"%a{n}" for n in range(len(args)))
    params = ", ".join(f"%a{n}: {types[of]}" for n in range(len(args)))
    text = (
        f"func.func @f({params}) -> {'i1' if to == 'b' else types[to]} {{\n"
        f"  %r = {name} {names} : {types[of]}\n"
        f"  return %r : {'i1' if to == 'b' else types[to]}\n}}"
    )
    given = [int(np.float64(a).view(np.uint64)) if of == "f" else a for a in args]
    (found,) = evaluate(read_kernel(text), given)
    return float(np.uint64(found).view(np.float64)) if to == "f" else found


SPECIAL = [0.0, -0.0, 1.5, -2.5, math.inf, -math.inf, math.nan]


@pytest.mark.parametrize("name", ["oeq", "ogt", "oge", "olt", "ole", "one", "ord"])
@pytest.mark.parametrize("a", SPECIAL)
def test_ordered_and_unordered_comparisons(name, a):
    opposite = {"oeq": "une", "ogt": "ule", "oge": "ult", "olt": "uge", "ole": "ugt",
                "one": "ueq", "ord": "uno"}[name]  # fmt: skip
    for b in SPECIAL:
        unordered = math.isnan(a) or math.isnan(b)
        holds = {"oeq": a == b, "ogt": a > b, "oge": a >= b, "olt": a < b, "ole": a <= b,
                 "one": a != b, "ord": True}[name]  # fmt: skip
        want = bool(holds) and not unordered
        assert numbers((f"arith.cmpf {name},", "f", "b"), a, b) == -want
        assert numbers((f"arith.cmpf {opposite},", "f", "b"), a, b) == -(not want)


@given(st.integers(-128, 127), st.integers(-128, 127).filter(bool))
@settings(max_examples=60, deadline=None)
def test_divisions_that_round_up(a, b):
    if a != -128:
        assert numbers(("arith.ceildivsi", "i", "i"), a, b, width=8) == (
            (-(-a // b) + 128) % 256 - 128
        )
    a, b = a % 256, b % 256
    found = numbers(("arith.ceildivui", "u", "u"), a, b, width=8)
    assert found % 256 == -(-a // b)


def test_minima_of_numbers_ceilings_and_magnitudes():
    assert numbers(("arith.minnumf", "f", "f"), math.nan, 2.0) == 2.0
    assert numbers(("arith.maxnumf", "f", "f"), 1.0, math.nan) == 1.0
    assert numbers(("arith.maxnumf", "f", "f"), 1.0, 3.0) == 3.0
    assert math.isnan(numbers(("arith.minnumf", "f", "f"), math.nan, math.nan))
    assert math.isnan(numbers(("arith.minimumf", "f", "f"), math.nan, 2.0))
    assert numbers(("math.ceil", "f", "f"), -2.5) == -2.0
    assert numbers(("math.ceil", "f", "f"), 2.25) == 3.0
    assert numbers(("math.rsqrt", "f", "f"), 0.25) == 2.0
    assert numbers(("math.absi", "i", "i"), -7) == 7


def test_decimals_are_rounded_as_mlir_does():
    text = "func.func @f() -> (f16, bf16, f8E4M3FN, f32, f64) {{\n{}return %a, %b, %c, %d, %e : " \
           "f16, bf16, f8E4M3FN, f32, f64\n}}"  # fmt: skip
    body = (
        "%a = arith.constant 0.1 : f16\n%b = arith.constant 0xFFC0 : bf16\n"
        "%c = arith.constant 1.0e2 : f8E4M3FN\n%d = arith.constant 3.40282347E+38 : f32\n"
        "%e = arith.constant -0.0 : f64\n"
    )
    found = evaluate(read_kernel(text.format(body)), [])
    assert found == (0x2E66, 0xFFC0, 0x6C, 0x7F7FFFFF, 1 << 63)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(modules(), modules(rich=all_types)))
def test_index_arithmetic_is_folded_without_a_change_of_meaning(module):
    raised = replace(module, funcs=tuple(map(raise_affine, module.funcs)))
    verify_module(raised)
    assert agree(module, raised)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([GEMM, LOWERED, WHILE, MIXED, RESHAPED, GENERIC]), st.data())
def test_damaged_text_raises_no_other_error(text, data):
    tokens = re.findall(r'\s+|[%#@"!]?[\w.$]+|.', text)
    at = data.draw(st.integers(0, len(tokens) - 1))
    size = data.draw(st.integers(0, 3))
    other = data.draw(st.sampled_from(["", "", *dict.fromkeys(tokens)]))
    with suppress(ParseError, IRError):
        assert read_kernel("".join([*tokens[:at], other, *tokens[at + size :]])).funcs


def test_segment_sizes_that_are_no_numbers_are_refused():
    damaged = GENERIC.replace("array<i32: 0, 0, 1>", "array<i32: i32, 0, 1>")
    assert damaged != GENERIC
    with pytest.raises((ParseError, IRError)):
        read_kernel(damaged)


# --- customize ------------------------------------------------------------------------------

TWO = """
func.func @first(%0: i32, %class: memref<4xi32>, %a-b: i32) { return }
func.func private @unused(%x: f32) -> f32 { return %x : f32 }
func.func private @printf(i32, memref<?xi8>) -> i32
func.func @last(%x: i32) -> i32 {
  %0 = memref.alloc() : memref<2xi32>
  memref.store %x, %0[%c] : memref<2xi32>
  return %x : i32
}
"""
TWO = TWO.replace("memref.store %x, %0[%c]", "affine.store %x, %0[1]")


def test_the_last_function_is_the_kernel_unless_another_is_named(tmp_path):
    file = tmp_path / "two.mlir"
    file.write_text(TWO)
    for text in (file, str(file), TWO):
        assert [f.name for f in allo.customize(text).module.funcs] == ["last"]
        s = allo.customize(text, top="first")
        assert [f.name for f in s.module.funcs] == ["first"]
        assert [a.name for a in s.top_func.args] == ["arg0", "_class", "a_b"]
    assert allo.customize(allo.invoke_mlir_parser(TWO)).top_func_name == "last"
    with pytest.raises(ParseError) as caught:
        allo.customize(file, top="second")
    assert str(caught.value) == (
        f"{file}:1:1: error: the module has no function 'second'\n"
        "  allowed: first, unused, last"
    )


def test_a_python_kernel_has_no_other_top():
    def kernel(x: "int32") -> "int32":
        return x

    with pytest.raises(LanguageError) as caught:
        allo.customize(kernel, top="f")
    assert str(caught.value) == (
        "a Python kernel is its own top\n  allowed: top=... with MLIR only"
    )


@pytest.mark.parametrize("text", [GEMM, WHILE, MIXED, GENERIC, "// note\nmodule @m {\n}"])
def test_mlir_text_is_recognised(text):
    assert is_mlir(text)


@pytest.mark.parametrize("text", ["def f():\n  pass", "#a = 3\ndef f(): pass", '"""x"""', "@f\n"])
def test_python_text_is_recognised(text):
    assert not is_mlir(text)


def test_errors_name_the_file_and_line(tmp_path):
    file = tmp_path / "k.mlir"
    file.write_text("func.func @f(%t: tensor<4xf32>) {\n  return\n}\n")
    with pytest.raises(ParseError) as caught:
        allo.customize(file)
    assert str(caught.value) == (
        f"{file}:1:18: error: no kernel has the type 'tensor'\n"
        "    1 | func.func @f(%t: tensor<4xf32>) {\n"
        "      |                  ^~~~~~\n"
        "  allowed: an integer such as i32, a float such as f32, index or memref<...>\n"
        "  hint: bufferize it first: memref is the type of arrays"
    )


# --- print(s.module) at every stage ---------------------------------------------------------


def stages():
    """The text of a kernel after each primitive."""
    s = allo.customize(LOWERED.replace("%arg2 =", "%row =").replace("%arg2,", "%row,"))
    yield str(s.module)
    for name, args, more in (
        ("split", ("row", 2), {}),
        ("pipeline", ("k",), {"initiation_interval": 2}),
        ("unroll", ("j",), {}),
        ("partition", (s.arg0,), {"dim": 2}),
        ("parallel", ("row.outer",), {}),
    ):
        getattr(s, name)(*args, **more)
        yield str(s.module)


def test_a_schedule_prints_as_mlir_at_every_stage():
    texts = list(stages())
    assert len(set(texts)) == len(texts)
    iree_opt("// -----\n".join(texts))
    for text in texts:
        module = allo.invoke_mlir_parser(text)
        assert re.sub(r"%[\w.]+", "", str(module)) == re.sub(r"%[\w.]+", "", text)


def test_floats_of_every_format_print_exactly():
    formats = (("f16", 16, 10), ("bf16", 16, 7), ("f8E4M3FN", 8, 3), ("f8E5M2", 8, 2))
    for name, width, fracs in formats:
        for value in range(0, 1 << width, 1 if width == 8 else 257):
            text = f"func.func @f() -> {name} {{\n%x = arith.constant 0x{value:X} : {name}\n" \
                   f"return %x : {name}\n}}"  # fmt: skip
            module = read_kernel(text)
            assert module.top_func.results == (Float(width, fracs),)
            assert evaluate(read_kernel(str(module)), []) == (value,)


def test_scheduled_hardware_of_another_tools_kernel():
    # What a branch gives is a variable of its own in each iteration, so that nothing waits.
    s = allo.customize(LOWERED)
    s.parallel("i")
    s.pipeline("k")
    a = np.arange(-14, 14, dtype=object).reshape(4, 7)
    b = np.zeros((4, 7), dtype=object)
    agree_in_hardware(s.module, [a, b])
    assert evaluate(s.module, [a, b]) == ()
    assert b.tolist() == filtered(a).tolist()
