"""Small helpers for calling kernels from numpy."""

from __future__ import annotations

import numpy as np


def get_np_struct_type(bits: int) -> np.dtype[np.void]:
    """The structured dtype of an integer of ``bits``: bytes f0 (least significant), f1 ...

    An array of it holds elements wider than 64 bits without Python ints; a signed element fills
    the last byte with its sign.
    """
    if bits < 1:
        raise ValueError(f"an integer has 1 bit or more, not {bits}")
    return np.dtype([(f"f{i}", np.uint8) for i in range(-(-bits // 8))])
