"""What connects the processes of a region: every stream has one writer and one reader."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from allo_rtl.errors import LanguageError, RaceWarning, SourceLoc
from allo_rtl.ir.ops import Call, Func, Module, Value
from allo_rtl.ir.races import Race, races
from allo_rtl.ir.stream_ops import MakeStream, used

type Funcs = Mapping[str, Func]


@dataclass(frozen=True, slots=True)
class End:
    """A process that writes to a stream, or reads from it, and where it first does."""

    process: str
    loc: SourceLoc | None


def problems(region: Func, funcs: Funcs) -> list[LanguageError]:
    """What is wrong with a region, its streams first; ``funcs`` has its processes."""
    found: list[LanguageError] = []
    told: set[SourceLoc | None] = set()
    for op in region.body:
        if not isinstance(op, MakeStream) or op.loc in told:
            continue
        writers, readers = ends(region, funcs, op.result)
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


def ends(region: Func, funcs: Funcs, stream: Value) -> tuple[list[End], list[End]]:
    """The processes that write to a stream of a region, and those that read it."""
    writers: list[End] = []
    readers: list[End] = []
    for call in region.body:
        if not isinstance(call, Call) or stream not in call.args:
            continue
        func = funcs[call.callee]
        inside = func.args[call.args.index(stream)]
        uses = used(func, inside, funcs.__getitem__)
        for side, ops in zip((writers, readers), uses, strict=True):
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
