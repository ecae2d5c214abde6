"""Arrays that several processes of a region use: when one is done with an element, its streams say
so to the others, and a buffer would change when it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from allo_rtl.errors import IllegalScheduleError
from allo_rtl.ir.ops import Block, Call, Func, Module, SubView, Value
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.stream_ops import STREAM_OPS


def check_shared(
    module: Module, func: Func, arrays: Sequence[Value], block: Block, primitive: str
) -> None:
    """Refuse to change when a process uses arrays while it uses streams.

    Args:
        module, func: the process.
        arrays: what would be used at another time.
        block: operations past which that would be.
        primitive: as the user wrote it.

    Raises:
        IllegalScheduleError: another process has one of the arrays, and ``block`` uses a stream.
    """
    op = next((op for op in walk(block) if isinstance(op, STREAM_OPS)), None)
    if op is None:
        return
    for array in arrays:
        if (other := _other(module, func, array)) is not None:
            raise IllegalScheduleError(
                f"{primitive} would use {array.name!r} at another time, and {other.callee!r} has "
                "that array too: a stream may tell it when",
                loc=op.loc,
                notes=[("the other process", other.loc)],
            )


def _other(module: Module, func: Func, array: Value) -> Call | None:
    """A call of another process with an array that this one knows as ``array``."""
    if array not in func.args:
        return None
    position = func.args.index(array)
    for region in (f for f in module.funcs if f.dataflow):
        wholes = {op.result: op.source for op in region.body if isinstance(op, SubView)}
        calls = [op for op in region.body if isinstance(op, Call)]
        for mine in (c for c in calls if c.callee == func.name):
            whole = wholes.get(mine.args[position], mine.args[position])
            for call in calls:
                if call is not mine and whole in [wholes.get(v, v) for v in call.args]:
                    return call
    return None
