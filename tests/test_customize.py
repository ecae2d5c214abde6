"""``allo.customize``: what it takes, and what the schedule tells of the kernel."""

import importlib.util
import logging

import numpy as np
import pytest

import allo_rtl as allo
from allo_rtl.errors import LanguageError
from allo_rtl.ir.types import int8, int32

FUTURE = '''
from __future__ import annotations

import allo_rtl as allo
from allo_rtl.ir.types import int16, int32

N = 4


def scale[T, M](A: T[M], by: T = 2) -> T[M]:
    B: T[M] = 0
    for i in range(M):
        B[i] = A[i] * by
    return B


def top(A: int16[N]) -> (int16[N], int32):
    return scale[int16, N](A), N
'''


def doubled[M](A: "int32[M]", by: int32 = 2):
    for i in range(M):
        A[i] *= by


def plain(A: int32[4]):
    doubled[4](A)


def test_every_keyword_of_allo_is_accepted_in_its_place():
    schedule = allo.customize(doubled, False, False, False, None, [4], None, "default", True)
    assert schedule.inst_list == [4]
    other = allo.customize(
        plain,
        verbose=False,
        enable_tensor=True,
        lower_linalg=True,
        global_vars={"doubled": doubled},
        instantiate=None,
        context=None,
        typing_rule_set="cpp-style",
        unroll=False,
    )
    assert other.func_instances == {"plain": ["plain"], "doubled": ["doubled"]}
    assert other.inst_list == []


def test_verbose_logs_the_source_and_the_loops(caplog):
    with caplog.at_level(logging.INFO, logger="allo_rtl"):
        schedule = allo.customize(plain, verbose=True)
    source = "def plain(A: int32[4]):\n    doubled[4](A)\n"
    assert caplog.records[0].getMessage() == source + str(schedule)
    assert "for i" in str(schedule)


def test_the_typing_rules_are_those_asked_for():
    text = "def f(a: int8, b: int8) -> int32:\n    return a + b\n"
    results = [
        allo.customize(text, typing_rule_set=rules).build()(100, 100)
        for rules in ("default", "cpp-style")
    ]
    assert results == [200, int8.wrap(200)]
    with pytest.raises(LanguageError) as caught:
        allo.customize(text, typing_rule_set="c")
    assert str(caught.value) == (
        "there is no typing rule set 'c'\n  allowed: \"default\", \"cpp-style\""
    )


def test_a_module_whose_annotations_are_not_evaluated(tmp_path):
    path = tmp_path / "future_kernels.py"
    path.write_text(FUTURE)
    spec = importlib.util.spec_from_file_location("future_kernels", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    schedule = allo.customize(module.top)
    B, n = schedule.build()(np.arange(4, dtype=np.int16))
    assert (B.tolist(), n) == ([0, 2, 4, 6], 4)
    assert [f.name for f in schedule.module.funcs] == ["scale", "top"]


def test_errors_of_several_instances_are_told_once():
    def broken[M](A: "int32[4]"):
        A[0] = unknown + M

    def kernel(A: int32[4]):
        broken[1](A)
        broken[2](A)

    with pytest.raises(LanguageError) as caught:
        allo.customize(kernel)
    assert caught.value.message == "unknown name 'unknown'"


def test_numbers_of_numpy_are_parameters_too():
    A = np.arange(4, dtype=np.int32)
    allo.customize(doubled, instantiate=[np.int64(4)]).build()(A, 3)
    assert A.tolist() == [0, 3, 6, 9]
