"""The IR as MLIR text: what it looks like, that MLIR takes it, and that it reads back."""

import re
import shutil
import subprocess
import sys
from contextlib import suppress
from inspect import isfunction
from pathlib import Path

import kernels
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from ir_generators import all_types, modules, random_args, upstream
from isomorphism import difference

import allo_rtl as allo
from allo_rtl.errors import IRError, ParseError
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.mlir_parser import parse_module
from allo_rtl.ir.mlir_printer import print_module
from allo_rtl.ir.ops import (
    Alloc,
    Binary,
    BinaryKind,
    Cast,
    For,
    Func,
    Load,
    LoopAttrs,
    Module,
    Return,
    Store,
    Value,
)
from allo_rtl.ir.types import DimPartition, Partition, UInt, index, int8, int32, uint8

of, const = AffineExpr.of, AffineExpr.constant
quick = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def loop(iv, stop, *body, **more):
    upper = stop if isinstance(stop, AffineExpr) else const(stop)
    return For(iv=iv, lower=(const(0),), upper=(upper,), body=body, **more)


def row_sums():
    """``C[i // 2] += A[i, j]`` over a partitioned array, as an annotated nest."""
    a = Value(uint8[4, 6].with_partition(1, DimPartition(Partition.Cyclic, 3)), "A")
    c, i, j = Value(uint8[2], "C"), Value(index, "i"), Value(index, "j")
    x, y, s = Value(uint8), Value(uint8), Value(uint8)
    place = (of(i).floordiv(2),)
    inner = loop(
        j,
        6,
        Load(result=x, array=a, index=(of(i), of(j) * -1 + 5)),
        Load(result=y, array=c, index=place),
        Binary(kind=BinaryKind.ADD, result=s, lhs=x, rhs=y),
        Store(value=s, array=c, index=place),
        name="j",
        attrs=LoopAttrs(pipeline_ii=1, reduction=True),
    )
    outer = loop(i, 4, inner, name="i", attrs=LoopAttrs(band="S_i_j"))
    body = (Alloc(result=c), outer, Return(values=(c,)))
    return Module(funcs=(Func(name="sums", args=(a,), results=(c.type,), body=body),), top="sums")


def test_an_affine_nest():
    assert str(row_sums()) == (
        "#map = affine_map<(d0, d1) -> (0, d1 mod 3, d0, d1 floordiv 3)>\n"
        "module {\n"
        "  func.func @sums(%A: memref<4x6xi8, #map>) -> memref<2xi8>"
        ' attributes {itypes = "u", otypes = "u"} {\n'
        '    %C = memref.alloc() {name = "C", unsigned} : memref<2xi8>\n'
        "    affine.for %i = 0 to 4 {\n"
        "      affine.for %j = 0 to 6 {\n"
        "        %0 = affine.load %A[%i, -%j + 5] : memref<4x6xi8, #map>\n"
        "        %1 = affine.load %C[%i floordiv 2] : memref<2xi8>\n"
        "        %2 = arith.addi %0, %1 {unsigned} : i8\n"
        "        affine.store %2, %C[%i floordiv 2] : memref<2xi8>\n"
        '      } {loop_name = "j", pipeline_ii = 1 : i32, reduction}\n'
        '    } {loop_name = "i", op_name = "S_i_j"}\n'
        "    return %C : memref<2xi8>\n"
        "  }\n"
        "}\n"
    )


def gather():
    """``B[A[i] mod 4]`` is used as a bound and a subscript inside a loop."""
    a, b = Value(uint8[4], "A"), Value(int8[4], "B")
    i, j, at = Value(index, "i"), Value(index, "j"), Value(index, "at")
    x, v = Value(uint8, "x"), Value(int8, "v")
    body = (
        Load(result=x, array=a, index=(of(i),)),
        Cast(result=at, operand=x),
        loop(
            j,
            of(at) + 1,
            Load(result=v, array=b, index=((of(at) * 2 + of(j)).mod(4),)),
            Store(value=v, array=b, index=(of(i),)),
        ),
    )
    func = Func(name="gather", args=(a, b), results=(), body=(loop(i, 4, *body),))
    return Module(funcs=(func,), top="gather")


def test_data_dependent_parts_are_spelled_out_and_folded_back():
    text = print_module(gather())
    assert text == (
        "module {\n"
        "  func.func @gather(%A: memref<4xi8>, %B: memref<4xi8>)"
        ' attributes {itypes = "us", otypes = ""} {\n'
        "    affine.for %i = 0 to 4 {\n"
        "      %x = affine.load %A[%i] : memref<4xi8>\n"
        "      %at = arith.index_castui %x : i8 to index\n"
        "      %0 = arith.constant {affine} 0 : index\n"
        "      %1 = arith.constant {affine} 1 : index\n"
        "      %2 = arith.addi %at, %1 {affine} : index\n"
        "      %3 = arith.constant {affine} 1 : index\n"
        "      scf.for %j = %0 to %2 step %3 {\n"
        "        %4 = arith.constant {affine} 2 : index\n"
        "        %5 = arith.muli %at, %4 {affine} : index\n"
        "        %6 = arith.addi %5, %j {affine} : index\n"
        "        %7 = arith.constant {affine} 4 : index\n"
        "        %8 = arith.floordivsi %6, %7 {affine} : index\n"
        "        %9 = arith.muli %8, %7 {affine} : index\n"
        "        %10 = arith.subi %6, %9 {affine, mod = 4 : index} : index\n"
        "        %v = memref.load %B[%10] : memref<4xi8>\n"
        "        affine.store %v, %B[%i] : memref<4xi8>\n"
        "      }\n"
        "    }\n"
        "    return\n"
        "  }\n"
        "}\n"
    )
    back = parse_module(text).top_func.body[0].body
    assert [type(op).__name__ for op in back] == ["Load", "Cast", "For"]
    at, (inner,) = back[1].result, back[2:]
    assert inner.upper == (of(at) + 1,)
    assert inner.body[0].index == ((of(at) * 2 + of(inner.iv)).mod(4),)


UPSTREAM = """\
#map = affine_map<(d0, d1) -> (d0 mod 2, 0, d0 floordiv 2, d1)>
module {
  memref.global "private" @total : memref<2xf32> = dense<[-0.0, 0x7F800000]> {stateful}
  func.func @row(%r: memref<3xf32, strided<[?], offset: ?>>, %n: memref<?xf32>)\
 attributes {itypes = "__", otypes = ""} {
    return
  }
  func.func @top(%A: memref<4x3xf32, #map>, %x: f16, %i: index, %M: memref<3xf32, 16 : i32>)\
 -> bf16 attributes {itypes = "____", otypes = "_"} {
    %total = memref.get_global @total : memref<2xf32>
    %0 = builtin.unrealized_conversion_cast %A : memref<4x3xf32, #map> to memref<4x3xf32>
    %v = memref.subview %0[%i, 0] [1, 3] [1, 1] : memref<4x3xf32>\
 to memref<3xf32, strided<[1], offset: ?>>
    %1 = memref.cast %v : memref<3xf32, strided<[1], offset: ?>>\
 to memref<3xf32, strided<[?], offset: ?>>
    %2 = builtin.unrealized_conversion_cast %M : memref<3xf32, 16 : i32> to memref<?xf32>
    func.call @row(%1, %2) : (memref<3xf32, strided<[?], offset: ?>>, memref<?xf32>) -> ()
    scf.while : () -> () {
      %3 = affine.load %total[0] : memref<2xf32>
      %4 = arith.constant 0.1 : f32
      %5 = arith.cmpf olt, %3, %4 : f32
      scf.condition(%5)
    } do {
      %3 = affine.load %v[1] : memref<3xf32, strided<[1], offset: ?>>
      %4 = arith.divf %3, %3 {part} : f32
      %5 = math.floor %4 : f32
      affine.store %5, %total[0] : memref<2xf32>
      scf.yield
    }
    %3 = arith.constant {unsigned} true
    cf.assert %3, "\\22always\\22"
    %4 = arith.extf %x {part} : f16 to f32
    %5 = arith.truncf %4 : f32 to bf16
    return %5 : bf16
  }
}
"""


def test_floats_views_state_while_and_assertions():
    assert print_module(parse_module(UPSTREAM)) == UPSTREAM
    iree_opt(UPSTREAM)


OWN = """\
module {
  func.func @top(%s: !allo.struct<"x": i32, "y": ui8>, %u: i8, %A: memref<2x!allo.Fixed<8, 3>>)\
 -> !allo.UFixed<9, 2> attributes {itypes = "_u_", otypes = "_"} {
    %0 = affine.load %A[1] : memref<2x!allo.Fixed<8, 3>>
    %1 = "allo.constant"() {value = -12 : i8} : () -> !allo.Fixed<8, 3>
    %2 = "allo.mul"(%0, %1) : (!allo.Fixed<8, 3>, !allo.Fixed<8, 3>) -> !allo.Fixed<8, 3>
    %3 = "allo.cmp"(%0, %2) {predicate = "lt", unsigned} :\
 (!allo.Fixed<8, 3>, !allo.Fixed<8, 3>) -> i1
    %4 = "allo.select"(%3, %0, %2) : (i1, !allo.Fixed<8, 3>, !allo.Fixed<8, 3>)\
 -> !allo.Fixed<8, 3>
    %5 = "allo.cast"(%4) : (!allo.Fixed<8, 3>) -> !allo.UFixed<9, 2>
    %6 = "allo.bitcast"(%s) {unsigned} : (!allo.struct<"x": i32, "y": ui8>) -> i40
    %7 = "allo.float"(%u) {format = f8E5M2, kind = "convert", target = f8E4M3FN, unsigned} :\
 (i8) -> i8
    "allo.print"(%6, %5) {text = "{} and {}"} : (i40, !allo.UFixed<9, 2>) -> ()
    return %5 : !allo.UFixed<9, 2>
  }
}
"""


def test_what_mlir_has_no_types_for_is_of_our_own_dialect():
    assert print_module(parse_module(OWN)) == OWN


def agree(one, other):
    """Whether two modules give the same results, change their arguments and print alike."""
    ins, again = random_args(one.top_func), random_args(other.top_func)
    lines, more = [], []
    outs = zip(
        evaluate(one, ins, output=lines.append), evaluate(other, again, output=more.append),
        strict=True,
    )  # fmt: skip
    same = all(np.array_equal(x, y) for x, y in [*outs, *zip(ins, again, strict=True)])
    return same and lines == more


@quick
@given(modules())
def test_printed_text_reads_back_to_the_same_text_and_meaning(module):
    text = print_module(module)
    back = parse_module(text)
    assert print_module(back) == text
    assert agree(module, back)


@quick
@given(modules(rich=all_types))
def test_every_module_reads_back_as_the_same_module(module):
    text = print_module(module)
    back = parse_module(text)
    assert difference(module, back) is None
    assert print_module(back) == text
    assert agree(module, back)


@pytest.mark.long
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(modules(rich=all_types))
def test_very_many_modules_read_back(module):
    assert difference(module, parse_module(print_module(module))) is None


def iree_opt(text, *options):
    """What MLIR's own tool makes of a text; its complaints fail the test."""
    # Of this environment, which need not be on PATH.
    tool = shutil.which("iree-opt", path=Path(sys.executable).parent)
    if tool is None:
        pytest.skip("iree-opt (iree-base-compiler) is not installed")
    # Only printing in simulation is an operation that MLIR does not have.
    command = [tool, "--split-input-file", "--allow-unregistered-dialect", *options]
    run = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def check_with_mlir(count):
    """MLIR takes random modules, and both forms in which it prints them read back."""
    found = [row_sums(), gather()]

    @settings(quick, max_examples=count, derandomize=True, database=None, phases=[Phase.generate])
    @given(modules(rich=upstream))
    def collect(module):
        found.append(module)

    collect()
    cut = "// -----\n"
    text = cut.join(map(print_module, found))
    for options in ((), ("--mlir-print-op-generic",)):
        for module, again in zip(found, iree_opt(text, *options).split(cut), strict=True):
            assert difference(module, parse_module(again)) is None


def test_mlir_accepts_every_module_and_its_own_two_forms_read_back():
    check_with_mlir(60)


def test_mlir_accepts_python_kernels():
    found = [f for f in vars(kernels).values() if isfunction(f) and f.__annotations__]
    modules = [allo.customize(f).module for f in found]
    assert len(modules) > 15
    texts = list(map(print_module, modules))
    for module, text in zip(modules, texts, strict=True):
        assert difference(module, parse_module(text)) is None
    iree_opt("// -----\n".join(texts))


@pytest.mark.long
def test_mlir_accepts_very_many_modules():
    check_with_mlir(2000)


def run(text, *args):
    """Results of the last function of a text."""
    return evaluate(parse_module(text), args)


def test_text_from_elsewhere_is_signed_unless_an_operation_says_otherwise():
    text = """
      func.func @f(%a: i8, %b: i8) -> (i8, i8, i32, i32, i1) {
        %0 = arith.divsi %a, %b : i8
        %1 = arith.divui %a, %b : i8
        %2 = arith.extsi %a : i8 to i32
        %3 = arith.extui %a : i8 to i32
        %4 = arith.cmpi ult, %a, %b : i8
        return %0, %1, %2, %3, %4 : i8, i8, i32, i32, i1
      }"""
    assert run(text, -7, 2) == (-3, 124, -7, 249, 0)
    assert run(text, 1, -2) == (0, 0, 1, 1, -1)


GENERIC = """
#id = affine_map<(d0) -> (d0)>
"builtin.module"() ({
  "memref.global"() <{constant, initial_value = dense<[1, -2]> : tensor<2xi8>, sym_name = "W",
    sym_visibility = "private", type = memref<2xi8>}> {unsigned} : () -> ()
  "func.func"() <{function_type = (i8, memref<4xi8>) -> i8, sym_name = "f"}> ({
  ^bb0(%arg0: i8, %arg1: memref<4xi8>):
    %0 = "memref.get_global"() <{name = @W}> {unsigned} : () -> memref<2xi8>
    %1 = "memref.alloc"() <{operandSegmentSizes = array<i32: 0, 0>}> : () -> memref<i8>
    %2 = "arith.constant"() <{value = 1 : index}> : () -> index
    "affine.for"(%2) <{lowerBoundMap = affine_map<() -> (0)>, step = 1 : index,
      operandSegmentSizes = array<i32: 0, 1, 0>, upperBoundMap = #id}> ({
    ^bb0(%arg2: index):
      %4 = "affine.load"(%arg1, %arg2) <{map = #id}> : (memref<4xi8>, index) -> i8
      %5 = "arith.addi"(%4, %arg0) <{overflowFlags = #arith.overflow<none>}> : (i8, i8) -> i8
      "memref.store"(%5, %1) : (i8, memref<i8>) -> ()
      "affine.yield"() : () -> ()
    }) {loop_name = "i", unroll = 0 : i32} : (index) -> ()
    %3 = "memref.load"(%1) : (memref<i8>) -> i8
    %6 = "arith.cmpi"(%3, %arg0) <{predicate = 6 : i64}> : (i8, i8) -> i1
    "scf.if"(%6) ({
      "scf.yield"() : () -> ()
    }, {
      "memref.store"(%3, %arg1, %2) : (i8, memref<4xi8>, index) -> ()
    }) : (i1) -> ()
    "func.return"(%3) : (i8) -> ()
  }) {itypes = "uu", otypes = "u"} : () -> ()
}) : () -> ()
"""


def test_the_generic_form():
    a = np.array([250, 1, 2, 3])
    assert run(GENERIC, 3, a) == (253,)
    assert a.tolist() == [250, 253, 2, 3]
    module = parse_module(GENERIC)
    assert module.globals[0].data == (1, 254)
    assert next(o for o in module.top_func.body if isinstance(o, For)).name == "i"


@settings(quick, max_examples=150)
@given(st.sampled_from([GENERIC, str(row_sums()), str(gather())]), st.data())
def test_damaged_text_raises_no_other_error(text, data):
    tokens = re.findall(r'\s+|[%#@"]?[\w.$]+|.', text)
    at = data.draw(st.integers(0, len(tokens) - 1))
    size = data.draw(st.integers(0, 3))
    other = data.draw(st.sampled_from(["", "", *dict.fromkeys(tokens)]))
    damaged = "".join([*tokens[:at], other, *tokens[at + size :]])
    with suppress(ParseError, IRError):
        assert parse_module(damaged).funcs


def test_symbols_aliases_comments_locations_and_ceildiv():
    text = """
      #up = affine_map<(d0)[s0] -> (s0, d0 ceildiv 2 + 1)>  // two bounds
      #place = loc("k.py":1:1)
      module attributes {allo.top = @f} {
        func.func @f(%A: memref<8xi32>, %n: index) {
          %c = arith.constant 1 : i32 loc(#place)
          affine.for %i = 0 to min #up(%n)[%n] {
            affine.store %c, %A[%i + symbol(%n) - symbol(%n)] : memref<8xi32>
          }
          return
        }
        func.func private @g() { return }
      }"""
    a = np.zeros(8, int)
    assert run(text, a, 5) == ()
    assert a.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


def test_callees_move_in_front_and_results_come_in_packs():
    text = """
      func.func @f(%x: i8) -> i8 {
        %r:2 = func.call @g(%x) : (i8) -> (i8, i8)
        %s = arith.subi %r#0, %r#1 overflow<nsw> : i8
        return %s : i8
      }
      func.func @g(%x: i8) -> (i8, i8) {
        %c = arith.constant 3 : i8
        return %x, %c : i8, i8
      }"""
    module = parse_module(text)
    assert [f.name for f in module.funcs] == ["g", "f"]
    assert run(text, 10) == (7,)


def test_constant_arrays_in_every_spelling():
    text = """
      memref.global "private" constant @A : memref<2x2xi8> = dense<[[1, 2], [3, 255]]>
      memref.global "private" constant @B : memref<2xi12> = dense<"0x0108FF0F"> {unsigned}
      memref.global constant @C : memref<3xi1> = dense<true>
      memref.global @D : memref<i8> = dense<-3> {unsigned}
      func.func @f() { return }"""
    data = {g.name: g.data for g in parse_module(text).globals}
    assert data == {"A": (1, 2, 3, -1), "B": (2049, 4095), "C": (-1, -1, -1), "D": (253,)}


def test_partitions_are_read_from_the_layout():
    def read(layout):
        text = f"func.func @f(%A: memref<8x6xi8, affine_map<{layout}>>) {{ return }}"
        return parse_module(text).top_func.args[0].array.partition

    complete, cyclic = DimPartition(Partition.Complete, 6), DimPartition(Partition.Cyclic, 4)
    block = DimPartition(Partition.Block, 3)
    assert read("(d0, d1) -> (d0, d1)") == ()
    assert read("(d0, d1) -> (0, d1, d0, 0)") == (None, complete)
    assert read("(a, b) -> (a mod 4, b, a floordiv 4, 0)") == (cyclic, complete)
    assert read("(a, b) -> (0, b floordiv 2, a, b mod 2)") == (None, block)


@pytest.mark.parametrize("kind", ["int32", "uint8"])
def test_floor_division_prints_by_sign(kind):
    t = {"int32": int32, "uint8": uint8}[kind]
    x, y = Value(t, "x"), Value(t)
    op = Binary(kind=BinaryKind.FLOORDIV, result=y, lhs=x, rhs=x)
    func = Func(name="f", args=(x,), results=(t,), body=(op, Return(values=(y,))))
    unsigned, signed = "arith.divui %x, %x {floordiv} : i8", "arith.floordivsi %x, %x : i32"
    text = print_module(Module(funcs=(func,), top="f"))
    assert f"%0 = {unsigned if kind == 'uint8' else signed}\n" in text


def test_names_are_unique_in_their_scope_and_fit_mlir():
    i, k, x = Value(index, "i"), Value(index, "i"), Value(UInt(3), "a b")
    body = (loop(i, 2, loop(k, 2)), loop(Value(index, "i"), 2))
    func = Func(name="f", args=(x,), results=(), body=body)
    text = print_module(Module(funcs=(func,), top="f"))
    assert re.findall(r"%[\w.]+", text) == ["%a_b", "%i", "%i_0", "%i"]


def test_names_that_mlir_does_not_have_are_in_quotes():
    f = Func(name='f["x"]', args=(), results=(), body=(loop(Value(index), 2, name='"'),))
    module = Module(funcs=(f, Func(name="g", args=(), results=(), body=())), top=f.name)
    text = print_module(module)
    assert 'func.func @"f[\\22x\\22]"()' in text
    assert 'loop_name = "\\22"' in text
    assert difference(module, parse_module(text)) is None
    iree_opt(text)


def test_the_top_is_named_when_it_is_not_last():
    f, g = (Func(name=n, args=(), results=(), body=()) for n in "fg")
    text = print_module(Module(funcs=(f, g), top="f"))
    assert text.startswith('module attributes {allo.top = "f"} {\n')
    assert parse_module(text).top == "f"
