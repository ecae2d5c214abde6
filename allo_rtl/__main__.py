"""The command line: ``python -m allo_rtl compile|simulate|report|build|fuzz file.py:kernel``.

The name after the colon is a kernel, a Schedule, or a function without arguments that returns a
Schedule.  A file of MLIR, ``file.mlir``, is a kernel as well: its last function, or the one named
after a colon.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

import allo_rtl as allo
from allo_rtl.advice import advise
from allo_rtl.errors import AlloError
from allo_rtl.frontend.dataflow_dsl import plain
from allo_rtl.fuzz import findings_table
from allo_rtl.fuzz import fuzz as fuzz_schedules
from allo_rtl.hls.chart import render_svg_report
from allo_rtl.hls.depths import why_unknown
from allo_rtl.hls.render import WIDTH, BoardRow, render_json, rich_boards, rich_report
from allo_rtl.pipeline import DEFAULT_CLOCK_MHZ, DEFAULT_DEVICE
from allo_rtl.rtl_module import RtlModule
from allo_rtl.sim.bench import Case
from allo_rtl.sim.cases import random_case
from allo_rtl.sim.cosim import Simulation
from allo_rtl.sim.fuzz import run_in_amaranth

if TYPE_CHECKING:
    from allo_rtl.boards.bitstream import Bitstream

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
    help="Compile Python kernels to hardware.",
)

Spec = Annotated[
    str, typer.Argument(metavar="FILE.PY:KERNEL", help="What to work on; also FILE.MLIR.")
]
Device = Annotated[str, typer.Option(help="FPGA device the timing is for.")]
Clock = Annotated[float, typer.Option(help="Clock to schedule for, in MHz.")]
Runs = Annotated[
    int, typer.Option(min=1, help="Runs of a kernel of streams that may be under way at a time.")
]
Units = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=COUNT",
        help='Units each function may have at most, such as mul=1 or "float32 add=2"; repeat it '
        "for several names.",
    ),
]
Overlap = Annotated[
    bool, typer.Option(help="Run loops at the same time that have nothing in common.")
]
Pack = Annotated[
    bool,
    typer.Option(
        "--pack-products", help="Give two narrow products with a factor in common one multiplier."
    ),
]
Out = Annotated[Path, typer.Option("--output", "-o", help="Folder for what is written.")]


@app.command()
def compile(
    spec: Spec,
    output: Out = Path("out"),
    device: Device = DEFAULT_DEVICE,
    clock_mhz: Clock = DEFAULT_CLOCK_MHZ,
    units: Units = None,
    overlap: Overlap = True,
    pack_products: Pack = False,
    overlap_runs: Runs = 1,
) -> None:
    """Write Verilog, the report and a cocotb test bench."""
    with reported_errors():
        rtl = load(spec).build(
            target="rtl", device=device, clock_mhz=clock_mhz, units=limits(units),
            overlap=overlap, pack_products=pack_products, overlap_runs=overlap_runs,
        )  # fmt: skip
        for path in rtl.write(output):
            typer.echo(path)


@app.command()
def fuzz(
    spec: Spec,
    runs: Annotated[int, typer.Option(min=1, help="Random schedules to try.")] = 50,
    seed: Annotated[int, typer.Option(help="The same seed gives the same schedules.")] = 0,
    hardware: Annotated[bool, typer.Option(help="Run every fifth schedule as hardware.")] = True,
) -> None:
    """Try random schedules: none that is accepted may change what the kernel computes."""
    with reported_errors():
        schedule = load(spec)
        with Progress(console=console(), transient=True) as bar:
            task = bar.add_task("schedules", total=runs)
            found = fuzz_schedules(
                schedule, runs, seed=seed, hardware=run_in_amaranth if hardware else None,
                progress=lambda done: bar.update(task, completed=done),
            )
        console().print(findings_table(found))
        for history, reason in found.failures:
            typer.echo(f"computes something else: {history}\n  {reason}")
    if found.failures:
        raise typer.Exit(1)


@app.command()
def report(
    spec: Spec,
    device: Device = DEFAULT_DEVICE,
    clock_mhz: Clock = DEFAULT_CLOCK_MHZ,
    units: Units = None,
    overlap: Overlap = True,
    pack_products: Pack = False,
    overlap_runs: Runs = 1,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, not tables.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Draw the pipelines to this file.")] = None,
    advice: Annotated[
        bool, typer.Option("--advice", help="Look for changes that make loops faster.")
    ] = False,
) -> None:
    """Print what the kernel costs, loop by loop, and why."""
    with reported_errors():
        schedule = load(spec)
        rtl = schedule.build(
            target="rtl", device=device, clock_mhz=clock_mhz, units=limits(units),
            overlap=overlap, pack_products=pack_products, overlap_runs=overlap_runs,
        )  # fmt: skip
        told = rtl.report()
        if json:
            typer.echo(render_json(told), nl=False)
        else:
            console().print(rich_report(told))
        if svg is not None:
            svg.parent.mkdir(parents=True, exist_ok=True)
            svg.write_text(render_svg_report(told))
            typer.echo(svg, err=json)
        if advice:
            with Console(stderr=True).status("advice") as status:
                found = advise(
                    schedule, device, clock_mhz, limits(units),
                    progress=lambda line: status.update(Text(line)),
                )  # fmt: skip
            for one in found:
                typer.echo(one, err=json)


@app.command()
def simulate(
    spec: Spec,
    device: Device = DEFAULT_DEVICE,
    clock_mhz: Clock = DEFAULT_CLOCK_MHZ,
    units: Units = None,
    overlap: Overlap = True,
    pack_products: Pack = False,
    overlap_runs: Runs = 1,
    seed: Annotated[int, typer.Option(help="Seed of the random arguments.")] = 0,
    waves: Annotated[
        Path | None, typer.Option(help="Write waveforms to this file (.vcd or .fst).")
    ] = None,
) -> None:
    """Run the hardware in Verilator on random arguments and compare it with the golden model."""
    with reported_errors():
        schedule = load(spec)
        rtl = schedule.build(
            target="rtl", device=device, clock_mhz=clock_mhz, units=limits(units),
            overlap=overlap, pack_products=pack_products, overlap_runs=overlap_runs,
        )  # fmt: skip
        random = np.random.default_rng(seed)
        cases = [random_case(schedule.module, random) for _ in range(_runs_of(overlap_runs))]
        different, ends, trace = run_cases(rtl, cases, waves)
        typer.echo(f"cycles predicted: {why_unknown(rtl.design) or rtl.predicted_cycles}")
        typer.echo(f"cycles measured:  {ends[0]}")
        if overlap_runs > 1:
            typer.echo(f"cycles between runs, predicted: {_interval(rtl)}")
            typer.echo(f"ends of {len(ends)} runs: {', '.join(map(str, ends))}")
        if trace is not None:
            typer.echo(f"waveforms: {trace}")
        if different:
            typer.echo(f"WRONG: hardware and golden model differ in {', '.join(different)}",
                       err=True)  # fmt: skip
            raise typer.Exit(1)
        typer.echo("hardware and golden model agree")


@app.command()
def build(
    spec: Spec,
    board: Annotated[str, typer.Option(help="Board to build for.")],
    output: Out = Path("out"),
    clock_mhz: Annotated[
        float | None, typer.Option(help="Clock in MHz; the board's own when not given.")
    ] = None,
    units: Units = None,
    overlap: Overlap = True,
    pack_products: Pack = False,
    program: Annotated[bool, typer.Option("--program", help="Also load it to the board.")] = False,
) -> None:
    """Build a bitstream: the kernel, its arrays in block RAM, and a UART link."""
    with reported_errors():
        from allo_rtl.boards.catalog import board as find_board

        target = find_board(board)
        rtl = load(spec).build(
            target="rtl", device=target.device, clock_mhz=clock_mhz or target.oscillator_mhz,
            units=limits(units), overlap=overlap, pack_products=pack_products,
        )  # fmt: skip
        with Console(stderr=True).status(f"{board}: starting") as status:
            bits = rtl.bitstream(
                board, folder=output, clock_mhz=clock_mhz,
                progress=status.update,
            )
        console().print(rich_boards([board_row(bits)]))
        typer.echo(bits.path)
        if program:
            bits.program()


def limits(units: Sequence[str] | None) -> dict[str, int]:
    """The numbers of units that ``NAME=COUNT`` texts say.

    Raises:
        typer.BadParameter: a text is none, or a name comes twice.
    """
    found: dict[str, int] = {}
    for text in units or ():
        name, equals, count = (part.strip() for part in text.rpartition("="))
        if not equals or not count.isdecimal():
            raise typer.BadParameter(f"{text!r} is not of the form NAME=COUNT, such as mul=1")
        if name in found:
            raise typer.BadParameter(f"{name!r} is limited twice")
        found[name] = int(count)
    return found


@contextmanager
def reported_errors() -> Iterator[None]:
    """Print what went wrong without a traceback of ours, and leave with exit code 1."""
    try:
        yield
    except AlloError as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        if not error.filename:
            raise
        typer.echo(f"{str(error.filename)!r}: {error.strerror}", err=True)
        raise typer.Exit(1) from None


@contextmanager
def running(path: Path) -> Iterator[None]:
    """Code of the user's runs: for what it raises, the traceback from its first line on."""
    try:
        yield
    except AlloError:
        raise
    except Exception as error:
        found = traceback.TracebackException.from_exception(error)
        name = str(path.resolve())
        inside = [i for i, frame in enumerate(found.stack) if frame.filename == name]
        del found.stack[: inside[0] if inside else None]
        typer.echo("".join(found.format()), err=True, nl=False)
        raise typer.Exit(1) from None


def console() -> Console:
    """Standard output; as wide as a report when it is no terminal."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=WIDTH)


def load(spec: str) -> allo.Schedule:
    """The Schedule that ``file.py:name`` names.

    Raises:
        typer.BadParameter: there is no such file or name, or it is none of the three things.
        typer.Exit: the file or the function raised; what it raised has been printed.
        ParseError: the file is MLIR that no kernel can be made of.
    """
    if spec.endswith(".mlir"):
        return _load_mlir(Path(spec), None)
    file, colon, name = spec.rpartition(":")
    if file.endswith(".mlir"):
        return _load_mlir(Path(file), name)
    if not colon or not name.isidentifier():
        raise typer.BadParameter(f"{spec!r} is not of the form file.py:kernel")
    module = _module(Path(file))
    if not hasattr(module, name):
        has = [n for n, value in vars(module).items() if _is_own(value, module)]
        raise typer.BadParameter(f"{file} has no {name!r}; it has {', '.join(has) or 'nothing'}")
    found = getattr(module, name)
    if inspect.isfunction(plain(found)):
        with running(Path(file)):
            is_region = plain(found) is not found
            makes = not is_region and _makes_schedule(found)
            found = found() if makes else allo.customize(found)
    if not isinstance(found, allo.Schedule):
        what = type(found).__name__
        raise typer.BadParameter(f"{spec} is of type {what}, not a kernel or a Schedule")
    return found


def _load_mlir(path: Path, top: str | None) -> allo.Schedule:
    if not path.is_file():
        raise typer.BadParameter(f"there is no file {str(path)!r}")
    return allo.customize(path, top=top)


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise typer.BadParameter(f"there is no file {str(path)!r}")
    module_spec = importlib.util.spec_from_file_location(path.stem, path)
    if module_spec is None or module_spec.loader is None:
        raise typer.BadParameter(f"{str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(module_spec)
    # As `python file.py` would: its neighbours can be imported.
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[path.stem] = module
    with running(path):
        module_spec.loader.exec_module(module)
    return module


def _is_own(value: object, module: ModuleType) -> bool:
    """Whether the user's file itself made this function or Schedule."""
    if isinstance(value, allo.Schedule):
        return True
    return inspect.isfunction(plain(value)) and value.__module__ == module.__name__


def _makes_schedule(function: Callable[..., object]) -> bool:
    """Whether a function is one to call (no arguments, no result type but Schedule)."""
    signature = inspect.signature(function)
    result = signature.return_annotation
    name = result if isinstance(result, str) else getattr(result, "__name__", "")
    untyped = result is inspect.Signature.empty
    return not signature.parameters and (untyped or name.split(".")[-1] == "Schedule")


def _runs_of(overlap_runs: int) -> int:
    """How many runs show how they overlap; one where they do not."""
    return 1 if overlap_runs == 1 else 2 * overlap_runs + 2


def _interval(rtl: RtlModule) -> str:
    found = rtl.predicted_interval
    return "not known" if found is None else f"{float(found):g}"


def run_cases(
    rtl: RtlModule, cases: Sequence[Case], waves: Path | None
) -> tuple[list[str], list[int], Path | None]:
    """Simulate cases from reset: one, or several that follow each other as soon as can be.

    Returns:
        Names of the arguments and results that are not as expected, the cycles in which runs
        ended, and the waveform file.
    """
    simulation = Simulation(rtl.verilog, rtl.interface, trace=waves)
    runs = [[np.copy(arg) if isinstance(arg, np.ndarray) else arg for arg in case.inputs]
            for case in cases]  # fmt: skip
    if len(cases) == 1:
        only, cycles = simulation.run(runs[0])
        results, ends = [only], [cycles]
    else:
        results, _, ends = simulation.run_many(runs)
    simulation.close()
    ports = (*rtl.interface.args, *rtl.interface.results)
    different: dict[str, None] = {}
    for case, args, outs in zip(cases, runs, results, strict=True):
        pairs = zip(ports, (*args, *outs), (*case.after, *case.results), strict=True)
        different |= {p.name: None for p, is_, should in pairs if not np.array_equal(is_, should)}
    return list(different), ends, simulation.trace


def board_row(bits: Bitstream) -> BoardRow:
    """A built bitstream as a row of the boards table."""
    lut, ff, bram, dsp = (
        (use.used, use.available) if (use := bits.utilisation.get(name)) else None
        for name in ("LUT", "FF", "BRAM", "DSP")
    )
    return BoardRow(bits.board, lut, ff, bram, dsp, bits.fmax_mhz, bits.clock_mhz)


def main() -> None:
    """Entry of the ``allo-rtl`` command."""
    app()


if __name__ == "__main__":
    main()
