"""The command line, as a user types it."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from allo_rtl import __main__ as cli
from allo_rtl.ir.types import ArrayType, Int, UInt, index, int8, int32
from allo_rtl.rtl.interface import ArrayPort, Direction, KernelInterface, ScalarPort

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
'''


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kernels.py").write_text(KERNELS)
    return tmp_path


def run(*args: str) -> Result:
    return CliRunner().invoke(cli.app, args)


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
    assert result.output.startswith("scale on ecp5-85 at 100 MHz\n")
    assert result.output.endswith("pictures/scale.svg\n")
    assert (kernels / "pictures" / "scale.svg").read_text().startswith("<svg ")


def test_simulate_compares_hardware_with_the_cpu_build(kernels: Path) -> None:
    result = run("simulate", "kernels.py:pipelined", "--seed", "3", "--waves", "scale.vcd")
    assert result.exit_code == 0, result.output
    predicted, measured, waves, verdict = result.output.splitlines()
    assert predicted.removeprefix("cycles predicted: ") == measured.removeprefix(
        "cycles measured:  "
    )
    assert waves == "waveforms: scale.vcd"
    assert verdict == "hardware and CPU agree"
    assert "gain" in (kernels / "scale.vcd").read_text()


def test_an_error_in_a_kernel_is_shown_without_a_traceback(kernels: Path) -> None:
    result = run("report", "kernels.py:not_a_kernel")
    assert result.exit_code == 1
    assert "kernels.py:23:5: error: " in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


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
        ("kernels.py:number", "kernels.py:number is a int, not a kernel or a Schedule"),
    ],
)
def test_a_wrong_name_is_a_usage_error(kernels: Path, spec: str, message: str) -> None:
    result = run("report", spec)
    assert result.exit_code == 2
    words = " ".join(result.stderr.replace("│", " ").split())
    assert message in words


@pytest.mark.parametrize("text", ["3", "a:b", "4:3"])
def test_a_wrong_range_is_a_usage_error(kernels: Path, text: str) -> None:
    assert run("simulate", "kernels.py:scale", "--values", text).exit_code == 2


INTERFACE = KernelInterface(
    "k",
    (
        ArrayPort("A", ArrayType(Int(7), (4, 30)), Direction.READ),
        ArrayPort("W", ArrayType(UInt(70), (50,)), Direction.READ),
        ScalarPort("n", index),
        ScalarPort("gain", int8),
    ),
)


def test_random_arguments_fit_their_ports() -> None:
    a, w, n, gain = cli.random_args(INTERFACE, np.random.default_rng(0))
    assert (a.shape, a.dtype, w.shape, w.dtype) == ((4, 30), np.int8, (50,), object)
    assert -64 <= a.min() < -32 < 32 < a.max() <= 63
    assert 0 <= min(w) < 2**69 < max(w) < 2**70
    assert 0 <= n <= 15
    assert -128 <= gain <= 127


def test_random_arguments_repeat_with_their_seed() -> None:
    first, again, other = (
        cli.random_args(INTERFACE, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert all(np.array_equal(x, y) for x, y in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_random_arguments_keep_to_a_range_and_to_their_type() -> None:
    a, w, n, gain = cli.random_args(INTERFACE, np.random.default_rng(0), (100, 300))
    assert set(a.flat) == {63}
    assert min(w) >= 100
    assert max(w) <= 300
    assert 100 <= n <= 300
    assert 100 <= gain <= 127


class Hardware:
    """Adds into its first argument and returns two numbers, one wrong on demand."""

    interface = KernelInterface(
        "k",
        (ArrayPort("A", int32[2], Direction.READ_WRITE), ScalarPort("b", int32)),
        (ScalarPort("low", int32), ScalarPort("high", int32)),
    )

    def __init__(self, error_in: str = "") -> None:
        self.error_in = error_in

    def __call__(self, a: np.ndarray, b: int) -> list[int]:
        a += b + (self.error_in == "A")
        return [1, 2 + (self.error_in == "high")]


def test_comparison_names_the_argument_or_result_that_differs() -> None:
    args = [np.array([1, 2], np.int32), 3]
    assert cli.compare(Hardware(), Hardware(), args) == []
    assert cli.compare(Hardware(), Hardware("A"), args) == ["A"]
    assert cli.compare(Hardware(), Hardware("high"), args) == ["high"]
    assert list(args[0]) == [1, 2]
