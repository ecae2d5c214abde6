"""Kernels of common layers and arrays, written in the kernel language, with schedules.

``KERNEL2SCHEDULE`` has, for each kernel with a predefined schedule, the function that applies it
to a :class:`~allo_rtl.schedule.schedule.Schedule` and returns that.
"""

from collections.abc import Callable
from typing import Any

from allo_rtl.schedule.schedule import Schedule

KERNEL2SCHEDULE: dict[Callable[..., Any], Callable[[Schedule], Schedule]] = {}
