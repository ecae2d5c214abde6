"""Allo's autoscheduler has no counterpart here; importing it says what there is instead.

It chooses permutations and tiles with a commercial solver, from estimates.  Here
:func:`allo_rtl.advise` tries changes on a copy and measures each, and
:func:`allo_rtl.passes.df_pipeline` pipelines what can be.
"""

raise ImportError(
    "allo_rtl has no autoscheduler: allo_rtl.advise(schedule) finds, measures and prints the "
    "primitives that make each loop faster, and allo_rtl.passes.df_pipeline(schedule) pipelines "
    "every innermost loop",
    name=__name__,
)
