"""The counters of a pipelined nest in which the bounds of inner loops depend on outer counters.

    for i in range(1, 8):
        for j in range(i):  ...

Each counter has a register, and one for the last number of its run where that is not constant.
The innermost counter that is not at its last steps; those inside of it get the first and last
numbers of their next runs, which are expressions of the registers before the step.  No run is
empty, so that there is an iteration each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from allo_rtl.hls.control import Pipelined
from allo_rtl.hls.widths import range_shape
from allo_rtl.ir.affine import AffineExpr, FloorDiv, Interval, Mod
from allo_rtl.ir.domain import Intervals
from allo_rtl.ir.ops import For
from allo_rtl.ir.ops import Value as IrValue
from allo_rtl.ir.types import Index
from allo_rtl.rtl.names import Names
from allo_rtl.rtl.units import shape_of

type Exprs = Sequence[AffineExpr]
type Find = Callable[[IrValue], Value]
type Counters = Mapping[IrValue, AffineExpr]


def has_iterations(control: Pipelined, value: Find) -> Value:
    """Whether a nest has any iteration; ``value`` gives the signals from outside."""
    outermost = control.counters[0].loop
    gaps = [h - e - 1 for h in outermost.upper for e in outermost.lower]
    numbers = (_signal(g, value, lambda v: _interval(value(v)))
               for g in (*gaps, *control.conditions))  # fmt: skip
    return Cat(n >= 0 for n in numbers).all()


def _interval(signal: Value) -> Interval:
    """The numbers that a signal can be."""
    shape = signal.shape()
    if shape.signed:
        return -(1 << shape.width - 1), (1 << shape.width - 1) - 1
    return 0, (1 << shape.width) - 1


def _signal(expr: AffineExpr, value: Find, interval: Intervals) -> Value:
    """An expression of signals, which stay in their intervals."""
    total: Value | None = None
    for atom, factor in expr.terms:
        match atom:
            case FloorDiv(numerator, divisor):
                part = _quotient(numerator, divisor, value, interval)
            case Mod(numerator, divisor):
                part = _signal(numerator, value, interval) % Const(divisor)
            case _:
                part = value(atom)
        if abs(factor) > 1:
            part = part * abs(factor)
        if total is None:
            total = part if factor > 0 else -part
        else:
            total = total + part if factor > 0 else total - part
    if total is None:
        return Const(expr.const)
    return total + expr.const if expr.const else total


def _quotient(numerator: AffineExpr, divisor: int, value: Find, interval: Intervals) -> Value:
    """A number divided: by wires alone, or as the number of multiples that it reaches."""
    number = _signal(numerator, value, interval)
    low, high = (bound // divisor for bound in numerator.bounds(interval))
    if divisor & (divisor - 1) == 0:
        return number // Const(divisor)
    reached: list[Value] = [number >= q * divisor for q in range(low + 1, high + 1)]
    while len(reached) > 1:  # pairs of pairs, so that it is not one long chain
        pairs = [a + b for a, b in zip(reached[::2], reached[1::2], strict=False)]
        reached = pairs + reached[len(pairs) * 2 :]
    return sum(reached, Const(low))


class NestCounters:
    """Steps the counters of one nest.

    Args:
        counters: their registers, outermost first.
        value: the signals of values from outside.
    """

    def __init__(
        self, m: Module, control: Pipelined, counters: Mapping[IrValue, Signal], value: Find,
        names: Names,
    ) -> None:
        self._m = m
        self._loops = [c.loop for c in control.counters]
        self._intervals = {c.loop.iv: c.interval for c in control.counters}
        self._counters = counters
        self._outside = value
        self._names = names
        self._chosen: dict[IrValue, Value] = {}
        self._stops = [self._stop(loop) for loop in self._loops]

    def step(self, begin: Value, issue: Value) -> Value:
        """Set them when the nest begins, step them with each iteration that is issued.

        Answers whether all are at their last.
        """
        m, last = self._m, [self._at_last(k) for k in range(len(self._loops))]
        with m.If(begin):
            self._enter(0, {})
        for level in reversed(range(len(self._loops))):
            with m.Elif(issue & ~last[level]):
                loop = self._loops[level]
                counter = self._counters[loop.iv]
                m.d.sync += counter.eq(counter + loop.step)
                self._enter(level + 1, {loop.iv: AffineExpr.of(loop.iv) + loop.step})
        done = Signal(name=self._names(f"{self._loops[-1].name}_done"))
        m.d.comb += done.eq(Cat(last).all())
        return done

    def _stop(self, loop: For) -> Signal | None:
        """The register for a counter's last number; with a step above one, for the least that is
        the last.  None where it is constant."""
        if loop.constant_bounds is not None:
            return None
        ends = [e.bounds(self._interval) for e in loop.upper]
        low, high = min(e[0] for e in ends) - loop.step, min(e[1] for e in ends) - loop.step
        shape = shape_of(range_shape((low, max(low, high))))
        return Signal(shape, name=self._names(f"{loop.name}_stop"), reset_less=True)

    def _interval(self, value: IrValue) -> Interval:
        if value in self._intervals:
            return self._intervals[value]
        return _interval(self._value(value))

    def _at_last(self, level: int) -> Signal:
        loop, stop = self._loops[level], self._stops[level]
        counter = self._counters[loop.iv]
        at_last = Signal(name=self._names(f"{loop.name}_at_last"))
        if (bounds := loop.constant_bounds) is not None:
            last = bounds[0] + ((loop.trip_count or 1) - 1) * loop.step
            self._m.d.comb += at_last.eq(counter == last)
        elif stop is not None:
            self._m.d.comb += at_last.eq(counter == stop if loop.step == 1 else counter >= stop)
        return at_last

    def _enter(self, level: int, after: Counters) -> None:
        """Give the counters from ``level`` on the numbers of their next runs.

        ``after`` are the counters outside of them as they will be, in terms of what they are.
        """
        now = dict(after)
        for loop, stop in zip(self._loops[level:], self._stops[level:], strict=True):
            lower = [e.substitute(now.get) for e in loop.lower]
            upper = [e.substitute(now.get) - loop.step for e in loop.upper]
            first = self._extreme(lower, largest=True)
            self._m.d.sync += self._counters[loop.iv].eq(first)
            if stop is not None:
                self._m.d.sync += stop.eq(self._extreme(upper, largest=False))
            now[loop.iv] = lower[0] if len(lower) == 1 else self._named(loop, first)

    def _extreme(self, exprs: Exprs, largest: bool) -> Value:
        result = _signal(exprs[0], self._value, self._interval)
        for expr in exprs[1:]:
            other = _signal(expr, self._value, self._interval)
            result = Mux((other > result) if largest else (other < result), other, result)
        return result

    def _named(self, loop: For, value: Value) -> AffineExpr:
        """A signal that was chosen among several, for use in expressions."""
        name = IrValue(Index(), f"{loop.name}_first")
        self._chosen[name] = value
        return AffineExpr.of(name)

    def _value(self, value: IrValue) -> Value:
        if value in self._chosen:
            return self._chosen[value]
        return self._counters[value] if value in self._counters else self._outside(value)
