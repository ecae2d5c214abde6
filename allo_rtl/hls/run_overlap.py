"""Whether runs of a kernel may overlap: each process goes on to the next run when it is done.

A run is then no more than the words of one: the streams between processes tell nobody where one
ends.  So what a process finds in its second run must be just what it would find after the first
had ended: all streams have at the end of a run what they had at its start, nothing else passes
between processes, and the outside gives and takes words in their order too, which memories and
numbers would not be.  (Arrays between the tasks of a ``dataflow`` function are copies that go round
among them, see :mod:`allo_rtl.hls.task_region`.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from allo_rtl.errors import BuildError
from allo_rtl.hls.control import Parallel
from allo_rtl.hls.depths_trace import Fork, NotStaticError, Pipe, Steps, Trace, on_streams
from allo_rtl.hls.depths_tracer import trace_of
from allo_rtl.hls.design import Design
from allo_rtl.hls.processes import made_streams
from allo_rtl.hls.storage import ArrayStorage
from allo_rtl.ir.ops import Call, Module, Value
from allo_rtl.ir.types import ArrayType

type _Counts = Counter[tuple[Value, bool]]
"""How often something is done with a stream: got (False) or put (True)."""

_ALLOWED = (
    "functions of tasks whose arguments and results are streams, and regions with nothing but "
    "streams inside, too"
)


def check_runs(module: Module, runs: object) -> None:
    """Refuse runs that overlap where an argument or result is no stream.

    Args:
        module: as it was written.
        runs: how many runs may be under way at a time.

    Raises:
        BuildError: it is no number, or why they may not.
    """
    if not isinstance(runs, int) or isinstance(runs, bool) or not 1 <= runs <= 1024:
        raise BuildError(
            f"{runs!r} runs at a time", allowed="a number of runs from 1 to 1024, 1 for no overlap"
        )
    top = module.top_func
    ends = [*((a.name, a.type) for a in top.args), *((v.name, v.type) for v in top.returned)]
    for number, (name, type_) in enumerate(ends):
        if runs > 1 and number not in top.streams:
            name = name or "a result"
            array = isinstance(type_, ArrayType)
            raise BuildError(
                f"runs of '{top.name}' cannot overlap: {name} is no stream, and "
                + (f"the memory outside would have to hold {name} of several runs at once"
                   if array else "it belongs to one run"),
                loc=top.loc, allowed=_ALLOWED,
                hint=f's.interface("{name}", "stream") makes it one, where its elements are used '
                "in order" if array else f"pass {name} as an element of an array",
            )  # fmt: skip


def check_overlap(design: Design) -> None:
    """Refuse a design of which several runs are to be under way at a time, where they may not.

    Raises:
        BuildError: why they may not.
    """
    if design.runs > 1 and (reason := _reason(design)) is not None:
        raise BuildError(
            f"runs of '{design.top.name}' cannot overlap: {reason}",
            loc=design.top.control.func.loc, allowed=_ALLOWED,
        )  # fmt: skip


def _reason(design: Design) -> str | None:
    """Why runs may not overlap; None when they may."""
    control = design.top.control
    match control.body:
        case (Parallel(calls=calls, at_once=True),):
            pass
        case _:
            return "there is more to it than processes that start together"
    if not control.func.tasks and (array := _between(calls, control.storage)) is not None:
        return f"its processes share the array {array.name or 'of theirs'}"
    try:
        counts = _counts(trace_of(design, outside=True, ports=False), {})
    except NotStaticError as error:
        return f"how many values its streams carry is not known: {error}"
    for stream in made_streams(control.func):
        got, put = counts[stream, False], counts[stream, True]
        if got != put:
            return f"{put} values are put to {stream.name or 'a stream'} and {got} are taken"
    return None


def _between(calls: Sequence[Call], storage: Mapping[Value, ArrayStorage]) -> Value | None:
    """An array that is more than what one process keeps from run to run."""
    users = Counter(a for call in calls for a in {*call.args, *call.outs})
    found = (a for a, kept in storage.items() if not kept.stateful or users[a] > 1)
    return next(found, None)


def _counts(trace: Trace, given: Mapping[Value, Value]) -> _Counts:
    """What a trace does with the streams of its region, those ``given`` to it."""
    found: _Counts = Counter()
    for part in trace:
        match part:
            case Steps(steps=steps):
                found.update(on_streams(steps))
            case Pipe(leading=leading, iterations=iterations):
                for stream in leading:
                    found[stream, False] += len(iterations)
                for steps in iterations:
                    found.update(on_streams(steps))
            case Fork(processes=processes):
                for process in processes:
                    found.update(_counts(process.trace, process.given))
    renamed: _Counts = Counter()
    for (stream, put), count in found.items():
        renamed[given.get(stream, stream), put] += count
    return renamed
