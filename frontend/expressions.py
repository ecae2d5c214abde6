"""Expressions: from a syntax tree to an operand, making the operations it needs."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable

from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.frontend import arithmetic
from allo_rtl.frontend import typing_rules as rules
from allo_rtl.frontend.builder import Operand, number
from allo_rtl.frontend.calls import Callee, find_callee, make_call
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.infer import as_int, constant_type, is_module
from allo_rtl.frontend.known import known_number
from allo_rtl.frontend.scope import Known, LocalKernel, Scalar, Variable
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import BinaryKind, If, Op, Value
from allo_rtl.ir.types import DYNAMIC, ArrayType, Int, ScalarType, bool_

ALLOWED = "numbers, variables, elements A[i, j], operators, min, max, abs, int, and kernel calls"

_UNSUPPORTED: dict[type[ast.expr], tuple[str, str | None]] = {
    ast.Lambda: ("a lambda", "write a kernel with 'def'"),
    ast.ListComp: ("a comprehension", "write a loop"),
    ast.SetComp: ("a comprehension", "write a loop"),
    ast.DictComp: ("a comprehension", "write a loop"),
    ast.GeneratorExp: ("a comprehension", "write a loop"),
    ast.List: ("a list", "a list literal only initialises an array: t: int32[2] = [1, 2]"),
    ast.Dict: ("a dictionary", None),
    ast.NamedExpr: ("':='", "write the assignment as a statement of its own"),
    ast.JoinedStr: ("a string", None),
    ast.Starred: ("'*'", "write the elements one by one"),
    ast.Tuple: ("a tuple", "assign its elements to names: a, b = ..."),
}


def scalar(cx: Context, node: ast.expr) -> Operand:
    """The operand that a scalar expression gives.

    Raises:
        LanguageError: the expression is not in the language, or is not a scalar.
    """
    match node:
        case ast.Constant():
            return _literal(cx, node)
        case ast.Name() | ast.Attribute():
            return _named(cx, node)
        case ast.Subscript():
            array, at = element(cx, node)
            return cx.builder.load(array.value, at, cx.loc(node))
        case ast.BinOp():
            return binary(cx, node, scalar(cx, node.left), scalar(cx, node.right))
        case ast.UnaryOp():
            return _unary(cx, node)
        case ast.Compare():
            return _compare(cx, node)
        case ast.BoolOp():
            return _bool_op(cx, node)
        case ast.IfExp():
            return _ternary(cx, node)
        case ast.Call():
            return _call(cx, node)
    what, hint = _UNSUPPORTED.get(type(node), (f"'{ast.unparse(node)}'", None))
    raise LanguageError(
        f"{what} is not an expression of the language", loc=cx.loc(node), allowed=ALLOWED, hint=hint
    )


def subscript(cx: Context, node: ast.expr) -> AffineExpr:
    """An expression as a subscript or bound: affine as far as it can be."""
    with cx.builder.subscripts():
        operand = scalar(cx, node)
        return cx.builder.index(operand, cx.loc(node))


def condition(cx: Context, node: ast.expr) -> Operand:
    """Whether an expression is not 0, as a UInt(1)."""
    with cx.builder.subscripts(False):
        return arithmetic.truth(cx.builder, scalar(cx, node), cx.loc(node))


def binary(cx: Context, node: ast.BinOp | ast.AugAssign, left: Operand, right: Operand) -> Operand:
    """``left op right`` with the operator of ``node``."""
    if type(node.op) not in arithmetic.OPERATORS:
        power = isinstance(node.op, ast.Pow)
        raise LanguageError(
            f"the operator '{'**' if power else '@'}' is not supported yet",
            loc=cx.loc(node),
            allowed="+ - * / // % << >> & | ^",
            hint="write the product out: x * x" if power else None,
        )
    kind, rule = arithmetic.OPERATORS[type(node.op)]
    return arithmetic.binary(cx.builder, kind, rule, left, right, cx.loc(node))


def array(cx: Context, node: ast.expr) -> Variable | None:
    """The array that a name stands for; None when the expression is something else."""
    if isinstance(node, ast.Name):
        match cx.find(node.id):
            case Variable(value=value) as found:
                return found if value.array.rank else None
            case Scalar() | LocalKernel():
                return None
    if isinstance(node, ast.Name | ast.Attribute):
        return cx.outer_array(node)
    return None


def element(cx: Context, node: ast.Subscript) -> tuple[Variable, tuple[AffineExpr, ...]]:
    """The array and the subscripts of ``A[i, j]``, checked as far as the ranges tell."""
    found = array(cx, node.value)
    if found is None:
        raise _not_an_array(cx, node.value)
    type_ = found.value.array
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if any(isinstance(p, ast.Slice) for p in parts):
        raise LanguageError(
            "slices are not supported yet", loc=cx.loc(node), hint="write a loop over the elements"
        )
    if len(parts) != type_.rank:
        subscripts = "1 subscript" if len(parts) == 1 else f"{len(parts)} subscripts"
        raise KernelTypeError(
            f"{subscripts} for '{ast.unparse(node.value)}', which is {type_}",
            loc=cx.loc(node),
            allowed=f"{type_.rank} subscripts" if type_.rank > 1 else "1 subscript",
        )
    return found, tuple(_checked(cx, p, type_, d, node) for d, p in enumerate(parts))


def _checked(
    cx: Context, part: ast.expr, type_: ArrayType, dim: int, node: ast.Subscript
) -> AffineExpr:
    expr = subscript(cx, part)
    low, high = cx.builder.subscript_range(expr)
    extent = type_.shape[dim]
    if high >= 0 and (extent == DYNAMIC or low < extent):
        return expr
    found = f"{low}" if low == high else f"of {low} ... {high}"
    raise KernelTypeError(
        f"the subscript {found} is outside dimension {dim} of "
        f"'{ast.unparse(node.value)}', which is {type_}",
        loc=cx.loc(part),
        allowed="0 or more" if extent == DYNAMIC else f"0 ... {extent - 1}",
        hint="negative subscripts do not count from the end" if high < 0 else None,
    )


def _not_an_array(cx: Context, node: ast.expr) -> LanguageError:
    text, loc = ast.unparse(node), cx.loc(node)
    if isinstance(node, ast.Name):
        match cx.find(node.id):
            case None if cx.missing(node):
                return cx.unknown(node)
            case Variable() | Scalar():
                return KernelTypeError(
                    f"'{text}' is a scalar and takes no subscript",
                    loc=loc,
                    hint=f"for a bit write ({text} >> n) & 1",
                )
    if isinstance(node, ast.Subscript):
        return LanguageError(
            f"'{text}' is an element, not an array", loc=loc, hint="write A[i, j], not A[i][j]"
        )
    return KernelTypeError(f"'{text}' is not an array", loc=loc)


def _literal(cx: Context, node: ast.Constant) -> Operand:
    match node.value:
        case bool(flag):
            return number(flag, bool_)
        case int(value):
            return number(value, rules.literal_type(value))
        case float() | complex():
            raise LanguageError(
                f"the number {ast.unparse(node)} is not an integer",
                loc=cx.loc(node),
                hint="floating-point numbers are not in the language yet",
            )
    raise LanguageError(
        f"{ast.unparse(node)} is not a number", loc=cx.loc(node), allowed="integers, True, False"
    )


def _named(cx: Context, node: ast.Name | ast.Attribute) -> Operand:
    loc = cx.loc(node)
    if isinstance(node, ast.Name):
        match cx.find(node.id):
            case Scalar(value=value, counter=counter):
                expr = AffineExpr.of(value) if counter else None
                return Operand(value.scalar, value, expr)
            case Variable(value=value) if not value.array.rank:
                return cx.builder.load(value, (), loc)
            case Variable(value=value):
                raise _array_as_scalar(cx, node, value)
            case LocalKernel():
                raise LanguageError(
                    f"'{node.id}' is a kernel", loc=loc, hint=f"call it: {node.id}(...)"
                )
            case Known(value=known, type=ScalarType() as type_):
                return known_number(cx, node, known, type_)
    thing = cx.outside(node)
    if (known := as_int(thing)) is not None:
        return number(known, constant_type(thing))
    if (found := array(cx, node)) is not None:
        raise _array_as_scalar(cx, node, found.value)
    if cx.missing(node):
        if isinstance(node, ast.Name):
            raise cx.unknown(node)
        raise LanguageError(f"'{ast.unparse(node)}' is not known", loc=loc)
    kind = "a module" if is_module(thing) else f"a Python {type(thing).__name__}"
    raise LanguageError(
        f"'{ast.unparse(node)}' is {kind}",
        loc=loc,
        allowed="outer names of Python ints, numpy integer arrays and kernels",
        hint="floating-point numbers are not in the language yet"
        if isinstance(thing, float)
        else None,
    )


def _array_as_scalar(cx: Context, node: ast.expr, value: Value) -> LanguageError:
    return KernelTypeError(
        f"'{ast.unparse(node)}' is an array ({value.array}) where a scalar is needed",
        loc=cx.loc(node),
        hint=f"take an element: {ast.unparse(node)}[{', '.join('ijklmn'[: value.array.rank])}]",
    )


def _unary(cx: Context, node: ast.UnaryOp) -> Operand:
    if isinstance(node.op, ast.Not):
        flag = condition(cx, node.operand)
        return arithmetic.binary(
            cx.builder,
            BinaryKind.XOR,
            rules.bitwise_type,
            flag,
            number(1, bool_),
            cx.loc(node),
        )
    operand = scalar(cx, node.operand)
    match node.op:
        case ast.USub() if isinstance(node.operand, ast.Constant):
            # A negative literal is one number: -2147483648 is an int32.
            value = -(operand.constant or 0)
            return number(value, rules.literal_type(value))
        case ast.USub():
            return arithmetic.negate(cx.builder, operand, cx.loc(node))
        case ast.Invert():
            return arithmetic.invert(cx.builder, operand, cx.loc(node))
    return cx.builder.convert(operand, rules.unary_type(operand.type), cx.loc(node))


def _compare(cx: Context, node: ast.Compare) -> Operand:
    """A comparison; in ``a < b < c`` every operand is evaluated once."""
    for op, right in zip(node.ops, node.comparators, strict=True):
        if type(op) not in arithmetic.PREDICATES:
            raise LanguageError(
                "'in' and 'is' are not in the language",
                loc=cx.loc(right),
                allowed="== != < <= > >=",
            )
    operands = [scalar(cx, n) for n in (node.left, *node.comparators)]
    loc = cx.loc(node)
    tests = [
        arithmetic.compare(cx.builder, arithmetic.PREDICATES[type(op)], a, b, loc)
        for op, a, b in zip(node.ops, operands, operands[1:], strict=False)
    ]
    result = tests[0]
    for test in tests[1:]:
        result = cx.builder.binary(BinaryKind.AND, result, test, bool_, loc)
    return result


def _bool_op(cx: Context, node: ast.BoolOp) -> Operand:
    """``and``/``or``; what must not run when the left side decides is run conditionally."""
    is_and = isinstance(node.op, ast.And)
    kind, loc = BinaryKind.AND if is_and else BinaryKind.OR, cx.loc(node)
    result = condition(cx, node.values[0])
    for part in node.values[1:]:
        right, ops = _aside(cx, lambda part=part: condition(cx, part))  # type: ignore[misc]
        if _all_safe(cx, ops):
            cx.builder.blocks[-1].extend(ops)
            result = cx.builder.binary(kind, result, right, bool_, loc)
        elif is_and:
            result = _either(cx, node, result, (right, ops), (number(0, bool_), []), bool_)
        else:
            result = _either(cx, node, result, (number(1, bool_), []), (right, ops), bool_)
    return result


def _ternary(cx: Context, node: ast.IfExp) -> Operand:
    chosen = condition(cx, node.test)
    one, one_ops = _aside(cx, lambda: scalar(cx, node.body))
    other, other_ops = _aside(cx, lambda: scalar(cx, node.orelse))
    type_ = rules.common_type(one.type, other.type)
    if _all_safe(cx, [*one_ops, *other_ops]):
        cx.builder.blocks[-1].extend([*one_ops, *other_ops])
        return cx.builder.select(chosen, one, other, type_, cx.loc(node))
    return _either(cx, node, chosen, (one, one_ops), (other, other_ops), type_)


def _aside(cx: Context, make: Callable[[], Operand]) -> tuple[Operand, list[Op]]:
    with cx.builder.block() as ops:
        operand = make()
    return operand, ops


def _all_safe(cx: Context, ops: list[Op]) -> bool:
    """Whether the operations may run when the source does not ask for them."""
    return not any(isinstance(op, If) or op in cx.builder.unsafe for op in ops)


def _either(
    cx: Context,
    node: ast.expr,
    chosen: Operand,
    one: tuple[Operand, list[Op]],
    other: tuple[Operand, list[Op]],
    type_: ScalarType,
) -> Operand:
    """Run one of two groups of operations and give its operand, through a variable."""
    loc, b = cx.loc(node), cx.builder
    variable = b.alloc(ArrayType(type_, ()), "", loc)
    branches: list[tuple[Op, ...]] = []
    for operand, before in (one, other):
        with b.block() as ops:
            ops.extend(before)
            b.store(operand, variable, (), loc)
        branches.append(tuple(ops))
    test = b.value(chosen, loc)
    b.emit(If(condition=test, then=branches[0], orelse=branches[1], loc=loc))
    result = b.load(variable, (), loc)
    return result


def _call(cx: Context, node: ast.Call) -> Operand:
    if (name := builtin_name(cx, node.func)) is not None:
        return _builtin(cx, node, name)
    outs = call(cx, node)
    if len(outs) != 1 or not isinstance(outs[0].type, ScalarType):
        found = ", ".join(str(v.type) for v in outs) or "nothing"
        raise KernelTypeError(
            f"'{ast.unparse(node.func)}' returns {found} where a scalar is needed",
            loc=cx.loc(node),
        )
    return Operand(outs[0].scalar, outs[0])


def builtin_name(cx: Context, node: ast.expr) -> str | None:
    """Name of the built-in function of the language that an expression is, else None."""
    if not isinstance(node, ast.Name) or node.id not in ("min", "max", "abs", "int"):
        return None
    is_ours = cx.find(node.id) is None and cx.outside(node) is getattr(builtins, node.id)
    return node.id if is_ours else None


def _builtin(cx: Context, node: ast.Call, name: str) -> Operand:
    wanted = 2 if name in ("min", "max") else 1
    if len(node.args) != wanted or node.keywords:
        raise LanguageError(
            f"'{name}' takes {wanted} scalar{'s' * (wanted > 1)} here",
            loc=cx.loc(node),
            hint=f"nest them: {name}(a, {name}(b, c))" if wanted == 2 else None,
        )
    loc, operands = cx.loc(node), [scalar(cx, a) for a in node.args]
    if name == "int":
        return cx.builder.convert(operands[0], Int(32), loc)
    if name == "abs":
        return arithmetic.absolute(cx.builder, operands[0], loc)
    kind = BinaryKind.MIN if name == "min" else BinaryKind.MAX
    return arithmetic.binary(cx.builder, kind, rules.common_type, operands[0], operands[1], loc)


def call(cx: Context, node: ast.Call, names: tuple[str, ...] = ()) -> tuple[Value, ...]:
    """Call another kernel and give its results; ``names`` are hints for theirs."""
    callee: Callee = find_callee(cx, node)
    with cx.builder.subscripts(False):
        args = [array(cx, a) or scalar(cx, a) for a in node.args]
    return make_call(cx, node, callee, args, names)
