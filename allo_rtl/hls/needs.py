"""When the result of an operation is needed: the conditions on which an iteration uses it.

Both sides of an ``if`` are computed, and a choice takes one of them.  So what is computed for one
side is needed only where the condition holds: a choice needs one of its operands, a write its data
only when it is enabled.  Two operations of which an iteration never needs both can have one unit
(Wakabayashi and Yoshimura, "A resource sharing and control synthesis method for conditional
branches", ICCAD 1989).

A need is a sum of products of literals, as sets.  That two needs exclude each other is proved: by
a literal and its contrary, or because no numbers meet the comparisons of both.  Such a proof must
hold also for what is not needed itself, and may be anything once units are shared: of results of
operations that may be so nothing counts but their types.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from allo_rtl.hls.node import (
    COMPARISONS,
    DIVISIONS,
    EVENTS,
    STREAMS,
    Kind,
    Node,
    fits,
    full_range,
)
from allo_rtl.hls.ranges import result_range
from allo_rtl.ir import polyhedra
from allo_rtl.ir.affine import AffineExpr, Interval
from allo_rtl.ir.ops import Value

type Literal = tuple[Node, bool]
"""A bit, and what it is."""
type Cube = frozenset[Literal]
"""Literals that all hold."""
type Need = frozenset[Cube]
"""Cubes of which one holds at least, wherever the result is used."""

NEVER: Need = frozenset()
ALWAYS: Need = frozenset({frozenset()})

_MOST_CUBES = 4
"""Needs of more cubes are taken for larger ones: what all of their cubes have in common."""
_MOST_LITERALS = 12
"""Of longer cubes some literals are left out, which makes the need larger."""

_WRITES = frozenset({Kind.WRITE, Kind.REG_WRITE, Kind.PUT, *EVENTS})
"""What uses its operands only when the last one is 1."""
_EXACT = frozenset({Kind.READ, Kind.REG_READ, Kind.CARRIED, *STREAMS})
"""What has a right result in every iteration."""
_SIGNS = {
    Kind.EQ: "=", Kind.NE: "!=", Kind.LT: "<", Kind.LE: "<=", Kind.GT: ">", Kind.GE: ">=",
}  # fmt: skip
_CONTRARY = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def needs(nodes: Sequence[Node], results: Iterable[Node]) -> dict[Node, Need]:
    """The need of each node of a region.

    Args:
        nodes: all nodes, operands first.
        results: the nodes that are used outside, or in a later iteration.
    """
    found = dict.fromkeys(nodes, NEVER)
    found |= dict.fromkeys(results, ALWAYS)
    for node in reversed(nodes):
        # A read has an address in every iteration, and takes its turn at a port.
        acts = node.kind in _WRITES or node.kind is Kind.READ or node.stream
        own = ALWAYS if acts else found[node]
        for operand, when in _uses(node):
            found[operand] = _either(found[operand], _both(own, when))
    return found


def _uses(node: Node) -> Iterator[tuple[Node, Literal | None]]:
    """The operands of a node, each with what has to hold for it to be used."""
    match node.kind:
        case Kind.SELECT:
            condition, if_true, if_false = node.operands
            yield condition, None
            yield if_true, (condition, True)
            yield if_false, (condition, False)
        case kind if kind in _WRITES:
            *given, enable = node.operands
            yield enable, None
            yield from ((operand, (enable, True)) for operand in given)
        case Kind.AND if _is_bit(node.operands[0]) and _is_bit(node.operands[1]):
            first, second = node.operands
            yield first, None
            yield second, (first, True)
        case _:
            yield from ((operand, None) for operand in node.operands)


def _is_bit(node: Node) -> bool:
    return node.range[0] >= 0 and node.range[1] <= 1


def literals(node: Node, holds: bool) -> Cube | None:
    """What follows from a bit's being 1 (``holds``) or 0; None where it never is."""
    match node.kind:
        case Kind.CONST:
            return frozenset() if bool(node.value) == holds else None
        case Kind.XOR if all(map(_is_bit, node.operands)) and node.operands[1].is_const:
            return literals(node.operands[0], holds != bool(node.operands[1].value))
        case Kind.CAST if _is_bit(node.operands[0]):
            return literals(node.operands[0], holds)
        case Kind.AND | Kind.OR if all(map(_is_bit, node.operands)):
            if holds == (node.kind is Kind.AND):
                parts = [literals(o, holds) for o in node.operands]
                known = [p for p in parts if p is not None]
                return _joined(*known) if len(known) == len(parts) else None
        case Kind.EQ | Kind.NE if all(map(_is_bit, node.operands)) and node.operands[1].is_const:
            same = node.operands[1].value == 1
            return literals(node.operands[0], holds == (same == (node.kind is Kind.EQ)))
    return frozenset({(node, holds)})


def contrary(a: Cube, b: Cube) -> Cube:
    """The literals of a cube whose contraries are in another one."""
    return frozenset([(node, holds) for node, holds in a if (node, not holds) in b])


def _joined(*cubes: Cube) -> Cube | None:
    """All literals of cubes; None where two of them are contrary."""
    cube = frozenset().union(*cubes)
    return None if contrary(cube, cube) else cube


def _both(need: Need, when: Literal | None) -> Need:
    """A need where something holds as well."""
    if when is None:
        return need
    condition = literals(*when)
    if condition is None:
        return NEVER
    cubes = (_joined(cube, condition) for cube in need)
    return frozenset(_short(cube) for cube in cubes if cube is not None)


def _short(cube: Cube) -> Cube:
    if len(cube) <= _MOST_LITERALS:
        return cube
    return frozenset(sorted(cube, key=lambda literal: literal[0].serial)[:_MOST_LITERALS])


def _either(a: Need, b: Need) -> Need:
    """The need of what two users need."""
    if a == b:
        return a
    cubes = a | b
    least = frozenset(c for c in cubes if not any(other < c for other in cubes))
    if len(least) <= _MOST_CUBES:
        return least
    return frozenset({frozenset.intersection(*least)})


class Exclusion:
    """Decides whether two needs exclude each other, and remembers what it found."""

    def __init__(self) -> None:
        self._known: dict[Cube, bool] = {}
        self._values: dict[Node, Value] = {}
        self._nodes: dict[Value, Node] = {}
        self._ranges: dict[Node, Interval] = {}
        self._exprs: dict[Node, AffineExpr] = {}

    def apart(self, a: Need, b: Need) -> bool:
        """Whether it is certain that in no iteration both hold."""
        return all(contrary(x, y) or self.is_empty(x | y) for x in a for y in b)

    def is_empty(self, cube: Cube) -> bool:
        """Whether it is certain that the literals of a cube never hold together."""
        if contrary(cube, cube):
            return True
        numbers = frozenset(x for x in cube if x[0].kind in COMPARISONS)
        if len(numbers) < 2:
            return False
        if numbers not in self._known:
            self._known[numbers] = self._has_no_point(numbers)
        return self._known[numbers]

    def _has_no_point(self, cube: Cube) -> bool:
        """Whether no numbers are as a cube's comparisons say."""
        texts, values = [], dict[Value, Node]()
        for node, holds in sorted(cube, key=lambda literal: literal[0].serial):
            sign = _SIGNS[node.kind]
            sides = [self._expression(o) for o in node.operands]
            values |= {v: self._nodes[v] for side in sides for v in sorted(side.values, key=_age)}
            texts.append((sides[0], sign if holds else _CONTRARY[sign], sides[1]))
        names = {v: f"x{k}" for k, v in enumerate(values)}
        constraints = [
            f"{polyhedra.text(a, names)} {sign} {polyhedra.text(b, names)}" for a, sign, b in texts
        ]
        constraints += [
            f"{low} <= {names[v]} <= {high}"
            for v, node in values.items()
            for low, high in [self._surely(node)]
        ]
        return bool(polyhedra.points(list(names.values()), constraints).is_empty())

    def _expression(self, node: Node) -> AffineExpr:
        """A node's number, over those of nodes that are no affine expressions."""
        if node not in self._exprs:
            self._exprs[node] = self._affine(node)
        return self._exprs[node]

    def _affine(self, node: Node) -> AffineExpr:
        match node.kind:
            case Kind.CONST:
                return AffineExpr.constant(node.value)
            case Kind.CAST if fits(self._surely(node.operands[0]), node.type):
                return self._expression(node.operands[0])
            case Kind.ADD | Kind.SUB if self._is_exact(node):
                a, b = map(self._expression, node.operands)
                return a + b if node.kind is Kind.ADD else a - b
            case Kind.MUL | Kind.SHL if node.operands[1].is_const and self._is_exact(node):
                by = node.operands[1].value
                factor = by if node.kind is Kind.MUL else 1 << by
                return self._expression(node.operands[0]) * factor
        if node not in self._values:
            self._values[node] = value = Value(node.type)
            self._nodes[value] = node
        return AffineExpr.of(self._values[node])

    def _is_exact(self, node: Node) -> bool:
        """Whether a sum, a difference or a multiple never wraps around."""
        (a, b), (c, d) = map(self._surely, node.operands)
        match node.kind:
            case Kind.ADD:
                ends = a + c, b + d
            case Kind.SUB:
                ends = a - d, b - c
            case Kind.MUL:
                ends = min(a * c, b * c), max(a * c, b * c)
            case _:
                if not 0 <= c < node.type.bits:
                    return False
                ends = a << c, b << c
        return fits(ends, node.type)

    def _surely(self, node: Node) -> Interval:
        """Between which numbers a node's is, whatever those are that are not needed."""
        if not node.operands or node.kind in _EXACT:
            return node.range
        if node.kind is Kind.MUL and not any(o.is_const for o in node.operands):
            return full_range(node.type)
        if node.kind in DIVISIONS or node.float is not None:
            return full_range(node.type)
        if node not in self._ranges:
            operands = [self._surely(o) for o in node.operands]
            self._ranges[node] = result_range(node.kind, node.type, operands)
        return self._ranges[node]


def _age(value: Value) -> int:
    return value.uid
