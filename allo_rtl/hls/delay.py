"""How long operations take and how much they occupy, by device family.

The numbers are data (``data/<family>.json``), fitted to place-and-route results by
``benchmarks/characterize.py`` or, where a file says ``"source": "estimate"``, set by hand.

One inequality is all a scheduler needs.  A path from one register to another fits when

    register_ns + [ram_read_ns] + delay(op 1) + delay(op 2) + ... + [ram_address_ns] <= period

with the RAM terms only when the path starts at the data of a RAM, or ends at its address, data
or enable.  Every ``delay`` holds the operation's logic and the wire that leads away from it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib import resources
from math import ceil, log2
from typing import Any

from allo_rtl.errors import BuildError

KINDS = ("add", "mul", "mul_low", "cmp", "eq", "logic", "shift", "select", "minmax")
"""Kinds of operation: add (also sub, neg), mul (whole product), mul_low (product as wide as its
operands, which is faster and smaller), cmp (<, <=, >, >=), eq (also !=), logic (and, or, xor, not;
one LUT), shift (by a variable amount), select (two-way), minmax."""


@dataclass(frozen=True)
class Segment:
    """``linear·bits + log·log2(bits) + constant`` for widths up to ``limit`` (None: all)."""

    limit: int | None
    linear: float
    log: float
    constant: float

    def at(self, bits: int) -> float:
        """The value at a width of ``bits`` >= 1."""
        return self.linear * bits + self.log * log2(bits) + self.constant


@dataclass(frozen=True)
class Area:
    """LUTs as ``linear·bits + loglinear·bits·log2(bits) + square·bits² + constant``."""

    limit: int | None
    linear: float
    loglinear: float
    square: float
    constant: float

    def at(self, bits: int) -> float:
        """The value at a width of ``bits`` >= 1."""
        curve = self.linear * bits + self.loglinear * bits * log2(bits) + self.square * bits**2
        return curve + self.constant


@dataclass(frozen=True)
class MuxDelay:
    """``ways·log2(ways) + bits·log2(bits) + constant``: tree depth and fan-out of the index."""

    ways: float
    bits: float
    constant: float


@dataclass(frozen=True)
class Multiplier:
    """A way to use the chip's multiplier blocks: operands of up to these widths cost ``blocks``.

    ``wide`` and ``narrow`` are widths of signed operands.
    """

    wide: int
    narrow: int
    blocks: int

    def fits(self, w1: int, w2: int) -> bool:
        """Whether a product of operands this wide is made at once."""
        return max(w1, w2) <= self.wide and min(w1, w2) <= self.narrow


@dataclass(frozen=True, eq=False)
class DelayModel:
    """Delays in ns and areas of one device family.

    Attributes:
        family: name of the family.
        source: "fitted" to place and route, or "estimate".
        estimates: kinds whose numbers are estimates although the rest is fitted, and why.
        register_ns: what any register-to-register path pays: clock to output, one wire, set-up.
        ram_read_ns: clock to data of a synchronous RAM read, beyond ``register_ns``.
        ram_address_ns: reaching a RAM's inputs instead of a register, beyond ``register_ns``.
        multipliers: the multiplier blocks, smallest first; none on some families.
        dsp_signed: blocks multiply signed operands only, so that unsigned pieces of a wide
            operand are one bit narrower.
        dsp_minimum: products of narrower operands, or with fewer bits, are made of LUTs:
            (operand bits, product bits).
        mux_luts_per_bit: LUTs of a multiplexer, per bit and way beyond the first.
        float_units: floating-point units whose latency others publish, by their names in
            ``float_timing.json``: (cycles, the shortest period in ns they were built for).  They
            register their operands first.
    """

    family: str
    source: str
    estimates: dict[str, str]
    register_ns: float
    ram_read_ns: float
    ram_address_ns: float
    multipliers: tuple[Multiplier, ...]
    dsp_signed: bool
    dsp_minimum: tuple[int, int]
    delays: dict[str, tuple[Segment, ...]]
    areas: dict[str, tuple[Area, ...]]
    mux_delay: MuxDelay
    mux_luts_per_bit: float
    float_units: dict[str, tuple[int, float]] = field(default_factory=dict)

    def delay(self, kind: str, bits: int) -> float:
        """Combinational ns of one operation of ``kind`` (see KINDS) on ``bits`` >= 1 bits.

        For "mul" and "mul_low" ``bits`` is the wider operand, and all is made in one go.
        """
        return _segment(self.delays, kind, bits).at(bits)

    def mux(self, ways: int, bits: int) -> float:
        """Combinational ns to choose one of ``ways`` words of ``bits`` bits by a binary index."""
        if ways < 2:
            return 0.0
        curve = self.mux_delay
        return curve.ways * log2(ways) + curve.bits * log2(bits) + curve.constant

    def mul_stage_ns(self, w1: int, w2: int) -> float:
        """Combinational ns of one partial product of a ``w1`` × ``w2`` multiplication.

        That is what remains of a multiplier cut into blocks, with registers before and behind
        each block and the sums made in later cycles.  Without blocks it is the whole product.
        Some families have the register behind it inside the block: "mul_stage".
        """
        block = self.multipliers[0].narrow if self.multipliers else max(w1, w2)
        kind = "mul_stage" if "mul_stage" in self.delays else "mul"
        return self.delay(kind, min(max(w1, w2), block))

    def luts(self, kind: str, bits: int) -> int:
        """LUTs of one operation of ``kind`` on ``bits`` bits (beside its multiplier blocks)."""
        return max(0, round(_segment(self.areas, kind, bits).at(bits)))

    def mux_luts(self, ways: int, bits: int) -> int:
        """LUTs to choose one of ``ways`` words of ``bits`` bits by a binary index."""
        return ceil(self.mux_luts_per_bit * (ways - 1) * bits) if ways > 1 else 0

    def dsps(self, w1: int, w2: int, result: int | None = None) -> int:
        """Multiplier blocks of a ``w1`` × ``w2`` product of which ``result`` low bits are used.

        ``result`` is ``w1 + w2`` unless given.  Operands wider than the largest block are cut;
        partial products that lie above ``result`` are not made.
        """
        width = w1 + w2 if result is None else result
        operand_bits, product_bits = self.dsp_minimum
        if not self.multipliers or min(w1, w2) < operand_bits or width < product_bits:
            return 0
        block = next((m for m in self.multipliers if m.fits(w1, w2)), self.multipliers[-1])
        first = _offsets(max(w1, w2), block.wide, self.dsp_signed)
        second = _offsets(min(w1, w2), block.narrow, self.dsp_signed)
        return block.blocks * sum(i + j < width for i in first for j in second)


def _offsets(width: int, block: int, signed: bool) -> range:
    """Lowest bits of the pieces of an operand of ``width`` bits cut for blocks of ``block``.

    The topmost piece may fill the block, also when the blocks are ``signed`` only.
    """
    step = block - signed
    return range(0, max(step, ceil((width - block) / step + 1) * step), step)


def _segment[S: (Segment, Area)](curves: dict[str, tuple[S, ...]], kind: str, bits: int) -> S:
    if kind not in curves:
        raise BuildError(f"unknown kind of operation {kind!r}", allowed=", ".join(KINDS))
    if bits < 1:
        raise BuildError(f"an operation of {bits} bits", allowed="1 bit or more")
    pieces = curves[kind]
    return next((p for p in pieces if p.limit is None or bits <= p.limit), pieces[-1])


def families() -> tuple[str, ...]:
    """Names of the families there are data for, in alphabetical order."""
    folder = resources.files("allo_rtl.hls") / "data"
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(n.removesuffix(".json") for n in names if n.endswith(".json")))


def data(family: str) -> dict[str, Any]:
    """The family's file as it is: coefficients, provenance and raw points.

    BuildError when there is none.
    """
    if family not in families():
        close = get_close_matches(family.lower(), families(), n=1, cutoff=0.4)
        raise BuildError(
            f"no delay model for family {family!r}",
            allowed=", ".join(families()),
            hint=f"did you mean {close[0]!r}?" if close else None,
        )
    path = resources.files("allo_rtl.hls") / "data" / f"{family}.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


@cache
def load(family: str) -> DelayModel:
    """The delay model of a family (one of :func:`families`); BuildError for another name."""
    return model(data(family))


def model(content: dict[str, Any]) -> DelayModel:
    """The delay model written down in the ``content`` of a data file."""
    operand_bits, product_bits = content["dsp_minimum"]
    return DelayModel(
        family=content["family"],
        source=content["source"],
        estimates=content["estimates"],
        register_ns=content["register_ns"],
        ram_read_ns=content["ram_read_ns"],
        ram_address_ns=content["ram_address_ns"],
        multipliers=tuple(Multiplier(*m) for m in content["multipliers"]),
        dsp_signed=content["dsp_signed"],
        dsp_minimum=(operand_bits, product_bits),
        delays={k: tuple(Segment(*s) for s in v) for k, v in content["delays"].items()},
        areas={k: tuple(Area(*s) for s in v) for k, v in content["luts"].items()},
        mux_delay=MuxDelay(*content["mux"]),
        mux_luts_per_bit=content["mux_luts_per_bit"],
        float_units={k: (n, ns) for k, (n, ns) in content.get("float_units", {}).items()},
    )
