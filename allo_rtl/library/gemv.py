"""Matrix times vector with several products for each word read."""

from __future__ import annotations

import allo_rtl as allo
from allo_rtl.ir.types import Int, int8, int32
from allo_rtl.schedule.schedule import Schedule


def pe_kernel[D, P](W: "Int(8 * P)[D]", x: "int8[D]", y: "int32[P]"):
    """``P`` rows at once: word d of ``W`` holds their elements of column d."""
    for d in range(D):
        word: Int(8 * P) = W[d]
        for p in range(P):
            w: int8 = word[p * 8 : (p + 1) * 8]
            y[p] += w * x[d]


def int8xint8_mat_vec[L, D, P](W: "Int(8 * P)[L // P, D]", x: "int8[D]") -> "int32[L]":
    """``W @ x`` for int8, W packed in words of ``P`` rows (P divides L).

    Element (r * P + p, d) of the matrix is in bits ``8 * p ... 8 * (p + 1)`` of ``W[r, d]``.
    """
    assert L % P == 0, "P divides L"
    Z: int32[L]
    for r in allo.grid(L // P, name="rows"):
        y: int32[P] = 0
        pe_kernel[D, P](W[r], x, y)
        for p in range(P):
            Z[r * P + p] = y[p]
    return Z


def schedule_int8xint8_mat_vec(s: Schedule) -> Schedule:
    """One word a cycle: the products of a word at once, their sums in registers; in place."""
    (element,) = (f.name for f in s.module.funcs if f.name.startswith("pe_kernel"))
    s.partition(f"{element}:y")
    s.pipeline(f"{element}:d")
    return s
