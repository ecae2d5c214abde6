"""From a timed design to its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from allo_rtl.errors import SourceLoc
from allo_rtl.hls.certificate import operation
from allo_rtl.hls.control import (
    Branch,
    Clear,
    Control,
    Invoke,
    Pipelined,
    Repeat,
    Sequential,
    Straight,
    Together,
    flatten,
    regions,
)
from allo_rtl.hls.depths import lost_cycles, run_cycles, why_unknown
from allo_rtl.hls.design import Design, FunctionDesign
from allo_rtl.hls.node import MEMORY, Kind, Node
from allo_rtl.hls.op_schedule import OpSchedule
from allo_rtl.hls.processes import made_streams
from allo_rtl.hls.report import (
    BankAccess,
    ChartRow,
    KernelReport,
    LoopReport,
    MemoryReport,
    SharedReport,
    StreamReport,
    UnitUser,
)
from allo_rtl.hls.run_interval import run_interval
from allo_rtl.hls.sharing import SharedUnit
from allo_rtl.hls.storage import ArrayStorage, StorageKind, word_bits
from allo_rtl.hls.streams import End
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import Alloc, Call, Func, Load, Store, Value
from allo_rtl.ir.rewrite import loops
from allo_rtl.ir.types import ArrayType, StreamType

_FOLLOWS = "not pipelined: each iteration waits for the one before"

_SYMBOLS = {Kind.READ: "read", Kind.WRITE: "write", Kind.REG_READ: "use", Kind.REG_WRITE: "set"}


def build_report(design: Design) -> KernelReport:
    """The report of a design."""
    critical = max(
        (s.critical_ns for f in design.functions for s in f.schedules.values()), default=0.0
    )
    notes = [
        f"{f.name}: {array.name} is zeroed first, which takes "
        f"{f.control.storage[array].layout.depth} cycles"
        for f in design.functions
        for array in f.cleared
    ]
    notes += [
        f"{f.name}: loop {op.name!r} is assumed to be independent in {array.name}, as the schedule "
        "says"
        for f in design.functions
        for op in loops(f.control.func.body)
        for array in op.independent
    ]
    notes += [
        f"{f.name}: loops {_names(part)} run at the same time"
        for f in design.functions
        for part in flatten(f.control.body)
        if isinstance(part, Together)
    ]
    notes += [_tasks(f.control.func) for f in design.functions if f.control.func.tasks]
    notes += [note for f in design.functions for note in (*_packed(f), *_exclusive(f))]
    notes += design.notes
    notes += filter(None, [lost_cycles(design)])
    cycles = run_cycles(design)
    if design.module.top_func.streams and cycles is not None:
        notes.append(f"{design.top.name}: the latency is that of a run in which no stream waits")
    period = 1000.0 / design.clock_mhz
    if critical > period:
        notes.append(
            f"the slowest step is estimated at {critical:.1f} ns; "
            f"{design.clock_mhz:g} MHz allows {period:.1f} ns"
        )
    return KernelReport(
        kernel=design.top.name,
        device=design.device.name,
        clock_mhz=design.clock_mhz,
        latency=cycles,
        unknown=why_unknown(design) if cycles is None else "",
        critical_ns=critical,
        loops=loop_reports(design),
        memories=tuple(m for f in reversed(design.functions) for m in _memories(f)),
        units=_units(design),
        notes=tuple(notes),
        streams=tuple(_streams(design)),
        runs=run_interval(design),
        shared=tuple(s for f in reversed(design.functions) for s in _shared(f)),
    )


def _packed(function: FunctionDesign) -> Iterator[str]:
    """Which products have a multiplier together, by their lines."""
    count = Counter(pair.locs for pair in function.pairs)
    for locs, times in count.items():
        first, second = (loc.short if loc else "an index" for loc in locs)
        often = f", {times} times" if times > 1 else ""
        yield f"{function.name}: 2 products in one multiplier{often}: {first} and {second}"


def _exclusive(function: FunctionDesign) -> Iterator[str]:
    """Which operations have a unit together though they may fall into one cycle."""
    for piece in regions(function.control.body):
        for node in piece.region.nodes():
            if node.merged:
                lines = ", ".join(
                    dict.fromkeys(n.loc.short if n.loc else "an index" for n in node.merged)
                )
                where = "at one port" if node.bank else "in one unit"
                yield (
                    f"{function.name}: {len(node.merged)} operations {where}, of which an "
                    f"iteration needs one at most: {operation(node.merged[0])} at {lines}"
                )


def _shared(function: FunctionDesign) -> Iterator[SharedReport]:
    """The units with several users, in turn or because they exclude each other."""
    users: dict[SharedUnit | Node, list[UnitUser]] = {}
    names: dict[SharedUnit | Node, str] = {}
    for piece in regions(function.control.body):
        timed = function.schedules[piece.region]
        loop = piece.loop.name if isinstance(piece, Pipelined) else ""
        for node in piece.region.nodes():
            unit = function.shared.get(node, node)
            if unit is node and (node.bank or not node.merged):
                continue
            names[unit] = timed.units[node].name
            cycle = timed.start[node] % timed.ii if timed.ii else timed.start[node]
            users.setdefault(unit, []).extend(
                UnitUser(operation(n), n.loc, loop, cycle) for n in node.merged or (node,)
            )
    for unit, found in users.items():
        if len(found) > 1:
            yield SharedReport(names[unit], function.name, tuple(found))


def _tasks(region: Func) -> str:
    """Which tasks run at once, and the arrays between them."""
    names = [op.callee.removeprefix(f"{region.name}_") for op in region.body
             if isinstance(op, Call)]  # fmt: skip
    arrays = [f"{op.result.name}: {op.result.type}" for op in region.body
              if isinstance(op, Alloc) and op.result not in region.returned]  # fmt: skip
    between = f", with {'; '.join(arrays)} between them" if arrays else ""
    return f"{region.name}: {', '.join(names)} run at once{between}"


def _streams(design: Design) -> Iterator[StreamReport]:
    """Those between the outside and the kernel, then those inside."""
    uses = design.uses[design.top.name]
    for value, type_ in zip(design.port_values, design.user_types, strict=True):
        if isinstance(value.type, StreamType) and isinstance(type_, ArrayType):
            way = "in" if End.READ in uses.of_stream(value) else "out"
            width = value.type.element.bits
            words = type_.size * type_.element.bits // width
            yield StreamReport(
                value.name or "result", design.top.name, f"AXI4-Stream {way}", words, width
            )
    for function in reversed(design.functions):
        for stream in made_streams(function.control.func):
            shape = design.fifo(stream)
            yield StreamReport(
                stream.name or "stream", function.name, shape.storage.value, shape.depth,
                shape.width, design.reasons.get(stream, ""),
            )  # fmt: skip


def loop_reports(design: Design) -> tuple[LoopReport, ...]:
    """The loops of a design, in the order of the text, the top's first."""
    return tuple(r for f in reversed(design.functions) for r in _loops(f, f.control.body, 0))


def _loops(
    function: FunctionDesign, controls: Sequence[Control], nesting: int
) -> Iterator[LoopReport]:
    for control in controls:
        match control:
            case Pipelined():
                yield _pipelined(function, control, nesting)
            case Sequential(body=body):
                yield _sequential(function, control, nesting)
                yield from _loops(function, body, nesting + 1)
            case Branch(then=then, orelse=orelse):
                yield from _loops(function, then, nesting)
                yield from _loops(function, orelse, nesting)
            case Repeat(before=before, body=body):
                yield _repeat(function, control, nesting)
                yield from _loops(function, (*before, *body), nesting + 1)
            case Together(branches=branches):
                for branch in branches:
                    yield from _loops(function, branch, nesting)
            case Clear():
                pass


def _names(together: Together) -> str:
    """The outermost loop of each branch, and where it is."""
    found = []
    for branch in together.branches:
        loops = [c for c in branch if isinstance(c, Sequential | Pipelined)]
        found += [c.counters[0].loop if isinstance(c, Pipelined) else c.loop for c in loops]
    return ", ".join(f"{x.name} ({x.loc.short})" if x.loc else x.name for x in found)


def _pipelined(function: FunctionDesign, control: Pipelined, nesting: int) -> LoopReport:
    schedule = function.schedules[control.region]
    return LoopReport(
        name=", ".join(c.loop.name for c in control.counters),
        func=function.name,
        nesting=nesting,
        trip=control.trip,
        ii=schedule.ii,
        depth=schedule.length,
        latency=function.timing.control(control, {}),
        limit=function.certificates[control.region].text,
        loc=control.loop.loc,
        chart=_chart(control.region.nodes(), schedule),
        certificate=function.certificates[control.region],
        accesses=tuple(_accesses(control.region.nodes(), schedule)),
    )


def _sequential(function: FunctionDesign, control: Sequential, nesting: int) -> LoopReport:
    depth = function.timing.body(control.body, {})
    inner = any(isinstance(c, Sequential | Pipelined | Repeat) for c in flatten(control.body))
    if control.loop.iv in function.sequential:
        limit = function.sequential[control.loop.iv]
    elif inner:
        limit = "not pipelined: its body has loops of its own"
    else:
        limit = f"{_FOLLOWS}; pipeline it"
    return LoopReport(
        name=control.loop.name,
        func=function.name,
        nesting=nesting,
        trip=control.bounds.trip,
        ii=None,
        depth=depth,
        latency=function.timing.control(control, {}),
        limit=limit,
        loc=control.loop.loc,
    )


def _repeat(function: FunctionDesign, control: Repeat, nesting: int) -> LoopReport:
    parts = (*control.before, *control.body)
    depth = function.timing.body(parts, {})
    certificate = None
    if len(parts) == 1 and isinstance(parts[0], Straight):
        certificate = function.certificates[parts[0].region]
    return LoopReport(
        name="while",
        func=function.name,
        nesting=nesting,
        trip=None,
        ii=None,
        depth=depth,
        latency=None,
        limit=f"{_FOLLOWS}; {certificate.text if certificate else _parts(function, parts)}",
        loc=control.loop.loc,
        certificate=certificate,
    )


def _parts(function: FunctionDesign, parts: Sequence[Control]) -> str:
    """What an iteration of several parts takes, and most of it."""
    took = {part: function.timing.control(part, {}) for part in parts}
    if open_ended := [part for part, cycles in took.items() if cycles is None]:
        return f"how long it takes depends on {_part(function, open_ended[0])}"
    total = function.timing.body(parts, {})
    longest = max(took, key=lambda part: took[part] or 0)
    return f"it takes {total} cycles: {took[longest]} in {_part(function, longest)}"


def _part(function: FunctionDesign, part: Control) -> str:
    match part:
        case Straight(region=region) if region.uses_streams:
            return "streams"
        case Straight(region=region):
            details = function.certificates[region].text.partition(": ")[2]
            return f"straight code ({details})" if details else "straight code"
        case Invoke(call=call):
            return f"the call of {call.callee}{_at(call.loc)}"
        case Pipelined() | Sequential() | Repeat():
            name = "the while loop" if isinstance(part, Repeat) else f"loop {part.loop.name}"
            return f"{name}{_at(part.loop.loc)}"
        case Branch(then=then, orelse=orelse):
            inner = [x for x in (*then, *orelse) if not isinstance(x, Straight)]
            return _part(function, inner[0]) if inner else "a condition"
    return "what is done at once or cleared"


def _at(loc: SourceLoc | None) -> str:
    return f" at {loc.short}" if loc else ""


def _chart(nodes: Sequence[Node], schedule: OpSchedule) -> tuple[ChartRow, ...]:
    """The operations that take hardware, in order of their cycles."""
    rows = []
    for node in nodes:
        if not (schedule.units[node].name or node.kind in MEMORY):
            continue
        start = schedule.start[node]
        end = max(start, schedule.ready[node]) + (0 if node.kind is Kind.READ else 1)
        kind = node.float.kind.value if node.float else node.kind.value
        rows.append(ChartRow(_label(node), kind, start, max(start + 1, end), node.loc))
    return tuple(sorted(rows, key=lambda r: (r.start, r.end)))


def _accesses(nodes: Sequence[Node], schedule: OpSchedule) -> Iterator[BankAccess]:
    """The accesses of memories in order of their cycles."""
    kinds = {Kind.READ: "read", Kind.WRITE: "write"}
    memory = [n for n in nodes if n.kind in kinds]
    for node in sorted(memory, key=lambda n: (schedule.start[n], n.order)):
        assert node.bank is not None
        op = node.access
        varies = isinstance(op, Load | Store) and not _bank_is_fixed(node.bank.array, op)
        yield BankAccess(
            node.name, node.bank.index, kinds[node.kind], schedule.start[node], varies, node.loc
        )


def _bank_is_fixed(array: Value, op: Load | Store) -> bool:
    return Layout(array.array).place(op.index)[0].is_constant


def _label(node: Node) -> str:
    if node.bank is not None:
        return f"{_SYMBOLS[node.kind]} {node.name}"
    return str(node.float) if node.float else node.kind.value


def _units(design: Design) -> tuple[tuple[str, int], ...]:
    count = Counter(
        s.units[node].name
        for f in design.functions
        for region, s in f.schedules.items()
        for node in region.nodes()
        if s.units[node].name and node not in f.shared
    )
    count += Counter(u.unit.name for f in design.functions for u in set(f.shared.values()))
    return tuple(sorted(count.items()))


def _memories(function: FunctionDesign) -> Iterator[MemoryReport]:
    for array, storage in function.control.storage.items():
        yield _memory(function, array, storage)


def _memory(function: FunctionDesign, array: Value, storage: ArrayStorage) -> MemoryReport:
    kind = {StorageKind.PORT: "port"}.get(storage.kind, storage.kind.value)
    kind += ", two ports" if storage.dual else ""
    if storage.async_read and storage.kind is not StorageKind.REGISTERS:
        kind += ", asynchronous"
    return MemoryReport(
        array.name or "array", function.name, kind,
        storage.layout.banks, storage.layout.depth, word_bits(array.array),
    )
