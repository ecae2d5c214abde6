"""From Python to the loop IR.  Part of allo_rtl; import it as ``allo_rtl.frontend``."""

if __name__ != "allo_rtl.frontend":
    raise ImportError(
        f"this folder is the package 'allo_rtl.frontend', imported here as {__name__!r}; "
        "write 'import allo_rtl.frontend'"
    )

from allo_rtl.frontend.dsl import grid, reduction
from allo_rtl.frontend.lower import lower_kernel
from allo_rtl.frontend.template import meta_elif, meta_else, meta_for, meta_if

__all__ = [
    "grid",
    "lower_kernel",
    "meta_elif",
    "meta_else",
    "meta_for",
    "meta_if",
    "reduction",
]
