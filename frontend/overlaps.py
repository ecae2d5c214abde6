"""Statements that are right only while two arguments of a kernel share no elements.

``X[:] = Y + 1`` reads all of ``Y`` before it stores, which it need not do if the two arrays are
different.  So that stays a simple loop nest, and a call that passes overlapping parts of one array
for ``X`` and ``Y`` is refused.
"""

from __future__ import annotations

import ast

from allo_rtl.errors import LanguageError
from allo_rtl.frontend.context import Context, Hazard
from allo_rtl.frontend.scope import Variable
from allo_rtl.frontend.views import Axis, View
from allo_rtl.ir.ops import Func, Value
from allo_rtl.ir.types import ArrayType


def note(cx: Context, stored: View, read: View, aligned: bool) -> None:
    """Note that a statement stores to one array while it reads another.

    ``aligned`` says that it stores an element when it has read the same one of the other.
    """
    if stored.array is not read.array:
        cx.hazards.add(Hazard(stored.array, read.array, aligned and stored.axes == read.axes))


def of_arguments(cx: Context, args: tuple[Value, ...]) -> frozenset[tuple[int, int, bool]]:
    """The hazards between the kernel's arguments, by their positions."""
    at = {arg: n for n, arg in enumerate(args)}
    found = (h for h in cx.hazards if h.stored in at and h.read in at)
    return frozenset((at[h.stored], at[h.read], h.aligned) for h in found)


def check_call(cx: Context, node: ast.Call, func: Func, values: tuple[Value, ...]) -> None:
    """Refuse a call that passes parts of one array which may overlap, where that matters.

    Raises:
        LanguageError: it does.
    """
    for stored, read, aligned in sorted(cx.program.hazards.get(func.name, ())):
        one, other = _view(cx, values[stored]), _view(cx, values[read])
        same = aligned and one.axes == other.axes
        if one.array is not other.array:
            note(cx, one, other, same)
        elif not same and not one.apart(other):
            names = f"'{func.args[stored].name}' and '{func.args[read].name}'"
            type_ = values[read].type
            assert isinstance(type_, ArrayType)
            raise LanguageError(
                f"the arguments {names} of '{func.name}' are parts of '{one.array.name}' that may "
                "overlap, and it reads the second while it stores to the first",
                loc=cx.loc(node),
                hint=f"pass a copy: t: {type_} = ...",
            )


def _view(cx: Context, value: Value) -> View:
    part = cx.parts.get(value)
    if part is None:
        loc = cx.loc(cx.kernel.node)
        if isinstance(value.type, ArrayType):
            return View.whole(Variable(value, loc))
        return View(Variable(value, loc), ())
    axes = zip(part.offsets, part.sizes, part.steps, strict=True)
    return View(
        Variable(part.source, cx.loc(cx.kernel.node)), tuple(Axis(o, n, s) for o, n, s in axes)
    )
