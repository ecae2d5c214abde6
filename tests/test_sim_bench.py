"""The cocotb bench: what is written, that it passes, and that it notices what is wrong."""

import json

import numpy as np
import pytest
from sim_kernels import ADD_N, SCALARS

import allo_rtl as allo
from allo_rtl.errors import SimulationError
from allo_rtl.ir.types import Stateful, int16
from allo_rtl.sim.bench import Case, run_bench, write_bench
from allo_rtl.sim.marshal import to_words


def add_n(args):
    """The golden model of ADD_N."""
    words, n = args
    words[:] = (words + np.uint64(n & 0xFFFF)) & np.uint64(0xFFFF)
    return []


def case(n, cycles=5):
    return Case.of([to_words(np.arange(7), int16), n], add_n, cycles)


def test_case_keeps_the_inputs_and_the_golden_outputs():
    c = case(-1)
    assert c.inputs[0][:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert c.after[0][:, 0].tolist() == [0xFFFF, 0, 1, 2, 3, 4, 5]
    assert c.results == ()


def test_files_and_data_of_a_bench(tmp_path):
    paths = write_bench(tmp_path / "bench", *ADD_N, [case(-1)])
    names = ["add_n.v", "add_n.json", "kernel_bench.py", "test_add_n.py"]
    assert [p.name for p in paths] == names
    assert paths[0].read_text() == ADD_N[0]
    assert "def test_add_n(" in paths[3].read_text()
    assert json.loads(paths[1].read_text()) == {
        "arrays": {
            "A": {
                "type": "int16[7]",
                "banks": ["A_0", "A_1"],
                "depth": 4,
                "read": True,
                "write": True,
                "asynchronous": False,
                "bank": [0, 1, 0, 1, 0, 1, 0],
                "address": [0, 0, 1, 1, 2, 2, 3],
            }
        },
        "streams": {},
        "scalars": ["n"],
        "results": [],
        "stateful": False,
        "cases": [
            {
                "inputs": {"A": [0, 1, 2, 3, 4, 5, 6], "n": 255},
                "outputs": {"A": [0xFFFF, 0, 1, 2, 3, 4, 5]},
                "cycles": 5,
            }
        ],
    }


def test_data_of_a_bench_is_readable(tmp_path):
    paths = write_bench(tmp_path, *ADD_N, [case(-1)])
    lines = paths[1].read_text().splitlines()
    assert '      "banks": ["A_0", "A_1"],' in lines
    assert '        "A": [0, 1, 2, 3, 4, 5, 6],' in lines


def test_scalar_results_are_written_as_bit_patterns(tmp_path):
    c = Case((-1, 2, 3), (-1, 2, 3), (-2,))
    paths = write_bench(tmp_path, *SCALARS, [c])
    assert json.loads(paths[1].read_text())["cases"] == [
        {
            "inputs": {"int": 127, "a__b": 2, "while_": 3},
            "outputs": {"class": (1 << 48) - 2},
            "cycles": None,
        }
    ]


def test_writing_again_touches_only_what_changed(tmp_path):
    paths = write_bench(tmp_path, *ADD_N, [case(1)])
    before = [p.stat().st_mtime_ns for p in paths]
    write_bench(tmp_path, *ADD_N, [case(2)])
    changed = [p.name for p, t in zip(paths, before, strict=True) if p.stat().st_mtime_ns != t]
    assert changed == ["add_n.json"]


def test_a_bench_needs_a_case(tmp_path):
    with pytest.raises(SimulationError, match="a bench needs at least one case"):
        write_bench(tmp_path, *ADD_N, [])


def test_a_bench_whose_verilog_is_wrong_says_so(tmp_path):
    write_bench(tmp_path, "module add_n(; endmodule", ADD_N[1], [case(1)])
    with pytest.raises(SimulationError, match=r"(?s)no test of the bench .*syntax error"):
        run_bench(tmp_path)


def test_bench_passes_and_notices_wrong_data_and_wrong_cycles(request):
    # pytest's own cache folder: an unchanged bench is not compiled again in the next session.
    folder = request.config.cache.mkdir("allo_rtl_bench")
    write_bench(folder, *ADD_N, [case(-1), case(100), case(7)])
    assert run_bench(folder) == (4, 0)
    write_bench(folder, *ADD_N, [case(-1, cycles=6)])
    assert run_bench(folder) == (4, 4)
    wrong = case(1)
    wrong.after[0][6] += np.uint64(1)
    write_bench(folder, *ADD_N, [case(-1), wrong])
    assert run_bench(folder) == (4, 2)  # only the first case is held and reset


def test_a_bench_of_a_kernel_with_state_checks_first_runs(tmp_path):
    def filtered(x: int16) -> int16:
        last: int16[4] @ Stateful = [5, 6, 7, 8]
        total: int16 = x
        for i in range(3):
            last[i] = last[i + 1]
            total += last[i]
        last[3] = x
        return total

    allo.customize(filtered).build(target="rtl").write(tmp_path)
    assert run_bench(tmp_path) == (4, 0)


def never_ends(n: int16) -> int16:
    x: int16 = n
    while x < 2000:
        x = x // 2
    return x


def test_a_kernel_that_never_ends_on_random_data_gets_no_bench(tmp_path):
    rtl = allo.customize(never_ends).build(target="rtl")
    message = "^no bench is written: a while loop goes on for too long$"
    with pytest.warns(UserWarning, match=message):
        paths = rtl.write(tmp_path)
    assert "never_ends.v" in {p.name for p in paths}
    assert not (tmp_path / "test_never_ends.py").exists()
