"""The end of a stream: a word behind the last value, which its writer's ``close()`` puts.

A stream that somebody closes has words of one bit more: whether it is the end.  The end has a place
in the FIFO like a value, and waits for room like one; of a stream of blocks it is a block, all of
whose words say so.  A reader finds it by ``for x in s`` and ``s.ended()``; it is no value, so that
``try_get``, ``peek`` and ``empty`` see nothing there.  That nothing is put behind the end, and that
no ``get()`` meets it, are assertions of the kernel.
"""

from __future__ import annotations

import ast

from allo_rtl.errors import LanguageError
from allo_rtl.frontend import bits
from allo_rtl.frontend.builder import Operand, number
from allo_rtl.frontend.channels import Channel
from allo_rtl.frontend.context import Context
from allo_rtl.ir.ops import Alloc, Assert, BinaryKind, If, Predicate, Value
from allo_rtl.ir.stream_ops import Poll, PollKind, StreamOp, TryGet
from allo_rtl.ir.types import ArrayType, Index, ScalarType, Stream, StreamType, Struct, UInt, bool_

VALUE, END = "value", "end"


def channel_type(cx: Context, type_: Stream, where: ast.AST) -> StreamType:
    """The type of a FIFO of a stream that is closed.

    Raises:
        LanguageError: it carries counters.
    """
    if isinstance(type_.scalar, Index):
        raise LanguageError(
            f"a {type_} cannot be closed",
            loc=cx.loc(where),
            allowed="streams of what has a fixed width",
        )
    return StreamType(_word(type_.scalar), type_.channel.depth)


def _word(type_: ScalarType) -> Struct:
    return Struct({VALUE: type_, END: bool_})


def _struct(channel: Channel) -> Struct:
    type_ = channel.word
    assert isinstance(type_, Struct)
    return type_


def emit(cx: Context, op: StreamOp | If) -> None:
    """Append what is done with a stream, which is never run on the chance that it is needed."""
    cx.builder.emit(op)
    cx.builder.unsafe.add(op)


def part(cx: Context, word: Operand, name: str, node: ast.AST) -> Operand:
    """A field of a word: ``VALUE``, or ``END``, whether it is the end."""
    assert isinstance(word.type, Struct)
    return bits.read(cx.builder, word, bits.field(word.type, name), cx.loc(node))


def value_in(cx: Context, channel: Channel, word: Operand, node: ast.AST) -> Operand:
    """The value in a word, be it the end or not; 0 in that."""
    return part(cx, word, VALUE, node) if channel.closes else word


def negated(cx: Context, bit: Operand, node: ast.AST) -> Operand:
    """Not."""
    return cx.builder.compare(Predicate.EQ, bit, number(0, bool_), bool_, cx.loc(node))


def both(cx: Context, a: Operand, b: Operand, node: ast.AST) -> Operand:
    """And."""
    return cx.builder.binary(BinaryKind.AND, a, b, bool_, cx.loc(node))


def flag(cx: Context, stream: Value, name: str, node: ast.AST) -> Value:
    """A variable of this function that is 0 at first: whether a stream is closed (at its end)."""
    if (stream, name) not in cx.flags:
        made = Value(ArrayType(bool_, ()), f"{stream.name}_{name}")
        cx.prologue.append(Alloc(result=made, loc=cx.loc(node)))
        cx.flags[stream, name] = made
    return cx.flags[stream, name]


def _assert(cx: Context, holds: Operand, message: str, node: ast.AST) -> None:
    loc = cx.loc(node)
    condition = cx.builder.value(holds, loc)
    cx.builder.emit(Assert(condition=condition, message=message, loc=loc))


# --- the writer -----------------------------------------------------------------------------


def check_open(cx: Context, channel: Channel, node: ast.AST) -> None:
    """Assert, before something is put, that the end was not."""
    if channel.closes:
        closed = cx.builder.load(flag(cx, channel.value, "closed", node), (), cx.loc(node))
        message = f"nothing is put to '{channel.name}' once it is closed"
        _assert(cx, negated(cx, closed, node), message, node)


def word_of(cx: Context, channel: Channel, given: Operand, node: ast.AST) -> Operand:
    """The word of a value."""
    if not channel.closes:
        return given
    values = {VALUE: given, END: number(0, bool_)}
    return bits.struct(cx.builder, _struct(channel), values, cx.loc(node))


def begin_close(cx: Context, channel: Channel, node: ast.AST) -> Operand:
    """Assert that a stream is closed for the first time; the word of the end, to be put."""
    loc, b = cx.loc(node), cx.builder
    closed = flag(cx, channel.value, "closed", node)
    before = negated(cx, b.load(closed, (), loc), node)
    _assert(cx, before, f"'{channel.name}' is closed once", node)
    b.store(number(1, bool_), closed, (), loc)
    type_ = _struct(channel)
    return b.bitcast(number(1 << (type_.bits - 1), UInt(type_.bits)), type_, loc)


# --- the reader -----------------------------------------------------------------------------


def value_of(cx: Context, channel: Channel, word: Value, node: ast.AST) -> Operand:
    """The value of a word that was got, which is asserted not to be the end."""
    whole = Operand(channel.word, word)
    if channel.closes:
        is_value = negated(cx, part(cx, whole, END, node), node)
        _assert(cx, is_value, f"get() finds the end of '{channel.name}'", node)
    return value_in(cx, channel, whole, node)


def _next(cx: Context, channel: Channel, node: ast.AST) -> tuple[Operand, Operand]:
    """What comes next, without taking it: the (first) word, and whether all of it is there."""
    result, some = Value(channel.word), Value(bool_)
    emit(cx, TryGet(
        result=result, done=some, stream=channel.value, peek=True, count=channel.size,
        loc=cx.loc(node),
    ))  # fmt: skip
    return Operand(channel.word, result), Operand(bool_, some)


def peeked(cx: Context, channel: Channel, node: ast.AST) -> tuple[Operand, Operand]:
    """The next value of a stream of scalars, or 0, and whether there is one."""
    word, some = _next(cx, channel, node)
    if channel.closes:
        some = both(cx, some, negated(cx, part(cx, word, END, node), node), node)
    return value_in(cx, channel, word, node), some


def some_next(cx: Context, channel: Channel, node: ast.AST) -> Operand:
    """Whether a value (a whole block) comes next: not the end, and not nothing for now."""
    return peeked(cx, channel, node)[1] if channel.closes else negated(
        cx, poll(cx, channel, PollKind.EMPTY, node), node
    )  # fmt: skip


def poll(cx: Context, channel: Channel, kind: PollKind, node: ast.AST) -> Operand:
    """Whether there is less than a value (block) in a stream, or room for less."""
    result = Value(bool_)
    emit(cx, Poll(
        kind=kind, result=result, stream=channel.value, count=channel.size, loc=cx.loc(node)
    ))  # fmt: skip
    return Operand(bool_, result)


def ended(cx: Context, channel: Channel, node: ast.AST) -> Operand:
    """``s.ended()``: whether the end is what comes next, or was found before."""
    loc, b = cx.loc(node), cx.builder
    word, some = _next(cx, channel, node)
    here = both(cx, some, part(cx, word, END, node), node)
    over = b.load(flag(cx, channel.value, "over", node), (), loc)
    return b.binary(BinaryKind.OR, over, here, bool_, loc)
