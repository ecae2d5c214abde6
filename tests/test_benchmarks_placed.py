"""What the benchmarks that place and route keep, and what they say about it."""

import pytest

from allo_rtl.rtl_module import RtlModule
from benchmarks import closure, handwritten, polybench_u32_ecp5
from benchmarks.closure_kernels import KERNELS
from benchmarks.pages import PAGE
from benchmarks.placed import Placed, hash_of
from benchmarks.polybench_u32 import CASES


def test_designs_are_told_apart_by_their_hardware_only():
    text = '// at 80 MHz\nmodule a(b);\n  (* src = "k.py:7" *)\n  wire b_line7 = 1;\nendmodule\n'
    moved = text.replace("at 80 MHz", "at 90 MHz").replace("line7", "line9").replace(":7", ":9")
    assert hash_of(text) == hash_of(moved)
    assert hash_of(text) != hash_of(text.replace("= 1", "= 0"))


def test_results_are_those_of_a_design(tmp_path):
    placed = Placed("test", tmp_path)
    assert placed.get("gemm") is None
    placed.put("gemm", "abc", {"mhz": 80.5})
    for kept in (placed, Placed("test", tmp_path)):
        assert kept.get("gemm") == {"design": "abc", "mhz": 80.5}
        assert kept.get("gemm", "abc") is not None
        assert kept.get("gemm", "another") is None


def test_a_clock_counts_as_met_only_where_the_kernel_fits():
    met = closure.Outcome((55.0, 61.5), (64, 65), "")
    missed = closure.Outcome((50.0, 52.0), (64, None), "60.0 MHz is not reached")
    large = closure.Outcome((), (64, 64), "30 DSP of 20", fits=False)
    assert [o.met for o in (met, missed, large)] == [True, False, False]
    assert closure.row("k", "b", 60.0, met) == (
        "k", "b", "60", "55.0", "61.5", "2", "64", "65", "yes",
    )  # fmt: skip
    assert closure.row("k", "b", 60.0, large)[-1] == "does not fit"
    lines = closure.summary([("k", "b", 60.0, o) for o in (met, missed, large)])
    assert lines == [
        "1 of 2 meet the clock (50%), 0 of them with the first build; 1 do not fit. By board: "
        "b at 60 MHz 1/2.",
        "", "- k, b at 60 MHz: 60.0 MHz is not reached", "- k, b at 60 MHz: 30 DSP of 20",
    ]  # fmt: skip


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_of_the_closure_benchmark_are_those_that_were_measured(kernel):
    """All are built for each target; the page has them."""
    assert isinstance(closure.build(kernel, "ulx3s-85f", 60.0), RtlModule)


def test_page_has_the_kept_results():
    page = PAGE.read_text(encoding="utf-8")
    kept = Placed("polybench_u32_ecp5")
    for case in CASES:
        if found := kept.get(polybench_u32_ecp5.key(case)):
            assert "| " + " | ".join(polybench_u32_ecp5.row(case, found)) + " |" in page
    results = Placed("closure")
    for kernel in KERNELS:
        for board, clock in closure.TARGETS:
            if found := results.get(closure.key(kernel, board, clock)):
                line = closure.row(kernel, board, clock, closure.outcome(found))
                assert "| " + " | ".join(line) + " |" in page


def test_compiled_kernels_are_as_good_as_those_written_by_hand():
    """In what was measured and is on the page."""
    page, kept = PAGE.read_text(encoding="utf-8"), Placed("handwritten")
    lines = handwritten.all_rows(kept)
    assert lines
    assert all("| " + " | ".join(line) + " |" in page for line in lines)
    for line in lines:
        if line[3] == "ratio":
            cycles, lut, fmax = float(line[4]), float(line[5]), float(line[9])
            assert (cycles <= 1.0, lut <= 1.2, fmax >= 0.95) == (True, True, True), line
