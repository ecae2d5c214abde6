"""Kernels that run at once and talk through streams.

    import allo_rtl.dataflow as df

    @df.region()
    def top(A: int32[8], B: int32[8]):
        link: Stream[int32, 4]

        @df.kernel(mapping=[1], args=[A])
        def produce(a: int32[8]): ...

    df.build(top)(a, b)         # or top(a, b): the simulator
    s = df.customize(top)       # a Schedule, whose functions are the processes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from allo_rtl.customize import customize as customize_kernel
from allo_rtl.errors import BuildError, LanguageError
from allo_rtl.frontend.dataflow_dsl import gather, get_pid, kernel, region, scatter
from allo_rtl.ir.ops import Module
from allo_rtl.ir.types import Stream
from allo_rtl.passes import df_pipeline
from allo_rtl.schedule.schedule import Schedule

__all__ = [
    "Stream",
    "build",
    "customize",
    "gather",
    "get_pid",
    "kernel",
    "region",
    "scatter",
]

TARGETS = ("simulator", "evaluator", "rtl")
"""What :func:`build` builds."""


def customize(
    func: Callable[..., Any] | str,
    enable_tensor: bool = False,
    opt_default: bool = False,
    instantiate: Sequence[Any] | None = None,
) -> Schedule:
    """Make a schedule of a region; its functions are the processes: ``s.pipeline("gemm_0_1:k")``.

    Args:
        func: the region.
        enable_tensor: accepted for Allo's sake, without effect.
        opt_default: pipeline every innermost loop.
        instantiate: the region's parameters; ``region[8, int32]`` has them already.

    Raises:
        LanguageError: it is not in the language, is no region, or its streams connect no two
            processes.
    """
    schedule = customize_kernel(func, enable_tensor=enable_tensor, instantiate=instantiate)
    if not schedule.top_func.dataflow:
        raise LanguageError(
            f"'{schedule.top_func_name}' is not a region",
            loc=schedule.top_func.loc,
            hint="mark it: @df.region()",
        )
    if opt_default:
        df_pipeline(schedule, rewind=True)
    return schedule


def build(
    func: Callable[..., Any] | str | Schedule | Module,
    target: str = "simulator",
    mode: str | None = None,
    project: str | Path | None = None,
    configs: Mapping[str, Any] | None = None,
    instantiate: Sequence[Any] | None = None,
    **options: Any,  # noqa: ANN401 - those of the target
) -> Any:  # noqa: ANN401 - what was built
    """Build a region.

    Args:
        func: the region, a schedule of it (which is respected), or a module.
        target: ``"simulator"``, compiled for this machine; ``"evaluator"``, which is the definition
            of the language and slow; or ``"rtl"``.
        mode, project, configs: accepted for Allo's sake, without effect.
        instantiate: the region's parameters, those in square brackets.
        options: of the target; see :mod:`allo_rtl.pipeline`.

    Returns:
        What was built; it is called with numpy arrays, which it changes in place.

    Raises:
        LanguageError: see :func:`customize`.
        BuildError: there is no such target, or it cannot build the region as asked.
    """
    if target not in TARGETS:
        raise BuildError(
            f"there is no target {target!r} for a region",
            allowed=", ".join(f'"{t}"' for t in TARGETS),
        )
    if isinstance(func, Module):
        func = customize_kernel(func)
    schedule = func if isinstance(func, Schedule) else customize(func, instantiate=instantiate)
    return schedule.build(target=target, **options)
