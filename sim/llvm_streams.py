"""Streams and processes in LLVM instructions, and what of them Python does.

A FIFO is a ring in memory with a head of 64-bit words (:class:`Word`).  Compiled code puts and gets
by itself; only where it has to wait, or somebody waits for it, it calls Python, which lets another
process go on (:mod:`allo_rtl.sim.native_processes`).  A process is started by Python through a
function ``process.<n>`` that takes its arguments from a block of memory, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum

from llvmlite import ir

from allo_rtl.ir.ops import Call, For, Func, Module, Value, While
from allo_rtl.ir.processes import LOOKS_A_TURN
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.spins import Going, Steps
from allo_rtl.ir.stream_ops import Get, MakeStream, Poll, PollKind, Put, StreamOp, TryGet, TryPut
from allo_rtl.ir.types import ArrayType, StreamType
from allo_rtl.sim.llvm_arith import I64, Builder, LLValue, constant, llvm_type
from allo_rtl.sim.llvm_memory import PTR, Slot
from allo_rtl.sim.llvm_unit import I1, STATUS, Unit

PROGRESS = "streams.progress"
"""Name of a counter of all that was put and taken."""

LOOKED = "streams.looked"
"""Name of a counter of looks that were not in vain, up to a turn's."""


SPENT = "processes.spent"
"""Name of a counter of steps of the process that runs, since it touched a stream."""

PATIENCE = "processes.patience"
"""Name of how many of these there may be."""


class Word(IntEnum):
    """The words of a FIFO's head."""

    COUNT = 0  # values in it
    HEAD = 1  # cell of the oldest
    DEPTH = 2  # values it holds at most, and cells of the ring
    WAITED = 3  # whether somebody waits
    CELLS = 4  # address of the ring
    MOST = 5  # the most values that it held


IMPORTS = {
    "streams.make": ir.FunctionType(PTR, [STATUS]),
    "streams.wait": ir.FunctionType(STATUS, [PTR, STATUS, STATUS]),
    "streams.changed": ir.FunctionType(STATUS, [PTR]),
    "streams.aside": ir.FunctionType(STATUS, [STATUS, STATUS, STATUS]),
    "processes.start": ir.FunctionType(STATUS, [STATUS, PTR]),
    "processes.join": ir.FunctionType(STATUS, [STATUS]),
    "processes.spin": ir.FunctionType(STATUS, [STATUS, STATUS]),
}
"""The functions that Python provides; all but the first answer a status."""


type Site = MakeStream | Call | StreamOp | Func | While
"""What Python is told of by number."""


class StreamUnit:
    """What a module with regions has besides functions.

    Attributes:
        sites: the operations that Python is told of by number: streams that are made, calls of
            processes, gets and puts, while loops, and the ends of regions.
        regions: names of the functions that are regions, or call one somewhere.
    """

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self.sites: list[Site] = []
        self.steps = Steps(unit.module.func)
        self.regions = _with_regions(unit.module)
        self.imports = {
            name: ir.Function(unit.out, type_, name) for name, type_ in IMPORTS.items()
        } if self.regions else {}
        if self.regions:
            self.progress = _counter(unit, PROGRESS)
            self.looked = _counter(unit, LOOKED)
            self.spent = _counter(unit, SPENT)
            self.patience = _counter(unit, PATIENCE)

    def site(self, op: Site) -> LLValue:
        """The number of an operation."""
        self.sites.append(op)
        return constant(STATUS, len(self.sites) - 1)

    def write_start(self, call: Call) -> None:
        """The function by which Python starts a process, after :meth:`site` of its call."""
        callee = self._unit.funcs[call.callee]
        name = f"process.{len(self.sites) - 1}"
        start = ir.Function(self._unit.out, ir.FunctionType(STATUS, [PTR]), name)
        b = ir.IRBuilder(start.append_basic_block())
        b.store(constant(I64, 0), self.spent, align=8)
        args = []
        for value, at in places(call.args):
            address = b.gep(start.args[0], [constant(I64, at)], source_etype=I64)
            by_pointer = isinstance(value.type, ArrayType | StreamType)
            args.append(
                b.load(address, typ=PTR) if by_pointer else Slot.of(value.type).load(b, address)
            )
        b.ret(b.call(callee, args))


def _counter(unit: Unit, name: str) -> ir.GlobalVariable:
    made = ir.GlobalVariable(unit.out, I64, name)
    made.initializer = ir.Constant(I64, 0)
    made.type = PTR  # llvmlite still gives it a typed pointer
    return made


def _with_regions(module: Module) -> set[str]:
    found: set[str] = set()
    for func in module.funcs:
        calls = (op.callee for op in walk(func.body) if isinstance(op, Call))
        if func.dataflow or any(name in found for name in calls):
            found.add(func.name)
    return found


def places(args: Sequence[Value]) -> list[tuple[Value, int]]:
    """Where each argument of a process is in its block, in words of 64 bits."""
    found, at = [], 0
    for value in args:
        found.append((value, at))
        by_pointer = isinstance(value.type, ArrayType | StreamType)
        at += 1 if by_pointer else -(-Slot.of(value.type).bytes // 8)
    return found


def block_bytes(call: Call) -> int:
    """Size of the block of a process's arguments."""
    return 8 * max((at for _, at in places(call.args)), default=0) + 128


class StreamWriter:
    """Writes the stream operations of one function.

    Args:
        env: what each value stands for; a stream's is the address of its head.
        leave_unless: ends the function with a status unless a condition holds.
    """

    def __init__(
        self, unit: StreamUnit, b: Builder, env: dict[Value, LLValue], out: LLValue,
        leave_unless: Callable[[LLValue, LLValue], None],
    ) -> None:
        self._unit = unit
        self._b = b
        self._env = env
        self._out = out
        self._leave_unless = leave_unless
        self._loops: list[tuple[Going, tuple[LLValue, LLValue] | None]] = []
        """The loops around: of those that only streams end, rounds, and how many settle it."""

    def op(self, op: MakeStream | StreamOp) -> None:
        """One operation."""
        match op:
            case MakeStream(result=result):
                number = self._unit.site(op)
                self._env[result] = self._b.call(self._unit.imports["streams.make"], [number])
            case Put(stream=stream, value=value):
                self._wait_while(op, stream, for_room=True)
                self._put(stream, self._env[value])
            case Get(result=result, stream=stream):
                self._wait_while(op, stream, for_room=False)
                self._env[result] = self._take(stream)
            case TryPut(done=done, stream=stream, value=value):
                room = self._b.not_(self._is_full(stream))
                self._env[done] = room
                self._either(op, room, lambda: self._put(stream, self._env[value]))
            case TryGet():
                self._try_get(op)
            case Poll(kind=kind, result=result, stream=stream):
                full = kind is PollKind.FULL
                missing = self._is_full if full else self._is_empty
                answer = missing(stream, op.count)
                self._env[result] = answer
                self._either(op, self._b.not_(answer), lambda: self._found_some(op))

    def start(self, call: Call, block: LLValue) -> None:
        """Start a process with its arguments in a block of memory."""
        b, number = self._b, self._unit.site(call)
        self._unit.write_start(call)
        for value, at in places(call.args):
            address = b.gep(block, [constant(I64, at)], source_etype=I64)
            if isinstance(value.type, ArrayType | StreamType):
                b.store(self._env[value], address, align=8)
            else:
                Slot.of(value.type).store(b, self._env[value], address)
        self._call("processes.start", number, block)

    def join(self, region: Func) -> None:
        """Wait until all processes of a region have ended."""
        self._call("processes.join", self._unit.site(region))

    def enter(self, loop: While, func: Func) -> None:
        """Before a loop in a module with regions."""
        if not self._unit.regions:
            return
        b, goes, lasting = self._b, self._unit.steps.going(loop, func), None
        if goes.settles is not None:
            with b.goto_entry_block():
                counter = b.alloca(I64)
                counter.type = PTR  # llvmlite still gives it a typed pointer
            b.store(constant(I64, 0), counter, align=8)
            lasting = counter, constant(I64, goes.settles)
        self._loops.append((goes, lasting))

    def went_round(self, loop: While) -> None:
        """After a round of it: see whether it may go on."""
        if not self._unit.regions:
            return
        b, (goes, lasting) = self._b, self._loops[-1]
        spent = self._counted(self._unit.spent, constant(I64, goes.steps))
        most = b.load(self._unit.patience, typ=I64, align=8)
        if lasting is not None:
            counter, most = lasting
            spent = self._counted(counter, constant(I64, 1))
            if goes.touches:
                return
        with b.if_then(b.icmp_signed(">", spent, most), likely=False):
            sure = constant(STATUS, int(lasting is not None))
            self._call("processes.spin", self._unit.site(loop), sure)

    def leave(self) -> None:
        """After a loop."""
        if self._unit.regions:
            self._loops.pop()

    def _settled(self) -> LLValue:
        """Whether a loop around goes on for ever unless a stream changes."""
        found: LLValue = constant(I1, 0)
        for _, lasting in self._loops:
            if lasting is not None:
                rounds = self._b.load(lasting[0], typ=I64, align=8)
                found = self._b.or_(found, self._b.icmp_signed(">", rounds, lasting[1]))
        return self._b.zext(found, STATUS)

    def count(self, loop: For, rounds: LLValue) -> None:
        """Before a loop whose number of rounds is not constant: count its steps."""
        if self._unit.regions and loop.constant_bounds is None:
            steps = constant(I64, self._unit.steps.round(loop))
            self._counted(self._unit.spent, self._b.mul(rounds, steps))

    def _counted(self, counter: LLValue, steps: LLValue) -> LLValue:
        """What a counter is after so many more."""
        total = self._b.add(self._b.load(counter, typ=I64, align=8), steps)
        self._b.store(total, counter, align=8)
        return total

    def _touched(self) -> None:
        """The process has touched a stream."""
        self._b.store(constant(I64, 0), self._unit.spent, align=8)

    # Parts

    def _call(self, name: str, *args: LLValue) -> None:
        status = self._b.call(self._unit.imports[name], args)
        fine = self._b.icmp_unsigned("==", status, constant(STATUS, 0))
        self._leave_unless(fine, status)

    def _word(self, stream: Value, word: Word) -> LLValue:
        return self._b.gep(self._env[stream], [constant(I64, int(word))], source_etype=I64)

    def _read(self, stream: Value, word: Word) -> LLValue:
        return self._b.load(self._word(stream, word), typ=I64, align=8)

    def _write(self, stream: Value, word: Word, value: LLValue) -> None:
        self._b.store(value, self._word(stream, word), align=8)

    def _is_full(self, stream: Value, values: int = 1) -> LLValue:
        """Whether there is room for fewer values."""
        count, depth = self._read(stream, Word.COUNT), self._read(stream, Word.DEPTH)
        after = self._b.add(count, constant(I64, values))
        return self._b.icmp_unsigned(">", after, depth)

    def _is_empty(self, stream: Value, values: int = 1) -> LLValue:
        """Whether there are fewer values."""
        count = self._read(stream, Word.COUNT)
        return self._b.icmp_unsigned("<", count, constant(I64, values))

    def _wait_while(self, op: StreamOp, stream: Value, for_room: bool) -> None:
        """Call Python as long as a FIFO is full (empty)."""
        b, number = self._b, self._unit.site(op)
        look, wait, onward = (self._out.append_basic_block() for _ in range(3))
        b.branch(look)
        b.position_at_end(look)
        blocked = self._is_full(stream) if for_room else self._is_empty(stream)
        b.cbranch(blocked, wait, onward)
        b.position_at_end(wait)
        self._touched()
        self._call("streams.wait", self._env[stream], number, constant(STATUS, int(for_room)))
        b.branch(look)
        b.position_at_end(onward)

    def _cell(self, stream: Value, offset: LLValue | None = None) -> LLValue:
        """Address of the oldest value, or of the one so many places behind it."""
        b, place = self._b, self._read(stream, Word.HEAD)
        if offset is not None:
            place = b.add(place, offset)
            depth = self._read(stream, Word.DEPTH)
            beyond = b.icmp_unsigned(">=", place, depth)
            place = b.select(beyond, b.sub(place, depth), place)
        cells = b.load(self._word(stream, Word.CELLS), typ=PTR, align=8)
        return _slot(stream).address(b, cells, place)

    def _put(self, stream: Value, value: LLValue) -> None:
        b, count = self._b, self._read(stream, Word.COUNT)
        _slot(stream).store(b, value, self._cell(stream, count))
        count = b.add(count, constant(I64, 1))
        self._write(stream, Word.COUNT, count)
        most = self._read(stream, Word.MOST)
        more = b.icmp_unsigned(">", count, most)
        self._write(stream, Word.MOST, b.select(more, count, most))
        self._changed(stream)

    def _take(self, stream: Value) -> LLValue:
        b = self._b
        value = _slot(stream).load(b, self._cell(stream))
        after = b.add(self._read(stream, Word.HEAD), constant(I64, 1))
        at_end = b.icmp_unsigned("==", after, self._read(stream, Word.DEPTH))
        self._write(stream, Word.HEAD, b.select(at_end, constant(I64, 0), after))
        self._write(stream, Word.COUNT, b.sub(self._read(stream, Word.COUNT), constant(I64, 1)))
        self._changed(stream)
        return value

    def _changed(self, stream: Value) -> None:
        """After a put or get: wake who waits."""
        b = self._b
        self._touched()
        progress = b.load(self._unit.progress, typ=I64, align=8)
        b.store(b.add(progress, constant(I64, 1)), self._unit.progress, align=8)
        waited = b.icmp_unsigned("!=", self._read(stream, Word.WAITED), constant(I64, 0))
        with b.if_then(waited, likely=False):
            b.call(self._unit.imports["streams.changed"], [self._env[stream]])

    def _either(self, op: StreamOp, done: LLValue, act: Callable[[], None]) -> None:
        """Do something, or let the others run first."""
        with self._b.if_else(done) as (then, orelse):
            with then:
                act()
            with orelse:
                self._aside(op, 1)

    def _aside(self, op: StreamOp, looks: int) -> None:
        site = self._unit.site(op)
        self._touched()
        self._call("streams.aside", site, constant(STATUS, looks), self._settled())

    def _found_some(self, op: StreamOp) -> None:
        """After a look that was not in vain: let the others run now and then."""
        b, counter = self._b, self._unit.looked
        self._touched()
        looked = b.add(b.load(counter, typ=I64, align=8), constant(I64, 1))
        turn = b.icmp_unsigned("==", looked, constant(I64, LOOKS_A_TURN))
        b.store(b.select(turn, constant(I64, 0), looked), counter, align=8)
        with b.if_then(turn, likely=False):
            self._aside(op, LOOKS_A_TURN)

    def _try_get(self, op: TryGet) -> None:
        b, stream = self._b, op.stream
        some = b.not_(self._is_empty(stream, op.count))
        self._env[op.done] = some
        element = llvm_type(op.result.type)
        with b.if_else(some) as (then, orelse):
            with then:
                if op.peek:
                    ahead = self._env[op.ahead[0]] if op.ahead else None
                    word = _slot(stream).load(b, self._cell(stream, ahead))
                    self._found_some(op)
                else:
                    word = self._take(stream)
                taken = b.block
            with orelse:
                self._aside(op, 1)
                missed = b.block
        result = b.phi(element)
        result.add_incoming(word, taken)
        result.add_incoming(constant(element, 0), missed)
        self._env[op.result] = result


def _slot(stream: Value) -> Slot:
    assert isinstance(stream.type, StreamType)
    return Slot.of(stream.type.element)


