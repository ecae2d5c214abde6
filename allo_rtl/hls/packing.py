"""Two products with a factor in common by one multiplier.

    (a + b·2^k) · x  =  a·x + b·x · 2^k

With ``k`` the bits of ``a·x`` the low product is the low ``k`` bits, and the high one what is above
them, and 1 more where the low one is negative and has borrowed.  The pass replaces both products
by ordinary nodes, so that widths, delays and hardware follow as for any others: an addition before
the multiplier (wires where ``a`` is never negative), and one behind it (nothing where ``a·x`` is
never negative).  It does so where the family would use a block for each product, and one has room
for both; never where an interval becomes longer, or a piece that runs once at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from allo_rtl.errors import SourceLoc
from allo_rtl.hls.control import FunctionControl, Pipelined, Straight, regions
from allo_rtl.hls.graph import Graph
from allo_rtl.hls.node import Kind, Node
from allo_rtl.hls.operators import Operators, product_of
from allo_rtl.hls.ranges import result_range
from allo_rtl.hls.rebuild import Joint, Rebuilt, Timed, before_in_iteration, kept, rebuilt
from allo_rtl.hls.region import Region
from allo_rtl.hls.widths import Shape, range_shape, shapes
from allo_rtl.ir.affine import Interval
from allo_rtl.ir.types import Int, UInt


@dataclass(frozen=True)
class Pair:
    """Two products ``low * shared`` and ``high * shared`` of a region.

    Attributes:
        products: the nodes that make them, the low one first.
        shared, low, high: the factors, without casts that lose nothing.
    """

    products: tuple[Node, Node]
    shared: Node
    low: Node
    high: Node

    @property
    def low_range(self) -> Interval:
        """The interval of the low product, exact: it is not wrapped to a type."""
        return _product_range(self.low.range, self.shared.range)

    @property
    def high_range(self) -> Interval:
        """That of the high product."""
        return _product_range(self.high.range, self.shared.range)

    @property
    def shift(self) -> int:
        """Where the high product begins: bits of the low one."""
        return range_shape(self.low_range).width

    @property
    def factor_range(self) -> Interval:
        """The interval of the two factors as one number."""
        (a, b), (c, d) = self.low.range, self.high.range
        return (c << self.shift) + a, (d << self.shift) + b

    @property
    def additions(self) -> int:
        """Additions before and behind the multiplier."""
        return (self.low.range[0] < 0) + (self.low_range[0] < 0)

    @property
    def locs(self) -> tuple[SourceLoc | None, SourceLoc | None]:
        """Where the products are in the source, the low one first."""
        return self.products[0].loc, self.products[1].loc


def _product_range(a: Interval, b: Interval) -> Interval:
    ends = [x * y for x in a for y in b]
    return min(ends), max(ends)


def packed[T: Timed](
    plain: T, control: FunctionControl, operators: Operators, time: Callable[[FunctionControl], T]
) -> tuple[T, tuple[Pair, ...]]:
    """A function with products packed wherever that makes nothing slower, and the pairs.

    Args:
        plain: the function as scheduled without.
        control: what was scheduled.
        operators: the units of the device.
        time: schedules a control tree.
    """
    found = {piece.region: pairs_of(piece, operators) for piece in regions(control.body)}
    found = {region: pairs for region, pairs in found.items() if pairs}
    timed, _, packs = kept(plain, control, found, packed_region, time)
    return timed, tuple(pair for pairs in packs.values() for pair in pairs)


# Which products


def pairs_of(piece: Straight | Pipelined, operators: Operators) -> list[Pair]:
    """The pairs of a region, of which no product is in two."""
    nodes = piece.region.nodes()
    sizes = shapes(nodes, piece.region.results)
    candidates = [n for n in nodes if _is_candidate(n, sizes, operators)]
    if len(candidates) < 2:
        return []
    levels = _levels(piece, nodes)
    if levels is None:
        return []
    waiting: dict[tuple[Node, int], list[Node]] = {}
    taken, found = set[Node](), list[Pair]()
    for node in candidates:
        pair = next(
            (
                pair
                for shared in map(_bare, node.operands)
                for other in waiting.get((shared, levels[node]), ())
                if other not in taken
                for pair in _in_one_block(other, node, shared, operators)
            ),
            None,
        )
        if pair is not None:
            taken.update(pair.products)
            found.append(pair)
            continue
        for shared in dict.fromkeys(map(_bare, node.operands)):
            waiting.setdefault((shared, levels[node]), []).append(node)
    return found


def _bare(node: Node) -> Node:
    """A node without casts that lose nothing."""
    while node.kind is Kind.CAST and node.operands[0].range == node.range:
        node = node.operands[0]
    return node


def _is_candidate(node: Node, sizes: Mapping[Node, Shape], operators: Operators) -> bool:
    """Whether a node is a product of whole numbers for which a multiplier block is used."""
    if node.kind is not Kind.MUL or any(o.is_const for o in node.operands):
        return False
    if any(sizes[o] != range_shape(o.range) for o in node.operands):
        return False
    return _halves(*product_of(node, sizes), operators) > 0


def _halves(a: Shape, b: Shape, result: int, operators: Operators) -> int:
    """Halves of multiplier blocks that a product takes; what is no half takes two."""
    model, signed = operators.model, a.signed or b.signed or operators.model.dsp_signed
    left, right = (s.width + (signed and not s.signed) for s in (a, b))
    half = max(left, right) <= operators.device.dsp_smaller_bits
    return model.dsps(left, right, result) * (1 if half else 2)


def _in_one_block(
    first: Node, second: Node, shared: Node, operators: Operators
) -> Iterator[Pair]:
    """The products packed in the order that takes fewest additions, if one block has room."""
    a, b = (_other(n, shared) for n in (first, second))
    either = [Pair((first, second), shared, a, b), Pair((second, first), shared, b, a)]
    for pair in sorted(either, key=lambda p: p.additions):
        width = pair.shift + range_shape(pair.high_range).width
        parts = range_shape(pair.factor_range), range_shape(shared.range)
        apart = sum(
            _halves(range_shape(f.range), parts[1], _bits(p), operators)
            for p, f in zip(pair.products, (pair.low, pair.high), strict=True)
        )
        if _halves(*parts, width, operators) == 2 < apart:
            yield pair


def _bits(product: Node) -> int:
    return range_shape(product.range).width


def _other(product: Node, shared: Node) -> Node:
    """The factor beside a shared one."""
    a, b = map(_bare, product.operands)
    return b if a is shared else a


def _levels(piece: Straight | Pipelined, nodes: Sequence[Node]) -> Mapping[Node, int] | None:
    """How many products there are, at most, on the ways to each node, itself included.

    Ways lead through operands, and from accesses to those that have to follow in the iteration.
    Of two products of one level neither needs the other, whatever else is packed.
    """
    before = before_in_iteration(piece, nodes)
    levels: dict[Node, int] = {}
    try:
        for node in TopologicalSorter(before).static_order():
            inside = max((levels[n] for n in before[node]), default=0)
            levels[node] = inside + (node.kind is Kind.MUL)
    except CycleError:
        return None
    return levels


# The pass


def packed_region(region: Region, pairs: Collection[Pair]) -> Rebuilt:
    """The region with its pairs packed, and what each of its nodes became."""
    pair_of = {product: pair for pair in pairs for product in pair.products}
    joint: dict[Node, Joint] = {
        product: (pair.products, (pair.low, pair.high, pair.shared))
        for product, pair in pair_of.items()
    }
    packer = _Packer()
    return rebuilt(region, joint, lambda node, new: packer.products(pair_of[node], new))


class _Packer:
    """Makes the nodes of packed products; pairs with the same two factors share their sum."""

    def __init__(self) -> None:
        self._graph = Graph()
        self._factors: dict[tuple[Node, Node, int], Node] = {}

    def products(self, pair: Pair, new: Mapping[Node, Node]) -> tuple[Node, Node]:
        """What takes the place of the low and of the high product."""
        graph, shift = self._graph, pair.shift
        factor, shared = self._factor(pair, new), new[pair.shared]
        loc = pair.locs[0]
        wide = Int(range_shape(factor.range).width + range_shape(shared.range).width + 1)
        both = graph.make(
            Kind.MUL, wide, graph.cast(factor, wide), graph.cast(shared, wide), loc=loc
        )
        negative = pair.low_range[0] < 0
        narrow = Int(shift) if negative else UInt(shift)
        low = Node(Kind.CAST, narrow, (both,), pair.low_range, loc=loc)
        by = graph.const(shift, wide)
        if not negative:
            high = Node(Kind.SHR, wide, (both, by), pair.high_range, loc=pair.locs[1])
        else:
            above = graph.make(Kind.SHR, wide, both, by)
            sign = graph.make(Kind.SHR, wide, both, graph.const(shift - 1, wide))
            borrowed = graph.make(Kind.AND, wide, sign, graph.const(1, wide))
            high = Node(Kind.ADD, wide, (above, borrowed), pair.high_range, loc=pair.locs[1])
        return _typed(low, pair.products[0]), _typed(high, pair.products[1])

    def _factor(self, pair: Pair, new: Mapping[Node, Node]) -> Node:
        """``low + high * 2**shift``."""
        graph, key = self._graph, (pair.low, pair.high, pair.shift)
        if key not in self._factors:
            type_ = Int(range_shape(pair.factor_range).width + 1)
            low, high = (graph.cast(new[n], type_) for n in (pair.low, pair.high))
            raised = graph.make(Kind.SHL, type_, high, graph.const(pair.shift, type_))
            kind = Kind.ADD if pair.low.range[0] < 0 else Kind.OR  # wires
            self._factors[key] = Node(
                kind, type_, (raised, low), pair.factor_range, loc=pair.locs[0]
            )
        return self._factors[key]


def _typed(node: Node, product: Node) -> Node:
    """A product's number, wrapped to the type it had."""
    if node.type == product.type:
        return node
    interval = result_range(Kind.CAST, product.type, [node.range])
    return Node(Kind.CAST, product.type, (node,), interval, loc=product.loc)
