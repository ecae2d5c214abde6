"""Streams as MLIR text: operations of the dialect ``allo``, in the generic form.

    %s = "allo.stream"() {name = "s"} : () -> !allo.stream<i32, 4>
    %t = "allo.stream"() {name = "t", undeclared} : () -> !allo.stream<i32, 2>
    "allo.put"(%s, %x) : (!allo.stream<i32, 4>, i32) -> ()
    %y = "allo.get"(%s) : (!allo.stream<i32, 4>) -> i32
    %done = "allo.try_put"(%s, %x) {unsigned} : (!allo.stream<i32, 4>, i32) -> i1
    %z:2 = "allo.try_get"(%s) : (!allo.stream<i32, 4>) -> (i32, i1)
    %none = "allo.empty"(%s) {unsigned} : (!allo.stream<i32, 4>) -> i1

``allo.peek`` is written like ``allo.try_get`` and ``allo.full`` like ``allo.empty``; those that
look for a block have its size, ``{count = 8}``, and ``allo.peek`` of one of its elements its place
as a second operand.  A function whose calls run at once has the attribute ``dataflow``.
"""

from __future__ import annotations

from allo_rtl.errors import ParseError
from allo_rtl.ir.mlir_build import Builder, Rule, hint
from allo_rtl.ir.mlir_literals import string_text
from allo_rtl.ir.mlir_syntax import RawOp
from allo_rtl.ir.mlir_writer import Writer, attr_text
from allo_rtl.ir.ops import Value
from allo_rtl.ir.stream_ops import Get, MakeStream, Poll, PollKind, Put, StreamOp, TryGet, TryPut
from allo_rtl.ir.types import ScalarType, StreamType, bool_, index


def write_stream(w: Writer, op: MakeStream | StreamOp) -> None:
    """Write an operation on a stream."""
    match op:
        case MakeStream(result=result, undeclared=undeclared):
            parts = [f"name = {string_text(result.name)}"] if result.name else []
            w.own("stream", (), result, ", ".join(parts + ["undeclared"] * undeclared))
        case Put(stream=stream, value=value):
            w.own("put", (stream, value), None)
        case Get(result=result, stream=stream):
            w.own("get", (stream,), result)
        case TryPut(done=done, stream=stream, value=value):
            w.own("try_put", (stream, value), done)
        case TryGet(result=result, done=done, stream=stream, peek=peek):
            pack = w.fresh(result.name)
            name = "peek" if peek else "try_get"
            operands = list(op.operands())
            ins = ", ".join(map(w.type_of, operands))
            types = f"({ins}) -> ({w.type(result.type)}, {w.type(done.type)})"
            mark = attr_text(_count(op.count))
            w.emit(f'{pack}:2 = "allo.{name}"({w.uses(operands)}){mark} : {types}')
            w.know(result, f"{pack}#0")
            w.know(done, f"{pack}#1")
        case Poll(kind=kind, result=result, stream=stream):
            w.own(kind.value, (stream,), result, _count(op.count))


def _count(count: int) -> str:
    return f"count = {count}" if count > 1 else ""


def _counted(b: Builder, raw: RawOp) -> int:
    """The size of the block that an operation looks for."""
    count = raw.attrs.get("count", 1)
    if not isinstance(count, int) or count < 1:
        raise b.error(raw, f"{raw.name} looks for {count} values")
    return count


def _make(b: Builder, raw: RawOp) -> None:
    """``allo.stream``."""
    if not isinstance(raw.outs[0], StreamType):
        raise b.error(raw, f"{raw.name} gives {raw.outs[0]}, not a stream")
    name = b.result_name(raw)
    result = Value(raw.outs[0], str(raw.attrs.get("name", hint(name))))
    undeclared = "undeclared" in raw.attrs
    b.out.append(MakeStream(result=result, undeclared=undeclared, loc=b.loc))
    b.bind(name, result)


def _stream(b: Builder, raw: RawOp) -> tuple[Value, ScalarType]:
    """The stream that an operation works on, and what it carries."""
    stream = b.value(raw.operands[0])
    if not isinstance(stream.type, StreamType):
        raise _no_stream(b, raw, stream)
    return stream, stream.type.element


def _no_stream(b: Builder, raw: RawOp, found: Value) -> ParseError:
    return b.error(raw, f"{raw.name} works on a stream, not on {found.type}")


def _put(b: Builder, raw: RawOp) -> None:
    """``allo.put`` and ``allo.try_put``."""
    stream, element = _stream(b, raw)
    value = b.coerce(b.value(raw.operands[1]), element)
    if raw.name == "allo.put":
        b.out.append(Put(stream=stream, value=value, loc=b.loc))
    else:
        b.define(raw, bool_, lambda r: TryPut(done=r, stream=stream, value=value, loc=b.loc))


def _get(b: Builder, raw: RawOp) -> None:
    """``allo.get``."""
    stream, element = _stream(b, raw)
    b.define(raw, element, lambda r: Get(result=r, stream=stream, loc=b.loc))


def _try_get(b: Builder, raw: RawOp) -> None:
    """``allo.try_get`` and ``allo.peek``."""
    stream, element = _stream(b, raw)
    (name, _), (done_name, _) = b.result_names(raw, 2)
    result, done = Value(element, hint(name)), Value(bool_)
    peek, count = raw.name == "allo.peek", _counted(b, raw)
    ahead = tuple(b.coerce(b.value(v), index) for v in raw.operands[1:2])
    b.out.append(TryGet(
        result=result, done=done, stream=stream, peek=peek, count=count, ahead=ahead, loc=b.loc
    ))  # fmt: skip
    b.bind(name, result)
    b.bind(done_name, done)


def _poll(b: Builder, raw: RawOp) -> None:
    """``allo.empty`` and ``allo.full``."""
    stream, _ = _stream(b, raw)
    kind = PollKind(raw.name.removeprefix("allo."))
    count = _counted(b, raw)
    b.define(raw, bool_, lambda r: Poll(
        kind=kind, result=r, stream=stream, count=count, loc=b.loc
    ))  # fmt: skip


RULES: dict[str, Rule] = {
    "allo.stream": Rule(_make, results=1),
    "allo.put": Rule(_put, 2, results=0),
    "allo.try_put": Rule(_put, 2, results=1),
    "allo.get": Rule(_get, 1, results=1),
    "allo.try_get": Rule(_try_get, 1, results=2),
    "allo.peek": Rule(_try_get, 1, results=2),
    "allo.empty": Rule(_poll, 1, results=1),
    "allo.full": Rule(_poll, 1, results=1),
}
"""How to build each operation."""
