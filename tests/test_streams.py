"""Streams and regions in the IR: what processes do, in which order, and deadlocks explained."""

import numpy as np
import pytest

from allo_rtl.errors import Deadlock, IRError
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.ops import Call, Constant, For, Func, Load, Module, Return, Store, Value
from allo_rtl.ir.stream_ops import Get, MakeStream, Poll, PollKind, Put, TryGet, TryPut
from allo_rtl.ir.types import StreamType, bool_, index, int32
from allo_rtl.ir.verify import verify_module


def counted(extent, make):
    """``for i in range(extent)`` around the operations that ``make(i)`` gives."""
    i = Value(index, "i")
    zero, end = (AffineExpr.constant(0),), (AffineExpr.constant(extent),)
    return For(iv=i, lower=zero, upper=end, body=tuple(make(AffineExpr.of(i))), name="i")


def feed(name, n):
    """Puts the elements of an array."""
    array, stream = Value(int32[n], "A"), Value(StreamType(int32), "s")

    def body(i):
        word = Value(int32)
        yield Load(result=word, array=array, index=(i,))
        yield Put(stream=stream, value=word)

    return Func(name=name, args=(array, stream), results=(), body=(counted(n, body),))


def drain(name, n):
    """Gets elements into an array."""
    array, stream = Value(int32[n], "B"), Value(StreamType(int32), "s")

    def body(i):
        word = Value(int32)
        yield Get(result=word, stream=stream)
        yield Store(value=word, array=array, index=(i,))

    return Func(name=name, args=(array, stream), results=(), body=(counted(n, body),))


def pipe(depth=2, puts=8, gets=8):
    """A region of two processes with one stream between them."""
    a, b = Value(int32[puts], "A"), Value(int32[gets], "B")
    stream = Value(StreamType(int32, depth), "link")
    producer, consumer = feed("producer", puts), drain("consumer", gets)
    producer, consumer = (_with_depth(f, stream.type) for f in (producer, consumer))
    body = (
        MakeStream(result=stream),
        Call(callee="producer", args=(a, stream)),
        Call(callee="consumer", args=(b, stream)),
    )
    top = Func(name="top", args=(a, b), results=(), body=body, dataflow=True)
    return Module(funcs=(producer, consumer, top), top="top")


def _with_depth(func, type_):
    from allo_rtl.ir.rewrite import retype

    return retype(func, {func.args[1]: type_})


def run(module, *args):
    verify_module(module)
    evaluate(module, args)
    return args


@pytest.mark.parametrize("depth", [1, 2, 100])
def test_values_go_through_in_order(depth):
    _, found = run(pipe(depth), np.arange(8), np.zeros(8, int))
    np.testing.assert_array_equal(found, np.arange(8))


def test_a_reader_that_waits_for_ever_is_a_deadlock():
    with pytest.raises(Deadlock) as caught:
        run(pipe(puts=7, gets=8), np.arange(7), np.zeros(8, int))
    assert str(caught.value) == (
        "deadlock: consumer waits for a value from link, which is empty, and producer has ended"
    )


def test_a_writer_that_waits_for_ever_gets_the_depth_that_would_free_it():
    with pytest.raises(Deadlock) as caught:
        run(pipe(depth=3, puts=8, gets=4), np.arange(8), np.zeros(4, int))
    assert str(caught.value) == (
        "deadlock: producer waits for room in link, which is full (depth 3), "
        "and consumer has ended\n"
        "  hint: with these depths it would not wait: link 4"
    )
    assert caught.value.full == ("link",)


def test_a_second_region_inside_a_process():
    inner = pipe()
    renamed = {f.name: f for f in inner.funcs}
    a, b = Value(int32[8], "X"), Value(int32[8], "Y")
    outer = Func(name="outer", args=(a, b), results=(),
                 body=(Call(callee="top", args=(a, b)), Call(callee="other", args=(b,))),
                 dataflow=True)  # fmt: skip
    y = Value(int32[8], "Z")
    other = Func(name="other", args=(y,), results=(), body=())
    module = Module(funcs=(*renamed.values(), other, outer), top="outer")
    _, found = run(module, np.arange(8), np.zeros(8, int))
    np.testing.assert_array_equal(found, np.arange(8))


def polling(n):
    """Takes values without waiting: ``B[i]`` is what there was, or 0."""
    array, stream = Value(int32[n], "B"), Value(StreamType(int32), "s")

    def body(i):
        word, done = Value(int32), Value(bool_)
        yield TryGet(result=word, done=done, stream=stream)
        yield Store(value=word, array=array, index=(i,))

    return Func(name="consumer", args=(array, stream), results=(), body=(counted(n, body),))


def test_looking_without_waiting():
    module = pipe(puts=8, gets=8)
    consumer = _with_depth(polling(8), StreamType(int32, 8))
    big = pipe(depth=8).funcs
    module = Module(funcs=(big[0], consumer, big[2]), top="top")
    _, found = run(module, np.arange(1, 9), np.zeros(8, int))
    assert found.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_stream_operations_are_checked():
    stream, word, flag = Value(StreamType(int32), "s"), Value(int32, "w"), Value(bool_)
    body = (
        Constant(result=word, value=1), MakeStream(result=Value(StreamType(int32), "t")),
        Put(stream=stream, value=word), TryPut(done=flag, stream=stream, value=word),
        Poll(kind=PollKind.EMPTY, result=Value(int32), stream=stream), Return(values=()),
    )  # fmt: skip
    func = Func(name="f", args=(stream,), results=(), body=body)
    with pytest.raises(IRError) as caught:
        verify_module(Module(funcs=(func,), top="f"))
    text = str(caught.value)
    assert "f: MakeStream makes a stream, in a dataflow function" in text
    assert "f: the answer of Poll is int32, not uint1" in text


def test_a_stream_connects_two_processes():
    whole = pipe()
    producer, consumer, top = whole.funcs
    calls = [op for op in top.body if isinstance(op, Call)]
    twice = (*top.body, *calls)
    again = Func(name="top", args=top.args, results=(), body=twice, dataflow=True)
    with pytest.raises(IRError) as caught:
        verify_module(Module(funcs=(producer, consumer, again), top="top"))
    text = str(caught.value)
    assert "top: %link is written by 2 processes" in text
    assert "top: %link is read by 2 processes" in text


def test_a_process_may_call_a_function_with_its_stream():
    whole = pipe(puts=7)
    producer, consumer, top = whole.funcs
    b, stream = Value(int32[8], "B"), Value(StreamType(int32, 2), "t")
    between = Func(
        name="between", args=(b, stream), results=(),
        body=(Call(callee="consumer", args=(b, stream)),),
    )  # fmt: skip
    make, first, second = top.body
    body = (make, first, Call(callee="between", args=second.args))
    again = Func(name="top", args=top.args, results=(), body=body, dataflow=True)
    with pytest.raises(Deadlock) as caught:
        run(Module(funcs=(producer, consumer, between, again), top="top"),
            np.arange(7), np.zeros(8, int))  # fmt: skip
    assert str(caught.value) == (
        "deadlock: between waits for a value from link, which is empty, and producer has ended"
    )
