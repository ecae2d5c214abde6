"""Multipliers that several operations of a function use in turn.

The regions of a function never run at the same time, and a region knows in which of its cycles an
operation takes its operands: operations on operands of the same widths in different regions, or
in different cycles of one, can have one multiplier.  Shared multipliers have a register inside,
so that no path leads from one user's operands to another user's results: neither loops of logic
nor paths that are never used come about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from allo_rtl.hls.node import Kind, Node
from allo_rtl.hls.op_schedule import OpSchedule
from allo_rtl.hls.operators import Product, Unit, product_of
from allo_rtl.hls.region import Region
from allo_rtl.hls.widths import Shape


@dataclass(frozen=True)
class SharedUnit:
    """One multiplier: which product it makes, how it is built, and its number among equals."""

    product: Product
    unit: Unit
    number: int


def sharers(
    pieces: Iterable[tuple[Sequence[Node], Mapping[Node, Shape], bool]],
    is_costly: Callable[[Product], bool],
) -> Mapping[Product, int]:
    """For each product that several operations can share a multiplier for: how many there are.

    Args:
        pieces: of each region its nodes, their shapes, and whether it is a pipelined loop, of
            which two operations may be needed in every cycle.
        is_costly: whether a product's multiplier is worth sharing.
    """
    operations, turns = Counter[Product](), Counter[Product]()
    for nodes, shapes, pipelined in pieces:
        here = Counter(product_of(n, shapes) for n in nodes if _is_product(n))
        operations += here
        turns += Counter(here.keys()) if pipelined else here
    wanted = [product for product, n in turns.items() if n > 1 and is_costly(product)]
    return {product: operations[product] for product in wanted}


def _is_product(node: Node) -> bool:
    return node.kind is Kind.MUL and not any(o.is_const for o in node.operands)


def assign(schedules: Mapping[Region, OpSchedule]) -> Mapping[Node, SharedUnit]:
    """The multiplier of every operation that shares one.

    In each region an operation takes the first multiplier that no other one has in its cycle
    (modulo the initiation interval).
    """
    found: dict[Node, SharedUnit] = {}
    for region, schedule in schedules.items():
        taken: set[tuple[SharedUnit, int]] = set()
        for node in region.nodes():
            unit, start = schedule.units[node], schedule.start[node]
            if not unit.shared:
                continue
            cycle = start % schedule.ii if schedule.ii else start
            product = product_of(node, schedule.shapes)
            choices = (SharedUnit(product, unit, number) for number in count())
            found[node] = next(c for c in choices if (c, cycle) not in taken)
            taken.add((found[node], cycle))
    return found
