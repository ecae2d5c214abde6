"""Where arrays are stored: ``A: int32[64] @ Memory(resource="BRAM")``."""

from allo_rtl.ir.types import Memory

__all__ = ["Memory"]
