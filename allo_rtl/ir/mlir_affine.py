"""Affine expressions as MLIR writes them."""

from __future__ import annotations

from allo_rtl.ir.affine import AffineExpr, Atom, FloorDiv, Mod
from allo_rtl.ir.ops import Value


def in_order(expr: AffineExpr, age: dict[Value, int]) -> list[tuple[Atom, int]]:
    """Terms in the order values have in the text (``age``), however the values were made."""

    def key(atom: Atom) -> tuple[object, ...]:
        if isinstance(atom, FloorDiv | Mod):
            inner = tuple((key(a), c) for a, c in in_order(atom.numerator, age))
            return (1 + isinstance(atom, Mod), atom.divisor, atom.numerator.const, inner)
        return (0, age.get(atom, atom.uid))

    return sorted(expr, key=lambda term: key(term[0]))


def affine_text(expr: AffineExpr, names: dict[Value, str], age: dict[Value, int]) -> str:
    """The expression with values by name: ``%i * 2 + (%j floordiv 4) * 3 - 1``."""
    text = ""
    for atom, factor in in_order(expr, age):
        size = abs(factor)
        # A sign in front binds tighter than anything; in the middle it does not.
        inside = size != 1 or (factor < 0 and not text)
        part = _atom_text(atom, names, age, inside)
        part += f" * {size}" if size != 1 else ""
        if not text:
            text = part if factor > 0 else f"-{part}"
        else:
            text += f" + {part}" if factor > 0 else f" - {part}"
    if not text:
        return str(expr.const)
    if expr.const:
        text += f" {'+' if expr.const > 0 else '-'} {abs(expr.const)}"
    return text


def _atom_text(atom: Atom, names: dict[Value, str], age: dict[Value, int], inside: bool) -> str:
    if not isinstance(atom, FloorDiv | Mod):
        return names[atom]
    whole = affine_text(atom.numerator, names, age)
    if atom.numerator.as_value is None:
        whole = f"({whole})"
    text = f"{whole} {'floordiv' if isinstance(atom, FloorDiv) else 'mod'} {atom.divisor}"
    return f"({text})" if inside else text
