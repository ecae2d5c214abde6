"""The thirteen PolyBench kernels: right against numpy, and with the published schedules.

Data are in [0, 1): sums do not cancel, so that float32 has a relative error to be judged by.
"""

import numpy as np
import pytest
from agreement import check

import allo_rtl as allo
from allo_rtl.errors import IllegalScheduleError
from allo_rtl.sim.marshal import Signature, call_with_numpy
from allo_rtl.sim.pysim import run
from examples.polybench import kernels, sizes
from examples.polybench.lanes import LANES
from examples.polybench.overlapped import OVERLAPPED
from examples.polybench.published import PUBLISHED
from examples.polybench.references import REFERENCES

NAMES = tuple(REFERENCES)
IN_LANES = {"mvt": "mvt_in_place"}
"""Kernels that are written in another way where their sums take turns."""
LARGE = tuple(pytest.param(s, marks=pytest.mark.long) for s in ("SMALL", "MEDIUM"))


def plain(name, params):
    return allo.customize(getattr(kernels, name), instantiate=list(params))


def arguments(schedule, seed=0):
    """Random arrays; one that the kernel takes twice is the same each time."""
    random, given = np.random.default_rng(seed), {}
    for name, type_ in Signature.of(schedule.module.top_func).args:
        original = name.removesuffix("_again").removesuffix("_third")
        same = given.get(original)
        given[name] = random.random(type_.shape, np.float32) if same is None else same.copy()
    return list(given.values())


def outputs(kernel, args):
    """All that a run returns or changes."""
    before = [a.copy() for a in args]
    result = kernel(*args)
    results = [] if result is None else result if isinstance(result, list) else [result]
    changed = [a for a, b in zip(args, before, strict=True) if not np.array_equal(a, b)]
    return results + changed


@pytest.mark.parametrize("size", ["TINY", "MINI", *LARGE])
@pytest.mark.parametrize("name", NAMES)
def test_kernels_compute_what_numpy_does(name, size):
    params = getattr(sizes, size)[name]
    schedule = plain(name, params)
    args = arguments(schedule)
    steps = (params[0],) if name == "jacobi_2d" else ()
    wanted = REFERENCES[name](*(a.astype(np.float64) for a in args), *steps)
    for got, want in zip(outputs(schedule.build(), args), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_published_schedules_change_nothing(name):
    """Proved for all inputs at the smallest size."""
    params = sizes.TINY[name]
    verdict = allo.verify(plain(name, params), PUBLISHED[name](params))
    assert verdict.equal
    assert verdict.proved


ROWS = {
    "two_mm": "reorder k j, buffer_at out i, pipeline k, dataflow i, reorder k j, buffer_at out i, "
              "pipeline k, dataflow i, pipeline j2, to out_AB mm2, dataflow mm1, dataflow mm2",
    "three_mm": "reorder k j, buffer_at out i, pipeline k, dataflow i, reorder k j, "
                "buffer_at out i, pipeline k, dataflow i, reorder k j, buffer_at out i, "
                "pipeline k, dataflow i, partition B 2, partition C 2, partition out_CD 0, "
                "dataflow mm1, dataflow mm2, dataflow mm3",
    "atax": "reorder r m, pipeline m, reorder k n, pipeline n",
    "bicg": "pipeline i0, partition A 2, partition s 0, reorder j1 i1, pipeline j1, "
            "partition A 1, partition q 0",
    "correlation": "pipeline x, partition data 2, partition mean 0, pipeline x, partition data 2, "
                   "partition stddev 0, pipeline x, partition data 2, pipeline j",
    "gemm": "reorder k0 j0, buffer_at out_AB i0, pipeline k0, pipeline j2",
    "gesummv": "reorder j i, pipeline i0",
    "jacobi_2d": "reuse_at A i0, reuse_at sweep_B_reuse_i0 j0, pipeline i0, "
                 "partition sweep_B_reuse_i0 0, partition sweep_B_reuse_j0 0, reuse_at B i1, "
                 "reuse_at sweep_A_reuse_i1 j1, pipeline i1, partition sweep_A_reuse_i1 0, "
                 "partition sweep_A_reuse_j1 0, partition A 2, partition B 2",
    "mvt": "pipeline i0, partition A 2, partition y1 0, pipeline i1, partition A_again 1, "
           "partition y2 0",
    "symm": "reorder k1 j1, buffer_at summ i1, pipeline j1, unroll j1, pipeline k, "
            "partition C 2, partition B 2 24, partition B_again 2, partition summ 2",
    "syr2k": "pipeline i0, pipeline k1, pipeline i2, partition C 2, partition buffer 2, "
             "partition A_again 1, partition B_again 1, partition out 2",
    "syrk": "pipeline i0, pipeline k1, pipeline i2, partition C 2, partition buffer 2, "
            "partition A_again 1, partition out 2",
    "trmm": "partition B 2 20, reorder k1 j1, pipeline j1, unroll j1, pipeline j0, unroll j0",
}  # fmt: skip
"""What the files of the published designs apply, but for trmm's buffer_at, which is refused."""


def in_words(step):
    """A primitive as ROWS have it: bare names, the dimension, the number of banks."""
    words = [str(a).rpartition(":")[2] for a in step.args]
    if step.name == "partition":
        words += [str(step.kwargs["dim"]), *(str(n) for n in [step.kwargs["factor"]] if n)]
    return " ".join([step.name, *words])


def without_factor(words):
    return " ".join(words.split()[:3])


@pytest.mark.parametrize("name", NAMES)
def test_every_published_primitive_is_accepted_at_all_published_sizes(name):
    for size in ("MINI", "SMALL", "MEDIUM"):
        params = getattr(sizes, size)[name]
        found = [in_words(step) for step in PUBLISHED[name](params).history()]
        for words in ROWS[name].split(", "):
            wanted = words
            if size != "MEDIUM":  # factors of the published size may not fit smaller ones
                found, wanted = [without_factor(f) for f in found], without_factor(words)
            assert wanted in found, f"{name} {size}: {wanted}"
            found.remove(wanted)


@pytest.mark.parametrize("size", ["MINI", *LARGE])
@pytest.mark.parametrize("name", NAMES)
def test_the_published_schedules_at_the_published_sizes(name, size):
    """Every primitive is accepted, and results have the same bits."""
    params = getattr(sizes, size)[name]
    schedule = PUBLISHED[name](params)
    args = arguments(schedule)
    wanted = outputs(plain(name, params).build(), [a.copy() for a in args])
    for got, want in zip(outputs(schedule.build(), args), wanted, strict=True):
        assert np.array_equal(got, want)


@pytest.mark.parametrize("size", ["TINY", "MINI", *LARGE])
@pytest.mark.parametrize("name", NAMES)
def test_sums_that_take_turns_are_the_same_sums(name, size):
    params = getattr(sizes, size)[name]
    schedule, reference = LANES[name](params, (6, 6, 3)), plain(IN_LANES.get(name, name), params)
    if size == "TINY":
        assert allo.verify(reference, schedule).proved
    args = arguments(schedule)
    wanted = outputs(reference.build(), [a.copy() for a in args])
    for got, want in zip(outputs(schedule.build(), args), wanted, strict=True):
        assert np.array_equal(got, want)


@pytest.mark.parametrize("size", ["TINY", "MINI", *LARGE])
@pytest.mark.parametrize(
    ("name", "lanes"),
    [
        ("atax", (5, (4, 3))), ("bicg", ((2, 5), (3, 2))), ("mvt", ((3, 2), (2, 3))),
        ("gemm_scaled", ((2, 4),)), ("gemm", ((2, 3),)),
    ],
)  # fmt: skip
def test_terms_in_trees_and_blocks_that_do_not_divide_are_right(name, lanes, size):
    """Another order of rounding, in all builds the same."""
    kernel = name.removesuffix("_scaled")
    schedule = LANES[name](getattr(sizes, size)[kernel], lanes)
    args = arguments(schedule)
    got = outputs(schedule.build(), [a.copy() for a in args])
    wanted = REFERENCES[kernel](*(a.astype(np.float64) for a in args))
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5)
    if size == "TINY":
        again = outputs(schedule.build(target="evaluator"), args)
        assert all(np.array_equal(a, b) for a, b in zip(got, again, strict=True))


@pytest.mark.parametrize(
    ("name", "lanes", "products", "used"),
    [
        ("gemm", (55,), 10_560_000, 0.97),
        ("atax", (78, (26, 3)), 319_800, 0.90),
        ("bicg", ((10, 10), (10, 10)), 319_800, 0.97),
        ("gesummv", (62,), 125_000, 0.90),
        ("syrk", (80,), 5_784_000, 0.91),
        ("trmm", (24,), 4_776_000, 0.96),
        pytest.param("symm", ((4, 30),), 9_600_000, 0.96, marks=pytest.mark.long),
        pytest.param("syr2k", (80,), 11_568_000, 0.91, marks=pytest.mark.long),
        pytest.param("correlation", (120,), 7_519_200, 0.84, marks=pytest.mark.long),
        pytest.param("two_mm", (103, 103), 14_706_000, 0.97, marks=pytest.mark.long),
        pytest.param("three_mm", (150, 150, 150), 22_800_000, 0.97, marks=pytest.mark.long),
        pytest.param("mvt", ((80, 5), (80, 5)), 320_000, 0.90, marks=pytest.mark.long),
    ],
)
def test_multipliers_are_busy(name, lanes, products, used):
    """Products to be summed per multiplier and cycle."""
    rtl = LANES[name](sizes.MEDIUM[name], lanes).build(
        target="rtl", device="ultrascale+", clock_mhz=300
    )
    multipliers = dict(rtl.report().units)["float32 mul"]
    assert products / (multipliers * rtl.predicted_cycles) >= used


@pytest.mark.parametrize(
    ("name", "lanes", "cycles"),
    [
        ("syrk", (80,), 79_500),
        pytest.param("syr2k", (80,), 79_500, marks=pytest.mark.long),
        pytest.param("jacobi_2d", (), 57_700, marks=pytest.mark.long),
    ],
)
def test_a_medium_kernel_is_built_in_seconds(name, lanes, cycles):
    """A start every cycle in every loop: not many cycles more than iterations."""
    rtl = LANES[name](sizes.MEDIUM[name], lanes).build(
        target="rtl", device="ultrascale+", clock_mhz=300
    )
    assert all(x.ii in (None, 1) for x in rtl.report().loops)
    assert rtl.predicted_cycles <= cycles


@pytest.mark.parametrize(
    ("name", "extents", "blocks", "loop", "iterations"),
    [
        ("syrk", (2, 8), ((2, 2),), "k1, i1.outer, j1.outer", 2 * 10),
        ("syrk", (2, 6), ((2, 3),), "k1, i1.outer, j1.outer", 2 * 5),
        ("syrk", (2, 12), ((2, 3),), "k1, i1.outer, j1.outer", 2 * 16),
        ("syr2k", (2, 6), ((3, 1),), "k1, i1.outer, j1", 2 * 9),
        ("symm", (6, 4), ((2, 1),), "i, k.outer, j", 9 * 4),
        ("correlation", (6, 3), ((3, 3),), "k, i.outer, j.outer", 3 * 3),
        ("trmm", (5, 4), (1,), "k, j", None),
    ],
)
def test_lanes_go_through_the_blocks_that_a_triangle_touches(
    name, extents, blocks, loop, iterations
):
    rtl = check(LANES[name](extents, blocks), seeds=(0,), simulator="pysim", ulps=1,
                device="ultrascale+", clock_mhz=300)  # fmt: skip
    assert (loop, iterations) in [(x.name, x.trip) for x in rtl.report().loops]
    assert rtl.predicted_cycles is not None


@pytest.mark.parametrize("size", ["TINY", "MINI", "SMALL", "MEDIUM"])
def test_the_published_buffer_of_trmm_is_refused(size):
    s = plain("trmm", getattr(sizes, size)["trmm"])
    s.reorder("k1", "j1")
    with pytest.raises(IllegalScheduleError) as caught:
        s.buffer_at(s.B, "i1")
    assert caught.value.message == (
        "buffer_at('B', 'i1'): along dimension 1 of 'B' this access starts at i1 and another "
        "one at 0: a buffer would lose what is written through the other"
    )


def simulated(schedule, args):
    """Outputs in RTL, cycles, and the cycles predicted."""
    rtl = schedule.build(target="rtl", device="ultrascale+", clock_mhz=300)
    cycles = []

    def one_run(raw):
        results, taken = run(rtl.component, raw)
        cycles.append(taken)
        return results

    signature = Signature.of(schedule.module.top_func)
    return outputs(lambda *a: call_with_numpy(signature, a, one_run), args), cycles, rtl


SIMULATED = ("atax", "gesummv", "trmm")


@pytest.mark.parametrize(
    "name", [n if n in SIMULATED else pytest.param(n, marks=pytest.mark.long) for n in NAMES]
)
def test_the_published_schedules_in_hardware(name):
    """The same bits as on the CPU, in as many cycles as predicted where no tasks overlap."""
    schedule = PUBLISHED[name](sizes.TINY[name])
    args = arguments(schedule)
    wanted = outputs(schedule.build(), [a.copy() for a in args])
    got, cycles, rtl = simulated(schedule, args)
    tasks = any(f.tasks for f in schedule.module.funcs)
    assert rtl.predicted_cycles in ((None, cycles[0]) if tasks else cycles)
    assert all(np.array_equal(g, w) for g, w in zip(got, wanted, strict=True))


def without_tasks(schedule, name, params):
    """The same schedule without dataflow and to."""
    s = plain(name, params)
    for step in schedule.history():
        if step.name not in ("dataflow", "to"):
            getattr(s, step.name)(*step.args, **step.kwargs)
    return s


@pytest.mark.parametrize("name", OVERLAPPED)
def test_nests_and_calls_that_overlap_compute_the_same(name):
    """Proved for all inputs; at a published size the same bits."""
    verdict = allo.verify(plain(name, sizes.TINY[name]), OVERLAPPED[name](sizes.TINY[name]))
    assert verdict.proved
    assert verdict.equal
    params = sizes.MINI[name]
    schedule = OVERLAPPED[name](params)
    args = arguments(schedule)
    wanted = outputs(without_tasks(schedule, name, params).build(), [a.copy() for a in args])
    for got, want in zip(outputs(schedule.build(), args), wanted, strict=True):
        assert np.array_equal(got, want)


@pytest.mark.parametrize(
    "name", [n if n == "gesummv" else pytest.param(n, marks=pytest.mark.long) for n in OVERLAPPED]
)
def test_nests_and_calls_that_overlap_take_less_time(name):
    params = sizes.TINY[name]
    schedule = OVERLAPPED[name](params)
    args = arguments(schedule)
    plainly = without_tasks(schedule, name, params)
    wanted, before, _ = simulated(plainly, [a.copy() for a in args])
    got, after, _ = simulated(schedule, args)
    assert all(np.array_equal(g, w) for g, w in zip(got, wanted, strict=True))
    assert after < before
