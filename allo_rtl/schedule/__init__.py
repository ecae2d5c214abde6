"""Schedule primitives: each a legality check and a pure rewrite of the loop IR."""

from allo_rtl.schedule.loops import LoopBand, LoopBands, LoopWrapper
from allo_rtl.schedule.schedule import Schedule

__all__ = ["LoopBand", "LoopBands", "LoopWrapper", "Schedule"]
