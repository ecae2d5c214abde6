"""What connects the processes of a region: every stream has one writer and one reader."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from allo_rtl.errors import LanguageError, RaceWarning, SourceLoc
from allo_rtl.ir.ops import Call, Func, Module
from allo_rtl.ir.races import Race, races
from allo_rtl.ir.stream_ops import MakeStream, StreamOp, ends

type Funcs = Mapping[str, Func]


type Ends = Sequence[tuple[Call, StreamOp]]
"""The processes at an end of a stream, and what each first does there."""


def problems(region: Func, funcs: Funcs) -> list[LanguageError]:
    """What is wrong with a region, its streams first; ``funcs`` has its processes."""
    found: list[LanguageError] = []
    told: set[SourceLoc | None] = set()
    connected = ends(region, funcs.__getitem__)
    for op in region.body:
        if not isinstance(op, MakeStream) or op.loc in told:
            continue
        writers, readers = connected.get(op.result, ([], []))
        wrong = _several(op, writers, "writes to it", "writers")
        wrong += _several(op, readers, "reads it", "readers")
        found += wrong or _loose(op, writers, readers)
        if wrong or bool(writers) != bool(readers):
            told.add(op.loc)  # The other streams of an array are likely wrong alike.
    return found or shared(region, funcs)


def shared(region: Func, funcs: Funcs) -> list[LanguageError]:
    """What two processes surely use at once, one of them to store to it.

    What they only may use at once is a RaceWarning.
    """
    found: list[LanguageError] = []
    module = Module(funcs=tuple(funcs.values()), top=region.name)
    for race in races(module, region):
        error = _race(region, race)
        if race.certain:
            found.append(error)
        else:
            text = str(error).replace(": error: ", ": warning: ", 1)
            warnings.warn(text, RaceWarning, stacklevel=2)
    return found


def _race(region: Func, race: Race) -> LanguageError:
    (one, other), (a, b) = race.uses, race.processes
    cell = ", ".join(map(str, race.cell))
    name = f"{race.array.name}[{cell}]" if race.certain else race.array.name
    both = one.is_store and other.is_store
    does = "both store to" if both else "store to and read"
    sure = "" if race.certain else "may "
    what = f"element of '{name}'" if not race.certain else f"'{name}'"
    verbs = ["stores to it" if u.is_store else "reads it" for u in (one, other)]
    return LanguageError(
        f"'{a}' and '{b}' {sure}{does} {'the same ' if not race.certain else ''}{what}, "
        "and no stream puts one after the other",
        loc=region.loc,
        notes=[(f"'{a}' {verbs[0]} here", one.loc), (f"'{b}' {verbs[1]} here", other.loc)],
        hint="give each kernel elements of its own, or connect the two by a stream",
    )


def _several(op: MakeStream, found: Ends, does: str, what: str) -> list[LanguageError]:
    if len(found) < 2:
        return []
    notes = [(f"'{call.callee}' {does} here", use.loc) for call, use in found[:2]]
    return [
        LanguageError(
            f"the stream '{op.result.name}' has {len(found)} {what}",
            loc=op.loc,
            notes=notes,
            allowed="one process that writes and one that reads",
            hint="declare a stream for each: s: Stream[int32, 4][2]",
        )
    ]


def _loose(op: MakeStream, writers: Ends, readers: Ends) -> list[LanguageError]:
    if bool(writers) == bool(readers):
        return []
    (call, use), does, nobody = (
        (writers[0], "writes to it", "reads it") if writers
        else (readers[0], "reads it", "writes to it")
    )  # fmt: skip
    return [
        LanguageError(
            f"nobody {nobody}: the stream '{op.result.name}' has one end",
            loc=op.loc,
            notes=[(f"'{call.callee}' {does} here", use.loc)],
        )
    ]
