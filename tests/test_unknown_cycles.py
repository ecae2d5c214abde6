"""What the report says where it does not predict the cycles of a run."""

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.hls.depths import why_unknown
from allo_rtl.ir.types import Stream, int32


def by_data(n: int32, A: int32[8]):
    for i in range(n):
        A[i] = i


def built(s):
    rtl = s.build(target="rtl")
    assert rtl.predicted_cycles is None
    return rtl


def test_data_decide_whether_a_port_is_asked_for():
    @df.region()
    def picks(A: int32[8], B: int32[16]):
        @df.kernel(mapping=[2], args=[A, B])
        def work(a: int32[8], b: int32[16]):
            p = df.get_pid()
            for i in range(8):
                if a[i] > p:
                    b[8 * p + i] = a[i]

    rtl = built(df.customize(picks))
    assert why_unknown(rtl.design) == (
        "not known: whether 'b' is used depends on data, and processes take turns at its port"
    )
    assert "whether 'b' is used depends on data" in str(rtl.report())


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
