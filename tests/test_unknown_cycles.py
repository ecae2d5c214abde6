"""What the report says where it does not predict the cycles of a run."""

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.hls.depths import why_unknown
from allo_rtl.ir.types import Stream, int32


def three(A: int32[12], D: int32[12]):
    B: int32[12] = 0
    C: int32[12] = 0
    for p in range(12):
        B[p] = A[p] + 1
    for q in range(12):
        C[q] = A[q] * 3
    for r in range(12):
        D[r] = B[r] + C[r]


def by_data(n: int32, A: int32[8]):
    for i in range(n):
        A[i] = i


def built(s):
    rtl = s.build(target="rtl")
    assert rtl.predicted_cycles is None
    return rtl


def test_processes_that_take_turns_at_a_port():
    s = allo.customize(three)
    s.dataflow("three")
    rtl = built(s)
    assert why_unknown(rtl.design) == (
        "not known: processes that run at once take turns at the ports of "
        "A (three_S_p_0, three_S_q_1)"
    )
    assert "depends on data" not in str(rtl.report())


def test_nothing_is_unknown_where_each_process_has_its_port():
    s = allo.customize(three)
    rtl = s.build(target="rtl")
    assert why_unknown(rtl.design) == ""


def test_data():
    rtl = built(allo.customize(by_data))
    assert why_unknown(rtl.design) == "depends on data"
    assert "depends on data" in str(rtl.report())


def test_streams_that_data_decide_of():
    @df.region()
    def picks(A: int32[8], B: int32[8]):
        link: Stream[int32, 8]

        @df.kernel(mapping=[1], args=[A])
        def give(a: int32[8]):
            for i in range(8):
                if a[i] > 0:
                    link.put(a[i])
            link.put(0)

        @df.kernel(mapping=[1], args=[B])
        def take(b: int32[8]):
            for i in range(1):
                b[i] = link.get()

    rtl = built(df.customize(picks))
    assert "depends on data" in why_unknown(rtl.design)
