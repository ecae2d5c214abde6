"""What goes through a stream: single words, and blocks of them, one after the other.

That a block is there, or that there is room for it, is always asked of all of it: then its words
can be taken, or put, without waiting.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from math import prod

from allo_rtl.frontend import jumps, nests, stream_ends, tensors
from allo_rtl.frontend.builder import Operand, number
from allo_rtl.frontend.channels import Channel
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.stream_ends import emit
from allo_rtl.frontend.tensors import Tensor
from allo_rtl.frontend.views import At
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import Alloc, If, Value
from allo_rtl.ir.stream_ops import Get, PollKind, Put, TryGet
from allo_rtl.ir.types import ArrayType, Index, IntegerType, ScalarType, UInt, bool_, index

# --- words ----------------------------------------------------------------------------------


def get_word(cx: Context, source: Channel, node: ast.AST) -> Value:
    """Take the next word of a stream."""
    result = Value(source.word)
    emit(cx, Get(result=result, stream=source.value, loc=cx.loc(node)))
    return result


def put_word(cx: Context, target: Channel, word: Operand, node: ast.AST) -> None:
    """Append a word to a stream."""
    loc = cx.loc(node)
    emit(cx, Put(stream=target.value, value=cx.builder.value(word, loc), loc=loc))


def put_scalar(cx: Context, target: Channel, given: Operand, node: ast.AST) -> None:
    """Append a value, converted as in an assignment, to a stream."""
    given = cx.builder.convert(given, target.type.scalar, cx.loc(node))
    put_word(cx, target, stream_ends.word_of(cx, target, given, node), node)


# --- blocks ---------------------------------------------------------------------------------


def fresh(
    cx: Context, type_: ScalarType, shape: tuple[int, ...], name: str, node: ast.AST
) -> Value:
    """A fresh array, all of whose elements are stored next: it need not be zeroed before."""
    made = Value(ArrayType(type_, shape), name)
    cx.builder.emit(Alloc(result=made, zeroed=False, loc=cx.loc(node)))
    return made


def over(
    cx: Context, channel: Channel, what: str, body: Callable[[At], None], node: ast.AST
) -> None:
    """A loop nest over the elements of a block."""
    name = nests.band_name(cx, f"{what}_{channel.name}")
    nests.nest(cx, name, tensors.loops_of(channel.type.block), body, cx.loc(node))


def put(cx: Context, target: Channel, given: Tensor, node: ast.AST) -> None:
    """Append a block."""
    over(cx, target, "put", lambda at: put_scalar(cx, target, given.read(at), node), node)


def fill(cx: Context, target: Channel, word: Operand, node: ast.AST) -> None:
    """Append a block of one and the same word."""
    over(cx, target, "put", lambda _: put_word(cx, target, word, node), node)


def get(cx: Context, source: Channel, array: Value, first: At, node: ast.AST) -> None:
    """The next block of a stream, into ``array[first]``."""

    def body(at: At) -> None:
        value = stream_ends.value_of(cx, source, get_word(cx, source, node), node)
        cx.builder.store(value, array, (*first, *at), cx.loc(node))

    over(cx, source, "get", body, node)


def try_put(cx: Context, target: Channel, given: Tensor, node: ast.AST) -> Operand:
    """Append a block if there is room for all of it; whether there was."""
    loc = cx.loc(node)
    full = stream_ends.poll(cx, target, PollKind.FULL, node)
    room = stream_ends.negated(cx, full, node)
    with jumps.branch(cx.builder, cx.builder.value(room, loc), loc):
        put(cx, target, given, node)
    return room


def next_block(
    cx: Context, source: Channel, there: Operand, name: str, node: ast.AST, *, take: bool
) -> Value:
    """The block that comes next if it is ``there``, else zeros; taken, or only looked at."""
    loc, b, type_ = cx.loc(node), cx.builder, source.type.scalar
    made = fresh(cx, type_, source.type.block, name or "block", node)
    test = b.value(there, loc)

    def body(at: At) -> None:
        with b.block() as then:
            word = get_word(cx, source, node) if take else _look(cx, source, at, node)
            value = stream_ends.value_in(cx, source, Operand(source.word, word), node)
            b.store(value, made, at, loc)
        with b.block() as orelse:
            b.store(_zero(cx, type_, node), made, at, loc)
        emit(cx, If(condition=test, then=tuple(then), orelse=tuple(orelse), loc=loc))

    over(cx, source, "get" if take else "peek", body, node)
    return made


def _look(cx: Context, source: Channel, at: At, node: ast.AST) -> Value:
    """A word of the block that comes next."""
    loc = cx.loc(node)
    place = cx.builder.value(Operand(index, affine=_place(at, source.type.block)), loc)
    result = Value(source.word)
    emit(cx, TryGet(
        result=result, done=Value(bool_), stream=source.value, peek=True, count=source.size,
        ahead=(place,), loc=loc,
    ))  # fmt: skip
    return result


def _place(at: At, shape: Sequence[int]) -> AffineExpr:
    """Where an element is in a block, row-major."""
    total = AffineExpr.constant(0)
    for d, subscript in enumerate(at):
        total += subscript * prod(shape[d + 1 :])
    return total


def _zero(cx: Context, type_: ScalarType, node: ast.AST) -> Operand:
    if isinstance(type_, IntegerType | Index):
        return number(0, type_)
    return cx.builder.bitcast(number(0, UInt(type_.bits)), type_, cx.loc(node))
