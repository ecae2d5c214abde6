"""Random scheduling problems, and what a schedule must be to be right."""

from collections import Counter
from itertools import combinations

from hypothesis import strategies as st

from allo_rtl.hls.conflicts import apart
from allo_rtl.hls.node import Bank, Kind, Node, topological
from allo_rtl.hls.op_schedule import Edge, Problem
from allo_rtl.hls.operators import Division, Operators, Sharing
from allo_rtl.hls.widths import Shape, shapes
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import ArrayType, Int
from allo_rtl.target import device

WORD = Int(16)
RANGE = (WORD.min, WORD.max)
ARRAYS = tuple(Value(ArrayType(WORD, (8,)), name) for name in "AB")
UNARY = (Kind.READ, Kind.REG_WRITE)
BINARY = (Kind.ADD, Kind.SUB, Kind.MUL, Kind.MIN, Kind.XOR)


def node(kind, *operands, bank=None, order=0):
    """An operation on 16 bits."""
    return Node(kind, WORD, operands, RANGE, bank=bank, order=order, name=kind.value)


@st.composite
def problems(draw, most=9, memories=True, back=True):
    """A region of a few operations on a slow or a fast clock."""
    nodes = [node(Kind.COUNTER), node(Kind.REG_READ, bank=Bank(ARRAYS[0], 7))]
    kinds = [*BINARY, *([Kind.READ, Kind.WRITE, Kind.DIV] if memories else [])]
    for _ in range(draw(st.integers(1, most))):
        kind = draw(st.sampled_from(kinds))
        values = [n for n in nodes if n.kind is not Kind.WRITE]
        operands = [draw(st.sampled_from(values)) for _ in range(1 if kind is Kind.READ else 2)]
        bank = Bank(draw(st.sampled_from(ARRAYS)), 0) if kind in (Kind.READ, Kind.WRITE) else None
        if kind is Kind.WRITE:
            operands.append(Node(Kind.CONST, Int(1), (), (1, 1), value=1))
        nodes.append(node(kind, *operands, bank=bank, order=len(nodes)))
    edges = []
    if back and draw(st.booleans()):  # what a node made comes back in a later iteration
        source = draw(st.sampled_from([n for n in nodes if n.kind not in (Kind.WRITE,)]))
        nodes.append(node(Kind.CARRIED))
        nodes.append(node(Kind.ADD, nodes[-1], nodes[1]))
        edges.append(Edge(source, nodes[-2], 6, draw(st.integers(1, 3))))
    for _ in range(draw(st.integers(0, 3)) if back else 0):
        src, dst = draw(st.sampled_from(nodes)), draw(st.sampled_from(nodes[1:]))
        edges.append(Edge(src, dst, draw(st.integers(0, 2)), draw(st.integers(1, 3))))
    clock = draw(st.sampled_from([25.0, 80.0, 160.0]))
    chip = draw(st.sampled_from(["ecp5-85", "ultrascale+"]))
    dual = draw(st.sampled_from([(), ARRAYS[:1], ARRAYS]))
    multipliers = draw(st.sampled_from([0, 1, 2])) if memories else 0
    dividers = draw(st.sampled_from([0, 1, 2]))
    in_turn = draw(st.booleans())
    return problem_of(nodes, edges, clock, chip, frozenset(dual), multipliers, dividers, in_turn)


@st.composite
def tight_problems(draw):
    """Reads of one port that follow each other closely, also in later iterations."""
    count = draw(st.integers(2, 5))
    pairs = [(a, b) for a in range(count) for b in range(count) if a != b]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=8))
    edges = [
        (a, b, draw(st.integers(0, 3)), 0 if a < b else draw(st.integers(1, 2)))
        for a, b in chosen
    ]
    return competing_reads(count, edges, frozenset(draw(st.sampled_from([(), ARRAYS[:1]]))))


def competing_reads(count, edges, dual=frozenset()):
    """Reads of one port, or two, with edges (source, sink, delay, distance) between them."""
    bank = Bank(ARRAYS[0], 0)
    reads = [node(Kind.READ, node(Kind.CONST), bank=bank, order=k) for k in range(count)]
    made = [Edge(reads[a], reads[b], d, far) for a, b, d, far in edges]
    return problem_of(reads, made, dual=dual)


def reads_of(problem):
    """The reads of a problem, in their order."""
    return sorted((n for n in problem.nodes if n.kind is Kind.READ), key=lambda n: n.order)


def problem_of(
    nodes, edges, clock=80.0, chip="ecp5-85", dual=frozenset(), multipliers=0, dividers=0,
    in_turn=False,
):
    """What is to be scheduled; results that nobody uses are the region's.

    There are as many ``multipliers`` and ``dividers`` at most; 0 for one for each operation.
    Dividers ``in_turn`` take their next operands when they are done.
    """
    nodes = topological(nodes)
    used = {o for n in nodes for o in n.operands}
    ends = frozenset(n for n in nodes if n not in used and n.kind not in (Kind.WRITE, Kind.CONST))
    sizes, sharing = shapes(nodes, nodes), Sharing()
    products, quotients = (sum(n.kind is k for n in nodes) for k in (Kind.MUL, Kind.DIV))
    if 0 < multipliers < products:
        job = (Shape(16, True), Shape(16, True), 16)
        sharing = Sharing({job: products}, {job: multipliers}, job)
    if 0 < dividers < quotients:
        job = Division(Shape(16, True), Shape(16, True))
        sharing = Sharing(
            {**sharing.most, job: quotients}, {**sharing.limits, job: dividers}, sharing.product,
            in_turn=frozenset({job} if in_turn else ()),
        )
    return Problem(
        nodes, edges, sizes, Operators(device(chip), clock, sharing), lambda _: 2, outputs=ends,
        dual=dual, limits=sharing.limits,
    )  # fmt: skip


def faults(problem, found):
    """What is wrong with a schedule, worked out from the rules alone."""
    start, ready, wrong = found.start, {}, []
    arrival = {}
    for n in problem.nodes:
        if problem.is_free(n):
            continue
        latency = 1 if n.kind in (Kind.READ, Kind.ASK) else problem.units[n].latency
        ready[n] = start[n] + latency
        before = [o for o in n.operands if not problem.is_free(o)]
        wrong += [f"{n} before {o}" for o in before if start[n] < ready[o]]
        at = max((arrival[o] for o in before if ready[o] == start[n]), default=0.0)
        if at > 0 and at + problem.entry_ns(n) > problem.operators.budget_ns:
            wrong.append(f"{n} too late in its cycle")
        arrival[n] = problem.exit_ns(n) if latency else at + problem.entry_ns(n)
        if n.kind is Kind.COUNTER and start[n]:
            wrong.append(f"{n} not in the first cycle")
        if start[n] < 0 or ready[n] >= found.length:
            wrong.append(f"{n} outside the region")
    for e in problem.edges:
        if start[e.dst] < start[e.src] + e.delay - e.distance * (found.ii or 0):
            wrong.append(f"{e} not met")
    return wrong + list(clashes(problem, found))


def clashes(problem, found):
    """Accesses that have one port at the same time, and products that have one multiplier."""
    for job, most in problem.limits.items():
        users = [n for n in problem.nodes if problem.jobs.get(n) == job]
        kept = [
            found.start[n] + k
            for n in users
            for k in range(problem.units[n].latency - 1 if problem.units[n].iterative else 1)
        ]
        busy = Counter(at % found.ii if found.ii else at for at in kept)
        yield from (f"{n} operations meet in cycle {at}" for at, n in busy.items() if n > most)
    accesses = [n for n in problem.nodes if n.kind in (Kind.READ, Kind.WRITE)]
    for three in combinations(accesses, 3):
        if len({n.bank for n in three}) == 1 and three[0].bank.array in problem.dual:
            slots = {found.start[n] % found.ii if found.ii else found.start[n] for n in three}
            if len(slots) == 1:
                yield f"{three} meet at two ports"
    for a, b in combinations(accesses, 2):
        if (a.bank, a.kind) != (b.bank, b.kind) or a.bank.array in problem.dual:
            continue
        gap = found.start[a] - found.start[b]
        meet = gap % found.ii == 0 if found.ii else gap == 0
        if meet and not (apart(a, b) and gap == 0):
            yield f"{a} and {b} meet"
