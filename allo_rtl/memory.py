"""Where arrays are: ``int32[64] @ Memory(resource="BRAM")``, ``int32[8] @ [Layout.Shard(0)]``."""

from allo_rtl.ir.sharding import Layout
from allo_rtl.ir.types import Memory

__all__ = ["Layout", "Memory"]
