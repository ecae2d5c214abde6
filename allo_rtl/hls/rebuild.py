"""Functions with operations of their regions replaced, kept where nothing becomes slower."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from allo_rtl.errors import BuildError
from allo_rtl.hls.control import (
    Branch,
    Control,
    FunctionControl,
    Pipelined,
    Repeat,
    Sequential,
    Straight,
    Together,
    regions,
)
from allo_rtl.hls.dependences import pipelined_edges, straight_edges
from allo_rtl.hls.node import Kind, Node, with_operands
from allo_rtl.hls.op_schedule import OpSchedule
from allo_rtl.hls.region import Region


class Timed(Protocol):
    """A function with its schedules."""

    @property
    def control(self) -> FunctionControl:
        """Its control tree, as it was scheduled."""

    @property
    def schedules(self) -> Mapping[Region, OpSchedule]:
        """The operation schedule of every region."""


type Rebuilt = tuple[Region, Mapping[Node, Node]]
"""A region with some of its operations replaced, and what each of its nodes became."""


def kept[T: Timed, X](
    plain: T,
    control: FunctionControl,
    found: Mapping[Region, X],
    rebuilt: Callable[[Region, X], Rebuilt],
    time: Callable[[FunctionControl], T],
    is_better: Callable[[T], bool] = lambda _: True,
) -> tuple[T, FunctionControl, Mapping[Region, X]]:
    """A function with changes wherever they make nothing slower, what was scheduled, and which.

    Args:
        plain: the function as scheduled without.
        control: what was scheduled.
        found: what is to change in each region.
        rebuilt: makes a region with its change.
        time: schedules a control tree.
        is_better: whether the result is worth it.
    """
    while found:
        changed = with_regions(control, {r: rebuilt(r, x) for r, x in found.items()})
        try:
            timed = time(changed)
        except BuildError:  # an interval that was asked for is not kept
            break
        late = _slower(control, plain, changed, timed) & found.keys()
        if not late and is_better(timed):
            return timed, changed, found
        if not late:
            break
        found = {region: x for region, x in found.items() if region not in late}
    return plain, control, {}


def _slower(
    control: FunctionControl, plain: Timed, changed: FunctionControl, timed: Timed
) -> set[Region]:
    """The regions of ``control`` that became slower by the change."""
    whole, depth = _flat_loops(plain.control), _flat_loops(timed.control)
    found = set()
    for old, new in zip(regions(control.body), regions(changed.body), strict=True):
        before, after = plain.schedules[old.region], timed.schedules[new.region]
        worse = (
            after.length > before.length
            if before.ii is None or after.ii is None
            else after.ii > before.ii or depth[new.region] < whole[old.region]
        )
        if worse:
            found.add(old.region)
    return found


def _flat_loops(control: FunctionControl) -> dict[Region, int]:
    """How many loops of each nest are flattened."""
    pieces = regions(control.body)
    return {p.region: len(p.counters) if isinstance(p, Pipelined) else 0 for p in pieces}


def with_regions(control: FunctionControl, changed: Mapping[Region, Rebuilt]) -> FunctionControl:
    """A function with other regions in the place of some."""
    nodes: dict[Node, Node] = {}
    for _, made in changed.values():
        nodes |= made

    def tree(controls: Sequence[Control]) -> tuple[Control, ...]:
        return tuple(one(c) for c in controls)

    def one(control: Control) -> Control:
        match control:
            case Straight(region=region) | Pipelined(region=region):
                return replace(control, region=changed[region][0]) if region in changed else control
            case Sequential(body=body):
                return replace(control, body=tree(body))
            case Branch(then=then, orelse=orelse):
                return replace(control, then=tree(then), orelse=tree(orelse))
            case Repeat(before=before, body=body):
                return replace(control, before=tree(before), body=tree(body))
            case Together(branches=branches):
                return Together(tuple(tree(b) for b in branches))
        return control

    defined = {value: nodes.get(node, node) for value, node in control.defined.items()}
    return replace(control, body=tree(control.body), defined=defined)


type Joint = tuple[Sequence[Node], Sequence[Node]]
"""Nodes that are replaced together, and those that have to be there for it."""


def rebuilt(
    region: Region,
    joint: Mapping[Node, Joint],
    make: Callable[[Node, Mapping[Node, Node]], Sequence[Node]],
) -> Rebuilt:
    """A region with sets of nodes replaced.

    Args:
        region: the region.
        joint: of each node that is replaced, its set and what that needs.
        make: what takes the place of each node of a set, asked by any of them, when it is known
            what has become of all that the set needs.
    """
    new: dict[Node, Node] = {}
    todo = list(reversed(region.nodes()))
    while todo:  # all nodes of a set come where the first is needed
        node = todo[-1]
        needed = joint[node][1] if node in joint else node.operands
        missing = [n for n in needed if n not in new]
        if node in new or not missing:
            todo.pop()
        if node in new:
            continue
        if missing:
            todo.extend(missing)
        elif node in joint:
            new.update(zip(joint[node][0], make(node, new), strict=True))
        else:
            new[node] = _simplest(with_operands(node, tuple(new[o] for o in node.operands)))
    carried = {n: (new[source], far) for n, (source, far) in region.carried.items()}
    outputs = {value: new[node] for value, node in region.outputs.items()}
    sinks = tuple(dict.fromkeys(new[n] for n in region.sinks))
    return replace(region, sinks=sinks, outputs=outputs, carried=carried), new


def _simplest(node: Node) -> Node:
    """The node, or what it chooses whatever its condition: operations that became one."""
    match node.kind, node.operands:
        case Kind.SELECT, (_, a, b) if a is b and a.type == node.type:
            return a
    return node


def before_in_iteration(
    piece: Straight | Pipelined, nodes: Sequence[Node]
) -> dict[Node, list[Node]]:
    """What has to come before each node in an iteration: its operands, and of accesses, events
    and operations on streams those that it has to follow."""
    if isinstance(piece, Pipelined):
        loops = [c.loop for c in piece.counters]
        edges = pipelined_edges(nodes, loops, loops[0])
    else:
        edges = straight_edges(nodes)
    before = {n: list(n.operands) for n in nodes}
    for edge in edges:
        if not edge.distance:
            before[edge.dst].append(edge.src)
    return before
