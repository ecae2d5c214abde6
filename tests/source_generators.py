"""Random kernels as Python source: affine loop nests of many forms over a few small arrays.

:func:`random_kernel` gives the text, :func:`load` the function.  Every subscript is in range.
"""

import linecache
import random
from itertools import count
from math import prod

TYPES = ["int32", "int8", "uint8", "int16", "uint1", "int7", "UInt(33)", "Int(70)"]
_serial = count()

PREAMBLE = """import allo_rtl as allo
from allo_rtl.ir.types import *

"""


def load(text, name):
    """The function of that name; its source can be found by ``inspect``."""
    file = f"<random kernel {next(_serial)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    space = {"__name__": file}
    exec(compile(text, file, "exec"), space)
    return space[name]


def trips(loops):
    """How often the body of some loops runs, at most."""
    return prod(high - low + 1 for _, low, high in loops)


class _Writer:
    """One function being written."""

    def __init__(self, dice, helpers):
        self.dice, self.helpers = dice, helpers
        self.lines, self.fresh = [], count()
        self.arrays = {}  # name -> (type, shape, may be written)
        self.scalars = []

    def emit(self, depth, text):
        self.lines.append("    " * depth + text)

    def subscript(self, loops, extent):
        """An expression in ``range(extent)``; ``loops`` are (name, low, high) with both ends."""
        dice = self.dice
        fitting = []
        for name, low, high in loops:
            for shift in (-2, -1, 0, 0, 0, 1, 2, 3):
                if low + shift >= 0 and high + shift < extent:
                    fitting.append(f"{name} + {shift}" if shift > 0 else
                                   f"{name} - {-shift}" if shift else name)
            if low >= 0 and high < extent:
                fitting.append(f"{extent - 1} - {name}")
        if fitting and dice.random() < 0.8:
            return dice.choice(fitting)
        if loops and dice.random() < 0.7:
            a, b = dice.choice(loops)[0], dice.choice(loops)[0]
            return f"({a} * {dice.randint(1, 3)} + {b} + {dice.randint(8, 15)}) % {extent}"
        return str(dice.randrange(extent))

    def place(self, loops, names=None):
        name = self.dice.choice(names or list(self.arrays))
        shape = self.arrays[name][1]
        data = self.dice.random() < 0.12 and not names
        subscripts = [self.subscript(loops, n) for n in shape]
        if data:
            other = self.place(loops, [self.dice.choice(list(self.arrays))])
            subscripts[0] = f"({other} & 7) % {shape[0]}"
        return f"{name}[{', '.join(subscripts)}]"

    def value(self, loops, depth=2):
        dice = self.dice
        pick = dice.random()
        if depth == 0 or pick < 0.35:
            leaves = [lambda: self.place(loops), lambda: self.place(loops),
                      lambda: str(dice.randint(-5, 40))]
            if loops:
                leaves.append(lambda: dice.choice(loops)[0])
            if self.scalars:
                leaves.append(lambda: dice.choice(self.scalars))
            return dice.choice(leaves)()
        a, b = self.value(loops, depth - 1), self.value(loops, depth - 1)
        if pick < 0.42:
            return f"({a} if {b} > {self.value(loops, 0)} else {self.value(loops, 0)})"
        if pick < 0.48:
            return f"{dice.choice(['min', 'max'])}({a}, {b})"
        if pick < 0.53:
            return f"({a} {dice.choice(['//', '%', '/'])} {dice.randint(1, 9)})"
        if pick < 0.57:
            return f"({a} >> {dice.randint(0, 9)})"
        return f"({a} {dice.choice(['+', '+', '-', '*', '&', '|', '^'])} {b})"

    def written(self):
        return [n for n, (_, _, writable) in self.arrays.items() if writable]

    def statement(self, loops, depth, level):
        dice, pick = self.dice, self.dice.random()
        if pick < 0.12 and level < 4:
            self.emit(depth, f"if {self.value(loops, 1)} > {self.value(loops, 0)}:")
            self.block(loops, depth + 1, level + 1)
            if dice.random() < 0.5:
                self.emit(depth, "else:")
                self.block(loops, depth + 1, level + 1)
        elif pick < 0.32 and len(loops) < 3 and level < 4 and trips(loops) < 25:
            self.loop(loops, depth, level)
        elif pick < 0.38 and self.helpers and trips(loops) < 7:
            self.call(depth)
        elif pick < 0.42:
            self.local(depth)
        else:
            target = self.place(loops, [dice.choice(self.written())])
            if dice.random() < 0.1:
                name = target.split("[")[0]
                extent = self.arrays[name][1][0]
                rest = [self.subscript(loops, n) for n in self.arrays[name][1][1:]]
                first = f"({self.place(loops)} & 7) % {extent}"
                target = f"{name}[{', '.join([first, *rest])}]"
            operator = dice.choice(["=", "=", "+=", "-="])
            self.emit(depth, f"{target} {operator} {self.value(loops)}")

    def block(self, loops, depth, level):
        arrays, scalars = dict(self.arrays), list(self.scalars)
        for _ in range(self.dice.choice([1, 1, 2, 3])):
            self.statement(loops, depth, level)
        self.arrays, self.scalars = arrays, scalars

    def loop(self, loops, depth, level):
        dice, name = self.dice, f"i{next(self.fresh)}"
        low, high, step = dice.choice([0, 0, 0, 1, -2]), dice.randint(2, 6), 1
        bounds = (str(low), str(high))
        pick = dice.random()
        if pick < 0.15:
            step = dice.choice([2, 3])
        elif pick < 0.35 and loops:
            outer, first, last = dice.choice(loops)
            if dice.random() < 0.5:
                bounds, low, high = (f"{outer}", str(max(high, last))), first, max(high, last)
            else:
                bounds, low, high = ("0", f"{outer} + 1"), 0, max(1, last + 1)
        elif pick < 0.4 and self.scalars:
            # A bound that depends on data, within the range of the loop.
            bounds = (bounds[0], f"{dice.choice(self.scalars)} & 3")
            high = max(high, 4)
        elif pick < 0.44:
            bounds = (str(low), str(low + dice.choice([0, 1])))
            high = low + 1
        text = f"range({bounds[0]}, {bounds[1]}" + (f", {step})" if step > 1 else ")")
        if pick > 0.85 and low == 0:
            text = f"allo.{dice.choice(['reduction', 'grid'])}({high})"
            low, step = 0, 1
        self.emit(depth, f"for {name} in {text}:")
        self.block([*loops, (name, low, high - 1)], depth + 1, level + 1)

    def local(self, depth):
        dice, name = self.dice, f"L{next(self.fresh)}"
        type = dice.choice(TYPES[:6])
        start = dice.choice(["", " = 0", " = 1"])
        if dice.random() < 0.4:
            self.emit(depth, f"{name}: {type} = {dice.choice(['0', '1', *self.scalars])}")
            self.scalars.append(name)
            return
        shape = self.shape()
        self.emit(depth, f"{name}: {type}{list(shape)}{start}")
        self.arrays[name] = (type, shape, True)

    def shape(self):
        return tuple(self.dice.randint(3, 7) for _ in range(self.dice.choice([1, 1, 2])))

    def call(self, depth):
        helper = self.dice.choice(self.helpers)
        args = []
        for type, shape in helper.params:
            fitting = [n for n, a in self.arrays.items() if a == (type, shape, True)]
            if not fitting or self.dice.random() < 0.3:
                name = f"L{next(self.fresh)}"
                self.emit(depth, f"{name}: {type}{list(shape)} = 2")
                self.arrays[name] = (type, shape, True)
                fitting = [name]
            args.append(self.dice.choice(fitting))
        call = f"{helper.name}({', '.join([*args, '3'])})"
        if helper.result is None:
            self.emit(depth, call)
        else:
            name = f"L{next(self.fresh)}"
            self.emit(depth, f"{name} = {call}")
            self.arrays[name] = (*helper.result, True)

    def function(self, name, arrays):
        dice = self.dice
        params = []
        for n in range(arrays):
            type, shape = dice.choice(TYPES), self.shape()
            self.arrays[f"A{n}"] = (type, shape, True)
            params.append((type, shape))
        texts = [f"A{n}: {t}{list(s)}" for n, (t, s) in enumerate(params)] + ["n: int32"]
        self.scalars.append("n")
        result = (dice.choice(TYPES), self.shape()) if dice.random() < 0.6 else None
        arrow = f" -> {result[0]}{list(result[1])}" if result else ""
        self.emit(0, f"def {name}({', '.join(texts)}){arrow}:")
        if result:
            self.emit(1, f"R: {result[0]}{list(result[1])}" + dice.choice(["", " = 0", " = 3"]))
            self.arrays["R"] = (*result, True)
        for _ in range(dice.choice([1, 2, 2, 3])):
            if dice.random() < 0.75:
                self.loop([], 1, 0)
            else:
                self.statement([], 1, 0)
        if result:
            self.emit(1, "return R")
        self.name, self.params, self.result = name, params, result
        return "\n".join(self.lines) + "\n"


def random_kernel(seed):
    """The source of a module whose function ``top`` is a random kernel."""
    dice = random.Random(seed)
    helpers, texts = [], []
    if dice.random() < 0.4:
        helpers.append(_Writer(dice, []))
        texts.append(helpers[0].function("helper", dice.choice([1, 2])))
    texts.append(_Writer(dice, helpers).function("top", dice.choice([1, 2, 2, 3])))
    return PREAMBLE + "\n\n".join(texts)
