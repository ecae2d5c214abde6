"""What a schedule is besides its primitives: a module, names for its parts, and the history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from allo_rtl.errors import ScheduleError
from allo_rtl.ir.history import StepReport
from allo_rtl.ir.ops import Func, Module, Value
from allo_rtl.ir.rewrite import changed_funcs
from allo_rtl.ir.types import Partition
from allo_rtl.schedule import marks, promises
from allo_rtl.schedule.buffers import MockBuffer, Target, buffers, find_buffer
from allo_rtl.schedule.call_place import primitive
from allo_rtl.schedule.loops import (
    Axis,
    LoopBands,
    LoopWrapper,
    Place,
    Replaced,
    did_you_mean,
    find_func,
    find_loop,
    get_bands,
    with_unique_names,
)
from allo_rtl.schedule.picture import draw
from allo_rtl.schedule.show import show_change, show_module
from allo_rtl.schedule.streams import check_tasks


@dataclass(frozen=True)
class Step:
    """One primitive that was applied: its name and arguments, and the module before it.

    ``notes`` say what it changed that a user should know: sums rounded in another order.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    before: Module = field(repr=False)
    replaced: Replaced | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return call_text(self.name, self.args, self.kwargs)


def call_text(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """A call as the user wrote it, handles by the names they stand for."""
    parts = [_arg_text(a) for a in args]
    parts += [f"{key}={_arg_text(value)}" for key, value in kwargs.items()]
    return f"{name}({', '.join(parts)})"


def _arg_text(arg: object) -> str:
    if isinstance(arg, Partition):
        return str(arg)
    return repr(str(arg)) if isinstance(arg, str | LoopWrapper | MockBuffer) else repr(arg)


class ScheduleState:
    """A kernel and the primitives applied to it: what :class:`Schedule` keeps.

    A loop is given to a primitive as ``"i"`` (of the top function), ``"func:i"``, or a handle of
    :meth:`get_loops`; an array as ``s.A``, ``"A"`` or ``"func:A"``.  Handles stay valid while
    primitives rewrite other loops.  A primitive that raises has changed nothing.

    Attributes:
        module: the module as it is now; it is replaced, never changed.
        inst_list: the parameters that the kernel was instantiated with.
        func_instances: names of the functions made of each kernel, by the kernel's name.
    """

    def __init__(
        self,
        module: Module,
        *,
        inst_list: Sequence[Any] = (),
        func_instances: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.module = with_unique_names(module)
        self.inst_list = list(inst_list)
        self.func_instances = {k: list(v) for k, v in (func_instances or {}).items()}
        self._steps: list[Step] = []

    # --- what is there ---------------------------------------------------------------------

    @property
    def top_func_name(self) -> str:
        """Name of the entry function."""
        return self.module.top

    @property
    def top_func(self) -> Func:
        """The entry function."""
        return self.module.top_func

    @primitive
    def get_loops(self, func: str | None = None) -> LoopBands:
        """The loops of a function (the top one without a name), by band and name."""
        return get_bands(find_func(self.module, func or self.module.top))

    @primitive
    def buffer(self, name: Target) -> MockBuffer:
        """The array called ``name`` (``"A"`` or ``"func:A"``)."""
        func, _ = find_buffer(self.module, name)
        return MockBuffer(func.name, str(name).rpartition(":")[2])

    def __getattr__(self, name: str) -> MockBuffer:
        if name.startswith("_") or name == "module":
            raise AttributeError(name)
        names = [n for n, _, _ in buffers(self.top_func)]
        if name in names:
            return MockBuffer(self.module.top, name)
        hint = did_you_mean(name, [*names, *(n for n in dir(type(self)) if n[0] != "_")])
        text = f"{self.module.top} has no array {name!r}, and a schedule no such method"
        arrays = ", ".join(n for n in names if n)
        raise AttributeError(f"{text}; {hint or f'its arrays are {arrays}'}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(n for n, _, _ in buffers(self.top_func) if n)})

    def __str__(self) -> str:
        """The loops, conditions, marks and arrays, as compact text."""
        return show_module(self.module)

    def show(self) -> str:
        """Print the text that ``str`` gives: loops, conditions, marks, arrays; and return it."""
        text = str(self)
        print(text)
        return text

    def picture(self, path: str | Path | None = None, since: int = 0) -> str:
        """Draw the schedule: before some primitives, and as it is.

        Loops are boxes in each other: blue pipelined, orange unrolled, green at once, violet
        tasks.  Elements of partitioned arrays have the colour of their bank; of large arrays the
        first rows and columns are shown.

        Args:
            path: where to write the SVG, if anywhere.
            since: number of primitives, oldest first, after which the left part is; without
                primitives since then there is one part.

        Returns:
            The SVG.
        """
        steps = self._steps[since:]
        after = [str(step) for step in steps]
        before = [(["before"], steps[0].before)] if steps else []
        picture = draw([*before, (after, self.module)])
        if path is not None:
            Path(path).write_text(picture)
        return picture

    # --- history ---------------------------------------------------------------------------

    def history(self) -> tuple[Step, ...]:
        """The primitives applied so far, oldest first; each prints as its call and holds the
        module ``before`` it."""
        return tuple(self._steps)

    def step_reports(self) -> tuple[StepReport, ...]:
        """Each primitive applied so far with what it changed, as the report has them."""
        modules = [*(s.before for s in self._steps), self.module]
        return tuple(
            StepReport(str(step), *show_change(before, after), step.notes)
            for step, before, after in zip(self._steps, modules, modules[1:], strict=False)
        )

    @property
    def primitive_sequences(self) -> list[tuple[str, list[Any], dict[str, Any]]]:
        """(name, arguments, keyword arguments) of each primitive applied so far."""
        return [(s.name, list(s.args), dict(s.kwargs)) for s in self._steps]

    @primitive
    def undo(self) -> None:
        """Take back the last primitive.

        Raises:
            ScheduleError: there is none.
        """
        if not self._steps:
            raise ScheduleError(
                "there is nothing to undo",
                hint="history() lists the primitives that undo can take back",
            )
        self.module = self._steps.pop().before

    def copy(self) -> Self:
        """A schedule of its own with the same module and history."""
        other = copy(self)
        other._steps = list(self._steps)
        return other

    def _find(self, axis: Axis) -> Place:
        return find_loop(self.module, axis, (s.replaced for s in self._steps if s.replaced))

    def _find_all(self, primitive: str, axes: tuple[Axis, ...]) -> list[Place]:
        places = [self._find(axis) for axis in axes]
        bands = {(p.func.name, p.band) for p in places}
        if len(bands) > 1:
            listed = ", ".join(sorted(f"{func}:{band}" for func, band in bands))
            raise ScheduleError(
                f"{primitive} is given loops of different bands: {listed}",
                loc=places[0].loop.loc,
                allowed="loops of one band",
            )
        return places

    def _commit(
        self,
        module: Module,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
        replaced: Replaced | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        """Take the module a primitive made, unless its marks no longer fit its loops, or tasks,
        overlapped loops or parallel iterations can no longer run at once."""
        news, said = changed_funcs(module, self.module), call_text(name, args, kwargs or {})
        for func, old in news:
            marks.check_marks(func, old)
        check_tasks(module, self.module, news, said)
        promises.check_promises(module, self.module, news, said)
        self._steps.append(Step(name, args, kwargs or {}, self.module, replaced, notes))
        self.module = module

    def _replaced(
        self, place: Place, old: tuple[str, ...], new: tuple[str, ...], by: str
    ) -> Replaced:
        return Replaced(place.func.name, place.band, old, new, by)

    def _array_in(self, place: Place, target: Target) -> Value:
        """The array of a target; a plain name is of the loop's own function."""
        if isinstance(target, str) and ":" not in target:
            target = f"{place.func.name}:{target}"
        func, array = find_buffer(self.module, target)
        if func is not place.func:
            raise ScheduleError(
                f"{array.name!r} is of {func.name}, and loop {place.loop.name!r} of "
                f"{place.func.name}",
                loc=place.loop.loc,
                allowed=f"an array of {place.func.name}, the function of the loop",
            )
        return array
