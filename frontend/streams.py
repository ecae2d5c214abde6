"""Streams in a kernel: which is meant, and what is done with it.

A block is put and got element by element, row-major.  What is done with a stream happens exactly
once and in the order of the source, so these operations are never run on the chance that they
are needed.
"""

from __future__ import annotations

import ast

from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.frontend import arrays, dataflow_dsl, stream_blocks, stream_ends, tensors
from allo_rtl.frontend import expressions as ex
from allo_rtl.frontend.builder import Operand
from allo_rtl.frontend.channels import Channel, channel, channels, closing, declared, method
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.infer import MISSING
from allo_rtl.frontend.stream_ends import emit
from allo_rtl.frontend.tensors import ArrayValue, Tensor
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import If, Value
from allo_rtl.ir.stream_ops import Get, PollKind, TryGet, TryPut
from allo_rtl.ir.types import ArrayType, bool_

METHODS = ("put", "get", "try_put", "try_get", "peek", "empty", "full", "close", "ended")
ALLOWED = "put(x), get(), try_put(x), try_get(), peek(), empty(), full(), close(), ended()"


# --- what is done ---------------------------------------------------------------------------


def rank(cx: Context, node: ast.Call) -> int | None:
    """Number of dimensions of what is got; None when ``node`` has nothing to do with streams."""
    if _function(cx, node) == "gather":
        return 1 + len(_each(cx, node.args[0])[0].type.block) if node.args else 1
    name = method(cx, node)
    if name is None:
        return None
    assert isinstance(node.func, ast.Attribute)
    found = declared(cx, node.func.value)
    assert found is not None
    return len(found.type.block) if name == "get" else 0


def scalar(cx: Context, node: ast.Call) -> Operand | None:
    """``s.get()``, ``s.try_put(x)``, ``s.empty()``, ``s.full()`` in an expression.

    None when ``node`` is not about a stream.

    Raises:
        LanguageError: it gives no scalar.
    """
    name = method(cx, node)
    match name:
        case None:
            return None
        case "get":
            _arguments(cx, node, 0)
            return _get(cx, _of(cx, node), node)
        case "try_put":
            return _try_put(cx, node)
        case "empty":
            _arguments(cx, node, 0)
            return stream_ends.negated(cx, stream_ends.some_next(cx, _of(cx, node), node), node)
        case "full":
            _arguments(cx, node, 0)
            return stream_ends.poll(cx, _of(cx, node), PollKind.FULL, node)
        case "ended":
            _arguments(cx, node, 0)
            return stream_ends.ended(cx, closing(cx, node.func, node), node)
    raise _misused(cx, node, name)


def _misused(cx: Context, node: ast.Call, name: str) -> LanguageError:
    loc, text = cx.loc(node), ast.unparse(node.func)
    if name in ("put", "close"):
        return LanguageError(f"'{text}' gives no value", loc=loc)
    if name in ("try_get", "peek"):
        hint = f"write x, ok = {ast.unparse(node)}"
        return LanguageError(f"'{text}' gives two values", loc=loc, hint=hint)
    return LanguageError(f"a stream has no '{name}'", loc=loc, allowed=ALLOWED)


def two(cx: Context, node: ast.expr, name: str) -> tuple[Operand | Value, Operand] | None:
    """``s.try_get()`` and ``s.peek()``: a value and whether there was one; else None.

    A block is in a fresh array called ``name``.
    """
    what = method(cx, node)
    if what not in ("try_get", "peek"):
        return None
    assert isinstance(node, ast.Call)
    _arguments(cx, node, 0)
    source, take = _of(cx, node), what == "try_get"
    if source.type.block:
        there = stream_ends.some_next(cx, source, node)
        return stream_blocks.next_block(cx, source, there, name, node, take=take), there
    if source.closes:
        value, there = stream_ends.peeked(cx, source, node)
        if take:
            _take_if(cx, source, there, node)
        return value, there
    result, done = Value(source.word), Value(bool_)
    emit(cx, TryGet(
        result=result, done=done, stream=source.value, peek=not take, loc=cx.loc(node)
    ))  # fmt: skip
    return Operand(source.word, result), Operand(bool_, done)


def _take_if(cx: Context, source: Channel, there: Operand, node: ast.AST) -> None:
    """Take a word that was looked at, if it is a value."""
    loc = cx.loc(node)
    with cx.builder.block() as ops:
        emit(cx, Get(result=Value(source.word), stream=source.value, loc=loc))
    emit(cx, If(condition=cx.builder.value(there, loc), then=tuple(ops), loc=loc))


def statement(cx: Context, node: ast.Call) -> bool:
    """``s.put(x)`` and ``df.scatter(buffer, [...])``; False when ``node`` is neither."""
    if _function(cx, node) == "scatter":
        _scatter(cx, node)
        return True
    name = method(cx, node)
    match name:
        case None:
            return False
        case "get":
            _arguments(cx, node, 0)
            _take(cx, _of(cx, node), "", node)
        case "close":
            _arguments(cx, node, 0)
            _close(cx, closing(cx, node.func, node), node)
        case "put":
            _arguments(cx, node, 1)
            _put(cx, _of(cx, node), node)
        case _ if name not in METHODS:
            raise _misused(cx, node, name)
        case _:
            text = ast.unparse(node)
            hint = f"write {'x, ok' if name in ('try_get', 'peek') else 'ok'} = {text}"
            raise LanguageError(f"the value of '{text}' is not used", loc=cx.loc(node), hint=hint)
    return True


def _put(cx: Context, target: Channel, node: ast.Call) -> None:
    """``s.put(x)``."""
    if target.type.block:
        given = _block(cx, target, node.args[0])
        stream_ends.check_open(cx, target, node)
        stream_blocks.put(cx, target, given, node)
    else:
        word = ex.scalar_as(cx, node.args[0], target.type.scalar)
        stream_ends.check_open(cx, target, node)
        stream_blocks.put_scalar(cx, target, word, node)


def _block(cx: Context, target: Channel, node: ast.expr) -> Tensor:
    """The block that is given for a stream, computed."""
    given = arrays.anything(cx, node)
    if isinstance(given, Operand) or given.shape != target.type.block:
        raise _wrong_block(cx, node, given, target)
    return tensors.settled(cx, given, cx.loc(node))


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
    made = stream_blocks.fresh(cx, source.type.scalar, source.type.block, name or "block", node)
    stream_blocks.get(cx, source, made, (), node)
    return made


def _of(cx: Context, node: ast.Call) -> Channel:
    assert isinstance(node.func, ast.Attribute)
    return channel(cx, node.func.value)


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


def _get(cx: Context, source: Channel, node: ast.AST) -> Operand:
    if source.type.block:
        raise ex.array_as_scalar(cx, node, ArrayType(source.type.scalar, source.type.block))  # type: ignore[arg-type]
    return stream_ends.value_of(cx, source, stream_blocks.get_word(cx, source, node), node)


def _close(cx: Context, target: Channel, node: ast.AST) -> None:
    """``s.close()``: put the end, once there is room."""
    word = stream_ends.begin_close(cx, target, node)
    if target.type.block:
        stream_blocks.fill(cx, target, word, node)
    else:
        stream_blocks.put_word(cx, target, word, node)


def _try_put(cx: Context, node: ast.Call) -> Operand:
    _arguments(cx, node, 1)
    target, loc = _of(cx, node), cx.loc(node)
    if target.type.block:
        block = _block(cx, target, node.args[0])
        stream_ends.check_open(cx, target, node)
        return stream_blocks.try_put(cx, target, block, node)
    done, given = Value(bool_), ex.scalar_as(cx, node.args[0], target.type.scalar)
    stream_ends.check_open(cx, target, node)
    value = cx.builder.value(stream_ends.word_of(cx, target, given, node), loc)
    emit(cx, TryPut(done=done, stream=target.value, value=value, loc=loc))
    return Operand(bool_, done)


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
    made = stream_blocks.fresh(cx, one.scalar, shape, name or "gathered", node)
    for n, source in enumerate(sources):
        first = (AffineExpr.constant(n),)
        if one.block:
            stream_blocks.get(cx, source, made, first, node)
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
        stream_ends.check_open(cx, target, node)
        if one.block:
            stream_blocks.put(cx, target, part, node)
        else:
            stream_blocks.put_scalar(cx, target, part.read(()), node)


def _row(tensor: Tensor, n: int) -> Tensor:
    first = AffineExpr.constant(n)
    return tensors.rearranged(tensor, tensor.shape[1:], lambda at: (first, *at), "copy")
