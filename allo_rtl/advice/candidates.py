"""What may help against each kind of limit, the cheapest first."""

from __future__ import annotations

from collections.abc import Iterator

from allo_rtl.advice import nests
from allo_rtl.advice.edits import Call, Edit, Family
from allo_rtl.advice.lanes import copies, rows
from allo_rtl.advice.ports import buffers, partitions, windows
from allo_rtl.advice.recurrences import clocks, orders, partial_sums, promises
from allo_rtl.advice.repeats import families_of_repeat
from allo_rtl.advice.trial import Trial, innermost
from allo_rtl.hls.certificate import Reason
from allo_rtl.hls.report import LoopReport


def families(base: Trial, loop: LoopReport) -> Iterator[Family]:
    """Changes that may make a loop faster: those that cost little, then those that cost area."""
    if not base.is_known(loop):
        yield from families_of_repeat(base, loop)
        return
    if loop.ii is None:
        yield from _not_pipelined(base, loop)
        return
    reason = loop.certificate.reason if loop.certificate else Reason.ONE
    if reason is Reason.ASKED:
        return
    if reason is Reason.UNIT:
        yield Family(_units(base, loop))
        return
    if reason is not Reason.ONE:
        yield Family(_waiting(base, loop, reason), alone=True)
    yield Family(nests.inlined(base, loop))
    yield Family(nests.at_once(base, loop), area=True)
    yield Family(copies(base, loop), area=True, alone=True)
    yield Family(rows(base, loop), area=True, alone=True)


def _not_pipelined(base: Trial, loop: LoopReport) -> Iterator[Family]:
    plain = loop.limit.endswith("pipeline it")
    if plain:
        yield Family([Edit((Call("pipeline", (base.axis(loop),)),), loop.name, loop.loc)])
    else:
        yield Family(nests.rewound(base, loop))
        yield Family(nests.distributed(base, loop))
    yield Family(nests.inlined(base, loop))
    yield Family(nests.at_once(base, loop), area=True)
    if not plain:
        yield Family(nests.whole(base, loop), area=True)


def _waiting(base: Trial, loop: LoopReport, reason: Reason) -> Iterator[Edit]:
    """Against ports, recurrences, and both together."""
    if reason is not Reason.RECURRENCE:
        yield from windows(base, loop, 1)
        yield from partitions(base, loop)
        yield from windows(base, loop, 2)
    if reason is not Reason.PORT:
        yield from orders(base, loop)
        yield from partial_sums(base, loop)
    yield from buffers(base, loop)
    if reason is not Reason.PORT:
        yield from promises(base, loop)
        yield from clocks(base, loop)


def _units(base: Trial, loop: LoopReport) -> Iterator[Edit]:
    """More of the units that are busiest: as many as an interval shorter by a cycle takes."""
    proof = loop.certificate
    for name, most in base.design.limits.items():
        if proof and loop.ii and proof.text.startswith(f"{name} is done"):
            needed = -(-len(proof.steps) // (loop.ii - 1))
            for count in dict.fromkeys([needed, len(proof.steps)]):
                if count > most:
                    yield Edit((), innermost(loop), loop.loc, units={name: count})
