"""Random chains of kernels that pass an end on: evaluator, simulator and hardware agree."""

import random
import textwrap

import numpy as np
import pytest

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.ir.types import ConstExpr, Stream, int32
from allo_rtl.passes import df_pipeline
from allo_rtl.sim.stalls import Stalls

N, MOST = 24, 400
NAMES = {"df": df, "Stream": Stream, "int32": int32, "ConstExpr": ConstExpr}
STAGES = {
    "filter": """
        for x in s[p]:
            if x % 3 != 1:
                s[p + 1].put(x + 7)
    """,
    "expand": """
        for x in s[p]:
            s[p + 1].put(x)
            s[p + 1].put(x * x)
    """,
    "recurrence": """
        t: int32 = 1
        for x in s[p]:
            t = t * 3 + x
            s[p + 1].put(t)
    """,
    "leave": """
        k: int32 = 0
        for x in s[p]:
            k += 1
            if k == 3:
                break
        for y in s[p]:
            s[p + 1].put(y + k)
    """,
    "poll": """
        while not s[p].ended():
            x, ok = s[p].try_get()
            if ok:
                done: int32 = 0
                while not done:
                    done = s[p + 1].try_put(x - 5)
    """,
    "total": """
        t: int32 = 0
        for x in s[p]:
            t += x * 5
        s[p + 1].put(t)
    """,
    "table": """
        h: int32[8] = 0
        for x in s[p]:
            h[x & 7] += x
            s[p + 1].put(h[x & 7])
        for i in range(8):
            s[p + 1].put(h[i])
    """,
    "skip": """
        for x in s[p]:
            if x & 1:
                continue
            s[p + 1].put(x // 2)
    """,
}


def chain(kinds, depth):
    """The text of a region: its stages one after the other, by streams of one depth."""
    stages = "".join(
        f"""
    @df.kernel(mapping=[1])
    def stage{k}():
        p: ConstExpr[int32] = {k}
{textwrap.indent(textwrap.dedent(STAGES[kind]).strip(), " " * 8)}
        s[p + 1].close()
"""
        for k, kind in enumerate(kinds)
    )
    return f"""@df.region()
def top(A: int32[{N}], B: int32[{MOST}]):
    s: Stream[int32, {depth}][{len(kinds) + 1}]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[{N}]):
        for i in range({N}):
            s[0].put(a[i])
        s[0].close()
{stages}
    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[{MOST}]):
        i: int32 = 0
        for x in s[{len(kinds)}]:
            b[i] = x
            i += 1
        b[{MOST - 1}] = i
"""


LONG = [pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 12)]


@pytest.mark.parametrize("seed", [0, *LONG])
def test_chains_of_stages_give_the_same_everywhere(seed):
    rng = random.Random(seed)
    text = chain(rng.choices(list(STAGES), k=rng.randint(2, 4)), rng.choice([1, 2, 3, 5, 9]))
    a = np.array([rng.randint(0, 99) for _ in range(N)], np.int32)
    s = allo.customize(text, global_vars=NAMES)
    found = []
    for target in ("evaluator", "simulator"):
        found.append(np.zeros(MOST, np.int32))
        df.build(s, target=target)(a, found[-1])
    df_pipeline(s, rewind=True)
    s.interface("A", "stream")
    rtl = s.build(target="rtl", clock_mhz=rng.choice([50, 120]))
    for percent in (1, 40, 80):
        rtl.stalls = Stalls(seed=percent, percent=percent)
        found.append(np.zeros(MOST, np.int32))
        rtl(a, found[-1])
    assert all((b == found[0]).all() for b in found)
