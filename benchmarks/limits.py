"""What limits each kernel of the benchmarks: where its cycles go, and the proof of the worst loop.

Run as ``python -m benchmarks.limits``: the part "What limits each kernel" of docs/benchmarks.md is
written from the certificates, and for the small kernels from the advice.  Nothing is simulated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import allo_rtl as allo
from allo_rtl.advice import Advice
from allo_rtl.hls.control import Control, Invoke, Pipelined, Straight
from allo_rtl.hls.design import Design, build_design
from allo_rtl.hls.latency import Environment, Latency
from allo_rtl.hls.report import LoopReport
from allo_rtl.hls.report_builder import loop_reports
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.target import device
from benchmarks import polybench_f32, polybench_u32
from benchmarks.pages import markdown, replace_part
from examples.polybench import sizes
from examples.polybench.lanes import LANES


class _Starting(Latency):
    """Counts of a function's cycles those of intervals: as many of them as iterations start."""

    def body(self, controls: Sequence[Control], env: Environment) -> int | None:
        return self.sequence(controls, env)

    def control(self, control: Control, env: Environment) -> int | None:
        match control:
            case Pipelined(region=region):
                trip = self._iterations(control, env)
                return None if trip is None else trip * (self._schedules[region].ii or 1)
            case Straight():
                return 0
            case Invoke(call=call):
                return self._callees[call.callee]
        return super().control(control, env)


@dataclass(frozen=True)
class Limits:
    """Where the cycles of a kernel go.

    Attributes:
        cycles: of a run.
        starting: cycles of the intervals of all iterations of pipelined loops; in the others
            pipelines fill and drain, and what stands beside loops is done.  None where that is not
            known.
        worst: the loops with an interval of more than one cycle, then those of others that are
            not pipelined.
    """

    cycles: int
    starting: int | None
    worst: tuple[LoopReport, ...]

    @staticmethod
    def of(design: Design) -> Limits:
        """Those of a kernel whose time does not depend on data."""
        top = design.top
        assert top.latency is not None
        found = [x for x in loop_reports(design) if x.ii is None or x.ii > 1]
        worst = sorted(found, key=lambda x: x.ii is None)
        return Limits(top.latency, _starting(design), tuple(worst))

    @property
    def reasons(self) -> str:
        """The proofs, of loops with the same one together."""
        by_text: dict[str, list[str]] = {}
        for loop in self.worst:
            ii = f"II {loop.ii}: " if loop.ii else ""
            by_text.setdefault(ii + loop.limit, []).append(loop.name.rpartition(", ")[2])
        texts = [f"{', '.join(dict.fromkeys(names))}: {text}" for text, names in by_text.items()]
        return "; ".join(texts) or "one iteration a cycle"


def _starting(design: Design) -> int | None:
    """Cycles of the intervals of all iterations in a run."""
    found: dict[str, int | None] = {}
    for function in design.functions:  # callees first
        counter = _Starting(function.schedules, function.control.defined, found, waits=False)
        found[function.name] = counter.body(function.control.body, {})
    return found[design.top.name]


SMALL = ("kernel", "what keeps loops from more", "change", "with it", "cycles", "iterations start")
LARGE = ("kernel", "what keeps loops from more", "cycles", "iterations start")


def built(schedule: Schedule, name: str, clock_mhz: float, units: Mapping[str, int]) -> Design:
    """A schedule, scheduled for a device."""
    return build_design(schedule.module, device(name), clock_mhz, limits=units)


def small() -> Iterator[tuple[str, ...]]:
    """A row for each kernel in 32 bit, with a change within the multipliers of Vivado HLS."""
    clock = 1000 / polybench_u32.PERIOD_NS
    for case in polybench_u32.CASES:
        schedule = polybench_u32.schedule(case)
        units = {} if case.units is None else {"mul": case.units}
        limits = Limits.of(built(schedule, polybench_u32.DEVICE, clock, units))
        most = {"mul": case.multipliers}
        advice = allo.advise(schedule, polybench_u32.DEVICE, clock, units=most)
        name, reasons, *numbers = row(case.name, limits)
        yield (name, reasons, *change(limits, advice), *numbers)


def change(limits: Limits, advices: Sequence[Advice]) -> tuple[str, str]:
    """The advice that brings most, if it is faster than what there is."""
    known = [a for a in advices if a.latency[1] is not None and a.latency[1] < limits.cycles]
    if not known:
        return "none found", ""
    best = min(known, key=lambda a: a.latency[1] or 0)
    return f"`{best.edit}`", f"{best.latency[1]:,}"


def large() -> Iterator[tuple[str, ...]]:
    """A row for each kernel in float32 at MEDIUM."""
    for case in polybench_f32.CASES:
        schedule = LANES[case.name](sizes.MEDIUM[case.kernel], case.lanes)
        design = built(schedule, polybench_f32.DEVICE, polybench_f32.CLOCK_MHZ, {})
        yield row(case.label or case.name, Limits.of(design))


def row(name: str, limits: Limits) -> tuple[str, ...]:
    """The columns that both tables have."""
    part = "-" if limits.starting is None else f"{limits.starting / limits.cycles:.0%}"
    return name, limits.reasons, f"{limits.cycles:,}", part


def main() -> None:
    """Write the part of the page."""
    replace_part("limits_u32", markdown(SMALL, small(), left=3))
    replace_part("limits_f32", markdown(LARGE, large(), left=2))


if __name__ == "__main__":
    main()
