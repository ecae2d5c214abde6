"""``python -m allo_rtl fuzz`` and what it counts; random schedules of many kernels."""

import pytest
import test_fuzz_schedules as corpus
import test_schedule_buffers as buffers
import test_schedule_hierarchy as hierarchy
from typer.testing import CliRunner

import allo_rtl as allo
from allo_rtl.__main__ import app
from allo_rtl.fuzz import Findings, _judge, fuzz
from allo_rtl.ir.types import float32, int32
from allo_rtl.sim.fuzz import run_in_amaranth


def float_rows(A: float32[4, 6]) -> float32[4]:
    s: float32[4] = 0.0
    for i, j in allo.grid(4, 6):
        s[i] += A[i, j] * 0.5
    return s


KERNELS = [
    *corpus.KERNELS, buffers.blur, buffers.stages, buffers.strided, buffers.triangle,
    buffers.longer, buffers.sweep, buffers.in_place, buffers.slopes, float_rows,
    hierarchy.top, hierarchy.rows, hierarchy.conditional, hierarchy.scaled,
]  # fmt: skip


def broken(A: int32[4]) -> int32[4]:
    B: int32[4] = A
    return B


def other(A: int32[4]) -> int32[4]:
    B: int32[4] = A
    B[2] = B[2] + 1
    return B


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.__name__)
def test_no_accepted_schedule_changes_a_result(kernel):
    found = fuzz(allo.customize(kernel), 8)
    assert found.failures == []
    assert found.proved + found.tested == 8
    assert found.accepted


@pytest.mark.long
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.__name__)
def test_no_accepted_schedule_changes_a_result_in_hardware_either(kernel):
    found = fuzz(allo.customize(kernel), 80, seed=1, hardware=run_in_amaranth)
    assert found.failures == []
    assert found.built


def total(A: float32[4, 6]) -> float32:
    t: float32 = 0.0
    for i, j in allo.reduction(4, 6):
        t += A[i, j]
    return t


def test_sums_that_may_be_rounded_in_another_order_are_counted_apart():
    found = fuzz(allo.customize(total), 20)
    assert found.failures == []
    assert found.reordered > 0
    assert found.proved + found.tested + found.reordered == 20


def test_a_change_would_be_found():
    found = Findings()
    _judge(allo.customize(broken).module, allo.customize(other), found)
    ((_, reason),) = found.failures
    assert reason.startswith("result 1[2] is ")


def test_what_is_refused_is_counted_by_reason():
    found = fuzz(allo.customize(buffers.in_place), 30)
    reasons = {reason for name, reason in found.refused if name == "parallel"}
    assert any(r.startswith("illegal: parallel... would change what the") for r in reasons)


def test_the_command(tmp_path):
    source = tmp_path / "kernel.py"
    source.write_text(
        "import allo_rtl as allo\nfrom allo_rtl.ir.types import int32\n\n"
        "def add(A: int32[8], B: int32[8]) -> int32[8]:\n"
        "    C: int32[8]\n"
        "    for i in range(8):\n        C[i] = A[i] + B[i]\n    return C\n"
    )
    result = CliRunner().invoke(app, ["fuzz", f"{source}:add", "--runs", "6"])
    assert result.exit_code == 0, result.output
    assert "6 random schedules" in result.output
    assert "the same for all inputs (proved)" in result.output
