"""What an assignment stores to: a variable, an element, or some bits or a field of one.

A part is stored by reading the whole, replacing the part and storing the whole again.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace

from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.frontend import bits, selection
from allo_rtl.frontend import expressions as ex
from allo_rtl.frontend.builder import Operand
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.scope import Scalar, Variable
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.types import ScalarType


@dataclass(frozen=True, slots=True)
class Place:
    """An element of an array (a scalar variable has one), or a part of a part ... of it."""

    variable: Variable
    at: tuple[AffineExpr, ...] = ()
    parts: tuple[bits.Part, ...] = ()

    @property
    def type(self) -> ScalarType:
        """The type of what is stored there."""
        return self.parts[-1].type if self.parts else self.variable.value.array.element


def place(cx: Context, target: ast.expr) -> Place:
    """The place that a target stands for.

    Raises:
        LanguageError: it is not declared, or cannot be assigned to.
    """
    match target:
        case ast.Subscript(value=ast.Name(id=name)) if (
            cx.scopes.find(name) is None and cx.outer_array(target.value) is None  # type: ignore[arg-type]
        ):
            raise LanguageError(
                f"the array '{name}' is not declared",
                loc=cx.loc(target.value),
                hint=f"declare it first: {name}: int32[...] = 0",
            )
        case ast.Subscript() if ex.array(cx, target.value) is not None:
            variable, at = ex.element(cx, target)
            writable(cx, variable, target.value)
            return Place(variable, at)
        case ast.Subscript(value=ast.Name() | ast.Subscript()):
            whole = place(cx, target.value)
            part = selection.part(cx, target, whole.type, ex.scalar)
            return replace(whole, parts=(*whole.parts, part))
        case ast.Name():
            return Place(_scalar_variable(cx, target))
    raise LanguageError(
        f"'{ast.unparse(target)}' cannot be assigned to",
        loc=cx.loc(target),
        allowed="a name, an element A[i, j], bits x[0:4] or a field p[\"x\"] of these",
    )


def load(cx: Context, where: Place, node: ast.expr) -> Operand:
    """What is stored at a place."""
    loc = cx.loc(node)
    found = cx.builder.load(where.variable.value, where.at, loc)
    for part in where.parts:
        found = bits.read(cx.builder, found, part, loc)
    return found


def store(cx: Context, where: Place, value: Operand, node: ast.AST) -> None:
    """Store a scalar at a place, converted to its type."""
    loc = cx.loc(node)
    if not where.parts:
        cx.builder.store(value, where.variable.value, where.at, loc)
        return
    whole = replace(where, parts=where.parts[:-1])
    assert isinstance(node, ast.expr | ast.stmt)
    before = cx.builder.load(whole.variable.value, whole.at, loc)
    for part in whole.parts:
        before = bits.read(cx.builder, before, part, loc)
    store(cx, whole, bits.replaced(cx.builder, before, where.parts[-1], value, loc), node)


def _scalar_variable(cx: Context, target: ast.Name) -> Variable:
    match cx.scopes.find(target.id):
        case Variable(value=value) as found if not value.array.rank:
            return found
        case Variable(value=value):
            raise KernelTypeError(
                f"'{target.id}' is an array ({value.type}) and an operator needs a scalar",
                loc=cx.loc(target),
                hint="write a loop over the elements",
            )
        case Scalar(counter=True, loc=loc):
            raise LanguageError(
                f"the loop variable '{target.id}' cannot be assigned to",
                loc=cx.loc(target),
                notes=[("the loop is here", loc)],
                hint="use another variable",
            )
        case None:
            raise cx.unknown(target)
    raise LanguageError(f"'{target.id}' cannot be assigned to", loc=cx.loc(target))


def writable(cx: Context, variable: Variable, node: ast.expr) -> None:
    """Refuse a constant array.

    Raises:
        LanguageError: it is one.
    """
    if variable.constant:
        raise LanguageError(
            f"'{ast.unparse(node)}' is a constant array and cannot be written to",
            loc=cx.loc(node),
            hint=f"copy it first: t: {variable.value.type} = {ast.unparse(node)}",
        )
