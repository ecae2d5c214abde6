"""Scalars of every type agree on evaluator, CPU and RTL: operators, conversions, bits, structs."""

import pytest
from agreement import check
from expression_generators import NARROW, TYPES, counted, kernels
from hypothesis import given, settings
from test_frontend_operators import operators, returning

import allo_rtl as allo
from allo_rtl.ir.types import Fixed, Struct, UInt, float16, int8

POINT = Struct({"x": int8, "y": float16, "on": UInt(1), "w": Fixed(7, 3)})


def schedule(source, types=None, **names):
    names |= {f"T_{name}": type_ for name, type_ in (types or {}).items()}
    return allo.customize(source, global_vars=names)


def operators_of(left, right):
    a, b = TYPES[left], TYPES[right]
    texts = [(text, type_) for text, type_, _ in operators(a, b)]
    return schedule(*returning(texts, {"a": a, "b": b}))


@pytest.mark.parametrize(
    ("left", "right"), [("i8", "u5"), ("fx6", "i3"), ("ux8", "fx12"), ("e4m3", "e5m2"), ("u5", "h")]
)
def test_operators(left, right):
    check(operators_of(left, right), seeds=range(6), simulator="pysim")


NAMES = list(TYPES)


@pytest.mark.parametrize(("left", "right"), [*zip(NAMES, NAMES[8:] + NAMES[:8], strict=True)])
def test_operators_on_the_cpu(left, right):
    check(operators_of(left, right), seeds=range(4), rtl=False)


@pytest.mark.long
@pytest.mark.parametrize("left", TYPES)
def test_operators_of_all_pairs_on_the_cpu(left):
    for right in TYPES:
        check(operators_of(left, right), seeds=range(8), rtl=False)


@pytest.mark.long
@pytest.mark.parametrize("left", TYPES)
@pytest.mark.parametrize("right", TYPES)
def test_operators_in_hardware(left, right):
    check(operators_of(left, right), seeds=range(8), simulator="pysim")


@pytest.mark.parametrize("name", ["i8", "u64", "ux12", "e4m3", "f"])
def test_conversions(name):
    texts = [(f"T_r{n}(a)", type_) for n, type_ in enumerate(TYPES.values())]
    source, types = returning(texts, {"a": TYPES[name]})
    check(schedule(source, types), seeds=range(6), rtl=False)
    texts = [(f"T_r{n}(a)", type_) for n, type_ in enumerate(NARROW.values())]
    source, types = returning(texts, {"a": TYPES[name]})
    check(schedule(source, types), seeds=range(6), simulator="pysim")


def test_bits():
    source = (
        "def f(x: uint8, n: UInt(4), A: Int(12)[2]) -> (uint1, UInt(3), uint8, uint32, uint8):\n"
        "    A[0][2:6] = x\n    A[0][n] = 1\n    A[1][n:n + 3] += x\n    A[1][11] ^= x[n]\n"
        "    y: uint8 = x\n    y[n] = not x[0]\n"
        "    return A[0].reverse()[n], x[n:n + 3], x.reverse, x[1:n], y\n"
    )
    check(schedule(source), seeds=range(8), simulator="pysim")


def test_structs():
    source = (
        "def f(p: Point, n: int8, A: Point[3]) -> (Point, Fixed(9, 4), UInt(32)):\n"
        "    def moved(q: Point, by: int8) -> Point:\n"
        '        q["x"] += by\n'
        '        return {"w": q["w"], "x": q["x"], "y": q["x"] / 2.0, "on": q["on"]}\n'
        "    for i in range(3):\n"
        '        A[i] = moved(A[i], n) if A[i]["on"] else p\n'
        '        A[i]["x"][i] = 1 if A[i]["y"] > 0 else p["x"]\n'
        '    return A[n[0:1]], A[1]["w"] + p["w"], p.bitcast()\n'
    )
    check(schedule(source, Point=POINT), seeds=range(6), simulator="pysim")


def test_what_decides_alone_whether_something_runs():
    source = (
        "def f(A: float16[4], i: UInt(3), x: Fixed(8, 4)) -> (float16, uint1, uint1):\n"
        "    a: float16 = A[i] if i < 4 else x\n"
        "    return a, i < 4 and A[i] > x, x or i == 3\n"
    )
    check(schedule(source), seeds=range(8), simulator="pysim")


def test_c_types():
    source = (
        "def f(a: int8, b: uint8, c: int32) -> (int32, int32, int32, uint8):\n"
        "    return a + b, a * c, b - a, a // b\n"
    )
    check(allo.customize(source, typing_rule_set="cpp-style"), seeds=range(4), simulator="pysim")


@settings(max_examples=12, deadline=None)
@given(kernels())
def test_random_kernels_on_the_cpu(case):
    check(schedule(case.source, **case.names), seeds=(0, 1, 3), rtl=False)


@settings(max_examples=6, deadline=None)
@given(kernels(NARROW, depth=2))
def test_random_kernels(case):
    check(schedule(case.source, **case.names), seeds=(0, 1, 3), simulator="pysim")


@settings(max_examples=4, deadline=None)
@given(counted(NARROW, depth=2))
def test_random_loops(case):
    check(schedule(case.source, **case.names), seeds=(1, 3), simulator="pysim")


@pytest.mark.long
@settings(max_examples=1000, deadline=None)
@given(counted())
def test_many_random_loops(case):
    check(schedule(case.source, **case.names), seeds=(0, 1, 3), simulator="pysim")


@pytest.mark.long
@settings(max_examples=1000, deadline=None)
@given(kernels())
def test_many_random_kernels(case):
    check(schedule(case.source, **case.names), seeds=(0, 1, 3), simulator="pysim")


@pytest.mark.long
@settings(max_examples=3000, deadline=None)
@given(kernels(depth=4))
def test_many_random_kernels_on_the_cpu(case):
    check(schedule(case.source, **case.names), seeds=(0, 1, 3), rtl=False)
