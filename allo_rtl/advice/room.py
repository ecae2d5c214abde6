"""Whether a device has the multipliers that a design takes."""

from __future__ import annotations

from collections.abc import Iterator

from allo_rtl.hls import delay
from allo_rtl.hls.design import Design
from allo_rtl.hls.node import FloatSpec
from allo_rtl.hls.operators import Division, Job, job_of
from allo_rtl.ir.arithmetic import format_of
from allo_rtl.ir.ops import FloatKind


def has_room(before: Design, after: Design) -> bool:
    """Whether a design takes no more multiplier blocks than there are, or than one before it.

    Of devices without such blocks it is not known how large a design may become.
    """
    return multiplier_blocks(after) <= max(after.device.dsps, multiplier_blocks(before))


def multiplier_blocks(design: Design) -> int:
    """The blocks that products of integers and floats take, by the device's model."""
    model = delay.load(design.device.family)
    return sum(_blocks(model, job) for job in _jobs(design))


def _jobs(design: Design) -> Iterator[Job]:
    """What each unit of a design does."""
    for function in design.functions:
        yield from (unit.job for unit in set(function.shared.values()))
        for region, timed in function.schedules.items():
            for node in region.nodes():
                job = job_of(node, timed.shapes)
                if job is not None and node not in function.shared:
                    yield job


def _blocks(model: delay.DelayModel, job: Job) -> int:
    if isinstance(job, FloatSpec):
        if job.kind not in (FloatKind.MUL, FloatKind.FMA):
            return 0
        bits = format_of(job.format).mantissa + 1
        return model.dsps(bits, bits)
    if isinstance(job, Division):  # subtractions, in LUTs
        return 0
    left, right, result = job
    return model.dsps(left.width, right.width, result)
