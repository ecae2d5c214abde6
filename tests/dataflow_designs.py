"""Regions as users write them, with what numpy makes of their arguments.

Each array that a design goes through in order is a stream in hardware; the others are memories.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from systolic_designs import (
    K,
    M,
    N,
    daisy_chain,
    down_and_up,
    matrix_vector,
    output_stationary,
    ping_pong,
    tiled,
    weight_stationary,
)

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.ir.types import Stream, int8, int16, int32


@dataclass(frozen=True)
class Design:
    """A region and its meaning.

    Attributes:
        region: the region.
        given: makes its arguments of random numbers.
        meaning: the arrays it leaves, by argument number, of the arguments before.
        streams: the arrays that are streams.
        banks: how other arrays are partitioned: (name, dimension).
    """

    region: object
    given: Callable[[np.random.Generator], list]
    meaning: Callable[..., dict]
    streams: tuple[str, ...] = ()
    banks: tuple[tuple[str, int], ...] = field(default=())

    def __str__(self):
        return self.region.__name__


def numbers(dice, *shape, low=-9, high=10):
    return dice.integers(low, high, shape).astype(np.int32)


def zeros(*shape):
    return np.zeros(shape, np.int32)


# Pipelines


@df.region()
def producer_consumer(A: int32[12], B: int32[12], gain: int32):
    link: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def producer(a: int32[12]):
        for i in range(12):
            link.put(a[i] * gain)

    @df.kernel(mapping=[1], args=[B])
    def consumer(b: int32[12]):
        for i in range(12):
            b[i] = link.get() + 1


@df.region()
def pipeline(A: int32[12], B: int32[6]):
    """Three stages, the second with two values for one."""
    first: Stream[int32, 1]
    second: Stream[int32, 3]

    @df.kernel(mapping=[1], args=[A])
    def read(a: int32[12]):
        for i in range(12):
            first.put(a[i])

    @df.kernel(mapping=[1])
    def add_pairs():
        for _ in range(6):
            second.put(first.get() + first.get())

    @df.kernel(mapping=[1], args=[B])
    def square(b: int32[6]):
        for i in range(6):
            x: int32 = second.get()
            b[i] = x * x


@df.region()
def stages(A: int32[16], B: int32[16]):
    """Stages of one kernel, each with its number."""
    s: Stream[int32, 2][3]

    @df.kernel(mapping=[4], args=[A, B])
    def stage(a: int32[16], b: int32[16]):
        p = df.get_pid()
        for i in range(16):
            x: int32 = 0
            with allo.meta_if(p == 0):
                x = a[i]
            with allo.meta_else():
                x = s[p - 1].get()
            with allo.meta_if(p == 3):
                b[i] = x
            with allo.meta_else():
                s[p].put(x * 2 + p)


@df.region()
def fork_and_join(A: int32[10], B: int32[10]):
    """One way is longer than the other."""
    short: Stream[int32, 4]
    long: Stream[int32, 1]
    longer: Stream[int32, 1]

    @df.kernel(mapping=[1], args=[A])
    def fork(a: int32[10]):
        for i in range(10):
            x: int32 = a[i]
            short.put(x)
            long.put(x)

    @df.kernel(mapping=[1])
    def cube():
        for _ in range(10):
            x: int32 = long.get()
            longer.put(x * x * x)

    @df.kernel(mapping=[1], args=[B])
    def join(b: int32[10]):
        for i in range(10):
            b[i] = short.get() - longer.get()


@df.region()
def feedback(A: int32[10], B: int32[10]):
    """A filter: each output needs the one before, which is 7 at first."""
    back: Stream[int32, 1]
    forth: Stream[int32, 1]

    @df.kernel(mapping=[1], args=[A])
    def mix(a: int32[10]):
        for i in range(10):
            forth.put(a[i] + (back.get() >> 1))

    @df.kernel(mapping=[1], args=[B])
    def keep(b: int32[10]):
        back.put(7)
        for i in range(10):
            x: int32 = forth.get()
            b[i] = x
            if i < 9:
                back.put(x)


def filtered(a):
    out, before = [], 7
    for x in a:
        before = int(x) + (before >> 1)
        out.append(before)
    return np.array(out, np.int32)


# Others


@df.region()
def convolution(A: int32[10], W: int32[3], B: int32[8]):
    """Element p has weight p; numbers go by all elements, and the sums a number behind."""
    numbers: Stream[int32, 2][3]
    sums: Stream[int32, 2][3]

    @df.kernel(mapping=[1], args=[A])
    def read(a: int32[10]):
        for i in range(10):
            numbers[0].put(a[i])

    @df.kernel(mapping=[3], args=[W])
    def element(w: int32[3]):
        p = df.get_pid()
        for i in range(10):
            x: int32 = numbers[p].get()
            with allo.meta_if(p < 2):
                numbers[p + 1].put(x)
            if i >= p and i < p + 8:
                total: int32 = w[p] * x
                with allo.meta_if(p > 0):
                    total += sums[p - 1].get()
                sums[p].put(total)

    @df.kernel(mapping=[1], args=[B])
    def store(b: int32[8]):
        for i in range(8):
            b[i] = sums[2].get()


@df.region()
def sparse(P: int16[6], J: int16[9], V: int32[9], X: int32[5], Y: int32[5]):
    """A matrix by a vector, rows compressed: how many products make a sum is data."""
    counts: Stream[int16, 2]
    products: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[P])
    def lengths(p: int16[6]):
        start: int16 = p[0]
        for r in range(5):
            end: int16 = p[r + 1]
            counts.put(end - start)
            start = end

    @df.kernel(mapping=[1], args=[J, V, X])
    def multiply(j: int16[9], v: int32[9], x: int32[5]):
        for n in range(9):
            products.put(v[n] * x[j[n]])

    @df.kernel(mapping=[1], args=[Y])
    def add(y: int32[5]):
        for r in range(5):
            total: int32 = 0
            count: int16 = counts.get()
            for _ in range(count):
                total += products.get()
            y[r] = total


Q, T = 4, 7


@df.region()
def smith_waterman(query: int8[Q], target: int8[T], best: int16[T]):
    """Local alignment: element j has letter j of the query, the target's letters go by."""
    letters: Stream[int8, 2][Q + 1]
    scores: Stream[int16, 2][Q + 1]
    highest: Stream[int16, 2][Q + 1]

    @df.kernel(mapping=[1], args=[target])
    def send(t: int8[T]):
        for i in range(T):
            letters[0].put(t[i])
            scores[0].put(0)
            highest[0].put(0)

    @df.kernel(mapping=[Q], args=[query])
    def element(q: int8[Q]):
        j = df.get_pid()
        mine: int8 = q[j]
        above: int16 = 0
        corner: int16 = 0
        for _ in range(T):
            letter: int8 = letters[j].get()
            left: int16 = scores[j].get()
            match: int16 = corner + (3 if letter == mine else -2)
            gap: int16 = max(left, above) - 1
            here: int16 = max(max(match, gap), 0)
            corner = left
            above = here
            with allo.meta_if(j < Q - 1):
                letters[j + 1].put(letter)
                scores[j + 1].put(here)
            highest[j + 1].put(max(highest[j].get(), here))

    @df.kernel(mapping=[1], args=[best])
    def store(b: int16[T]):
        for i in range(T):
            b[i] = highest[Q].get()


def alignment(query, target):
    """The highest score of each row of the table."""
    table = np.zeros((len(target) + 1, len(query) + 1), int)
    for i, letter in enumerate(target):
        for j, mine in enumerate(query):
            match = table[i, j] + (3 if letter == mine else -2)
            table[i + 1, j + 1] = max(0, match, table[i, j + 1] - 1, table[i + 1, j] - 1)
    return table.max(axis=1)[1:]


@df.region()
def twice[P](X: "int32[P]", Y: "int32[P]"):
    link: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[X])
    def read(x: "int32[P]"):
        for i in range(P):
            link.put(x[i])

    @df.kernel(mapping=[1], args=[Y])
    def write(y: "int32[P]"):
        for i in range(P):
            y[i] = 2 * link.get()


@df.region()
def two_levels(A: int32[6], B: int32[6], C: int32[3], D: int32[3]):
    """Regions in a region, in two sizes."""
    @df.kernel(mapping=[1], args=[A, B])
    def long(a: int32[6], b: int32[6]):
        twice[6](a, b)

    @df.kernel(mapping=[1], args=[C, D])
    def short(c: int32[3], d: int32[3]):
        twice[3](c, d)


# All of them


def product(a, b, c):
    return {2: a @ b}


def compressed(dice):
    """A matrix with nine numbers in five rows."""
    cuts = np.sort(dice.integers(0, 10, 4))
    pointers = np.array([0, *cuts, 9], np.int16)
    places = dice.integers(0, 5, 9).astype(np.int16)
    return [pointers, places, numbers(dice, 9), numbers(dice, 5), zeros(5)]


def times_vector(p, j, v, x, y):
    return {4: np.array([sum(v[n] * x[j[n]] for n in range(p[r], p[r + 1])) for r in range(5)])}


DESIGNS = [
    Design(producer_consumer, lambda d: [numbers(d, 12), zeros(12), 3],
           lambda a, b, gain: {1: gain * a + 1}, ("A", "B")),
    Design(pipeline, lambda d: [numbers(d, 12), zeros(6)],
           lambda a, b: {1: (a[::2] + a[1::2]) ** 2}, ("A", "B")),
    Design(stages, lambda d: [numbers(d, 16), zeros(16)],
           lambda a, b: {1: (a * 2 * 2 + 1) * 2 + 2}, ("A", "B")),
    Design(fork_and_join, lambda d: [numbers(d, 10), zeros(10)],
           lambda a, b: {1: a - a**3}, ("A", "B")),
    Design(feedback, lambda d: [numbers(d, 10), zeros(10)], lambda a, b: {1: filtered(a)},
           ("A", "B")),
    Design(matrix_vector, lambda d: [numbers(d, M, K), numbers(d, K), zeros(M)],
           lambda a, x, y: {2: a @ x}, ("A", "X", "Y")),
    Design(output_stationary, lambda d: [numbers(d, M, K), numbers(d, K, N), zeros(M, N)],
           product, (), (("A", 1), ("B", 2), ("C", 0))),
    Design(daisy_chain, lambda d: [numbers(d, M, K), numbers(d, K, N), zeros(M, N)],
           product, ("A", "B", "C")),
    Design(weight_stationary, lambda d: [numbers(d, 6, 3), numbers(d, 3, 2), zeros(6, 2)],
           product, (), (("A", 2), ("W", 0))),
    Design(down_and_up, lambda d: [numbers(d, 4), zeros(4)], lambda a, b: {1: a * a}),
    Design(tiled, lambda d: [numbers(d, 4, 3), numbers(d, 3, 4), zeros(4, 4)], product),
    Design(ping_pong, lambda d: [numbers(d, 4, 2, 2), numbers(d, 4, 2, 2), zeros(4, 2, 2)],
           product, ("A", "B", "C")),
    Design(convolution, lambda d: [numbers(d, 10), numbers(d, 3), zeros(8)],
           lambda a, w, b: {2: np.convolve(a, w[::-1], "valid")}, ("A", "B"), (("W", 1),)),
    Design(sparse, compressed, times_vector, ("P", "J", "V", "Y")),
    Design(smith_waterman,
           lambda d: [d.integers(0, 3, Q).astype(np.int8), d.integers(0, 3, T).astype(np.int8),
                      np.zeros(T, np.int16)],
           lambda q, t, b: {2: alignment(q, t)}, ("target", "best"), (("query", 1),)),
    Design(two_levels, lambda d: [numbers(d, 6), zeros(6), numbers(d, 3), zeros(3)],
           lambda a, b, c, d: {1: 2 * a, 3: 2 * c}, ("A", "B", "C", "D")),
]  # fmt: skip
