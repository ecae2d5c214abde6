"""Expressions: from a syntax tree to an operand, making the operations it needs."""

from __future__ import annotations

import ast
from collections.abc import Callable

from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.frontend import (
    arithmetic,
    arrays,
    bits,
    channels,
    functions,
    named_ops,
    selection,
    streams,
)
from allo_rtl.frontend import typing_rules as rules
from allo_rtl.frontend.builder import Operand, float_literal, number
from allo_rtl.frontend.calls import Callee, bind, find_callee, make_call
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.infer import (
    MISSING,
    annotation,
    as_float,
    as_int,
    constant_type,
    is_module,
)
from allo_rtl.frontend.known import known_number
from allo_rtl.frontend.scope import Known, LocalKernel, Scalar, Streams, Variable
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import BinaryKind, If, Op, Value
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import (
    ArrayType,
    IntegerType,
    ScalarType,
    StreamType,
    Struct,
    Type,
    UInt,
    bool_,
    float16,
    float32,
    float64,
    index,
    int32,
)

ALLOWED = "numbers, variables, elements A[i, j], operators, built-in functions, and kernel calls"

METHODS = ("reverse", "bitcast")
"""What a scalar has after a dot."""

_UNSUPPORTED: dict[type[ast.expr], tuple[str, str | None]] = {
    ast.Lambda: ("a lambda", "write a kernel with 'def'"),
    ast.ListComp: ("a comprehension", "write a loop"),
    ast.SetComp: ("a comprehension", "write a loop"),
    ast.DictComp: ("a comprehension", "write a loop"),
    ast.GeneratorExp: ("a comprehension", "write a loop"),
    ast.List: ("a list", "a list literal only initialises an array: t: int32[2] = [1, 2]"),
    ast.Dict: ("a dictionary", "declare the struct it makes: p: S = {...}"),
    ast.NamedExpr: ("':='", "write the assignment as a statement of its own"),
    ast.JoinedStr: ("a string", None),
    ast.Starred: ("'*'", "write the elements one by one"),
    ast.Tuple: ("a tuple", "assign its elements to names: a, b = ..."),
    ast.Yield: ("'yield'", "store the values in an array"),
    ast.YieldFrom: ("'yield'", "store the values in an array"),
    ast.Await: ("'await'", None),
}


def scalar(cx: Context, node: ast.expr) -> Operand:
    """The operand that a scalar expression gives.

    Raises:
        LanguageError: the expression is not in the language, or is not a scalar.
    """
    match node:
        case ast.Constant():
            return _literal(cx, node)
        case ast.Attribute(attr="reverse") if builtin_name(cx, node) == "reverse":
            return bits.reversed_bits(cx.builder, _word(cx, node.value, "reverse"), cx.loc(node))
        case ast.Name() | ast.Attribute():
            return _named(cx, node)
        case ast.Subscript():
            return _subscripted(cx, node)
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
    return arithmetic.operator(cx.builder, type(node.op), left, right, cx.loc(node))


def scalar_as(cx: Context, node: ast.expr, type_: ScalarType) -> Operand:
    """A scalar that will become one of ``type_``: a dictionary makes a struct.

    Raises:
        LanguageError: the expression is not in the language, or does not fit the type.
    """
    if not isinstance(node, ast.Dict):
        return cx.builder.convert(scalar(cx, node), type_, cx.loc(node))
    if not isinstance(type_, Struct):
        raise KernelTypeError(
            f"a dictionary makes a struct, and {type_} is needed here", loc=cx.loc(node)
        )
    values = _fields(cx, node, type_)
    return bits.struct(cx.builder, type_, values, cx.loc(node))


def _fields(cx: Context, node: ast.Dict, type_: Struct) -> dict[str, Operand]:
    """The values of a struct's fields, in the order written."""
    known = dict(type_.fields)
    values: dict[str, Operand] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        name = key.value if isinstance(key, ast.Constant) else None
        if name not in known or name in values:
            text = "**" if key is None else ast.unparse(key)
            twice = "twice here" if name in values else f"no field of {type_}"
            raise KernelTypeError(
                f"{text} is {twice}",
                loc=cx.loc(key or value),
                allowed=", ".join(f'"{n}"' for n in known),
            )
        values[str(name)] = scalar_as(cx, value, known[str(name)])
    if missing := [n for n in known if n not in values]:
        names = " and ".join(f'"{n}"' for n in missing)
        raise KernelTypeError(f"no value for {names} of {type_}", loc=cx.loc(node))
    return values


def array(cx: Context, node: ast.expr) -> Variable | None:
    """The array that a name stands for; None when the expression is something else."""
    if isinstance(node, ast.Name):
        match cx.find(node.id):
            case Variable(value=value) as found:
                return found if value.array.rank else None
            case Scalar() | LocalKernel() | Streams():
                return None
    if isinstance(node, ast.Name | ast.Attribute):
        return cx.outer_array(node)
    return None


def _subscripted(cx: Context, node: ast.Subscript) -> Operand:
    """An element of an array; a bit, bits or a field of any other scalar."""
    if arrays.rank(cx, node):
        raise array_as_scalar(cx, node, arrays.evaluate(cx, node).type)
    if arrays.rank(cx, node.value):
        return arrays.element(cx, node)
    channels.refuse_value(cx, node)
    if not _has_parts(cx, node.value):
        raise _not_an_array(cx, node.value)
    word = scalar(cx, node.value)
    part = selection.part(cx, node, word.type, scalar)
    return bits.read(cx.builder, word, part, cx.loc(node))


def _has_parts(cx: Context, node: ast.expr) -> bool:
    """Whether an expression is a scalar, as far as its form says."""
    if isinstance(node, ast.Name):
        return isinstance(cx.find(node.id), Variable | Scalar | Known)
    return not isinstance(node, ast.Attribute) or builtin_name(cx, node) is not None


def _not_an_array(cx: Context, node: ast.expr) -> LanguageError:
    text, loc = ast.unparse(node), cx.loc(node)
    if isinstance(node, ast.Name):
        match cx.find(node.id):
            case None if cx.missing(node):
                return cx.unknown(node)
    return KernelTypeError(f"'{text}' is not an array", loc=loc)


def _literal(cx: Context, node: ast.Constant) -> Operand:
    match node.value:
        case bool(flag):
            return number(flag, bool_)
        case int(value):
            return number(value, rules.literal_type(value))
        case float(value):
            return float_literal(value)
    raise LanguageError(
        f"{ast.unparse(node)} is not a number",
        loc=cx.loc(node),
        allowed="integers, floating-point numbers, True, False",
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
                raise array_as_scalar(cx, node, value.array)
            case LocalKernel():
                raise LanguageError(
                    f"'{node.id}' is a kernel", loc=loc, hint=f"call it: {node.id}(...)"
                )
            case Known(value=known, type=ScalarType() as type_):
                return known_number(cx, node, known, type_)
            case Streams():
                channels.refuse_value(cx, node)
    thing = cx.outside(node)
    if (known := as_int(thing)) is not None:
        return number(known, constant_type(thing))
    if (real := as_float(thing)) is not None:
        return float_literal(*real)
    if (found := array(cx, node)) is not None:
        raise array_as_scalar(cx, node, found.value.array)
    if cx.missing(node):
        if isinstance(node, ast.Name):
            raise cx.unknown(node)
        raise _no_attribute(cx, node)
    if isinstance(thing, ScalarType):
        raise _is_type(cx, node, thing)
    kind = "a module" if is_module(thing) else f"a Python {type(thing).__name__}"
    raise LanguageError(
        f"'{ast.unparse(node)}' is {kind}",
        loc=loc,
        allowed="outer names of Python numbers, numpy arrays and kernels",
    )


def _is_type(cx: Context, node: ast.expr, type_: Type) -> LanguageError:
    return LanguageError(
        f"'{ast.unparse(node)}' is a type ({type_}) where a number is needed",
        loc=cx.loc(node),
        hint=f"to convert a number write {ast.unparse(node)}(x)",
    )


def _no_attribute(cx: Context, node: ast.Attribute) -> LanguageError:
    """The error for ``x.name``, which is nothing."""
    text = ast.unparse(node.value)
    hint = None
    if isinstance(node.value, ast.Name):
        match cx.find(node.value.id):
            case Scalar(value=Value(type=Struct() as type_)) | Variable(
                value=Value(type=ArrayType(element=Struct() as type_, shape=()))
            ) if node.attr in dict(type_.fields):
                hint = f'a field is {text}["{node.attr}"]'
            case Scalar() | Variable() if node.attr in METHODS:
                hint = f"call it: {text}.{node.attr}()"
    return LanguageError(f"'{ast.unparse(node)}' is not known", loc=cx.loc(node), hint=hint)


def array_as_scalar(cx: Context, node: ast.expr, type_: ArrayType) -> LanguageError:
    """The error for an array in the place of a number."""
    return KernelTypeError(
        f"'{ast.unparse(node)}' is an array ({type_}) where a scalar is needed",
        loc=cx.loc(node),
        hint=f"take an element: {ast.unparse(node)}[{', '.join('ijklmn'[: type_.rank])}]"
        if isinstance(node, ast.Name | ast.Attribute | ast.Subscript)
        else None,
    )


def _unary(cx: Context, node: ast.UnaryOp) -> Operand:
    loc = cx.loc(node)
    if isinstance(node.op, ast.Not):
        flag = condition(cx, node.operand)
        return cx.builder.binary(BinaryKind.XOR, flag, number(1, bool_), bool_, loc)
    operand = scalar(cx, node.operand)
    match node.op, node.operand:
        case ast.USub(), ast.Constant(value=int(value)):
            # A negative literal is one number: -2147483648 is an int32.
            return number(-value, rules.literal_type(-value))
        case ast.USub(), _:
            return arithmetic.negate(cx.builder, operand, loc)
        case ast.Invert(), _:
            return arithmetic.invert(cx.builder, operand, loc)
    return arithmetic.plus(cx.builder, operand, loc)


def _compare(cx: Context, node: ast.Compare) -> Operand:
    """A comparison; in ``a < b < c`` every operand is evaluated once, ``c`` if ``a < b``."""
    for op, right in zip(node.ops, node.comparators, strict=True):
        if type(op) not in arithmetic.PREDICATES:
            raise LanguageError(
                "'in' and 'is' are not in the language",
                loc=cx.loc(right),
                allowed="== != < <= > >=",
            )
    return _chain(cx, node, scalar(cx, node.left), 0)


def _chain(cx: Context, node: ast.Compare, left: Operand, n: int) -> Operand:
    """The comparisons from the n-th on."""
    right = scalar(cx, node.comparators[n])
    predicate = arithmetic.PREDICATES[type(node.ops[n])]
    test = arithmetic.compare(cx.builder, predicate, left, right, cx.loc(node))
    if n + 1 == len(node.ops):
        return test
    rest, ops = _aside(cx, lambda: _chain(cx, node, right, n + 1))
    return _decide(cx, node, BinaryKind.AND, test, rest, ops)


def _bool_op(cx: Context, node: ast.BoolOp) -> Operand:
    """``and``/``or``; what must not run when the left side decides is run conditionally."""
    kind = BinaryKind.AND if isinstance(node.op, ast.And) else BinaryKind.OR
    result = condition(cx, node.values[0])
    for part in node.values[1:]:
        right, ops = _aside(cx, lambda part=part: condition(cx, part))  # type: ignore[misc]
        result = _decide(cx, node, kind, result, right, ops)
    return result


def _decide(
    cx: Context, node: ast.expr, kind: BinaryKind, left: Operand, right: Operand, ops: list[Op]
) -> Operand:
    """``left and right`` or ``left or right``; ``ops`` make the right side."""
    if _all_safe(cx, ops):
        cx.builder.blocks[-1].extend(ops)
        return cx.builder.binary(kind, left, right, bool_, cx.loc(node))
    if kind is BinaryKind.AND:
        return _either(cx, node, left, (right, ops), (number(0, bool_), []), bool_)
    return _either(cx, node, left, (number(1, bool_), []), (right, ops), bool_)


def _ternary(cx: Context, node: ast.IfExp) -> Operand:
    chosen = condition(cx, node.test)
    one, one_ops = _aside(cx, lambda: scalar(cx, node.body))
    other, other_ops = _aside(cx, lambda: scalar(cx, node.orelse))
    type_ = _choice_type(cx, node, one.type, other.type)
    if _all_safe(cx, [*one_ops, *other_ops]):
        cx.builder.blocks[-1].extend([*one_ops, *other_ops])
        return cx.builder.select(chosen, one, other, type_, cx.loc(node))
    return _either(cx, node, chosen, (one, one_ops), (other, other_ops), type_)


def _choice_type(
    cx: Context, node: ast.IfExp, one: ScalarType, other: ScalarType
) -> ScalarType:
    if one != other and (isinstance(one, Struct) or isinstance(other, Struct)):
        raise KernelTypeError(
            f"the choice is between {one} and {other}",
            loc=cx.loc(node),
            allowed="two of one struct",
        )
    return cx.builder.rules.choice(one, other)


def _aside(cx: Context, make: Callable[[], Operand]) -> tuple[Operand, list[Op]]:
    with cx.builder.block() as ops:
        operand = make()
    return operand, ops


def _all_safe(cx: Context, ops: list[Op]) -> bool:
    """Whether the operations may run when the source does not ask for them."""
    return not any(isinstance(op, If) or op in cx.builder.unsafe for op in walk(tuple(ops)))


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
    if (taken := streams.scalar(cx, node)) is not None:
        return taken
    if (op := named_ops.find(cx, node.func)) is not None:
        if op.rank(cx, node):
            raise array_as_scalar(cx, node, arrays.evaluate(cx, node).type)
        return named_ops.scalar(cx, node, op)
    outs = call(cx, node)
    if len(outs) != 1 or not isinstance(outs[0].type, ScalarType):
        found = ", ".join(str(v.type) for v in outs) or "nothing"
        raise KernelTypeError(
            f"'{ast.unparse(node.func)}' returns {found} where a scalar is needed",
            loc=cx.loc(node),
        )
    return Operand(outs[0].scalar, outs[0])


def builtin_name(cx: Context, node: ast.expr) -> str | None:
    """What a called expression is if it is not a kernel: a built-in function's name, else None.

    "cast" is a type or ``int``, ``float``, ``bool``; "type" makes a type; "reverse" and "bitcast"
    are methods.
    """
    if cast_type(cx, node) is not None:
        return "cast"
    if not isinstance(node, ast.Name | ast.Attribute):
        return None
    thing = cx.outside(node)
    if thing is MISSING:
        if isinstance(node, ast.Attribute):
            return node.attr if node.attr in METHODS else None
        return None
    if isinstance(thing, type) and issubclass(thing, ScalarType):
        return "type"
    return functions.MEANING.get(thing) if thing.__hash__ is not None else None


def cast_type(cx: Context, node: ast.expr) -> ScalarType | None:
    """The type that a called expression converts to: ``int8(x)``, ``Fixed(16, 8)(x)``, ``int(x)``.

    Of ``bool``, which is a question rather than a conversion, it is UInt(1).
    """
    match node:
        case ast.Name() | ast.Attribute():
            thing = cx.outside(node)
            if isinstance(thing, ScalarType):
                return thing
            is_class = isinstance(thing, type)
            return {int: int32, float: float32, bool: bool_}.get(thing) if is_class else None
        case ast.Call(func=ast.Name() | ast.Attribute() as func):
            thing = cx.outside(func)
            if isinstance(thing, type) and issubclass(thing, ScalarType):
                made = annotation(cx.kernel, node)
                return made if isinstance(made, ScalarType) else None
    return None


def _builtin(cx: Context, node: ast.Call, name: str) -> Operand:
    loc = cx.loc(node)
    if name == "cast":
        return _cast(cx, node)
    if name == "type":
        raise _is_type(cx, node, annotation(cx.kernel, node))
    if name in METHODS:
        return _method(cx, node, name)
    text, (least, most) = ast.unparse(node.func), functions.arity(name)
    found = len(node.args)
    if node.keywords or found < least or (most is not None and found > most):
        wanted = f"{least} argument{'s' * (least > 1)}" + (" or more" if most is None else "")
        raise LanguageError(f"'{text}' takes {wanted}", loc=loc)
    return functions.apply(cx.builder, name, [scalar(cx, a) for a in node.args], loc)


def _cast(cx: Context, node: ast.Call) -> Operand:
    type_, loc = cast_type(cx, node.func), cx.loc(node)
    assert type_ is not None
    if len(node.args) != 1 or node.keywords:
        raise LanguageError(f"'{ast.unparse(node.func)}' converts one scalar", loc=loc)
    if ast.unparse(node.func).rpartition(".")[2] == "bool":
        return condition(cx, node.args[0])
    return scalar_as(cx, node.args[0], type_)


def _method(cx: Context, node: ast.Call, name: str) -> Operand:
    """``x.reverse()``, ``x.bitcast()`` or ``x.bitcast(T)``."""
    assert isinstance(node.func, ast.Attribute)
    loc = cx.loc(node)
    word = _word(cx, node.func.value, name)
    if len(node.args) > (name == "bitcast") or node.keywords:
        allowed = "x.bitcast(), x.bitcast(float32)" if name == "bitcast" else "x.reverse()"
        raise LanguageError(f"too many arguments for '{name}'", loc=loc, allowed=allowed)
    if name == "reverse":
        return bits.reversed_bits(cx.builder, word, loc)
    type_ = annotation(cx.kernel, node.args[0]) if node.args else _pattern_type(cx, node, word)
    if not isinstance(type_, ScalarType) or type_.bits != word.type.bits or type_ == index:
        raise KernelTypeError(
            f"the bits of {word.type} are no {type_}",
            loc=loc,
            allowed=f"a type of {word.type.bits} bits",
        )
    return cx.builder.bitcast(word, type_, loc)


def _word(cx: Context, node: ast.expr, name: str) -> Operand:
    """The scalar whose bits are meant."""
    word = scalar(cx, node)
    if word.type == index or (name == "reverse" and not isinstance(word.type, IntegerType)):
        what = "an integer of a known width" if name == "reverse" else "a type of a known width"
        raise KernelTypeError(
            f"'{ast.unparse(node)}' is {word.type}, and '{name}' needs {what}",
            loc=cx.loc(node),
            hint=f"convert it first: int32({ast.unparse(node)})"
            if word.type == index
            else f"take its bits: {ast.unparse(node)}.bitcast().reverse()",
        )
    return word


def _pattern_type(cx: Context, node: ast.Call, word: Operand) -> ScalarType:
    """What ``x.bitcast()`` gives: the float of an integer's width, the bits of anything else."""
    if not isinstance(word.type, IntegerType):
        return UInt(word.type.bits)
    floats = {16: float16, 32: float32, 64: float64}
    if word.type.bits in floats:
        return floats[word.type.bits]
    raise KernelTypeError(
        f"no floating-point type is meant by {word.type.bits} bits",
        loc=cx.loc(node),
        allowed="bitcast() of 16, 32 or 64 bits",
        hint="name the type: x.bitcast(Fixed(24, 8))",
    )


def call(cx: Context, node: ast.Call, names: tuple[str, ...] = ()) -> tuple[Value, ...]:
    """Call another kernel and give its results; ``names`` are hints for theirs."""
    callee: Callee = find_callee(cx, node)
    with cx.builder.subscripts(False):
        bound = bind(cx, node, callee).items()
        args = {n: (a, _argument(cx, a, callee.func.args[n].type)) for n, a in bound}
    return make_call(cx, node, callee, args, names)


def _argument(cx: Context, node: ast.expr, type_: Type) -> Variable | Operand:
    if isinstance(node, ast.Dict) and isinstance(type_, ScalarType):
        return scalar_as(cx, node, type_)
    if isinstance(type_, StreamType):
        return Variable(channels.channel(cx, node).value, cx.loc(node))
    return arrays.argument(cx, node, type_)
