"""What an assignment stores to: a variable, an element, or some bits or a field of one.

A part is stored by reading the whole, replacing the part and storing the whole again.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace

from allo_rtl.errors import LanguageError
from allo_rtl.frontend import arrays, bits, selection
from allo_rtl.frontend import expressions as ex
from allo_rtl.frontend.builder import Operand
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.scope import Known, Scalar, Variable
from allo_rtl.frontend.views import View
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
        case ast.Subscript() if _is_array(cx, target.value):
            view = arrays.place(cx, target)
            writable(cx, view.variable, target.value)
            return Place(view.variable, view.at(()))
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


def array_place(cx: Context, target: ast.expr) -> View | None:
    """The array, or part of one, that a target stands for; None when it is a scalar.

    Raises:
        LanguageError: it cannot be assigned to.
    """
    if isinstance(target, ast.Subscript):
        if not _is_array(cx, target.value) or not arrays.rank(cx, target):
            return None
        view = arrays.place(cx, target)
        writable(cx, view.variable, target.value)
        return view
    if not isinstance(target, ast.Name):
        return None
    found = cx.scopes.find(target.id) or cx.outer_array(target)
    if not isinstance(found, Variable) or not found.value.array.rank:
        return None
    writable(cx, found, target)
    return View.whole(found)


def _is_array(cx: Context, node: ast.expr) -> bool:
    """Whether what is subscripted is an array; a name must stand for something."""
    if isinstance(node, ast.Name) and cx.scopes.find(node.id) is None and not arrays.rank(cx, node):
        if cx.scopes.find_outer(node.id) is not None:
            raise cx.unknown(node)
        raise LanguageError(
            f"the array '{node.id}' is not declared",
            loc=cx.loc(node),
            hint=f"declare it first: {node.id}: int32[...] = 0",
        )
    return arrays.rank(cx, node) > 0


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
        case Scalar(counter=True, loc=loc):
            raise LanguageError(
                f"the loop variable '{target.id}' cannot be assigned to",
                loc=cx.loc(target),
                notes=[("the loop is here", loc)],
                hint="use another variable",
            )
        case Known(loc=loc):
            raise LanguageError(
                f"'{target.id}' is a constant and cannot be assigned to",
                loc=cx.loc(target),
                notes=[("declared here", loc)],
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
