"""MLIR that is not a module: errors with their place, and what is allowed."""

import pytest

from allo_rtl.errors import IRError, ParseError
from allo_rtl.ir.mlir_parser import parse_module

BODY = "func.func @f(%a: i8, %n: index, %A: memref<4xi8>) {{\n  {}\n  return\n}}\n"


@pytest.mark.parametrize(
    ("line", "col", "width", "message"),
    [
        ("%x = arith.addi %a %a : i8", 22, 2, "'%a' stands where ':' is expected"),
        ("%x = arith.addi %a, %b : i8", 23, 2, "'%b' is not defined here"),
        ("%x = arith.addi %a, %a : i9", 19, 2, "'%a' is int8, the type given here is int9"),
        ("%a = arith.addi %a, %a : i8", 8, 10, "'%a' is defined twice"),
        ("%x = affine.load %A[%a] : memref<4xi8>", 23, 2, "'%a' is int8, affine parts need index"),
        ("%x:2 = arith.addi %a, %a : i8", 10, 10, "arith.addi has 1 results, 2 are named"),
        ("func.call @g() : () -> ()", 3, 9, "the module has no function g"),
        ("%x = memref.get_global @W : memref<4xi8>", 8, 17, "the module has no memref.global W"),
        ("%x = arith.constant 1.5 : i8", 8, 14, "1.5 is no constant of type int8"),
        ("%x = arith.constant 256 : i8", 8, 14, "256 is no constant of type int8"),
        ("%x = arith.constant -129 : i8", 8, 14, "-129 is no constant of type int8"),
        ("%x = arith.constant 0x10000 : bf16", 8, 14, "65536 is no constant of type bfloat16"),
        ("%x = arith.constant 1 : f32", 8, 14, "1 is no constant of type float32"),
        ("%x = memref.alloc() : memref<?xi8>", 8, 12,
         "memref.alloc of unknown size: only arguments may be dynamic"),
        ("%x = memref.alloc() : memref<4x(8)>", 34, 1, "'(' stands where a type (an integer such "
         "as i32, a float such as f32, index or memref<...>) is expected"),
        ("%x = arith.addf %a, %a : i8", 8, 10, "arith.addf is not for int8"),
        ("%x = memref.alloc() : memref<4xi8, #m>", 38, 2, "'#m' is not defined"),
        ("scf.for %i = %n to %n step %n { }", 30, 2, "'%n' is not a constant"),
        ("affine.for %i = 0 to 4 iter_args(%x = %a) -> (i9) { }", 41, 2,
         "'%a' is int8, the type given here is int9"),
        ("affine.for %i = 0 to 4 iter_args(%x = %a) -> (i8) { affine.yield }", 55, 12,
         "affine.yield gives 0 values, 1 are taken"),
        ("$", 3, 1, "'$' starts nothing that MLIR has"),
    ],
)
def test_errors_show_the_place(line, col, width, message):
    with pytest.raises(ParseError) as caught:
        parse_module(BODY.format(line), "k.mlir")
    assert str(caught.value) == (
        f"k.mlir:2:{col}: error: {message}\n"
        f"    2 |   {line}\n"
        f"      | {' ' * (col - 1)}^{'~' * (width - 1)}"
    )


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            "%x = math.sinh %a : i8",
            "'math.sinh' is not an operation of a kernel\n"
            "    2 |   %x = math.sinh %a : i8\n"
            "      |        ^~~~~~~~~\n"
            "  allowed: math.absf, math.absi, math.ceil, math.cos, math.exp, math.floor, math.fma, "
            "math.log, math.log10, math.log2, math.powf, math.rsqrt, math.sin, math.sqrt, "
            "math.tan, math.tanh\n"
            "  hint: did you mean math.sin?",
        ),
        (
            '"linalg.fill"(%a, %A) : (i8, memref<4xi8>) -> ()',
            "'linalg.fill' is not an operation of a kernel\n"
            '    2 |   "linalg.fill"(%a, %A) : (i8, memref<4xi8>) -> ()\n'
            "      |   ^~~~~~~~~~~~~\n"
            "  allowed: operations of func, affine, scf, arith, math, memref, cf\n"
            "  hint: lower it with -convert-linalg-to-affine-loops or -convert-linalg-to-loops "
            "first",
        ),
        (
            "%x = memref.alloc() : memref<4x?xi8>",
            "only the first extent of an array may be open\n"
            "    2 |   %x = memref.alloc() : memref<4x?xi8>\n"
            "      |                         ^~~~~~\n"
            "  allowed: memref<?x8xf32>, memref<8x8xf32>",
        ),
        (
            "%x = memref.alloc() : tensor<4xi8>",
            "no kernel has the type 'tensor'\n"
            "    2 |   %x = memref.alloc() : tensor<4xi8>\n"
            "      |                         ^~~~~~\n"
            "  allowed: an integer such as i32, a float such as f32, index or memref<...>\n"
            "  hint: bufferize it first: memref is the type of arrays",
        ),
        (
            "cf.br ^bb1",
            "'cf.br' is not an operation of a kernel\n"
            "    2 |   cf.br ^bb1\n"
            "      |   ^~~~~\n"
            "  allowed: cf.assert\n"
            "  hint: lift it to structured loops with -lift-cf-to-scf first",
        ),
        (
            "%x = arith.cmpi lt, %a, %a : i8",
            "'lt' is not a predicate\n"
            "    2 |   %x = arith.cmpi lt, %a, %a : i8\n"
            "      |                   ^~\n"
            "  allowed: eq, ne, slt, sle, sgt, sge, ult, ule, ugt, uge",
        ),
        (
            "%x = affine.load %A[%n * %n] : memref<4xi8>",
            "this '*' is not affine\n"
            "    2 |   %x = affine.load %A[%n * %n] : memref<4xi8>\n"
            "      |                          ^\n"
            "  allowed: a constant factor",
        ),
        (
            "%x = affine.load %A[%n mod 0] : memref<4xi8>",
            "this 'mod' is not affine\n"
            "    2 |   %x = affine.load %A[%n mod 0] : memref<4xi8>\n"
            "      |                          ^~~\n"
            "  allowed: a constant of 1 or more",
        ),
        (
            "%x = memref.alloc() : memref<4xi8, affine_map<(d0) -> (d0 * 2)>>",
            "the layout map is not a partition\n"
            "    2 |   %x = memref.alloc() : memref<4xi8, affine_map<(d0) -> (d0 * 2)>>\n"
            "      |                                      ^~~~~~~~~~\n"
            "  allowed: (bank of each dimension..., address of each dimension...), each pair "
            "one of (0, d), (d, 0), (d mod f, d floordiv f) or (d floordiv n, d mod n)",
        ),
    ],
)
def test_errors_say_what_is_allowed(line, text):
    with pytest.raises(ParseError) as caught:
        parse_module(BODY.format(line), "k.mlir")
    assert str(caught.value).partition("error: ")[2] == text


def test_a_text_that_ends_early():
    with pytest.raises(ParseError) as caught:
        parse_module("func.func @f() {", "k.mlir")
    assert str(caught.value) == (
        "k.mlir:1:17: error: the end of the text stands where an operation is expected\n"
        "    1 | func.func @f() {\n"
        "      |                 ^"
    )


def test_what_is_read_is_verified():
    with pytest.raises(IRError) as caught:
        parse_module(BODY.format("%x = affine.load %A[9] : memref<4xi8>"), "k.mlir")
    assert str(caught.value) == (
        "k.mlir:2:8: error: f: the subscript 9 is 9, dimension 0 of %A is 0 to 3\n"
        "    2 |   %x = affine.load %A[9] : memref<4xi8>\n"
        "      |        ^~~~~~~~~~~"
    )
