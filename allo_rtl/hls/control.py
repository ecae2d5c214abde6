"""The control tree of a function: what runs after what, and the dataflow of each piece.

    Straight     a region executed once, in a fixed number of cycles
    Sequential   a loop whose iterations follow each other
    Pipelined    a (flattened) loop nest that starts an iteration every II cycles
    Branch       one of two sequences
    Repeat       a loop that a condition ends
    Invoke       a call: the callee is a module of its own
    Parallel     calls that run at once, until all have ended
    Together     sequences that run at once, until all have ended
    Clear        zeroes every bank of a memory, a word a cycle
    Preset       sets registers to constants as the control after it is entered, in no cycle
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from allo_rtl.hls.node import Bank, Node
from allo_rtl.hls.region import Region
from allo_rtl.hls.storage import ArrayStorage
from allo_rtl.ir.affine import AffineExpr, Interval
from allo_rtl.ir.domain import count
from allo_rtl.ir.ops import Call, For, Func, Value, While


@dataclass(frozen=True, eq=False)
class Bounds:
    """Bounds of a loop as hardware sees them.

    ``lower`` and ``last`` are numbers, or values that a region before the loop computes;
    ``nonempty`` is then the value that says whether there is any iteration, and ``last`` the
    value of the upper bound, exclusive.
    """

    lower: int | Value
    last: int | Value
    step: int
    nonempty: Value | None = None

    @property
    def is_constant(self) -> bool:
        """Whether the trip count is known."""
        return self.nonempty is None

    @property
    def trip(self) -> int | None:
        """Number of iterations, when known."""
        if isinstance(self.lower, int) and isinstance(self.last, int) and self.is_constant:
            return (self.last - self.lower) // self.step + 1
        return None


@dataclass(frozen=True, eq=False)
class Straight:
    """A region executed once."""

    region: Region


@dataclass(frozen=True, eq=False)
class Sequential:
    """A loop whose iterations follow each other."""

    loop: For
    interval: Interval
    bounds: Bounds
    body: tuple[Control, ...]


@dataclass(frozen=True, eq=False)
class Counter:
    """One counter of a pipelined nest.

    ``bounds`` is None in nests whose bounds vary: they are those of ``loop``, then.
    """

    loop: For
    interval: Interval
    bounds: Bounds | None


@dataclass(frozen=True, eq=False)
class Pipelined:
    """A flattened nest, outermost counter first.

    The bounds of inner loops may *vary*: they are affine in the counters around them and in values
    from outside, and no inner loop is ever empty.  There is no iteration when a number of
    ``conditions`` is negative.  Otherwise bounds are constant, but for those of a single counter.
    """

    counters: tuple[Counter, ...]
    region: Region
    conditions: tuple[AffineExpr, ...] = ()

    @property
    def loop(self) -> For:
        """The loop that was asked to be pipelined: the innermost."""
        return self.counters[-1].loop

    @property
    def trip(self) -> int | None:
        """Iterations of the whole nest, when known."""
        if self.open_ended:
            return None
        if self.varies:
            return count([c.loop for c in self.counters], lambda _: None)
        total = 1
        for counter in self.counters:
            if counter.bounds is None or counter.bounds.trip is None:
                return None
            total *= counter.bounds.trip
        return total

    @property
    def open_ended(self) -> bool:
        """Whether it ends with a stream; its counter then only tells the first iteration."""
        return self.region.last is not None

    @property
    def varies(self) -> bool:
        """Whether bounds of inner loops are not constant."""
        return any(c.bounds is None for c in self.counters)

    @property
    def outside(self) -> frozenset[Value]:
        """The values from outside that bounds of a nest that varies are made of.

        Where there are any, the nest takes a cycle to look at them before it starts.
        """
        if not self.varies:
            return frozenset()
        loops = [c.loop for c in self.counters]
        exprs = [e for p in loops for e in (*p.lower, *p.upper)]
        used = {v for e in (*exprs, *self.conditions) for v in e.values}
        return frozenset(used - {p.iv for p in loops})


@dataclass(frozen=True, eq=False)
class Branch:
    """``then`` when the condition, a value of a region before, is 1."""

    condition: Value
    then: tuple[Control, ...]
    orelse: tuple[Control, ...]


@dataclass(frozen=True, eq=False)
class Repeat:
    """``before``; while the condition, which its last region puts out, is 1: ``body`` and
    ``before`` again.

    With an empty ``body`` that is a loop with its test at the end.
    """

    loop: While
    before: tuple[Control, ...]
    condition: Value
    body: tuple[Control, ...]

    @property
    def straight(self) -> tuple[Region, ...]:
        """The pieces that are done once an iteration at most, outside of loops inside."""
        return tuple(_outside_loops((*self.before, *self.body)))


@dataclass(frozen=True, eq=False)
class Invoke:
    """A call of another function."""

    call: Call


@dataclass(frozen=True, eq=False)
class Parallel:
    """Calls of processes: they start together, and it ends when all of them have.

    ``at_once``: in the cycle in which it is entered.  It is the first of its function then, and
    the calls are given arrays, streams and constants.
    """

    calls: tuple[Call, ...]
    at_once: bool = False


@dataclass(frozen=True, eq=False)
class Together:
    """Sequences that have nothing to do with each other and run at once."""

    branches: tuple[tuple[Control, ...], ...]


@dataclass(frozen=True, eq=False)
class Clear:
    """Zeroes an array."""

    array: Value
    depth: int


@dataclass(frozen=True, eq=False)
class Preset:
    """Sets registers to constants, in no cycle.

    It is always followed, in its sequence, by what takes a cycle, so that no two of them fall
    together.
    """

    words: Mapping[Bank, int]


type Control = (
    Straight | Sequential | Pipelined | Branch | Repeat | Invoke | Parallel | Together | Clear
    | Preset
)


@dataclass(frozen=True, eq=False)
class FunctionControl:
    """A function as a control tree over its storage.

    ``results`` are its scalar results, put out by the last region; ``defined`` gives the node
    that makes each value some other region uses.
    """

    func: Func
    storage: Mapping[Value, ArrayStorage]
    body: tuple[Control, ...]
    results: tuple[Value, ...]
    defined: Mapping[Value, Node]


def flatten(controls: Sequence[Control]) -> Iterator[Control]:
    """Every control of a tree, outer first, in order."""
    for control in controls:
        yield control
        match control:
            case Sequential(body=body):
                yield from flatten(body)
            case Branch(then=then, orelse=orelse):
                yield from flatten(then)
                yield from flatten(orelse)
            case Repeat(before=before, body=body):
                yield from flatten(before)
                yield from flatten(body)
            case Together(branches=branches):
                for branch in branches:
                    yield from flatten(branch)


def _outside_loops(controls: Sequence[Control]) -> Iterator[Region]:
    for control in controls:
        match control:
            case Straight(region=region):
                yield region
            case Branch(then=then, orelse=orelse):
                yield from _outside_loops((*then, *orelse))


def regions(controls: Sequence[Control]) -> Iterator[Straight | Pipelined]:
    """Every piece of a control tree that has a region, in order."""
    return (c for c in flatten(controls) if isinstance(c, Straight | Pipelined))


def count_operations(functions: Iterable[FunctionControl]) -> int:
    """How many operations the regions of functions have."""
    return sum(len(p.region.nodes()) for f in functions for p in regions(f.body))
