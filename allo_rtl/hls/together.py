"""What runs at the same time must not need one memory port."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from allo_rtl.errors import BuildError, SourceLoc
from allo_rtl.hls.control import (
    Clear,
    Control,
    FunctionControl,
    Pipelined,
    Preset,
    Straight,
    Together,
    flatten,
)
from allo_rtl.hls.node import Kind, Node
from allo_rtl.hls.storage import StorageKind
from allo_rtl.ir.ops import Value

_READS = (Kind.READ, Kind.REG_READ)


def check_together(control: FunctionControl) -> None:
    """Raise BuildError where loops that run at once use one array, or a stream.

    Registers that all of them only read are in nobody's way.  What is done with streams has to be
    in the order of the text: the other side may wait for one before it gives the other.
    """
    for part in flatten(control.body):
        if isinstance(part, Together):
            _refuse_streams(part)
            used = [dict(arrays_of(branch)) for branch in part.branches]
            for first, second in combinations(used, 2):
                for array in first.keys() & second.keys():
                    kind = control.storage[array].kind
                    written = not first[array] or not second[array]
                    if written or kind is not StorageKind.REGISTERS:
                        raise _shared(array, _loc(part.branches[-1]))


def _refuse_streams(part: Together) -> None:
    for inner in flatten([c for branch in part.branches for c in branch]):
        if isinstance(inner, Straight | Pipelined) and inner.region.uses_streams:
            node = next(n for n in inner.region.sinks if n.stream)
            assert node.stream is not None
            raise BuildError(
                f"a loop that runs at the same time as another uses the stream "
                f"{node.stream.stream.name!r}", loc=node.loc,
                allowed="loops of memories",
                hint='leave out overlap, or make the array a memory: interface(array, "memory")',
            )  # fmt: skip


def _shared(array: Value, loc: SourceLoc | None) -> BuildError:
    return BuildError(
        f"loops that run at the same time both use {array.name!r}", loc=loc,
        allowed="arrays of their own, or registers that they only read",
        hint="pass an array twice that both of them read, or partition it completely",
    )  # fmt: skip


def arrays_of(controls: Sequence[Control]) -> Iterator[tuple[Value, bool]]:
    """The arrays that controls use, and whether all they do is read."""
    nodes: dict[Value, list[Node]] = {}
    for part in flatten(controls):
        match part:
            case Straight(region=region) | Pipelined(region=region):
                for node in region.nodes():
                    if node.bank is not None:
                        nodes.setdefault(node.bank.array, []).append(node)
            case Clear(array=array):
                yield array, False
            case Preset(words=words):
                yield from ((bank.array, False) for bank in words)
    for array, users in nodes.items():
        yield array, all(n.kind in _READS for n in users)


def _loc(controls: Sequence[Control]) -> SourceLoc | None:
    return next((p.loop.loc for p in flatten(controls) if isinstance(p, Pipelined)), None)
