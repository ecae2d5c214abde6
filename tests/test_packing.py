"""Two products by one multiplier: which numbers fit which, and that they come out right."""

from itertools import product

import numpy as np
import pytest

MULTIPLIERS = {"ECP5, Gowin": (18, 18), "iCE40 UP": (16, 16), "UltraScale+": (27, 18)}


def least_width(low, high):
    """Bits of a signed number that holds all from low to high."""
    return max((~low if low < 0 else low).bit_length(), high.bit_length()) + 1


def limits(bits):
    return -(1 << bits - 1), (1 << bits - 1) - 1


def packed_width(shared, low, high):
    """(where the high product begins, bits of the two numbers packed); all are signed."""
    shift = least_width(*(f(a * b for a, b in product(limits(shared), limits(low)))
                          for f in (min, max)))  # fmt: skip
    ends = [(h << shift) + w for h, w in product(limits(high), limits(low))]
    return shift, least_width(min(ends), max(ends))


def fits(shared, low, high):
    _, packed = packed_width(shared, low, high)
    return [
        name for name, (a, b) in MULTIPLIERS.items()
        if (packed <= a and shared <= b) or (packed <= b and shared <= a)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("widths", "packed", "where"),
    [
        ((8, 8, 8), 25, ["UltraScale+"]),
        ((8, 4, 4), 17, ["ECP5, Gowin", "UltraScale+"]),
        ((4, 4, 4), 13, ["ECP5, Gowin", "iCE40 UP", "UltraScale+"]),
        ((5, 5, 5), 16, ["ECP5, Gowin", "iCE40 UP", "UltraScale+"]),
        ((6, 6, 6), 19, ["UltraScale+"]),
    ],
)
def test_what_fits_which_multiplier(widths, packed, where):
    """One shared number times two others; the page of the library has this."""
    assert packed_width(*widths)[1] == packed
    assert fits(*widths) == where


@pytest.mark.parametrize("widths", [(8, 8, 8), (8, 4, 4), (4, 4, 4), (5, 5, 5), (6, 6, 6)])
def test_all_pairs_of_products(widths):
    """Each shared number with all pairs: the low bits, and the others with what they borrowed."""
    shift, _ = packed_width(*widths)
    low, high = (np.arange(*(limits(w)[0], limits(w)[1] + 1)) for w in widths[1:])
    packed = (high[:, None] << shift) + low
    for shared in range(limits(widths[0])[0], limits(widths[0])[1] + 1):
        whole = shared * packed
        first = (whole & ((1 << shift) - 1)) ^ (1 << shift - 1)
        first -= 1 << shift - 1
        second = (whole >> shift) + (first < 0)
        assert (first == shared * low).all()
        assert (second == (shared * high)[:, None]).all()
