"""The agreement of all that runs a kernel: evaluator, CPU build and RTL give the same bits.

``check(schedule)`` takes kernels of any types.  It compares raw bits, so that NaN and -0 count,
and the lines that are printed; state is kept from run to run.  What the CPU and RTL builds compute
exactly is the legalized module.  The module the user wrote has the same results bit for bit, but
for elementary functions: with these, give ``ulps``.
"""

import random
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO

import numpy as np

from allo_rtl.ir.arithmetic import format_of, wrap
from allo_rtl.ir.arithmetic import limits as limits_of
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.types import DYNAMIC, ArrayType, FixedType, Float, Index, Struct
from allo_rtl.ir.verify import verify_module
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim
from allo_rtl.sim.marshal import int_of_word, ints_of_words, raw_scalar, words_of_ints
from allo_rtl.sim.reference import ReferenceModule

EXTENT = 7
"""First extent of arrays for which it is dynamic."""

# Random values


def random_args(module, seed=0, limits=None):
    """Random arguments as the evaluator takes them: the ints that stand for values.

    Integers, fixed point and structs have any bits, index is 0 to 100.  Floats of even seeds are
    numbers of about one; of odd seeds any patterns, often zeros, subnormals, infinities and NaN.
    ``limits`` maps names of arguments to (low, high), in numbers, both included.
    """
    dice = random.Random(seed)
    args = []
    for value in module.top_func.args:
        is_array = isinstance(value.type, ArrayType)
        element = value.type.element if is_array else value.type
        bounds = (limits or {}).get(value.name)
        if not is_array:
            args.append(random_value(dice, element, bounds, wild=seed % 2))
            continue
        shape = tuple(EXTENT if n == DYNAMIC else n for n in value.type.shape)
        array = np.empty(shape, object)
        for at in np.ndindex(shape):
            array[at] = random_value(dice, element, bounds, wild=seed % 2)
        args.append(array)
    return args


def random_value(dice, type, bounds=None, wild=True):
    """The int that stands for a random value of a scalar type."""
    match type:
        case Float() if bounds:
            return raw_scalar(type, dice.uniform(*bounds))
        case Float():
            return random_pattern(dice, format_of(type), wild)
        case FixedType() if bounds:
            return raw_scalar(type, dice.uniform(*bounds))
        case Struct():
            fields = ((type.field(n)[0], t) for n, t in type.fields)
            parts = ((at, t, random_value(dice, t, None, wild)) for at, t in fields)
            return sum((raw & ((1 << t.bits) - 1)) << at for at, t, raw in parts)
        case Index():
            return dice.randint(*(bounds or (0, 100)))
    return dice.randint(*(bounds or limits_of(type)))


def random_pattern(dice, fmt, wild):
    """A random number of about one, or if wild any pattern and often a special one."""
    sign = dice.getrandbits(1) << (fmt.bits - 1)
    choice = dice.random() if wild else 1
    if choice < 0.3:
        special = [0, 1, (1 << fmt.mantissa) - 1, 1 << fmt.mantissa, fmt.overflow - 1,
                   fmt.overflow, fmt.nan, fmt.bias << fmt.mantissa]  # fmt: skip
        return sign | dice.choice(special)
    if choice < 0.6:
        return dice.getrandbits(fmt.bits)
    exponent = fmt.bias + dice.randint(-3, 3)
    return sign | exponent << fmt.mantissa | dice.getrandbits(fmt.mantissa)


def to_raw(module, args):
    """Evaluator arguments in the form that the builds take."""
    return [
        words_of_ints([int(x) for x in a.flat], v.type.element) if isinstance(a, np.ndarray) else a
        for a, v in zip(args, module.top_func.args, strict=True)
    ]


# Outcomes


@dataclass(frozen=True)
class Outcome:
    """What a run returned, left in its arguments and printed; raw ints, arrays as flat lists."""

    results: list
    args: list
    lines: list

    def close(self, other, module, ulps):
        """Whether floats are ``ulps`` apart or less, and all else is equal."""
        types = [*module.top_func.results, *(a.type for a in module.top_func.args)]
        pairs = zip(types, [*self.results, *self.args], [*other.results, *other.args], strict=True)
        return all(_close(t, a, b, ulps) for t, a, b in pairs)


def _close(type, a, b, ulps):
    if isinstance(type, ArrayType):
        return all(_close(type.element, x, y, ulps) for x, y in zip(a, b, strict=True))
    if not isinstance(type, Float):
        return a == b
    fmt = format_of(type)
    return a == b or (fmt.nan not in (a, b) and abs(_rank(fmt, a) - _rank(fmt, b)) <= ulps)


def _rank(fmt, pattern):
    magnitude = pattern & ((1 << (fmt.bits - 1)) - 1)
    return -magnitude if pattern >> (fmt.bits - 1) else magnitude


def run(call, module, args, lines=()):
    """The outcome of one run; ``call`` takes raw arguments and writes to the list ``lines``."""
    if lines:
        lines.clear()
    raw = to_raw(module, args)
    return outcome(module, call(raw), raw, lines)


def outcome(module, results, raw, lines):
    """The outcome of a run that gave ``results`` and left ``raw`` arguments."""
    func = module.top_func
    outs = [_ints(r, t) for r, t in zip(results, func.results, strict=True)]
    after = [_ints(r, v.type) for r, v in zip(raw, func.args, strict=True)]
    return Outcome(outs, after, list(lines))


def _ints(raw, type):
    if isinstance(type, ArrayType):
        return ints_of_words(raw, type.element)
    return wrap(type, raw if isinstance(raw, int) else int_of_word(raw, type))


def as_ints(value):
    """Nested lists of Python ints."""
    if isinstance(value, list | tuple):
        return [as_ints(v) for v in value]
    if isinstance(value, np.ndarray):
        return np.array([int(x) for x in value.flat], dtype=object).reshape(value.shape).tolist()
    return int(value)


# The check


def check(
    schedule, seeds=(0, 1), limits=None, original=None, ulps=None, rtl=True,
    simulator="verilator", **options,
):  # fmt: skip
    """Assert that all builds of a schedule agree; gives the RTL module (without it the CPU's).

    Args:
        schedule: what to build.
        seeds: one run each, see :func:`random_args`; state lasts from one to the next.
        limits: (low, high) of arguments by name.
        original: the unscheduled module whose evaluator result is the reference.
        ulps: how far floats of a kernel with elementary functions may be from the evaluator's.
        rtl: whether to build hardware.
        simulator: "verilator", or "pysim": no compiler, for small kernels without state.
        options: of the RTL build.
    """
    module = schedule.module
    verify_module(module)
    legal = legalize(module)
    verify_module(legal)
    lines = []
    cpu = schedule.build()
    cpu.output = lines.append
    exact = ReferenceModule(legal, lines.append)
    users = [module] if original is None else [original, module]
    written = [ReferenceModule(m, lines.append) for m in users]
    hardware = schedule.build(target="rtl", **options) if rtl else None
    runs = []
    for seed in seeds:
        args = random_args(original or module, seed, limits)
        expected = run(exact.run_raw, module, args, lines)
        for reference in written:
            found = run(reference.run_raw, module, args, lines)
            same = found.close(expected, module, ulps) if ulps is not None else found == expected
            assert same, f"legalized: {expected}\nevaluator: {found}"
        found = run(cpu.run_raw, module, args, lines)
        assert found == expected, f"CPU: {found}\nevaluator: {expected}"
        runs.append((args, expected))
    if hardware:
        simulate = in_verilator if simulator == "verilator" else in_amaranth
        simulate(hardware, module, runs)
    return hardware or cpu


def in_verilator(hardware, module, runs):
    """Simulate the runs one after the other and compare each."""
    for args, expected in runs:
        printed = StringIO()
        with redirect_stdout(printed):
            found = run(hardware.run_raw, module, args)
        found = replace(found, lines=printed.getvalue().splitlines())
        assert found == expected, f"RTL: {found}\nevaluator: {expected}"
        assert hardware.predicted_cycles in (None, hardware.measured_cycles)


def in_amaranth(hardware, module, runs):
    """The same without a compiler."""
    raws, lines = [to_raw(module, args) for args, _ in runs], []
    simulated = pysim.run_all(KernelComponent(hardware.design), raws, output=lines.append)
    for raw, (results, cycles), (_, expected) in zip(raws, simulated, runs, strict=True):
        found = outcome(module, results, raw, expected.lines)
        assert found == expected, f"RTL: {found}\nevaluator: {expected}"
        assert hardware.predicted_cycles in (None, cycles)
        hardware.measured_cycles = cycles
    assert lines == [line for _, expected in runs for line in expected.lines]
