"""The end of a stream: a word behind the last value, which its writer's ``close()`` puts.

A stream that somebody closes has words of one bit more: whether it is the end.  The end has a place
in the FIFO like a value, and waits for room like one.  A reader finds it by ``for x in s`` and
``s.ended()``; it is no value, so that ``try_get``, ``peek`` and ``empty`` see nothing there.  That
nothing is put behind the end, and that no ``get()`` meets it, are assertions of the kernel.
"""

from __future__ import annotations

import ast

from allo_rtl.errors import LanguageError
from allo_rtl.frontend import bits
from allo_rtl.frontend.builder import Operand, number
from allo_rtl.frontend.context import Context
from allo_rtl.ir.ops import Alloc, Assert, BinaryKind, If, Predicate, Value
from allo_rtl.ir.stream_ops import Get, Put, TryGet
from allo_rtl.ir.types import ArrayType, Index, ScalarType, Stream, StreamType, Struct, UInt, bool_

VALUE, END = "value", "end"


def closes(region: ast.FunctionDef, name: str) -> ast.Call | None:
    """Where a kernel of a region closes the stream ``name`` (or one of an array) first."""
    return next(
        (
            node for node in ast.walk(region)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            and node.func.attr == "close" and _root(node.func.value) == name
        ),
        None,
    )  # fmt: skip


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def channel_type(cx: Context, type_: Stream, where: ast.Call) -> StreamType:
    """The type of a FIFO of a stream that is closed.

    Raises:
        LanguageError: it carries blocks, or counters.
    """
    if type_.block or isinstance(type_.scalar, Index):
        raise LanguageError(
            f"a {type_} cannot be closed",
            loc=cx.loc(where),
            allowed="streams of scalars of a fixed width",
        )
    return StreamType(_word(type_.scalar), type_.channel.depth)


def _word(type_: ScalarType) -> Struct:
    return Struct({VALUE: type_, END: bool_})


def element(stream: Value) -> ScalarType:
    """The type of the words of a stream."""
    assert isinstance(stream.type, StreamType)
    return stream.type.element


def _struct(stream: Value) -> Struct:
    type_ = element(stream)
    assert isinstance(type_, Struct)
    return type_


def _emit(cx: Context, op: Get | Put | TryGet) -> None:
    cx.builder.emit(op)
    cx.builder.unsafe.add(op)


def part(cx: Context, word: Operand, name: str, node: ast.AST) -> Operand:
    """A field of a word: ``VALUE``, or ``END``, whether it is the end."""
    assert isinstance(word.type, Struct)
    return bits.read(cx.builder, word, bits.field(word.type, name), cx.loc(node))


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


def word_of(cx: Context, stream: Value, given: Operand, node: ast.AST) -> Operand:
    """The word of a value that is to be put, which is asserted to be before the end."""
    loc = cx.loc(node)
    closed = cx.builder.load(flag(cx, stream, "closed", node), (), loc)
    message = f"nothing is put to '{stream.name}' once it is closed"
    _assert(cx, negated(cx, closed, node), message, node)
    values = {VALUE: given, END: number(0, bool_)}
    return bits.struct(cx.builder, _struct(stream), values, loc)


def close(cx: Context, stream: Value, node: ast.AST) -> None:
    """``s.close()``: put the end, once there is room."""
    loc, b = cx.loc(node), cx.builder
    closed = flag(cx, stream, "closed", node)
    before = negated(cx, b.load(closed, (), loc), node)
    _assert(cx, before, f"'{stream.name}' is closed once", node)
    type_ = _struct(stream)
    word = b.bitcast(number(1 << (type_.bits - 1), UInt(type_.bits)), type_, loc)
    _emit(cx, Put(stream=stream, value=b.value(word, loc), loc=loc))
    b.store(number(1, bool_), closed, (), loc)


# --- the reader -----------------------------------------------------------------------------


def value_of(cx: Context, stream: Value, word: Value, node: ast.AST) -> Operand:
    """The value of a word that was got, which is asserted not to be the end."""
    whole = Operand(_struct(stream), word)
    is_value = negated(cx, part(cx, whole, END, node), node)
    _assert(cx, is_value, f"get() finds the end of '{stream.name}'", node)
    return part(cx, whole, VALUE, node)


def _next(cx: Context, stream: Value, node: ast.AST) -> tuple[Operand, Operand]:
    """What comes next, without taking it: the word, and whether there is one."""
    result, some = Value(element(stream)), Value(bool_)
    _emit(cx, TryGet(result=result, done=some, stream=stream, peek=True, loc=cx.loc(node)))
    return Operand(element(stream), result), Operand(bool_, some)


def next_value(
    cx: Context, stream: Value, node: ast.AST, *, take: bool
) -> tuple[Operand, Operand]:
    """``s.try_get()`` and ``s.peek()``: the next value, or 0, and whether there is one."""
    word, some = _next(cx, stream, node)
    there = both(cx, some, negated(cx, part(cx, word, END, node), node), node)
    if take:
        loc = cx.loc(node)
        with cx.builder.block() as ops:
            _emit(cx, Get(result=Value(element(stream)), stream=stream, loc=loc))
        test = cx.builder.value(there, loc)
        taken = If(condition=test, then=tuple(ops), loc=loc)
        cx.builder.emit(taken)
        cx.builder.unsafe.add(taken)
    return part(cx, word, VALUE, node), there


def empty(cx: Context, stream: Value, node: ast.AST) -> Operand:
    """``s.empty()``: whether there is no value, be it for the end or for now."""
    return negated(cx, next_value(cx, stream, node, take=False)[1], node)


def ended(cx: Context, stream: Value, node: ast.AST) -> Operand:
    """``s.ended()``: whether the end is what comes next, or was found before."""
    loc, b = cx.loc(node), cx.builder
    word, some = _next(cx, stream, node)
    here = both(cx, some, part(cx, word, END, node), node)
    over = b.load(flag(cx, stream, "over", node), (), loc)
    return b.binary(BinaryKind.OR, over, here, bool_, loc)
