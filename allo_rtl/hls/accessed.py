"""What the accesses of regions say about the hardware that they go to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from allo_rtl.hls.node import Bank, Kind, Node
from allo_rtl.hls.region import Region
from allo_rtl.ir.ops import Value


def port_inputs(
    all_regions: Sequence[Region], dual: Collection[Value] = frozenset()
) -> Counter[Bank]:
    """How many reads or writes of the function share each bank's port, at most."""
    reads, writes = Counter[Bank](), Counter[Bank]()
    for region in all_regions:
        for node in region.nodes():
            if node.bank is not None:
                found = reads if node.kind in (Kind.READ, Kind.REG_READ) else writes
                found[node.bank] += 1
    return Counter({
        b: reads[b] + writes[b] if b.array in dual else max(reads[b], writes[b])
        for b in reads | writes
    })  # fmt: skip


def stable_reads(nodes: Sequence[Node]) -> frozenset[Node]:
    """Reads of registers that the region does not write: there in every cycle."""
    written = {n.bank for n in nodes if n.kind is Kind.REG_WRITE}
    return frozenset(n for n in nodes if n.kind is Kind.REG_READ and n.bank not in written)
