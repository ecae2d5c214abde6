"""Initial values that are known when a kernel is captured: list literals and numpy arrays."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from allo_rtl.errors import KernelTypeError
from allo_rtl.frontend import expressions as ex
from allo_rtl.frontend import named_ops, tensors
from allo_rtl.frontend.constexpr import raw_of
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.infer import constant, elements_of, root_name, root_of
from allo_rtl.frontend.scope import Known, Variable
from allo_rtl.frontend.views import View
from allo_rtl.frontend.writes import call_writes
from allo_rtl.ir.types import ArrayType, ScalarType, Struct


def outer_data(cx: Context, node: ast.expr, type_: ArrayType) -> tuple[int, ...] | None:
    """The elements of a numpy array of the surrounding Python, or of a constant part of it.

    None when the expression is something else.

    Raises:
        KernelTypeError: its shape is not that of ``type_``, or its dtype has no numbers.
    """
    outer = _outer_array(cx, node)
    if outer is None:
        return None
    what = None
    if outer.shape != type_.shape:
        what = f"it has the shape {outer.shape}"
    elif (data := elements_of(outer, type_.element)) is None:
        what = f"its dtype is {outer.dtype}"
    else:
        return data
    raise KernelTypeError(
        f"'{ast.unparse(node)}' cannot initialise {type_}: {what}", loc=cx.loc(node)
    )


def _outer_array(cx: Context, node: ast.expr) -> npt.NDArray[Any] | None:
    root = node
    while isinstance(root, ast.Subscript | ast.Attribute):
        root = root.value
    names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
    own = any(not isinstance(cx.find(n.id), Known | None) for n in names)
    if own or not isinstance(root, ast.Name):
        return None
    if isinstance(node, ast.Subscript):
        if not isinstance(cx.outside(root_of(node)), np.ndarray):
            return None
        found = constant(cx.kernel, node)
    else:
        found = cx.outside(node)
    return found if isinstance(found, np.ndarray) and found.ndim else None


def list_data(cx: Context, node: ast.List, type_: ArrayType) -> tuple[int, ...]:
    """The row-major elements of a nested list literal, converted to the element type.

    Raises:
        LanguageError: an element is not a constant number, or the shape is not the type's.
    """
    cx.need_constant(node)
    return tuple(_elements(cx, node, type_, type_.shape))


def _elements(
    cx: Context, node: ast.expr, type_: ArrayType, shape: tuple[int, ...]
) -> Iterator[int]:
    if not shape:
        yield _number(cx, node, type_.element)
        return
    parts = node.elts if isinstance(node, ast.List | ast.Tuple) else None
    if parts is None or len(parts) != shape[0]:
        count = 0 if parts is None else len(parts)
        found = f"{count} element{'s' * (count != 1)}" if parts else f"'{ast.unparse(node)}'"
        raise KernelTypeError(
            f"{found} where {type_} needs a list of {shape[0]}", loc=cx.loc(node)
        )
    for inner in parts:
        yield from _elements(cx, inner, type_, shape[1:])


def _number(cx: Context, node: ast.expr, element: ScalarType) -> int:
    value = constant(cx.kernel, node)
    try:
        raw = raw_of(element, value)
    except TypeError:
        raw = None
    if raw is None:
        kind = "value" if isinstance(element, Struct) else "number"
        raise KernelTypeError(
            f"'{ast.unparse(node)}' is not a {kind} of type {element}", loc=cx.loc(node)
        )
    return raw


def declare(cx: Context, target: ast.Name, type_: ArrayType, data: tuple[int, ...]) -> None:
    """A constant array under the name, or a variable that starts as a copy of it."""
    loc = cx.loc(target)
    if not is_written(cx, target.id):
        made = cx.program.constant(target.id, type_, data)
        cx.scopes.declare(target.id, cx.get_global(made, target, target.id))
        return
    variable = Variable(cx.builder.alloc(type_, target.id, loc), loc)
    copy_data(cx, target, variable, data, initial=True)
    cx.scopes.declare(target.id, variable)


def copy_data(
    cx: Context, target: ast.Name, variable: Variable, data: tuple[int, ...], *, initial: bool
) -> None:
    """Store constants to every element of a variable."""
    type_, loc = variable.value.array, cx.loc(target)
    made = cx.program.constant(f"{target.id}_const", type_, data)
    value = tensors.of_variable(cx, cx.get_global(made, target), loc)
    tensors.store(cx, View.whole(variable), value, loc, initial=initial)


# --- what becomes of a name ----------------------------------------------------------------


def is_written(cx: Context, name: str) -> bool:
    """Whether an array of the kernel may be stored to, returned or replaced after its start."""
    stores = 0
    for part in ast.walk(cx.kernel.node):
        match part:
            case ast.Name(id=found, ctx=ast.Store()) if found == name:
                stores += 1
            case ast.Subscript(ctx=ast.Store()) if root_name(part) == name:
                return True
            case ast.Return(value=ast.expr() as value):
                if any(isinstance(n, ast.Name) and n.id == name for n in _plain(value)):
                    return True
            case ast.Call() if _call_writes(cx, part, name):
                return True
    return stores > 1


def _plain(value: ast.expr) -> list[ast.expr]:
    return list(value.elts) if isinstance(value, ast.Tuple) else [value]


def _call_writes(cx: Context, node: ast.Call, name: str) -> bool:
    """Whether a call passes the array, or part of it, and the kernel called stores to it."""
    if ex.builtin_name(cx, node.func) or named_ops.find(cx, node.func):
        return False
    return call_writes(cx, node, name)
