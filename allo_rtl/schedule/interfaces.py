"""The primitive that says by what kind of port an array of the top comes to hardware."""

from __future__ import annotations

from dataclasses import replace

from allo_rtl.errors import BuildError, IllegalScheduleError, ScheduleError
from allo_rtl.ir.argument_streams import stream_arguments
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.ops import Func, Module, Value
from allo_rtl.ir.rewrite import replace_func

KINDS = ("memory", "stream")
"""What an array of the top can be."""


def check_interface(module: Module, func: Func, array: Value, kind: str) -> None:
    """Refuse an array that is no argument or result of the top, and other kinds.

    Raises:
        ScheduleError: either of them.
    """
    if kind not in KINDS:
        raise ScheduleError(
            f"there is no interface {kind!r}", allowed=", ".join(f'"{k}"' for k in KINDS)
        )
    if func.name != module.top or array not in (*func.args, *func.returned):
        ends = dict.fromkeys(v.name for v in _ends(module.top_func) if hasattr(v.type, "shape"))
        raise ScheduleError(
            f"{array.name!r} of {func.name} is no argument or result of {module.top}",
            loc=func.loc, allowed=", ".join(ends) or f"{module.top} has no arrays at its ports",
        )  # fmt: skip


def _ends(func: Func) -> tuple[Value, ...]:
    return (*func.args, *func.returned)


def apply_interface(module: Module, array: Value, kind: str, text: str) -> Module:
    """The module with the array marked, wherever it is an argument or result of the top.

    Raises:
        IllegalScheduleError: it is not used as a stream must be.
    """
    func = module.top_func
    numbers = {n for n, v in enumerate(_ends(func)) if v is array}
    streams = func.streams | numbers if kind == "stream" else func.streams - numbers
    new = replace_func(module, replace(func, streams=streams))
    if kind == "stream":
        try:
            stream_arguments(legalize(new))
        except BuildError as error:
            raise IllegalScheduleError(
                f"{text} is not legal: {error.message}", loc=error.loc, allowed=error.allowed,
                hint=error.hint, notes=error.notes,
            ) from None  # fmt: skip
    return new
