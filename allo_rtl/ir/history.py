"""What a report tells of the primitives that were applied."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepReport:
    """One primitive that was applied.

    Attributes:
        call: the call as text.
        before, after: the parts of the kernel that it changed, as they were and as they became,
            in the form of ``print(schedule)``.
        notes: what it changed that a user should know: sums that are rounded in another order.
    """

    call: str
    before: str
    after: str
    notes: tuple[str, ...] = ()
