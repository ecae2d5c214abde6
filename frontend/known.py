"""Variables whose value is there before the kernel runs: ConstExpr and Stateful."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np

from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.frontend.builder import Operand
from allo_rtl.frontend.builder import constant as operand_of
from allo_rtl.frontend.capture import Kernel
from allo_rtl.frontend.constexpr import raw_of
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.infer import constant, elements_of
from allo_rtl.frontend.scope import Known
from allo_rtl.ir.arithmetic import number_of
from allo_rtl.ir.types import ArrayType, ScalarType, Type


def declare_constexpr(cx: Context, node: ast.AnnAssign, type_: Type) -> None:
    """``half: ConstExpr[int32] = N // 2``: the name is the number, converted to the type.

    Raises:
        LanguageError: there is no value, it is not a number, or the name is in use.
    """
    assert isinstance(node.target, ast.Name)
    assert isinstance(type_, ScalarType)
    name, loc = node.target.id, cx.loc(node.target)
    if node.value is None:
        raise LanguageError(
            f"the ConstExpr '{name}' has no value",
            loc=loc,
            hint=f"write {name}: ConstExpr[{type_}] = ...",
        )
    _unused(cx, node.target)
    cx.need_constant(node.value)
    value = constant(cx.kernel, node.value)
    raw = raw_number(cx.kernel, node.value, value, type_)
    cx.scopes.declare(name, Known(number_of(type_, raw), loc, type_))


def known_number(cx: Context, node: ast.expr, value: Any, type_: ScalarType) -> Operand:  # noqa: ANN401
    """A number that Python computed, as an operand of ``type_``."""
    return operand_of(raw_number(cx.kernel, node, value, type_), type_)


def declare_stateful(cx: Context, node: ast.AnnAssign, type_: Type) -> None:
    """``acc: int32 @ Stateful = 0``: a variable of the module, one for each instance.

    The initial value (zero without one) is a number, for an array also a list or numpy array of
    its shape.

    Raises:
        LanguageError: the initial value is not known before the kernel runs or does not fit, or
            the name is in use.
    """
    assert isinstance(node.target, ast.Name)
    array = type_ if isinstance(type_, ArrayType) else ArrayType(_scalar(type_), ())
    name = node.target.id
    _unused(cx, node.target)
    if array.is_dynamic:
        raise KernelTypeError(
            f"'{name}' is {array}: what is kept from run to run has a constant shape",
            loc=cx.loc(node.annotation),
        )
    data = (0,) * array.size if node.value is None else _initial(cx, node.value, array)
    made = cx.program.constant(f"{cx.name}_{name}", array, data, stateful=True)
    cx.scopes.declare(name, cx.get_global(made, node.target, name))


def _scalar(type_: Type) -> ScalarType:
    assert isinstance(type_, ScalarType)
    return type_


def _unused(cx: Context, target: ast.Name) -> None:
    if (found := cx.scopes.find(target.id)) is not None:
        raise LanguageError(
            f"the name '{target.id}' is in use",
            loc=cx.loc(target),
            notes=[("declared here", found.loc)],
            hint="choose another name",
        )


def _initial(cx: Context, node: ast.expr, array: ArrayType) -> tuple[int, ...]:
    cx.need_constant(node)
    value = constant(cx.kernel, node)
    if not isinstance(value, list | tuple | np.ndarray):
        return (raw_number(cx.kernel, node, value, array.element),) * array.size
    if isinstance(value, np.ndarray) and value.shape == array.shape:
        data = elements_of(value, array.element)
        if data is not None:
            return data
    try:
        numbers = np.array(value, dtype=object)
    except ValueError:
        numbers = np.array(None)
    if numbers.shape != array.shape:
        raise KernelTypeError(
            f"'{ast.unparse(node)}' has shape {numbers.shape}, and the variable is {array}",
            loc=cx.loc(node),
        )
    return tuple(raw_number(cx.kernel, node, number, array.element) for number in numbers.flat)


def raw_number(kernel: Kernel, node: ast.expr, value: Any, type_: ScalarType) -> int:  # noqa: ANN401
    """The int that stands for a Python number, the value of ``node``, in ``type_``.

    Raises:
        KernelTypeError: it is not a number.
    """
    try:
        raw = raw_of(type_, value)
    except TypeError:
        what = f"a number does not become {type_}"
        raise KernelTypeError(what, loc=kernel.source.loc(node)) from None
    if raw is None:
        raise KernelTypeError(
            f"'{ast.unparse(node)}' is {type(value).__name__} {value!r}, not a number",
            loc=kernel.source.loc(node),
        )
    return raw
