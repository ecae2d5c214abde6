"""The CPU module under Allo's name."""

from allo_rtl.sim.cpu import LLVMModule

__all__ = ["LLVMModule"]
