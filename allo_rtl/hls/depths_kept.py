"""Registers that processes keep from run to run, where what is in them does not depend on data.

Where runs overlap, each task counts which copy of an array its run works on
(:mod:`allo_rtl.hls.run_turns`), and so which ports it uses.  After a reset that is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from allo_rtl.hls.control import Invoke, Parallel, Straight, flatten, regions
from allo_rtl.hls.design import Design, FunctionDesign
from allo_rtl.hls.fold import known
from allo_rtl.hls.node import Kind, Node
from allo_rtl.hls.storage import StorageKind
from allo_rtl.ir.ops import Value

type Words = Mapping[Value, int]
"""What is in each register."""

_LONGEST = 64
"""Runs after which all registers have to be as at first."""


@dataclass(frozen=True, eq=False)
class _Kept:
    """The registers of one function, with the node that makes what is stored at the end."""

    function: FunctionDesign
    stored: Mapping[Value, Node]

    def number(self, node: Node, words: Words) -> int | None:
        """The number of a node in a run that starts with some words."""

        def leaf(node: Node) -> int | None:
            if node.kind is Kind.REG_READ and node.bank is not None:
                return words.get(node.bank.array)
            made = self.function.control.defined.get(node.source) if node.source else None
            return None if made is None else self.number(made, words)

        return known(node, leaf)

    def after(self, words: Words) -> dict[Value, int]:
        """What is in the registers after a run, as far as it is known."""
        new = {array: self.number(node, words) for array, node in self.stored.items()}
        return {array: word for array, word in new.items() if word is not None}

    def values(self, words: Words) -> dict[Value, int]:
        """The values that follow from them."""
        defined = self.function.control.defined.items()
        found = {value: self.number(node, words) for value, node in defined}
        return {value: number for value, number in found.items() if number is not None}


def known_values(design: Design) -> list[Mapping[str, Mapping[Value, int]]]:
    """The values that are known in each process of the top, for each run of a period.

    Returns:
        By the name of the function, in the first, second ... run after a reset; then they are as in
        the first.  One run in which nothing is known where runs do not overlap, for then a run may
        start at any time; and where there is no short period.
    """
    kept = [k for f in _once(design) if (k := _kept(f)).stored] if design.runs > 1 else []
    first = [{a: k.function.control.storage[a].word(0, 0) for a in k.stored} for k in kept]
    found, words = list[Mapping[str, Mapping[Value, int]]](), list(first)
    while len(found) < _LONGEST:
        found.append({k.function.name: k.values(w) for k, w in zip(kept, words, strict=True)})
        words = [k.after(w) for k, w in zip(kept, words, strict=True)]
        if words == first:
            return found
    return [{}]


def _once(design: Design) -> list[FunctionDesign]:
    """The functions of which a run of the design is one run: processes of the top alone."""
    calls = [
        (f is design.top, call.callee)
        for f in design.functions for part in flatten(f.control.body)
        for call in (part.calls if isinstance(part, Parallel) else ())
    ]  # fmt: skip
    invoked = {
        part.call.callee
        for f in design.functions for part in flatten(f.control.body) if isinstance(part, Invoke)
    }  # fmt: skip
    inside = {name for is_top, name in calls if not is_top} | invoked
    names = dict.fromkeys(name for is_top, name in calls if is_top and name not in inside)
    return [design.function(name) for name in names]


def _kept(function: FunctionDesign) -> _Kept:
    """The registers that a function reads at first and stores to once, at the end of each run."""
    accesses: dict[Value, list[tuple[int | None, Node]]] = {}
    for place, node in _register_accesses(function):
        assert node.bank is not None
        accesses.setdefault(node.bank.array, []).append((place, node))
    stored: dict[Value, Node] = {}
    for array, uses in accesses.items():
        storage = function.control.storage[array]
        writes = [(place, n) for place, n in uses if n.kind is Kind.REG_WRITE]
        if not storage.stateful or storage.layout.banks != 1 or len(writes) != 1:
            continue
        ((at, write),) = writes
        enable = write.operands[-1]
        if at is None or not (enable.is_const and enable.value):
            continue
        if all(n is write or _is_before(place, n, at, write) for place, n in uses):
            stored[array] = write.operands[0]
    return _Kept(function, stored)


def _is_before(place: int | None, node: Node, at: int, write: Node) -> bool:
    return place is not None and (place, node.order) < (at, write.order)


def _register_accesses(function: FunctionDesign) -> Iterator[tuple[int | None, Node]]:
    """Each access to a register, and which of the controls it is in; None when not once in it."""
    for place, control in enumerate(function.control.body):
        once = place if isinstance(control, Straight) else None
        for piece in regions([control]):
            for node in piece.region.nodes():
                if node.kind in (Kind.REG_READ, Kind.REG_WRITE):
                    assert node.bank is not None
                    if function.control.storage[node.bank.array].kind is StorageKind.REGISTERS:
                        yield once, node
