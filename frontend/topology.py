"""What connects the processes of a region: every stream has one writer and one reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from allo_rtl.errors import LanguageError, SourceLoc
from allo_rtl.ir.ops import Call, Func, Value
from allo_rtl.ir.stream_ops import MakeStream, used

type Funcs = Mapping[str, Func]


@dataclass(frozen=True, slots=True)
class End:
    """A process that writes to a stream, or reads from it, and where it first does."""

    process: str
    loc: SourceLoc | None


def problems(region: Func, funcs: Funcs) -> list[LanguageError]:
    """What is wrong with the streams of a region; ``funcs`` has its processes."""
    found: list[LanguageError] = []
    for op in region.body:
        if isinstance(op, MakeStream):
            writers, readers = ends(region, funcs, op.result)
            found += _several(op, writers, "writes to it", "writers")
            found += _several(op, readers, "reads it", "readers")
            found += _loose(op, writers, readers)
    return found


def ends(region: Func, funcs: Funcs, stream: Value) -> tuple[list[End], list[End]]:
    """The processes that write to a stream of a region, and those that read it."""
    writers: list[End] = []
    readers: list[End] = []
    for call in region.body:
        if not isinstance(call, Call) or stream not in call.args:
            continue
        func = funcs[call.callee]
        inside = func.args[call.args.index(stream)]
        for side, ops in zip((writers, readers), used(func, inside), strict=True):
            if ops:
                side.append(End(call.callee, ops[0].loc))
    return writers, readers


def _several(op: MakeStream, found: list[End], does: str, what: str) -> list[LanguageError]:
    if len(found) < 2:
        return []
    notes = [(f"'{end.process}' {does} here", end.loc) for end in found[:2]]
    return [
        LanguageError(
            f"the stream '{op.result.name}' has {len(found)} {what}",
            loc=op.loc,
            notes=notes,
            allowed="one process that writes and one that reads",
            hint="declare a stream for each: s: Stream[int32, 4][2]",
        )
    ]


def _loose(op: MakeStream, writers: list[End], readers: list[End]) -> list[LanguageError]:
    if bool(writers) == bool(readers):
        return []
    other, does, nobody = (
        (writers[0], "writes to it", "reads it") if writers
        else (readers[0], "reads it", "writes to it")
    )  # fmt: skip
    return [
        LanguageError(
            f"nobody {nobody}: the stream '{op.result.name}' has one end",
            loc=op.loc,
            notes=[(f"'{other.process}' {does} here", other.loc)],
        )
    ]
