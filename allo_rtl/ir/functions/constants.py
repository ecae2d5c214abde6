"""Real constants as fixed-point numbers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath


def nearest(real: Callable[[], Any], fracs: int) -> Fraction:
    """The multiple of ``2**-fracs`` nearest to what ``real`` computes in mpmath."""
    with mpmath.workprec(fracs + 64):
        return Fraction(int(mpmath.nint(mpmath.ldexp(real(), fracs))), 1 << fracs)
