"""Hardware of processes that use one memory in turns: some store what others read."""

import random

import numpy as np
import pytest
from ir_writer import agree

import allo_rtl.dataflow as df
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.types import Stream, int32
from allo_rtl.sim.stalls import Stalls

N = 6


def run(region, clock_mhz=50, ports=None):
    """The cycles of hardware that does what the evaluator does; and predicts that, too."""
    s = df.customize(region, opt_default=True)
    for array, dim in (ports or {}).items():
        s.partition(array, dim=dim)
    module = legalize(s.module)
    dice = np.random.default_rng(1)
    args = [dice.integers(-99, 99, v.type.shape).astype(object) for v in module.top_func.args]
    return agree(module, args, clock_mhz=clock_mhz)


@df.region()
def handed_over(A: int32[N], B: int32[N], C: int32[N]):
    written: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A, B])
    def fill(a: int32[N], b: int32[N]):
        for i in range(N):
            b[i] = a[i] * a[i]
            written.put(i)

    @df.kernel(mapping=[1], args=[B, C])
    def use(b: int32[N], c: int32[N]):
        for i in range(N):
            n: int32 = written.get()
            c[i] = b[N - 1 - (N - 1 - i)] + n


@pytest.mark.parametrize("clock_mhz", [50, 200])
def test_what_is_stored_before_a_put_is_read_after_the_get(clock_mhz):
    run(handed_over, clock_mhz)


def test_each_word_is_handed_over_at_once():
    """The reader does not wait until all is written."""
    assert run(handed_over) < 2 * N + 8


@df.region()
def moved_on(B: int32[N], C: int32[N]):
    free: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[B, C])
    def take(b: int32[N], c: int32[N]):
        for i in range(N):
            c[i] = b[i]
            free.put(b[i])

    @df.kernel(mapping=[1], args=[B])
    def renew(b: int32[N]):
        for i in range(N):
            b[i] = free.get() + 1


@pytest.mark.parametrize("clock_mhz", [50, 200])
def test_what_is_read_before_a_put_may_be_stored_to_after_the_get(clock_mhz):
    run(moved_on, clock_mhz)


@df.region()
def to_and_fro(B: int32[2], C: int32[N]):
    there: Stream[int32, 1]
    back: Stream[int32, 1]

    @df.kernel(mapping=[1], args=[B, C])
    def ask(b: int32[2], c: int32[N]):
        for i in range(N):
            b[0] = i
            there.put(1)
            ok: int32 = back.get()
            c[i] = b[0] + b[1] + ok

    @df.kernel(mapping=[1], args=[B])
    def answer(b: int32[2]):
        for i in range(N):
            x: int32 = there.get()
            b[0] = b[0] * 5 + x
            b[1] = i
            back.put(0)


@pytest.mark.parametrize("clock_mhz", [50, 150])
def test_a_word_that_another_process_changes_is_read_again(clock_mhz):
    run(to_and_fro, clock_mhz)


@df.region()
def twice(B: int32[2], C: int32[2]):
    there: Stream[int32, 1]
    back: Stream[int32, 1]

    @df.kernel(mapping=[1], args=[B])
    def tell(b: int32[2]):
        b[0] = 7
        there.put(1)
        ok: int32 = back.get()
        b[0] = 8 + ok
        there.put(1)

    @df.kernel(mapping=[1], args=[B, C])
    def hear(b: int32[2], c: int32[2]):
        x: int32 = there.get()
        c[0] = b[0] + x
        back.put(0)
        y: int32 = there.get()
        c[1] = b[0] + y


def test_a_word_that_is_stored_over_later_is_stored_first():
    run(twice)


@df.region()
def inside(A: int32[N], C: int32[N]):
    written: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A, C])
    def fill(a: int32[N], c: int32[N]):
        for i in range(N):
            c[i] = a[i]
            written.put(i)

    @df.kernel(mapping=[1], args=[C])
    def use(c: int32[N]):
        for _i in range(N):
            n: int32 = written.get()
            c[n] = c[n] * 3


@df.region()
def outside(A: int32[N], C: int32[N]):
    """The kernels of an inner region, and one beside it, use one array."""

    done: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A, C])
    def first(a: int32[N], c: int32[N]):
        inside(a, c)
        done.put(1)

    @df.kernel(mapping=[1], args=[C])
    def then(c: int32[N]):
        x: int32 = done.get()
        for i in range(N):
            c[i] = c[i] + x


def test_in_regions_in_regions():
    run(inside)
    run(outside)


def test_in_verilator_with_random_stalls():
    rtl = df.build(handed_over, target="rtl")
    rtl.stalls = Stalls(seed=3, percent=50)
    a, b, c = np.arange(N, dtype=np.int32), np.zeros(N, np.int32), np.zeros(N, np.int32)
    rtl(a, b, c)
    np.testing.assert_array_equal(c, a * a + a)


class Turns:
    """Two processes that use an array by turns; whose turn it is tokens say, in loops or not."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.lines = [[], []]
        self.first = self.dice.randrange(2)
        for _ in range(self.dice.randint(1, 3)):
            if self.dice.random() < 0.5:
                self.round("        ", "")
            else:
                for lines in self.lines:
                    lines.append(f"        for i in range({N}):")
                self.round("            ", "i")

    def round(self, indent, counter):
        """One uses the array, then the other; the first goes on when that has answered."""
        first = self.first
        token = ["there", "back"]
        self.uses(first, indent, counter)
        for who, other in ((first, 1 - first), (1 - first, first)):
            self.lines[who].append(f"{indent}{token[who]}.put({self.dice.randrange(9)})")
            self.lines[other].append(f"{indent}x = {token[who]}.get()")
            self.uses(other, indent, counter)

    def uses(self, who, indent, counter):
        """Random loads and stores, straight on or in a loop."""
        if self.dice.random() < 0.3:
            self.lines[who].append(f"{indent}for j in range({N}):")
            indent, counter = f"{indent}    ", "j"
        for _ in range(self.dice.randint(1, 3)):
            self.lines[who].append(indent + self.statement(who, counter))

    def statement(self, who, counter):
        at = self.dice.choice(["0", "1", *([counter] * bool(counter))])
        other = self.dice.choice(["0", "2", *([counter] * bool(counter))])
        return self.dice.choice(
            [
                f"b[{at}] = x + {self.dice.randrange(9)}",
                f"b[{at}] = b[{other}] * 3 + x",
                f"b[{at}] += {self.dice.randrange(1, 5)}",
                f"x = x + b[{at}]",
                f"x = b[{at}] + b[{other}]",
                f"c[{at}, {who}] += b[{other}] - x",
                f"if x > 5: b[{at}] = b[{other}]",
            ]
        )

    def text(self):
        """The region in Python."""
        head = ["@df.region()", f"def region(B: int32[{N}], C: int32[{N}, 2]):",
                "    there: Stream[int32, 1]", "    back: Stream[int32, 1]"]  # fmt: skip
        for who, lines in enumerate(self.lines):
            head += ["    @df.kernel(mapping=[1], args=[B, C])",
                     f"    def p{who}(b: int32[{N}], c: int32[{N}, 2]):",
                     "        x: int32 = 1", *lines]  # fmt: skip
        return "\n".join(head) + "\n"


@pytest.mark.parametrize("seed", range(12))
def test_random_turns(seed):
    run(Turns(seed).text(), clock_mhz=[50, 120, 200][seed % 3])


@pytest.mark.long
@pytest.mark.parametrize("seed", range(12, 300))
def test_many_random_turns(seed):
    run(Turns(seed).text(), clock_mhz=[50, 120, 200][seed % 3])


@df.region()
def late(B: int32[11], C: int32[N]):
    begun: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[B, C])
    def read(b: int32[11], c: int32[N]):
        total: int32 = 0
        for i in range(N):
            begun.put(i)
            total += b[i * i * i % 11]
        c[0] = total

    @df.kernel(mapping=[1], args=[B])
    def renew(b: int32[11]):
        for i in range(N):
            n: int32 = begun.get()
            if i == 1:
                b[0] = n
            if i == 2:
                b[1] = n
            if i == 3:
                b[8] = n


@pytest.mark.parametrize("clock_mhz", [50, 200])
def test_what_is_read_in_one_iteration_is_read_before_the_put_of_the_next(clock_mhz):
    run(late, clock_mhz)
