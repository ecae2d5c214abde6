"""``while``, and ``for`` loops that end early: they become While operations."""

from __future__ import annotations

import ast
from collections.abc import Callable

from allo_rtl.errors import SourceLoc
from allo_rtl.frontend import expressions as ex
from allo_rtl.frontend import jumps
from allo_rtl.frontend.builder import Operand, number
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.scope import Scalar
from allo_rtl.ir.affine import AffineExpr, Interval
from allo_rtl.ir.ops import BinaryKind, Block, Condition, Load, Predicate, Value, While
from allo_rtl.ir.types import ArrayType, bool_, index

type Bounds = tuple[AffineExpr, ...]


def while_loop(cx: Context, node: ast.While, body: Callable[[], object]) -> None:
    """Lower ``while test:``; ``body`` lowers what is inside.

    The test is computed before each run of the body, and not after a ``break``.
    """
    loc, b = cx.loc(node), cx.builder
    running = jumps.running_flag(b, node.body, loc)
    with b.block() as before:
        if running is None:
            test = b.value(ex.condition(cx, node.test), loc)
        else:
            with jumps.while_set(b, running, loc):
                b.store(ex.condition(cx, node.test), running, (), loc)
            test = b.value(b.load(running, (), loc), loc)
        b.emit(Condition(value=test, loc=loc))
    loop(cx, node, tuple(before), running, body)


def counted_while(
    cx: Context,
    node: ast.For,
    target: ast.Name,
    bounds: tuple[Bounds, Bounds, int],
    counts: Interval,
    body: Callable[[], object],
) -> None:
    """A ``for`` loop that something leaves early: a While with a counter of its own.

    Args:
        cx: the kernel.
        node: the loop.
        target: its variable.
        bounds: lower and upper bounds, and the step.
        counts: first and last value that the variable may have.
        body: lowers what is inside.
    """
    loc, b = cx.loc(node), cx.builder
    lower, upper, step = bounds
    first = _combined(cx, BinaryKind.MAX, lower, loc)
    last = _combined(cx, BinaryKind.MIN, upper, loc)
    last = Operand(index, b.value(last, loc), last.affine)
    counter = b.alloc(ArrayType(index, ()), f"{target.id}_next", loc)
    b.store(first, counter, (), loc)
    running = jumps.running_flag(b, node.body, loc)
    with b.block() as before:
        test = b.compare(Predicate.LT, b.load(counter, (), loc), last, index, loc)
        if running is not None:
            test = b.binary(BinaryKind.AND, test, b.load(running, (), loc), bool_, loc)
        b.emit(Condition(value=b.value(test, loc), loc=loc))

    def counted() -> None:
        iv = Value(index, target.id)
        b.emit(Load(result=iv, array=counter, loc=loc))
        b.ranges[iv] = counts
        after = b.binary(BinaryKind.ADD, Operand(index, iv), number(step, index), index, loc)
        b.store(after, counter, (), loc)
        cx.scopes.declare(target.id, Scalar(iv, cx.loc(target), counter=True))
        body()

    loop(cx, node, tuple(before), running, counted)


def _combined(cx: Context, kind: BinaryKind, bounds: Bounds, loc: SourceLoc) -> Operand:
    """The largest or smallest of several bounds."""
    first, *others = (Operand(index, affine=e) for e in bounds)
    for other in others:
        first = cx.builder.binary(kind, first, other, index, loc)
    return first


def loop(
    cx: Context,
    node: ast.For | ast.While,
    before: Block,
    running: Value | None,
    body: Callable[[], object],
) -> None:
    """A While whose condition ``before`` computes; ``running`` is what ends it early."""
    b, loc = cx.builder, cx.loc(node)
    cx.depth += 1
    try:
        with (
            b.block() as ops,
            cx.scopes.block(),
            jumps.run_of_body(cx, node.body, running, loc),
        ):
            body()
    finally:
        cx.depth -= 1
    b.emit(While(before=before, body=tuple(ops), loc=loc))
