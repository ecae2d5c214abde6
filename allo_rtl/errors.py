"""The one family of exceptions, and the one place where messages are formatted.

Every error can carry the place in the user's source it is about.  ``str(error)`` is then

    kernel.py:7:9: error: what was found
        7 |     C[i, j] = A[i]
          |     ^~~~~~~
      allowed: what would be accepted
      hint: what to do
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class SourceLoc:
    """A place in the user's source.

    ``line`` and ``col`` count from 1; ``end_col`` is one past the last column on that line;
    ``text`` is the source line itself (empty when the source is not at hand).
    """

    file: str
    line: int
    col: int = 1
    end_col: int = 2
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.col}"

    @property
    def short(self) -> str:
        """``file.py:line`` without the folder: what reports and Verilog attributes show."""
        return f"{self.file.rsplit('/', 1)[-1]}:{self.line}"

    def frame(self) -> str:
        """The source line with a caret under the columns meant, or '' without the text."""
        if not self.text:
            return ""
        width = max(1, min(self.end_col, len(self.text) + 1) - self.col)
        gutter = f"{self.line:>5} | "
        marks = " " * (self.col - 1) + "^" + "~" * (width - 1)
        return f"{gutter}{self.text}\n{' ' * (len(gutter) - 2)}| {marks}"


class AlloError(Exception):
    """Base of everything this package raises on purpose.

    Args:
        message: what was found, in one sentence.
        loc: where in the user's source.
        allowed: what would have been accepted.
        hint: what to do about it.
        notes: further lines, each with an optional place of its own.
    """

    def __init__(
        self,
        message: str,
        *,
        loc: SourceLoc | None = None,
        allowed: str | None = None,
        hint: str | None = None,
        notes: Sequence[tuple[str, SourceLoc | None]] = (),
    ) -> None:
        self.message = message
        self.loc = loc
        self.allowed = allowed
        self.hint = hint
        self.notes = tuple(notes)
        super().__init__(self.format())

    def format(self) -> str:
        """The full text: place, message, caret frame, notes, what is allowed, hint."""
        lines = [f"{self.loc}: error: {self.message}" if self.loc else self.message]
        if self.loc and (frame := self.loc.frame()):
            lines.append(frame)
        for text, loc in self.notes:
            lines.append(f"  note: {loc}: {text}" if loc else f"  note: {text}")
            if loc and (frame := loc.frame()):
                lines.append(frame)
        if self.allowed:
            lines.append(f"  allowed: {self.allowed}")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class LanguageError(AlloError):
    """A kernel uses something that is not in the language."""


class KernelTypeError(LanguageError):
    """A kernel is in the language, but its types do not fit."""


class KernelErrors(LanguageError):
    """Several errors of one kernel, reported at once (``errors`` holds them)."""

    def __init__(self, errors: Sequence[AlloError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n\n".join(str(e) for e in errors))


class IRError(AlloError):
    """A module of the loop IR is ill-formed (found by the verifier)."""


class ParseError(AlloError):
    """Text that is not a module of the loop IR."""


class ScheduleError(AlloError):
    """A primitive was called with arguments that name nothing or do not fit."""

    def at(self, loc: SourceLoc) -> Self:
        """The same error at another place."""
        return type(self)(
            self.message, loc=loc, allowed=self.allowed, hint=self.hint, notes=self.notes
        )


class IllegalScheduleError(ScheduleError):
    """A primitive would change what the kernel computes."""


class BuildError(AlloError):
    """A legal kernel cannot be built as asked (clock, initiation interval, device)."""


class CallError(AlloError):
    """A built kernel was called with arguments it does not take."""


class SimulationError(AlloError):
    """A simulation could not be built, or did not finish."""


class AssertionFailed(SimulationError):
    """An ``assert`` of the kernel does not hold (evaluator, CPU, simulated hardware)."""


class Deadlock(SimulationError):
    """All processes of a region wait for each other.

    ``full`` names the streams whose writers wait for room.
    """

    def __init__(
        self,
        message: str,
        *,
        notes: Sequence[tuple[str, SourceLoc | None]] = (),
        full: Sequence[str] = (),
        hint: str | None = None,
    ) -> None:
        self.full = tuple(full)
        super().__init__(f"deadlock: {message}", notes=notes, hint=hint)


class ToolError(AlloError):
    """An external tool is missing or failed."""


class HostError(AlloError):
    """The link to a board failed: framing, time-out, an unplugged port."""


class DTypeWarning(UserWarning):
    """An array argument had another dtype than the kernel's and was converted."""
