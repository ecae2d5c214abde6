"""Random kernels whose nests are seldom perfect: conditions that keep shifted subscripts in range,
statements before and behind inner loops, bounds that other counters and minima say, strides, while
loops, subscripts through a table, windows of what a nest before has made.

:func:`random_nests` gives the text of a kernel ``top``.  Every subscript is in range.
"""

import random
from itertools import count

from source_generators import PREAMBLE

EXTENT = 7
"""Of every dimension."""
SHAPES = {"A": 1, "B": 1, "C": 2, "D": 2}
"""Dimensions of the arrays that the kernel is given."""
TYPES = ["int32", "int32", "int8", "uint8", "int16"]
CONDITIONS = ("{i} > {a}", "{i} < {b}", "{i} >= {a} and {i} <= {b}", "not ({i} == {a})")


class _Nests:
    """A kernel being written; ``loops`` are (counter, least, greatest) from the outermost."""

    def __init__(self, dice):
        self.dice = dice
        self.lines, self.fresh = [], count()
        self.arrays = dict(SHAPES)
        self.scalars = ["n"]

    def emit(self, depth, text):
        self.lines.append("    " * depth + text)

    # --- subscripts and values -------------------------------------------------------------

    def subscript(self, loops):
        """One that is in range for all values of the counters."""
        dice = self.dice
        if not loops or dice.random() < 0.06:
            return str(dice.randrange(EXTENT))
        # A dimension is most often that of the loop of its depth, so that there is reuse.
        name, low, high = dice.choice([*loops, loops[-1]])
        if dice.random() < 0.1 and high - low < EXTENT:
            return f"{high} - {name}" if low >= 0 else f"{high - low} - ({name} - {low})"
        shifts = [s for s in range(-2, 3) if low + s >= 0 and high + s < EXTENT]
        if not shifts:
            return f"({name} + {8 * EXTENT}) % {EXTENT}"
        shift = dice.choice([*shifts, 0]) if 0 in shifts else dice.choice(shifts)
        return f"{name} + {shift}" if shift > 0 else f"{name} - {-shift}" if shift else name

    def place(self, loops, name=None):
        name = name or self.dice.choice(list(self.arrays))
        at = [self.subscript(loops) for _ in range(self.arrays[name])]
        if self.dice.random() < 0.08:
            at[0] = f"P[{at[0]}]"
        return f"{name}[{', '.join(at)}]"

    def value(self, loops, depth=2):
        dice, pick = self.dice, self.dice.random()
        if depth == 0 or pick < 0.3:
            leaves = [self.place(loops), self.place(loops), str(dice.randint(-3, 9))]
            leaves += [dice.choice(self.scalars)] + [name for name, _, _ in loops[-1:]]
            return dice.choice(leaves)
        a, b = self.value(loops, depth - 1), self.value(loops, depth - 1)
        if pick < 0.38:
            return f"({a} if {b} > {self.value(loops, 0)} else {self.value(loops, 0)})"
        if pick < 0.44:
            return f"{dice.choice(['min', 'max'])}({a}, {b})"
        if pick < 0.5:
            return f"({a} // {dice.randint(2, 5)})"
        return f"({a} {dice.choice(['+', '+', '-', '*', '^'])} {b})"

    def condition(self, loops):
        """A condition of counters, and the loops as narrow as it makes them; or of data."""
        dice = self.dice
        if not loops or dice.random() < 0.2:
            return f"{self.value(loops, 1)} > {self.value(loops, 0)}", loops
        at = dice.randrange(len(loops))
        name, low, high = loops[at]
        a, b = (low, high) if low >= high else sorted(dice.sample(range(low, high + 1), 2))
        form = dice.choice(CONDITIONS)
        least, most = {CONDITIONS[0]: (a + 1, high), CONDITIONS[1]: (low, b - 1),
                       CONDITIONS[2]: (a, b)}.get(form, (low, high))  # fmt: skip
        if least > most:
            return f"{name} == {low}", [*loops[:at], (name, low, low), *loops[at + 1 :]]
        text = form.format(i=name, a=a, b=b)
        return text, [*loops[:at], (name, least, most), *loops[at + 1 :]]

    # --- statements ------------------------------------------------------------------------

    def statement(self, loops, depth):
        dice, pick = self.dice, self.dice.random()
        if pick < 0.3:
            condition, narrow = self.condition(loops)
            self.emit(depth, f"if {condition}:")
            self.assignment(narrow, depth + 1)
            if dice.random() < 0.3:
                self.emit(depth, "else:")
                self.assignment(loops, depth + 1)
        elif pick < 0.38:
            name = f"t{next(self.fresh)}"
            self.emit(depth, f"{name}: int32 = {self.value(loops, 1)}")
            self.scalars.append(name)
        else:
            self.assignment(loops, depth)

    def assignment(self, loops, depth):
        if len(loops) > 1 and self.dice.random() < 0.2:  # a sum
            name = self.dice.choice([a for a in self.arrays if a != "P"])
            at = ", ".join(self.subscript(loops[:-1]) for _ in range(self.arrays[name]))
            self.arrays, known = {n: d for n, d in self.arrays.items() if n != name}, self.arrays
            self.emit(depth, f"{name}[{at}] += {self.value(loops, 1)}")
            self.arrays = known
            return
        target = self.place(loops, self.dice.choice([a for a in self.arrays if a != "P"]))
        operator = self.dice.choice(["=", "=", "+=", "-="])
        self.emit(depth, f"{target} {operator} {self.value(loops)}")

    def bounds(self, loops):
        """(text, least, greatest) of a loop; seldom one that does not run at all."""
        dice, pick = self.dice, self.dice.random()
        low, high = dice.choice([0, 0, 1, 2]), dice.randint(3, EXTENT)
        if not loops or pick < 0.45:
            return f"{low}, {high}", low, high - 1
        name, least, most = loops[-1]
        if pick < 0.55:
            return f"{name}, {max(high, most + 1)}", least, max(high - 1, most)
        if pick < 0.65:
            return f"{name} + 1", 0, most
        if pick < 0.8:
            text = f"max({name} - 1, {low}), min({name} + 2, {high})"
            return text, max(least - 1, low), max(min(most + 1, high - 1), max(least - 1, low))
        if pick < 0.9:
            return f"{low}, min({name} + {dice.randint(1, 3)}, {high})", low, high - 1
        return f"({dice.choice(self.scalars)} & 3) + {low}", 0, low + 2

    def loop(self, loops, depth):
        """A loop with what stands before and behind the one inside it."""
        dice, name, known = self.dice, f"i{next(self.fresh)}", list(self.scalars)
        text, low, high = self.bounds(loops)
        step = dice.choice([1] * 7 + [2, 3])
        if step > 1:
            text = f"{text}, {step}" if "," in text else f"0, {text}, {step}"
        if text.startswith("0, ") and text[3:].isdigit() and dice.random() < 0.2:
            self.emit(depth, f"for {name} in allo.reduction({text[3:]}):")
        else:
            self.emit(depth, f"for {name} in range({text}):")
        inside = [*loops, (name, low, high)]
        inner = len(inside) < 2 or (len(inside) == 2 and dice.random() < 0.3)
        if not inner or dice.random() < 0.4:
            self.statement(inside, depth + 1)
        if inner:
            (self.loop if dice.random() < 0.85 else self.while_loop)(inside, depth + 1)
        if dice.random() < 0.4:
            self.statement(inside, depth + 1)
        self.scalars = known

    def while_loop(self, loops, depth):
        """One that counts, and may end early for what it finds."""
        dice, name, known = self.dice, f"k{next(self.fresh)}", list(self.scalars)
        high = dice.randint(2, 5)
        self.emit(depth, f"{name}: int32 = 0")
        early = dice.random() < 0.5
        also = f" and {self.place(loops)} < {dice.randint(10, 100)}" if early else ""
        self.emit(depth, f"while {name} < {high}{also}:")
        self.statement([*loops, (name, 0, high - 1)], depth + 1)
        self.emit(depth + 1, f"{name} += 1")
        self.scalars = known

    def scattered(self, depth):
        """A loop whose iterations store to different elements, as a table says."""
        name = f"i{next(self.fresh)}"
        self.emit(depth, f"for {name} in range({self.dice.randint(3, EXTENT)}):")
        value = f"{self.place([(name, 0, EXTENT - 1)], 'B')} + {name}"
        operator = self.dice.choice(["=", "+="])
        self.emit(depth + 1, f"A[P[{name}]] {operator} {value}")

    def chained(self, depth):
        """A nest that makes an array of its own, and one behind it that reads it, in windows."""
        dice, name, rank = self.dice, f"L{next(self.fresh)}", self.dice.choice([1, 2])
        self.emit(depth, f"{name}: int32{[EXTENT] * rank}")
        source = dice.choice(["B", "R"] if rank == 1 else ["C", "D"])
        target = dice.choice(["A", "R"] if rank == 1 else ["C", "D"])
        reach = dice.choice([0, 0, 1, 2])
        for array, other, least in ((name, source, 0), (target, name, reach)):
            counters = [f"i{next(self.fresh)}" for _ in range(rank)]
            for k, counter in enumerate(counters):
                low = least if k == 0 else 0
                self.emit(depth + k, f"for {counter} in range({low}, {EXTENT}):")
            rest = ", ".join(["", *counters[1:]])
            window = [
                f"{other}[{counters[0]}{f' - {n}' if n else ''}{rest}]" for n in range(least + 1)
            ]
            value = f" {dice.choice('+-*')} ".join([*window, str(dice.randint(1, 5))])
            self.emit(depth + rank, f"{array}[{counters[0]}{rest}] = {value}")

    def kernel(self):
        dice = self.dice
        kinds = {name: dice.choice(TYPES) for name in SHAPES}
        params = [f"{n}: {kinds[n]}{[EXTENT] * rank}" for n, rank in SHAPES.items()]
        self.emit(0, f"def top({', '.join([*params, 'n: int32'])}) -> int32[{EXTENT}]:")
        table = dice.sample(range(EXTENT), EXTENT)
        self.emit(1, f"P: int8[{EXTENT}] = {table}")
        self.emit(1, f"R: int32[{EXTENT}] = {dice.choice([0, 1])}")
        self.arrays["R"] = 1
        apart = dice.random() < 0.3
        for n in range(dice.choice([1, 2, 2, 3])):
            if apart:  # nests that follow each other have nothing in common
                self.arrays = {"A": 1, "C": 2} if n % 2 else {"B": 1, "D": 2}
            pick = dice.random()
            if pick < 0.74:
                self.loop([], 1)
            elif pick < 0.87 and not apart:
                self.scattered(1)
            elif pick < 0.94 and not apart:
                self.chained(1)
            else:
                self.while_loop([], 1)
        self.emit(1, "return R")
        return "\n".join(self.lines) + "\n"


def random_nests(seed):
    """The source of a module whose function ``top`` is a random kernel of such nests."""
    return PREAMBLE + _Nests(random.Random(seed)).kernel()
