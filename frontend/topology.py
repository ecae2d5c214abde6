"""What connects the processes of a region: every stream has one writer and one reader."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from allo_rtl.errors import LanguageError, RaceWarning, SourceLoc
from allo_rtl.ir.ops import Call, Func, Module
from allo_rtl.ir.races import Race, races
from allo_rtl.ir.stream_ops import MakeStream, StreamOp, ends, hands_over

type Funcs = Mapping[str, Func]


type Ends = Sequence[tuple[Call, StreamOp]]
"""The processes at an end of a stream, and what each does there: to hand over values, or first."""


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
        wrong = wrong or _alone(op, writers, readers) or _idle(op, writers, readers)
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


def _alone(op: MakeStream, writers: Ends, readers: Ends) -> list[LanguageError]:
    """A stream whose writer is its reader."""
    if not writers or not readers or writers[0][0] is not readers[0][0]:
        return []
    (call, put), (_, get) = writers[0], readers[0]
    return [
        LanguageError(
            f"'{call.callee}' both writes to the stream '{op.result.name}' and reads it",
            loc=op.loc,
            notes=[("it writes here", put.loc), ("it reads here", get.loc)],
            allowed="one process that writes and another that reads",
            hint="keep what a process passes to itself in an array of its own",
        )
    ]


def _idle(op: MakeStream, writers: Ends, readers: Ends) -> list[LanguageError]:
    """A stream of which a process only asks whether it is full (empty), or what comes next."""
    for found, never, allowed in (
        (writers, "puts anything to it", "put(x) or try_put(x) besides full()"),
        (readers, "takes anything from it", "get() or try_get() besides empty() and peek()"),
    ):
        if found and not hands_over(found[0][1]):
            call, use = found[0]
            return [
                LanguageError(
                    f"nobody {never}: '{call.callee}' only looks at the stream '{op.result.name}'",
                    loc=op.loc,
                    notes=[(f"'{call.callee}' looks at it here", use.loc)],
                    allowed=allowed,
                )
            ]
    return []


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
