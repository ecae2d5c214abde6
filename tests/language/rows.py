"""The rows of the language reference: one runnable kernel each.

A row is a kernel with example arguments and what they must give.  The tests run each on the
evaluator, the CPU build and the RTL; docs/reference.md is made from the same rows.
"""

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from allo_rtl.frontend.dataflow_dsl import Region

CHAPTERS: dict[str, list["Row"]] = {}


@dataclass(frozen=True)
class Row:
    """One example.

    ``gives`` is what it returns (a list for several results), ``leaves`` the arguments afterwards
    where they change (by position).  ``within`` is the relative error allowed where elementary
    functions are used; everything else is exact.  ``hardware`` says why there is no RTL, if so.
    """

    title: str
    kernel: Callable[..., Any]
    args: tuple[Any, ...]
    gives: Any
    leaves: dict[int, Any]
    within: float
    instantiate: list[Any] | None
    hardware: str
    options: dict[str, Any]

    @property
    def is_region(self) -> bool:
        """Whether it is a region, which runs on the simulator where others are CPU builds."""
        return isinstance(self.kernel, Region)

    @property
    def text(self) -> str:
        """What the reference says: the kernel's docstring."""
        return inspect.getdoc(self.kernel) or ""

    @property
    def code(self) -> str:
        """The kernel, and what it uses, without decorator and docstring."""
        source = textwrap.dedent(inspect.getsource(self.kernel))
        lines = source.splitlines()
        start = next(n for n, line in enumerate(lines) if line.startswith(("def ", "@df.")))
        return "\n".join(_without_docstring(lines[start:]))


def _without_docstring(lines: list[str]) -> list[str]:
    first = next(n for n, line in enumerate(lines) if line.lstrip().startswith('"""'))
    last = first
    if lines[first].count('"""') < 2:
        last = next(n for n in range(first + 1, len(lines)) if '"""' in lines[n])
    return lines[:first] + lines[last + 1 :]


def row(
    chapter: str,
    title: str,
    *args: Any,
    gives: Any = None,
    leaves: dict[int, Any] | None = None,
    within: float = 0.0,
    instantiate: list[Any] | None = None,
    hardware: str = "",
    **options: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated kernel as a row of a chapter."""

    def register(kernel: Callable[..., Any]) -> Callable[..., Any]:
        found = Row(
            title, kernel, args, gives, leaves or {}, within, instantiate, hardware, options
        )
        CHAPTERS.setdefault(chapter, []).append(found)
        return kernel

    return register
