"""``for x in s:``, a loop over the values of a stream up to its end."""

from __future__ import annotations

import ast
from collections.abc import Callable

from allo_rtl.errors import LanguageError
from allo_rtl.frontend import jumps, loops, while_loops
from allo_rtl.frontend.builder import Operand
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.declarations import declare_scalar
from allo_rtl.frontend.stream_ends import END, VALUE, both, element, flag, negated, part
from allo_rtl.ir.ops import Condition, Value
from allo_rtl.ir.stream_ops import Get


def each(cx: Context, node: ast.For, stream: Value, body: Callable[[], object]) -> None:
    """``for x in s:``: take one value after the other, and at last the end."""
    loops.no_else(cx, node)
    targets = loops.targets(cx, node.target)
    if len(targets) != 1:
        what = f"{len(targets)} loop variables for one stream"
        raise LanguageError(what, loc=cx.loc(node.target))
    loc, b = cx.loc(node), cx.builder
    over = flag(cx, stream, "over", node)
    running = jumps.running_flag(b, node.body, loc)
    with b.block() as before:
        test = negated(cx, b.load(over, (), loc), node)
        if running is not None:
            test = both(cx, test, b.load(running, (), loc), node)
        b.emit(Condition(value=b.value(test, loc), loc=loc))

    def one() -> None:
        result = Value(element(stream))
        get = Get(result=result, stream=stream, loc=loc)
        b.emit(get)
        b.unsafe.add(get)
        word = Operand(element(stream), result)
        end = part(cx, word, END, node)
        b.store(end, over, (), loc)
        with jumps.branch(b, b.value(negated(cx, end, node), loc), loc), cx.scopes.block():
            value = part(cx, word, VALUE, node)
            declare_scalar(cx, targets[0], value.type, value)
            body()

    while_loops.loop(cx, node, tuple(before), running, one)
