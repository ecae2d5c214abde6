"""What connects the processes of a region: every stream has one writer and one reader."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from allo_rtl.errors import LanguageError, SourceLoc
from allo_rtl.ir.ops import Call, Func, Module, Value
from allo_rtl.ir.races import Race, races
from allo_rtl.ir.stream_ops import MakeStream, StreamOp, ends, hands_over

type Funcs = Mapping[str, Func]


type Ends = Sequence[tuple[Call, StreamOp]]
"""The processes at an end of a stream, and what each does there: to hand over values, or first."""


def problems(
    region: Func, funcs: Funcs, assumed: Collection[Value] = ()
) -> list[LanguageError]:
    """What is wrong with a region, its streams first.

    Args:
        funcs: has its processes.
        assumed: arrays of which the user says that no two processes use one element at once.
    """
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
    return found or shared(region, funcs, assumed)


def shared(region: Func, funcs: Funcs, assumed: Collection[Value]) -> list[LanguageError]:
    """What two processes use at once, or may, one of them to store to it.

    Args:
        assumed: arrays of which the user says that this is never so; only what surely is counts.
    """
    found: list[LanguageError] = []
    told: set[tuple[Value, SourceLoc | None, SourceLoc | None]] = set()
    module = Module(funcs=tuple(funcs.values()), top=region.name)
    for race in races(module, region):
        key = race.array, race.uses[0].loc, race.uses[1].loc
        if key not in told and (race.certain or race.array not in assumed):
            told.add(key)
            found.append(_race(region, race))
    return found


def _race(region: Func, race: Race) -> LanguageError:
    (one, other), (a, b) = race.uses, race.processes
    array = race.array.name
    cell = f"'{array}[{', '.join(map(str, race.cell))}]'" if race.cell else f"'{array}'"
    what = cell if race.certain else f"the same element of '{array}'"
    does = "both store to" if one.is_store and other.is_store else "store to and read"
    verbs = ["stores to it" if u.is_store else "reads it" for u in (one, other)]
    notes = [(f"'{a}' {verbs[0]} here", one.loc), (f"'{b}' {verbs[1]} here", other.loc)]
    if race.reason is not None:
        notes.append((race.reason.reason, race.reason.loc))
    return LanguageError(
        f"'{a}' and '{b}' {'' if race.certain else 'may '}{does} {what}, and {_order(race)}",
        loc=region.loc, notes=notes, hint=_hint(race),
    )  # fmt: skip


def _order(race: Race) -> str:
    if race.reason is not None:
        return "whether a stream puts one after the other is not known"
    what = "value that goes through a stream" if race.connected else "stream"
    return f"no {what} puts one after the other"


def _hint(race: Race) -> str:
    if race.reason is not None:
        hint = "let one put to a stream after all it does with the array, and the other get first"
    elif race.connected:
        hint = "put to a stream after the one use, and get from it before the other"
    else:
        hint = "give each kernel elements of its own, or connect the two by a stream"
    said = f'; where that never happens, say so: @df.region(assume_ordered=["{race.array.name}"])'
    return hint if race.certain else hint + said


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
