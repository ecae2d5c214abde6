"""The command line, as a user types it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from allo_rtl import __main__ as cli
from allo_rtl.boards.bitstream import Bitstream
from allo_rtl.boards.toolchain import Usage
from allo_rtl.hls.render import BoardRow
from allo_rtl.rtl.interface import KernelInterface
from allo_rtl.sim.cases import random_case

KERNELS = '''\
import allo_rtl as allo
from allo_rtl.ir.types import int8, int32, index


def scale(x: int8[8], gain: int32) -> int32[8]:
    y: int32[8]
    for i in range(8):
        y[i] = x[i] * gain
    return y


def pipelined() -> "allo.Schedule":
    s = allo.customize(scale)
    s.pipeline("i")
    return s


ready = pipelined()
number = 3


def not_a_kernel(x: int8[8]) -> int8:
    with open("x"):
        pass
    return x[0]


def turned(x: int32[8], y: int32[8]):
    t: int32[8]
    for i in range(8):
        t[i] = x[i] + 1
    for j in range(8):
        y[j] = t[7 - j]


def apart(x: int32[8], y: int32[8], z: int32[8], w: int32[8]):
    for i in range(8):
        y[i] = x[i] * x[i] + (x[i] >> 3) * x[i]
    for j in range(8):
        w[j] = z[j] + 1


def both() -> "allo.Schedule":
    s = allo.customize(apart)
    s.pipeline("i")
    s.pipeline("j")
    return s


def packable() -> "allo.Schedule":
    def products(a: int8[8], b: int8[8], x: int8[8], y: int32[8], z: int32[8]):
        for i in range(8):
            y[i] = a[i] * x[i]
            z[i] = b[i] * x[i]

    s = allo.customize(products)
    s.pipeline("i")
    return s


def overlapping() -> "allo.Schedule":
    s = allo.customize(turned)
    s.pipeline("i")
    s.pipeline("j")
    s.dataflow("turned")
    s.interface("x", "stream")
    s.interface("y", "stream")
    return s
'''


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kernels.py").write_text(KERNELS)
    return tmp_path


def run(*args: str) -> Result:
    return CliRunner().invoke(cli.app, args)


MLIR = """\
func.func @helper(%x: i8) -> i8 { return %x : i8 }
func.func @twice(%x: i8) -> i8 {
  %0 = arith.addi %x, %x : i8
  return %0 : i8
}
"""


def test_an_mlir_file_is_a_kernel_too(kernels: Path) -> None:
    (kernels / "k.mlir").write_text(MLIR)
    for spec, name in (("k.mlir", "twice"), ("k.mlir:helper", "helper")):
        result = run("report", spec, "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["kernel"] == name
    assert "there is no file 'no.mlir'" in run("report", "no.mlir").output
    missing = run("report", "k.mlir:nothing")
    assert missing.stderr == (
        "k.mlir:1:1: error: the module has no function 'nothing'\n  allowed: helper, twice\n"
    )


def test_compile_writes_and_lists_the_files(kernels: Path) -> None:
    result = run("compile", "kernels.py:pipelined", "-o", "out")
    assert result.exit_code == 0, result.output
    written = [Path(line) for line in result.output.splitlines()]
    assert all(path.is_file() and path.parts[0] == "out" for path in written)
    assert any(path.suffix == ".v" and "module scale" in path.read_text() for path in written)


@pytest.mark.parametrize("name", ["scale", "pipelined", "ready"])
def test_report_takes_a_kernel_a_schedule_and_what_makes_one(kernels: Path, name: str) -> None:
    result = run("report", f"kernels.py:{name}", "--json", "--clock-mhz", "50")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["kernel"], report["clock_mhz"]) == ("scale", 50.0)
    assert [loop["ii"] for loop in report["loops"]] == [None if name == "scale" else 1]


def test_report_prints_tables_and_draws(kernels: Path) -> None:
    result = run("report", "kernels.py:ready", "--svg", "pictures/scale.svg")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("scale on ecp5-85 at 50 MHz\n")
    assert result.output.endswith("pictures/scale.svg\n")
    assert (kernels / "pictures" / "scale.svg").read_text().startswith("<svg ")


def test_simulate_compares_hardware_with_the_golden_model(kernels: Path) -> None:
    result = run("simulate", "kernels.py:pipelined", "--seed", "3", "--waves", "scale.vcd")
    assert result.exit_code == 0, result.output
    predicted, measured, waves, verdict = result.output.splitlines()
    assert predicted.removeprefix("cycles predicted: ") == measured.removeprefix(
        "cycles measured:  "
    )
    assert waves == "waveforms: scale.vcd"
    assert verdict == "hardware and golden model agree"
    assert "gain" in (kernels / "scale.vcd").read_text()


def test_runs_that_overlap_are_simulated_and_reported(kernels: Path) -> None:
    result = run("simulate", "kernels.py:overlapping", "--overlap-runs", "3")
    assert result.exit_code == 0, result.output
    predicted, measured, between, ends, verdict = result.output.splitlines()
    cycles = [int(x) for x in ends.removeprefix("ends of 8 runs: ").split(", ")]
    assert predicted.split()[-1] == measured.split()[-1] == str(cycles[0])
    interval = int(between.removeprefix("cycles between runs, predicted: "))
    assert cycles == [cycles[0] + k * interval for k in range(8)]
    assert verdict == "hardware and golden model agree"
    result = run("report", "kernels.py:overlapping", "--overlap-runs", "3", "--json")
    assert json.loads(result.output)["overlap"]["cycles"] == interval
    result = run("report", "kernels.py:pipelined", "--overlap-runs", "3")
    assert result.exit_code == 1
    assert "x is no stream" in result.stderr


def test_units_are_limited_by_name(kernels: Path) -> None:
    def told(*options: str) -> tuple[int, int]:
        result = run("report", "kernels.py:both", "--json", *options)
        assert result.exit_code == 0, result.output
        report = json.loads(result.stdout)
        return report["loops"][0]["ii"], report["latency"]

    plain, limited = told(), told("--units", "mul=1", "--units", "float32 add=2")
    assert (plain[0], limited[0]) == (1, 2)
    assert limited[1] > plain[1]
    assert told("--no-overlap")[1] > told("--overlap")[1] == plain[1]
    result = run("report", "kernels.py:both", "--units", "mull=1")
    assert result.exit_code == 1
    assert "'mull' is no unit" in result.stderr
    for wrong in ("mul", "mul=", "mul=one", "mul=-1", "=1"):
        result = run("simulate", "kernels.py:both", "--units", wrong)
        assert result.exit_code != 0
        assert repr(wrong) in result.output or "'' is no unit" in result.output
    assert run("report", "kernels.py:both", "--units", "mul=1", "--units", "mul=2").exit_code == 2


def test_advice_and_simulation_keep_the_limits(kernels: Path) -> None:
    result = run("report", "kernels.py:both", "--units", "mul=1", "--advice")
    assert "units={'mul': 2}" in result.output
    result = run("simulate", "kernels.py:both", "--units", "mul=1", "--no-overlap")
    assert result.exit_code == 0, result.output
    predicted, measured, verdict = result.output.splitlines()
    assert predicted.split()[-1] == measured.split()[-1]
    assert verdict == "hardware and golden model agree"


def test_products_are_packed_where_asked_for(kernels: Path) -> None:
    for options, count in (((), 2), (("--pack-products",), 1)):
        result = run(
            "report", "kernels.py:packable", "--device", "ultrascale+", "--json", *options
        )
        units = json.loads(result.stdout)["units"]
        assert sum(n for name, n in units.items() if name.startswith("mul")) == count


def test_an_error_in_a_kernel_is_shown_without_a_traceback(kernels: Path) -> None:
    result = run("report", "kernels.py:not_a_kernel")
    assert result.exit_code == 1
    assert "kernels.py:23:10: error: " in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


FAULTY = """\
def raises():
    raise ValueError("mine")
"""


def test_what_a_users_own_code_raises_is_shown_from_its_first_line_on(kernels: Path) -> None:
    (kernels / "faulty.py").write_text(FAULTY)
    result = run("report", "faulty.py:raises")
    assert result.exit_code == 1
    assert result.stderr == (
        "Traceback (most recent call last):\n"
        f'  File "{kernels / "faulty.py"}", line 2, in raises\n'
        '    raise ValueError("mine")\n'
        "ValueError: mine\n"
    )


def test_a_file_with_a_syntax_error_is_shown_without_our_traceback(kernels: Path) -> None:
    (kernels / "syntax.py").write_text("def f(:\n")
    result = run("report", "syntax.py:f")
    assert result.exit_code == 1
    assert result.stderr.startswith(f'  File "{kernels / "syntax.py"}", line 1\n')


def test_a_folder_that_cannot_be_written_is_named(kernels: Path) -> None:
    result = run("compile", "kernels.py:scale", "-o", "kernels.py")
    assert result.exit_code == 1
    assert result.stderr == "'kernels.py': File exists\n"


def test_an_unknown_device_is_shown_with_what_there_is(kernels: Path) -> None:
    result = run("compile", "kernels.py:scale", "--device", "ecp5-86")
    assert result.exit_code == 1
    assert result.stderr.startswith("unknown device 'ecp5-86'\n  allowed: ice40-hx8k, ")
    assert result.stderr.endswith("  hint: did you mean 'ecp5-85'?\n")
    assert not (kernels / "out").exists()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("kernels.py", "'kernels.py' is not of the form file.py:kernel"),
        ("kernels.py:", "'kernels.py:' is not of the form file.py:kernel"),
        ("nowhere.py:scale", "there is no file 'nowhere.py'"),
        ("kernels.py:scal", "kernels.py has no 'scal'; it has scale, pipelined, ready, not_a_ker"),
        ("kernels.py:number", "kernels.py:number is of type int, not a kernel or a Schedule"),
    ],
)
def test_a_wrong_name_is_a_usage_error(kernels: Path, spec: str, message: str) -> None:
    result = run("report", spec)
    assert result.exit_code == 2
    words = " ".join(result.stderr.replace("│", " ").split())
    assert message in words


def test_a_wrong_result_or_argument_is_named(kernels: Path) -> None:
    schedule = cli.load("kernels.py:ready")
    rtl = schedule.build(target="rtl")
    case = random_case(schedule.module, np.random.default_rng(0))
    assert cli.run_cases(rtl, [case], None) == ([], [rtl.predicted_cycles], None)
    result = case.results[0] + np.uint64(1)
    assert cli.run_cases(rtl, [replace(case, results=(result,))], None)[0] == ["y"]
    other = (case.after[0] + np.uint64(1), case.after[1])
    assert cli.run_cases(rtl, [replace(case, after=other)], None)[0] == ["x"]


def test_board_row_takes_what_the_chip_has() -> None:
    usage = {"LUT": Usage(3, 10), "FF": Usage(2, 10), "BRAM": Usage(1, 4)}
    bits = Bitstream("b", Path("b.bit"), usage, 40.0, 27.0, Path("log"), KernelInterface("k", ()))
    assert cli.board_row(bits) == BoardRow("b", (3, 10), (2, 10), (1, 4), None, 40.0, 27.0)


def test_report_gives_advice(tmp_path):
    (tmp_path / "window.py").write_text(
        "import allo_rtl as allo\n"
        "from allo_rtl.ir.types import int32\n\n\n"
        "def window(A: int32[9], B: int32[8]):\n"
        "    for i in range(8):\n"
        "        B[i] = A[i] + A[i + 1]\n\n\n"
        "s = allo.customize(window)\n"
        's.pipeline("i")\n'
    )
    result = run("report", f"{tmp_path / 'window.py'}:s", "--advice")
    assert result.exit_code == 0, result.output
    assert "s.reuse_at('A', 'i')\n  II 2 -> 1" in result.output
