"""The streams of a function module, and what makes it hold while one of them is not ready.

How a schedule and the stall go together is told in :mod:`allo_rtl.hls.streams`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import reduce
from operator import and_, or_

from amaranth.hdl import Const, Module, Mux, Signal, Value

from allo_rtl.hls.node import Node
from allo_rtl.hls.streams import End, end_of
from allo_rtl.ir.ops import Value as IrValue
from allo_rtl.ir.stream_ops import StreamOp
from allo_rtl.rtl.taps import Tap, TapKind, Taps

FREE = "free"
"""The clock domain of what goes on while an island holds; it has the same clock and reset."""


@dataclass(frozen=True)
class StreamSignals:
    """One end of a stream: a word is handed over in a cycle in which valid and ready are 1.

    ``at`` is which word of the next block the reader has on offer, where it may look at others
    than the first; it is 0 when a word is taken.
    """

    data: Signal
    valid: Signal
    ready: Signal
    at: Signal | None = None


class Streams:
    """The stream ends that a function uses.

    Only one operation uses an end in a cycle, so that conditions and data are just joined.

    Args:
        ends: the signals of each end of each stream.
    """

    def __init__(self, ends: Mapping[tuple[IrValue, End], StreamSignals]) -> None:
        self._ends = ends
        self._takes: dict[IrValue, list[Value]] = {}
        self._offers: dict[IrValue, list[tuple[Value, Value]]] = {}
        self._places: dict[IrValue, list[Value]] = {}

    def source(self, stream: IrValue) -> StreamSignals:
        """The end that words are taken from; ``ready`` is driven by :meth:`take`."""
        return self._ends[stream, End.READ]

    def sink(self, stream: IrValue) -> StreamSignals:
        """The end that words are put to; all but ``ready`` is driven by :meth:`offer`."""
        return self._ends[stream, End.WRITE]

    def take(self, stream: IrValue, condition: Value) -> None:
        """Be ready for a word when the condition holds."""
        self._takes.setdefault(stream, []).append(condition)

    def look_at(self, stream: IrValue, condition: Value, place: Value) -> None:
        """Have a word of the next block on offer when the condition holds."""
        at = self.source(stream).at
        assert at is not None
        self.place(stream, Mux(condition, place[: len(at)], 0))

    def place(self, stream: IrValue, at: Value) -> None:
        """Which word of the next block to have on offer; 0 where another place is meant."""
        self._places.setdefault(stream, []).append(at)

    def offer(self, stream: IrValue, condition: Value, data: Value) -> None:
        """Put a word when the condition holds."""
        self._offers.setdefault(stream, []).append((condition, data))

    def build(self, m: Module) -> None:
        """Drive the ends."""
        for stream, takes in self._takes.items():
            m.d.comb += self.source(stream).ready.eq(reduce(or_, takes))
        for stream, places in self._places.items():
            at = self.source(stream).at
            assert at is not None
            m.d.comb += at.eq(reduce(or_, places))
        for stream, offers in self._offers.items():
            end = self.sink(stream)
            words = [d if len(offers) == 1 else Mux(c, d, 0) for c, d in offers]
            m.d.comb += [
                end.valid.eq(reduce(or_, (c for c, _ in offers))),
                end.data.eq(reduce(or_, words)),
            ]


@dataclass(frozen=True)
class _Step:
    """An operation that may block.

    Attributes:
        reached: the operations before it in this cycle are done.
        done: it is done or has nothing to do; only together with ``reached``.
        past: it was done in an earlier cycle, while the island held.
    """

    reached: Signal
    done: Signal
    past: Signal | None


@dataclass
class Island:
    """What makes a function module hold, and what goes on meanwhile.

    ``advance`` is 0 in the cycles in which everything in the module keeps its state, but for what
    is in the domain :data:`FREE`.

    Attributes:
        settled: 1 when the stream operations of this cycle are done.
        endless: the looks at streams in loops that only streams can end.
        shares: whether it also holds until it is granted memory ports that others share.
        taps: where what it waits for is noted.
    """

    m: Module
    streams: Streams
    names: Callable[[str], str]
    taps: Taps
    endless: AbstractSet[StreamOp] = frozenset()
    shares: bool = False
    advance: Signal = field(default_factory=lambda: Signal(name="advance"))
    settled: Signal = field(default_factory=lambda: Signal(name="settled"))
    _steps: dict[Node, _Step] = field(default_factory=dict)
    _over: list[Value] = field(default_factory=list)

    def plan(self, groups: Iterable[Sequence[Node]]) -> None:
        """Announce blocking operations; those of a group may fall in one cycle, in this order."""
        for group in groups:
            reached = Const(1, 1)
            for node in group:
                step = self._step(node, is_last=node is group[-1] and not self.shares)
                self.m.d.comb += step.reached.eq(reached)
                reached = step.reached & step.done
            self._over.append(reached)

    def _step(self, node: Node, is_last: bool) -> _Step:
        base = f"{_name(node)}_{node.kind.value}"
        reached = Signal(name=self.names(f"{base}_reached"))
        done = Signal(name=self.names(f"{base}_done"))
        past = None if is_last else Signal(name=self.names(f"{base}_past"))
        self._steps[node] = step = _Step(reached, done, past)
        return step

    def get(self, node: Node, condition: Value) -> Value:
        """Take a word when the condition holds; holds while there is none."""
        stream = _stream(node)
        end = self.streams.source(stream)
        wanted = self._wanted(node, condition, end.valid)
        self._tap(TapKind.TAKE, node, (wanted, True), (end.valid, True))
        self.streams.take(stream, wanted)
        past = self._steps[node].past
        if past is None:
            return end.data
        held = self._held(node)
        with self.m.If(wanted & end.valid):
            self.m.d[FREE] += held.eq(end.data)
        return Mux(past, held, end.data)

    def put(self, node: Node, condition: Value, data: Value) -> None:
        """Put a word when the condition holds; holds while there is no room."""
        stream = _stream(node)
        wanted = self._wanted(node, condition, self.streams.sink(stream).ready)
        self.streams.offer(stream, wanted, data)

    def _wanted(self, node: Node, condition: Value, can: Value) -> Signal:
        """Whether an operation is tried in this cycle."""
        m, step = self.m, self._steps[node]
        wanted = Signal(name=self.names(f"{_name(node)}_{node.kind.value}_now"))
        past = Const(0, 1) if step.past is None else step.past
        self._tap(TapKind.WAIT, node, (step.reached, True), (step.done, False))
        m.d.comb += [
            wanted.eq(condition & step.reached & ~past), step.done.eq(~condition | past | can)
        ]
        if step.past is not None:
            m.d[FREE] += step.past.eq((past | (wanted & can)) & ~self.advance)
        return wanted

    def _tap(self, kind: TapKind, node: Node, *literals: tuple[Signal, bool]) -> None:
        assert node.stream is not None
        end = end_of(node.stream)
        self.taps.own.append(
            Tap(kind, literals, _stream(node), end, node.loc, node.stream)
        )

    def look(self, node: Node) -> None:
        """Note that the function asks about a stream, in a loop that only streams can end."""
        if node.stream in self.endless:
            self._tap(TapKind.LOOK, node)

    def _held(self, node: Node) -> Signal:
        width = len(self.streams.source(_stream(node)).data)
        return Signal(width, name=self.names(f"{_name(node)}_held"), reset_less=True)

    def collect(
        self, nodes: Sequence[Node], running: Signal, slot: Signal | None, turn: Signal | None
    ) -> tuple[Mapping[Node, Value], Value]:
        """Take the words of the leading gets of a pipelined loop, in order.

        Args:
            running: an iteration is yet to start.
            slot: it may start in this cycle; None when it always may.
            turn: all that earlier iterations do in this cycle is done, so that it holds for the
                one that starts; None when that one may not have to hold in its first cycle.

        Returns:
            The word of each get, and whether all are there and the iteration starts.
        """
        m, issue = self.m, Signal(name=self.names("collected"))
        may = Const(1, 1) if slot is None else slot
        words: dict[Node, Value] = {}
        here, taken = running, dict[IrValue, Value]()
        for node in nodes:
            stream, is_last = _stream(node), node is nodes[-1]
            end = self.streams.source(stream)
            # A stream gives one word a cycle: an earlier get on it was done before this one.
            ready = here & taken.get(stream, Const(1, 1))
            keeps = not is_last or turn is not None
            past = Signal(name=self.names(f"{_name(node)}_past")) if keeps else Const(0, 1)
            now = Signal(name=self.names(f"{_name(node)}_collect"))
            m.d.comb += now.eq(ready & ~past & (may if is_last else 1))
            # What starts now takes its words before it waits for room.
            holding = Const(0, 1) if turn is None else turn if is_last else turn & issue
            got = now & (self.advance | holding)
            self.streams.take(stream, got)
            self._tap(
                TapKind.LACK, node, (running, True), (end.valid, False),
                *([(past, False)] if keeps else []),
            )  # fmt: skip
            words[node] = end.data
            if keeps:
                held = self._held(node)
                with m.If(got & end.valid):
                    m.d[FREE] += held.eq(end.data)
                m.d[FREE] += past.eq((past | (got & end.valid)) & ~(issue & self.advance))
                words[node] = Mux(past, held, end.data)
            here, taken[stream] = ready & end.valid | here & past, past
        m.d.comb += issue.eq(here & may)
        at_slot = [] if slot is None else [(slot, True)]
        self.taps.add(TapKind.MISS, (running, True), (issue, False), *at_slot)
        self.taps.add(TapKind.TAKE, (issue, True))
        return words, issue

    def reached(self, node: Node) -> Signal:
        """Whether all that comes before a blocking operation in its cycle is done."""
        return self._steps[node].reached

    def finish(self, granted: Sequence[Value]) -> None:
        """Drive ``advance``; ``granted`` are further conditions of it."""
        if granted:
            self.taps.add(TapKind.MEMORY, (self.settled, True), (self.advance, False))
        self.m.d.comb += [
            self.settled.eq(reduce(and_, self._over, Const(1, 1))),
            self.advance.eq(reduce(and_, granted, self.settled)),
        ]


def _stream(node: Node) -> IrValue:
    assert node.stream is not None
    return node.stream.stream


def _name(node: Node) -> str:
    return node.name or "stream"
