"""What all functions of a symbolic run share: memory that can be put back, conditions on the way
here, and what may stop the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from allo_rtl.ir.ops import Module
from allo_rtl.ir.processes import Fifo, Processes
from allo_rtl.ir.term_base import Term
from allo_rtl.ir.terms import Terms
from allo_rtl.ir.types import bool_

_WORK = 2
"""Monomials for the price of one operation."""

type Cell = tuple[int, int]
"""An array's cells, by identity, and the place in them."""

type Changes = dict[Cell, tuple[list[Term], Term]]
"""Cells with what they hold, or held."""


class NotSymbolic(Exception):
    """The module's control depends on its inputs too much, or it runs too long."""


@dataclass(frozen=True, eq=False)
class Array:
    """An array, or a view of one: element ``n`` in row-major order is ``cells[at[n]]``."""

    cells: list[Term]
    at: Sequence[int]
    shape: tuple[int, ...]


type Content = Term | Array | Fifo
"""What a value stands for in a run."""


@dataclass
class Run:
    """What all functions of one run share.

    Attributes:
        budget: operations that may still be followed.
        state: what stateful arrays hold.
        claims: what must hold for the run not to end with an error.
        lines: what is printed, in order.
        words: what was put to streams; FIFOs hold the numbers of these.
    """

    module: Module
    terms: Terms
    budget: int
    state: dict[str, list[Term]] = field(default_factory=dict)
    claims: dict[Term, None] = field(default_factory=dict)
    lines: list[Term] = field(default_factory=list)
    words: list[Term] = field(default_factory=list)
    processes: Processes = field(default_factory=Processes)
    journals: list[Changes] = field(default_factory=list)
    path: list[Term] = field(default_factory=list)
    worked: int = 0

    def spend(self) -> None:
        """Count an operation, and the work on terms since the last one.

        Raises:
            NotSymbolic: it was one too many.
        """
        self.budget -= 1 + (self.terms.work - self.worked) // _WORK
        self.worked = self.terms.work
        if self.budget < 0:
            raise NotSymbolic("it runs too long to be followed step by step")

    def store(self, cells: list[Term], at: int, value: Term) -> None:
        """Change a cell; inside a branch the old content is noted."""
        if self.journals:
            self.journals[-1].setdefault((id(cells), at), (cells, cells[at]))
        cells[at] = value

    def always(self, what: str) -> None:
        """Refuse what is followed only where no unknown condition decides whether it happens.

        Raises:
            NotSymbolic: one does.
        """
        if self.path:
            raise NotSymbolic(f"{what} depends on a condition")

    # --- conditions ------------------------------------------------------------------------

    def decided(self, condition: Term) -> bool | None:
        """What a condition is here, where that is known."""
        if condition.constant is not None or not self.path:
            return None if condition.constant is None else bool(condition.constant)
        both = self.terms.conjunction(self.path[-1], condition)
        if both is self.path[-1]:
            return True
        return False if both.constant == 0 else None

    def claim(self, condition: Term) -> None:
        """Note what must hold here for the run not to end with an error."""
        terms = self.terms
        if self.path:
            broken = terms.conjunction(self.path[-1], terms.negated(condition))
            condition = terms.negated(broken)
        if condition.constant == 0:
            raise NotSymbolic("it always ends with an error")
        if condition.constant is None:
            self.claims[condition] = None

    def branch(
        self, condition: Term, then: Callable[[], None], orelse: Callable[[], None] | None = None
    ) -> None:
        """Both ways, when the condition is unknown; cells that differ become choices."""
        known = self.decided(condition)
        if known is not None:
            if known:
                then()
            elif orelse is not None:
                orelse()
            return
        after_then = self._under(condition, then)
        after_else: Changes = {}
        if orelse is not None:
            after_else = self._under(self.terms.negated(condition), orelse)
        for key in {**after_then, **after_else}:
            cells, at = (after_then.get(key) or after_else[key])[0], key[1]
            one = after_then[key][1] if key in after_then else cells[at]
            other = after_else[key][1] if key in after_else else cells[at]
            self.store(cells, at, self.terms.select(condition, one, other))

    def _under(self, condition: Term, follow: Callable[[], None]) -> Changes:
        """What something leaves, on a condition, in the cells it changes; they are put back."""
        here = self.path[-1] if self.path else self.terms.const(1, bool_)
        self.path.append(self.terms.conjunction(here, condition))
        self.journals.append({})
        try:
            follow()
        finally:
            journal = self.journals.pop()
            self.path.pop()
            left = {key: (cells, cells[key[1]]) for key, (cells, _) in journal.items()}
            for key, (cells, old) in journal.items():
                cells[key[1]] = old
        return left
