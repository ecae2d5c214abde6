"""Problem sizes: for each kernel the values of its parameters in square brackets, in order.

MINI, SMALL and MEDIUM are those of the Allo artifact (``polybench/allo/psize.json``); TINY is for
proofs and for hardware that is simulated in a test.
"""

from __future__ import annotations

type Sizes = dict[str, tuple[int, ...]]

TINY: Sizes = {
    "two_mm": (3, 5, 4, 6), "three_mm": (3, 4, 5, 3, 6), "atax": (5, 6), "bicg": (5, 6),
    "correlation": (4, 5), "gemm": (4, 5, 6), "gesummv": (6,), "jacobi_2d": (2, 6), "mvt": (6,),
    "symm": (5, 6), "syr2k": (4, 5), "syrk": (4, 5), "trmm": (5, 6),
}  # fmt: skip
MINI: Sizes = {
    "two_mm": (16, 22, 18, 24), "three_mm": (16, 20, 18, 24, 22), "atax": (38, 42),
    "bicg": (38, 42), "correlation": (28, 32), "gemm": (20, 30, 25), "gesummv": (30,),
    "jacobi_2d": (20, 30), "mvt": (40,), "symm": (20, 30), "syr2k": (20, 30), "syrk": (20, 30),
    "trmm": (20, 30),
}  # fmt: skip
SMALL: Sizes = {
    "two_mm": (40, 70, 50, 80), "three_mm": (40, 60, 50, 80, 70), "atax": (116, 124),
    "bicg": (116, 124), "correlation": (80, 100), "gemm": (60, 80, 70), "gesummv": (90,),
    "jacobi_2d": (40, 90), "mvt": (120,), "symm": (60, 80), "syr2k": (60, 80), "syrk": (60, 80),
    "trmm": (60, 80),
}  # fmt: skip
MEDIUM: Sizes = {
    "two_mm": (180, 210, 190, 220), "three_mm": (180, 200, 190, 220, 210), "atax": (390, 410),
    "bicg": (390, 410), "correlation": (240, 260), "gemm": (200, 240, 220), "gesummv": (250,),
    "jacobi_2d": (100, 250), "mvt": (400,), "symm": (200, 240), "syr2k": (200, 240),
    "syrk": (200, 240), "trmm": (200, 240),
}  # fmt: skip
