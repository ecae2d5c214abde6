"""Names of loops, as the primitives take them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LoopWrapper:
    """A loop, by the names of its function, its band and itself."""

    func: str
    band: str
    loop: str

    @property
    def name(self) -> str:
        """``function:band.loop``, which the primitives take as well."""
        return f"{self.func}:{self.band}.{self.loop}"

    def __str__(self) -> str:
        return self.name
