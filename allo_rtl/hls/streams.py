"""Stream operations in a schedule: their nodes, their order, and which of them never block.

A function that uses streams is an *island*: it runs by its schedule, and when an operation of
this cycle cannot be done (nothing to take, no room to put) everything in it holds, the operations
that come earlier in the text having been done.  So that holding never keeps back what a blocked
operation waits for, operations happen in the order of the text, also those of iterations that
overlap: no operation is earlier in time than one of an iteration before.

That alone would tie an iteration's last put to the next one's first get, and a pipeline's
interval to its depth.  The *leading* gets of a pipelined loop are therefore no part of it: they
are collected before their iteration starts.  While one has nothing to take, no iteration starts
and those that are under way go on.  When an iteration has to hold in its first cycle, its words
have left their FIFOs and wait in registers of the reader: a FIFO of depth d has d places.  A get
leads when it is unconditional, no operation but leading gets comes before it in the iteration,
and all operations on its stream lead.

Every run does what the evaluator's order of operations may do with FIFOs of at least the
declared depths: a pipeline holds the values that are on their way through it besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from itertools import pairwise, product

from allo_rtl.hls.graph import BIT, Graph
from allo_rtl.hls.node import STREAMS, Kind, Node
from allo_rtl.hls.op_schedule import Edge, OpSchedule
from allo_rtl.ir.ops import Value
from allo_rtl.ir.stream_ops import Get, Poll, PollKind, Put, StreamOp, TryGet, TryPut
from allo_rtl.ir.types import Index, IntegerType, StreamType


class End(Enum):
    """The two ends of a stream; the value is what a process does there."""

    READ = "read"
    WRITE = "written"


def end_of(op: StreamOp) -> End:
    """At which end of its stream an operation is."""
    match op:
        case Put() | TryPut() | Poll(kind=PollKind.FULL):
            return End.WRITE
    return End.READ


def nodes_of(
    graph: Graph, op: StreamOp, enable: Node, value: Callable[[Value], Node],
    order: Callable[[], int],
) -> tuple[list[Node], dict[Value, Node]]:
    """The nodes of an operation that is done when ``enable`` is 1, and what it results in."""
    stream = op.stream.type
    assert isinstance(stream, StreamType)
    element = stream.element
    assert isinstance(element, IntegerType | Index)

    def make(kind: Kind, type: IntegerType | Index, *operands: Node) -> Node:
        return Node(
            kind, type, operands, (type.min, type.max), order=order(), name=op.stream.name,
            loc=op.loc, stream=op,
        )  # fmt: skip

    def can() -> Node:
        return make(Kind.ASK, BIT)

    match op:
        case Put():
            return [make(Kind.PUT, element, value(op.value), enable)], {}
        case Get():
            node = make(Kind.GET, element, enable)
            return [node], {op.result: node}
        case Poll():
            node = can()
            return [node], {op.result: graph.negate(node)}
        case TryPut():
            room = can()
            both = graph.make(Kind.AND, BIT, enable, room)
            return [room, make(Kind.PUT, element, value(op.value), both)], {op.done: room}
        case TryGet():
            some = can()
            both = graph.make(Kind.AND, BIT, enable, some)
            kind, ahead = Kind.PEEK if op.peek else Kind.GET, map(value, op.ahead)
            word = make(kind, element, both, *ahead)
            result = graph.select(some, word, graph.const(0, element))
            return [some, word], {op.result: result, op.done: some}


def stream_nodes(nodes: Iterable[Node]) -> list[Node]:
    """The stream operations among nodes, in the order of the text."""
    return sorted((n for n in nodes if n.kind in STREAMS), key=lambda n: n.order)


def leading(nodes: Iterable[Node]) -> list[Node]:
    """The leading gets of a pipelined loop's body."""
    ops = stream_nodes(nodes)
    count = 0
    while count < len(ops) and _leads(ops[count]):
        count += 1
    while shared := {_stream(n) for n in ops[:count]} & {_stream(n) for n in ops[count:]}:
        count = next(k for k, n in enumerate(ops) if _stream(n) in shared)
    return ops[:count]


def _leads(node: Node) -> bool:
    return node.kind is Kind.GET and node.operands[0].is_const and node.operands[0].value == 1


def blocking(nodes: Iterable[Node], pipelined: bool) -> list[Node]:
    """The operations for which the island may have to hold, in the order of the text."""
    first = set(leading(nodes)) if pipelined else set()
    found = stream_nodes(nodes)
    return [n for n in found if n.kind in (Kind.GET, Kind.PUT) and n not in first]


def holds_at_start(nodes: Iterable[Node], schedule: OpSchedule) -> Node | None:
    """The first operation for which a pipelined loop may hold in an iteration's first cycle.

    Words of leading gets are then taken before it holds, as by the order of the text, and kept.
    None when there is no such operation, or no leading get.
    """
    nodes = list(nodes)
    early = [n for n in blocking(nodes, pipelined=True) if schedule.start[n] == 0]
    return early[0] if early and leading(nodes) else None


def _stream(node: Node) -> Value:
    assert node.stream is not None
    return node.stream.stream


def stream_edges(nodes: Sequence[Node], pipelined: bool) -> list[Edge]:
    """The order of stream operations: the blocking ones in that of the text.

    Operations on one stream have cycles of their own; others may share one.  Of arrays that other
    processes use too, what is stored before a put is in the memory when the value is there for
    others, and what is stored after a get is stored after it; so are reads before and after.
    """
    first = set(leading(nodes)) if pipelined else set()
    rest = [n for n in stream_nodes(nodes) if n not in first]
    edges = _chain([n for n in rest if n.kind in (Kind.GET, Kind.PUT)], 0, pipelined)
    for stream in dict.fromkeys(map(_stream, rest)):
        edges += _chain([n for n in rest if _stream(n) is stream], 1, pipelined)
    return [
        *edges, *_memory_edges([n for n in nodes if n.contended], rest, pipelined),
    ]


def _memory_edges(
    accesses: Sequence[Node], ops: Sequence[Node], pipelined: bool
) -> list[Edge]:
    edges = []
    for access, op in product(accesses, ops):
        if op.kind not in (Kind.GET, Kind.PUT):
            continue
        src, dst, delay = (access, op, 1) if op.kind is Kind.PUT else (op, access, 0)
        if src.order < dst.order:
            edges.append(Edge(src, dst, delay))
        elif pipelined:
            edges.append(Edge(src, dst, delay, distance=1))
    return edges


def _chain(ops: Sequence[Node], delay: int, pipelined: bool) -> list[Edge]:
    edges = [Edge(a, b, delay) for a, b in pairwise(ops)]
    if pipelined and len(ops) > 1:
        edges.append(Edge(ops[-1], ops[0], delay, distance=1))
    return edges
