"""From measured points to the coefficients of a delay model: least squares, nothing else.

Coefficients are never negative, so delays never fall as operations get wider.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, pairwise
from math import log2
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from allo_rtl.hls.delay import DelayModel, model

type _Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """One measured circuit: period in ns for each seed, LUTs and multiplier blocks of the core."""

    kind: str
    bits: int
    ways: int
    times: tuple[float, ...]
    luts: float
    dsps: float

    @property
    def ns(self) -> float:
        """Median over the seeds."""
        return median(self.times)

    def dump(self) -> list[Any]:
        """The point as JSON holds it."""
        return list(asdict(self).values())

    @classmethod
    def load(cls, stored: Sequence[Any]) -> Point:
        """The inverse of :meth:`dump`."""
        kind, bits, ways, times, luts, dsps = stored
        return cls(kind, bits, ways, tuple(times), luts, dsps)


def least_squares(columns: ArrayLike, values: ArrayLike) -> list[float]:
    """Coefficients >= 0 that minimise ``|columns @ coefficients - values|``.

    ``columns`` is (points, terms).  With as few terms as ours, trying each subset of them is the
    simplest exact method: the optimum is the plain solution of the terms that are not zero.
    """
    matrix, target = np.asarray(columns, float), np.asarray(values, float)
    terms = matrix.shape[1]
    best, best_error = np.zeros(terms), float(target @ target)
    for size in range(1, terms + 1):
        found = [_solve(matrix, target, list(s)) for s in combinations(range(terms), size)]
        allowed = [(error, c) for error, c in found if (c >= 0).all()]
        error, coefficients = min(allowed, key=lambda pair: pair[0], default=(best_error, best))
        # A term more must be worth it: measured points are noisy.
        if error < 0.7 * best_error - 1e-9:
            best, best_error = coefficients, error
    return [float(c) for c in best]


def _solve(matrix: _Matrix, target: _Matrix, used: list[int]) -> tuple[float, _Matrix]:
    """Plain least squares with the ``used`` columns: summed squared error, all coefficients."""
    coefficients = np.zeros(matrix.shape[1])
    coefficients[used] = np.linalg.lstsq(matrix[:, used], target, rcond=None)[0]
    return float(np.sum((matrix @ coefficients - target) ** 2)), coefficients


def fit_delay(widths: Sequence[int], times: Sequence[float]) -> list[float]:
    """``[a, b, c]`` of ``a·bits + b·log2(bits) + c``, from times in ns at ``widths``."""
    return least_squares([[w, log2(w), 1] for w in widths], times)


def fit_area(widths: Sequence[int], luts: Sequence[float]) -> list[float]:
    """``[a, b, c, d]`` of ``a·bits + b·bits·log2(bits) + c·bits² + d``, from LUTs at ``widths``."""
    return least_squares([[w, w * log2(w), w * w, 1] for w in widths], luts)


@dataclass(frozen=True)
class Family:
    """What the fit must be told of a family, beside the points.

    Attributes:
        name: the family's name.
        multipliers: ``[wide, narrow, blocks]`` of each way to use its multiplier blocks.
        dsp_minimum: operand and product widths below which products are made of LUTs.
        dsp_ns: delay of a block with the wire behind it, where place and route has none.
        why: per kind of operation, why its numbers are estimates.
    """

    name: str
    multipliers: tuple[tuple[int, int, int], ...] = ()
    dsp_minimum: tuple[int, int] = (2, 2)
    dsp_ns: float | None = None
    why: tuple[tuple[str, str], ...] = ()


PRODUCTS = ("mul", "mul_low")
SIMPLE = ("add", "cmp", "eq", "shift", "minmax")
CHAINS = {
    "cmp_select": ("cmp", "select"),
    "add_cmp": ("add", "cmp"),
    "mul_add": ("mul_low", "add"),
    "ram_mul": ("ram_read", "mul_low"),
    "logic": ("add", "logic"),
    "select": ("add", "select"),
    "ram_address": ("add", "ram_address"),
}
"""Circuits of more than one operation, in the order of the data."""

BEHIND_ADD = ("logic", "select", "ram_address")
"""Kinds that are only measured behind an adder: their time is what they add to the adder's."""


def fit_family(family: Family, points: Sequence[Point]) -> dict[str, Any]:
    """The content of the family's data file, all but the provenance.

    An operation between two registers has one wire, the one that leads to it: its result goes
    into the register beside its last LUT.  So ``register_ns`` is the measured path between two
    registers without its wire, and every operation has a wire of its own.
    """
    alone = _Alone(points)
    wire = alone.wire(family)
    pieces: dict[str, _Pieces] = {
        k: [(None, alone.rows(k, wire))] for k in (*SIMPLE, "logic", "select")
    }
    pieces |= {k: _split(alone.rows(k, wire), family.multipliers) for k in PRODUCTS}
    # One LUT takes the same at any width; single levels are noisy, so the slowest counts.
    level = max(ns for _, ns, _ in alone.rows("logic"))
    delays: dict[str, list[list[Any]]] = {
        k: [[limit, *_delays(rows)] for limit, rows in v] for k, v in pieces.items()
    }
    delays["logic"] = [[None, 0.0, 0.0, _round(level)]]
    delays["select"] = [[None, *_delays(alone.rows("select"), level)]]
    # The result of a comparison fans out, and leaves a carry chain: not seen when it is alone.
    limit, a, b, c = delays["cmp"][0]
    delays["cmp"] = [[limit, a, b, _round(c + alone.compare_exit())]]
    if family.dsp_ns is not None:
        delays |= {k: _estimated_product(family, delays["add"][0]) for k in PRODUCTS}
    if stages := alone.rows("mul_stage", wire):  # one block each: 9 bits take what 8 do
        delays["mul_stage"] = [[bits, 0.0, 0.0, _round(ns)] for bits, ns, _ in sorted(stages)]
        delays["mul_stage"][-1][0] = None
    muxes = [p for p in points if p.kind == "mux"]
    return {
        "family": family.name,
        "source": "fitted",
        "estimates": dict(family.why),
        "register_ns": _round(alone.register - wire),
        "ram_read_ns": _round(max(ns for _, ns, _ in alone.rows("ram_read", wire))),
        "ram_address_ns": _round(max(0.0, *(r[1] for r in alone.rows("ram_address", wire)))),
        "multipliers": family.multipliers,
        "dsp_signed": False,
        "dsp_minimum": family.dsp_minimum,
        "delays": {k: _rising(v) for k, v in delays.items()},
        "luts": {k: [[limit, *_areas(rows)] for limit, rows in v] for k, v in pieces.items()},
        "mux": _mux_delay(muxes, alone.register - wire),
        "mux_luts_per_bit": _mux_area(muxes),
    }


type _Rows = list[tuple[int, float, float]]
type _Pieces = list[tuple[int | None, _Rows]]


class _Alone:
    """The points, with operations taken out of their circuits."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = points
        self.of = {(p.kind, p.bits): p for p in points if p.kind != "mux"}
        self.register = self.of["register", 32].ns

    def rows(self, kind: str, wire: float = 0.0) -> _Rows:
        """Width, ns with the wire to it, and LUTs of the operation at each measured width."""
        found = [p for p in self.points if p.kind == kind]
        if kind not in BEHIND_ADD:
            return [(p.bits, p.ns - self.register + wire, p.luts) for p in found]
        adders = [self.of["add", p.bits] for p in found]
        return [(p.bits, p.ns - a.ns, p.luts - a.luts) for p, a in zip(found, adders, strict=True)]

    def joints(self, kind: str) -> list[float]:
        """What circuits of two operations take beyond the operations in them, in ns."""
        found = [p for p in self.points if p.kind == kind]
        own = [sum(self._at(k, p.bits) for k in CHAINS[kind]) for p in found]
        return [p.ns - self.register - ns for p, ns in zip(found, own, strict=True)]

    def _at(self, kind: str, bits: int) -> float:
        """ns of the operation alone, between measured widths in proportion."""
        rows = sorted(self.rows(kind))
        return float(np.interp(bits, [r[0] for r in rows], [r[1] for r in rows]))

    def wire(self, family: Family) -> float:
        """A typical wire between two operations, in ns.

        Two carry chains in a row overlap and then show no wire, so it is never taken to be less
        than three tenths of the path between two registers, of which a wire is a part.
        """
        kinds = ["add_cmp", *([] if family.dsp_ns is not None else ["mul_add", "ram_mul"])]
        shortest = min(median(self.joints(kind)) for kind in kinds)
        return min(max(shortest, 0.3 * self.register), 0.75 * self.register)

    def compare_exit(self) -> float:
        """ns between a comparison and what it decides, beyond the wire that a select has."""
        return max(0.0, median(self.joints("cmp_select")))


def _split(rows: _Rows, multipliers: Sequence[tuple[int, int, int]]) -> _Pieces:
    """Rows of products by the block that makes them, the last with those that need several."""
    limits: list[int | None] = [narrow for _, narrow, _ in multipliers]
    lower = 0
    found: _Pieces = []
    for limit in [*limits, None]:
        inside = [r for r in rows if lower < r[0] and (limit is None or r[0] <= limit)]
        if inside:
            found.append((limit, inside))
        lower = limit or lower
    return [*found[:-1], (None, found[-1][1])]


def _delays(rows: _Rows, least: float = 0.05) -> list[float]:
    """``[a, b, c]`` of the rows, none below ``least`` ns."""
    times = [max(r[1], least) for r in rows]
    # Half of the shortest is constant, so that one bit, which is not measured, is not free.
    floor = max(least, min(times) / 2)
    a, b, c = fit_delay([r[0] for r in rows], [t - floor for t in times])
    return [_round(a), _round(b), _round(c + floor)]


def _areas(rows: _Rows) -> list[float]:
    return [_round(c) for c in fit_area([r[0] for r in rows], [max(r[2], 0) for r in rows])]


def _estimated_product(family: Family, add: list[Any]) -> list[list[Any]]:
    """One block, and beyond its width the block and two sums of partial products."""
    _, linear, log, constant = add
    block = family.dsp_ns or 0.0
    wide = [2 * linear, 2 * log, block + 2 * constant]
    return [[family.multipliers[0][1], 0.0, 0.0, block], [None, *(_round(c) for c in wide)]]


def _rising(segments: list[list[Any]]) -> list[list[Any]]:
    """The segments, lifted where one would start below the end of the one before."""
    for before, after in pairwise(segments):
        _, a, b, c = before
        limit = before[0]
        end = a * limit + b * log2(limit) + c
        start = after[1] * (limit + 1) + after[2] * log2(limit + 1) + after[3]
        after[3] = _round(after[3] + max(0.0, end - start))
    return segments


def _mux_delay(points: Sequence[Point], register: float) -> list[float]:
    columns = [[log2(p.ways), log2(p.bits), 1] for p in points]
    return [_round(c) for c in least_squares(columns, [p.ns - register for p in points])]


def _mux_area(points: Sequence[Point]) -> float:
    return _round(max(p.luts / (p.bits * (p.ways - 1)) for p in points))


def _round(value: float) -> float:
    return round(value, 4)


def predict(m: DelayModel, point: Point) -> float:
    """What the model says the period of the point's circuit is, in ns."""
    fixed = {"ram_read": m.ram_read_ns, "ram_address": m.ram_address_ns}

    def step(kind: str) -> float:
        if kind == "mux":
            return m.mux(point.ways, point.bits)
        return fixed[kind] if kind in fixed else m.delay(kind, point.bits)

    return m.register_ns + sum(step(kind) for kind in CHAINS.get(point.kind, (point.kind,)))


def errors(content: dict[str, Any]) -> list[tuple[Point, float]]:
    """Each stored point with (model - measured) / measured; without kinds that are estimates."""
    m = model(content)
    points = [Point.load(p) for p in content["points"]]
    guessed = set(content["estimates"])
    points = [p for p in points if p.kind != "register"]
    measured = [p for p in points if not guessed & set(CHAINS.get(p.kind, (p.kind,)))]
    return [(p, predict(m, p) / p.ns - 1) for p in measured]
