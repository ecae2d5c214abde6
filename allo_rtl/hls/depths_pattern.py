"""What one pass through a region does with streams and shared ports, where no data decide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from allo_rtl.hls.depths_trace import Claim, NotStaticError, Step, UnknownPortsError
from allo_rtl.hls.design import FunctionDesign
from allo_rtl.hls.fold import known
from allo_rtl.hls.node import STREAMS, Kind, Node, topological
from allo_rtl.hls.processes import BankEnd, use_of
from allo_rtl.hls.region import Region
from allo_rtl.hls.streams import blocking
from allo_rtl.ir.ops import Value

type Environment = Mapping[Value, int]
"""The counters and arguments that are known."""


def claims_of(region: Region, shared: frozenset[BankEnd]) -> dict[Node, BankEnd]:
    """The accesses of a region that use shared ports, with these."""
    if not shared:
        return {}
    pairs = ((n, BankEnd(n.bank, use_of(n))) for n in region.nodes() if n.bank is not None)
    return {n: port for n, port in pairs if port in shared}


class Pattern:
    """What one pass through a region does.

    Args:
        function: the function that it is in.
        shared: the ports of its arguments that others use at the same time.
        kept: what is known of values that registers keep from run to run, for the use of ports.
        claim: makes claims.

    Attributes:
        sources: the values from outside and counters on which it depends.
    """

    def __init__(
        self,
        function: FunctionDesign,
        region: Region,
        shared: frozenset[BankEnd],
        kept: Environment,
        claim: Callable[[Iterable[BankEnd]], Claim],
    ) -> None:
        self.schedule = function.schedules[region]
        self._function, self._kept, self._claim = function, kept, claim
        self._region = region
        nodes = region.nodes()
        self._ops = blocking(nodes, pipelined=self.schedule.ii is not None)
        self._claims = claims_of(region, shared)
        self._known: dict[tuple[int | None, ...], tuple[Step, ...]] = {}
        enables = [n.operands[-1] for n in self._ops]
        enables += [e for e in map(_enable, self._claims) if e is not None]
        self._order = [
            n.source
            for n in topological(enables)
            if n.kind in (Kind.INPUT, Kind.COUNTER) and n.source is not None
        ]
        self.sources = frozenset(self._order)

    def steps(self, env: Environment) -> tuple[Step, ...]:
        """The steps of a pass, without its leading gets."""
        key = tuple(self._function.timing.value(s, env) for s in self._order)
        if key not in self._known:
            self._known[key] = self._steps(env)
        return self._known[key]

    def _steps(self, env: Environment) -> tuple[Step, ...]:
        asks = (n for n in _stream_nodes(self._region) if n.kind in (Kind.ASK, Kind.PEEK))
        if (ask := next(asks, None)) is not None:
            raise NotStaticError("what is done depends on whether a stream is empty or full",
                                 ask.loc)  # fmt: skip
        found: list[tuple[int, int, int, Value | Claim, bool]] = [
            (self.schedule.start[n], 0, n.order, stream_of(n), n.kind is Kind.PUT)
            for n in self._ops
            if self._is_done(n, n.operands[-1], env, NotStaticError)
        ]
        claimed: dict[int, set[BankEnd]] = {}
        for node, port in self._claims.items():
            if self._is_done(node, _enable(node), {**env, **self._kept}, UnknownPortsError):
                claimed.setdefault(self.schedule.start[node], set()).add(port)
        found += ((c, 1, 0, self._claim(p), False) for c, p in claimed.items())
        found.sort(key=lambda f: f[:3])
        return tuple((cycle, what, is_put) for cycle, _, _, what, is_put in found)

    def _is_done(
        self, node: Node, enable: Node | None, env: Environment, error: type[NotStaticError]
    ) -> bool:
        if enable is None:
            return True
        done = self._number(enable, env)
        if done is None:
            name = node.name or (node.bank.array.name if node.bank else "") or "an array"
            raise error(f"whether '{name}' is used depends on data", node.loc)
        return bool(done)

    def _number(self, node: Node, env: Environment) -> int | None:
        """The number of a node, when it follows from counters and known arguments."""

        def outside(node: Node) -> int | None:
            if node.kind not in (Kind.INPUT, Kind.COUNTER):
                return None
            assert node.source is not None
            return self._function.timing.value(node.source, env)

        return known(node, outside)


def _enable(node: Node) -> Node | None:
    """What says whether an access happens; None when it always does."""
    if node.kind in (Kind.WRITE, Kind.REG_WRITE):
        return node.operands[-1]
    return node.operands[1] if len(node.operands) > 1 else None


def _stream_nodes(region: Region) -> Iterator[Node]:
    return (n for n in region.sinks if n.kind in STREAMS)


def stream_of(node: Node) -> Value:
    """The stream of a stream operation."""
    assert node.stream is not None
    return node.stream.stream
