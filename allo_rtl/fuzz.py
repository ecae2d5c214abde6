"""Random schedules of a kernel: does any accepted one change what the kernel computes?

:func:`fuzz` applies random sequences of primitives with random arguments.  What a primitive
refuses is counted by the reason; what it accepts must leave a kernel that computes the same
(:func:`allo_rtl.verify.verify`), and a sample is built and run as hardware.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from rich.table import Table

from allo_rtl.errors import AlloError, IllegalScheduleError
from allo_rtl.ir.ops import For, Module
from allo_rtl.ir.rewrite import loops, walk
from allo_rtl.ir.types import ArrayType, Partition
from allo_rtl.ir.verify import verify_module
from allo_rtl.schedule.buffers import find_buffer
from allo_rtl.schedule.loops import roots
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.verify import Verdict, verify


@dataclass
class Findings:
    """What a run of :func:`fuzz` saw.

    Attributes:
        accepted: primitives that were applied, by name.
        refused: those that were not, by name and kind of reason.
        proved, tested: schedules that compute the same, for all inputs or for random ones.
        reordered: those that round floating-point sums in another order, as the kernel allows.
        built: schedules that ran as hardware with the same result.
        failures: schedules that compute something else, with the reason; there should be none.
    """

    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    proved: int = 0
    tested: int = 0
    reordered: int = 0
    built: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)


def fuzz(
    kernel: Schedule | Module,
    runs: int = 20,
    *,
    seed: int = 0,
    hardware: Callable[[Module, Random], str | None] | None = None,
    hardware_every: int = 5,
    progress: Callable[[int], None] = lambda done: None,
) -> Findings:
    """Try random schedules.

    Args:
        kernel: a kernel, with or without primitives applied to it already.
        runs: schedules to make, each of one to six primitives.
        seed: the same seed gives the same schedules.
        hardware: runs a scheduled module as hardware and tells what is wrong, if anything.
        hardware_every: every so many schedules are given to it.
        progress: called with the number of schedules done.
    """
    module = kernel.module if isinstance(kernel, Schedule) else kernel
    found = Findings()
    for n in range(runs):
        random = Random(seed * 1_000_003 + n)
        schedule = random_schedule(module, random, found)
        _judge(module, schedule, found)
        if hardware is not None and n % hardware_every == 0:
            _build(schedule, random, hardware, found)
        progress(n + 1)
    return found


def random_schedule(module: Module, random: Random, found: Findings) -> Schedule:
    """A schedule of one to six random primitives that were accepted or refused."""
    schedule = Schedule(module)
    for _ in range(random.randint(1, 6)):
        name, args, kwargs = random_primitive(schedule, random)
        before = schedule.module
        try:
            getattr(schedule, name)(*args, **kwargs)
            found.accepted[name] += 1
        except AlloError as error:
            assert schedule.module is before, f"{name} was refused and changed the module"
            found.refused[name, _reason(error)] += 1
    return schedule


def _judge(module: Module, schedule: Schedule, found: Findings) -> None:
    try:
        verify_module(schedule.module)
    except AlloError as error:
        found.failures.append((_history(schedule), f"an ill-formed module: {error.message}"))
        return
    verdict: Verdict = verify(module, schedule.module)
    if not verdict.equal and any(step.notes for step in schedule.history()):
        found.reordered += 1
    elif not verdict.equal:
        found.failures.append((_history(schedule), verdict.reason))
    elif verdict.proved:
        found.proved += 1
    else:
        found.tested += 1


def _build(
    schedule: Schedule,
    random: Random,
    hardware: Callable[[Module, Random], str | None],
    found: Findings,
) -> None:
    try:
        wrong = hardware(schedule.module, random)
    except AlloError as error:
        found.refused["build", _reason(error)] += 1
        return
    if wrong is None:
        found.built += 1
    else:
        found.failures.append((_history(schedule), f"in hardware: {wrong}"))


def _history(schedule: Schedule) -> str:
    return "; ".join(f"s.{step}" for step in schedule.history())


def _reason(error: AlloError) -> str:
    """The kind of a refusal: its sentence without the names and numbers of this kernel."""
    kind = "illegal: " if isinstance(error, IllegalScheduleError) else ""
    text = re.sub(r"^\w+\(.*?\): ", "", error.message)
    text = re.sub(r"'[^']*'|\([^)]*\)|\b[A-Za-z_]\w*\[[^\]]*\]", "...", text)
    return kind + re.sub(r"\d+", "N", text).split(":")[0][:70]


def findings_table(found: Findings) -> Table:
    """The findings as a table for the terminal."""
    total = found.proved + found.tested + found.reordered + len(found.failures)
    table = Table("what", "count", title=f"{total} random schedules")
    table.add_row("the same for all inputs (proved)", str(found.proved))
    table.add_row("the same for random inputs (tested)", str(found.tested))
    table.add_row("sums rounded in another order (allowed)", str(found.reordered))
    table.add_row("the same as hardware (simulated)", str(found.built))
    table.add_row("something else", str(len(found.failures)), end_section=True)
    for name, count in found.accepted.most_common():
        table.add_row(f"{name}: accepted", str(count))
    table.rows[-1].end_section = True
    for (name, reason), count in found.refused.most_common():
        table.add_row(f"{name}: {reason}", str(count))
    return table


# --- random primitives -------------------------------------------------------------------------


type Step = tuple[str, tuple[Any, ...], dict[str, Any]]


_ACROSS = {"compute_at", "dataflow", "overlap", "to"}
"""Primitives of which a single band seldom has all that they are about."""


def random_primitive(schedule: Schedule, random: Random) -> Step:
    """A primitive with random arguments, most of which fit.

    There is no ``assume_independent``, which may be a false promise, no ``interface``, which
    changes what the kernel is given, and no ``unfold``, which makes hardware of every iteration.
    """
    module = schedule.module
    bands = list(_bands(module))
    axes = [axis for _, loops_ in bands for axis in loops_]
    arrays = list(_arrays(module))
    if not axes:
        return "partition", (random.choice(arrays or ["A"]),), {}
    name = random.choice([*_MAKERS, *_WHOLE])
    if name not in _ACROSS and random.random() < 0.8:
        root, axes = random.choice(bands)
        used = {v.name for op in walk((root,)) for v in op.operands()}
        arrays = [a for a in arrays if a.partition(":")[2] in used] or arrays
    axis, array = random.choice(axes), random.choice(arrays or ["A"])
    if name in _WHOLE:
        return _WHOLE[name](schedule, random, array)
    return _MAKERS[name](random, axes, axis, array)


def _bands(module: Module) -> Iterator[tuple[For, list[str]]]:
    """Every outermost loop, and the loops in it as the primitives name them, outer first."""
    for func in module.funcs:
        for root in roots(func.body):
            band = root.attrs.band
            yield root, [f"{func.name}:{band}.{p.name}" for p in loops((root,))]


def _arrays(module: Module) -> Iterator[str]:
    seen = set()
    for func in module.funcs:
        values = [*func.args, *(v for op in walk(func.body) for v in op.results())]
        for value in values:
            name = f"{func.name}:{value.name}"
            if isinstance(value.type, ArrayType) and value.name and name not in seen:
                seen.add(name)
                yield name


def _same_function(axes: list[str], axis: str) -> list[str]:
    prefix = axis.partition(":")[0] + ":"
    return [a for a in axes if a.startswith(prefix)]


def _reorder(random: Random, axes: list[str], axis: str, array: str) -> Step:
    near = _same_function(axes, axis)
    wanted = min(len(near), random.choice([2, 2, 3]))
    return "reorder", tuple(random.sample(near, wanted)), {}


def _fuse(random: Random, axes: list[str], axis: str, array: str) -> Step:
    at = min(axes.index(axis), max(0, len(axes) - 2))
    return "fuse", tuple(axes[at : at + 2]), {}


def _pipeline(random: Random, axes: list[str], axis: str, array: str) -> Step:
    interval = {"initiation_interval": random.choice([4, 9])} if random.random() < 0.2 else {}
    return "pipeline", (axis,), interval | ({"rewind": True} if random.random() < 0.3 else {})


def _reshape(schedule: Schedule, random: Random, array: str) -> Step:
    """Two dimensions become one, or one becomes two."""
    _, value = find_buffer(schedule.module, array)
    shape = list(value.array.shape) or [1]
    at = random.randrange(len(shape))
    if len(shape) > 1 and random.random() < 0.5:
        at = min(at, len(shape) - 2)
        shape[at : at + 2] = [shape[at] * shape[at + 1]]
    else:
        inner = random.choice([n for n in range(1, shape[at] + 1) if shape[at] % n == 0] or [1])
        shape[at : at + 1] = [shape[at] // inner, inner]
    return "reshape", (array, tuple(shape)), {}


def _compose(schedule: Schedule, random: Random, array: str) -> Step:
    """A schedule of a kernel that is called, with a primitive or two."""
    funcs = schedule.module.funcs
    called = random.choice([f.name for f in funcs if f.name != schedule.module.top] or [""])
    sub = Schedule(replace(schedule.module, top=called or schedule.module.top))
    for _ in range(random.randint(1, 2)):
        name, args, kwargs = random_primitive(sub, random)
        with suppress(AlloError):
            getattr(sub, name)(*args, **kwargs)
    return "compose", (sub,), {}


_WHOLE: dict[str, Callable[[Schedule, Random, str], Step]] = {
    "reshape": _reshape, "compose": _compose,
}  # fmt: skip


def _partition(random: Random, axes: list[str], axis: str, array: str) -> Step:
    kind = random.choice(list(Partition))
    factor = 0 if kind is Partition.Complete else random.choice([2, 3])
    return "partition", (array, kind), {"dim": random.choice([0, 1, 2]), "factor": factor}


def _pair(name: str) -> Callable[[Random, list[str], str, str], Step]:
    def make(random: Random, axes: list[str], axis: str, array: str) -> Step:
        function, _, _ = array.partition(":")
        local = [a for a in axes if a.startswith(f"{function}:")]
        return name, (array, random.choice(local or axes)), {}

    return make


def _to(random: Random, axes: list[str], axis: str, array: str) -> Step:
    function = array.partition(":")[0]
    readers = [a.partition(":")[2] for a in _same_function(axes, f"{function}:")]
    readers += [a.partition(":")[0] for a in axes]
    depth = random.choice([-1, 1, 2, 4])
    return "to", (array, random.choice(readers)), {} if depth == -1 else {"depth": depth}


def _overlap(random: Random, axes: list[str], axis: str, array: str) -> Step:
    """Two outermost loops, one after the other."""
    bands = [a.rpartition(".")[0].split(".")[0] for a in axes]
    outer = [a for k, a in enumerate(axes) if k == 0 or bands[k] != bands[k - 1]]
    at = random.randrange(max(1, len(outer) - 1))
    return "overlap", tuple(outer[at : at + 2]), {}


_MAKERS: dict[str, Callable[[Random, list[str], str, str], Step]] = {
    "split": lambda r, axes, axis, array: ("split", (axis, r.choice([2, 3, 4])), {}),
    "reorder": _reorder,
    "fuse": _fuse,
    "partial_sums": lambda r, axes, axis, array: (
        "partial_sums", (axis, r.choice([0, 2, 3])), {},
    ),
    "unroll": lambda r, axes, axis, array: ("unroll", (axis, r.choice([0, 2, 3])), {}),
    "pipeline": _pipeline,
    "overlap": _overlap,
    "parallel": lambda r, axes, axis, array: ("parallel", (axis,), {}),
    "inline": lambda r, axes, axis, array: (
        "inline", (r.choice([None, axis.partition(":")[0]]),), {},
    ),
    "outline": lambda r, axes, axis, array: ("outline", (axis,), {}),
    "dataflow": lambda r, axes, axis, array: (
        "dataflow", (r.choice([axis, axis.partition(":")[0]]),), {},
    ),
    "to": _to,
    "partition": _partition,
    "buffer_at": _pair("buffer_at"),
    "reuse_at": _pair("reuse_at"),
    "compute_at": lambda r, axes, axis, array: (
        "compute_at", (axis, r.choice(_same_function(axes, axis))), {},
    ),
}  # fmt: skip

