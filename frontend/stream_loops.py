"""``for x in s:``, a loop over the values of a stream up to its end."""

from __future__ import annotations

import ast
from collections.abc import Callable

from allo_rtl.errors import LanguageError
from allo_rtl.frontend import jumps, loops, stream_blocks, while_loops
from allo_rtl.frontend.builder import Operand
from allo_rtl.frontend.channels import Channel
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.declarations import declare_scalar
from allo_rtl.frontend.scope import Variable
from allo_rtl.frontend.stream_ends import END, VALUE, both, flag, negated, part
from allo_rtl.frontend.views import At
from allo_rtl.ir.ops import Condition, Value


def each(cx: Context, node: ast.For, source: Channel, body: Callable[[], object]) -> None:
    """``for x in s:``: take one value after the other, and at last the end."""
    loops.no_else(cx, node)
    targets = loops.targets(cx, node.target)
    if len(targets) != 1:
        what = f"{len(targets)} loop variables for one stream"
        raise LanguageError(what, loc=cx.loc(node.target))
    loc, b = cx.loc(node), cx.builder
    over = flag(cx, source.value, "over", node)
    running = jumps.running_flag(b, node.body, loc)
    with b.block() as before:
        test = negated(cx, b.load(over, (), loc), node)
        if running is not None:
            test = both(cx, test, b.load(running, (), loc), node)
        b.emit(Condition(value=b.value(test, loc), loc=loc))

    def one() -> None:
        if source.type.block:
            array = _block(cx, source, targets[0].id, over, node)
            with jumps.while_not(b, over, loc), cx.scopes.block():
                cx.scopes.declare(targets[0].id, Variable(array, cx.loc(targets[0])))
                body()
            return
        word = Operand(source.word, stream_blocks.get_word(cx, source, node))
        end = part(cx, word, END, node)
        b.store(end, over, (), loc)
        with jumps.branch(b, b.value(negated(cx, end, node), loc), loc), cx.scopes.block():
            value = part(cx, word, VALUE, node)
            declare_scalar(cx, targets[0], value.type, value)
            body()

    while_loops.loop(cx, node, tuple(before), running, one)


def _block(cx: Context, source: Channel, name: str, over: Value, node: ast.For) -> Value:
    """Take a block, or the end, which is noted in ``over``."""
    loc, b = cx.loc(node), cx.builder
    array = stream_blocks.fresh(cx, source.type.scalar, source.type.block, name, node)

    def body(at: At) -> None:
        word = Operand(source.word, stream_blocks.get_word(cx, source, node))
        b.store(part(cx, word, END, node), over, (), loc)
        b.store(part(cx, word, VALUE, node), array, at, loc)

    stream_blocks.over(cx, source, "get", body, node)
    return array
