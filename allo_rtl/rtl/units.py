"""Arithmetic units: what a node becomes in Amaranth.

A combinational node is an expression.  Multipliers and dividers with a latency are pipelines that
take operands every cycle; they have no enable and no reset.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Protocol

from amaranth.hdl import Cat, Const, Module, Mux, ShapeLike, Signal, Value, signed, unsigned

from allo_rtl.hls.node import WITH_REST, Kind, Node
from allo_rtl.hls.operators import Unit, limb_offsets
from allo_rtl.hls.widths import Shape
from allo_rtl.rtl.names import marked


class Namer(Protocol):
    """Makes the signals of a unit."""

    def signal(self, shape: ShapeLike, base: str, *, reset_less: bool = False) -> Signal:
        """A signal whose name begins with ``base``, at the line of what is built."""


def shape_of(shape: Shape) -> ShapeLike:
    """The Amaranth shape."""
    return signed(shape.width) if shape.signed else unsigned(shape.width)


def combinational(node: Node, operands: list[Value], width: int) -> Value:
    """The expression of a node with latency 0; ``width`` is its result's, in bits."""
    match node.kind:
        case Kind.ADD:
            return operands[0] + operands[1]
        case Kind.SUB:
            return operands[0] - operands[1]
        case Kind.MUL:
            return operands[0] * operands[1]
        case Kind.AND:
            return operands[0] & operands[1]
        case Kind.OR:
            return operands[0] | operands[1]
        case Kind.XOR:
            return operands[0] ^ operands[1]
        case Kind.EQ:
            return operands[0] == operands[1]
        case Kind.NE:
            return operands[0] != operands[1]
        case Kind.LT:
            return operands[0] < operands[1]
        case Kind.LE:
            return operands[0] <= operands[1]
        case Kind.GT:
            return operands[0] > operands[1]
        case Kind.GE:
            return operands[0] >= operands[1]
        case Kind.MIN:
            return Mux(operands[0] < operands[1], operands[0], operands[1])
        case Kind.MAX:
            return Mux(operands[0] > operands[1], operands[0], operands[1])
        case Kind.SELECT:
            return Mux(operands[0], operands[1], operands[2])
        case Kind.CAST:
            return operands[0]
        case Kind.SHL | Kind.SHR:
            return _shift(node, operands[0], operands[1], width)
    raise AssertionError(f"{node.kind} has no expression")


def _shift(node: Node, value: Value, amount: Value, width: int) -> Value:
    """A shift by an amount read as unsigned; amounts of the type's width or more shift all out."""
    bits, distance = node.type.bits, node.operands[1]
    if distance.is_const:
        return _shift_by(node.kind, value, distance.value & ((1 << distance.type.bits) - 1), bits)
    reach = (bits - 1).bit_length()
    raw = amount.as_unsigned()
    short = raw[:reach]
    # A negative amount of a signed type is a large unsigned one: all bits above count.
    beyond = raw[reach:].any() if len(raw) > reach else Const(0)
    if amount.shape().signed:
        beyond = beyond | amount[-1]  # also where the amount is narrower than its type
    if distance.range[0] >= 0 and distance.range[1] < bits:
        beyond = Const(0)
    elif bits & (bits - 1):
        beyond = beyond | (short >= bits)
    if node.kind is Kind.SHL:
        return Mux(beyond, 0, (value << short)[:width])
    fill = Mux(value[-1], -1, 0) if value.shape().signed else Const(0)
    return Mux(beyond, fill, value >> short)


def _shift_by(kind: Kind, value: Value, by: int, bits: int) -> Value:
    if kind is Kind.SHL:
        return value.shift_left(by) if by < bits else Const(0)
    if value.shape().signed:
        return value.shift_right(min(by, len(value) - 1))
    return value.shift_right(by) if by < len(value) else Const(0)


def multiply(m: Module, unit: Unit, a: Value, b: Value, width: int, name: Namer) -> Value:
    """A multiplier of ``unit.latency`` cycles: the low ``width`` bits of the product, or more."""
    if not unit.latency:
        return a * b
    if unit.limb and min(len(a), len(b)) >= width:  # the low bits do not depend on signs
        a, b = a[:width], b[:width]
    left = unit.latency - 1
    if unit.input_register:
        a, b = registered(m, a, name, "factor"), registered(m, b, name, "factor")
        left -= 1
    terms: list[_Term] = [
        (registered(m, x * y, name, "product"), at)
        for x, y, at in _limb_pairs(a, b, unit.limb, width)
    ]
    terms.sort(key=lambda term: -term[1])
    while left > 0:
        sums = [reduce(_sum, terms[k : k + 2]) for k in range(0, len(terms), 2)]
        terms = [(registered(m, _cut(s, width - at), name, "sum"), at) for s, at in sums]
        left -= 1
    total, _ = reduce(_sum, terms)
    return total


type _Term = tuple[Value, int]
"""A number and the place of its lowest bit in the product."""


def _cut(value: Value, width: int) -> Value:
    return value[:width] if len(value) > width else value


def _sum(high: _Term, low: _Term) -> _Term:
    """The sum of two terms; bits of the lower one below the other's pass by the adder."""
    (a, at), (b, least) = high, low
    below = at - least
    if not below or len(b) <= below:
        return a.shift_left(below) + b, least
    rest = b[below:].as_signed() if b.shape().signed else b[below:]
    total = a + rest
    joined = Cat(b[:below], total)
    return (joined.as_signed() if total.shape().signed else joined), least


def registered(m: Module, value: Value, name: Namer, base: str) -> Signal:
    """A value a cycle later."""
    register = name.signal(value.shape(), base, reset_less=True)
    m.d.sync += register.eq(marked(value, register))
    return register


def _limb_pairs(a: Value, b: Value, limb: int, width: int) -> list[tuple[Value, Value, int]]:
    """(piece of a, piece of b, place of their product) for products below ``width``."""
    return [
        (x, y, i + j)
        for i, x in _limbs(a, limb)
        for j, y in _limbs(b, limb)
        if i + j < width
    ]


def _limbs(value: Value, limb: int) -> list[tuple[int, Value]]:
    """Pieces of a number; all but the topmost are unsigned, and that has the number's sign."""
    *low, top = limb_offsets(len(value), limb)
    last = value[top:].as_signed() if value.shape().signed else value[top:]
    return [*((at, value[at : at + limb]) for at in low), (top, last)]


@dataclass(frozen=True)
class Divided:
    """What a divider has before its last cycle: magnitudes of the quotient and of what is left,
    the divisor, flags (signs of both operands, division by zero) and the dividend itself."""

    quotient: Value
    rest: Value
    divisor: Value
    flags: Value
    raw: Value


def divide(
    m: Module, node: Node, unit: Unit, a: Value, b: Value, begin: Value, name: Namer
) -> Value:
    """A restoring divider; see BinaryKind for the meaning of each kind."""
    return finished(m, node, divider(m, unit, a, b, begin, name), name)


def finished(m: Module, node: Node, divided: Divided, name: Namer) -> Value:
    """The last cycle of a division, which puts the signs back."""
    if node.kind not in WITH_REST.values():
        return registered(m, _signed_result(node.kind, divided), name, "result")
    [alone] = [kind for kind, both in WITH_REST.items() if both is node.kind]
    halves = [name.signal(signed(node.type.bits // 2), "half") for _ in range(2)]
    for half, kind in zip(halves, (alone, Kind.REM), strict=True):
        m.d.comb += half.eq(_signed_result(kind, divided))
    return registered(m, Cat(*halves), name, "result")


def divider(m: Module, unit: Unit, a: Value, b: Value, begin: Value, name: Namer) -> Divided:
    """All of a restoring divider but its last cycle.

    One cycle takes absolute values, then each stage makes ``unit.steps`` quotient bits.  An
    iterative one has a single stage, which takes operands in the cycles in which ``begin`` is 1
    and must not be given others until it is done.
    """
    if unit.iterative:
        return _divide_in_turn(m, unit, a, b, begin, name)
    size = max(len(a), len(b))
    num: Value = _magnitude(m, a, size, name, "dividend")
    den: Value = _magnitude(m, b, size, name, "divisor")
    flags: Value = registered(m, Cat(_sign(a), _sign(b), b == 0), name, "signs")
    raw: Value = registered(m, a, name, "raw")
    rest: Value = Const(0, size)
    done = 0
    while done < size:
        count = min(unit.steps, size - done)
        quotient, rest = _divide_steps(m, num, rest, den, count, name)
        num, rest = registered(m, quotient, name, "quotient"), registered(m, rest, name, "rest")
        den, flags = registered(m, den, name, "divisor"), registered(m, flags, name, "signs")
        raw = registered(m, raw, name, "raw")
        done += count
    return Divided(num, rest, den, flags, raw)


def _divide_in_turn(
    m: Module, unit: Unit, a: Value, b: Value, begin: Value, name: Namer
) -> Divided:
    size, stages = max(len(a), len(b)), unit.latency - 2

    def register(shape: ShapeLike, base: str) -> Signal:
        return name.signal(shape, base, reset_less=True)

    # Leading zeros make the dividend a whole number of stages long.
    num, rest = register(stages * unit.steps, "quotient"), register(size, "rest")
    den, flags, raw = register(size, "divisor"), register(3, "signs"), register(a.shape(), "raw")
    more, left = _divide_steps(m, num, rest, den, unit.steps, name)
    with m.If(begin):
        m.d.sync += [
            num.eq(_absolute(a)), rest.eq(0), den.eq(_absolute(b)), raw.eq(a),
            flags.eq(Cat(_sign(a), _sign(b), b == 0)),
        ]
    with m.Else():
        m.d.sync += [num.eq(more), rest.eq(left)]
    return Divided(num[:size], rest, den, flags, raw)


def _sign(value: Value) -> Value:
    return value[-1] if value.shape().signed else Const(0)


def _absolute(value: Value) -> Value:
    return Mux(value[-1], -value, value) if value.shape().signed else value


def _magnitude(m: Module, value: Value, size: int, name: Namer, base: str) -> Signal:
    register = name.signal(size, base, reset_less=True)
    m.d.sync += register.eq(_absolute(value))
    return register


def _divide_steps(
    m: Module, num: Value, rest: Value, den: Value, count: int, name: Namer
) -> tuple[Value, Value]:
    """``count`` steps: the quotient grows at the low end of ``num`` as its high end is used."""
    size = len(rest)
    for _ in range(count):
        # Signals, not expressions: each is used twice, and would double with every step.
        shifted = name.signal(size + 1, "shifted")
        difference = name.signal(size + 2, "difference")
        kept = name.signal(size, "kept")
        m.d.comb += [shifted.eq(Cat(num[-1], rest)), difference.eq(shifted - den)]
        used = name.signal(len(num), "used")
        enough = ~difference[-1]
        m.d.comb += [kept.eq(Mux(enough, difference, shifted)), used.eq(Cat(enough, num[:-1]))]
        num, rest = used, kept
    return num, rest


def _signed_result(kind: Kind, divided: Divided) -> Value:
    quotient, rest = divided.quotient, divided.rest
    num_neg, den_neg, by_zero = divided.flags[0], divided.flags[1], divided.flags[2]
    if kind is Kind.REM:
        return Mux(by_zero, divided.raw, Mux(num_neg, -rest, rest))
    opposite = num_neg ^ den_neg
    truncated = Mux(opposite, -quotient, quotient)
    if kind is Kind.FLOORDIV:
        truncated = truncated - (opposite & rest.any())
    return Mux(by_zero, -1, truncated)
