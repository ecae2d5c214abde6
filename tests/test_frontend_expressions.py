"""Random expressions against a second, independent reading of the language's rules."""

import ast

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from allo_rtl.frontend import lower_kernel
from allo_rtl.frontend import typing_rules as rules
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.types import Int, UInt, index
from allo_rtl.ir.verify import verify_module

BOOL = UInt(1)
VARIABLES = {"a": Int(8), "b": UInt(8), "c": Int(32), "d": UInt(16), "e": Int(3), "i": index}

RULES = {
    ast.Add: rules.sum_type,
    ast.Sub: rules.sum_type,
    ast.Mult: rules.product_type,
    ast.Div: rules.quotient_type,
    ast.FloorDiv: rules.quotient_type,
    ast.Mod: rules.common_type,
    ast.BitAnd: rules.bitwise_type,
    ast.BitOr: rules.bitwise_type,
    ast.BitXor: rules.bitwise_type,
    ast.LShift: rules.shift_type,
    ast.RShift: rules.shift_type,
}


def truncated(x, y):
    """Quotient toward zero; -1 for a division by zero."""
    return -1 if y == 0 else abs(x) // abs(y) * (-1 if (x < 0) != (y < 0) else 1)


def exact(op, x, y):
    """The mathematical result of an operator; a negative shift amount shifts everything out."""
    amount = y if 0 <= y < 600 else 600
    return {
        ast.Add: lambda: x + y,
        ast.Sub: lambda: x - y,
        ast.Mult: lambda: x * y,
        ast.Div: lambda: truncated(x, y),
        ast.FloorDiv: lambda: -1 if y == 0 else x // y,
        ast.Mod: lambda: x if y == 0 else x - y * truncated(x, y),
        ast.BitAnd: lambda: x & y,
        ast.BitOr: lambda: x | y,
        ast.BitXor: lambda: x ^ y,
        ast.LShift: lambda: x << amount,
        ast.RShift: lambda: x >> amount,
    }[op]()


def compared(op, x, y):
    return {
        ast.Eq: x == y,
        ast.NotEq: x != y,
        ast.Lt: x < y,
        ast.LtE: x <= y,
        ast.Gt: x > y,
        ast.GtE: x >= y,
    }[op]


def kind(node):
    """The type of an expression whose number may not be computed."""
    return meaning(node, dict.fromkeys(VARIABLES, 1))[1]


def meaning(node, env):
    """(number, type) of an expression."""
    match node:
        case ast.Constant(value=value):
            return value, rules.literal_type(value)
        case ast.Name(id=name):
            return env[name], VARIABLES[name]
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return int(meaning(inner, env)[0] == 0), BOOL
        case ast.UnaryOp(op=op, operand=inner):
            x, t = meaning(inner, env)
            result = rules.unary_type(t)
            return result.wrap({ast.USub: -x, ast.UAdd: x, ast.Invert: ~x}[type(op)]), result
        case ast.BinOp(left=left, op=op, right=right):
            (x, tx), (y, ty) = meaning(left, env), meaning(right, env)
            result = RULES[type(op)](tx, ty)
            return result.wrap(exact(type(op), x, y)), result
        case ast.Compare(left=left, ops=ops, comparators=rights):
            values = [meaning(n, env)[0] for n in (left, *rights)]
            pairs = zip(ops, values, values[1:], strict=False)
            return int(all(compared(type(o), x, y) for o, x, y in pairs)), BOOL
        case ast.BoolOp(op=ast.And(), values=[guard, _]) if not meaning(guard, env)[0]:
            return 0, BOOL
        case ast.BoolOp(op=op, values=parts):
            flags = [meaning(p, env)[0] != 0 for p in parts]
            return int(all(flags) if isinstance(op, ast.And) else any(flags)), BOOL
        case ast.IfExp(test=test, body=one, orelse=other):
            chosen, left_out = (one, other) if meaning(test, env)[0] else (other, one)
            x, tx = meaning(chosen, env)
            result = rules.common_type(tx, kind(left_out))
            return result.wrap(x), result
        case ast.Subscript(slice=at):
            place = meaning(at, env)[0]  # The table has its subscripts; elsewhere it is not read.
            return place if 0 <= place < 8 else None, Int(32)
        case ast.Call(func=ast.Name(id=name), args=[one]):
            x, t = meaning(one, env)
            return (Int(32).wrap(x), Int(32)) if name == "int" else (t.wrap(abs(x)), t)
        case ast.Call(func=ast.Name(id=name), args=[one, other]):
            (x, tx), (y, ty) = meaning(one, env), meaning(other, env)
            result = rules.common_type(tx, ty)
            return result.wrap(min(x, y) if name == "min" else max(x, y)), result
    raise AssertionError(ast.dump(node))


names = st.sampled_from(sorted(VARIABLES))
leaves = st.sampled_from(sorted(VARIABLES)) | st.integers(0, 300).map(str)
amounts = st.sampled_from(sorted(VARIABLES)) | st.integers(0, 40).map(str)
operators = st.sampled_from(["+", "-", "*", "/", "//", "%", "&", "|", "^"])
comparisons = st.sampled_from(["<", "<=", "==", "!=", ">", ">="])


def compound(inner):
    """Expressions one level deeper."""
    return st.one_of(
        st.builds("({} {} {})".format, inner, operators, inner),
        st.builds("({} {} {})".format, inner, operators, inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(["<<", ">>"]), amounts),
        st.builds("({}{})".format, st.sampled_from(["-", "~", "+", "not "]), inner),
        st.builds("({} {} {})".format, inner, comparisons, inner),
        st.builds("({} < {} <= {})".format, inner, inner, inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
        st.builds("({1} if {0} else {2})".format, inner, inner, inner),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner),
        st.builds("{}({})".format, st.sampled_from(["abs", "int"]), inner),
        st.builds("T[{} & 7]".format, inner),
        st.builds("(T[{0}] if 0 <= {0} < 8 else {1})".format, names, inner),
        st.builds("({2} if 0 > {0} or {0} >= 8 else {1} - T[{0}])".format, names, inner, inner),
        st.builds("(0 <= {0} < 8 and T[{0}] == {1})".format, names, inner),
    )


expressions = st.recursive(leaves, compound, max_leaves=8)
numbers = st.fixed_dictionaries(
    {n: st.integers(t.min, t.max) for n, t in VARIABLES.items() if t != index}
)

KERNEL = """
def f(a: int8, b: uint8, c: int32, d: uint16, e: int3, T: int32[8], R: T512[2, 5]):
    for i in range(-2, 3):
        R[0, i + 2] = {0}
        R[1, i + 2] = T[({0}) & 7]
"""


EDGES = {"a": -128, "b": 5, "c": 8, "d": 65535, "e": -4}


@settings(max_examples=250, deadline=None)
@given(expressions, numbers)
@example("(i - b)", EDGES)  # Unsigned: wraps below zero.
@example("((i - b) >> 32)", EDGES)
@example("(int(i * 2147483647) + 1)", EDGES)  # Affine, but not within 32 bits.
@example("(min(i, b) + 1)", EDGES)  # The minimum of a negative index is unsigned here.
@example("(e << c)", EDGES)  # The amount does not fit the type of what is shifted.
@example("(e >> d)", EDGES)
@example("(a / d)", EDGES)  # The divisor does not fit the type of the quotient.
@example("(b // a)", EDGES)
@example("(i % a)", EDGES)
@example("(-a)", EDGES)
@example("(abs(a) - e)", EDGES)
@example("(b < a)", EDGES)
@example("(i < b)", EDGES)
@example("(i // 0)", EDGES)
def test_values_and_subscripts_follow_the_rules(text, env):
    module = lower_kernel(KERNEL.format(text), global_vars={"T512": Int(512)})
    verify_module(module)
    results = np.zeros((2, 5), dtype=object)
    evaluate(module, [*(env[n] for n in "abcde"), np.arange(8), results])
    for n, i in enumerate(range(-2, 3)):
        value, _ = meaning(ast.parse(text, mode="eval").body, env | {"i": i})
        assert list(results[:, n]) == [value, value & 7], (text, env, i)
