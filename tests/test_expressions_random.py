"""Random kernels over all scalar types and operators: the evaluator against a second reading."""

import numpy as np
import pytest
from expression_generators import COUNTS, counted, counted_meaning, kernels, meaning
from hypothesis import given, settings

from allo_rtl.frontend import lower_kernel
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.mlir_parser import parse_module
from allo_rtl.ir.verify import verify_module


def lowered(case):
    module = lower_kernel(case.source, global_vars=case.names)
    verify_module(module)
    return module


def check(case):
    assert evaluate(lowered(case), case.inputs) == (meaning(case),)


def check_counted(case):
    results = np.zeros(len(COUNTS), dtype=object)
    evaluate(lowered(case), (*case.inputs, results))
    assert list(results) == [counted_meaning(case, i) for i in COUNTS]


@settings(max_examples=200, deadline=None)
@given(kernels())
def test_the_evaluator_computes_what_the_language_says(case):
    check(case)


@settings(max_examples=60, deadline=None)
@given(counted(depth=2))
def test_loop_counters_are_numbers_like_others(case):
    check_counted(case)


@pytest.mark.long
@settings(max_examples=5000, deadline=None)
@given(kernels(depth=4))
def test_many_kernels(case):
    check(case)


@pytest.mark.long
@settings(max_examples=3000, deadline=None)
@given(counted())
def test_many_loop_counters(case):
    check_counted(case)


@settings(max_examples=60, deadline=None)
@given(kernels())
def test_a_printed_kernel_is_read_again_as_it_was(case):
    module = lowered(case)
    again = parse_module(str(module))
    verify_module(again)
    assert str(again) == str(module)
    assert evaluate(again, case.inputs) == evaluate(module, case.inputs)
