"""Regions: kernels that run at once and talk through streams, on the simulator."""

import numpy as np

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.ir.types import Stream, int32


@df.region()
def add_then_copy(A: int32[8], B: int32[8], n: int32):
    link: Stream[int32, 4]

    @df.kernel(mapping=[1], args=[A])
    def produce(a: int32[8]):
        for i in range(8):
            link.put(a[i] + n)

    @df.kernel(mapping=[1], args=[B])
    def consume(b: int32[8]):
        for i in range(8):
            b[i] = link.get()


def test_a_producer_and_a_consumer() -> None:
    a, b = np.arange(8, dtype=np.int32), np.zeros(8, np.int32)
    df.build(add_then_copy)(a, b, 3)
    np.testing.assert_array_equal(b, a + 3)


def test_calling_a_region_runs_it() -> None:
    a, b = np.arange(8, dtype=np.int32), np.zeros(8, np.int32)
    add_then_copy(a, b, 4)
    np.testing.assert_array_equal(b, a + 4)


def test_processes_are_functions_of_the_schedule() -> None:
    s = df.customize(add_then_copy)
    assert [f.name for f in s.module.funcs] == ["produce_0", "consume_0", "add_then_copy"]
    assert str(allo.customize(add_then_copy)) == str(s)
    s.pipeline("produce_0:i")
    a, b = np.arange(8, dtype=np.int32), np.zeros(8, np.int32)
    s.build()(a, b, 5)
    np.testing.assert_array_equal(b, a + 5)
