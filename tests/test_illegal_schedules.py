"""Schedules that would change a result, or cannot be built: each is refused, with its reason.

A case is a kernel, primitives of which the last one is refused, and what the refusal says.  For
those in ``WRONG`` the rewrite is forced past the check: the result does change then, so that the
refusal is not mere caution.
"""

import re
from dataclasses import dataclass, replace

import illegal_kernels as k
import pytest
from agreement import random_args

import allo_rtl as allo
from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.ops import Load
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import Partition
from allo_rtl.ir.verify import verify_module
from allo_rtl.schedule import compute_at, distribute, loop_transforms, reuse
from allo_rtl.schedule.loops import find_loop, replace_counter, replace_loop

BLOCK, CYCLIC = Partition.Block, Partition.Cyclic
BEFORE = "would run before"
AT_ONCE = "would run at once"


@dataclass(frozen=True)
class Case:
    kernel: object
    steps: tuple
    reason: str
    error: type = ScheduleError

    def __str__(self):
        name, args, *_ = self.steps[-1]
        return f"{self.kernel.__name__}-{name}{args}"


def case(kernel, *steps, reason, error=ScheduleError):
    return Case(kernel, steps, reason, error)


def wrong(kernel, *steps, reason):
    return case(kernel, *steps, reason=reason, error=IllegalScheduleError)


ORDER = [
    wrong(k.skew, ("reorder", ("j", "i")), reason="(i=2, j=0) would run before (i=1, j=1)"),
    wrong(k.anti, ("reorder", ("j", "i")), reason=BEFORE),
    wrong(k.output, ("reorder", ("j", "i")), reason=BEFORE),
    wrong(k.cube, ("reorder", ("j", "i")), reason="(i=2, j=0) would run before (i=1, j=1)"),
    wrong(k.cube, ("reorder", ("k", "j", "i")), reason=BEFORE),
    wrong(k.deep, ("reorder", ("k", "j")), reason=BEFORE),
    wrong(k.deep, ("reorder", ("i", "k", "j")), reason=BEFORE),
    wrong(k.last_row_wins, ("reorder", ("j", "i")), reason=BEFORE),
    wrong(k.mixed, ("reorder", ("j", "i")), reason=BEFORE),
    wrong(k.running, ("reorder", ("j", "i")), reason=BEFORE),
    wrong(k.float_sum, ("reorder", ("j", "i")), reason=BEFORE),
    wrong(k.scatter, ("reorder", ("j", "i")), reason=BEFORE),
    wrong(k.shared, ("reorder", ("j", "i")), reason=BEFORE),
    wrong(k.calling, ("reorder", ("j", "i")), reason=BEFORE),
    wrong(k.onto_itself, ("reorder", ("copy_skewed:j", "copy_skewed:i")), reason=BEFORE),
    wrong(k.into_parts, ("reorder", ("copy_skewed:j", "copy_skewed:i")), reason=BEFORE),
    wrong(k.remembering, ("reorder", ("j", "i")), reason=BEFORE),
    wrong(k.skew, ("split", ("j", 3)), ("reorder", ("j.outer", "i")), reason=BEFORE),
    wrong(k.skew, ("split", ("i", 3)), ("reorder", ("j", "i.inner")), reason=BEFORE),
    wrong(k.row_of_sums, ("reorder", ("j", "i")), reason="iteration (i=1) would run before (i=0)"),
    wrong(k.then_shifted, ("reorder", ("j", "i")), reason=BEFORE),
]
"""Refused, and forced past the check indeed wrong."""

PARALLEL = [
    wrong(k.prefix, ("parallel", ("i",)), reason="iterations (i=1) and (i=2) would run at once"),
    wrong(k.suffix, ("parallel", ("i",)), reason=AT_ONCE),
    wrong(k.product, ("parallel", ("i",)), reason=AT_ONCE),
    wrong(k.halves, ("parallel", ("i",)), reason=AT_ONCE),
    wrong(k.skew, ("parallel", ("i",)), reason=AT_ONCE),
    wrong(k.last_wins, ("parallel", ("j",)), reason=AT_ONCE),
    wrong(k.running, ("parallel", ("i",)), reason=AT_ONCE),
    wrong(k.float_sum, ("parallel", ("j",)), reason=AT_ONCE),
    wrong(k.scatter, ("parallel", ("j",)), reason=AT_ONCE),
    wrong(k.remembering, ("parallel", ("i",)), reason=AT_ONCE),
    wrong(k.calling, ("parallel", ("i",)), reason=AT_ONCE),
    wrong(k.prefix, ("split", ("i", 2)), ("parallel", ("i.outer",)), reason=AT_ONCE),
]
"""Refused, and wrong when the iterations run last to first, which is one way to run at once."""

MOVED = [
    wrong(k.backwards, ("compute_at", ("i", "j")), reason=BEFORE),
    wrong(k.ahead, ("compute_at", ("i", "j")), reason=BEFORE),
    wrong(k.overwrites, ("compute_at", ("i", "j")), reason=BEFORE),
    wrong(k.both_write, ("compute_at", ("i", "j")), reason=BEFORE),
    wrong(k.between, ("compute_at", ("i", "j")), reason="past this use of 'A'"),
    wrong(k.in_place_blur, ("reuse_at", ("A", "i")), reason="would keep the old values"),
    wrong(k.accumulated, ("reuse_at", ("A", "i")), reason="would keep the old values"),
]
"""Refused, and forced past the check indeed wrong."""

REFUSED = [
    # One operation after the other, whoever sees it.
    wrong(k.total, ("parallel", ("i",)), reason=AT_ONCE),
    wrong(k.printing, ("reorder", ("j", "i")), reason="prints lines"),
    wrong(k.printing, ("parallel", ("i",)), reason="prints lines"),
    wrong(k.reader_between, ("compute_at", ("i", "j")), reason="past this use of 'B'"),
    wrong(k.solve, ("buffer_at", ("B", "i")), reason="a buffer would lose what is written"),
    wrong(k.calls_inside, ("buffer_at", ("A", "i")), reason="a call of shift uses 'A' too"),
    wrong(k.calls_inside, ("reuse_at", ("A", "i")), reason="would keep the old values"),
    # Loops that are not there, or not like that.
    case(k.skew, ("reorder", ("i",)), reason="reorder needs at least 2 loops"),
    case(k.skew, ("reorder", ("i", "i")), reason="reorder is given the same loop twice"),
    case(k.skew, ("reorder", ("i", "x")), reason="there is no loop 'x' in skew"),
    case(k.two_bands, ("reorder", ("i", "j")), reason="loops of different bands"),
    case(k.accumulator, ("reorder", ("k", "j")), reason="loop 'j' makes 'total', which stands"),
    wrong(k.printing_rows, ("reorder", ("j", "i")), reason="both print lines, in turn"),
    case(k.by_data, ("reorder", ("j", "i")), reason="are computed inside loop 'i'"),
    case(k.triangle, ("reorder", ("j", "i")), reason="bounds of loop 'j' depend on loop 'i'"),
    case(k.rectangle, ("split", ("j", 7)), reason="the factor of split is 7"),
    case(k.rectangle, ("split", ("j", 0)), reason="the factor of split is 0"),
    case(k.rectangle, ("split", ("j", 2.5)), reason="the factor of split is 2.5"),
    case(k.triangle, ("split", ("j", 0)), reason="has as many iterations as data say"),
    case(k.rectangle, ("split", ("j", 2)), ("split", ("j", 2)), reason="split('j', 2) replaced it"),
    case(k.rectangle, ("unroll", ("j",)), ("split", ("j", 2)), reason="unrolled already"),
    case(k.rectangle, ("fuse", ("i",)), reason="fuse needs at least 2 loops"),
    case(k.rectangle, ("fuse", ("j", "i")), reason="is not directly inside loop 'j'"),
    case(k.cube, ("fuse", ("i", "k")), reason="is not directly inside loop 'i'"),
    case(k.imperfect, ("fuse", ("i", "j")), reason="is not directly inside loop 'i'"),
    case(k.triangle, ("fuse", ("i", "j")), reason="fuse needs constant bounds"),
    case(k.two_bands, ("fuse", ("i", "j")), reason="loops of different bands"),
    case(k.rectangle, ("unroll", ("i",)), ("fuse", ("i", "j")), reason="is unrolled already"),
    case(k.rectangle, ("pipeline", ("i",)), ("fuse", ("i", "j")), reason="is pipelined already"),
    # Marks that hardware cannot have.
    case(k.rectangle, ("unroll", ("i", 4)), reason="does not divide the 6 iterations"),
    case(k.rectangle, ("unroll", ("i", 7)), reason="the factor of unroll is 7"),
    case(k.triangle, ("unroll", ("j", 1.5)), reason="the factor of unroll is 1.5"),
    case(k.rectangle, ("pipeline", ("j",)), ("pipeline", ("i",)), reason="only one of them can be"),
    case(k.rectangle, ("pipeline", ("i",)), ("pipeline", ("j",)), reason="only one of them can be"),
    case(k.rectangle, ("pipeline", ("i", 0)), reason="the initiation interval of loop 'i' is 0"),
    case(k.rectangle, ("unroll", ("i",)), ("pipeline", ("i",)), reason="nothing left to pipeline"),
    case(k.by_data, ("pipeline", ("i", 1)), reason="loop 'j' depends on data"),
    case(k.by_data, ("unroll", ("j",)), reason="unroll needs a greatest number of iterations"),
    case(k.by_data, ("unroll", ("j", -2)), reason="the factor of unroll is -2"),
    # Arrays.
    case(k.rectangle, ("partition", ("A", CYCLIC, 3, 2)), reason="the dimension to partition is 3"),
    case(k.rectangle, ("partition", ("A", CYCLIC, 1, 0)), reason="the partition factor is 0"),
    case(k.rectangle, ("partition", ("A", BLOCK, 1, 9)), reason="the partition factor is 9"),
    case(k.rectangle, ("partition", ("A", 7)), reason="the partition type is 7"),
    case(k.rectangle, ("partition", ("X",)), reason="there is no array 'X' in rectangle"),
    case(
        k.rectangle, ("partition", ("A", BLOCK, 1, 2)), ("partition", ("A", CYCLIC, 1, 3)),
        reason="dimension 1 of 'A' is partitioned already",
    ),
    case(
        k.calls_inside, ("partition", ("shift:X", BLOCK, 1, 2)),
        ("partition", ("A", CYCLIC, 1, 4)), reason="dimension 1 of 'A' is partitioned already",
    ),
    case(k.rows, ("partition", ("shift:X", CYCLIC, 1, 2)), reason="it is given a part of 'A'"),
    case(k.rectangle, ("reshape", ("A", (6, 8))), reason="42 elements, and the new shape (6, 8)"),
    case(k.rectangle, ("reshape", ("A", (42, 0))), reason="the new shape of 'A' is (42, 0)"),
    case(k.rows, ("reshape", ("shift:X", (8, 1))),
         reason="'X' of shift cannot be reshaped: it is a part of 'A' here"),
    case(k.rows, ("reshape", ("A", (64,))), reason="a part of it is used as an array here"),
    case(
        k.rectangle, ("partition", ("A", BLOCK, 1, 2)), ("reshape", ("A", (42,))),
        reason="partitioned by dimension already",
    ),
    # Buffers.
    case(k.rectangle, ("buffer_at", ("A", "j")), reason="is the innermost"),
    case(k.imperfect, ("buffer_at", ("A", "i")), reason="iterations of loop 'i' read different"),
    case(k.into_data, ("buffer_at", ("out", "i")), reason="may be anything inside loop 'i'"),
    case(k.local, ("buffer_at", ("row", "i")), reason="makes 'row' anew"),
    case(k.by_index, ("reuse_at", ("A", "i")), reason="reuse_at('A', 'i')"),
    case(k.pointwise, ("reuse_at", ("A", "i")), reason="reuse_at('A', 'i')"),
    case(k.strides, ("reuse_at", ("A", "i")), reason="reuse_at('A', 'i')"),
    case(k.crossing, ("reuse_at", ("A", "i")), reason="do not move together"),
    case(k.pointwise, ("reuse_at", ("C", "i")), reason="there is no array 'C' in pointwise"),
    case(k.shorter, ("compute_at", ("i", "j")), reason="would have no place"),
    case(k.two_bands, ("compute_at", ("j", "i")), reason="must stand before that of loop 'i'"),
    case(k.two_bands, ("compute_at", ("i", "i")), reason="loop 'i' is given twice"),
    case(k.imperfect, ("compute_at", ("i", "j")), reason="loop 'j' is inside loop 'i'"),
    case(k.calling, ("compute_at", ("i", "shift:n")), reason="'i' is in calling and loop 'n' in"),
    # Hierarchies, promises.
    case(k.pointwise, ("inline", ()), reason="nothing to inline: pointwise calls nothing"),
    case(k.calling, ("inline", ("skew",)), reason="there is no function 'skew'"),
    case(k.calling, ("outline", ("i", "shift")), reason="something called 'shift' already"),
    case(k.prefix, ("assume_independent", ("A", "i")), reason="i=1 and i=2 both touch A[1]"),
    case(k.scatter, ("assume_independent", ("at", "i")), reason="does not write 'at'"),
]

ALL = [*ORDER, *PARALLEL, *MOVED, *REFUSED]


def test_the_size_of_the_corpus():
    assert len({str(c) + str(c.steps) for c in ALL}) == len(ALL) > 100


@pytest.mark.parametrize("case", ALL, ids=str)
def test_it_is_refused_and_nothing_has_changed(case):
    s = allo.customize(case.kernel)
    *legal, (name, args) = case.steps
    for step, given in legal:
        getattr(s, step)(*given)
    before, steps = s.module, len(s.history())
    with pytest.raises(ScheduleError) as error:
        getattr(s, name)(*args)
    assert case.reason in error.value.message or case.reason in str(error.value)
    assert type(error.value) is case.error
    assert error.value.loc is not None
    assert error.value.allowed or error.value.hint or error.value.notes
    assert s.module is before
    assert len(s.history()) == steps


COLLISIONS = [c for c in ALL if c.error is IllegalScheduleError and "print" not in c.reason]
SAYS = re.compile(r"(iteration \(\w.*=-?\d+\)|this) (reads|writes|calls \w+, which \w+) [\w. ]+")


@pytest.mark.parametrize("case", COLLISIONS, ids=str)
def test_the_refusal_names_both_statements_both_iterations_and_the_cell(case):
    s = allo.customize(case.kernel)
    *legal, (name, args) = case.steps
    for step, given in legal:
        getattr(s, step)(*given)
    with pytest.raises(IllegalScheduleError) as error:
        getattr(s, name)(*args)
    texts, places = zip(*error.value.notes, strict=True)
    assert len(texts) == 2
    assert all(SAYS.match(text) for text in texts)
    assert all(place.file == k.__file__ and place.text for place in places)
    arrays = {re.search(r"(?:reads|writes) (\w+)", text)[1] for text in texts}
    parts = f"a call gives {' and '.join(sorted(arrays))} parts of one array"
    assert len(arrays) == 1 or parts in (error.value.hint or "")


def test_a_kernel_that_is_not_called_has_no_place_for_its_schedule():
    s = allo.customize(k.calling)
    with pytest.raises(ScheduleError, match="Cannot find schedule for kernel"):
        s.compose(allo.customize(k.skew))
    sub = allo.customize(k.shift)
    sub.split("n", 2)
    s.split("shift:n", 3)
    with pytest.raises(ScheduleError, match="there is no loop 'n' in shift any more"):
        s.compose(sub)
    assert len(s.history()) == 1


def differs(kernel, module):
    verify_module(module)
    original = allo.customize(kernel).module
    if not allo.verify(original, module).equal:
        return True
    small = {a.name: (0, 3) for a in module.top_func.args}  # subscripts that meet
    one, other = (random_args(module, 0, small) for _ in range(2))
    results = evaluate(original, one), evaluate(module, other)
    return results[0] != results[1] or any((a != b).any() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("case", [*ORDER, *MOVED], ids=str)
def test_it_would_have_changed_the_result(case, monkeypatch):
    monkeypatch.setattr(loop_transforms, "find_violation", lambda *a, **kw: None)
    monkeypatch.setattr(distribute._Split, "_check_order", lambda *a: None)
    monkeypatch.setattr(compute_at, "_check_between", lambda *a: None)
    monkeypatch.setattr(compute_at, "_check_order", lambda *a: None)
    monkeypatch.setattr(reuse, "_loads", all_loads)
    s = allo.customize(case.kernel)
    for name, args in case.steps:
        getattr(s, name)(*args)
    assert differs(case.kernel, s.module)


def all_loads(module, place, array, primitive):
    return [op for op in walk(place.loop.body) if isinstance(op, Load) and op.array is array]


@pytest.mark.parametrize("case", PARALLEL, ids=str)
def test_the_order_of_its_iterations_matters(case):
    s = allo.customize(case.kernel)
    for name, args in case.steps[:-1]:
        getattr(s, name)(*args)
    (axis,) = case.steps[-1][1]
    place = find_loop(s.module, axis)
    low, high = place.loop.constant_bounds
    back = AffineExpr.constant(low + high - 1) - AffineExpr.of(place.loop.iv)
    body = replace_counter(place.loop.body, place.loop.iv, back)
    new = replace_loop(s.module, place.func, place.loop, replace(place.loop, body=body))
    assert differs(case.kernel, new)
