"""Against full FIFOs: their depths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from allo_rtl.advice.choice import Advice
from allo_rtl.advice.edits import Call, Edit
from allo_rtl.advice.trial import Trial
from allo_rtl.hls.depths import freeing_depths, run_cycles
from allo_rtl.hls.depths_search import streams_of
from allo_rtl.hls.depths_trace import NotStaticError
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import StreamType


def deeper_fifos(base: Trial) -> Iterator[Advice]:
    """The least depths with which no process waits for room, where some do now.

    FIFOs that ``to`` made get them from the schedule, others from their declaration.
    """
    if not streams_of(base.design):
        return
    try:
        deeper = freeing_depths(base.design)
    except NotStaticError:
        return
    if not deeper:
        return
    after = run_cycles(replace(base.design, depths={**base.design.depths, **deeper}))
    if after is None:
        return
    schedule, text = None, _declarations(deeper)
    if (edit := _in_schedule(base, deeper)) is not None:
        trial = base.tried(edit)
        if trial is not None and trial.latency == after:
            schedule, text = trial.schedule, edit.text(base.schedule, base.design)
    lost = None if base.latency is None else base.latency - after
    limit = "the processes wait for each other" if lost is None else (
        f"{lost:,} cycles are lost to full FIFOs"
    )  # fmt: skip
    clock = base.design.clock_mhz
    yield Advice(
        base.design.top.name, base.design.source.top_func.loc, limit, text, (None, None),
        (base.latency, after), (clock, clock), schedule=schedule,
    )  # fmt: skip


def _declarations(deeper: Mapping[Value, int]) -> str:
    texts = []
    for stream, depth in deeper.items():
        assert isinstance(stream.type, StreamType)
        texts.append(f"{stream.name or 'a stream'}: Stream[{stream.type.element}, {depth}]")
    return "; ".join(texts)


def _in_schedule(base: Trial, deeper: Mapping[Value, int]) -> Edit | None:
    """The change of the steps that made the FIFOs; None where some were declared."""
    found: dict[int, Call] = {}
    for stream, depth in deeper.items():
        for number, step in enumerate(base.schedule.history()):
            if step.name == "to" and str(step.args[0]).rpartition(":")[2] == stream.name:
                found[number] = Call("to", step.args, {**step.kwargs, "depth": depth})
                break
        else:
            return None
    numbers = tuple(sorted(found))
    return Edit(tuple(found[n] for n in numbers), "", None, instead=numbers)
