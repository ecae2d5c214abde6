"""Random waiting: what a simulation does at the ports of a kernel besides what it must."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from allo_rtl.errors import CallError

LATEST_START = 16
"""A run starts fewer cycles than this late."""


@dataclass(frozen=True)
class Stalls:
    """Holds a kernel's streams back at random, and starts its runs late.

    In each cycle every input that has no word on offer waits with the next one, and every output
    is not ready, in so many ``percent`` of all cases; a word on offer stays until it is taken.
    Results do not depend on it, only cycles do.

    Attributes:
        seed: what the random numbers follow from: the same seed, the same run.
        percent: 1 to 99.
    """

    seed: int = 0
    percent: int = 50

    def __post_init__(self) -> None:
        if not 1 <= self.percent <= 99:
            raise CallError(f"stalls in {self.percent} % of cycles", allowed="1 to 99 %")

    def numbers(self) -> Iterator[int]:
        """Random numbers of 64 bits: splitmix64, as in ``templates/driver.cpp``."""
        state = self.seed
        while True:
            state = (state + 0x9E3779B97F4A7C15) & _MASK
            word = state
            word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
            word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
            yield word ^ (word >> 31)


_MASK = (1 << 64) - 1
