"""``while``, ``break``, ``continue`` and early ``return``: what Python means by them."""

import random
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import allo_rtl.frontend.dsl as allo
from allo_rtl.errors import LanguageError
from allo_rtl.frontend import lower_kernel
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.ops import While
from allo_rtl.ir.rewrite import loops, walk
from allo_rtl.ir.types import ArrayType, int32
from allo_rtl.ir.verify import verify_module


def lowered(kernel):
    module = lower_kernel(kernel)
    verify_module(module)
    return module


def agree(kernel, args, module=None):
    """The kernel computes what Python computes, in its results and in its array arguments."""
    expected = [np.copy(a) if isinstance(a, np.ndarray) else a for a in args]
    wanted = kernel(*expected)
    found = evaluate(module or lowered(kernel), args)
    assert (found[0] if len(found) == 1 else found or None) == wanted
    for one, other in zip(args, expected, strict=True):
        assert np.array_equal(one, other)


def gcd(a: int32, b: int32) -> int32:
    while b != 0:
        a, b = b, a - a // b * b
    return a


def collatz(n: int32) -> int32:
    steps: int32 = 0
    while n > 1 and steps < 100:
        if n % 2 == 0:
            n //= 2
            steps += 1
            continue
        n = 3 * n + 1
        steps += 1
    return steps


def find(A: int32[8], x: int32) -> int32:
    for i in range(8):
        if A[i] == x:
            return i
    return -1


def first_in_rows(A: int32[8, 8], B: int32[8]):
    for i in range(8):
        for j in range(i, 8, 2):
            if A[i, j] > 90:
                B[i] = j
                break
            if A[i, j] < 0:
                continue
            B[i] += 1
        if B[i] == 3:
            break


def out_of_a_nest(A: int32[8, 8], B: int32[8]):
    for i, j in allo.grid(8, 8, name="search"):
        if A[i, j] > 90:
            break
        if A[i, j] < 0:
            continue
        B[j] += 1
    for i in allo.grid(8, pipeline=2):
        if A[0, i] > 70:
            break
        B[i] += 10


def until_broken(A: int32[8]) -> int32:
    i: int32 = 0
    while True:
        if i == 8:
            break
        if A[i] > 50:
            break
        i += 1
    return i


def guarded_test(A: int32[8]) -> int32:
    """After the break, ``A[i]`` of the test would be out of range."""
    i: int32 = 0
    while A[i] < 50:
        i += 1
        if i == 8:
            break
    return i


def early(A: int32[8], n: int32) -> int32[8]:
    B: int32[8] = 1
    if n < 0:
        return A
    for i in range(n):
        B[i] = 2
        if A[i] > 60:
            B[i] = 3
            return B
        else:
            while True:
                B[i] += 1
                if B[i] > A[i]:
                    break
                if B[i] == 20:
                    return B
    return B


KERNELS = [collatz, find, first_in_rows, out_of_a_nest, until_broken, guarded_test, gcd]


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.__name__)
def test_loops_that_end_early_do_what_python_does(kernel):
    module, source = lowered(kernel), np.random.default_rng(3)
    for _ in range(12):
        types = [a.type for a in module.top_func.args]
        shapes = [t.shape if isinstance(t, ArrayType) else () for t in types]
        args = [source.integers(-20, 100, s) if s else int(source.integers(0, 40)) for s in shapes]
        if kernel is find and args[1] % 2:
            args[1] = int(args[0][args[1] % 8])
        agree(kernel, args, module)


@pytest.mark.parametrize("n", [-1, 0, 3, 8])
def test_arrays_are_returned_early(n):
    module = lowered(early)
    for seed in range(5):
        A = np.random.default_rng(seed).integers(-20, 100, 8)
        (found,) = evaluate(module, [A, n])
        if n < 0:
            assert found.tolist() == A.tolist()
        else:
            assert found.tolist() == by_hand(A, n)


def by_hand(A, n):
    B = [1] * 8
    for i in range(n):
        B[i] = 2
        if A[i] > 60:
            B[i] = 3
            return B
        while True:
            B[i] += 1
            if B[i] > A[i]:
                break
            if B[i] == 20:
                return B
    return B


def test_returns_of_nothing_and_of_several_values():
    def store(A: int32[4], n: int32):
        if n > 3:
            return
        A[n] = 1

    def ordered(a: int32, b: int32) -> (int32, int32):
        if a <= b:
            return a, b
        else:
            return b, a

    A, module = np.zeros(4, int), lowered(store)
    evaluate(module, [A, 4])
    evaluate(module, [A, 2])
    assert A.tolist() == [0, 0, 1, 0]
    assert evaluate(lowered(ordered), [5, 3]) == (3, 5)


def test_a_loop_that_ends_early_stays_a_for_loop_when_it_has_a_name_or_pragma():
    def plain(A: int32[8]):
        for i in range(8):
            if A[i] > 0:
                break

    def named(A: int32[8]):
        for i in allo.grid(8, name="search"):
            if A[i] > 0:
                break

    def skipping(A: int32[8]):
        for i in range(8):
            if A[i] > 0:
                continue
            A[i] = 1

    shapes = [
        (sum(isinstance(op, While) for op in walk(body)), len(list(loops(body))))
        for body in (lowered(k).top_func.body for k in (plain, named, skipping))
    ]
    assert shapes == [(1, 0), (0, 1), (0, 1)]


def test_the_bounds_of_a_loop_are_computed_once():
    def kernel(n: int32) -> int32:
        count: int32 = 0
        for i in range(n, n + 5):
            n += 10
            count += i
            if count > 1000:
                break
        return count

    agree(kernel, [3])


def test_names_declared_after_a_continue_are_known_in_the_rest_of_the_body():
    def kernel(A: int32[8]) -> int32:
        total: int32 = 0
        for i in range(8):
            if A[i] < 0:
                continue
            x: int32 = A[i]
            for j in range(2):
                x += j
            y = x * 2
            total += y
        return total

    agree(kernel, [np.array([1, -1, 2, 0, -5, 7, 8, 9])])


# Random programs

STEPS = [
    "s += {v} * 3 + 1",
    "s ^= A[{v} % 8]",
    "A[(s + {v}) % 8] += 1",
    "s, A[{v} % 8] = A[{v} % 8], s % 90",
    "s += halved(s % 50, y={v})",
    "s = halved(A[s % 8]) if s % 3 > 1 and A[{v} % 8] > 2 else s + 1",
]


def halved(x: int32, y: int32 = 1) -> int32:
    while x > 3:
        x -= y + 2
        if x < 0:
            break  # The remainder has the sign of x: it is not Python's.
        if x % 4 == 1:
            return x + y
        if x % 5 == 2:
            continue
        x //= 2
    return max(x, 0)


NAMES = {"int32": int32, "allo": allo, "halved": halved}


def program(source, depth, loop, level=0):
    """Statements with loops and jumps in them, as lines."""
    lines = []
    for _ in range(source.randint(1, 3)):
        choice = source.random()
        v = f"v{source.randrange(level)}" if level else "n"
        if choice < 0.3 and depth:
            lines += [f"if (s + {v}) % {source.randint(2, 5)} == {source.randint(0, 2)}:"]
            lines += indented(program(source, depth - 1, loop, level))
            if source.random() < 0.4:
                lines += ["else:", *indented(program(source, depth - 1, loop, level))]
        elif choice < 0.6 and depth:
            lines += loop_of(source, depth, level)
        elif choice < 0.75 and loop:
            lines += [source.choice(["break", "continue"])]
        elif choice < 0.78:
            lines += ["return s"]
        else:
            lines += [source.choice(STEPS).format(v=v)]
    return lines


def loop_of(source, depth, level):
    if source.random() < 0.7:
        bounds = source.choice(["6", "n", "1, 7, 2", "n, 9"])
        call = source.choice(["range({})", "range({})", 'allo.grid(5, name="g")']).format(bounds)
        return [
            f"for v{level} in {call}:",
            *indented(program(source, depth - 1, True, level + 1)),
        ]
    name = f"w{level}_{source.randrange(10**6)}"
    body = indented([f"{name} += 1", *program(source, depth - 1, True, level)])
    return [f"{name}: int32 = 0", f"while {name} < {source.randint(1, 6)}:", *body]


def indented(lines):
    return ["    " + line for line in lines]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_random_nests_of_loops_and_jumps_do_what_python_does(seed):
    lines = program(random.Random(seed), 4, False)
    text = "def kernel(A: int32[8], n: int32) -> int32:\n" + textwrap.indent(
        "\n".join(["s: int32 = 0", *lines, "return s"]), "    "
    )
    names = dict(NAMES)
    exec(text, names)
    module = lower_kernel(text, global_vars=names)
    verify_module(module)
    for n in (0, 4):
        mine = np.arange(8, dtype=object) * 7 % 5
        theirs = mine.copy()
        expected = names["kernel"](theirs, n)
        assert evaluate(module, [mine, n]) == (int32.wrap(expected),)
        assert mine.tolist() == [int32.wrap(x) for x in theirs]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "def f(A: int32[4]):\n    break\n",
            "<kernel>:2:5: error: this is not Python: 'break' outside loop\n"
            "    2 |     break\n"
            "      |     ^~~~~",
        ),
        (
            "def f(A: int32[4]):\n    while A[0] > 0:\n        A[0] -= 1\n"
            "    else:\n        A[1] = 1\n",
            "<kernel>:5:9: error: 'else' of a loop is not supported\n"
            "    5 |         A[1] = 1\n"
            "      |         ^~~~~~~~\n"
            "  hint: set a variable before 'break', and test it after the loop",
        ),
        (
            "def f(A: int32[4]) -> int32:\n    for i in range(4):\n        if A[i] > 0:\n"
            "            return i\n",
            "<kernel>:1:23: error: the kernel 'f' may end without returning a result\n"
            "    1 | def f(A: int32[4]) -> int32:\n"
            "      |                       ^~~~~\n"
            "  hint: end it with 'return ...'",
        ),
        (
            "def f(A: int32[4]) -> int32:\n    if A[0] > 0:\n        return A\n    return 1, 2\n",
            "<kernel>:3:16: error: 'A' is int32[4], the result is declared int32\n"
            "    3 |         return A\n"
            "      |                ^\n\n"
            "<kernel>:4:5: error: 2 values returned, 1 declared\n"
            "    4 |     return 1, 2\n"
            "      |     ^~~~~~~~~~~",
        ),
        (
            "def f(A: int32[4]):\n    for i in range(4):\n        break\n    A[0] = i\n",
            "<kernel>:4:12: error: 'i' is not known here\n"
            "    4 |     A[0] = i\n"
            "      |            ^\n"
            "  note: <kernel>:2:9: it was declared in a block that has ended\n"
            "    2 |     for i in range(4):\n"
            "      |         ^\n"
            "  hint: declare 'i' before that block",
        ),
    ],
)
def test_what_is_refused(text, error):
    with pytest.raises(LanguageError) as caught:
        lower_kernel(text, global_vars={})
    assert str(caught.value) == error
