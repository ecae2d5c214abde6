"""Flattened nests that are slow, of which fewer loops may be flattened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from allo_rtl.hls.certificate import Certificate, Reason
from allo_rtl.hls.control import Control, Pipelined, regions
from allo_rtl.hls.op_schedule import OpSchedule
from allo_rtl.hls.region import Region
from allo_rtl.ir.ops import Value

_RECURRENT = (Reason.RECURRENCE, Reason.SEARCH, Reason.OPEN)


@dataclass(frozen=True)
class SlowNest:
    """A nest by its counters, outermost first, and what to say of loops that are left out of it.

    ``varies`` tells whether bounds of its inner loops are not constant.
    """

    counters: list[frozenset[Value]]
    varies: bool
    reason: str


def slow_nests(
    controls: Sequence[Control], schedules: Mapping[Region, OpSchedule],
    certificates: Mapping[Region, Certificate], latency: int | None,
) -> Iterator[SlowNest]:
    """Nests of a function that are not as fast as asked, where flattening may be the reason.

    Those of constant bounds only where cycles can be compared (``latency`` is known), for draining
    may cost more, and where iterations wait for each other.
    """
    for piece in regions(controls):
        if not isinstance(piece, Pipelined):
            continue
        ii = schedules[piece.region].ii or 1
        waits = certificates[piece.region].reason in _RECURRENT
        constant = waits and len(piece.counters) > 1 and latency is not None
        if ii > (piece.loop.attrs.pipeline_ii or 1) and (piece.varies or constant):
            yield SlowNest(
                [frozenset({c.loop.iv}) for c in piece.counters], piece.varies,
                f"not flattened with the loops inside: iterations would start every {ii} cycles",
            )  # fmt: skip
