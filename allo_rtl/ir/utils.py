"""Names of arrays, as the primitives take them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MockBuffer:
    """An array by the names of its function and itself: what ``s.A`` is."""

    func: str
    name: str

    def __str__(self) -> str:
        return f"{self.func}:{self.name}"
