"""What MLIR calls the operators and predicates, shared by the printer and the parser."""

from __future__ import annotations

from allo_rtl.ir.ops import BinaryKind, MathKind, Predicate
from allo_rtl.ir.types import Float

_PLAIN = {
    BinaryKind.ADD: "addi",
    BinaryKind.SUB: "subi",
    BinaryKind.MUL: "muli",
    BinaryKind.AND: "andi",
    BinaryKind.OR: "ori",
    BinaryKind.XOR: "xori",
    BinaryKind.SHL: "shli",
}
_BY_SIGN = {
    BinaryKind.DIV: "div",
    BinaryKind.REM: "rem",
    BinaryKind.SHR: "shr",
    BinaryKind.MIN: "min",
    BinaryKind.MAX: "max",
}

BINARY_NAMES: dict[tuple[BinaryKind, bool], str] = {
    **{(kind, signed): name for kind, name in _PLAIN.items() for signed in (True, False)},
    **{(kind, True): f"{name}si" for kind, name in _BY_SIGN.items()},
    **{(kind, False): f"{name}ui" for kind, name in _BY_SIGN.items()},
    (BinaryKind.FLOORDIV, True): "floordivsi",
    # Without negative numbers both divisions are one; an attribute tells them apart.
    (BinaryKind.FLOORDIV, False): "divui",
}
"""arith operation of (operator, whether its type is signed)."""

BINARY_KINDS: dict[str, tuple[BinaryKind, bool | None]] = {
    **{name: (kind, None) for kind, name in _PLAIN.items()},
    **{f"{name}si": (kind, True) for kind, name in _BY_SIGN.items()},
    **{f"{name}ui": (kind, False) for kind, name in _BY_SIGN.items()},
    "floordivsi": (BinaryKind.FLOORDIV, True),
}
"""(operator, signedness it asks for, None when it asks for none) of an arith operation."""

PREDICATES: tuple[tuple[str, Predicate, bool | None], ...] = (
    ("eq", Predicate.EQ, None),
    ("ne", Predicate.NE, None),
    ("slt", Predicate.LT, True),
    ("sle", Predicate.LE, True),
    ("sgt", Predicate.GT, True),
    ("sge", Predicate.GE, True),
    ("ult", Predicate.LT, False),
    ("ule", Predicate.LE, False),
    ("ugt", Predicate.GT, False),
    ("uge", Predicate.GE, False),
)
"""Predicates of arith.cmpi by their number: name, predicate, signedness it asks for."""

PREDICATE_NAMES: dict[tuple[Predicate, bool], str] = {
    (predicate, signed): name
    for name, predicate, asked in PREDICATES
    for signed in (True, False)
    if asked is None or asked is signed
}
"""Name of (predicate, whether the operands are signed)."""

FLOAT_TYPES: dict[str, Float] = {
    "f8E4M3FN": Float(8, 3),
    "f8E5M2": Float(8, 2),
    "f16": Float(16, 10),
    "bf16": Float(16, 7),
    "f32": Float(32, 23),
    "f64": Float(64, 52),
}
"""Floating-point types by MLIR's names."""

FLOAT_TYPE_NAMES = {type: name for name, type in FLOAT_TYPES.items()}
"""MLIR's names of the floating-point types."""

FLOAT_KINDS: dict[str, BinaryKind] = {
    "addf": BinaryKind.ADD,
    "subf": BinaryKind.SUB,
    "mulf": BinaryKind.MUL,
    "divf": BinaryKind.DIV,
    "remf": BinaryKind.REM,
    "minimumf": BinaryKind.MIN,
    "maximumf": BinaryKind.MAX,
}
"""Operator of an arith operation on floating-point numbers."""

FLOAT_NAMES = {kind: name for name, kind in FLOAT_KINDS.items()}
"""arith operation of an operator; FLOORDIV is a divf and a floor."""

FLOAT_PREDICATES: tuple[tuple[str, tuple[Predicate, ...], bool], ...] = (
    ("false", (), False),
    ("oeq", (Predicate.EQ,), False),
    ("ogt", (Predicate.GT,), False),
    ("oge", (Predicate.GE,), False),
    ("olt", (Predicate.LT,), False),
    ("ole", (Predicate.LE,), False),
    ("one", (Predicate.LT, Predicate.GT), False),
    ("ord", (Predicate.LE, Predicate.GT), False),
    ("ueq", (Predicate.LT, Predicate.GT), True),
    ("ugt", (Predicate.LE,), True),
    ("uge", (Predicate.LT,), True),
    ("ult", (Predicate.GE,), True),
    ("ule", (Predicate.GT,), True),
    ("une", (Predicate.NE,), False),
    ("uno", (Predicate.LE, Predicate.GT), True),
    ("true", (), True),
)
"""Predicates of arith.cmpf by their number: name, what one of must hold, whether to negate."""

FLOAT_PREDICATE_NAMES = {
    found[0]: name for name, found, negated in FLOAT_PREDICATES if len(found) == 1 and not negated
}
"""Name of a predicate of floating-point numbers."""

MATH_NAMES: dict[MathKind, str] = {
    MathKind.NEG: "arith.negf",
    MathKind.ABS: "math.absf",
    MathKind.POW: "math.powf",
    **{
        kind: f"math.{kind.value}"
        for kind in MathKind
        if kind not in (MathKind.NEG, MathKind.ABS, MathKind.POW)
    },
}
"""Operation of a function."""

MATH_KINDS = {name: kind for kind, name in MATH_NAMES.items()}
"""Function of an operation."""

INT_CASTS = ("extsi", "extui", "trunci", "bitcast", "index_cast", "index_castui")
FLOAT_CASTS = ("sitofp", "uitofp", "fptosi", "fptoui", "extf", "truncf")
CASTS = (*INT_CASTS, *FLOAT_CASTS)
"""Conversions of the arith dialect."""
