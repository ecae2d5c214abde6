"""Many runs on one instance, back to back: what one leaves behind must not reach the next."""

from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from allo_rtl.rtl.interface import ArrayPort, ScalarPort
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim
from allo_rtl.sim.cosim import unwritten

NOISE = 0x5A5A_A5A5_3C3C_C3C3_0F0F_F0F0


class Run:
    """Arguments of one run, and afterwards its results and cycles."""

    def __init__(self, ports, raw):
        self.ports, self.raw, self.cycles = ports, raw, 0
        pairs = list(zip(ports.args, raw, strict=True))
        self.scalars = {p.name: a for p, a in pairs if isinstance(p, ScalarPort)}
        self.arrays = [(p, a) for p, a in pairs if isinstance(p, ArrayPort)]
        self.arrays += [(p, unwritten(p.type)) for p in ports.results if isinstance(p, ArrayPort)]
        self.banks = [b for port, words in self.arrays for b in pysim._banks(port, words)]
        self.outputs = {}

    def results(self):
        for port, words in self.arrays:
            pysim._gather(port, words, [m for b, m in self.banks if b in port.banks])
        outs = iter(w for p, w in self.arrays if p in self.ports.results)
        return [
            next(outs) if isinstance(p, ArrayPort) else pysim._scalar(p, self.outputs[p.name])
            for p in self.ports.results
        ]


async def _serve(ctx, bench, run, poison):
    """One clock with a run's memories; scalars are noise in cycles that do not sample them."""
    kernel = bench.kernel
    bench.banks = run.banks if run else []
    accepted = ctx.get(kernel.start) and ctx.get(kernel.ready)
    await bench._tick(ctx)
    if poison:
        for p in kernel.interface.args:
            if isinstance(p, ScalarPort):
                ctx.set(getattr(kernel, p.name), NOISE & ((1 << p.width) - 1))
    return accepted


def back_to_back(design, all_raw, *, resets=(), max_cycles=50_000):
    """Run a kernel once for each list of raw arguments on one instance.

    ``resets`` are cycles, counted from each acceptance, after which a first try is stopped by a
    reset and repeated; start is held high throughout.
    """
    kernel = KernelComponent(design)
    reset = Signal()
    simulator = Simulator(ResetInserter(reset)(kernel))
    simulator.add_clock(1e-6)
    runs = [Run(kernel.interface, raw) for raw in all_raw]

    async def spoiled_tries(ctx, bench):
        for after in resets:
            trial = Run(kernel.interface, [r.copy() if hasattr(r, "copy") else r
                                           for r in all_raw[0]])
            present(ctx, trial)
            ctx.set(kernel.start, 1)
            for _ in range(after):
                await _serve(ctx, bench, trial, poison=True)
            ctx.set(reset, 1)
            ctx.set(kernel.start, 0)
            await _serve(ctx, bench, trial, poison=True)
            ctx.set(reset, 0)
            assert not ctx.get(kernel.done)
            assert ctx.get(kernel.ready)
            for bank, _ in trial.banks:
                assert not bank.write or not ctx.get(getattr(kernel, f"{bank.name}_wen"))

    def present(ctx, run):
        for name, number in run.scalars.items():
            ctx.set(getattr(kernel, name), number & ((1 << 4096) - 1))

    async def testbench(ctx):
        bench = pysim._Bench(kernel, [], {}, max_cycles)
        await spoiled_tries(ctx, bench)
        current, waiting, done = None, list(runs), 0
        cycles = 0
        while done < len(runs):
            assert cycles < max_cycles, "not done"
            cycles += 1
            if current and ctx.get(kernel.done):
                current.outputs = {
                    p.name: ctx.get(getattr(kernel, p.name))
                    for p in kernel.interface.results if isinstance(p, ScalarPort)
                }
                done, current = done + 1, following
                following = None
                if done == len(runs):
                    return
            if ctx.get(kernel.ready) and waiting:
                present(ctx, waiting[0])
            ctx.set(kernel.start, int(bool(waiting)))
            ready = ctx.get(kernel.ready)
            if current:
                current.cycles += 1
            taken = await _serve(ctx, bench, current, poison=True)
            if taken and ready:
                following = waiting.pop(0)
                if current is None:
                    current, following = following, None

    simulator.add_testbench(testbench)
    simulator.run()
    return runs
