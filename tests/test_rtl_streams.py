"""Streams and regions of processes in hardware: what the evaluator computes, or waits for."""

import numpy as np
import pytest
from ir_writer import agree, module_of
from stream_networks import ProcessWriter, region, stream

from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import int32


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


def chain(n, stages, depths, element=int32, ends=(True, True)):
    """source → stages → sink."""
    a, b = Value(element[n], "A"), Value(element[n], "B")
    links = [stream(d, element, f"link{k}") for k, d in enumerate(depths)]
    first = source(n, depths[0], element=element, pipelined=ends[0])
    last = sink(n, depths[-1], element=element, pipelined=ends[1])
    calls = [(first, a, links[0])]
    calls += [(f, links[k], links[k + 1]) for k, f in enumerate(stages)]
    calls += [(last, links[-1], b)]
    top = region((a, b), links, *calls)
    return module_of(*dict.fromkeys(c[0] for c in calls), top)


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
