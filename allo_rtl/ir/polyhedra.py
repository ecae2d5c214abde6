"""Affine expressions and loop bounds as text for isl, the integer set library.

Everything is written over names the caller chose for the SSA values; a value without a name is
unknown, and what depends on it puts no constraint on anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import islpy as isl

from allo_rtl.ir.affine import AffineExpr, FloorDiv, Mod
from allo_rtl.ir.ops import For, Value

type Names = Mapping[Value, str]


def text(expr: AffineExpr, names: Names) -> str:
    """The expression in isl's syntax; every value of it must have a name."""
    parts = [str(expr.const)]
    for atom, factor in expr.terms:
        match atom:
            case FloorDiv(numerator, divisor):
                name = f"floor(({text(numerator, names)})/{divisor})"
            case Mod(numerator, divisor):
                name = f"(({text(numerator, names)}) mod {divisor})"
            case _:
                name = names[atom]
        parts.append(f"{factor}*{name}")
    return " + ".join(parts)


def known(expr: AffineExpr, names: Names) -> bool:
    """Whether every value of the expression has a name."""
    return expr.values <= names.keys()


def iterates(loop: For, names: Names) -> list[str]:
    """Constraints under which the loop's counter is one of its iterations."""
    counter = names[loop.iv]
    lower = [text(e, names) for e in loop.lower if known(e, names)]
    upper = [text(e, names) for e in loop.upper if known(e, names)]
    found = [f"{counter} >= {e}" for e in lower] + [f"{counter} < {e}" for e in upper]
    if loop.step > 1 and len(lower) == len(loop.lower):
        start = lower[0]
        for other in lower[1:]:
            start = f"max({start}, {other})"
        found.append(f"({counter} - ({start})) mod {loop.step} = 0")
    return found


def same_cell(
    a: Sequence[AffineExpr], a_names: Names, b: Sequence[AffineExpr], b_names: Names
) -> list[str]:
    """Constraints under which two subscript lists name one cell (unknown ones may be equal)."""
    return [
        f"{text(x, a_names)} = {text(y, b_names)}"
        for x, y in zip(a, b, strict=True)
        if known(x, a_names) and known(y, b_names)
    ]


def points(dims: Sequence[str], constraints: Sequence[str]) -> isl.Set:
    """The integer points over ``dims`` that satisfy all constraints."""
    return isl.Set(f"{{ [{', '.join(dims)}] : {' and '.join(constraints) or 'true'} }}")


def sample(points_: isl.Set) -> tuple[int, ...] | None:
    """One point of the set, None when it is empty."""
    point = points_.sample_point()
    if point.is_void():
        return None
    size = points_.dim(isl.dim_type.set)
    return tuple(
        point.get_coordinate_val(isl.dim_type.set, k).to_python() for k in range(size)
    )
