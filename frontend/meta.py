"""Blocks decided when the kernel is captured: ``meta_if``, ``meta_elif``, ``meta_else``,
``meta_for``.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from allo_rtl.errors import LanguageError
from allo_rtl.frontend import template
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.infer import MISSING, as_int, constant
from allo_rtl.frontend.jumps import leaves
from allo_rtl.frontend.scope import Known

type Lower = Callable[[Sequence[ast.stmt]], bool]

_KINDS = {
    "meta_if": template.meta_if,
    "meta_elif": template.meta_elif,
    "meta_else": template.meta_else,
    "meta_for": template.meta_for,
}
ALLOWED = "meta_if(...), meta_elif(...), meta_else(), meta_for(...) as i"


def with_block(cx: Context, node: ast.With, lower: Lower) -> bool:
    """Lower a ``with`` statement; ``lower`` lowers the statements inside.

    Returns:
        Whether every way through what is taken of it ends in a return or jump.

    Raises:
        LanguageError: it is none of the four, or not in its place.
    """
    if len(node.items) > 1:
        # `with a, b:` is `with a: with b:`.
        inner = ast.copy_location(ast.With(items=node.items[1:], body=node.body), node)
        node = ast.copy_location(ast.With(items=node.items[:1], body=[inner]), node)
    chain, cx.chain = cx.chain, None
    item = node.items[0]
    call = item.context_expr
    kind = _kind(cx, call)
    if kind is None:
        raise LanguageError(
            f"'with {ast.unparse(item)}' is not in the language", loc=cx.loc(call), allowed=ALLOWED
        )
    assert isinstance(call, ast.Call)
    if kind == "meta_for":
        return _meta_for(cx, node, call, item.optional_vars, lower)
    if item.optional_vars is not None:
        raise LanguageError(f"'{kind}' gives no value", loc=cx.loc(item.optional_vars))
    if kind != "meta_if" and chain is None:
        raise LanguageError(
            f"'{kind}' without a 'meta_if' just before it",
            loc=cx.loc(call),
            hint="blocks of one decision stand directly after each other",
        )
    already = kind != "meta_if" and chain is True
    cx.chain = True  # So it stays when the condition has an error: nothing that follows is taken.
    taken = not already and _condition(cx, call, kind)
    left = False
    if taken:
        with cx.scopes.block():
            left = lower(node.body)
    cx.chain = None if kind == "meta_else" else taken or already
    return left


def _kind(cx: Context, node: ast.expr) -> str | None:
    """Which of the four a ``with`` is for; None for anything else."""
    if not isinstance(node, ast.Call):
        return None
    func, thing = node.func, cx.outside(node.func)
    name = func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")
    for known, made in _KINDS.items():
        if thing is made or (thing is MISSING and name == known):
            return known
    return None


def _condition(cx: Context, call: ast.Call, kind: str) -> bool:
    if kind == "meta_else" and not call.args:
        return True
    if kind == "meta_else" or len(call.args) != 1 or call.keywords:
        wanted = "meta_else()" if kind == "meta_else" else f"{kind}(condition)"
        raise LanguageError(
            f"'{ast.unparse(call)}' has the wrong arguments", loc=cx.loc(call), allowed=wanted
        )
    cx.need_constant(call.args[0])
    return bool(constant(cx.kernel, call.args[0]))


def _meta_for(
    cx: Context, node: ast.With, call: ast.Call, target: ast.expr | None, lower: Lower
) -> bool:
    if not isinstance(target, ast.Name | None):
        raise LanguageError(
            f"'{ast.unparse(target)}' cannot be a loop variable",
            loc=cx.loc(target),
            allowed="a plain name",
        )
    if leaves(node.body, (ast.Break, ast.Continue)):
        raise LanguageError(
            "'break' and 'continue' cannot leave a meta_for",
            loc=cx.loc(call),
            hint="put the rest of the block in a meta_if",
        )
    if target is not None and (known := cx.scopes.find(target.id)) is not None:
        raise LanguageError(
            f"the name '{target.id}' of the loop variable is in use",
            loc=cx.loc(target),
            notes=[("declared here", known.loc)],
            hint="choose a different name for the loop variable",
        )
    errors = len(cx.program.errors)
    for i in _range(cx, call):
        with cx.scopes.block():
            if target is not None:
                cx.scopes.declare(target.id, Known(i, cx.loc(target)))
            left = lower(node.body)
        if left or len(cx.program.errors) > errors:
            return left  # The other copies would only repeat the errors.
    return False


def _range(cx: Context, call: ast.Call) -> range:
    if not 1 <= len(call.args) <= 3 or call.keywords:
        raise LanguageError(
            f"'{ast.unparse(call)}' has the wrong arguments",
            loc=cx.loc(call),
            allowed="meta_for(stop), meta_for(start, stop), meta_for(start, stop, step)",
        )
    numbers: list[int] = []
    for arg in call.args:
        cx.need_constant(arg)
        number = as_int(constant(cx.kernel, arg))
        if number is None or (len(numbers) == 2 and number == 0):
            raise LanguageError(
                f"'{ast.unparse(arg)}' cannot be a bound or step of a meta_for",
                loc=cx.loc(arg),
                allowed="ints; the step is not 0",
            )
        numbers.append(number)
    return range(*numbers)
