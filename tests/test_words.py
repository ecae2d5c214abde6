"""Accesses of one cell in an iteration of a pipelined loop: in both branches of an ``if``, and in
several lanes.

Guaranteed: the transformed loop computes what the original one does, reads no cell that was not
read, and has no more accesses; a loop that updates a cell in both branches has the interval of the
one that a hand keeps in a variable, and the lanes of a recurrence the interval that their arithmetic
takes.
"""

from dataclasses import replace

from agreement import random_args, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from source_generators import PREAMBLE, load

import allo_rtl as allo
from allo_rtl.hls.unroll import unroll_by
from allo_rtl.hls.words import once
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.ops import For, Load, Store
from allo_rtl.ir.rewrite import map_block, walk
from allo_rtl.ir.verify import verify_module
from allo_rtl.sim.reference import ReferenceModule

N = 12

# Random kernels

TYPES = st.sampled_from(["int32", "float32", "uint8"])
SUBSCRIPTS = ["0", "1", "i", "i + 1", "i + 2", "b[i]", "b[i + 1]", "b[i] + 1", "v"]
CONDITIONS = ["c[i] > 0", "A[i] > B[0]", "A[0] > B[b[i]]", "i > 2", "b[i] == 1"]


@st.composite
def expressions(draw):
    """What is stored: of words and of what an operation makes of them."""
    cell = draw(cells())
    other = draw(st.sampled_from(["x[i]", "x[i + 1]", "1", cell]))
    operator = draw(st.sampled_from(["+", "-", "*"]))
    return f"{draw(cells())} {operator} {other}"


@st.composite
def cells(draw):
    """An element, of an argument or of an array in registers, or a variable."""
    array = draw(st.sampled_from(["A", "A", "A", "B", "R", "s"]))
    return "s" if array == "s" else f"{array}[{draw(st.sampled_from(SUBSCRIPTS))}]"


@st.composite
def statements(draw, depth):
    """A few statements, each as its lines."""
    out = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["set", "set", "add", "if", "if", "guard", "print", "assert"]))
        if kind == "add":
            out.append([f"{draw(cells())} {draw(st.sampled_from('+-'))}= {draw(cells())}"])
        elif kind == "guard":  # a subscript that may be read only here
            out.append(["if i > 0:", f"    {draw(cells())} = A[i - 1] + x[i - 1]"])
        elif kind == "if" and depth:
            out.append(draw(choices(depth)))
        elif kind in ("print", "assert") and draw(st.integers(0, 3)) == 0:
            out.append(['print("at", i)' if kind == "print" else "assert i >= 0"])
        else:
            out.append([f"{draw(cells())} = {draw(expressions())}"])
    return out


@st.composite
def choices(draw, depth):
    """An ``if``, perhaps with more branches, which often update one cell in all of them."""
    heads = [f"if {draw(st.sampled_from(CONDITIONS))}:"]
    if draw(st.booleans()):
        heads.append(f"elif {draw(st.sampled_from(CONDITIONS))}:")
    if draw(st.integers(0, 3)):
        heads.append("else:")
    common = draw(st.one_of(st.none(), cells()))
    lines = []
    for head in heads:
        body = draw(statements(depth - 1))
        if common is not None:
            body.insert(draw(st.integers(0, len(body))), [f"{common} += {draw(cells())}"])
        lines += [head, *(f"    {line}" for part in body for line in part)]
    return lines


@st.composite
def kernels(draw):
    """The text of a kernel whose subscripts are in range."""
    element = draw(TYPES)
    body = [f"        {line}" for part in draw(statements(2)) for line in part]
    return PREAMBLE + "\n".join([
        f"def kernel(A: {element}[16], B: {element}[16], x: {element}[16], c: int8[16], "
        f"b: uint2[16]) -> {element}[16]:",
        f"    R: {element}[16] = 0",
        f"    s: {element} = 0",
        "    for i in range(8):",
        "        v: index = b[i + 2]",
        *body,
        "    R[15] += s",
        "    return R",
        "",
    ])  # fmt: skip


def with_lanes(module, lanes):
    """A legalized module with the body of each loop as it is pipelined, and the original."""
    def prepared(transform):
        def visit(op):
            if not isinstance(op, For):
                return None
            loop = unroll_by(op, lanes) if lanes > 1 else op
            return replace(loop, body=transform(loop.body))

        funcs = tuple(replace(f, body=map_block(f.body, visit)) for f in module.funcs)
        return replace(module, funcs=funcs)

    return prepared(lambda body: body), prepared(once)


def count(module):
    """How many accesses to arrays a module has."""
    ops = (op for f in module.funcs for op in walk(f.body))
    return sum(isinstance(op, Load | Store) and bool(op.array.array.shape) for op in ops)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=kernels(), lanes=st.sampled_from([1, 1, 2, 4]), seed=st.integers(0, 9))
def test_what_is_computed_stays_the_same(text, lanes, seed):
    module = legalize(allo.customize(load(text, "kernel")).module)
    plain, changed = with_lanes(module, lanes)
    verify_module(changed)
    assert count(changed) <= count(plain)
    args = random_args(module, seed)
    lines = []
    expected, found = (
        run(ReferenceModule(m, lines.append).run_raw, module, args, lines)
        for m in (plain, changed)
    )
    assert found == expected
