"""Random kernels of several nests and calls that pass arrays on, as Python source.

Each stage goes through a small table in some order and stores to an array what it makes of arrays
that stages before it stored to; now and then to one of those, or to only a part.
"""

import random

HEAD = """import allo_rtl as allo
from allo_rtl.ir.types import *

"""
ROWS, COLUMNS, TILES = 3, 4, 3


class _Writer:
    def __init__(self, dice):
        self.dice = dice
        self.helpers, self.count = [], 0

    def nest(self, target, sources, name, indent, tile):
        """A loop nest that stores to ``target`` what it makes of ``sources``."""
        dice = self.dice
        i, j = f"i{name}", f"j{name}"
        head = f"for {i}, {j} in allo.grid({ROWS}, {COLUMNS}, name=\"{name}\"):"
        at = f"{i}, {j}"
        if dice.random() < 0.2:
            head = f"for {j}, {i} in allo.grid({COLUMNS}, {ROWS}, name=\"{name}\"):"
        if dice.random() < 0.1:
            head = head.replace(f"grid({ROWS}", f"grid({ROWS - 1}")

        def place():
            text = f"{ROWS - 1} - {i}, {j}" if dice.random() < 0.15 else at
            return f"{i}, {COLUMNS - 1} - {j}" if dice.random() < 0.1 else text

        def of(array):
            lead = f"{tile}, " if tile and array in ("A", "B") else ""
            return f"{array}[{lead}{place()}]"

        value = " ".join(
            part for s in sources
            for part in (of(s), dice.choice(["+", "-", "*"]), str(dice.randint(1, 5)), "+")
        )[:-2]
        into = f"{target}[{tile + ', ' if tile and target == 'B' else ''}{at}]"
        lines = [head, f"    {into} = {value}"]
        if dice.random() < 0.1:
            lines = [head, f"    {into} += {value}"]
        elif dice.random() < 0.1:
            lines = [head, f"    if {of(sources[0])} > 0:", f"        {into} = {value}"]
        elif dice.random() < 0.2:
            condition = dice.choice([f"{i} > 0", f"not ({i} == 1)", f"{i} >= 1 and {j} < 3"])
            lines = [head, f"    if {condition}:", f"        {into} = {value}"]
        return [indent + line for line in lines]

    def stage(self, target, sources, indent, tile):
        """A nest, or a call of a function that is one; with it what is declared."""
        name = f"s{self.count}"
        self.count += 1
        if tile or self.dice.random() < 0.7:
            return self.nest(target, sources, name, indent, tile)
        named = [f"p{k}" for k in range(len(sources))]
        shape = f"[{ROWS}, {COLUMNS}]"
        params = ", ".join(f"{p}: int32{shape}" for p in named)
        body = self.nest("out", named, name, "    ", None)
        if target != "B" and self.dice.random() < 0.5:
            head = [f"def f{name}({params}) -> int32{shape}:", f"    out: int32{shape}"]
            self.helpers += [*head, *body, "    return out", ""]
            return [f"{indent}{target} = f{name}({', '.join(sources)})"], True
        self.helpers += [f"def f{name}({params}, out: int32{shape}):", *body, ""]
        return [f"{indent}f{name}({', '.join([*sources, target])})"]

    def body(self, indent, tile):
        """Some stages, from the argument A to the argument B."""
        dice, lines = self.dice, []
        made, count = ["A"], dice.randint(2, 4)
        for k in range(count):
            sources = [made[-1]] if dice.random() < 0.7 else dice.choices(made, k=2)
            last = k == count - 1
            again = made[-1] if dice.random() < 0.15 and made[-1] != "A" else None
            target = "B" if last else again or f"X{k}"
            found = self.stage(target, sources, indent, tile)
            if isinstance(found, tuple):
                lines += found[0]
            else:
                declared = target == "B" or target in made
                lines += [] if declared else [f"{indent}{target}: int32[{ROWS}, {COLUMNS}]"]
                lines += found
            made.append(target)
        return lines


def random_tasks(seed):
    """The source of a kernel ``top``, and whether its stages are in a loop ``t``."""
    dice = random.Random(seed)
    writer, tiled = _Writer(dice), dice.random() < 0.5
    lead = f"{TILES}, " if tiled else ""
    shape = f"int32[{lead}{ROWS}, {COLUMNS}]"
    lines = [f"def top(A: {shape}, B: {shape}):"]
    if tiled:
        lines += [f"    for t in range({TILES}):", *writer.body("        ", "t")]
    else:
        lines += writer.body("    ", None)
    return HEAD + "\n".join([*writer.helpers, *lines]) + "\n", tiled
