"""Random primitives with random arguments, most of which fit, for :mod:`allo_rtl.fuzz`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from math import prod
from random import Random
from typing import Any

from allo_rtl.errors import AlloError
from allo_rtl.ir.ops import For, Func, Module
from allo_rtl.ir.rewrite import loops, walk
from allo_rtl.ir.types import ArrayType, Partition
from allo_rtl.schedule.buffers import find_buffer
from allo_rtl.schedule.loops import roots
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.schedule.unfold import ElementAxis

type Step = tuple[str, tuple[Any, ...], dict[str, Any]]
"""A primitive's name and arguments."""

type Elements = Sequence[tuple[ElementAxis, ...]]
"""What each ``unfold`` so far has given."""

_ACROSS = {"compute_at", "dataflow", "overlap", "to"}
"""Primitives of which a single band seldom has all that they are about."""
_ELEMENTS = 16
"""Processing elements at most: hardware is made of each."""


def random_name(random: Random) -> str:
    """A primitive's name."""
    return random.choice([*_MAKERS, *_WHOLE])


def random_primitive(
    schedule: Schedule, random: Random, name: str, elements: Elements = ()
) -> Step:
    """The primitive of a name with random arguments, many of which fit.

    After ``unfold`` it may be ``to`` with its elements instead.
    """
    module = schedule.module
    bands = list(bands_of(module))
    axes = [axis for _, loops_ in bands for axis in loops_]
    arrays = list(arrays_of(module))
    if not axes:
        return "partition", (random.choice(arrays or ["A"]),), {}
    if elements and random.random() < 0.4:
        return _hand_on(random, arrays, random.choice(elements))
    if name not in _ACROSS and random.random() < 0.8:
        root, axes = random.choice(bands)
        used = {v.name for op in walk((root,)) for v in op.operands()}
        arrays = [a for a in arrays if a.partition(":")[2] in used] or arrays
    axis, array = random.choice(axes), random.choice(arrays or ["A"])
    if name in _WHOLE:
        return _WHOLE[name](schedule, random, array)
    return _MAKERS[name](random, axes, axis, array)


def primitives() -> frozenset[str]:
    """The names of all primitives that are tried."""
    return frozenset({*_MAKERS, *_WHOLE})


def bands_of(module: Module) -> Iterator[tuple[For, list[str]]]:
    """Every outermost loop, and the loops in it as the primitives name them, outer first."""
    for func in module.funcs:
        for root in roots(func.body):
            band = root.attrs.band
            yield root, [f"{func.name}:{band}.{p.name}" for p in loops((root,))]


def arrays_of(module: Module) -> Iterator[str]:
    """Every array as the primitives name it."""
    seen = set()
    for func in module.funcs:
        values = [*func.args, *(v for op in walk(func.body) for v in op.results())]
        for value in values:
            name = f"{func.name}:{value.name}"
            if isinstance(value.type, ArrayType) and value.name and name not in seen:
                seen.add(name)
                yield name


def _same_function(axes: list[str], axis: str) -> list[str]:
    prefix = axis.partition(":")[0] + ":"
    return [a for a in axes if a.startswith(prefix)]


# --- primitives that the whole module matters for ----------------------------------------------


def _reshape(schedule: Schedule, random: Random, array: str) -> Step:
    """Two dimensions become one, or one becomes two."""
    try:
        _, value = find_buffer(schedule.module, array)
    except AlloError:  # several arrays have this name
        return "reshape", (array, (1,)), {}
    shape = list(value.array.shape) or [1]
    at = random.randrange(len(shape))
    if len(shape) > 1 and random.random() < 0.5:
        at = min(at, len(shape) - 2)
        shape[at : at + 2] = [shape[at] * shape[at + 1]]
    else:
        inner = random.choice([n for n in range(1, shape[at] + 1) if shape[at] % n == 0] or [1])
        shape[at : at + 1] = [shape[at] // inner, inner]
    return "reshape", (array, tuple(shape)), {}


def _compose(schedule: Schedule, random: Random, array: str) -> Step:
    """A schedule of a kernel that is called, with a primitive or two."""
    funcs = schedule.module.funcs
    called = random.choice([f.name for f in funcs if f.name != schedule.module.top] or [""])
    sub = Schedule(replace(schedule.module, top=called or schedule.module.top))
    for _ in range(random.randint(1, 2)):
        name, args, kwargs = random_primitive(sub, random, random_name(random))
        with suppress(AlloError):
            getattr(sub, name)(*args, **kwargs)
    return "compose", (sub,), {}


def _interface(schedule: Schedule, random: Random, array: str) -> Step:
    """An array at the ports of the top; at times another one."""
    top = schedule.top_func
    ends = [v.name for v in (*top.args, *top.returned) if isinstance(v.type, ArrayType) and v.name]
    if ends and random.random() < 0.9:
        array = f"{top.name}:{random.choice(ends)}"
    return "interface", (array, random.choice(["stream", "stream", "memory"])), {}


def _unfold(schedule: Schedule, random: Random, array: str) -> Step:
    """One or two outer loops of a band, with few iterations where there is such a band."""
    wanted = random.choice([1, 1, 2])
    found = [
        (func, root, axes)
        for func in schedule.module.funcs
        for root in func.body
        if isinstance(root, For) and (axes := _unfoldable(root, wanted))
    ]
    if not found:
        func: Func = random.choice(schedule.module.funcs)
        names = [loop.attrs.band for loop in loops(func.body) if loop.attrs.band]
        return "unfold", (f"{func.name}:{random.choice(names or ['none'])}", [9]), {}
    func, root, axes = random.choice(found)
    return "unfold", (f"{func.name}:{root.attrs.band}", axes), {}


def _unfoldable(root: For, wanted: int) -> list[int]:
    """Numbers of a band's outermost loops that have few iterations in all."""
    nest = [root]
    while len(nest) < wanted and len(nest[-1].body) == 1 and isinstance(nest[-1].body[0], For):
        nest.append(nest[-1].body[0])
    known = [loop.trip_count for loop in nest]
    few = prod(n if n is not None else 1 for n in known) <= _ELEMENTS
    return list(range(len(nest))) if few and root.attrs.band else []


def _hand_on(random: Random, arrays: list[str], axes: tuple[ElementAxis, ...]) -> Step:
    """An array that processing elements hand on."""
    local = [a for a in arrays if a.startswith(f"{axes[0].func}:")]
    kwargs = {"axis": random.randrange(len(axes)), "depth": random.choice([1, 2, 4])}
    return "to", (random.choice(local or ["A"]), list(axes)), kwargs


_WHOLE: dict[str, Callable[[Schedule, Random, str], Step]] = {
    "reshape": _reshape, "compose": _compose, "interface": _interface, "unfold": _unfold,
}  # fmt: skip


# --- primitives on loops and arrays of a band --------------------------------------------------


def _reorder(random: Random, axes: list[str], axis: str, array: str) -> Step:
    near = _same_function(axes, axis)
    wanted = min(len(near), random.choice([2, 2, 3]))
    return "reorder", tuple(random.sample(near, wanted)), {}


def _fuse(random: Random, axes: list[str], axis: str, array: str) -> Step:
    at = min(axes.index(axis), max(0, len(axes) - 2))
    return "fuse", tuple(axes[at : at + 2]), {}


def _pipeline(random: Random, axes: list[str], axis: str, array: str) -> Step:
    interval = {"initiation_interval": random.choice([4, 9])} if random.random() < 0.2 else {}
    return "pipeline", (axis,), interval | ({"rewind": True} if random.random() < 0.3 else {})


def _partition(random: Random, axes: list[str], axis: str, array: str) -> Step:
    kind = random.choice(list(Partition))
    factor = 0 if kind is Partition.Complete else random.choice([2, 3])
    return "partition", (array, kind), {"dim": random.choice([0, 1, 2]), "factor": factor}


def _pair(name: str) -> Callable[[Random, list[str], str, str], Step]:
    def make(random: Random, axes: list[str], axis: str, array: str) -> Step:
        function, _, _ = array.partition(":")
        local = [a for a in axes if a.startswith(f"{function}:")]
        return name, (array, random.choice(local or axes)), {}

    return make


def _to(random: Random, axes: list[str], axis: str, array: str) -> Step:
    function = array.partition(":")[0]
    readers = [a.partition(":")[2] for a in _same_function(axes, f"{function}:")]
    readers += [r.partition(".")[0] for r in readers]  # the band, which is what fits
    readers += [a.partition(":")[0] for a in axes]
    depth = random.choice([-1, 1, 2, 4])
    return "to", (array, random.choice(readers)), {} if depth == -1 else {"depth": depth}


def _compute_at(random: Random, axes: list[str], axis: str, array: str) -> Step:
    """A loop into one of as deep a place in the band behind it, most often."""
    bands: dict[str, list[str]] = {}
    for a in _same_function(axes, axis):
        bands.setdefault(a.rpartition(".")[0].split(".")[0], []).append(a)
    near = list(bands.values())
    at = random.randrange(max(1, len(near) - 1))
    if len(near) < 2 or random.random() < 0.1:
        return "compute_at", (axis, random.choice(_same_function(axes, axis))), {}
    depth = random.randrange(min(len(near[at]), len(near[at + 1])))
    return "compute_at", (near[at][depth], near[at + 1][depth]), {}


def _overlap(random: Random, axes: list[str], axis: str, array: str) -> Step:
    """Two outermost loops, one after the other."""
    bands = [a.rpartition(".")[0].split(".")[0] for a in axes]
    outer = [a for k, a in enumerate(axes) if k == 0 or bands[k] != bands[k - 1]]
    at = random.randrange(max(1, len(outer) - 1))
    return "overlap", tuple(outer[at : at + 2]), {}


_MAKERS: dict[str, Callable[[Random, list[str], str, str], Step]] = {
    "split": lambda r, axes, axis, array: ("split", (axis, r.choice([2, 3, 4])), {}),
    "reorder": _reorder,
    "fuse": _fuse,
    "partial_sums": lambda r, axes, axis, array: (  # sums are over inner loops most often
        "partial_sums", (r.choice([axis, axes[-1]]), r.choice([0, 2, 3])), {},
    ),
    "unroll": lambda r, axes, axis, array: ("unroll", (axis, r.choice([0, 2, 3])), {}),
    "pipeline": _pipeline,
    "overlap": _overlap,
    "parallel": lambda r, axes, axis, array: ("parallel", (axis,), {}),
    "assume_independent": _pair("assume_independent"),
    "inline": lambda r, axes, axis, array: (
        "inline", (r.choice([None, axis.partition(":")[0]]),), {},
    ),
    "outline": lambda r, axes, axis, array: (  # at times by a name that is taken
        "outline", (axis,), {"name": axis.partition(":")[0]} if r.random() < 0.1 else {},
    ),
    "dataflow": lambda r, axes, axis, array: (
        "dataflow", (r.choice([axis, axis.partition(":")[0]]),), {},
    ),
    "to": _to,
    "partition": _partition,
    "buffer_at": _pair("buffer_at"),
    "reuse_at": _pair("reuse_at"),
    "compute_at": _compute_at,
}  # fmt: skip
