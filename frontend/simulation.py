"""What only a simulation does: ``print`` and ``assert``."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.frontend import expressions as ex
from allo_rtl.frontend.builder import Operand
from allo_rtl.frontend.context import Context
from allo_rtl.ir.ops import Assert, Print
from allo_rtl.ir.types import Type

type Part = str | Operand


def is_print(cx: Context, node: ast.expr) -> bool:
    """Whether an expression is Python's ``print``."""
    return isinstance(node, ast.Name) and cx.outside(node) is builtins.print


def print_line(cx: Context, node: ast.Call) -> None:
    """``print("x =", x, f"{A[i]} left")``: one line; values are scalars.

    Texts, numbers and types that are known before the kernel runs are part of the text.  A
    comparison prints as 1 or 0.

    Raises:
        LanguageError: a keyword other than ``sep``, a format or conversion in an f-string, or
            something that is no scalar.
    """
    separator = _separator(cx, node)
    text, args = "", []
    for n, arg in enumerate(node.args):
        text += separator if n else ""
        for part in _parts(cx, arg):
            if isinstance(part, str):
                text += _escaped(part)
            else:
                text += "{}"
                args.append(cx.builder.value(part, cx.loc(arg)))
    cx.builder.emit(Print(text=text, args=tuple(args), loc=cx.loc(node)))


def _separator(cx: Context, node: ast.Call) -> str:
    separator = " "
    for keyword in node.keywords:
        match keyword:
            case ast.keyword(arg="sep", value=ast.Constant(value=str(given))):
                separator = given
            case ast.keyword(arg="end", value=ast.Constant(value="\n")):
                pass
            case _:
                raise LanguageError(
                    f"'{ast.unparse(keyword)}' is not an option of 'print' in a kernel",
                    loc=cx.loc(keyword),
                    allowed='sep="..."',
                    hint="each print writes one line",
                )
    return _escaped(separator)


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _parts(cx: Context, node: ast.expr) -> Iterator[Part]:
    """Texts and scalars that one argument of ``print`` writes."""
    match node:
        case ast.JoinedStr(values=values):
            for value in values:
                yield from _parts(cx, value)
        case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
            yield from _parts(cx, value)
        case ast.FormattedValue():
            raise LanguageError(
                "a format or conversion is not supported in a printed text",
                loc=cx.loc(node),
                allowed="{x}, {A[i] + 1}",
            )
        case ast.Constant(value=value):
            yield str(value)
        case ast.Starred():
            raise LanguageError(
                "a star argument cannot be printed", loc=cx.loc(node), hint="print the elements"
            )
        case ast.Name() | ast.Attribute() if isinstance(
            known := cx.outside(node), str | bool | Type
        ):
            yield str(known)
        case _ if (found := ex.array(cx, node)) is not None:
            raise KernelTypeError(
                f"'{ast.unparse(node)}' is {found.value.type}, and 'print' writes scalars",
                loc=cx.loc(node),
                hint="print its elements in a loop",
            )
        case _:
            yield ex.scalar(cx, node)


def assertion(cx: Context, node: ast.Assert) -> None:
    """``assert condition, "text"``.

    Raises:
        LanguageError: the text is not a string literal, or the condition is known to be false
            before the kernel runs, and the assertion is not in a loop or branch: the kernel's
            parameters do not fit.
    """
    if isinstance(node.test, ast.Tuple):
        raise LanguageError(
            "a tuple is always true",
            loc=cx.loc(node.test),
            hint='write the assertion without parentheses: assert condition, "text"',
        )
    match node.msg:
        case None:
            message = ""
        case ast.Constant(value=str(message)):
            pass
        case _:
            raise LanguageError(
                "the message of an assertion must be a plain string",
                loc=cx.loc(node.msg),
                hint="print the values before the assertion",
            )
    found = ex.condition(cx, node.test)
    if found.constant == 0 and len(cx.scopes.blocks) == 1:
        raise LanguageError(
            f"this assertion is false: {message}" if message else "this assertion is false",
            loc=cx.loc(node.test),
            hint="parameters and sizes of the kernel decide this before it runs",
        )
    if found.constant:
        return
    condition = cx.builder.value(found, cx.loc(node.test))
    cx.builder.emit(Assert(condition=condition, message=message, loc=cx.loc(node)))
