"""What MLIR calls the operators and predicates, shared by the printer and the parser."""

from __future__ import annotations

from allo_rtl.ir.ops import BinaryKind, Predicate

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
    # Without negative numbers both divisions are one; it reads back as DIV.
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
