"""How many units of a kind a function may have, as users say it: ``units={"mul": 1}``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

from allo_rtl.errors import BuildError
from allo_rtl.ir.ops import Func

_OPERATIONS = ("add", "mul", "div", "sqrt", "fma")
_NAME = re.compile(rf"mul|div|\w*float\w* ({'|'.join(_OPERATIONS)})")
_ALLOWED = '"mul" and "div" for integers, or a format and one of ' + ", ".join(_OPERATIONS)
_EXAMPLES = ("mul", "div", *(f"float32 {name}" for name in _OPERATIONS))


def check_names(limits: Mapping[str, int]) -> None:
    """Raise BuildError where limits name no unit, or a number that none can have."""
    for name, count in limits.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            close = get_close_matches(str(name), _EXAMPLES, n=1, cutoff=0.4)
            raise BuildError(
                f"units: {name!r} is no unit whose number can be limited", allowed=_ALLOWED,
                hint=f"did you mean {close[0]!r}?" if close else None,
            )
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise BuildError(
                f"units: {count!r} units for {name!r}", allowed="a whole number from 1 on"
            )


def check_kept(units: Mapping[str, int], limits: Mapping[str, int], func: Func) -> None:
    """Raise BuildError where a function needs more units than it may have."""
    for name, most in limits.items():
        if (count := units.get(name, 0)) > most:
            raise BuildError(
                f"'{func.name}' has loops that run at the same time, and needs {count} units for "
                f"{name!r} in place of {most}",
                loc=func.loc,
                allowed=f"units={{{name!r}: {count}}} or more",
                hint="leave out overlap: loops one after the other share their units",
            )
