"""Balanced trees of a two-operand operator.

A chain of a thousand ORs would be as deep as it is long: slow hardware, and too deep for the
recursion of tools that walk over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import zip_longest
from operator import or_

from amaranth.hdl import Const, Value


def balanced(operator: Callable[[Value, Value], Value], values: Iterable[Value]) -> Value:
    """``operator`` over one or more values, as a tree of the least depth, in their order."""
    level = list(values)
    while len(level) > 1:
        pairs = zip_longest(level[::2], level[1::2])
        level = [a if b is None else operator(a, b) for a, b in pairs]
    return level[0]


def any_of(bits: Iterable[Value]) -> Value:
    """Whether any bit is 1; 0 when there are none."""
    return balanced(or_, [*bits] or [Const(0, 1)])

