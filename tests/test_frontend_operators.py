"""Every operator and conversion, of every pair of scalar types, against :mod:`numbers_model`."""

import random
from fractions import Fraction
from itertools import product

import mpmath
import numbers_model as model
import numpy as np
import pytest
from expression_generators import TYPES, corners
from numbers_model import Scalar

from allo_rtl.frontend import lower_kernel
from allo_rtl.frontend import typing_rules as rules
from allo_rtl.ir.arithmetic import number_of
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.types import (
    Fixed,
    Float,
    IntegerType,
    UFixed,
    UInt,
    bfloat16,
    float16,
    float32,
    float64,
    int8,
    int32,
    uint8,
    uint16,
)
from allo_rtl.ir.verify import verify_module

BOOL = UInt(1)


def signs(rule_set):
    """The rule of each operator."""
    return {
        "+": rule_set.sum, "-": rule_set.sum, "*": rule_set.product,
        "/": rule_set.quotient, "//": rule_set.quotient, "%": rule_set.remainder,
        "&": rule_set.bitwise, "|": rule_set.bitwise, "^": rule_set.bitwise,
        "<<": rules.shift_type, ">>": rules.shift_type,
    }  # fmt: skip


COMPARISONS = ["<", "<=", "==", "!=", ">", ">="]


def lowered(source, types=None, **options):
    names = {f"T_{name}": type_ for name, type_ in (types or {}).items()}
    module = lower_kernel(source, global_vars=names, **options)
    verify_module(module)
    return module


def returning(expressions, arguments):
    """A kernel's text that returns each of (text, type), and the names of the types."""
    types = {f"r{n}": type_ for n, (_, type_) in enumerate(expressions)}
    types |= arguments
    texts = ", ".join(text for text, _ in expressions)
    results = ", ".join(f"T_r{n}" for n in range(len(expressions)))
    given = ", ".join(f"{name}: T_{name}" for name in arguments)
    return f"def top({given}) -> ({results}):\n    return {texts}\n", types


def operators(a, b, rule_set=rules.DEFAULT):
    """(text, result type, what it computes) of every operator on two types."""
    whole = isinstance(a, IntegerType) and isinstance(b, IntegerType)
    for sign, rule in signs(rule_set).items():
        shift = sign in ("<<", ">>")
        allowed = not isinstance(a, Float) and isinstance(b, IntegerType) if shift else whole
        if sign in "+-*///%" or allowed:
            type_ = rule(a, b)
            yield f"a {sign} b", type_, lambda x, y, s=sign, t=type_: computed(s, t, x, y)
    for sign in COMPARISONS:
        yield f"a {sign} b", BOOL, lambda x, y, s=sign: Scalar(BOOL, int(model.compared(s, x, y)))
    common = rule_set.choice(a, b)
    for name in ("min", "max"):
        yield f"{name}(a, b)", common, lambda x, y, s=name: computed(s, common, x, y)
    yield "a if b else b", common, lambda x, y: model.cast(common, x if y.true else y)
    yield "a and b", BOOL, lambda x, y: Scalar(BOOL, int(x.true and y.true))
    yield "a or b", BOOL, lambda x, y: Scalar(BOOL, int(x.true or y.true))


def computed(sign, type_, x, y):
    if isinstance(type_, Float):
        return model.float_binary(sign, type_, x, y)
    return model.exact_binary(sign, type_, x, y)


def samples(type_, count, dice):
    """Corners of a type, and random values."""
    if isinstance(type_, Float):
        others = [model.nearest(type_, Fraction(dice.randint(-999, 999), 7)) for _ in range(count)]
    else:
        others = [model.wrapped(type_, dice.getrandbits(type_.bits)) for _ in range(count)]
    return [*corners(type_), *others]


@pytest.mark.parametrize("name", TYPES)
def test_operators(name):
    """Each operator, with a left operand of one type and a right one of each."""
    for b in TYPES.values():
        check_operators(TYPES[name], b, random.Random(f"{name} {b}"))


@pytest.mark.parametrize("name", [n for n, t in TYPES.items() if isinstance(t, IntegerType)])
def test_operators_with_the_types_of_c(name):
    dice = random.Random(name)
    for b in TYPES.values():
        check_operators(TYPES[name], b, dice, typing_rule_set="cpp-style")


def check_operators(a, b, dice, **options):
    known = list(operators(a, b, rules.RULE_SETS[options.get("typing_rule_set", "default")]))
    source, types = returning([(text, type_) for text, type_, _ in known], {"a": a, "b": b})
    module = lowered(source, types, **options)
    pairs = list(product(samples(a, 2, dice), samples(b, 2, dice)))
    for x, y in dice.sample(pairs, 8):
        results = evaluate(module, (x, y))
        for found, (text, type_, compute) in zip(results, known, strict=True):
            wanted = compute(Scalar(a, x), Scalar(b, y))
            assert (found, type_) == (wanted.raw, wanted.type), f"{text}: {a} {x}, {b} {y}"


@pytest.mark.parametrize("name", TYPES)
def test_conversions(name):
    """A value becomes the same one of another type wherever it goes there."""
    dice, a = random.Random(name), TYPES[name]
    source = (
        "def top(a: T_a, A: T_r[3]) -> (T_r, T_r):\n"
        "    x: T_r = a\n"
        "    A[0] = a\n"
        "    y: T_r = 0\n"
        "    y = a\n"
        "    A[1] = y\n"
        "    A[2] = T_r(a)\n"
        "    return a, x\n"
    )
    for target in TYPES.values():
        module = lowered(source, {"a": a, "r": target})
        for x in samples(a, 6, dice):
            stored = np.zeros(3, dtype=object)
            results = evaluate(module, (x, stored))
            wanted = model.cast(target, Scalar(a, x)).raw
            assert [*results, *stored] == [wanted] * 5, f"{a} {x} to {target}"


@pytest.mark.parametrize("name", TYPES)
def test_unary_operators(name):
    a = TYPES[name]
    whole, real = isinstance(a, IntegerType), isinstance(a, Float)
    unary = [("-a", rules.negative_type(a)), ("+a", rules.unary_type(a)), ("abs(a)", a)]
    unary += [("not a", BOOL), ("bool(a)", BOOL), ("int(a)", int32), ("float(a)", float32)]
    unary += [("~a", rules.unary_type(a)), ("a.reverse()", a), ("a.reverse", a)] if whole else []
    source, types = returning(unary, {"a": a})
    module = lowered(source, types)
    for raw in samples(a, 10, random.Random(name)):
        x = Scalar(a, raw)
        sign = 1 << (a.bits - 1)
        minus = raw ^ sign if real else model.whole(rules.negative_type(a), -x.number).raw
        size = raw & ~sign if real else model.whole(a, abs(x.number)).raw
        wanted = [minus, model.cast(rules.unary_type(a), x).raw, size, int(not x.true), int(x.true)]
        wanted += [model.cast(int32, x).raw, model.cast(float32, x).raw]
        if whole:
            back = model.wrapped(a, int(f"{model.bits_of(a, raw):0{a.bits}b}"[::-1], 2))
            wanted += [model.wrapped(rules.unary_type(a), ~raw), back, back]
        assert list(evaluate(module, (raw,))) == wanted, raw


# What other compilers of this language get wrong


@pytest.mark.parametrize(
    ("text", "a", "b", "result", "wanted"),
    [
        ("a < b", (uint8, 200), (uint8, 100), BOOL, 0),
        ("a < b", (int8, -1), (uint8, 1), BOOL, 1),
        ("a > b", (Fixed(16, 8), -256), (Fixed(16, 8), 256), BOOL, 0),
        ("a == b", (bfloat16, 0x3F80), (bfloat16, 0x3F80), BOOL, 1),
        ("a < b", (int32, 16777217), (float32, 0x4B800000), int32, 0),
        ("max(a, b)", (uint16, 40000), (int8, -1), int32, 40000),
        ("max(a, b)", (int8, -1), (uint16, 40000), int32, 40000),
        ("a if b else 1", (Fixed(16, 8), 384), (int8, 1), Fixed(16, 8), 384),
        ("1 if b else a", (Fixed(16, 8), 384), (int8, 0), Fixed(16, 8), 384),
        ("a / b", (int8, 100), (uint16, 300), int32, 0),
        ("a % b", (uint8, 200), (int8, -7), int32, 4),
        ("a // b", (uint8, 200), (uint8, 7), int32, 28),
        ("a << b", (int8, 1), (uint16, 256), int32, 0),
        ("a << b", (int8, -1), (int8, 1), int32, -2),
        ("~a", (uint8, 5), (int8, 0), int32, -6),
        ("-a", (Fixed(16, 8), 256), (int8, 0), Fixed(16, 8), -256),
        ("-a", (UFixed(8, 4), 0xFF), (int8, 0), Fixed(16, 4), -0xFF),
        ("a >> b", (UFixed(8, 4), 0xF0), (int8, 4), UFixed(8, 4), 0x0F),
        ("0 < a < b", (int8, 5), (int8, 3), BOOL, 0),
        ("abs(a)", (float32, 0xBFC00000), (int8, 0), float32, 0x3FC00000),
    ],
)
def test_numbers_are_right(text, a, b, result, wanted):
    source, types = returning([(text, result)], {"a": a[0], "b": b[0]})
    assert evaluate(lowered(source, types), (a[1], b[1])) == (wanted,)


# Literals


def number(text, result=float64, **arguments):
    """The number of an expression; arguments are (type, int that stands for a value)."""
    source, types = returning([(text, result)], {n: t for n, (t, _) in arguments.items()})
    module = lowered(source, types)
    (found,) = evaluate(module, [raw for _, raw in arguments.values()])
    return number_of(result, found)


def single(x):
    return float(np.float32(x))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0.1", 0.1),
        ("d + 0.1", 0.1),
        ("d + -0.1", -0.1),
        ("d + +0.1", 0.1),
        ("f + 0.1", single(0.1)),
        ("h + 0.1", single(0.1)),
        ("d + 1 / 3.0", 1 / 3.0),
        ("d * 2.0 + 1e300", 1e300),
        ("float(0.1)", single(0.1)),
        ("(0.1 if b else 0.1)", single(0.1)),
        ("d if b else 0.1", 0.1),
        ("max(d, 0.1)", 0.1),
        ("f + 16777217", 16777216.0),
        ("d + 9007199254740992", 9007199254740992.0),
        ("1 / 2", 0.0),
        ("1 / 2.0", 0.5),
        ("1.0 / 0", float("inf")),
        ("0xFF + 0b11", 258.0),
        ("True + True", 2.0),
        ("2.5e-3", 0.0025),
        ("-2147483648 - 1", -2147483649.0),
        ("1 << 40", 0.0),
        ("4294967296 << 4", 4294967296.0 * 16),
    ],
)
def test_literals(text, wanted):
    zero = {"d": (float64, 0), "f": (float32, 0), "h": (float16, 0), "b": (BOOL, 0)}
    assert number(text, **zero) == wanted


def test_numbers_of_the_python_around():
    names = {
        "COUNT": 3, "FLAG": True, "HALF": 0.5, "np_float": np.float16(0.1), "np_int": np.int8(-3),
        "Point": type("Point", (), {"x": 0.25}),
    }  # fmt: skip
    source = (
        "def top(A: float64[6]):\n"
        "    A[0] = COUNT\n    A[1] = FLAG + FLAG\n    A[2] = HALF * HALF\n"
        "    A[3] = np_float\n    A[4] = np_int\n    A[5] = Point.x\n"
    )
    found = np.zeros(6, dtype=object)
    evaluate(lower_kernel(source, global_vars=names), (found,))
    numbers = [number_of(float64, x) for x in found]
    assert numbers == [3, 2, 0.25, float(np.float16(0.1)), -3, 0.25]


# Powers and functions of floating-point numbers


def nearest_of(type_, function, *arguments):
    """The pattern nearest to a function of exact numbers."""
    with mpmath.workprec(200):
        exact = function(*(mpmath.mpf(x.numerator) / x.denominator for x in arguments))
        sign, digits, exponent, _ = exact._mpf_
    return model.nearest(type_, (-1) ** sign * Fraction(int(digits)) * Fraction(2) ** exponent)


FUNCTIONS = {
    "allo.exp(a)": mpmath.exp, "allo.log(a)": mpmath.log, "allo.log10(a)": mpmath.log10,
    "allo.log2(a)": lambda x: mpmath.log(x, 2), "allo.sqrt(a)": mpmath.sqrt,
    "allo.sin(a)": mpmath.sin, "allo.cos(a)": mpmath.cos, "allo.tan(a)": mpmath.tan,
    "allo.tanh(a)": mpmath.tanh, "math.exp(a)": mpmath.exp, "math.sqrt(a)": mpmath.sqrt,
    "np.log2(a)": lambda x: mpmath.log(x, 2), "allo.power(a, b)": mpmath.power,
    "a ** b": mpmath.power, "a ** 2": lambda x: x * x, "a ** -1": lambda x: 1 / x,
    "math.pow(a, 0.5)": mpmath.sqrt, "a ** 3.0": lambda x: x**3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("type_", "raw"),
    [
        (float32, model.nearest(float32, Fraction(13, 8))),
        (float64, model.nearest(float64, Fraction(13, 8))),
        (float16, model.nearest(float16, Fraction(13, 8))),
        (bfloat16, model.nearest(bfloat16, Fraction(13, 8))),
        (int8, 3),
        (UInt(40), 5),
        (Fixed(16, 8), 416),
        (Fixed(40, 8), 416),
    ],
    ids=str,
)
def test_functions(type_, raw):
    """Floats keep their type; other numbers become float32, or float64 over 32 bits."""
    import math

    import allo_rtl as allo

    result = rules.math_type(type_)
    texts = ", ".join(FUNCTIONS)
    results = ", ".join(["R"] * len(FUNCTIONS))
    source = f"def top(a: T, b: R) -> ({results}):\n    return {texts}\n"
    names = {"T": type_, "R": result, "allo": allo, "math": math, "np": np}
    module = lower_kernel(source, global_vars=names)
    verify_module(module)
    b = model.nearest(result, Fraction(3, 4))
    x = model.cast(result, Scalar(type_, raw))
    for text, found in zip(FUNCTIONS, evaluate(module, (raw, b)), strict=True):
        given = [x, Scalar(result, b)] if "b" in text else [x]
        exact = nearest_of(result, FUNCTIONS[text], *(Fraction(g.real) for g in given))
        # With a literal, which is a float32 or an integer, a narrower power is a float32.
        if text in ("math.pow(a, 0.5)", "a ** 3.0", "a ** -1") and result.width < 32:
            wide = nearest_of(float32, FUNCTIONS[text], Fraction(x.real))
            exact = model.cast(result, Scalar(float32, wide)).raw
        assert found == exact, text


@pytest.mark.parametrize("type_", [float32, Fixed(16, 8), Fixed(8, 8), UFixed(8, 4), int8], ids=str)
def test_floor(type_):
    import math

    module = lower_kernel(
        "def top(a: T) -> T:\n    return math.floor(a)\n", global_vars={"T": type_, "math": math}
    )
    for number in (Fraction(-5, 2), Fraction(3, 4), Fraction(7), Fraction(-1, 8)):
        if type_ == float32:
            raw, wanted = (model.nearest(type_, x) for x in (number, Fraction(math.floor(number))))
        else:
            x = model.whole(type_, number)
            raw, wanted = x.raw, model.whole(type_, Fraction(math.floor(x.number))).raw
        assert evaluate(module, (raw,)) == (wanted,), number


@pytest.mark.parametrize("type_", [float16, bfloat16, float32, float64], ids=str)
def test_fused_multiply_add_rounds_once(type_):
    import allo_rtl as allo

    source = "def top(a: T, b: T, c: T) -> T:\n    return allo.fma(a, b, c)\n"
    module = lower_kernel(source, global_vars={"T": type_, "allo": allo})
    dice = random.Random(1)
    for _ in range(20):
        # The sum nearly cancels, so that a product that was rounded would show.
        raw = [model.nearest(type_, Fraction(dice.randint(100, 999), 64)) for _ in range(2)]
        a, b = (Fraction(Scalar(type_, x).real) for x in raw)
        third = model.nearest(type_, -a * b)
        exact = a * b + Fraction(Scalar(type_, third).real)
        numbers = [model.numpy_of(type_, x) for x in (*raw, third)]
        eager = allo.fma(*numbers)
        assert evaluate(module, (*raw, third)) == (model.nearest(type_, exact),)
        assert eager.dtype == model.DTYPES[type_]
        assert Fraction(float(eager)) == exact
