"""Arguments that name nothing or do not fit: each refusal has a place, a caret and what would fit.

The place is a line of the kernel, or where the refusal is about none the call of the primitive.
"""

import re

import numpy as np
import pytest

import allo_rtl as allo
from allo_rtl.errors import ScheduleError
from allo_rtl.ir.types import Partition, int32
from allo_rtl.primitives.unify import unify


def scale(X: int32[8]):
    for x in range(8):
        X[x] = X[x] * 3


def kernel(A: int32[8, 6], B: int32[8], C: int32[6], n: int32):
    k: int32 = n
    C[0] = k
    for i, j in allo.grid(8, 6, name="first"):
        A[i, j] = A[i, j] + 1
    for i2 in allo.grid(8, name="second"):
        B[i2] = B[i2] * 2
    for j2 in range(6):
        C[j2] = A[0, j2]
    for m in range(n):
        C[m % 6] = 1
    scale(B)


def schedule():
    return allo.customize(kernel)


NO_LOOP = ["q", "kernel:q", "nofunc:i", "first.q", "", None, 3, ["i"]]
NO_ARRAY = ["Q", "kernel:Q", "nofunc:A", "", None, 3, ["A"]]
NO_COUNT = [-1, 1.5, "2", None, True, 1 << 40]

ON_A_LOOP = {
    "split": lambda s, x: s.split(x, 2),
    "reorder": lambda s, x: s.reorder("i", x),
    "fuse": lambda s, x: s.fuse("i", x),
    "unroll": lambda s, x: s.unroll(x),
    "pipeline": lambda s, x: s.pipeline(x),
    "parallel": lambda s, x: s.parallel(x),
    "overlap": lambda s, x: s.overlap("i", x),
    "partial_sums": lambda s, x: s.partial_sums(x),
    "outline": lambda s, x: s.outline(x),
    "dataflow": lambda s, x: s.dataflow(x),
    "compute_at": lambda s, x: s.compute_at(x, "i2"),
    "compute_at_target": lambda s, x: s.compute_at("i", x),
    "buffer_at": lambda s, x: s.buffer_at("A", x),
    "reuse_at": lambda s, x: s.reuse_at("A", x),
    "assume_independent": lambda s, x: s.assume_independent("A", x),
    "unfold": lambda s, x: s.unfold(x, [0]),
}
ON_AN_ARRAY = {
    "partition": lambda s, x: s.partition(x),
    "reshape": lambda s, x: s.reshape(x, (48,)),
    "interface": lambda s, x: s.interface(x, "stream"),
    "buffer_at": lambda s, x: s.buffer_at(x, "i"),
    "reuse_at": lambda s, x: s.reuse_at(x, "i"),
    "assume_independent": lambda s, x: s.assume_independent(x, "i"),
    "to": lambda s, x: s.to(x, "second"),
    "to_elements": lambda s, x: s.to(x, s.unfold("second", [0]), axis=0),
    "buffer": lambda s, x: s.buffer(x),
    "get_equivalent_variables": lambda s, x: s.get_equivalent_variables(x),
}
WITH_A_COUNT = {
    "split": lambda s, x: s.split("i", x),
    "unroll": lambda s, x: s.unroll("i", x),
    "unroll_open": lambda s, x: s.unroll("m", x),
    "partial_sums": lambda s, x: s.partial_sums("i", x),
    "partition_block": lambda s, x: s.partition("A", Partition.Block, 1, x),
    "partition_complete": lambda s, x: s.partition("A", Partition.Complete, 1, x),
    "partition_dim": lambda s, x: s.partition("A", dim=x),
    "partition_kind": lambda s, x: s.partition("A", x),
    "reshape": lambda s, x: s.reshape("A", (x, 6)),
    "to_depth": lambda s, x: s.to("A", "second", depth=x),
    "unify": lambda s, x: unify(scale, scale, x),
}
FITS = {("unroll_open", 1 << 40), ("unify", 1 << 40)}
OTHERS = {
    "interval": lambda s: s.pipeline("i", initiation_interval=0),
    "interval_text": lambda s: s.pipeline("i", initiation_interval="1"),
    "no_interval": lambda s: s.pipeline("i", initiation_interval=1.5),
    "split_by_all": lambda s: s.split("i", 8),
    "split_0": lambda s: s.split("i", 0),
    "partial_sums_1": lambda s: s.partial_sums("i", 1),
    "reorder_one": lambda s: s.reorder("i"),
    "reorder_none": lambda s: s.reorder(),
    "reorder_twice": lambda s: s.reorder("i", "i"),
    "reorder_bands": lambda s: s.reorder("i", "i2"),
    "fuse_one": lambda s: s.fuse("i"),
    "fuse_none": lambda s: s.fuse(),
    "fuse_twice": lambda s: s.fuse("i", "i"),
    "fuse_inside_out": lambda s: s.fuse("j", "i"),
    "fuse_bands": lambda s: s.fuse("i", "i2"),
    "overlap_one": lambda s: s.overlap("i"),
    "overlap_none": lambda s: s.overlap(),
    "overlap_apart": lambda s: s.overlap("i", "j2"),
    "overlap_functions": lambda s: s.overlap("i", "scale:x"),
    "compute_at_itself": lambda s: s.compute_at("i", "i"),
    "compute_at_depth": lambda s: s.compute_at("j", "i2"),
    "compute_at_functions": lambda s: s.compute_at("scale:x", "i2"),
    "compute_at_open": lambda s: s.compute_at("i2", "m"),
    "unroll_open_all": lambda s: s.unroll("m"),
    "unroll_5_of_8": lambda s: s.unroll("i", 5),
    "pipeline_around_pipeline": lambda s: (s.pipeline("j"), s.pipeline("i")),
    "split_unrolled": lambda s: (s.unroll("i"), s.split("i", 2)),
    "fuse_unrolled": lambda s: (s.unroll("i"), s.fuse("i", "j")),
    "fuse_open": lambda s: s.fuse("m", "j2"),
    "gone": lambda s: (s.split("i", 2), s.pipeline("i")),
    "partition_3": lambda s: s.partition("A", dim=3),
    "partition_kind": lambda s: s.partition("A", "Cyclic"),
    "partition_twice": lambda s: (s.partition("A", dim=1), s.partition("A", Partition.Block, 1, 2)),
    "partition_scalar": lambda s: s.partition("k"),
    "reshape_more": lambda s: s.reshape("A", (7, 7)),
    "reshape_number": lambda s: s.reshape("A", 47),
    "reshape_none": lambda s: s.reshape("A", None),
    "reshape_empty": lambda s: s.reshape("A", ()),
    "reshape_text": lambda s: s.reshape("A", "48"),
    "reshape_banks": lambda s: (s.partition("A", dim=1), s.reshape("A", (48,))),
    "interface_kind": lambda s: s.interface("A", "bus"),
    "interface_none": lambda s: s.interface("A", None),
    "interface_inside": lambda s: s.interface("scale:X", "stream"),
    "buffer_other_function": lambda s: s.buffer_at("scale:X", "i"),
    "buffer_innermost": lambda s: s.buffer_at("A", "j"),
    "buffer_unused": lambda s: s.buffer_at("B", "i"),
    "reuse_unused": lambda s: s.reuse_at("B", "i"),
    "reuse_open": lambda s: s.reuse_at("C", "m"),
    "independent_read": lambda s: s.assume_independent("A", "j2"),
    "independent_known": lambda s: s.assume_independent("C", "i"),
    "inline_nothing": lambda s: s.inline("kernel", within="scale"),
    "inline_unknown": lambda s: s.inline("nofunc"),
    "inline_number": lambda s: s.inline(3),
    "inline_within": lambda s: s.inline(within="nofunc"),
    "outline_name": lambda s: s.outline("i", "not a name"),
    "outline_taken": lambda s: s.outline("i", "scale"),
    "outline_number": lambda s: s.outline("i", 3),
    "dataflow_pipelined": lambda s: (s.pipeline("i"), s.dataflow("i")),
    "unfold_axes": lambda s: s.unfold("first", [1]),
    "unfold_axes_number": lambda s: s.unfold("first", 0),
    "unfold_no_axes": lambda s: s.unfold("first", []),
    "unfold_text_axes": lambda s: s.unfold("first", ["i"]),
    "unfold_deep": lambda s: s.unfold("first", [0, 1, 2]),
    "unfold_open": lambda s: s.unfold("S_m_3", [0]),
    "unfold_pipelined": lambda s: (s.pipeline("i"), s.unfold("first", [0])),
    "to_argument": lambda s: s.to("A", "second"),
    "to_number": lambda s: s.to("A", 3),
    "to_no_elements": lambda s: s.to("A", "second", axis=0),
    "to_no_axis": lambda s: s.to("A", s.unfold("first", [0]), axis="j"),
    "to_depth": lambda s: s.to("A", s.unfold("first", [0]), axis=0, depth=0),
    "to_written": lambda s: s.to("A", s.unfold("first", [0]), axis=0),
    "compose_not_called": lambda s: allo.customize(scale).compose(s),
    "compose_id": lambda s: s.compose(allo.customize(scale), id="x"),
    "compose_library": lambda s: s.compose(scale),
    "undo": lambda s: s.undo(),
    "loops_of_nothing": lambda s: s.get_loops("nofunc"),
    "no_argument": lambda s: s.get_equivalent_variables("kernel:9"),
}


def cases():
    for group, wrongs in ((ON_A_LOOP, NO_LOOP), (ON_AN_ARRAY, NO_ARRAY), (WITH_A_COUNT, NO_COUNT)):
        for name, call in group.items():
            for wrong in wrongs:
                if (name, wrong if not isinstance(wrong, list) else 0) not in FITS:
                    yield pytest.param(lambda s, c=call, w=wrong: c(s, w), id=f"{name}-{wrong!r}")
    for name, call in OTHERS.items():
        yield pytest.param(call, id=name)


@pytest.mark.parametrize("call", list(cases()))
def test_the_refusal_says_where_and_what_would_fit(call):
    s = schedule()
    with pytest.raises(ScheduleError) as caught:
        call(s)
    text = str(caught.value)
    assert re.match(r"\S*test_schedule_arguments\.py:\d+:\d+: error: ", text), text
    assert re.search(r"^ *\d+ \| .*\n *\| *\^~*$", text, re.MULTILINE), text
    assert caught.value.allowed or caught.value.hint, text


def test_a_refusal_about_the_call_points_at_it():
    s = schedule()
    s.partition(s.A, dim=1)
    with pytest.raises(ScheduleError) as caught:
        assert not s.history() or s.partition(s.A, dim=7)
    loc = caught.value.loc
    assert loc.text[loc.col - 1 : loc.end_col - 1] == "s.partition(s.A, dim=7)"


def test_one_about_the_kernel_stays_there():
    with pytest.raises(ScheduleError) as caught:
        schedule().split("i", 0)
    assert "allo.grid(8, 6" in caught.value.loc.text


def test_numbers_of_numpy_are_numbers():
    s = schedule()
    s.split("i", np.int64(2))
    s.partition(s.A, dim=np.int8(1), factor=np.uint16(2), partition_type=Partition.Cyclic)
    assert str(s.history()[0]) == "split('i', 2)"
