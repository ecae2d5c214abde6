"""The whole compiler on one page.

    Python function ─ frontend ─▶ loop IR ─ schedule primitives ─▶ loop IR
        ├─ build_evaluator: what the kernel means, one operation at a time
        ├─ build_simulator ──▶ legalize ─▶ LLVM ──▶ processes that take turns on this machine
        ├─ build_cpu ──▶ legalize ─▶ LLVM ──▶ a function on this machine
        └─ build_rtl ──▶ legalize ─▶ prepare ─▶ control tree ─▶ operation schedule   (allo_rtl.hls)
                     ──▶ Amaranth ─▶ Verilog                             (allo_rtl.rtl)
                     ──▶ Verilator, bitstreams                           (allo_rtl.sim, .boards)

Each step reads what the one before it made.  The verifier runs at every boundary of the loop IR.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from allo_rtl.errors import BuildError
from allo_rtl.hls.depths import choose_depths
from allo_rtl.hls.design import build_design
from allo_rtl.hls.run_overlap import check_overlap, check_runs
from allo_rtl.hls.unit_limits import check_names
from allo_rtl.ir.history import StepReport
from allo_rtl.ir.ops import Call, Module
from allo_rtl.ir.spins import PATIENCE, SLOW_PATIENCE
from allo_rtl.ir.types import ArrayType
from allo_rtl.ir.verify import verify_module
from allo_rtl.rtl_module import RtlModule
from allo_rtl.sim.cpu import CpuModule, compile_cpu
from allo_rtl.sim.reference import ReferenceModule
from allo_rtl.sim.simulator import SimulatorModule
from allo_rtl.target import device as find_device
from allo_rtl.utils import no_collection

DEFAULT_DEVICE = "ecp5-85"
DEFAULT_CLOCK_MHZ = 50.0


def build_cpu(module: Module) -> CpuModule:
    """Compile a module for this machine: the golden model."""
    _refuse_regions(module)
    verify_module(module)
    return compile_cpu(module)


def build_evaluator(module: Module, *, patience: int = SLOW_PATIENCE) -> ReferenceModule:
    """A module behind the evaluator: the meaning, for small inputs.

    ``patience``: operations that a process of a region does at most without touching a stream.
    """
    verify_module(module)
    return ReferenceModule(module, patience=patience)


def build_simulator(
    module: Module, *, patience: int | None = None
) -> ReferenceModule | CpuModule:
    """A module with regions, compiled: what the evaluator computes, in its order of steps.

    ``patience``: operations that a process does at most without touching a stream.
    """
    verify_module(module)
    if not any(f.dataflow for f in module.funcs) or _has_open_processes(module):
        return ReferenceModule(module, patience=patience or SLOW_PATIENCE)
    return SimulatorModule(module, patience=patience or PATIENCE)


def _has_open_processes(module: Module) -> bool:
    """Whether a process has an array whose size is known only when it is called."""
    return any(
        isinstance(a.type, ArrayType) and a.type.is_dynamic
        for f in module.funcs if f.dataflow
        for op in f.body if isinstance(op, Call)
        for a in module.func(op.callee).args
    )


def _refuse_regions(module: Module) -> None:
    """Refuse a module with kernels that run at once."""
    for func in module.funcs:
        if func.dataflow:
            raise BuildError(
                f"'{func.name}' is a region, whose kernels run at once; the CPU build has no "
                "streams",
                loc=func.loc,
                hint='run it on the simulator: build(target="simulator")',
            )


def build_rtl(
    module: Module,
    *,
    device: str = DEFAULT_DEVICE,
    clock_mhz: float = DEFAULT_CLOCK_MHZ,
    trace: Path | str | None = None,
    units: Mapping[str, int] | None = None,
    overlap: bool = True,
    overlap_runs: int = 1,
    pack_products: bool = False,
    steps: Callable[[], Sequence[StepReport]] = tuple,
) -> RtlModule:
    """Compile a module to RTL.

    Args:
        module: the (scheduled) loop IR.
        device: name of a device of :mod:`allo_rtl.target`, whose delays decide what is chained.
        clock_mhz: the clock to chain operations for.
        units: how many units each function may have at most, by name: ``"mul"`` for products of
            integers, ``"div"`` for their quotients and remainders, ``"float32 add"``,
            ``"float32 mul"`` and so on for those of floats.
            Operations take turns at them, which makes intervals longer where it has to.
        overlap: whether loops that follow each other and have nothing in common run at the same
            time; without it they do only where the schedule says so.
        overlap_runs: how many runs may be under way at a time: with more than 1 a process of a
            region (a task of a ``dataflow`` function) goes on to the next run while others are at
            one before.  All arguments and results have to be streams (``interface(array,
            "stream")``), and so all that passes between the processes of a region; arrays between
            tasks are there as often as tasks use them.
        pack_products: whether two narrow products with a factor in common, of which each would
            have a multiplier block of the device, may have one: it takes up to two additions in
            look-up tables.  No interval becomes longer, but a pipeline may.
        trace: file for waveforms of every call (VCD or FST).
        steps: gives what a report tells of the schedule, when one is asked for.

    Raises:
        BuildError: unknown device, or a loop that cannot be built as asked.
    """
    if not clock_mhz > 0:
        raise BuildError(f"a clock of {clock_mhz} MHz", allowed="a positive number of MHz")
    check_names(units or {})
    with no_collection():
        verify_module(module)
        target = find_device(device)
        check_runs(module, overlap_runs)
        made = build_design(
            module, target, float(clock_mhz), limits=units, overlap=overlap,
            pack_products=pack_products, runs=overlap_runs,
        )
        design = choose_depths(made)
        check_overlap(design)
    return RtlModule(design, trace=Path(trace) if trace is not None else None, steps=steps)
