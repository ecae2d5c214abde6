"""Streams whose words hold several elements: elements that follow one another become one word.

After loops are unrolled, ``n`` operations on elements of a stream that stand in one block make a
word of ``n`` elements, the first in the lowest bits: it is taken where its first element is, and
put where its last one is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from allo_rtl.errors import BuildError
from allo_rtl.ir.argument_streams import PutElement, TakeElement
from allo_rtl.ir.ops import Binary, BinaryKind, Block, Cast, Constant, Func, Op, Value
from allo_rtl.ir.rewrite import walk, with_regions
from allo_rtl.ir.stream_ops import Get, Put
from allo_rtl.ir.types import Index, IntegerType, StreamType, UInt

type _Element = TakeElement | PutElement


def whole_words(func: Func) -> Func:
    """The function with all operations on elements made operations on words.

    Raises:
        BuildError: a block does not use whole words.
    """
    if not any(isinstance(op, TakeElement | PutElement) for op in walk(func.body)):
        return func
    return replace(func, body=_block(func.body))


def _block(block: Block) -> Block:
    out: list[Op] = []
    pending: dict[Value, list[_Element]] = {}
    words: dict[Value, Value] = {}
    for op in block:
        if isinstance(op, TakeElement | PutElement):
            group = pending.setdefault(op.stream, [])
            group.append(op)
            out += _element(op, group, words)
            if len(group) == _count(op):
                del pending[op.stream]
            continue
        if op.REGIONS:
            _check_whole([g for s, g in pending.items() if _uses(op, s)])
            op = with_regions(op, _block)
        out.append(op)
    _check_whole(list(pending.values()))
    return tuple(out)


def _uses(op: Op, stream: Value) -> bool:
    inner = (x for region in op.regions() for x in walk(region))
    return any(isinstance(x, TakeElement | PutElement) and x.stream is stream for x in inner)


def _check_whole(groups: Sequence[Sequence[_Element]]) -> None:
    for group in groups:
        op, count = group[0], _count(group[0])
        raise BuildError(
            f"{op.stream.name or 'a stream'} has {count} elements to a word, and {len(group)} of "
            "one are used here", loc=op.loc,
            allowed="whole words in every iteration",
            hint=f"unroll the loop by {count}, or leave the array in one bank",
        )  # fmt: skip


def _value(op: _Element) -> Value:
    return op.result if isinstance(op, TakeElement) else op.value


def _bits(op: _Element) -> int:
    type_ = _value(op).type
    assert isinstance(type_, IntegerType | Index)
    return type_.bits


def _word_type(op: _Element) -> UInt:
    type_ = op.stream.type
    assert isinstance(type_, StreamType)
    assert isinstance(type_.element, UInt)
    return type_.element


def _count(op: _Element) -> int:
    return _word_type(op).bits // _bits(op)


def _element(op: _Element, group: Sequence[_Element], words: dict[Value, Value]) -> list[Op]:
    """What an operation becomes, the last one so far of its word."""
    out: list[Op] = []
    if isinstance(op, TakeElement):
        if len(group) == 1:
            words[op.stream] = word = Value(_word_type(op), op.stream.name)
            out.append(Get(result=word, stream=op.stream, loc=op.loc))
        moved = _shifted(words[op.stream], BinaryKind.SHR, (len(group) - 1) * _bits(op), op, out)
        out.append(Cast(result=op.result, operand=moved, loc=op.loc))
        return out
    type_ = _word_type(op)
    bits = _cast(op.value, UInt(_bits(op)), op, out)  # a sign is not to go into what is above
    part = _shifted(
        _cast(bits, type_, op, out), BinaryKind.SHL, (len(group) - 1) * _bits(op), op, out
    )
    if len(group) > 1:
        joined = Value(type_)
        out.append(
            Binary(kind=BinaryKind.OR, result=joined, lhs=words[op.stream], rhs=part, loc=op.loc)
        )
        part = joined
    words[op.stream] = part
    if len(group) == _count(op):
        out.append(Put(stream=op.stream, value=part, loc=op.loc))
    return out


def _cast(value: Value, type: UInt, op: Op, out: list[Op]) -> Value:
    result = Value(type)
    out.append(Cast(result=result, operand=value, loc=op.loc))
    return result


def _shifted(value: Value, kind: BinaryKind, amount: int, op: Op, out: list[Op]) -> Value:
    if not amount:
        return value
    by, result = Value(value.type), Value(value.type)
    out.append(Constant(result=by, value=amount, loc=op.loc))
    out.append(Binary(kind=kind, result=result, lhs=value, rhs=by, loc=op.loc))
    return result
