"""Streams and regions of processes in hardware: what the evaluator computes, or waits for."""

import re
from dataclasses import replace

import numpy as np
import pytest
from ir_writer import Writer, agree, design_of, module_of, random_args
from stream_networks import ProcessWriter, region, stream

from allo_rtl.errors import BuildError, IRError
from allo_rtl.hls.depths import run_cycles
from allo_rtl.hls.report_builder import build_report
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.ops import Apply, Binary, BinaryKind, Call, Func, Value
from allo_rtl.ir.stream_ops import MakeStream
from allo_rtl.ir.types import UInt, bool_, float32, index, int8, int32
from allo_rtl.rtl.kernel import KernelComponent, emit_verilog
from allo_rtl.sim import pysim
from allo_rtl.sim.marshal import from_words, to_words


def pipeline_of(pipelined):
    return {"pipeline_ii": 1} if pipelined else {}


def source(n, depth=2, name="source", element=int32, pipelined=True):
    """Puts the elements of an array."""
    a, out = Value(element[n], "A"), stream(depth, element, "out")
    w = ProcessWriter(a, out)
    with w.loop("i", n, **pipeline_of(pipelined)) as i:
        w.put(out, w.load(a, i))
    return w.func(name)


def sink(n, depth=2, name="sink", element=int32, pipelined=True):
    """Takes elements into an array."""
    b, into = Value(element[n], "B"), stream(depth, element, "into")
    w = ProcessWriter(into, b)
    with w.loop("i", n, **pipeline_of(pipelined)) as i:
        w.store(w.get(into), b, i)
    return w.func(name)


def mapped(n, work, depths=(2, 2), name="work", element=int32, pipelined=True):
    """Takes n values and puts ``work(w, value)`` of each."""
    into, out = stream(depths[0], element, "into"), stream(depths[1], element, "out")
    w = ProcessWriter(into, out)
    with w.loop("i", n, **pipeline_of(pipelined)):
        w.put(out, work(w, w.get(into)))
    return w.func(name)


def chain(n, stages, depths, element=int32, ends=(True, True), helpers=()):
    """source → stages → sink; ``helpers`` are functions that stages call."""
    a, b = Value(element[n], "A"), Value(element[n], "B")
    links = [stream(d, element, f"link{k}") for k, d in enumerate(depths)]
    first = source(n, depths[0], element=element, pipelined=ends[0])
    last = sink(n, depths[-1], element=element, pipelined=ends[1])
    calls = [(first, a, links[0])]
    calls += [(f, links[k], links[k + 1]) for k, f in enumerate(stages)]
    calls += [(last, links[-1], b)]
    top = region((a, b), links, *calls)
    return module_of(*helpers, *dict.fromkeys(c[0] for c in calls), top)


def numbers(n):
    return np.array([(7 * k * k - 30 * k) % 101 - 50 for k in range(n)], object)


def zeros(n):
    return np.zeros(n, int).astype(object)


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 8, 100])
@pytest.mark.parametrize("ends", [(True, True), (True, False), (False, True)])
def test_producer_and_consumer(depth, ends):
    """The slower of the two decides; five is the least depth in a RAM."""
    agree(chain(20, [], [depth], ends=ends), [numbers(20), zeros(20)])


def test_a_value_goes_through_in_every_cycle():
    """From depth 2 on; at depth 1 in every other one."""
    def cycles(depth, n):
        return agree(chain(n, [], [depth]), [numbers(n), zeros(n)])

    assert {depth: cycles(depth, 40) - cycles(depth, 20) for depth in (1, 2, 3, 4, 5, 64, 65)} == {
        1: 40, 2: 20, 3: 20, 4: 20, 5: 20, 64: 20, 65: 20
    }  # fmt: skip


def triple(w, x):
    return w.binary("mul", x, 3)


def square(w, x):
    return w.binary("mul", x, x)


@pytest.mark.parametrize("depths", [(1, 1, 1), (2, 2, 2), (8, 1, 2)])
@pytest.mark.parametrize("pipelined", [True, False])
def test_a_pipeline_of_processes(depths, pipelined):
    stages = [
        mapped(16, triple, depths[:2], "triple"),
        mapped(16, square, depths[1:], "square", pipelined=pipelined),
    ]
    agree(chain(16, stages, depths), [numbers(16), zeros(16)])


def test_a_deep_pipeline_takes_a_value_a_cycle():
    """A multiplier of several cycles between the get and the put does not slow them."""
    def cycles(n):
        module = chain(n, [mapped(n, square)], (2, 2))
        return agree(module, [numbers(n), zeros(n)], clock_mhz=200)

    assert cycles(60) - cycles(30) == 30


# Order and waiting


def sum_with_feedback(n, depth, pipelined):
    """``total`` goes around through another process: each value needs the one before."""
    a, back, forth = Value(int32[n], "A"), stream(depth, name="back"), stream(depth, name="forth")
    w = ProcessWriter(a, back, forth)
    with w.loop("i", n, **pipeline_of(pipelined)) as i:
        w.put(forth, w.binary("add", w.load(a, i), w.get(back)))
    adder = w.func("adder")
    b, back, forth = Value(int32[n], "B"), stream(depth, name="back"), stream(depth, name="forth")
    w = ProcessWriter(b, forth, back)
    w.put(back, w.const(100))
    with w.loop("i", n, **pipeline_of(pipelined)) as i:
        word = w.get(forth)
        w.store(word, b, i)
        w.put(back, word)
    keeper = w.func("keeper")
    a, b = Value(int32[n], "A"), Value(int32[n], "B")
    back, forth = stream(depth, name="back"), stream(depth, name="forth")
    top = region((a, b), (back, forth), (adder, a, back, forth), (keeper, b, forth, back))
    return module_of(adder, keeper, top)


@pytest.mark.parametrize("pipelined", [True, False])
def test_feedback_with_a_first_value(pipelined):
    module = sum_with_feedback(6, 2, pipelined)
    agree(module, [numbers(6), zeros(6)])


@pytest.mark.parametrize("order", ["put_get", "get_put"])
@pytest.mark.parametrize("clock", [50, 250])
def test_a_pipeline_does_not_get_before_an_older_put(order, clock):
    """The partner answers each value: a pipeline that waited for a second one before it sent the
    first would wait for ever."""
    n = 8
    asked, answer = stream(1, name="asked"), stream(1, name="answer")
    b = Value(int32[n], "B")
    w = ProcessWriter(asked, answer, b)
    with w.loop("i", n, pipeline_ii=1) as i:
        if order == "put_get":
            w.put(asked, w.binary("mul", w.cast(w_index(w, i), int32), 7))
            w.store(w.get(answer), b, i)
        else:
            word = w.get(answer)
            w.put(asked, square(w, square(w, word)))
            w.store(word, b, i)
    asker = w.func("asker")
    asked, answer = stream(1, name="asked"), stream(1, name="answer")
    w = ProcessWriter(asked, answer)
    if order == "get_put":
        w.put(answer, w.const(3))
    with w.loop("i", n, pipeline_ii=1):
        word = w.binary("add", w.get(asked), 1)
        w.put(answer, w.binary("and", word, 15))
    answerer = w.func("answerer")
    b, asked, answer = Value(int32[n], "B"), stream(1, name="asked"), stream(1, name="answer")
    top = region((b,), (asked, answer), (asker, asked, answer, b), (answerer, asked, answer))
    agree(module_of(asker, answerer, top), [zeros(n)], clock_mhz=clock)


def w_index(w, i):
    return w.define(Apply, index, expr=AffineExpr.of(i))


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("clock", [50, 250])
def test_two_ways_that_join_again(depth, clock):
    """One way through a deep pipeline, the other a FIFO of one or two values."""
    n = 12
    a, b = Value(int32[n], "A"), Value(int32[n], "B")
    one, two = stream(depth, name="one"), stream(depth, name="two")
    w = ProcessWriter(a, one, two)
    with w.loop("i", n, pipeline_ii=1) as i:
        word = w.load(a, i)
        w.put(one, word)
        w.put(two, word)
    fork = w.func("fork")
    deep = mapped(n, lambda w, x: square(w, square(w, x)), (depth, depth), "deep")
    two, done = stream(depth, name="two"), stream(depth, name="done")
    w = ProcessWriter(done, two, b)
    with w.loop("i", n, pipeline_ii=1) as i:
        word = w.get(done)
        w.store(w.binary("sub", word, w.get(two)), b, i)
    join = w.func("join")
    a, b = Value(int32[n], "A"), Value(int32[n], "B")
    one, two, done = (stream(depth, name=x) for x in ("one", "two", "done"))
    top = region(
        (a, b), (one, two, done), (fork, a, one, two), (deep, one, done), (join, done, two, b)
    )
    agree(module_of(fork, deep, join, top), [numbers(n), zeros(n)], clock_mhz=clock)


def test_a_process_takes_what_data_say():
    """Even values are passed on, a while loop counts odd ones down; -1 ends the stream."""
    n = 10
    a, link = Value(int32[n], "A"), stream(2, name="link")
    w = ProcessWriter(a, link)
    with w.loop("i", n, pipeline_ii=1) as i:
        word = w.load(a, i)
        even = w.compare("eq", w.binary("and", word, 1), 0)
        with w.if_(even):
            w.put(link, word)
    w.put(link, w.const(-1))
    filtering = w.func("filtering")
    b, link = Value(int32[n], "B"), stream(2, name="link")
    w = ProcessWriter(link, b)
    word, at = w.variable(w.get(link), "word"), w.variable(w.const(0, index), "at")
    with w.while_(lambda: w.compare("ne", w.load(word), -1)):
        w.store(w.load(word), b, w.load(at))
        w.store(w.binary("add", w.load(at), w.const(1, index)), at)
        w.store(w.get(link), word)
    collecting = w.func("collecting")
    a, b, link = Value(int32[n], "A"), Value(int32[n], "B"), stream(2, name="link")
    top = region((a, b), (link,), (filtering, a, link), (collecting, link, b))
    agree(module_of(filtering, collecting, top), [numbers(n), zeros(n)])


def test_several_values_of_one_stream_in_an_iteration():
    """Four gets and four puts: an iteration every four cycles, as the report says."""
    n = 24
    into, out = stream(2, name="into"), stream(2, name="out")
    w = ProcessWriter(into, out)
    with w.loop("i", n // 4, pipeline_ii=1):
        words = [w.get(into) for _ in range(4)]
        for word in reversed(words):
            w.put(out, square(w, word))
    module = chain(n, [w.func("turn")], (2, 2))
    design = design_of(module, clock_mhz=200)
    agree(module, [numbers(n), zeros(n)], design)
    [loop] = [x for x in build_report(design).loops if x.func == "turn"]
    assert (loop.ii, loop.limit) == (
        4,
        "into is taken from 4 times per iteration, once a cycle; and a recurrence takes as long "
        "(all streams are used before the next iteration uses them; that takes 4 cycles)",
    )


def test_elements_of_any_type():
    for element in (int8, float32, UInt(70)):
        module = chain(6, [], (2,), element)
        args = random_args(module, 3)
        agree(legalize(module), args)


def test_floats_are_computed_on_the_way():
    def work(w, x):
        return w.define(Binary, float32, kind=BinaryKind.MUL, lhs=x, rhs=x)

    module = legalize(chain(6, [mapped(6, work, element=float32)], (2, 2), float32))
    agree(module, random_args(module, 5), clock_mhz=100)


# Looking without waiting


def test_asking_and_trying():
    """The reader looks until all have come; the writer tries until there is room."""
    n = 6
    link = stream(2, name="link")
    w = ProcessWriter(link)
    sent = w.variable(w.const(0), "sent")
    with w.while_(lambda: w.compare("lt", w.load(sent), n)):
        done = w.try_put(link, w.load(sent))
        w.store(w.binary("add", w.load(sent), w.cast(done, int32)), sent)
    trying = w.func("trying")
    b, link = Value(int32[n], "B"), stream(2, name="link")
    w = ProcessWriter(link, b)
    seen, at = w.variable(w.const(0), "seen"), w.variable(w.const(0, index), "at")
    with w.while_(lambda: w.compare("lt", w.load(at), w.const(n, index))):
        some = w.binary("xor", w.poll(link, "empty"), w.const(1, bool_))
        with w.if_(some):
            first, _ = w.try_get(link, peek=True)
            word, _ = w.try_get(link)
            w.store(w.binary("add", w.load(seen), first), seen)
            w.store(w.binary("mul", word, w.load(seen)), b, w.load(at))
            w.store(w.binary("add", w.load(at), w.const(1, index)), at)
    looking = w.func("looking")
    b, link = Value(int32[n], "B"), stream(2, name="link")
    top = region((b,), (link,), (trying, link), (looking, link, b))
    agree(module_of(trying, looking, top), [zeros(n)])


# Runs


def test_a_run_starts_with_empty_streams():
    """Values that nobody took are not there in the next run."""
    module = module_of(*leftover())
    design = design_of(module)
    runs = [[to_words(numbers(8), int32), to_words(zeros(3), int32)] for _ in range(3)]
    runs[1][0] += 1
    outcomes = pysim.run_all(KernelComponent(design), runs)
    assert len({cycles for _, cycles in outcomes}) == 1
    for k, (_, b) in enumerate(runs):
        expected = [numbers(8) + (k == 1), zeros(3)]
        evaluate(module, expected)
        assert from_words(b, int32[3], object).tolist() == expected[1].tolist()


def leftover():
    first, last = source(8, 16), sink(3, 16)
    a, b, link = Value(int32[8], "A"), Value(int32[3], "B"), stream(16, name="link")
    return first, last, region((a, b), (link,), (first, a, link), (last, link, b))


def test_two_regions_one_after_the_other():
    """In a function that calls them; the second reads what the first wrote."""
    pieces = [source(6, 2), sink(6, 2)]
    a, b, link = Value(int32[6], "A"), Value(int32[6], "B"), stream(2, name="link")
    copy = region((a, b), (link,), (pieces[0], a, link), (pieces[1], link, b), name="copy")
    a, b, c = (Value(int32[6], x) for x in "ABC")
    w = Writer(a, b, c)
    w.call(copy, a, b)
    w.call(copy, b, c)
    agree(module_of(*pieces, copy, w.func("both")), [numbers(6), zeros(6), zeros(6)])


def test_a_region_inside_a_region():
    n = 8
    double = mapped(n, lambda w, x: w.binary("add", x, x), name="double")
    into, out, link = stream(2, name="into"), stream(2, name="out"), stream(1, name="link")
    double_ = mapped(n, triple, (2, 1), name="first")
    second = mapped(n, lambda w, x: w.binary("add", x, x), (1, 2), name="second")
    inner = region((into, out), (link,), (double_, into, link), (second, link, out), name="inner")
    first, last = source(n), sink(n)
    a, b, s, t, u = Value(int32[n], "A"), Value(int32[n], "B"), *(stream(2, name=x) for x in "stu")
    top = region(
        (a, b), (s, t, u), (first, a, s), (inner, s, t), (double, t, u), (last, u, b)
    )
    agree(
        module_of(double, double_, second, inner, first, last, top), [numbers(n), zeros(n)]
    )


def test_a_process_calls_functions_that_use_its_streams():
    """Two calls of one function, then gets of its own."""
    n = 4
    into, out = stream(2, name="into"), stream(2, name="out")
    w = ProcessWriter(into, out)
    with w.loop("i", n):
        w.put(out, square(w, w.get(into)))
    part = w.func("part")
    into, out = stream(2, name="into"), stream(2, name="out")
    w = ProcessWriter(into, out)
    w.call(part, into, out)
    w.put(out, w.get(into))
    w.call(part, into, out)
    agree(chain(9, [w.func("parts")], (2, 2), helpers=[part]), [numbers(9), zeros(9)])


def test_memories_hold_while_the_process_waits():
    """A table is read and written in a pipelined loop whose output is slow."""
    n = 12
    into, out = stream(1, name="into"), stream(1, name="out")
    w = ProcessWriter(into, out)
    table = w.alloc(int32[16], "table")
    with w.loop("i", n, pipeline_ii=1):
        word = w.get(into)
        at = w.cast(w.binary("and", word, 7), index)
        count = w.binary("add", w.load(table, at), 1)
        w.store(count, table, at)
        w.put(out, w.binary("add", w.binary("mul", count, 1000), word))
    tally = w.func("tally")
    module = chain(n, [tally], (1, 1), ends=(True, False))
    agree(module, [numbers(n), zeros(n)])
    agree(module, [numbers(n), zeros(n)], clock_mhz=200)


def test_numbers_and_arrays_of_the_region():
    """Scalars go to every process; an array of the region has one writer and one reader bank."""
    n = 4
    x, gain = Value(int32, "x"), Value(int32, "gain")
    out = stream(2, name="out")
    w = ProcessWriter(gain, out)
    with w.loop("i", n, pipeline_ii=1) as i:
        w.put(out, w.binary("mul", w.cast(w_index(w, i), int32), gain))
    maker = w.func("maker")
    into, gain, b = stream(2, name="into"), Value(int32, "gain"), Value(int32[n], "B")
    w = ProcessWriter(into, gain, b)
    with w.loop("i", n, pipeline_ii=1) as i:
        w.store(w.binary("sub", w.get(into), gain), b, i)
    taker = w.func("taker")
    b, link = Value(int32[n], "B"), stream(2, name="link")
    w = Writer(x, b)
    gain = w.binary("add", x, 1)
    made = (MakeStream(result=link),)
    calls = (
        Call(callee="maker", args=(gain, link)), Call(callee="taker", args=(link, x, b))
    )
    top = Func(
        name="top", args=(x, b), results=(), body=(*w.blocks[0], *made, *calls), dataflow=True
    )
    agree(module_of(maker, taker, top), [5, zeros(n)])


# Arrays that processes share


def test_processes_take_turns_at_a_port():
    """All read one array and write another; each waits until it has the port."""
    n, count = 8, 3
    funcs = []
    for p in range(count):
        a, b = Value(int32[n], "A"), Value(int32[n * count], "B")
        w = Writer(a, b)
        with w.loop("i", n, pipeline_ii=1) as i:
            w.store(square(w, w.load(a, i)), b, AffineExpr.of(i) * count + p)
        funcs.append(w.func(f"process{p}"))
    a, b = Value(int32[n], "A"), Value(int32[n * count], "B")
    top = region((a, b), (), *((f, a, b) for f in funcs))
    cycles = agree(module_of(*funcs, top), [numbers(n), zeros(n * count)])
    assert n * count <= cycles < n * count + 12


def test_processes_take_turns_through_a_region_inside():
    """Two regions of two processes each; all four read one array."""
    n = 6
    a, out = Value(int32[n], "A"), stream(2, name="out")
    w = ProcessWriter(out, a)
    with w.loop("i", n, pipeline_ii=1) as i:
        w.put(out, w.load(a, i))
    give = w.func("give")
    a, b, into = Value(int32[n], "A"), Value(int32[n], "B"), stream(2, name="into")
    w = ProcessWriter(into, a, b)
    with w.loop("i", n, pipeline_ii=1) as i:
        w.store(w.binary("mul", w.get(into), w.load(a, AffineExpr.of(i) * -1 + n - 1)), b, i)
    times = w.func("times")
    a, b, link = Value(int32[n], "A"), Value(int32[n], "B"), stream(2, name="link")
    inner = region((a, b), (link,), (give, link, a), (times, link, a, b), name="inner")
    a, b, c = (Value(int32[n], x) for x in "ABC")
    top = region((a, b, c), (), (inner, a, b), (inner, a, c))
    agree(module_of(give, times, inner, top), [numbers(n), zeros(n), zeros(n)])


def test_a_store_before_a_put_is_done_before_the_value_is_there():
    """Both store to one element; the token that goes between them says who is last."""
    a, b, token = Value(int32[2], "A"), Value(int32[1], "B"), stream(2, name="token")
    w = ProcessWriter(a, b, token)
    w.store(square(w, w.load(a, 0)), b, 0)
    w.put(token, w.const(1))
    first = w.func("first")
    a, b, token = Value(int32[2], "A"), Value(int32[1], "B"), stream(2, name="token")
    w = ProcessWriter(a, b, token)
    word = w.load(a, 1)
    w.get(token)
    w.store(word, b, 0)
    second = w.func("second")
    a, b, token = Value(int32[2], "A"), Value(int32[1], "B"), stream(2, name="token")
    top = region((a, b), (token,), (first, a, b, token), (second, a, b, token))
    agree(module_of(first, second, top), [numbers(2), zeros(1)], clock_mhz=250)


def errors_of(*funcs):
    with pytest.raises(BuildError) as caught:
        design_of(module_of(*funcs))
    return caught.value


def test_one_writes_what_another_reads():
    """The value that goes between them says when an element may be written."""
    first, last = source(4), sink(4)
    a, link = Value(int32[4], "A"), stream(2, name="link")
    top = region((a,), (link,), (first, a, link), (last, link, a))
    agree(module_of(first, last, top), [numbers(4)])


def test_each_end_of_a_stream_has_one_process():
    first, last = source(4), sink(4)
    a, b, link = Value(int32[4], "A"), Value(int32[4], "B"), stream(2, name="link")
    top = region((a, b), (link,), (first, a, link), (first, a, link), (last, link, b))
    with pytest.raises(IRError, match="%link is written by 2 processes"):
        module_of(first, last, top)


def test_a_region_computes_nothing_besides():
    first, last = source(4), sink(4)
    a, b, link = Value(int32[4], "A"), Value(int32[4], "B"), stream(2, name="link")
    top = region((a, b), (link,), (first, a, link), (last, link, b))
    w = Writer()
    with w.loop("i", 4) as i:
        w.store(w.const(0), a, i)
    top = replace(top, body=(*w.blocks[0], *top.body))
    assert errors_of(first, last, top).message == (
        "there is a loop or a condition in the region 'top'"
    )


def test_streams_are_inside():
    error = errors_of(sink(4))
    assert error.message == (
        "into is a stream, and the top function's arguments are numbers and arrays"
    )


def test_a_shared_port_is_asked_for_when_the_word_is_there():
    """What is taken and stored in one cycle: the port is free before the word comes."""
    n = 4
    feeder = source(2 * n, 1, pipelined=False)
    a, b = Value(int32[2 * n], "A"), Value(int32[2 * n], "B")
    one, two = stream(1, name="one"), stream(1, name="two")
    w = ProcessWriter(one, two, b)
    with w.loop("i", n) as i:
        w.put(two, w.get(one))
        w.store(w.get(one), b, i)
    passing = w.func("passing")
    b, two = Value(int32[2 * n], "B"), stream(1, name="two")
    w = ProcessWriter(two, b)
    with w.loop("i", n) as i:
        w.store(w.get(two), b, AffineExpr.of(i) + n)
    last = w.func("last")
    b = Value(int32[2 * n], "B")
    one, two = stream(1, name="one"), stream(1, name="two")
    top = region((a, b), (one, two), (feeder, a, one), (passing, one, two, b), (last, two, b))
    agree(module_of(feeder, passing, last, top), [numbers(2 * n), zeros(2 * n)])


def test_the_report_lists_streams():
    work = mapped(8, triple, (100, 1), element=int8)
    design = design_of(chain(8, [work], (100, 1), int8))
    report = build_report(design)
    assert [(s.name, s.func, s.depth, s.width, s.storage) for s in report.streams] == [
        ("link0", "top", 100, 8, "block RAM"), ("link1", "top", 1, 8, "registers")
    ]  # fmt: skip
    assert report.latency == run_cycles(design)
    assert report.notes == ("7 cycles are lost to full FIFOs; none are with these depths: link1 2",)
    text = str(report)
    assert "link0: 100 values of 8 bits, block RAM" in text
    assert "link1: 1 value of 8 bits, registers" in text


def test_names_in_verilog():
    """One module for each function, and one for all FIFOs of one kind."""
    text = emit_verilog(design_of(chain(8, [mapped(8, triple, (2, 2))], (2, 2))))
    modules = re.findall(r"^module (\w+)", text, re.MULTILINE)
    assert modules == ["top", "top_fifo_32x2", "top_sink", "top_source", "top_work"]
    assert text.count("top_fifo_32x2 link") == 2
    for name in ("into_data", "into_valid", "into_ready", "out_data", "out_valid", "out_ready"):
        assert re.search(rf"put.* {name};$", text, re.MULTILINE)
