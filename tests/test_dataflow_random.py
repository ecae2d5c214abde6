"""Random graphs of processes: one result at every depth, or a deadlock whose hint frees it."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allo_rtl.dataflow as df
from allo_rtl.errors import Deadlock
from allo_rtl.ir.mlir_parser import parse_module

TOKENS = 8


@dataclass(frozen=True)
class Graph:
    """Nodes that get ``bursts[n]`` tokens from each input, then put as many to each output.

    ``edges`` are (from, to) with from < to; node 0 reads an array, every node stores its sums.
    """

    bursts: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]
    depths: tuple[int, ...]

    def text(self, depths=None) -> str:
        lines = ["@df.region()", f"def top(A: int32[{TOKENS}], B: int32[{len(self.bursts)}]):"]
        for n, depth in enumerate(depths or self.depths):
            lines.append(f"    s{n}: Stream[int32, {depth}]")
        for node, burst in enumerate(self.bursts):
            lines += [f"    {line}" for line in self.process(node, burst)]
        return "\n".join(lines)

    def process(self, node: int, burst: int) -> list[str]:
        ins = [n for n, (_, to) in enumerate(self.edges) if to == node]
        outs = [n for n, (start, _) in enumerate(self.edges) if start == node]
        lines = [
            "@df.kernel(mapping=[1], args=[A, B])",
            f"def node{node}(a: int32[{TOKENS}], b: int32[{len(self.bursts)}]):",
            "    total: int32 = 0",
            f"    x: int32[{burst}]",
            f"    for i in range({TOKENS // burst}):",
            f"        for j in range({burst}):",
            f"            x[j] = {f'a[i * {burst} + j]' if not ins else '0'}",
        ]
        for s in ins:
            lines += [f"        for j in range({burst}):", f"            x[j] += s{s}.get()"]
        lines += [f"        for j in range({burst}):", "            total += x[j]"]
        for s in outs:
            lines += [f"        for j in range({burst}):",
                      f"            s{s}.put(x[j] * 3 + {node})"]  # fmt: skip
        return [*lines, f"    b[{node}] = total"]

    def expected(self, a) -> list[int]:
        values: list[np.ndarray] = []
        for node in range(len(self.bursts)):
            ins = [start for start, to in self.edges if to == node]
            values.append(sum(values[s] * 3 + s for s in ins) if ins else a)
        return [int(v.sum()) for v in values]


@st.composite
def graphs(draw) -> Graph:
    count = draw(st.integers(2, 6))
    bursts = tuple(draw(st.sampled_from([1, 2, 4, 8])) for _ in range(count))
    pairs = [(a, b) for b in range(count) for a in range(b)]
    edges = tuple(draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=8)))
    depths = tuple(draw(st.integers(1, 5)) for _ in edges)
    return Graph(bursts, edges, depths)


def run(module, graph):
    a = np.arange(1, TOKENS + 1, dtype=np.int32)
    b = np.zeros(len(graph.bursts), np.int32)
    module(a, b)
    assert b.tolist() == graph.expected(a.astype(int))


def deadlock_of(module, graph) -> Deadlock | None:
    """The deadlock that a run ends in; None when it gives the right result."""
    try:
        run(df.build(module), graph)
    except Deadlock as deadlock:
        return deadlock
    return None


def freed(graph, deadlock) -> tuple[int, ...]:
    """The depths with those of the hint."""
    assert deadlock.hint is not None, deadlock
    pairs = deadlock.hint.rpartition(": ")[2].split(", ")
    deeper = {name: int(depth) for name, depth in (p.split(" ") for p in pairs)}
    new = tuple(deeper.get(f"s{n}", depth) for n, depth in enumerate(graph.depths))
    assert all(after >= before for after, before in zip(new, graph.depths, strict=True))
    return new


def check(graph):
    module = df.customize(graph.text()).module
    read = parse_module(str(module))
    assert str(read) == str(module)
    deadlock = deadlock_of(module, graph)
    if deadlock is not None:
        assert str(deadlock_of(read, graph)).splitlines()[0] == str(deadlock).splitlines()[0]
        run(df.build(graph.text(freed(graph, deadlock))), graph)
    run(df.build(graph.text((TOKENS,) * len(graph.edges))), graph)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graphs())
def test_random_graphs(graph):
    check(graph)


@pytest.mark.long
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graphs())
def test_many_random_graphs(graph):
    check(graph)


def test_there_are_graphs_that_deadlock_and_graphs_that_do_not():
    short = Graph((1, 4, 1), ((0, 1), (0, 2), (1, 2)), (1, 1, 1))
    with pytest.raises(Deadlock) as caught:
        run(df.build(short.text()), short)
    assert caught.value.hint == "with these depths it would not wait: s1 2"
    check(short)
    check(Graph((1, 1, 1), ((0, 1), (0, 2), (1, 2)), (1, 1, 1)))
