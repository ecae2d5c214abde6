"""partition: the banks of an array, everywhere it goes."""

import numpy as np
import pytest

import allo_rtl as allo
from allo_rtl.customize import MockBuffer, Partition, customize
from allo_rtl.errors import ScheduleError
from allo_rtl.ir.ops import GetGlobal
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import DimPartition, int32
from allo_rtl.ir.verify import verify_module
from allo_rtl.schedule.buffers import find_buffer

TABLE = np.arange(8, dtype=np.int32)


def gemm(A: int32[8, 6], B: int32[6, 10], C: int32[8, 10]):
    for i, j, k in allo.grid(8, 10, 6):
        C[i, j] += A[i, k] * B[k, j]


def fill(X: int32[8], seed: int32) -> int32[8]:
    Y: int32[8] = 0
    for n in range(8):
        Y[n] = X[n] + seed
    return Y


def both(A: int32[8], B: int32[8], C: int32[8]):
    T: int32[8] = fill(A, 1)
    U: int32[8] = fill(B, 2)
    for i in range(8):
        C[i] = T[i] + U[i]


def read_table(X: int32[8]):
    for i in range(8):
        X[i] = TABLE[i]


def table_twice(A: int32[8], B: int32[8]):
    read_table(A)
    for i in range(8):
        B[i] = TABLE[7 - i]


def banks(schedule, name):
    verify_module(schedule.module)
    return find_buffer(schedule.module, name)[1].array.partition


CYCLIC_4 = DimPartition(Partition.Cyclic, 4)
COMPLETE_8 = DimPartition(Partition.Complete, 8)


def test_one_dimension():
    s = customize(gemm)
    s.partition(s.B, dim=2)
    s.partition(s.A, partition_type=Partition.Block, dim=1, factor=3)
    s.partition("C", Partition.Cyclic, dim=2, factor=5)
    assert banks(s, "B") == (None, DimPartition(Partition.Complete, 10))
    assert banks(s, "A") == (DimPartition(Partition.Block, 3), None)
    assert banks(s, "C") == (None, DimPartition(Partition.Cyclic, 5))
    assert "B: int32[6, 10] banked [-, complete]" in s.show()


def test_all_dimensions_and_one_after_the_other():
    s = customize(gemm)
    s.partition(s.A)
    s.partition(s.B, Partition.Cyclic, factor=2)
    s.partition(s.C, dim=1)
    s.partition(s.C, 1, dim=2, factor=2)
    assert banks(s, "A") == (COMPLETE_8, DimPartition(Partition.Complete, 6))
    assert banks(s, "B") == (DimPartition(Partition.Cyclic, 2),) * 2
    assert banks(s, "C") == (COMPLETE_8, DimPartition(Partition.Block, 2))


def test_a_partition_goes_where_the_array_goes():
    # A is an argument of fill, and so is B by the other call; what fill returns is another array.
    s = customize(both)
    s.partition(s.A, Partition.Cyclic, dim=1, factor=4)
    changed = {name: banks(s, name) for name in ("A", "B", "fill:X", "T", "U", "C", "fill:Y")}
    assert changed == {
        "A": (CYCLIC_4,), "B": (CYCLIC_4,), "fill:X": (CYCLIC_4,),
        "T": (), "U": (), "C": (), "fill:Y": (),
    }  # fmt: skip


def test_a_partition_of_a_result_goes_to_the_array_returned():
    s = customize(both)
    s.partition(MockBuffer("fill", "Y"), dim=1)
    assert s.module.func("fill").results[0].partition == (COMPLETE_8,)
    results = {v.array.partition for op in walk(s.top_func.body) for v in op.results()
               if getattr(op, "callee", "") == "fill"}  # fmt: skip
    assert results == {(COMPLETE_8,)}
    verify_module(s.module)


def test_a_partition_of_a_constant_array_goes_to_every_use():
    s = customize(table_twice)
    s.partition(s.TABLE, Partition.Cyclic, dim=1, factor=4)
    verify_module(s.module)
    uses = [op for f in s.module.funcs for op in walk(f.body) if isinstance(op, GetGlobal)]
    assert len(uses) == 2
    assert {op.result.array.partition for op in uses} == {(CYCLIC_4,)}
    assert s.module.globals[0].type.partition == (CYCLIC_4,)


@pytest.mark.parametrize(
    ("args", "message", "allowed"),
    [
        (
            {"partition_type": 3},
            "the partition type is 3",
            "Partition.Complete, Partition.Block or Partition.Cyclic",
        ),
        (
            {"dim": 3},
            "the dimension to partition is 3, and 'A' is int32[8, 6]",
            "1 to 2, or 0 for all dimensions",
        ),
        (
            {"partition_type": Partition.Cyclic, "dim": 2, "factor": 7},
            "the partition factor is 7, and dimension 2 of 'A' has 6 elements",
            "a number of banks from 2 to 6",
        ),
        (
            {"partition_type": Partition.Block, "dim": 2},
            "the partition factor is 0, and dimension 2 of 'A' has 6 elements",
            "a number of banks from 2 to 6",
        ),
        (
            {"dim": 1, "factor": 2},
            "the factor of a complete partition is 2",
            "0: a complete partition has one bank an element",
        ),
    ],
)
def test_arguments_that_do_not_fit(args, message, allowed):
    s = customize(gemm)
    before = s.module
    with pytest.raises(ScheduleError) as caught:
        s.partition(s.A, **args)
    assert (caught.value.message, caught.value.allowed) == (message, allowed)
    assert s.module is before


@pytest.mark.parametrize("dim", [0, 2])
def test_the_same_dimension_twice(dim):
    s = customize(gemm)
    s.partition(s.B, Partition.Cyclic, dim=2, factor=5)
    with pytest.raises(ScheduleError) as caught:
        s.partition(s.B, dim=dim)
    assert caught.value.message == (
        "dimension 2 of 'B' is partitioned already (Cyclic, 5 banks)"
    )


def test_a_complete_partition_may_be_asked_for_again():
    s = customize(both)
    s.partition(s.A)
    module = s.module
    s.partition("fill:X")
    assert s.module is module


def test_all_dimensions_may_be_asked_for_where_one_is_complete_already():
    s = customize(gemm)
    s.partition(s.B, dim=1)
    s.partition(s.B)
    assert [p.factor for p in s.module.top_func.args[1].array.partition] == [6, 10]


def test_a_scalar_has_no_banks():
    def total(A: int32[8]) -> int32:
        t: int32 = 0
        for i in range(8):
            t += A[i]
        return t

    s = customize(total)
    with pytest.raises(ScheduleError) as caught:
        s.partition(s.t)
    assert caught.value.message == "'t' is a scalar variable; there is nothing to partition"
