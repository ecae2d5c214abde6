"""A timed design: every function as a control tree whose regions have operation schedules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from math import prod

from allo_rtl.errors import BuildError
from allo_rtl.hls import fastest
from allo_rtl.hls.accessed import port_inputs
from allo_rtl.hls.async_reads import check_turns
from allo_rtl.hls.at_once import at_once
from allo_rtl.hls.certificate import Certificate
from allo_rtl.hls.control import (
    Branch,
    Clear,
    Control,
    FunctionControl,
    Pipelined,
    Repeat,
    Sequential,
    Straight,
    Together,
    flatten,
    regions,
)
from allo_rtl.hls.control import Counter as LoopCounter
from allo_rtl.hls.control_builder import build_control
from allo_rtl.hls.dependences import pipelined_edges, straight_edges
from allo_rtl.hls.dual_ports import ports_of, with_two_ports, worth_two_ports
from allo_rtl.hls.exclusive import joined
from allo_rtl.hls.lanes import Lanes
from allo_rtl.hls.latency import Latency
from allo_rtl.hls.lifetimes import shorten
from allo_rtl.hls.lowered import lower
from allo_rtl.hls.modulo import PipelineResult
from allo_rtl.hls.node import Bank, Node
from allo_rtl.hls.one_pass import of_one_pass
from allo_rtl.hls.op_schedule import Edge, OpSchedule, Problem
from allo_rtl.hls.operators import Division, Operators, Sharing, Stretch
from allo_rtl.hls.packing import Pair, packed
from allo_rtl.hls.prepare import PreparedFunc
from allo_rtl.hls.processes import (
    BankEnd,
    FifoShape,
    Uses,
    array_uses,
    check_sharing,
    fifo_shape,
    find_shared,
    find_uses,
)
from allo_rtl.hls.quotients import quotients_with_rests
from allo_rtl.hls.region import Region
from allo_rtl.hls.sharing import Piece, SharedUnit, assign, limited, units_by_name, worth_sharing
from allo_rtl.hls.slow_nests import slow_nests
from allo_rtl.hls.streams import End
from allo_rtl.hls.together import check_together
from allo_rtl.hls.turns import take_turns
from allo_rtl.hls.unit_limits import check_kept
from allo_rtl.hls.widths import shapes
from allo_rtl.hls.worth import is_cheaper, is_faster, is_worth
from allo_rtl.ir.ops import Assert, Func, Global, Module, Print, Value
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.stream_ops import STREAM_OPS, MakeStream, blocks, counted
from allo_rtl.ir.types import StreamType, Type
from allo_rtl.target import Device


class TooFlat(BuildError):
    """A nest whose bounds vary, flattened, is slower than asked, or a loop over a stream knows too
    late whether it ends; ``kept`` says which."""

    def __init__(self, kept: Value) -> None:
        super().__init__("the nest is too flat")
        self.kept = kept


@dataclass(frozen=True, eq=False)
class FunctionDesign:
    """One function, timed.

    Attributes:
        control: its control tree and storage.
        schedules: the operation schedule of every region.
        certificates: for each pipelined region, why its initiation interval is not smaller; for
            those that are a part of each iteration of a `while` loop, why it is not shorter.
        sequential: counters of loops that could not be pipelined as asked, or are not flattened
            with those inside, with the reason.
        sharing: which units operations share.
        latency: cycles of a run, None when they depend on data.
        timing: answers the latency of parts of the tree.
        pairs: the products that share a multiplier as one.
    """

    control: FunctionControl
    schedules: Mapping[Region, OpSchedule]
    certificates: Mapping[Region, Certificate]
    latency: int | None
    timing: Latency
    sequential: Mapping[Value, str]
    sharing: Sharing
    pairs: tuple[Pair, ...] = ()

    @property
    def name(self) -> str:
        """The function's name."""
        return self.control.func.name

    @cached_property
    def shared(self) -> Mapping[Node, SharedUnit]:
        """The unit of every operation that shares one."""
        return assign(self.control.body, self.schedules, self.sharing)

    @cached_property
    def units(self) -> Counter[str]:
        """How many units it has of what the user may limit: ``"mul"``, ``"float32 add"``."""
        nodes = [n for piece in regions(self.control.body) for n in piece.region.nodes()]
        return units_by_name(nodes, self.schedules.values(), self.shared)

    @cached_property
    def memory_ports(self) -> Mapping[Node, int]:
        """Which port, 0 or 1, the accesses of memories with two ports have."""
        found: dict[Node, int] = {}
        for region, timed in self.schedules.items():
            banks: dict[Bank, list[Node]] = {}
            for node in region.nodes():
                if node.bank and self.control.storage[node.bank.array].dual:
                    banks.setdefault(node.bank, []).append(node)
            for users in banks.values():
                found |= ports_of(users, timed)
        return found

    @property
    def cleared(self) -> tuple[Value, ...]:
        """The arrays it spends cycles on to zero."""
        return tuple(c.array for c in flatten(self.control.body) if isinstance(c, Clear))


@dataclass(frozen=True, eq=False)
class Design:
    """All functions of a kernel, callees first; the last is the top.

    Attributes:
        functions: the functions that hardware is made of.
        module: the legalized module they come from.
        device, clock_mhz: what they were scheduled for.
        user_types: types of the kernel's arguments and results as the user wrote them, which
            have the same bits as those of ``module``.
        depths: depths of FIFOs that are not as the module says; ``reasons`` why they are not less.
        notes: what the report has to say about them.
        source: the module as it was before legalization.
        runs: how many runs may be under way at a time.
        stretch: what was taken to last longer than the delay model says.
        limits: how many units of a name each function may have.
        overlap: whether loops run at the same time wherever that is sure to help.
        pack_products: whether two products with a factor in common may have one multiplier.
    """

    functions: tuple[FunctionDesign, ...]
    module: Module
    device: Device
    clock_mhz: float
    user_types: tuple[Type, ...]
    depths: Mapping[Value, int] = field(default_factory=dict)
    reasons: Mapping[Value, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    runs: int = 1
    source: Module = field(kw_only=True)
    stretch: Stretch = field(default_factory=Stretch, kw_only=True)
    limits: Mapping[str, int] = field(default_factory=dict, kw_only=True)
    overlap: bool = field(default=True, kw_only=True)
    pack_products: bool = field(default=False, kw_only=True)

    def fifo(self, stream: Value) -> FifoShape:
        """How the FIFO of a stream is built."""
        return fifo_shape(stream, self.device, self.depth(stream), self.blocks.get(stream))

    def depth(self, stream: Value) -> int:
        """Values that the FIFO of a stream holds."""
        assert isinstance(stream.type, StreamType)
        return self.depths.get(stream, stream.type.depth)

    @cached_property
    def blocks(self) -> Mapping[Value, tuple[int, bool]]:
        """Of the streams that are asked for whole blocks, see :func:`ir.stream_ops.blocks`."""
        funcs = self.funcs.values()
        ops = (op for f in funcs for op in walk(f.body) if isinstance(op, STREAM_OPS))
        if all(counted(op) == 1 for op in ops):
            return {}
        return {s: b for f in funcs for s, b in blocks(f, self.funcs.__getitem__).items()}

    @cached_property
    def undeclared(self) -> frozenset[Value]:
        """The streams whose depth is not the user's."""
        ops = (op for f in self.functions for op in walk(f.control.func.body))
        return frozenset(op.result for op in ops if isinstance(op, MakeStream) and op.undeclared)

    @cached_property
    def sites(self) -> Mapping[Print | Assert, int]:
        """A number for each print and assertion in the hardware, in the order of the text."""
        events = (
            node.event
            for function in self.functions
            for piece in regions(function.control.body)
            for node in sorted(piece.region.sinks, key=lambda n: n.order)
        )
        return {op: n for n, op in enumerate(dict.fromkeys(e for e in events if e))}

    def function(self, name: str) -> FunctionDesign:
        """The function called ``name``."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> Mapping[str, FunctionDesign]:
        return {f.name: f for f in self.functions}

    @cached_property
    def funcs(self) -> Mapping[str, Func]:
        """The text of each function that hardware is made of, by name."""
        return {f.name: f.control.func for f in self.functions}

    @cached_property
    def uses(self) -> Mapping[str, Uses]:
        """What each function uses of banks and streams."""
        return find_uses([f.control for f in self.functions])

    @cached_property
    def array_uses(self) -> Mapping[str, Mapping[Value, set[End]]]:
        """How the text of each function uses its arrays."""
        return array_uses([f.control for f in self.functions])

    @cached_property
    def shared(self) -> Mapping[str, frozenset[BankEnd]]:
        """The ports of each function's arguments that others use at the same time."""
        return find_shared([f.control for f in self.functions], self.uses)

    @property
    def top(self) -> FunctionDesign:
        """The function that becomes the top module."""
        return self.functions[-1]

    @cached_property
    def port_values(self) -> tuple[Value, ...]:
        """What the kernel's arguments, then its results, are in the top function.

        Those that are streams are arguments of it, see :mod:`allo_rtl.ir.argument_streams`.
        """
        func, user = self.top.control.func, self.module.top_func
        count = len(user.args)
        streams, returned = iter(func.args[count:]), iter(func.returned)
        results = (
            next(streams if n in user.streams else returned)
            for n in range(count, count + len(user.results))
        )
        return (*func.args[:count], *results)


def build_design(
    module: Module, device: Device, clock_mhz: float, stretch: Stretch | None = None,
    limits: Mapping[str, int] | None = None, *, overlap: bool = True,
    pack_products: bool = False, runs: int = 1,
) -> Design:
    """Legalize a module and schedule it for a device and clock (MHz).

    With ``stretch`` some operations are taken to last longer than the delay model says; with
    ``limits`` each function has no more units of a name (``"mul"``, ``"float32 add"``).  Without
    ``overlap`` loops run at the same time only where the schedule says so; with ``pack_products``
    two narrow products with a factor in common have one multiplier where that has room for both.
    With ``runs`` more than 1 so many runs of the top may be under way at a time.

    Raises BuildError when a loop cannot be built as asked, or something cannot be hardware.
    """
    user_types, source, stretch = _types(module), module, stretch or Stretch()
    lowered = lower(module, device, runs)
    module, constants = lowered.module, lowered.constants
    operators = Operators(device, clock_mhz, stretch=stretch)
    limits = limits or {}
    latencies: dict[str, int | None] = {}
    functions = []
    waits = any(isinstance(op, MakeStream) for f in module.funcs for op in walk(f.body))
    joins = overlap and not any(f.dataflow for f in module.funcs)
    finish = _overlapped if joins else _as_it_is
    for prepared in lowered.functions:
        function = finish(_flattened(
            prepared, constants, operators, latencies, waits, limits, pack_products, finish
        ))  # fmt: skip
        latencies[function.name] = function.latency
        functions.append(function)
    functions.sort(key=lambda f: f.name == module.top)
    controls = [f.control for f in functions]
    uses = find_uses(controls)
    check_sharing(controls, uses)
    check_turns(controls, uses)
    return Design(
        tuple(functions), module, device, clock_mhz, user_types, notes=lowered.notes,
        runs=runs, source=source, stretch=stretch, limits=limits, overlap=overlap,
        pack_products=pack_products,
    )  # fmt: skip


def _types(module: Module) -> tuple[Type, ...]:
    top = module.top_func
    return (*(a.type for a in top.args), *top.results)


def _flattened(
    prepared: PreparedFunc, constants: Mapping[str, Global], operators: Operators,
    latencies: Mapping[str, int | None], waits: bool, limits: Mapping[str, int], pack: bool,
    finish: Callable[[FunctionDesign], FunctionDesign],
) -> FunctionDesign:
    """A function with its nests flattened as far as it is fastest.

    A word that one iteration of a flat nest hands to the next may be what makes it slow, so that
    nests are built anew without the loops left out.
    """

    def once(control: FunctionControl) -> FunctionDesign:
        return _time(control, operators, latencies, prepared.sequential, waits, limits, finish)

    def whole(control: FunctionControl) -> FunctionDesign:
        plain, control = joined(control, operators, limits, once, is_worth)
        if not pack or "mul" in limits:  # limited multipliers are made for every product
            return plain
        found, pairs = packed(plain, control, operators, once)
        return replace(found, pairs=pairs)

    def timed(kept: frozenset[Value], apart: frozenset[Value]) -> FunctionDesign:
        try:
            control = build_control(prepared, constants, operators, kept, apart)
            control = quotients_with_rests(control)
            check_together(control)
            return whole(control)
        except TooFlat as error:
            return timed(kept | {error.kept}, apart)

    kept = apart = frozenset[Value]()
    best, why = timed(kept, apart), dict[Value, str]()
    for nest in slow_nests(best.control.body, best.schedules, best.certificates, best.latency):
        for outer in accumulate(nest.counters[:-1], lambda a, b: a | b):
            sets = (kept | outer, apart) if nest.varies else (kept, apart | outer)
            if is_faster(trial := timed(*sets), best):
                best, (kept, apart) = trial, sets
                why |= dict.fromkeys(outer, nest.reason)
    return replace(best, sequential={**best.sequential, **why}) if why else best


def _time(
    control: FunctionControl,
    operators: Operators,
    latencies: Mapping[str, int | None],
    sequential: Mapping[Value, str],
    waits: bool,
    limits: Mapping[str, int],
    finish: Callable[[FunctionDesign], FunctionDesign],
) -> FunctionDesign:
    """Schedule a function, with the units that several operations can have in turn shared.

    ``finish`` makes loops run at once, which those that share a unit cannot.
    """
    pieces = list(regions(control.body))

    def made(sharing: Sharing) -> FunctionDesign:
        scheduler, timed = _scheduled(control, operators.shared_by(sharing), pieces)
        timing = Latency(scheduler.schedules, timed.defined, latencies, waits)
        return FunctionDesign(
            timed, scheduler.schedules, scheduler.certificates, timing.body(timed.body, {}),
            timing, sequential, sharing,
        )  # fmt: skip

    asked = {p.region: p.loop.attrs.pipeline_ii or 1 for p in pieces if isinstance(p, Pipelined)}
    # Whether a divider can make its bits in turn is known with the intervals that are reached.
    sharing = worth_sharing(
        _described(pieces, asked),
        lambda job: not isinstance(job, Division) and operators.is_costly(job), operators.busy,
    )  # fmt: skip
    found = made(sharing)
    reached = {r: found.schedules[r].ii or 1 for r in asked}
    more = worth_sharing(_described(pieces, reached), operators.is_costly, operators.busy)
    if more != sharing and is_cheaper(finish(shared := made(more)), finish(found)):
        found = shared
    over = [name for name, count in found.units.items() if count > limits.get(name, count)]
    if over:
        described = _described(pieces, reached)
        found = made(limited(described, found.sharing, limits, over, operators.busy))
        check_kept(found.units, limits, control.func)
    return found


def _overlapped(function: FunctionDesign) -> FunctionDesign:
    """A function whose loops run at the same time where they have nothing to do with each other."""
    body = at_once(function.control, function.schedules, function.sharing)
    return replace(
        function, control=replace(function.control, body=body),
        latency=function.timing.body(body, {}),
    )  # fmt: skip


def _as_it_is(function: FunctionDesign) -> FunctionDesign:
    return function


def _described(
    pieces: Sequence[Straight | Pipelined], intervals: Mapping[Region, int]
) -> list[Piece]:
    """What sharing is decided by, with the intervals of pipelined loops."""
    return [
        (nodes := p.region.nodes(), shapes(nodes, p.region.results), intervals.get(p.region))
        for p in pieces
    ]


def _scheduled(
    control: FunctionControl, operators: Operators, all_pieces: Sequence[Straight | Pipelined]
) -> tuple[_RegionScheduler, FunctionControl]:
    """A function with every region scheduled, and with two-port memories where they help."""
    pieces = [piece.region for piece in all_pieces]
    pipelined = [piece.region for piece in all_pieces if isinstance(piece, Pipelined)]
    single = _RegionScheduler(operators, port_inputs(pieces))
    intervals: dict[Region, int | None] = dict.fromkeys(pipelined)
    refused = None
    try:
        body = single.sequence(control.body)
        intervals = {r: single.schedules[r].ii for r in pipelined}
    except BuildError as error:
        refused = error
    dual = worth_two_ports(control.func, control.storage, operators.device, pieces, intervals)
    if dual:
        double = _RegionScheduler(operators, port_inputs(pieces, dual), dual)
        changed = replace(
            control, body=double.sequence(control.body),
            storage=with_two_ports(control.storage, dual),
        )
        reached = {r: double.schedules[r].ii for r in pipelined}
        if refused or _shorter(reached, intervals):
            return double, changed
    if refused:
        raise refused
    return single, replace(control, body=body)


def _shorter(
    intervals: Mapping[Region, int | None], before: Mapping[Region, int | None]
) -> bool:
    """Whether some initiation intervals are shorter than before, and none is longer."""
    pairs = [(ii or 0, before[region] or 0) for region, ii in intervals.items()]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


class _RegionScheduler:
    """Schedules every region of a function, and decides how deep pipelined nests are flattened."""

    def __init__(
        self, operators: Operators, inputs: Counter[Bank], dual: frozenset[Value] = frozenset()
    ) -> None:
        self._operators = operators
        self._dual = dual
        self._inputs = inputs
        self.schedules: dict[Region, OpSchedule] = {}
        self.certificates: dict[Region, Certificate] = {}
        self._straight: dict[Region, Problem] = {}

    def sequence(self, controls: Sequence[Control]) -> tuple[Control, ...]:
        """The controls with their nests as flat as is best."""
        return tuple(self._control(c) for c in controls)

    def _control(self, control: Control) -> Control:
        match control:
            case Straight(region=region):
                problems = self._problems(region, straight_edges(region.nodes()))
                lanes, found = fastest.straight(problems)
                self.schedules[region] = lanes.improved(found, shorten)
                self._straight[region] = lanes.whole
            case Pipelined():
                return self._nest(control)
            case Sequential(body=body):
                return replace(control, body=self.sequence(body))
            case Branch(then=then, orelse=orelse):
                return replace(control, then=self.sequence(then), orelse=self.sequence(orelse))
            case Repeat(before=before, body=body):
                done = replace(control, before=self.sequence(before), body=self.sequence(body))
                self.certificates |= {
                    r: of_one_pass(self._straight[r], self.schedules[r]) for r in done.straight
                }
                return done
            case Together(branches=branches):
                return Together(tuple(self.sequence(b) for b in branches))
        return control

    def _nest(self, control: Pipelined) -> Control:
        """The nest flattened as far as its dependences leave it fastest.

        Flattening saves the pipeline's draining between outer iterations, but a dependence that
        an outer loop carries may then ask for a larger initiation interval.
        """
        best: tuple[int, int, Lanes, PipelineResult] | None = None
        least = len(control.counters) if control.varies else control.region.depth
        for depth in range(len(control.counters), least - 1, -1):
            try:
                lanes, result = self._flat(control, depth)
            except BuildError:
                if depth > least:  # a smaller part of the nest may do what was asked
                    continue
                if control.varies:
                    raise TooFlat(control.counters[0].loop.iv) from None
                raise
            cycles = _cycles(control.counters, depth, result.schedule)
            if best is None or cycles < best[0]:
                best = (cycles, depth, lanes, result)
            if not result.recurrence:
                break
        assert best is not None
        _, depth, lanes, result = best
        timed = take_turns(
            lanes.whole, result.schedule, lambda s: _cycles(control.counters, depth, s),
            asked=(control.loop.attrs.pipeline_ii or 1) == result.schedule.ii,
        )
        self.schedules[control.region] = found = lanes.improved(timed, shorten)
        if (last := control.region.last) is not None and found.start[last]:
            assert last.source is not None
            raise TooFlat(last.source)
        self.certificates[control.region] = result.certificate
        return _unflatten(control, depth)

    def _flat(self, control: Pipelined, depth: int) -> tuple[Lanes, PipelineResult]:
        """The fastest schedule when the ``depth`` innermost loops are flattened."""
        region = control.region
        loops = [c.loop for c in control.counters]
        edges = pipelined_edges(region.nodes(), loops[-depth:], loops[0])
        return fastest.pipelined(
            self._problems(region, edges), control.loop,
            lambda s: _cycles(control.counters, depth, s),
        )

    def _problems(self, region: Region, edges: Sequence[Edge]) -> Iterator[Problem]:
        """What is to be scheduled, with each of the ways to build its products."""
        return fastest.ways(region, edges, self._operators, self._inputs.__getitem__, self._dual)


def _cycles(counters: Sequence[LoopCounter], depth: int, found: OpSchedule) -> int:
    """Cycles of a nest of which the ``depth`` innermost loops are flattened."""
    trips = [c.bounds.trip if c.bounds else None for c in counters]
    if None in trips:
        return found.ii or 1
    outer = prod(n or 0 for n in trips[:-depth])
    inner = prod(n or 0 for n in trips[-depth:])
    return outer * ((inner - 1) * (found.ii or 1) + found.length)


def _unflatten(control: Pipelined, depth: int) -> Control:
    """The nest with all but the ``depth`` innermost loops made sequential."""
    nest: Control = replace(control, counters=control.counters[-depth:])
    for counter in reversed(control.counters[:-depth]):
        assert counter.bounds is not None
        nest = Sequential(counter.loop, counter.interval, counter.bounds, (nest,))
    return nest
