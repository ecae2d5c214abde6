"""How types are written in a kernel, and what a kernel can ask of them."""

import types as python_types

import numpy as np
import pytest

import allo_rtl as allo
import allo_rtl.ir.types as T
from allo_rtl.frontend import lower_kernel
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.types import (
    ArrayType,
    Fixed,
    Float,
    Index,
    Int,
    Struct,
    UFixed,
    UInt,
    bfloat16,
    float8_e4m3,
    float8_e5m2,
    float16,
    float32,
    float64,
    index,
    int8,
    int32,
    uint8,
)

P, WIDE = 2, Int(48)
POINT = Struct({"x": int8, "y": float16})
SETTINGS = python_types.SimpleNamespace(element=Fixed(12, 6), size=5)


def argument_type(text, **names):
    """The type of an argument with this annotation."""
    space = {"allo": allo, "T": T, "P": P, "WIDE": WIDE, "POINT": POINT, "SETTINGS": SETTINGS}
    module = lower_kernel(f"def f(x: {text}):\n    pass\n", global_vars=space | names)
    return module.top_func.args[0].type


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Int(7)", Int(7)),
        ("UInt(P * 3)", UInt(6)),
        ("index", Index()),
        ("bool", UInt(1)),
        ("uint512", UInt(512)),
        ("Fixed(16, 8)", Fixed(16, 8)),
        ("UFixed(12, P + 2)", UFixed(12, 4)),
        ("Fixed(8, 12)", Fixed(8, 12)),
        ("Float(32, 23)", float32),
        ("float16", float16),
        ("bfloat16", bfloat16),
        ("float64", float64),
        ("float8_e4m3", float8_e4m3),
        ("float8_e5m2", float8_e5m2),
        ("WIDE", Int(48)),
        ("Int(WIDE.bits * P)", Int(96)),
        ("UInt(T.float32.fracs)[P, 3]", ArrayType(UInt(23), (2, 3))),
        ("T.float32[4]", ArrayType(float32, (4,))),
        ("allo.ir.types.int8", int8),
        ("T.Fixed(6, P)", Fixed(6, 2)),
        ("SETTINGS.element[SETTINGS.size]", ArrayType(Fixed(12, 6), (5,))),
        ("POINT", POINT),
        ("POINT[4]", ArrayType(POINT, (4,))),
        ('POINT["y"]', float16),
        ('Struct({"a": int8, "b": POINT})', Struct({"a": int8, "b": POINT})),
        ('"Int(WIDE.bits)[P]"', ArrayType(Int(48), (2,))),
        ("int8 if P > 1 else int16", int8),
    ],
)
def test_an_annotation_is_a_type(text, expected):
    assert argument_type(text) == expected


def test_a_python_function_has_its_types_from_where_it_stands():
    element = Fixed(10, 4)

    def kernel(a: element, B: "element[P]", c: T.uint8) -> Int(element.bits + P):
        d: Int(element.bits) = a
        return d + element.fracs + c

    module = allo.customize(kernel).module
    assert [a.type for a in module.top_func.args] == [element, ArrayType(element, (2,)), uint8]
    assert evaluate(module, (33, np.zeros(2, int), 1)) == (2 + 4 + 1,)


def test_what_a_type_says_of_itself():
    source = (
        "def f() -> (int32, int32, int32, int32):\n"
        "    n: int32 = E.bits + E.fracs\n"
        "    return n, E.bits * 2, W.bits, P.bits\n"
    )
    module = lower_kernel(source, global_vars={"E": Fixed(12, 5), "W": index, "P": POINT})
    assert evaluate(module, ()) == (17, 24, 64, 24)


def test_types_are_parameters_and_conversions():
    def scaled[E, F](a: "E") -> "F":
        b: F = E(a) * 2
        return F(b)

    for pair in ([int8, int32], [Fixed(8, 4), Fixed(12, 4)]):
        module = allo.customize(scaled, instantiate=pair).module
        assert evaluate(module, (-3,)) == (-6,)


def test_both_rule_sets_of_customize():
    def kernel(a: int32, b: int8) -> T.int64:
        return a + b

    largest = 2**31 - 1
    assert evaluate(allo.customize(kernel).module, (largest, 1)) == (2**31,)
    narrow = allo.customize(kernel, typing_rule_set="cpp-style").module
    assert evaluate(narrow, (largest, 1)) == (-(2**31),)


def test_the_rule_set_is_that_of_called_kernels_too():
    def callee(a: int8) -> int32:
        return a + a

    def kernel(a: int8) -> int32:
        return callee(a)

    module = allo.customize(kernel, typing_rule_set="cpp-style").module
    assert evaluate(module, (100,)) == (-56,)


def test_a_rule_set_that_is_not_known():
    with pytest.raises(allo.AlloError) as error:
        lower_kernel("def f():\n    pass\n", typing_rule_set="c")
    assert str(error.value) == (
        "there is no typing rule set 'c'\n  allowed: \"default\", \"cpp-style\""
    )


def test_scalar_arguments_of_a_call_are_converted():
    source = (
        "def f(a: float32, b: int32) -> Fixed(16, 4):\n"
        "    def g(x: int8, y: Fixed(16, 4)) -> Fixed(16, 4):\n        return y + x\n"
        "    return g(b, a)\n"
    )
    module = lower_kernel(source)
    half = int(np.float32(2.5).view(np.uint32))
    assert evaluate(module, (half, 257)) == (int(3.5 * 16),)


def test_all_sizes_of_floats_are_listed():
    known = (float8_e4m3, float8_e5m2, float16, bfloat16, float32, float64)
    assert [Float(t.width, t.fracs) for t in known] == list(known)
