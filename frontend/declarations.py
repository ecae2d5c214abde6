"""Declarations: ``x: int32 = 3``, ``B: int32[4] = A``, constant arrays, and whole-array copies."""

from __future__ import annotations

import ast

from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.frontend import arrays, channels, initial
from allo_rtl.frontend import expressions as ex
from allo_rtl.frontend.annotations import declared
from allo_rtl.frontend.builder import Operand
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.known import declare_constexpr, declare_stateful
from allo_rtl.frontend.scope import Known, LocalKernel, Scalar, Streams, Variable
from allo_rtl.frontend.views import View
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import ArrayType, ScalarType


def annotated(cx: Context, node: ast.AnnAssign) -> None:
    """``x: T`` and ``x: T = value``: a declaration, or an assignment if ``x`` is known as a T.

    Elements of an array declared without a value, or scalars, are zero when the kernel starts.

    Raises:
        LanguageError: the target is not a name, or has another type already.
    """
    if not isinstance(node.target, ast.Name):
        raise LanguageError(
            "only a name can be declared",
            loc=cx.loc(node.target),
            hint="leave the annotation out of the assignment to an element",
        )
    cx.need_constant(node.annotation)
    if isinstance(node.value, ast.List):
        cx.need_constant(node.value)
    said = declared(cx.kernel, node.annotation)
    type_ = said.type
    if said.layout is not None:
        raise LanguageError(
            "a variable of a kernel is all its own",
            loc=cx.loc(node.annotation),
            hint="a layout is for the arguments of a @df.kernel",
        )
    if said.stateful or said.constexpr:
        (declare_stateful if said.stateful else declare_constexpr)(cx, node, type_)
        return
    known = _same_variable(cx, node.target, type_)
    if isinstance(type_, ScalarType):
        _declare_scalar(cx, node, type_, known)
    elif isinstance(type_, ArrayType):
        _declare_array(cx, node, node.target, type_, known)


def _same_variable(cx: Context, target: ast.Name, type_: object) -> Variable | None:
    """The variable of that name if there is one; it must have the type."""
    found = cx.scopes.find(target.id)
    if found is None:
        return None
    match found:
        case Variable(value=value) if _declared_type(value) == type_ and not found.constant:
            return found
        case Variable(value=value):
            what = f"is {_declared_type(value)} already"
        case Scalar(counter=True):
            what = "is a loop variable"
        case Scalar(value=value):
            what = f"is an argument ({value.type})"
        case LocalKernel():
            what = "is a kernel"
        case Streams():
            what = "is a stream"
        case Known():
            what = "is a constant"
    raise KernelTypeError(
        f"'{target.id}' {what} and cannot be declared as {type_}",
        loc=cx.loc(target),
        notes=[("declared here", found.loc)],
        hint="choose another name",
    )


def _declared_type(value: Value) -> ArrayType | ScalarType:
    return value.array if value.array.rank else value.array.element


def declare_scalar(
    cx: Context, target: ast.Name, type_: ScalarType, initial: Operand | None
) -> None:
    """Make a scalar variable known in this block, with its initial value."""
    loc = cx.loc(target)
    variable = cx.builder.alloc(ArrayType(type_, ()), target.id, loc)
    if initial is not None:
        cx.builder.store(initial, variable, (), loc)
    cx.scopes.declare(target.id, Variable(variable, loc))


def _declare_scalar(
    cx: Context, node: ast.AnnAssign, type_: ScalarType, known: Variable | None
) -> None:
    assert isinstance(node.target, ast.Name)
    initial = ex.scalar_as(cx, node.value, type_) if node.value else None
    if known is None:
        declare_scalar(cx, node.target, type_, initial)
    elif initial is not None:
        cx.builder.store(initial, known.value, (), cx.loc(node.target))


def _declare_array(
    cx: Context, node: ast.AnnAssign, target: ast.Name, type_: ArrayType, known: Variable | None
) -> None:
    loc = cx.loc(target)
    if type_.is_dynamic:
        raise KernelTypeError(
            f"'{target.id}' is {type_}: only arguments may have a dynamic extent",
            loc=cx.loc(node.annotation),
        )
    if node.value is None:
        if known is None:
            cx.scopes.declare(target.id, Variable(cx.builder.alloc(type_, target.id, loc), loc))
    elif isinstance(node.value, ast.List):
        _from_list(cx, target, node.value, type_, known)
    elif known is not None:
        arrays.assign(cx, View.whole(known), node.value)
    elif (data := initial.outer_data(cx, node.value, type_)) is not None:
        initial.declare(cx, target, type_, data)
    else:
        array = arrays.into_array(cx, node.value, type_, target.id)
        cx.scopes.declare(target.id, Variable(array, loc))


def _from_list(
    cx: Context, target: ast.Name, value: ast.List, type_: ArrayType, known: Variable | None
) -> None:
    data = initial.list_data(cx, value, type_)
    if known is None:
        initial.declare(cx, target, type_, data)
    else:
        initial.copy_data(cx, target, known, data, initial=False)


def call_result(cx: Context, node: ast.expr, name: str = "") -> Value | Operand | None:
    """The one result of a call of a kernel; None when ``node`` is not such a call."""
    if not isinstance(node, ast.Call) or ex.builtin_name(cx, node.func) is not None:
        return None
    if channels.method(cx, node) is not None:
        return None
    outs = ex.call(cx, node, (name,))
    if len(outs) != 1:
        raise wrong_count(cx, node, len(outs), 1)
    return outs[0] if isinstance(outs[0].type, ArrayType) else Operand(outs[0].scalar, outs[0])


def wrong_count(cx: Context, node: ast.expr, found: int, wanted: int) -> LanguageError:
    """The error for an unpacking whose numbers of values and targets differ."""
    text = ast.unparse(node.func) if isinstance(node, ast.Call) else ast.unparse(node)
    return KernelTypeError(
        f"'{text}' gives {found} value{'s' * (found != 1)} for {wanted} "
        f"target{'s' * (wanted != 1)}",
        loc=cx.loc(node),
    )
