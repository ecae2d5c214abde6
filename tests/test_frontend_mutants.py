"""Kernels with parts exchanged at random become valid modules, or are refused in words."""

import ast
import copy
import random

import pytest
from test_frontend_errors import CASES, NAMES

from allo_rtl.errors import LanguageError
from allo_rtl.frontend import lower_kernel
from allo_rtl.ir.verify import verify_module


def parsed():
    """The kernels of the golden files that are Python."""
    for text, _ in CASES:
        try:
            (kernel,) = ast.parse(text).body
        except (SyntaxError, ValueError):
            continue
        if isinstance(kernel, ast.FunctionDef):
            yield kernel


KERNELS = list(parsed())
PARTS = [node for kernel in KERNELS for node in ast.walk(kernel) if node is not kernel]
EXPRESSIONS = [n for n in PARTS if isinstance(n, ast.expr)]
EXPRESSIONS = [n for n in EXPRESSIONS if isinstance(getattr(n, "ctx", ast.Load()), ast.Load)]
STATEMENTS = [n for n in PARTS if isinstance(n, ast.stmt)]


class Exchange(ast.NodeTransformer):
    """Puts parts of other kernels in the place of some of a kernel's."""

    def __init__(self, dice, rate):
        self.dice, self.rate = dice, rate

    def visit(self, node):
        if isinstance(node, ast.JoinedStr):
            return node  # Not every part may stand in an f-string.
        node = self.generic_visit(node)
        is_value = isinstance(node, ast.expr)
        is_value &= isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        if is_value and self.dice.random() < self.rate:
            return copy.deepcopy(self.dice.choice(EXPRESSIONS))
        is_statement = isinstance(node, ast.stmt) and not isinstance(node, ast.FunctionDef)
        if is_statement and self.dice.random() < self.rate:
            return copy.deepcopy(self.dice.choice(STATEMENTS))
        return node


def mutate(seed):
    dice = random.Random(seed)
    exchange = Exchange(dice, dice.choice([0.01, 0.03, 0.1]))
    tree = exchange.visit(copy.deepcopy(dice.choice(KERNELS)))
    text = ast.unparse(ast.fix_missing_locations(tree))
    try:
        module = lower_kernel(text, global_vars=NAMES)
    except LanguageError:
        return
    verify_module(module)


@pytest.mark.parametrize("start", range(0, 200, 50))
def test_mutants(start):
    for seed in range(start, start + 50):
        mutate(seed)


@pytest.mark.long
def test_many_mutants():
    for seed in range(200, 20_000):
        mutate(seed)
