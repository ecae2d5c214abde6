"""The three-way check: evaluator, CPU build and RTL give the same bits in the predicted cycles."""

import copy

import numpy as np

from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.types import ArrayType, Index
from allo_rtl.ir.verify import verify_module


def random_args(module, seed=0, limits=None):
    """Random arguments over the whole range of each type; ``limits`` maps names to (low, high)."""
    random = np.random.default_rng(seed)
    args = []
    for value in module.top_func.args:
        element = value.type.element if isinstance(value.type, ArrayType) else value.type
        low, high = (limits or {}).get(value.name, (element.min, element.max))
        if isinstance(element, Index) and value.name not in (limits or {}):
            low, high = 0, 100
        count = value.type.size if isinstance(value.type, ArrayType) else 1
        span = high - low + 1
        flat = [low + int.from_bytes(random.bytes(80)) % span for _ in range(count)]
        if isinstance(value.type, ArrayType):
            args.append(np.array(flat, dtype=object).reshape(value.type.shape))
        else:
            args.append(flat[0])
    return args


def native(args, module):
    """The arguments with the numpy dtypes users would pass."""
    from allo_rtl.sim.marshal import numpy_dtype

    return [
        a.astype(numpy_dtype(v.type.element)) if isinstance(a, np.ndarray) else a
        for a, v in zip(args, module.top_func.args, strict=True)
    ]


def as_ints(value):
    """Nested lists of Python ints."""
    if isinstance(value, list | tuple):
        return [as_ints(v) for v in value]
    if isinstance(value, np.ndarray):
        return np.array([int(x) for x in value.flat], dtype=object).reshape(value.shape).tolist()
    return int(value)


def outcome(call, args):
    """What a call returns and what it leaves in its arguments."""
    given = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    result = call(*given)
    if isinstance(result, tuple):
        result = list(result) if len(result) > 1 else result[0] if result else None
    return None if result is None else as_ints(result), [as_ints(a) for a in given]


def check(schedule, seeds=(0, 1), limits=None, original=None, **options):
    """Assert that all builds of a schedule agree; gives the RTL module.

    ``original`` is the unscheduled module whose evaluator result is the reference.
    """
    module = schedule.module
    verify_module(module)
    reference = original or module
    cpu, rtl = schedule.build(), schedule.build(target="rtl", **options)
    for seed in seeds:
        args = random_args(reference, seed, limits)
        expected = outcome(lambda *a: evaluate(reference, a), args)
        passed = native(args, module)
        assert outcome(lambda *a: evaluate(module, a), copy.deepcopy(args)) == expected
        assert outcome(cpu, passed) == expected
        assert outcome(rtl, passed) == expected
        if rtl.predicted_cycles is not None:
            assert rtl.measured_cycles == rtl.predicted_cycles
    return rtl
