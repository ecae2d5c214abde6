"""What arith and math operations, and ours on scalars, mean in the loop IR."""

from __future__ import annotations

from functools import reduce

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.arithmetic import eval_binary
from allo_rtl.ir.mlir_affine_syntax import AffineMap
from allo_rtl.ir.mlir_build import Builder, Part, Rule
from allo_rtl.ir.mlir_literals import Literal, literal_value
from allo_rtl.ir.mlir_names import (
    BINARY_KINDS,
    CASTS,
    FLOAT_KINDS,
    FLOAT_PREDICATES,
    MATH_KINDS,
    PREDICATES,
)
from allo_rtl.ir.mlir_syntax import RawOp
from allo_rtl.ir.mlir_types import is_unsigned, with_unsigned
from allo_rtl.ir.ops import (
    Apply,
    Binary,
    BinaryKind,
    Bitcast,
    Cast,
    Compare,
    Constant,
    FloatKind,
    FloatOp,
    Math,
    MathKind,
    Predicate,
    Select,
    Value,
)
from allo_rtl.ir.types import (
    Float,
    Index,
    IntegerType,
    ScalarType,
    Type,
    UInt,
    bool_,
    index,
)


def in_sign(type: Type, unsigned: bool) -> Type:
    """The type an operation that reads its operand with this sign works in."""
    if isinstance(type, Index):
        return UInt(64) if unsigned else index
    return with_unsigned(type, unsigned)


def _short(raw: RawOp) -> str:
    return raw.name.partition(".")[2]


def _declared(raw: RawOp) -> Type:
    """The type of the result, with its sign."""
    return with_unsigned(raw.outs[0], "unsigned" in raw.attrs)


def _operands(b: Builder, raw: RawOp, count: int = 2) -> tuple[Value, ...]:
    return tuple(map(b.value, raw.operands[:count]))


# New operations in the block being filled


def binary(b: Builder, kind: BinaryKind, lhs: Value, rhs: Value) -> Value:
    """``lhs kind rhs``."""
    result = Value(lhs.type)
    b.out.append(Binary(kind=kind, result=result, lhs=lhs, rhs=rhs, loc=b.loc))
    return result


def constant(b: Builder, type: Type, value: int) -> Value:
    """A constant."""
    result = Value(type)
    b.out.append(Constant(result=result, value=value, loc=b.loc))
    return result


def compare(b: Builder, predicate: Predicate, lhs: Value, rhs: Value) -> Value:
    """A comparison."""
    result = Value(bool_)
    b.out.append(Compare(predicate=predicate, result=result, lhs=lhs, rhs=rhs, loc=b.loc))
    return result


def _math(b: Builder, kind: MathKind, *args: Value) -> Value:
    result = Value(args[0].type)
    b.out.append(Math(kind=kind, result=result, args=args, loc=b.loc))
    return result


def _select(b: Builder, condition: Value, yes: Value, no: Value) -> Value:
    result = Value(yes.type)
    new = Select(result=result, condition=condition, if_true=yes, if_false=no, loc=b.loc)
    b.out.append(new)
    return result


# Parts of affine expressions


def fold(b: Builder, raw: RawOp) -> None:
    """Take an operation marked as part of an affine expression back into one."""
    short, name = _short(raw), b.result_name(raw)
    if short == "constant":
        b.bind(name, (AffineExpr.constant(raw.attrs["value"]),))
    elif short in ("maxsi", "minsi"):
        b.bind(name, tuple(e for ref in raw.operands for e in b.bounds(ref)))
    else:
        b.bind(name, (_fold_binary(b, raw, short),))


def _fold_binary(b: Builder, raw: RawOp, short: str) -> AffineExpr:
    if len(raw.operands) == 2:
        lhs, rhs = map(b.expr, raw.operands)
        modulus = raw.attrs.get("mod", 0)
        match short:
            case "addi":
                return lhs + rhs
            case "subi" if isinstance(modulus, int) and modulus > 0:
                return lhs.mod(modulus)
            case "muli" if rhs.is_constant:
                return lhs * rhs.const
            case "floordivsi" if rhs.is_constant and rhs.const > 0:
                return lhs.floordiv(rhs.const)
    raise b.error(raw, f"this {raw.name} is no part of an affine expression")


def apply(b: Builder, raw: RawOp, expr: AffineExpr) -> None:
    """An affine expression as a value."""
    b.define(raw, index, lambda r: Apply(result=r, expr=expr, loc=b.loc))


def affine_apply(b: Builder, raw: RawOp) -> None:
    """``affine.apply``."""
    exprs = b.mapped(raw, raw.attrs["map"], raw.operands)
    if len(exprs) != 1:
        raise b.error(raw, f"the map of {raw.name} has {len(exprs)} results")
    apply(b, raw, exprs[0])


def affine_extreme(b: Builder, raw: RawOp) -> None:
    """``affine.min`` and ``affine.max``."""
    kind = BinaryKind.MIN if raw.name == "affine.min" else BinaryKind.MAX
    values = []
    for expr in b.mapped(raw, raw.attrs["map"], raw.operands):
        values.append(Value(index))
        b.out.append(Apply(result=values[-1], expr=expr, loc=b.loc))
    if not values:
        raise b.error(raw, f"the map of {raw.name} has no results")
    b.bind(b.result_name(raw), reduce(lambda x, y: binary(b, kind, x, y), values))


# Operations


def arith_constant(b: Builder, raw: RawOp) -> None:
    """A constant, also of our own types."""
    if "affine" in raw.attrs and isinstance(raw.attrs["value"], int):
        fold(b, raw)
        return
    type = _declared(raw)
    literal: Literal = raw.attrs["value"]
    value = literal_value(type, literal)
    if value is None:
        text = f"{literal} is no constant of type {type}"
        raise b.error(raw, text)
    result = b.define(raw, type, lambda r: Constant(result=r, value=value, loc=b.loc))
    b.constants[result] = value


def integer_binary(b: Builder, raw: RawOp) -> None:
    """An operator on integers or index; it may ask for the sign of its operands."""
    if "affine" in raw.attrs:
        fold(b, raw)
        return
    if "apply" in raw.attrs:
        apply(b, raw, b.expr(raw.operands[0]) + b.expr(raw.operands[1]))
        return
    kind, asked = BINARY_KINDS[_short(raw)]
    kind = BinaryKind.FLOORDIV if "floordiv" in raw.attrs else kind
    left, right = _operands(b, raw)
    check_kind(b, raw, left, IntegerType | Index)
    marked = "unsigned" in raw.attrs
    unsigned = not asked if asked is not None else marked or is_unsigned(left.type)
    type = in_sign(left.type, unsigned)
    wanted = left.type if left.type == index else with_unsigned(left.type, unsigned or marked)
    lhs, rhs = b.coerce(left, type), b.coerce(right, type)
    result = b.define(
        raw, type, lambda r: Binary(kind=kind, result=r, lhs=lhs, rhs=rhs, loc=b.loc), wanted
    )
    # The steps of loops must be known; other tools compute them from constants.
    if lhs in b.constants and rhs in b.constants and result.type == type:
        b.constants[result] = eval_binary(kind, type, b.constants[lhs], b.constants[rhs])


def check_kind(b: Builder, raw: RawOp, value: Value, kind: object) -> None:
    """ParseError for an operation on values of another kind of type."""
    if not isinstance(value.type, kind):  # type: ignore[arg-type]
        raise b.error(raw, f"{raw.name} is not for {value.type}")


def plain_binary(b: Builder, raw: RawOp) -> None:
    """An operator on floating-point numbers or of our own types."""
    short = _short(raw)
    lhs, rhs = _operands(b, raw)
    kind = FLOAT_KINDS[short] if raw.name.startswith("arith.") else BinaryKind(short)
    if raw.name.startswith("arith."):
        check_kind(b, raw, lhs, Float)
    if "part" in raw.attrs:
        b.bind(b.result_name(raw), Part(raw.name, (lhs, rhs), lhs.type))
        return
    b.define(raw, lhs.type, lambda r: Binary(kind=kind, result=r, lhs=lhs, rhs=rhs, loc=b.loc))


def ceildiv(b: Builder, raw: RawOp) -> None:
    """Division that rounds up."""
    unsigned = raw.name.endswith("ui")
    left, right = _operands(b, raw)
    check_kind(b, raw, left, IntegerType | Index)
    type = in_sign(left.type, unsigned)
    lhs, rhs = b.coerce(left, type), b.coerce(right, type)
    zero = constant(b, type, 0)
    if unsigned:
        rest = binary(b, BinaryKind.REM, lhs, rhs)
        more = Value(type)
        some = compare(b, Predicate.NE, rest, zero)
        b.out.append(Cast(result=more, operand=some, loc=b.loc))
        found = binary(b, BinaryKind.ADD, binary(b, BinaryKind.DIV, lhs, rhs), more)
    else:
        negated = binary(b, BinaryKind.SUB, zero, lhs)
        floor = binary(b, BinaryKind.FLOORDIV, negated, rhs)
        found = binary(b, BinaryKind.SUB, zero, floor)
    b.bind(b.result_name(raw), b.coerce(found, left.type))


def minmax_number(b: Builder, raw: RawOp) -> None:
    """``arith.minnumf`` and ``maxnumf``: of a number and a NaN the number."""
    kind = BinaryKind.MIN if "min" in raw.name else BinaryKind.MAX
    lhs, rhs = _operands(b, raw)
    check_kind(b, raw, lhs, Float)
    both = binary(b, kind, lhs, rhs)
    left = _select(b, compare(b, Predicate.NE, rhs, rhs), lhs, both)
    found = _select(b, compare(b, Predicate.NE, lhs, lhs), rhs, left)
    b.bind(b.result_name(raw), found)


def integer_compare(b: Builder, raw: RawOp) -> None:
    """``arith.cmpi``."""
    _, predicate, signed = _entry(b, raw, PREDICATES)
    left, right = _operands(b, raw)
    check_kind(b, raw, left, IntegerType | Index)
    type = left.type if signed is None else in_sign(left.type, not signed)
    lhs, rhs = b.coerce(left, type), b.coerce(right, type)
    new = lambda r: Compare(predicate=predicate, result=r, lhs=lhs, rhs=rhs, loc=b.loc)  # noqa: E731
    b.define(raw, bool_, new)


def _entry[T](b: Builder, raw: RawOp, table: tuple[T, ...]) -> T:
    number: int = raw.attrs["predicate"]
    if not 0 <= number < len(table):
        raise b.error(raw, f"{number} is not the number of a predicate")
    return table[number]


def float_compare(b: Builder, raw: RawOp) -> None:
    """``arith.cmpf``: the predicates that IEEE 754 has are one comparison, others several."""
    _, predicates, negated = _entry(b, raw, FLOAT_PREDICATES)
    lhs, rhs = _operands(b, raw)
    check_kind(b, raw, lhs, Float)
    if len(predicates) == 1 and not negated:
        only = predicates[0]
        new = lambda r: Compare(predicate=only, result=r, lhs=lhs, rhs=rhs, loc=b.loc)  # noqa: E731
        b.define(raw, bool_, new)
        return
    parts = [compare(b, p, lhs, rhs) for p in predicates] or [constant(b, bool_, 0)]
    found = reduce(lambda x, y: binary(b, BinaryKind.OR, x, y), parts)
    if negated:
        found = binary(b, BinaryKind.XOR, found, constant(b, bool_, 1))
    b.bind(b.result_name(raw), found)


def own_compare(b: Builder, raw: RawOp) -> None:
    """``allo.cmp``."""
    text = raw.attrs["predicate"]
    if text not in [p.value for p in Predicate]:
        raise b.error(raw, f"{text!r} is not a predicate", ", ".join(p.value for p in Predicate))
    lhs, rhs = _operands(b, raw)
    new = lambda r: Compare(predicate=Predicate(text), result=r, lhs=lhs, rhs=rhs, loc=b.loc)  # noqa: E731
    b.define(raw, bool_, new)


def select(b: Builder, raw: RawOp) -> None:
    """``arith.select``, and ours."""
    condition, yes, no = _operands(b, raw, 3)
    type = with_unsigned(yes.type, "unsigned" in raw.attrs or is_unsigned(yes.type))
    flag = b.coerce(condition, bool_)
    left, right = b.coerce(yes, type), b.coerce(no, type)
    new = lambda r: Select(result=r, condition=flag, if_true=left, if_false=right, loc=b.loc)  # noqa: E731
    b.define(raw, type, new)


_SIGNED_OPERAND = ("extsi", "index_cast", "sitofp")
_UNSIGNED_OPERAND = ("extui", "index_castui", "uitofp")


def cast(b: Builder, raw: RawOp) -> None:
    """A conversion of the arith dialect, or the second of two that are one of ours."""
    short = _short(raw)
    found = b.lookup(raw.operands[0])
    operand = found.args[0] if isinstance(found, Part) else b.value(raw.operands[0])
    if not isinstance(operand.type, ScalarType) or not isinstance(raw.outs[0], ScalarType):
        raise b.error(raw, f"{raw.name} is for scalars")
    if "part" in raw.attrs:
        b.bind(b.result_name(raw), Part(raw.name, (operand,), raw.outs[0]))
        return
    if not isinstance(found, Part) and short in (*_SIGNED_OPERAND, *_UNSIGNED_OPERAND):
        check_kind(b, raw, operand, IntegerType | Index)
        operand = b.coerce(operand, in_sign(operand.type, short in _UNSIGNED_OPERAND))
    wanted = _declared(raw)
    if short == "bitcast" and _keeps_bits(raw, operand.type, wanted):
        b.define(raw, wanted, lambda r: Bitcast(result=r, operand=operand, loc=b.loc))
        return
    type = UInt(wanted.bits) if short == "fptoui" else wanted
    b.define(raw, type, lambda r: Cast(result=r, operand=operand, loc=b.loc), wanted)


def _keeps_bits(raw: RawOp, source: Type, target: Type) -> bool:
    """Whether an arith.bitcast is a Bitcast: between integers a Cast does the same."""
    if isinstance(source, Float) or isinstance(target, Float):
        return "cast" not in raw.attrs
    return "bits" in raw.attrs


def own_cast(b: Builder, raw: RawOp) -> None:
    """``allo.cast`` and ``allo.bitcast``."""
    operand = b.value(raw.operands[0])
    make = Cast if raw.name == "allo.cast" else Bitcast
    b.define(raw, _declared(raw), lambda r: make(result=r, operand=operand, loc=b.loc))


def math(b: Builder, raw: RawOp) -> None:
    """A function of floating-point numbers."""
    kind = MATH_KINDS[raw.name]
    found = b.lookup(raw.operands[0])
    if kind is MathKind.FLOOR and isinstance(found, Part) and len(found.args) == 2:
        lhs, rhs = found.args
        floor = BinaryKind.FLOORDIV
        b.define(raw, lhs.type, lambda r: Binary(kind=floor, result=r, lhs=lhs, rhs=rhs, loc=b.loc))
        return
    args = _operands(b, raw, kind.arity)
    if len(raw.operands) != kind.arity:
        raise b.error(raw, f"{raw.name} has {kind.arity} operands, {len(raw.operands)} are given")
    check_kind(b, raw, args[0], Float)
    b.define(raw, args[0].type, lambda r: Math(kind=kind, result=r, args=args, loc=b.loc))


def derived_math(b: Builder, raw: RawOp) -> None:
    """Functions that are made of others: ceil, rsqrt, absi."""
    (x,) = _operands(b, raw, 1)
    check_kind(b, raw, x, IntegerType | Index if raw.name == "math.absi" else Float)
    match raw.name:
        case "math.ceil":
            below = _math(b, MathKind.FLOOR, _math(b, MathKind.NEG, x))
            found = _math(b, MathKind.NEG, below)
        case "math.rsqrt":
            one = literal_value(x.type, 1.0)
            assert one is not None
            root = _math(b, MathKind.SQRT, x)
            found = binary(b, BinaryKind.DIV, constant(b, x.type, one), root)
        case _:
            signed = b.coerce(x, in_sign(x.type, False))
            zero = constant(b, signed.type, 0)
            negated = binary(b, BinaryKind.SUB, zero, signed)
            found = b.coerce(binary(b, BinaryKind.MAX, signed, negated), x.type)
    b.bind(b.result_name(raw), found)


def float_op(b: Builder, raw: RawOp) -> None:
    """``allo.float``: an operation on the patterns of floating-point numbers."""
    kinds = [k.value for k in FloatKind]
    kind, format, target = raw.attrs["kind"], raw.attrs["format"], raw.attrs.get("target")
    if kind not in kinds:
        raise b.error(raw, f"{kind!r} is no operation on patterns", ", ".join(kinds))
    args = _operands(b, raw, len(raw.operands))
    new = lambda r: FloatOp(  # noqa: E731
        kind=FloatKind(kind), format=format, result=r, args=args, loc=b.loc,
        target=target if isinstance(target, Float) else None,
        fraction=int(raw.attrs.get("fraction", 0)),
    )  # fmt: skip
    b.define(raw, _declared(raw), new)


_MAP = (("map", AffineMap),)
_NUMBER = (("value", (int, float)),)

RULES: dict[str, Rule] = {
    **{f"arith.{name}": Rule(integer_binary, 2) for name in BINARY_KINDS},
    **{f"arith.{name}": Rule(plain_binary, 2) for name in FLOAT_KINDS},
    **{f"arith.{name}": Rule(cast, 1, results=1) for name in CASTS},
    **{name: Rule(math, kind.arity) for name, kind in MATH_KINDS.items()},
    **dict.fromkeys(("math.ceil", "math.rsqrt", "math.absi"), Rule(derived_math, 1)),
    **dict.fromkeys(("arith.ceildivsi", "arith.ceildivui"), Rule(ceildiv, 2)),
    **dict.fromkeys(("arith.minnumf", "arith.maxnumf"), Rule(minmax_number, 2)),
    "arith.constant": Rule(arith_constant, attrs=_NUMBER, results=1),
    "arith.cmpi": Rule(integer_compare, 2, (("predicate", int),)),
    "arith.cmpf": Rule(float_compare, 2, (("predicate", int),)),
    "arith.select": Rule(select, 3),
    "affine.apply": Rule(affine_apply, attrs=_MAP),
    "affine.min": Rule(affine_extreme, attrs=_MAP),
    "affine.max": Rule(affine_extreme, attrs=_MAP),
    **{f"allo.{kind.value}": Rule(plain_binary, 2) for kind in BinaryKind},
    "allo.constant": Rule(arith_constant, attrs=_NUMBER, results=1),
    "allo.cmp": Rule(own_compare, 2, (("predicate", str),)),
    "allo.select": Rule(select, 3),
    "allo.cast": Rule(own_cast, 1, results=1),
    "allo.bitcast": Rule(own_cast, 1, results=1),
    "allo.float": Rule(float_op, 1, (("kind", str), ("format", Float)), results=1),
}
"""How to build each operation."""
