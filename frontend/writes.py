"""Whether a call may store to an array it is given, as far as the source tells.

Nothing is lowered: a call in a block that ``meta_if`` leaves out must not make a function.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

from allo_rtl.errors import LanguageError
from allo_rtl.frontend.capture import Kernel, capture
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.dataflow_dsl import plain
from allo_rtl.frontend.infer import resolve, root_name
from allo_rtl.frontend.scope import LocalKernel


def call_writes(cx: Context, node: ast.Call, name: str) -> bool:
    """Whether a call of a kernel is given the array ``name`` and may store to it."""
    func = _bare(node.func)
    found = cx.find(func.id) if isinstance(func, ast.Name) else None
    if isinstance(found, LocalKernel):
        return _writes(found.kernel, node, name, set())
    return _writes(_outer(cx.kernel, func), node, name, set())


def _bare(node: ast.expr) -> ast.expr:
    """A called expression without its parameters in square brackets."""
    return node.value if isinstance(node, ast.Subscript) else node


def _outer(kernel: Kernel, func: ast.expr) -> Kernel | None:
    thing = plain(resolve(kernel, func))
    try:
        return capture(thing) if inspect.isfunction(thing) else None
    except LanguageError:
        return None


def _writes(
    kernel: Kernel | None, node: ast.Call, name: str, seen: set[tuple[ast.AST, str]]
) -> bool:
    """Whether ``kernel``, called by ``node``, may store to what is called ``name`` there."""
    given = [n for n, a in enumerate(node.args) if root_name(a) == name]
    given_as = [k.arg for k in node.keywords if root_name(k.value) == name]
    if not given and not given_as:
        return False
    if kernel is None:
        return True
    spec = kernel.node.args
    params = [a.arg for a in (*spec.posonlyargs, *spec.args)]
    params = [params[n] for n in given if n < len(params)] + [k for k in given_as if k]
    return any(_stores(kernel, p, seen) for p in params)


def _stores(kernel: Kernel, param: str, seen: set[tuple[ast.AST, str]]) -> bool:
    """Whether a kernel may store to its argument."""
    if (kernel.node, param) in seen:
        return False
    seen.add((kernel.node, param))
    inner = {n.name for n in ast.walk(kernel.node) if isinstance(n, ast.FunctionDef)}
    for part in _parts(kernel.node.body):
        match part:
            case ast.Name(id=name, ctx=ast.Store()) if name == param:
                return True
            case ast.Subscript(ctx=ast.Store()) if root_name(part) == param:
                return True
            case ast.Call(func=func):
                is_inner = isinstance(bare := _bare(func), ast.Name) and bare.id in inner
                callee = None if is_inner else _outer(kernel, bare)
                if _writes(callee, part, param, seen):
                    return True
    return False


def _parts(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for node in body:
        yield from ast.walk(node)
