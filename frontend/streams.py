"""Streams in a kernel: which is meant, and what is done with it.

A block is put and got element by element, row-major.  What is done with a stream happens exactly
once and in the order of the source, so these operations are never run on the chance that they
are needed.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.frontend import arrays, dataflow_dsl, nests, stream_ends, tensors
from allo_rtl.frontend import expressions as ex
from allo_rtl.frontend.builder import Operand
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.infer import MISSING, constant_int
from allo_rtl.frontend.scope import Streams
from allo_rtl.frontend.tensors import ArrayValue, Tensor
from allo_rtl.frontend.views import At
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import Alloc, Op, Value
from allo_rtl.ir.stream_ops import Get, Poll, PollKind, Put, TryGet, TryPut
from allo_rtl.ir.types import ArrayType, Stream, bool_

METHODS = ("put", "get", "try_put", "try_get", "peek", "empty", "full", "close", "ended")
ALLOWED = "put(x), get(), try_put(x), try_get(), peek(), empty(), full(), close(), ended()"


@dataclass(frozen=True, slots=True)
class Channel:
    """One stream: its value in this kernel, what it carries, and whether somebody closes it."""

    value: Value
    type: Stream
    closes: bool


def method(cx: Context, node: ast.expr) -> str | None:
    """What is done with a stream when ``node`` is ``s.put(...)``, ``s[i].get()`` ...; else None."""
    match node:
        case ast.Call(func=ast.Attribute(value=base, attr=name)) if _declared(cx, base):
            return name
    return None


def _declared(cx: Context, node: ast.expr) -> Streams | None:
    """The streams that an expression is one or some of."""
    while isinstance(node, ast.Subscript):
        node = node.value
    found = cx.find(node.id) if isinstance(node, ast.Name) else None
    return found if isinstance(found, Streams) else None


def is_one(cx: Context, node: ast.expr) -> bool:
    """Whether an expression is a stream, or some of an array of streams."""
    return _declared(cx, node) is not None


def refuse_value(cx: Context, node: ast.Name | ast.Subscript) -> None:
    """Refuse a stream in the place of a number.

    Raises:
        LanguageError: it is one.
    """
    if _declared(cx, node):
        text = ast.unparse(node)
        raise LanguageError(
            f"'{text}' is a stream", loc=cx.loc(node), hint=f"take a value from it: {text}.get()"
        )


# --- which stream ---------------------------------------------------------------------------


def channel(cx: Context, node: ast.expr) -> Channel:
    """The one stream that ``s`` or ``s[0, 1]`` is.

    Raises:
        LanguageError: it is none, or several.
    """
    found = channels(cx, node)
    if len(found) != 1 or any(isinstance(p, ast.Slice) for p in _subscripts(node)):
        raise LanguageError(
            f"'{ast.unparse(node)}' is {len(found)} streams", loc=cx.loc(node), allowed="one"
        )
    return found[0]


def channels(cx: Context, node: ast.expr) -> list[Channel]:
    """The streams that ``s``, ``s[0, 1]`` or ``s[:, 0]`` are, row-major.

    Raises:
        LanguageError: there are no such streams, or which it is depends on a variable.
    """
    found = _declared(cx, node)
    if found is None:
        what = f"'{ast.unparse(node)}' is not a stream of the region"
        raise LanguageError(what, loc=cx.loc(node))
    shape, parts = found.type.shape, _subscripts(node)
    if len(parts) > len(shape) or (parts and len(parts) < len(shape)):
        raise KernelTypeError(
            f"{len(parts)} subscript{'s' * (len(parts) != 1)} for '{_root(node).id}', "
            f"which is {found.type}",
            loc=cx.loc(node),
            allowed=f"{len(shape)}" if shape else "none",
        )
    whole = [range(n) for n in shape]
    chosen = [_chosen(cx, p, n) for p, n in zip(parts, shape, strict=True)] if parts else whole
    strides = [prod(shape[d + 1 :]) for d in range(len(shape))]
    places = [sum(i * n for i, n in zip(at, strides, strict=True)) for at in product(*chosen)]
    own = cx.scopes.find(_root(node).id) is found
    values = [found.values[n] for n in places]
    return [Channel(v if own else cx.captured(v), found.type, found.closes) for v in values]


def _root(node: ast.expr) -> ast.Name:
    while isinstance(node, ast.Subscript):
        node = node.value
    assert isinstance(node, ast.Name)
    return node


def _subscripts(node: ast.expr) -> list[ast.expr]:
    if not isinstance(node, ast.Subscript):
        return []
    here = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    return [*_subscripts(node.value), *here]


def _chosen(cx: Context, node: ast.expr, extent: int) -> Sequence[int]:
    """The indices that one subscript of an array of streams stands for."""
    if isinstance(node, ast.Slice):
        bounds = [None if n is None else _index(cx, n) for n in (node.lower, node.upper, node.step)]
        return range(extent)[slice(*bounds)]
    number = _index(cx, node)
    if not 0 <= number < extent:
        raise KernelTypeError(
            f"the stream {number} of {extent}", loc=cx.loc(node), allowed=f"0 ... {extent - 1}"
        )
    return (number,)


def _index(cx: Context, node: ast.expr) -> int:
    try:
        cx.need_constant(node)
    except LanguageError as error:
        raise LanguageError(
            f"{error.message.partition(',')[0]}, and which stream is meant must be known before "
            "the kernel runs",
            loc=error.loc,
            allowed="numbers, df.get_pid(), ConstExpr names, variables of meta_for",
            hint="choose among streams with 'with allo.meta_for(...) as i:'",
        ) from None
    return constant_int(cx.kernel, node)


# --- what is done ---------------------------------------------------------------------------


def rank(cx: Context, node: ast.Call) -> int | None:
    """Number of dimensions of what is got; None when ``node`` has nothing to do with streams."""
    if _function(cx, node) == "gather":
        return 1 + len(_each(cx, node.args[0])[0].type.block) if node.args else 1
    name = method(cx, node)
    if name is None:
        return None
    assert isinstance(node.func, ast.Attribute)
    found = _declared(cx, node.func.value)
    assert found is not None
    return len(found.type.block) if name == "get" else 0


def scalar(cx: Context, node: ast.Call) -> Operand | None:
    """``s.get()``, ``s.try_put(x)``, ``s.empty()``, ``s.full()`` in an expression.

    None when ``node`` is not about a stream.

    Raises:
        LanguageError: it gives no scalar.
    """
    name = method(cx, node)
    if name is None:
        return None
    match name:
        case "get":
            _arguments(cx, node, 0)
            return _get(cx, _of(cx, node), node)
        case "try_put":
            return _try_put(cx, node)
        case "empty" | "full":
            return _poll(cx, node, PollKind(name))
        case "ended":
            _arguments(cx, node, 0)
            return stream_ends.ended(cx, closing(cx, node.func, node).value, node)
    raise _misused(cx, node, name)


def _misused(cx: Context, node: ast.Call, name: str) -> LanguageError:
    loc, text = cx.loc(node), ast.unparse(node.func)
    if name in ("put", "close"):
        return LanguageError(f"'{text}' gives no value", loc=loc)
    if name in ("try_get", "peek"):
        hint = f"write x, ok = {ast.unparse(node)}"
        return LanguageError(f"'{text}' gives two values", loc=loc, hint=hint)
    return LanguageError(f"a stream has no '{name}'", loc=loc, allowed=ALLOWED)


def two(cx: Context, node: ast.expr) -> tuple[Operand, Operand] | None:
    """``s.try_get()`` and ``s.peek()``: a value and whether there was one; else None."""
    name = method(cx, node)
    if name not in ("try_get", "peek"):
        return None
    assert isinstance(node, ast.Call)
    _arguments(cx, node, 0)
    source = _scalar_channel(cx, node)
    if source.closes:
        return stream_ends.next_value(cx, source.value, node, take=name == "try_get")
    result, done = Value(source.type.scalar), Value(bool_)
    peek = name == "peek"
    _emit(cx, TryGet(
        result=result, done=done, stream=source.value, peek=peek, loc=cx.loc(node)
    ))  # fmt: skip
    return Operand(source.type.scalar, result), Operand(bool_, done)


def statement(cx: Context, node: ast.Call) -> bool:
    """``s.put(x)`` and ``df.scatter(buffer, [...])``; False when ``node`` is neither."""
    if _function(cx, node) == "scatter":
        _scatter(cx, node)
        return True
    name = method(cx, node)
    if name is None:
        return False
    if name == "get":
        _arguments(cx, node, 0)
        _take(cx, _of(cx, node), "", node)
        return True
    if name == "close":
        _arguments(cx, node, 0)
        stream_ends.close(cx, closing(cx, node.func, node).value, node)
        return True
    if name != "put":
        if name not in METHODS:
            raise _misused(cx, node, name)
        text = ast.unparse(node)
        hint = f"write {'x, ok' if name in ('try_get', 'peek') else 'ok'} = {text}"
        raise LanguageError(f"the value of '{text}' is not used", loc=cx.loc(node), hint=hint)
    _arguments(cx, node, 1)
    target = _of(cx, node)
    if not target.type.block:
        _put_scalar(cx, target, ex.scalar_as(cx, node.args[0], target.type.scalar), node)
        return True
    given = arrays.anything(cx, node.args[0])
    if isinstance(given, Operand) or given.shape != target.type.block:
        raise _wrong_block(cx, node.args[0], given, target)
    _put_block(cx, target, tensors.settled(cx, given, cx.loc(node)), node)
    return True


def _wrong_block(
    cx: Context, node: ast.expr, given: ArrayValue | Operand, target: Channel
) -> LanguageError:
    return KernelTypeError(
        f"'{ast.unparse(node)}' is {given.type}, and the stream carries {target.type.element}",
        loc=cx.loc(node),
    )


def array(cx: Context, node: ast.Call, name: str) -> Tensor | None:
    """A block that is got, or what is gathered, in a fresh array; None for anything else."""
    if _function(cx, node) == "gather":
        return _gather(cx, node, name)
    if method(cx, node) != "get":
        return None
    _arguments(cx, node, 0)
    made = _take(cx, _of(cx, node), name, node)
    assert isinstance(made, Value)
    return _tensor(cx, made, node)


def _tensor(cx: Context, made: Value, node: ast.Call) -> Tensor:
    tensor = arrays.made(cx, made, node)
    assert isinstance(tensor, Tensor)
    return tensor


def _take(cx: Context, source: Channel, name: str, node: ast.Call) -> Value | Operand:
    """What comes next from a stream; a block in a fresh array."""
    if not source.type.block:
        return _get(cx, source, node)
    made = _all_stored(cx, ArrayType(source.type.scalar, source.type.block), name or "block", node)
    _get_block(cx, source, made, (), node)
    return made


def _all_stored(cx: Context, type_: ArrayType, name: str, node: ast.AST) -> Value:
    """A fresh array, all of whose elements are stored next: it need not be zeroed before."""
    made = Value(type_, name)
    cx.builder.emit(Alloc(result=made, zeroed=False, loc=cx.loc(node)))
    return made


def _of(cx: Context, node: ast.Call) -> Channel:
    assert isinstance(node.func, ast.Attribute)
    return channel(cx, node.func.value)


def _scalar_channel(cx: Context, node: ast.Call) -> Channel:
    found = _of(cx, node)
    if found.type.block:
        raise LanguageError(
            f"the stream carries blocks ({found.type.element})",
            loc=cx.loc(node),
            allowed="put and get, which wait for all of a block",
        )
    return found


def closing(cx: Context, node: ast.expr, where: ast.AST) -> Channel:
    """The stream that is closed somewhere, by ``s.close``, ``s.ended`` or ``s``.

    Raises:
        LanguageError: it is never closed.
    """
    found = channel(cx, node.value if isinstance(node, ast.Attribute) else node)
    if found.closes:
        return found
    root, hint = _root(node.value if isinstance(node, ast.Attribute) else node), None
    streams_ = cx.find(root.id)
    if isinstance(streams_, Streams) and cx.scopes.find(root.id) is streams_:
        hint = "a stream that is an argument has no end; pass on what the loop takes from it"
    raise LanguageError(
        f"the stream '{root.id}' is never closed", loc=cx.loc(where),
        allowed=f"{root.id}.close() in the kernel that puts to it", hint=hint,
    )  # fmt: skip


def _arguments(cx: Context, node: ast.Call, count: int) -> None:
    if len(node.args) != count or node.keywords or any(
        isinstance(a, ast.Starred) for a in node.args
    ):
        text = ast.unparse(node.func)
        raise LanguageError(
            f"'{ast.unparse(node)}' has the wrong arguments",
            loc=cx.loc(node),
            allowed=f"{text}({', '.join(['x'] * count)})",
        )


def _emit(cx: Context, op: Op) -> None:
    cx.builder.emit(op)
    cx.builder.unsafe.add(op)


def _get(cx: Context, source: Channel, node: ast.AST) -> Operand:
    if source.type.block:
        raise ex.array_as_scalar(cx, node, ArrayType(source.type.scalar, source.type.block))  # type: ignore[arg-type]
    result = Value(stream_ends.element(source.value))
    _emit(cx, Get(result=result, stream=source.value, loc=cx.loc(node)))
    if source.closes:
        return stream_ends.value_of(cx, source.value, result, node)
    return Operand(source.type.scalar, result)


def _put_scalar(cx: Context, target: Channel, given: Operand, node: ast.AST) -> None:
    loc = cx.loc(node)
    given = cx.builder.convert(given, target.type.scalar, loc)
    if target.closes:
        given = stream_ends.word_of(cx, target.value, given, node)
    value = cx.builder.value(given, loc)
    _emit(cx, Put(stream=target.value, value=value, loc=loc))


def _try_put(cx: Context, node: ast.Call) -> Operand:
    _arguments(cx, node, 1)
    target, loc, done = _scalar_channel(cx, node), cx.loc(node), Value(bool_)
    given = ex.scalar_as(cx, node.args[0], target.type.scalar)
    if target.closes:
        given = stream_ends.word_of(cx, target.value, given, node)
    value = cx.builder.value(given, loc)
    _emit(cx, TryPut(done=done, stream=target.value, value=value, loc=loc))
    return Operand(bool_, done)


def _poll(cx: Context, node: ast.Call, kind: PollKind) -> Operand:
    _arguments(cx, node, 0)
    source, result = _scalar_channel(cx, node), Value(bool_)
    if source.closes and kind is PollKind.EMPTY:
        return stream_ends.empty(cx, source.value, node)
    _emit(cx, Poll(kind=kind, result=result, stream=source.value, loc=cx.loc(node)))
    return Operand(bool_, result)


def _over_block(
    cx: Context, channel_: Channel, what: str, body: Callable[[At], None], node: ast.AST
) -> None:
    """A loop nest over the elements of a block."""
    name = nests.band_name(cx, f"{what}_{channel_.value.name}")
    nests.nest(cx, name, tensors.loops_of(channel_.type.block), body, cx.loc(node))


def _put_block(cx: Context, target: Channel, given: Tensor, node: ast.AST) -> None:
    _over_block(
        cx, target, "put", lambda at: _put_scalar(cx, target, given.read(at), node), node
    )


def _get_block(cx: Context, source: Channel, array_: Value, first: At, node: ast.AST) -> None:
    """The next block of a stream, into ``array_[first]``."""

    def body(at: At) -> None:
        result = Value(source.type.scalar)
        _emit(cx, Get(result=result, stream=source.value, loc=cx.loc(node)))
        given = Operand(source.type.scalar, result)
        cx.builder.store(given, array_, (*first, *at), cx.loc(node))

    _over_block(cx, source, "get", body, node)


# --- several streams -------------------------------------------------------------------------


def _function(cx: Context, node: ast.Call) -> str | None:
    """"gather" or "scatter" when a call is one."""
    func = node.func
    if not isinstance(func, ast.Name | ast.Attribute):
        return None
    thing = cx.outside(func)
    for known in (dataflow_dsl.gather, dataflow_dsl.scatter):
        if thing is known or (thing is MISSING and _is_df(func, known.__name__)):
            return known.__name__
    return None


def _is_df(node: ast.expr, name: str) -> bool:
    """Whether an expression reads ``df.<name>``."""
    match node:
        case ast.Attribute(value=ast.Name(id="df"), attr=attr):
            return attr == name
    return False


def _each(cx: Context, node: ast.expr) -> list[Channel]:
    """The streams of ``[s0, s1]`` or ``s[:, 0]``; all carry the same."""
    parts = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
    found = [c for p in parts for c in channels(cx, p)]
    if not found:
        raise LanguageError("no streams", loc=cx.loc(node), allowed="one or more")
    for other in found:
        if other.type.element != found[0].type.element:
            raise KernelTypeError(
                f"streams of {found[0].type.element} and of {other.type.element}",
                loc=cx.loc(node),
                allowed="streams that carry the same",
            )
    return found


def _gather(cx: Context, node: ast.Call, name: str) -> Tensor:
    _arguments(cx, node, 1)
    sources, loc = _each(cx, node.args[0]), cx.loc(node)
    one = sources[0].type
    shape = (len(sources), *one.block)
    made = _all_stored(cx, ArrayType(one.scalar, shape), name or "gathered", node)
    for n, source in enumerate(sources):
        first = (AffineExpr.constant(n),)
        if one.block:
            _get_block(cx, source, made, first, node)
        else:
            cx.builder.store(_get(cx, source, node), made, first, loc)
    return _tensor(cx, made, node)


def _scatter(cx: Context, node: ast.Call) -> None:
    _arguments(cx, node, 2)
    targets, loc = _each(cx, node.args[1]), cx.loc(node)
    one = targets[0].type
    given = arrays.anything(cx, node.args[0])
    wanted = ArrayType(one.scalar, (len(targets), *one.block))
    if isinstance(given, Operand) or given.shape != wanted.shape:
        raise KernelTypeError(
            f"'{ast.unparse(node.args[0])}' is {given.type}, and the streams take {wanted}",
            loc=cx.loc(node.args[0]),
        )
    values = tensors.settled(cx, given, loc)
    for n, target in enumerate(targets):
        part = _row(values, n)
        if one.block:
            _put_block(cx, target, part, node)
        else:
            _put_scalar(cx, target, part.read(()), node)


def _row(tensor: Tensor, n: int) -> Tensor:
    first = AffineExpr.constant(n)
    return tensors.rearranged(tensor, tensor.shape[1:], lambda at: (first, *at), "copy")
