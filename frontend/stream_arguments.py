"""Streams that kernels give to kernels they call: who closes them, and what is known of their end.

A kernel that is called knows of a stream what its caller knew, whether it is closed or at its end,
and its caller knows afterwards what it has found: flags go with the stream as further arguments,
and come back as further results, which the source does not see.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from allo_rtl.errors import LanguageError
from allo_rtl.frontend import channels, dataflow_dsl
from allo_rtl.frontend.builder import Operand
from allo_rtl.frontend.capture import Kernel
from allo_rtl.frontend.context import Context, Program
from allo_rtl.frontend.infer import resolve, root_name, root_of
from allo_rtl.frontend.stream_ends import flag
from allo_rtl.ir.ops import Func, Op, Return, Store, Value
from allo_rtl.ir.types import StreamType, Type, bool_

# --- who closes a stream --------------------------------------------------------------------


@dataclass(frozen=True)
class _Text:
    """A function in the text of a kernel: the kernel itself, or one defined in it."""

    kernel: Kernel
    node: ast.FunctionDef


def closes(cx: Context, name: str) -> ast.Call | None:
    """Where a kernel of a region closes the stream ``name`` (or one of an array), if one does.

    A kernel that it is passed to may do it, too: the answer is then the call.
    """
    return _closes(cx.program, _Text(cx.kernel, cx.kernel.node), name, set())


def _closes(
    program: Program, text: _Text, name: str, seen: set[tuple[ast.FunctionDef, str]]
) -> ast.Call | None:
    if (text.node, name) in seen:
        return None
    seen.add((text.node, name))
    for node in ast.walk(text.node):
        if not isinstance(node, ast.Call):
            continue
        func = node.func
        match func:
            case ast.Attribute(value=base, attr="close") if root_name(base) == name:
                return node
        places = [place for place, given in _given(node) if root_name(given) == name]
        callee = _callee(program, text, func) if places else None
        for place in places:
            param = _parameter(callee.node, place) if callee else None
            if callee and param and _closes(program, callee, param, seen):
                return node
    return None


def _given(node: ast.Call) -> Iterator[tuple[int | str, ast.expr]]:
    """The arguments of a call, with their position or name."""
    yield from enumerate(node.args)
    yield from ((k.arg, k.value) for k in node.keywords if k.arg is not None)


def _parameter(node: ast.FunctionDef, place: int | str) -> str | None:
    """The name of a parameter."""
    placed = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
    if isinstance(place, str):
        return place
    return placed[place] if place < len(placed) else None


def _callee(program: Program, text: _Text, func: ast.expr) -> _Text | None:
    """The function that is called: one defined in the same kernel, or another kernel."""
    func = root_of(func)
    if isinstance(func, ast.Name):
        for node in ast.walk(text.kernel.node):
            if isinstance(node, ast.FunctionDef) and node.name == func.id:
                return _Text(text.kernel, node)
    thing = dataflow_dsl.plain(resolve(text.kernel, func))
    if inspect.isfunction(thing):
        with suppress(LanguageError):  # no kernel; where it is called, that is said
            kernel = program.captured(inspect.unwrap(thing))
            return _Text(kernel, kernel.node)
    return None


def closed(cx: Context, node: ast.Call, kernel: Kernel) -> frozenset[str]:
    """The parameters of a kernel that a call gives streams which somebody closes."""
    found = set[str]()
    for place, given in _given(node):
        param = _parameter(kernel.node, place)
        if param and channels.is_one(cx, given) and channels.channel(cx, given).closes:
            found.add(param)
    return frozenset(found)


# --- what is known of their ends ------------------------------------------------------------


def with_flags(cx: Context, func: Func) -> Func:
    """The function of a kernel with the flags of streams that it is given, in and out."""
    position = {v: n for n, v in enumerate(func.args) if isinstance(v.type, StreamType)}
    own = [(stream, name) for stream, name in cx.flags if stream in position]
    if not own or cx.kernel.pe:  # no other kernel uses the end of a stream that a process has
        return func
    cx.program.flags[func.name] = tuple((position[stream], name) for stream, name in own)
    variables = [cx.flags[key] for key in own]
    before = [Value(bool_, f"{v.name}_before") for v in variables]
    starts: list[Op] = [
        Store(value=given, array=v, index=(), loc=func.loc)
        for given, v in zip(before, variables, strict=True)
    ]
    made, body = func.body[: len(cx.prologue)], func.body[len(cx.prologue) :]
    values: tuple[Value, ...] = ()
    if body and isinstance(body[-1], Return):
        values, body = body[-1].values, body[:-1]
    with cx.builder.block() as loads:
        after = [cx.builder.load(v, (), cx.loc(cx.kernel.node)).value for v in variables]
    values = (*values, *(v for v in after if v is not None))
    results: tuple[Type, ...] = (*func.results, *(bool_ for _ in own))
    end = Return(values=values, loc=func.loc)
    return Func(
        name=func.name, args=(*func.args, *before), results=results,
        body=(*made, *starts, *body, *loads, end), loc=func.loc,
    )  # fmt: skip


def flags_of(
    cx: Context, node: ast.Call, func: Func, values: tuple[Value, ...]
) -> list[tuple[Value, Value]]:
    """What is known of the streams that are passed: the variable, and its value now."""
    found = []
    for position, name in cx.program.flags.get(func.name, ()):
        variable = flag(cx, values[position], name, node)
        now = cx.builder.value(cx.builder.load(variable, (), cx.loc(node)), cx.loc(node))
        found.append((variable, now))
    return found


def note(cx: Context, node: ast.Call, flags: list[tuple[Value, Value]], outs: list[Value]) -> None:
    """Keep what a call has found of the streams that it was given."""
    for (variable, _), out in zip(flags, outs, strict=True):
        cx.builder.store(Operand(bool_, out), variable, (), cx.loc(node))
