"""Calls of other kernels: finding the kernel, checking the arguments, making the operation."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.frontend import dataflow_dsl, dsl, overlaps, stream_arguments
from allo_rtl.frontend.builder import Operand
from allo_rtl.frontend.builder import constant as operand_of
from allo_rtl.frontend.capture import Kernel
from allo_rtl.frontend.context import Context, recursive
from allo_rtl.frontend.infer import constant, root_of, similar
from allo_rtl.frontend.known import raw_number
from allo_rtl.frontend.scope import LocalKernel, Streams, Variable
from allo_rtl.ir.ops import Func, Value
from allo_rtl.ir.types import ArrayType, ScalarType, StreamType

type Argument = Variable | Operand


@dataclass(frozen=True, slots=True)
class Callee:
    """What a call calls: the lowered function, and the kernel it comes from."""

    func: Func
    kernel: Kernel

    @property
    def params(self) -> tuple[Value, ...]:
        """The arguments that its text has."""
        spec = self.kernel.node.args
        count = len((*spec.posonlyargs, *spec.args, *spec.kwonlyargs))
        return self.func.args[:count]


def find_callee(cx: Context, node: ast.Call) -> Callee:
    """The kernel that a call calls, lowered.

    Raises:
        LanguageError: it is not a kernel.
    """
    loc, func, params = cx.loc(node), node.func, ()
    if isinstance(func, ast.Subscript):
        params, func = _parameters(cx, func), func.value
    if isinstance(func, ast.Name):
        found = cx.find(func.id)
        if isinstance(found, LocalKernel):
            kernel = _given_streams(cx, node, found.kernel)
            made = cx.program.function(found.kernel, kernel, cx.scopes, loc, params)
            return Callee(made, kernel)
        if found is not None:
            raise LanguageError(f"'{func.id}' is not a kernel", loc=cx.loc(func))
    thing = _outer_function(cx, func)
    kernel = cx.program.captured(thing)
    _has_types(cx, node, kernel)
    kernel = _given_streams(cx, node, kernel)
    return Callee(cx.program.function(inspect.unwrap(thing), kernel, None, loc, params), kernel)


def _given_streams(cx: Context, node: ast.Call, kernel: Kernel) -> Kernel:
    """The kernel as it is for streams that are closed, where it is given some."""
    closed = stream_arguments.closed(cx, node, kernel)
    return replace(kernel, closed=closed) if closed else kernel


def _parameters(cx: Context, node: ast.Subscript) -> tuple[Any, ...]:
    """The values of what is in square brackets."""
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    for part in parts:
        cx.need_constant(part)
    return tuple(constant(cx.kernel, p) for p in parts)


def _outer_function(cx: Context, node: ast.expr) -> FunctionType:
    """The Python function that an expression stands for."""
    thing, text, loc = dataflow_dsl.plain(cx.outside(node)), ast.unparse(node), cx.loc(node)
    if cx.missing(node):
        if text == cx.kernel.name:
            raise recursive(text, loc)
        if isinstance(node, ast.Name) and text in cx.scopes.ended:
            raise cx.unknown(node)
        owner = node.value if isinstance(node, ast.Attribute) else None
        if isinstance(owner, ast.Name) and isinstance(cx.scopes.find_outer(owner.id), Streams):
            raise cx.unknown(owner)
        known = {n: dataflow_dsl.plain(v) for n, v in cx.kernel.names.items()}
        kernels = [n for n, v in known.items() if inspect.isfunction(v)]
        possible = [*kernels, *BUILTINS, *(f"allo.{n}" for n in _OPERATIONS)]
        raise LanguageError(f"unknown kernel '{text}'", loc=loc, hint=similar(text, possible))
    if not inspect.isfunction(thing) or _is_ours(thing):
        if thing is dataflow_dsl.get_pid:
            hint = f"give the index a name first: i = {text}()"
            raise LanguageError(f"'{text}' stands in an expression", loc=loc, hint=hint)
        what = f"'{text}' cannot be called in a kernel"
        raise LanguageError(what, loc=loc, allowed=CALLABLE, hint=_instead(thing, text))
    return thing


BUILTINS = ("min", "max", "abs", "int", "float", "print")
_OPERATIONS = [n for n, f in vars(dsl).items() if inspect.isfunction(f) and not n.startswith("_")]
CALLABLE = "built-in functions (min, abs, allo.exp ...), functions that are kernels themselves"


def _instead(thing: object, text: str) -> str | None:
    """What to write for something that is no kernel."""
    name = getattr(thing, "__name__", "")
    module = (getattr(thing, "__module__", "") or "").partition(".")[0]
    if module in ("numpy", "math") and name in _OPERATIONS:
        return f"write allo.{name}(...)"
    if module in ("numpy", "math", "builtins") and callable(thing):
        return f"of constants alone: x: ConstExpr[int32] = {text}(...)"
    return None


def _has_types(cx: Context, node: ast.Call, kernel: Kernel) -> None:
    """Refuse a Python function that is not written as a kernel."""
    spec = kernel.node.args
    bare = [a for a in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs) if a.annotation is None]
    if bare:
        raise LanguageError(
            f"'{kernel.name}' is not a kernel: its argument '{bare[0].arg}' has no type",
            loc=cx.loc(node.func),
            hint=f"of constants alone: x: ConstExpr[int32] = {ast.unparse(node)}",
        )


def bind(cx: Context, node: ast.Call, callee: Callee) -> Mapping[int, ast.expr]:
    """The arguments of a call, in the order written, by the position of their parameter.

    Raises:
        LanguageError: one is given twice or is not a parameter, or one without default is missing.
    """
    spec = callee.kernel.node.args
    names = [a.arg for a in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)]
    by_place = len(spec.posonlyargs) + len(spec.args)
    star: list[ast.expr] = [a for a in node.args if isinstance(a, ast.Starred)]
    star += [k.value for k in node.keywords if k.arg is None]
    if star:
        raise LanguageError(
            "a star argument is not allowed in the call of a kernel",
            loc=cx.loc(star[0]),
            allowed="the arguments one by one",
        )
    if len(node.args) > by_place:
        raise _wrong_arguments(cx, node, callee, f"with {_count(len(node.args))}")
    bound: dict[int, ast.expr] = dict(enumerate(node.args))
    for keyword in node.keywords:
        name = str(keyword.arg)
        at = names.index(name) if name in names[len(spec.posonlyargs) :] else -1
        if at < 0 or at in bound:
            what = "is given twice" if at in bound else "is not an argument to be given by name"
            raise LanguageError(
                f"'{name}' {what}",
                loc=cx.loc(keyword),
                allowed=_signature(callee),
                hint=similar(name, [n for n in names if n != name]) if at < 0 else None,
            )
        bound[at] = keyword.value
    optional = default_values(callee.kernel)
    missing = [n for at, n in enumerate(names) if at not in bound and n not in optional]
    if missing:
        given = len(node.args) + len(node.keywords)
        text = f"without '{missing[0]}'" if node.keywords or optional else f"with {_count(given)}"
        raise _wrong_arguments(cx, node, callee, text)
    return bound


def _count(arguments: int) -> str:
    return f"{arguments} argument{'s' * (arguments != 1)}"


def _wrong_arguments(cx: Context, node: ast.Call, callee: Callee, how: str) -> KernelTypeError:
    return KernelTypeError(
        f"'{callee.func.name}' called {how}",
        loc=cx.loc(node),
        allowed=f"{len(callee.params)}: {_signature(callee)}",
    )


def _signature(callee: Callee) -> str:
    values = default_values(callee.kernel)
    parts = (
        f"{a.name}: {a.type}" + (f" = {ast.unparse(values[a.name])}" if a.name in values else "")
        for a in callee.params
    )
    return f"{callee.func.name}({', '.join(parts)})"


def default_values(kernel: Kernel) -> dict[str, ast.expr]:
    """The expressions of the defaults, by argument."""
    spec = kernel.node.args
    placed = [*spec.posonlyargs, *spec.args]
    with_default = placed[len(placed) - len(spec.defaults) :]
    found = {a.arg: e for a, e in zip(with_default, spec.defaults, strict=True)}
    named = zip(spec.kwonlyargs, spec.kw_defaults, strict=True)
    return found | {a.arg: e for a, e in named if e is not None}


def may_be_kernel(cx: Context, node: ast.expr) -> bool:
    """Whether the function of a call is a kernel, and not something of the language."""
    node = root_of(node)
    if isinstance(node, ast.Name) and (found := cx.find(node.id)) is not None:
        return isinstance(found, LocalKernel)
    thing = cx.outside(node)
    return inspect.isfunction(dataflow_dsl.plain(thing)) and not _is_ours(thing)


def _is_ours(thing: object) -> bool:
    """Whether something belongs to this package (the kernels of its library do not) or numpy."""
    module = getattr(thing, "__module__", "") or ""
    if module.startswith("allo_rtl.library"):
        return False
    return module.partition(".")[0] in ("allo_rtl", "numpy")


def make_call(
    cx: Context,
    node: ast.Call,
    callee: Callee,
    given: Mapping[int, tuple[ast.expr, Argument]],
    names: tuple[str, ...],
) -> tuple[Value, ...]:
    """Check the arguments, convert scalars, and make the call; its results are given.

    Args:
        cx: the kernel that calls.
        node: the call.
        callee: what it calls.
        given: what the arguments are, by the position of their parameter; others have a default.
        names: hints for the names of the results.

    Raises:
        KernelTypeError: the type of an array does not fit.
    """
    func, written = callee.func, cx.program.written(callee.func)
    values = tuple(
        argument(cx, *given[n], param, n in written) if n in given else _default(cx, callee, param)
        for n, param in enumerate(callee.params)
    )
    hints = (*names, *("" for _ in func.results))
    outs = tuple(Value(t, name) for t, name in zip(func.results, hints, strict=False))
    overlaps.check_call(cx, node, func, values)
    flags = stream_arguments.flags_of(cx, node, func, values)
    values = (*values, *(now for _, now in flags))
    cx.builder.call(func.name, values, outs, cx.loc(node))
    seen = len(outs) - len(flags)
    stream_arguments.note(cx, node, flags, list(outs[seen:]))
    return outs[:seen]


def _default(cx: Context, callee: Callee, param: Value) -> Value:
    """The default of an argument that is not given."""
    kernel, expr = callee.kernel, default_values(callee.kernel)[param.name]
    loc = kernel.source.loc(expr)
    if not isinstance(param.type, ScalarType):
        raise KernelTypeError(
            f"the default of '{param.name}' is for {param.type}",
            loc=loc,
            allowed="defaults of scalars",
        )
    known = kernel.defaults
    value = known[param.name] if param.name in known else constant(kernel, expr)
    raw = raw_number(kernel, expr, value, param.type)
    return cx.builder.value(operand_of(raw, param.type), loc)


def argument(cx: Context, node: ast.expr, arg: Argument, param: Value, written: bool) -> Value:
    """What a call passes for ``param``: ``arg``, a scalar converted.

    Raises:
        KernelTypeError: the type does not fit, or it is a constant and ``written`` to.
    """
    loc, text = cx.loc(node), ast.unparse(node)
    if isinstance(arg, Operand) and isinstance(param.type, ScalarType):
        return cx.builder.value(cx.builder.convert(arg, param.type, loc), loc)
    if isinstance(param.type, StreamType) and isinstance(arg, Variable):
        if arg.value.type == param.type:
            return arg.value
        raise KernelTypeError(
            f"'{text}' is {arg.value.type}, the argument '{param.name}' is {param.type}", loc=loc
        )
    if isinstance(arg, Operand) or not isinstance(param.type, ArrayType):
        found = arg.type if isinstance(arg, Operand) else arg.value.type
        raise KernelTypeError(
            f"'{text}' is {found}, the argument '{param.name}' is {param.type}", loc=loc
        )
    if not fits(arg.value.array, param.array):
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


def fits(found: ArrayType, wanted: ArrayType) -> bool:
    """Whether an array may be passed: its type is the same but for a dynamic first extent."""
    if not wanted.is_dynamic:
        return found == wanted
    return found.element == wanted.element and found.shape[1:] == wanted.shape[1:]
