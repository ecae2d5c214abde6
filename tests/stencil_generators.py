"""Random affine kernels on three small arrays, with shifts, sums and triangles: much to collide."""

import random

from source_generators import load

HEAD = "import allo_rtl as allo\nfrom allo_rtl.ir.types import *\n\n"
TOP = "def top(A: int32[9, 9], B: int32[9, 9], C: int32[9, 9]):"


def stencil_source(seed):
    """The text of a kernel ``top``: one or two nests of two or three loops."""
    dice = random.Random(seed)
    lines = [TOP]
    for band in range(dice.randint(1, 2)):
        i, j, k = (f"{name}{band}" for name in "ijk")
        lines.append(f"    for {i} in range({dice.choice([0, 1])}, {dice.choice([4, 5])}):")
        if dice.random() < 0.3:
            lines.append(_statement(dice, [i], 8))
        first = dice.choice(["0", "1", i])
        lines.append(f"        for {j} in range({first}, {dice.choice([4, 5])}):")
        lines += [_statement(dice, [i, j], 12) for _ in range(dice.randint(1, 2))]
        if dice.random() < 0.3:
            lines.append(f"            for {k} in range(3):")
            lines.append(_statement(dice, [i, j, k], 16))
        if dice.random() < 0.3:
            lines.append(_statement(dice, [i], 8))
    return "\n".join([*lines, ""])


def stencil(seed):
    """The kernel."""
    return load(HEAD + stencil_source(seed), "top")


def _statement(dice, counters, indent):
    def cell():
        at = [
            dice.choice(counters) if dice.random() < 0.25 else counters[min(d, len(counters) - 1)]
            for d in range(2)
        ]
        at = [f"{counter} + {dice.randint(0, 3)}" for counter in at]
        return f"{dice.choice('ABC')}[{', '.join(at)}]"

    terms = " + ".join(cell() for _ in range(dice.randint(1, 3)))
    return f"{' ' * indent}{cell()} {dice.choice(['=', '+=', '='])} {terms} * {dice.randint(1, 3)}"
