"""Names of signals, and the lines of the kernel that they belong to."""

from __future__ import annotations

from copy import copy

from amaranth.hdl import ShapeLike, Signal

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
