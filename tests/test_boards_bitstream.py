import os
import warnings
from pathlib import Path

import kernels
import pytest
from amaranth.hdl import Fragment
from boards_kernels import ADD, Add

import allo_rtl as allo
from allo_rtl.boards.bitstream import Bitstream, build_bitstream
from allo_rtl.boards.toolchain import Usage, overflow, run_commands, tool_command
from allo_rtl.errors import BuildError, ToolError
from allo_rtl.ir.types import int32
from allo_rtl.rtl.interface import ArrayPort, Direction, KernelInterface


@pytest.mark.parametrize(
    ("board", "clock", "reached", "multipliers"),
    [
        ("icebreaker", 24, 24, 8), ("ulx3s-85f", None, 25, 156), ("tang-nano-9k", 50, 49.5, 20),
    ],
)  # fmt: skip
def test_bitstream(tmp_path, board, clock, reached, multipliers):
    steps = []
    built = build_bitstream(
        Add(), ADD, board, folder=tmp_path, clock_mhz=clock, progress=steps.append
    )
    assert built.path.parent == tmp_path / board
    assert built.path.stem == "add"
    assert built.path.stat().st_size > 10_000
    assert built.clock_mhz == reached
    assert built.fmax_mhz > 15
    assert built.meets_clock == (built.fmax_mhz >= reached)
    use = built.utilisation
    assert list(use) == ["LUT", "FF", "BRAM", "DSP"]
    assert use["DSP"] == Usage(0, multipliers)
    assert 300 < use["LUT"].used < 2500
    assert 300 < use["FF"].used < 900
    assert "nextpnr" in built.log.read_text()
    assert [s.split(" (")[0] for s in steps] == [
        f"{board}: elaboration", f"{board}: synthesis", f"{board}: placement and routing",
        f"{board}: packing",
    ]  # fmt: skip
    assert sorted(os.listdir(tmp_path)) == [board]
    files = built.path.parent.iterdir()
    named = [f.name for f in files if str(Path(__file__).parent).encode() in f.read_bytes()]
    assert named == []  # nothing tells where the sources were


def test_clock_that_cannot_be_made_leaves_nothing(tmp_path):
    kernel = Add()
    Fragment.get(kernel, None)  # or Amaranth warns that the kernel is never used
    with pytest.raises(BuildError, match=r"^a clock of 13 MHz cannot be made"):
        build_bitstream(kernel, ADD, "icebreaker", folder=tmp_path / "out", clock_mhz=13)
    assert not (tmp_path / "out").exists()


def test_schedule_for_another_chip_or_a_slower_clock_warns(tmp_path):
    """The clock cannot be made, so nothing is built; the warning comes first."""

    def attempt(device, made_mhz, clock_mhz):
        rtl = allo.customize(kernels.odd_dot).build(
            target="rtl", device=device, clock_mhz=made_mhz
        )
        with pytest.raises(BuildError, match="cannot be made"):
            rtl.bitstream("icebreaker", folder=tmp_path, clock_mhz=clock_mhz)

    text = (
        "^'odd_dot' was scheduled for {} at {} MHz and runs on ice40-up5k at 13 MHz; its clock "
        'may be missed. Build it with device="ice40-up5k", clock_mhz=13$'
    )
    with pytest.warns(UserWarning, match=text.format("ecp5-85", 13)):
        attempt("ecp5-85", 13, 13)
    with pytest.warns(UserWarning, match=text.format("ice40-up5k", 12)):
        attempt("ice40-up5k", 12, 13)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attempt("ice40-up5k", 24, 13)


def test_failing_tool_is_reported_and_keeps_only_its_log(tmp_path):
    with pytest.raises(ToolError) as error:
        build_bitstream(
            Add(), ADD, "icebreaker", folder=tmp_path, extra_sources={"bad.v": "modul nothing;"}
        )
    log = tmp_path / "icebreaker-failed.log"
    assert str(error.value) == (
        "synthesis of icebreaker (yosys) failed:\n"
        "bad.v:1: ERROR: syntax error, unexpected TOK_ID\n"
        f"  hint: the whole log is {log}"
    )
    assert os.listdir(tmp_path) == ["icebreaker-failed.log"]
    assert "syntax error" in log.read_text()


def test_builds_may_run_at_once(tmp_path, monkeypatch):
    """A build that changed the process's folder would write into another one's."""

    def refuse(path):
        raise AssertionError(f"the working folder was changed to {path}")

    monkeypatch.setattr(os, "chdir", refuse)
    with pytest.raises(ToolError, match="syntax error"):
        build_bitstream(
            Add(), ADD, "icebreaker", folder=tmp_path, extra_sources={"bad.v": "modul nothing;"}
        )


def test_design_that_does_not_fit_names_what_overflows():
    log = (
        "Info: Device utilisation:\n"
        "Info: \t         ICESTORM_LC:    6100/   5280   115%\n"
        "Info: \t        ICESTORM_RAM:      31/     30   103%\n"
        "Info: \t               SB_IO:       3/     39     7%\n"
        "ERROR: Unable to place cell 'x', no BELs remaining to implement cell type 'ICESTORM_LC'\n"
    )
    assert overflow(log, "ice40") == "6100 LUT of 5280, 31 BRAM of 30"
    assert overflow("Info: \t DP16KD: 3/ 208 1%\n", "ecp5") == ""


@pytest.mark.long
def test_kernel_with_too_much_memory_is_reported(tmp_path):
    arrays = (
        ArrayPort("A", int32[8192], Direction.READ), ArrayPort("B", int32[8192], Direction.WRITE),
    )  # fmt: skip
    large = KernelInterface("add", args=(*arrays, ADD.args[2]))
    with pytest.raises(ToolError) as error:
        build_bitstream(Add(large, 8192), large, "icebreaker", folder=tmp_path)
    assert str(error.value) == (
        "placement and routing of icebreaker (nextpnr-ice40) failed: the design is too large: "
        "129 BRAM of 30\n"
        f"  hint: the whole log is {tmp_path / 'icebreaker-failed.log'}"
    )


def test_missing_tool_is_reported():
    with pytest.raises(ToolError) as error:
        tool_command("nextpnr-unknown")
    assert str(error.value) == (
        "the tool 'yowasp-nextpnr-unknown' is missing\n  hint: pip install yowasp-nextpnr-unknown"
    )


def test_tools_need_no_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    run_commands([["yosys", "-V"]], tmp_path, what="test", family="ice40")
    assert "Yosys" in (tmp_path / "build.log").read_text()


def test_missing_loader_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    built = Bitstream("ulx3s-85f", tmp_path / "x.bit", {}, 50.0, 25.0, tmp_path / "log", ADD)
    with pytest.raises(ToolError) as error:
        built.program()
    assert str(error.value) == (
        "the program 'openFPGALoader' is missing: it is not on PATH\n"
        "  hint: install openFPGALoader and put it on PATH"
    )
