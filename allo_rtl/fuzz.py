"""Random schedules of a kernel: does any accepted one change what the kernel computes?

:func:`fuzz` applies random sequences of primitives with random arguments
(:mod:`allo_rtl.fuzz_steps`).  What a primitive refuses is counted by the reason; what it accepts
must leave a kernel that computes the same (:func:`allo_rtl.verify.verify`), and a sample is built
and run as hardware.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from rich.table import Table

from allo_rtl.errors import AlloError, IllegalScheduleError
from allo_rtl.fuzz_steps import Step, random_name, random_primitive
from allo_rtl.ir.ops import Module
from allo_rtl.ir.promise_check import has_promises, keeps_promises
from allo_rtl.ir.verify import verify_module
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.schedule.unfold import ElementAxis
from allo_rtl.trial_inputs import random_inputs
from allo_rtl.trial_runs import copies
from allo_rtl.verify import Verdict, verify

_DRAWS = 4
"""Arguments that are tried for a primitive until some are accepted."""
_PROBES = 4
"""Inputs that a promise is tried on."""


@dataclass
class Findings:
    """What a run of :func:`fuzz` saw.

    Attributes:
        accepted: primitives that were applied, by name.
        refused: those that were not, by name and kind of reason.
        proved, tested: schedules that compute the same, for all inputs or for random ones.
        reordered: those that round floating-point sums in another order, as the kernel allows.
        unkept: those that compute something else for inputs that break what ``assume_independent``
            promised.
        built: schedules that ran as hardware with the same result.
        unknown: those of which nothing is known, since the kernel fails on every input tried.
        failures: schedules that compute something else, with the reason; there should be none.
    """

    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    proved: int = 0
    tested: int = 0
    reordered: int = 0
    unkept: int = 0
    built: int = 0
    unknown: int = 0
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
    """A schedule of one to six random primitives that were accepted or refused.

    A promise that some random inputs break is taken back.
    """
    schedule = Schedule(module)
    elements: list[tuple[ElementAxis, ...]] = []
    for _ in range(random.randint(1, 6)):
        name = random_name(random)
        before = len(schedule.history())
        for _ in range(_DRAWS):
            step = random_primitive(schedule, random, name, elements)
            accepted, made = _apply(schedule, step, found)
            if accepted:
                elements += [tuple(made)] if step[0] == "unfold" else []
                break
        _take_back_false_promises(module, schedule, before, found)
    return schedule


def _apply(schedule: Schedule, step: Step, found: Findings) -> tuple[bool, Any]:
    """Whether a primitive was accepted, and what it gave."""
    name, args, kwargs = step
    before = schedule.module
    try:
        made = getattr(schedule, name)(*args, **kwargs)
    except AlloError as error:
        assert schedule.module is before, f"{name} was refused and changed the module"
        found.refused[name, _reason(error)] += 1
        return False, None
    found.accepted[name] += 1
    return True, made


def _take_back_false_promises(
    module: Module, schedule: Schedule, count: int, found: Findings
) -> None:
    """Undo all but ``count`` steps when some random inputs break what they promise."""
    new = schedule.history()[count:]
    if not any(step.name == "assume_independent" for step in new):
        return
    if all(_kept([schedule.module], args) for args in random_inputs(module, module, _PROBES)):
        return
    for _ in new:
        schedule.undo()
    found.accepted["assume_independent, a false promise, taken back"] += 1


def _kept(modules: Iterable[Module], args: Sequence[Any]) -> bool:
    """Whether modules keep all promises for some arguments, which are not changed."""
    promising = (m for m in modules if has_promises(m))
    return all(keeps_promises(m, copies(m, args)) for m in promising)


def _judge(module: Module, schedule: Schedule, found: Findings) -> None:
    try:
        verify_module(schedule.module)
    except AlloError as error:
        found.failures.append((_history(schedule), f"an ill-formed module: {error.message}"))
        return
    verdict: Verdict = verify(module, schedule.module)
    after = [*(step.before for step in schedule.history()), schedule.module]
    if not verdict.equal and any(step.notes for step in schedule.history()):
        found.reordered += 1
    elif not verdict.equal and verdict.inputs and not _kept(after, verdict.inputs):
        found.unkept += 1
    elif not verdict.equal and not verdict.proved:
        found.unknown += 1
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
    total = found.proved + found.tested + found.reordered + found.unkept + found.unknown
    total += len(found.failures)
    table = Table("what", "count", title=f"{total} random schedules")
    table.add_row("the same for all inputs (proved)", str(found.proved))
    table.add_row("the same for random inputs (tested)", str(found.tested))
    table.add_row("sums rounded in another order (allowed)", str(found.reordered))
    table.add_row("another result where a promise does not hold", str(found.unkept))
    if found.unknown:
        table.add_row("unknown: the kernel fails on all inputs tried", str(found.unknown))
    table.add_row("the same as hardware (simulated)", str(found.built))
    table.add_row("something else", str(len(found.failures)), end_section=True)
    for name, count in found.accepted.most_common():
        table.add_row(f"{name}: accepted", str(count))
    table.rows[-1].end_section = True
    for (name, reason), count in found.refused.most_common():
        table.add_row(f"{name}: {reason}", str(count))
    return table
