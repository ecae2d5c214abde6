"""Statements: declarations, assignments, branches; loops are in :mod:`.loops`."""

from __future__ import annotations

import ast
import types
from collections.abc import Mapping, Sequence
from functools import lru_cache

from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.frontend import arrays, channels, named_ops, regions, streams, tensors
from allo_rtl.frontend import expressions as ex
from allo_rtl.frontend.builder import Operand
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.declarations import (
    annotated,
    call_result,
    declare_scalar,
    wrong_count,
)
from allo_rtl.frontend.infer import root_name
from allo_rtl.frontend.jumps import jump, jumps, never_ends, while_set
from allo_rtl.frontend.loops import for_loop, no_else
from allo_rtl.frontend.meta import with_block
from allo_rtl.frontend.places import array_place, load, place, store
from allo_rtl.frontend.scope import Cascade, LocalKernel, Variable
from allo_rtl.frontend.simulation import assertion, is_print, print_line
from allo_rtl.frontend.stream_loops import each as each_value
from allo_rtl.frontend.while_loops import while_loop
from allo_rtl.ir.ops import If, Value
from allo_rtl.ir.types import ArrayType

_UNSUPPORTED: Mapping[type[ast.stmt], tuple[str, str | None]] = {
    ast.Try: ("'try' is not supported in a kernel", None),
    ast.TryStar: ("'try' is not supported in a kernel", None),
    ast.AsyncWith: ("'async' is not supported in a kernel", None),
    ast.TypeAlias: ("'type' is not supported in a kernel", "define the type outside the kernel"),
    ast.Raise: ("'raise' is not supported in a kernel", 'write an assertion: assert x > 0, "..."'),
    ast.Delete: ("'del' is not supported in a kernel", "a name ends with its block by itself"),
    ast.Global: ("'global' is not supported in a kernel", "pass the variable as an argument"),
    ast.Nonlocal: ("'nonlocal' is not supported in a kernel", "pass it as an argument"),
    ast.ClassDef: ("a class is not supported in a kernel", None),
    ast.Import: ("'import' is not supported in a kernel", "import outside the kernel"),
    ast.ImportFrom: ("'import' is not supported in a kernel", "import outside the kernel"),
    ast.Match: ("'match' is not supported in a kernel", "write 'if' and 'elif'"),
    ast.AsyncFor: ("'async' is not supported in a kernel", None),
    ast.AsyncFunctionDef: ("'async' is not supported in a kernel", None),
}

ALLOWED = "assignments, loops, branches, calls, nested kernels, assert, print, return"


_BLOCKS = (ast.For, ast.While, ast.If, ast.With)


def block(cx: Context, body: Sequence[ast.stmt]) -> bool:
    """Lower statements; an error in one is noted, and the next is looked at.

    What cannot be reached is not looked at.

    Returns:
        Whether every way through the statements ends in a return or jump.
    """
    cx.chain = None
    return _sequence(cx, body)


def _sequence(cx: Context, body: Sequence[ast.stmt]) -> bool:
    for n, node in enumerate(body):
        if not isinstance(node, ast.With):
            cx.chain = None
        left = isinstance(node, ast.Return)
        try:
            left = statement(cx, node)
        except LanguageError as error:
            if not isinstance(error, Cascade):
                cx.program.errors.append(error)
            if not isinstance(node, _BLOCKS):  # What these declare ends with them.
                cx.scopes.broken |= assigned_names([node])
        if left:
            return True
        if (rest := body[n + 1 :]) and jumps(node) and (frame := cx.frames[-1]):
            with while_set(cx.builder, frame.go, cx.loc(node)):
                return _sequence(cx, rest)
    return False


def assigned_names(body: Sequence[ast.stmt]) -> set[str]:
    """Names that the statements, or those inside them, give a value or a definition."""
    return set[str]().union(*map(_assigned, body))


@lru_cache(maxsize=1 << 12)
def _assigned(node: ast.stmt) -> frozenset[str]:
    """Of one statement, which many processes may have in common."""
    found: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            found.add(part.id)
        elif isinstance(part, ast.FunctionDef):
            found.add(part.name)
    return frozenset(found)


def changed_names(body: Sequence[ast.stmt]) -> set[str]:
    """Names that the statements, or those inside them, give a value, or a part of one."""
    return assigned_names(body).union(*map(_partly_assigned, body))


@lru_cache(maxsize=1 << 12)
def _partly_assigned(node: ast.stmt) -> frozenset[str]:
    """Names of which one statement assigns a part."""
    found: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Subscript) and isinstance(part.ctx, ast.Store):
            name = root_name(part)
            found |= {name} if name is not None else set()
    return frozenset(found)


def statement(cx: Context, node: ast.stmt) -> bool:
    """Lower one statement; whether every way through it ends in a return or jump.

    Raises:
        LanguageError: it is not in the language.
    """
    if cx.is_region:
        regions.check_statement(cx, node)
    match node:
        case ast.AnnAssign() if regions.is_stream(cx, node.annotation):
            regions.declare_stream(cx, node)
        case ast.AnnAssign():
            annotated(cx, node)
        case ast.Assign(targets=[target], value=value) if regions.is_get_pid(cx, value):
            regions.get_pid(cx, target, value)
        case ast.Assign():
            _assign(cx, node)
        case ast.AugAssign():
            _aug_assign(cx, node)
        case ast.For() if channels.is_one(cx, node.iter):
            source = channels.closing(cx, node.iter, node.iter)
            each_value(cx, node, source, lambda: block(cx, node.body))
        case ast.For():
            for_loop(cx, node, lambda: block(cx, node.body))
        case ast.With():
            return with_block(cx, node, lambda body: block(cx, body))
        case ast.While():
            no_else(cx, node)
            while_loop(cx, node, lambda: block(cx, node.body))
            return never_ends(node)
        case ast.Break() | ast.Continue():
            jump(cx, node)
            return True
        case ast.If():
            return _if(cx, node)
        case ast.Expr():
            _expression(cx, node)
        case ast.FunctionDef():
            if node.decorator_list:
                regions.processes(cx, node)
            else:
                cx.scopes.declare(node.name, LocalKernel(cx.inner_kernel(node), cx.loc(node)))
        case ast.Assert():
            assertion(cx, node)
        case ast.Pass():
            pass
        case ast.Return():
            if cx.leave is not None:
                cx.leave(node)
            return True
        case _:
            what, hint = _UNSUPPORTED.get(
                type(node), (f"'{type(node).__name__}' is not supported in a kernel", None)
            )
            raise LanguageError(what, loc=cx.loc(node), allowed=ALLOWED, hint=hint)
    return False


def _expression(cx: Context, node: ast.Expr) -> None:
    match node.value:
        case ast.Constant(value=str()) | ast.Constant(value=types.EllipsisType()):
            pass  # A docstring, or '...' for an empty body.
        case ast.Call(func=func) if is_print(cx, func):
            print_line(cx, node.value)
        case ast.Call() if streams.statement(cx, node.value):
            pass
        case ast.Call(func=func) if not (ex.builtin_name(cx, func) or named_ops.find(cx, func)):
            ex.call(cx, node.value)
        case ast.Yield() | ast.YieldFrom() | ast.Await():
            ex.scalar(cx, node.value)  # refuses it
        case _:
            raise LanguageError(
                f"the value of '{ast.unparse(node)}' is not used",
                loc=cx.loc(node),
                hint="assign it to a variable",
            )


def _if(cx: Context, node: ast.If) -> bool:
    test = cx.builder.value(ex.condition(cx, node.test), cx.loc(node.test))
    branches, left = [], []
    for body in (node.body, node.orelse):
        with cx.builder.block() as ops, cx.scopes.block():
            left.append(block(cx, body))
        branches.append(tuple(ops))
    cx.builder.emit(If(condition=test, then=branches[0], orelse=branches[1], loc=cx.loc(node)))
    return all(left)


def _assign(cx: Context, node: ast.Assign) -> None:
    if len(node.targets) > 1:
        _assign_chain(cx, node)
        return
    target = node.targets[0]
    if isinstance(target, ast.Tuple | ast.List):
        _assign_tuple(cx, target, node.value)
    elif isinstance(target, ast.Name) and cx.scopes.find(target.id) is None:
        _assign_new(cx, target, node.value)
    elif isinstance(node.value, ast.Dict):
        # The place says which struct it is, but is computed after the value.
        with cx.builder.block() as ops:
            if (view := array_place(cx, target)) is not None:
                raise KernelTypeError(
                    f"a dictionary makes one struct, and '{ast.unparse(target)}' is an array",
                    loc=cx.loc(node.value),
                    hint="give it to each element in a loop",
                )
            where = place(cx, target)
        value = ex.scalar_as(cx, node.value, where.type)
        cx.builder.blocks[-1].extend(ops)
        store(cx, where, value, target)
    else:
        given = arrays.anything(cx, node.value)
        if (view := array_place(cx, target)) is not None:
            tensors.store(cx, view, given, cx.loc(node.value))
        elif isinstance(given, Operand):
            store(cx, place(cx, target), given, target)
        else:
            raise ex.array_as_scalar(cx, node.value, given.type)


def _assign_chain(cx: Context, node: ast.Assign) -> None:
    """``a = b = 0``: the scalar is computed once, and stored from left to right."""
    parts = [t for t in node.targets if isinstance(t, ast.Tuple | ast.List)]
    if parts or isinstance(node.value, ast.List | ast.Dict) or arrays.rank(cx, node.value):
        raise LanguageError(
            "a chained assignment is for one scalar",
            loc=cx.loc(node),
            hint="write one assignment for each target",
        )
    given = ex.scalar(cx, node.value)
    for target in node.targets:
        _put_result(cx, target, given)


def _assign_new(cx: Context, target: ast.Name, value: ast.expr) -> None:
    """``x = ...`` for a name that is not known yet: its type is that of the value."""
    if isinstance(value, ast.List):
        raise LanguageError(
            f"'{target.id}' is not declared, and the value is a list",
            loc=cx.loc(target),
            hint=f"declare it with its type, to copy: {target.id}: int32[...] = "
            f"{ast.unparse(value)}",
        )
    if arrays.rank(cx, value):
        arrays.declare(cx, target, value)
        return
    given = call_result(cx, value, target.id) or ex.scalar(cx, value)
    _bind(cx, target, given)


def _bind(cx: Context, target: ast.Name, given: Value | Operand) -> None:
    if isinstance(given, Operand):
        declare_scalar(cx, target, given.type, given)
    else:
        cx.scopes.declare(target.id, Variable(given, cx.loc(target)))


def _assign_tuple(cx: Context, target: ast.Tuple | ast.List, value: ast.expr) -> None:
    """``a, b = ...``: all values are computed before any is stored."""
    for part in target.elts:
        if isinstance(part, ast.Starred | ast.Tuple | ast.List):
            raise LanguageError(
                f"nothing can be unpacked to '{ast.unparse(part)}'",
                loc=cx.loc(part),
                allowed="names and elements: a, B[i] = ...",
            )
    given: list[Value | Operand] = []
    names = tuple(map(_name, target.elts))
    if isinstance(value, ast.Tuple | ast.List):
        for part in value.elts:
            given.append(arrays.snapshot(cx, part))
    elif (pair := streams.two(cx, value, "".join(names[:1]))) is not None:
        given += pair
    elif isinstance(value, ast.Call) and ex.builtin_name(cx, value.func) is None:
        for out in ex.call(cx, value, names):
            is_array = isinstance(out.type, ArrayType)
            given.append(out if is_array else Operand(out.scalar, out))
    else:
        raise LanguageError(
            f"'{ast.unparse(value)}' cannot be unpacked",
            loc=cx.loc(value),
            allowed="a tuple, or the call of a kernel with several results",
        )
    if len(given) != len(target.elts):
        raise wrong_count(cx, value, len(given), len(target.elts))
    for part, one in zip(target.elts, given, strict=True):
        _put_result(cx, part, one)


def _name(target: ast.expr) -> str:
    """The name that is assigned to, or none."""
    return target.id if isinstance(target, ast.Name) else ""


def _put_result(cx: Context, target: ast.expr, given: Value | Operand) -> None:
    if isinstance(target, ast.Name) and cx.scopes.find(target.id) is None:
        _bind(cx, target, given)
        return
    view = array_place(cx, target)
    if isinstance(given, Operand):
        if view is None:
            store(cx, place(cx, target), given, target)
        else:
            tensors.store(cx, view, given, cx.loc(target))
        return
    if view is None or view.shape != given.array.shape:
        raise KernelTypeError(
            f"the result is {given.type}, which '{ast.unparse(target)}' cannot hold",
            loc=cx.loc(target),
        )
    value = tensors.of_variable(cx, Variable(given, cx.loc(target)), cx.loc(target))
    tensors.store(cx, view, value, cx.loc(target))


def _aug_assign(cx: Context, node: ast.AugAssign) -> None:
    """``x op= e``: computed like ``x op e``, stored in the type of ``x``."""
    if (view := array_place(cx, node.target)) is not None:
        arrays.augment(cx, view, node)
        return
    where = place(cx, node.target)
    left = load(cx, where, node.target)
    store(cx, where, ex.binary(cx, node, left, ex.scalar(cx, node.value)), node)
