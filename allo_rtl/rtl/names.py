"""Names of signals, and the lines of the kernel that they belong to."""

from __future__ import annotations

from copy import copy

from amaranth.hdl import ShapeLike, Signal, Value
from amaranth.hdl._ast import Concat, Operator, Part, Slice, SwitchValue

from allo_rtl.errors import SourceLoc


class Names:
    """Signal names that are unique in a module and tell the source line."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}
        self._loc: SourceLoc | None = None

    def at(self, loc: SourceLoc | None) -> Names:
        """The same names, for signals at a line of the kernel."""
        here = copy(self)
        here._loc = loc
        return here

    def signal(self, shape: ShapeLike, base: str, *, reset_less: bool = False) -> Signal:
        """A signal whose name begins with ``base``."""
        return located(Signal(shape, name=self(base), reset_less=reset_less), self._loc)

    def __call__(self, base: str) -> str:
        name = base
        while name in self._taken:  # a base may itself end like a counted name
            self._counts[base] = self._counts.get(base, 0) + 1
            name = f"{base}_{self._counts[base]}"
        self._taken.add(name)
        return name


def located(signal: Signal, loc: SourceLoc | None) -> Signal:
    """The signal, carrying the kernel's line into the Verilog's ``src`` attribute."""
    if loc is not None:
        signal.src_loc = (loc.file.rsplit("/", 1)[-1], loc.line)
    return signal


def marked(value: Value, at: Signal) -> Value:
    """A value whose operators have the source line of the signal it is for.

    Netlists keep the lines of operators where those of wires between them are lost.
    """
    line, waiting = at.src_loc, [value]
    while waiting:
        part = waiting.pop()
        match part:
            case Operator() if part.src_loc != line:
                part.src_loc = line
                waiting += part.operands
            case SwitchValue() if part.src_loc != line:
                part.src_loc = line
                waiting += [part.test, *(chosen for _, chosen in part.cases)]
            case Slice() | Part():
                waiting.append(part.value)
            case Concat():
                waiting += part.parts
    return value
