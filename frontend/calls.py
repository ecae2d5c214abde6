"""Calls of other kernels: finding the kernel, checking the arguments, making the operation."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence

from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.frontend.builder import Operand
from allo_rtl.frontend.capture import capture
from allo_rtl.frontend.context import Context, recursive
from allo_rtl.frontend.infer import similar
from allo_rtl.frontend.scope import LocalKernel, Scopes, Variable
from allo_rtl.ir.ops import Func, Value
from allo_rtl.ir.types import ArrayType, ScalarType

type Callee = Func
type Argument = Variable | Operand


def find_callee(cx: Context, node: ast.Call) -> Callee:
    """The lowered function that a call calls.

    Raises:
        LanguageError: it is not a kernel, or has keyword or star arguments.
    """
    if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
        bad = node.keywords[0] if node.keywords else node.args[0]
        raise LanguageError(
            "keyword and star arguments are not allowed in the call of a kernel",
            loc=cx.loc(bad),
            allowed="positional arguments",
        )
    loc = cx.loc(node)
    if isinstance(node.func, ast.Name):
        found = cx.find(node.func.id)
        if isinstance(found, LocalKernel):
            scopes: Scopes | None = cx.scopes
            return cx.program.function(found.kernel, found.kernel, scopes, loc)
        if found is not None:
            raise LanguageError(f"'{node.func.id}' is not a kernel", loc=cx.loc(node.func))
    return _outer_callee(cx, node)


def _outer_callee(cx: Context, node: ast.Call) -> Callee:
    thing, text, loc = cx.outside(node.func), ast.unparse(node.func), cx.loc(node.func)
    if cx.missing(node.func):
        if text == cx.kernel.name:
            raise recursive(text, loc)
        kernels = [n for n, v in cx.kernel.names.items() if inspect.isfunction(v)]
        raise LanguageError(f"unknown kernel '{text}'", loc=loc, hint=similar(text, kernels))
    module = getattr(thing, "__module__", "") or ""
    if not inspect.isfunction(thing) or module.partition(".")[0] == "allo_rtl":
        raise LanguageError(
            f"'{text}' cannot be called in a kernel",
            loc=loc,
            allowed="min, max, abs, int, and functions that are kernels themselves",
        )
    return cx.program.function(inspect.unwrap(thing), capture(thing), None, loc)


def make_call(
    cx: Context, node: ast.Call, callee: Callee, args: Sequence[Argument], names: tuple[str, ...]
) -> tuple[Value, ...]:
    """Check the arguments, convert scalars, and make the call; its results are given.

    Raises:
        KernelTypeError: the number, or the type of an array, does not fit.
    """
    if len(args) != len(callee.args):
        signature = ", ".join(f"{a.name}: {a.type}" for a in callee.args)
        raise KernelTypeError(
            f"'{callee.name}' called with {len(args)} argument{'s' * (len(args) != 1)}",
            loc=cx.loc(node),
            allowed=f"{len(callee.args)}: {callee.name}({signature})",
        )
    written = cx.program.written(callee)
    values = tuple(
        _argument(cx, expr, arg, param, n in written)
        for n, (expr, arg, param) in enumerate(zip(node.args, args, callee.args, strict=True))
    )
    hints = (*names, *("" for _ in callee.results))
    outs = tuple(Value(t, name) for t, name in zip(callee.results, hints, strict=False))
    cx.builder.call(callee.name, values, outs, cx.loc(node))
    return outs


def _argument(cx: Context, node: ast.expr, arg: Argument, param: Value, written: bool) -> Value:
    loc, text = cx.loc(node), ast.unparse(node)
    if isinstance(arg, Operand) and isinstance(param.type, ScalarType):
        return cx.builder.value(cx.builder.convert(arg, param.type, loc), loc)
    if isinstance(arg, Operand) or not isinstance(param.type, ArrayType):
        found = arg.type if isinstance(arg, Operand) else arg.value.type
        raise KernelTypeError(
            f"'{text}' is {found}, the argument '{param.name}' is {param.type}", loc=loc
        )
    if not _fits(arg.value.array, param.array):
        raise KernelTypeError(
            f"'{text}' is {arg.value.type}, the argument '{param.name}' is {param.type}",
            loc=loc,
            hint=f"copy it first: t: {param.type} = {text}"
            if arg.value.array.shape == param.array.shape
            else None,
        )
    if arg.constant and written:
        raise LanguageError(
            f"the kernel writes to its argument '{param.name}', and '{text}' is a constant",
            loc=loc,
            hint=f"copy it first: t: {param.type} = {text}",
        )
    return arg.value


def _fits(found: ArrayType, wanted: ArrayType) -> bool:
    """Whether an array may be passed: its type is the same but for a dynamic first extent."""
    if not wanted.is_dynamic:
        return found == wanted
    return found.element == wanted.element and found.shape[1:] == wanted.shape[1:]
