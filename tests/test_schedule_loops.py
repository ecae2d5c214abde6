"""Loops and buffers by name."""

import pytest

import allo_rtl as allo
from allo_rtl.customize import MockBuffer, customize
from allo_rtl.errors import ScheduleError
from allo_rtl.ir.types import int32
from allo_rtl.schedule.loops import find_loop


def gemm(A: int32[8, 6], B: int32[6, 10], C: int32[8, 10]):
    for i, j, k in allo.grid(8, 10, 6, name="C"):
        C[i, j] += A[i, k] * B[k, j]


def two_stages(A: int32[4, 8], B: int32[4, 8]):
    for i, j in allo.grid(4, 8, name="first"):
        A[i, j] = A[i, j] + 1
    for i, j in allo.grid(4, 8, name="second"):
        B[i, j] = A[i, j] * 2


def stages_in_a_loop(A: int32[3, 8]):
    for t in range(3):
        for i in allo.grid(8, name="up"):
            A[t, i] = A[t, i] + 1
        for i in allo.grid(8, name="down"):
            A[t, i] = A[t, i] - 1


def helper(X: int32[8]):
    for n in range(8):
        X[n] = X[n] + 1


def caller(A: int32[8]):
    T: int32[8] = 0
    helper(T)
    for i in range(8):
        A[i] = T[i]


def test_loops_by_attribute_and_by_item():
    loops = customize(gemm).get_loops()
    assert [name for name, _ in loops] == ["C"]
    assert [name for name, _ in loops.C] == ["i", "j", "k"]
    assert loops.C.j is loops["C"]["j"]
    assert loops.C.j.name == "gemm:C.j"


def test_loops_of_another_function():
    loops = customize(caller).get_loops("helper")
    assert [loop.name for _, band in loops for _, loop in band] == ["helper:S_n_0.n"]


def test_a_loop_by_name_by_qualified_name_and_by_handle():
    s = customize(caller)
    place = find_loop(s.module, "helper:n")
    assert (place.func.name, place.band, place.loop.name) == ("helper", "S_n_0", "n")
    assert find_loop(s.module, place.handle).loop is place.loop
    assert find_loop(s.module, place.handle.name).loop is place.loop
    assert find_loop(s.module, "i").func.name == "caller"


def test_a_handle_outlives_rewrites_of_other_loops():
    s = customize(gemm)
    band = s.get_loops().C
    s.split(band.i, 4)
    s.reorder(band.k, band.j)
    s.pipeline(band.j)
    assert "for j in 0..10  pipeline II=1" in s.show()


def test_names_with_dots_are_items():
    s = customize(gemm)
    s.split("i", 4)
    loops = s.get_loops()
    assert loops.C["i.outer"].name == "gemm:C.i.outer"
    s.unroll(loops.C["i.inner"])
    s.unroll("gemm:C.i.outer", 2)
    assert "for i.outer in 0..2  unroll 2" in s.show()


def test_a_band_called_like_a_loop():
    def k(A: int32[4]):
        for i in allo.grid(4, name="i"):
            A[i] = i

    s = customize(k)
    s.split("i", 2)
    s.unroll("i.inner")
    s.pipeline("k:i.i.outer")
    assert s.show().splitlines()[1:3] == [
        "  i: for i.outer in 0..2  pipeline II=1",
        "    for i.inner in 0..2  unroll all",
    ]


def test_a_nest_inside_a_band_has_the_kernels_names():
    s = customize(stages_in_a_loop)
    loops = s.get_loops()
    assert loops.up.i.loop == "i"
    assert loops.down.i.loop == "i_1"
    s.pipeline(loops.down.i)
    assert s.show() == "\n".join(
        [
            "stages_in_a_loop(A: int32[3, 8])",
            "  S_t_0: for t in 0..3",
            "    up: for i in 0..8",
            "      A[t, i] = ...",
            "    down: for i_1 in 0..8  pipeline II=1",
            "      A[t, i] = ...",
        ]
    )


def test_an_unknown_loop():
    with pytest.raises(ScheduleError) as caught:
        customize(gemm).pipeline("l")
    assert caught.value.message == "there is no loop 'l' in gemm"
    assert caught.value.allowed == "i, j, k"
    s = customize(gemm)
    s.split("i", 4)
    with pytest.raises(ScheduleError) as caught:
        s.pipeline("i.iner")
    assert caught.value.hint == "did you mean 'i.inner'?"


def test_an_unknown_band_or_loop_of_a_band():
    loops = customize(gemm).get_loops()
    with pytest.raises(AttributeError) as caught:
        loops.D
    assert str(caught.value) == "No such band: 'D' in gemm, which has C"
    with pytest.raises(AttributeError) as caught:
        loops.C.n
    assert str(caught.value) == "No such loop: 'n' in band C, which has i, j, k"


def test_an_unknown_function():
    with pytest.raises(ScheduleError) as caught:
        customize(caller).pipeline("helpr:n")
    assert caught.value.message == "there is no function 'helpr'"
    assert str(caught.value).endswith(
        "~\n  allowed: helper, caller\n  hint: did you mean 'helper'?"
    )


def test_a_loop_name_in_two_bands():
    with pytest.raises(ScheduleError) as caught:
        customize(two_stages).pipeline("j")
    assert caught.value.message == "2 bands of two_stages have a loop 'j': first, second"
    assert caught.value.hint == "use a handle: s.get_loops('two_stages')['first']['j']"
    assert [loc.text.strip() for _, loc in caught.value.notes] == [
        'for i, j in allo.grid(4, 8, name="first"):',
        'for i, j in allo.grid(4, 8, name="second"):',
    ]


def test_something_that_is_not_a_loop():
    with pytest.raises(ScheduleError) as caught:
        customize(gemm).pipeline(3)
    assert caught.value.message == "a loop was expected, not 3"


def test_buffers_are_attributes():
    s = customize(caller)
    assert (s.A.func, s.A.name) == ("caller", "A")
    assert s.T == s.buffer("T") == s.buffer("caller:T")
    assert str(s.buffer("helper:X")) == "helper:X"
    assert {"A", "T", "split"} <= set(dir(s))


def test_a_buffer_called_like_a_method_is_found_by_name():
    s = customize("def k(split: int32[4]):\n    for i in range(4):\n        split[i] = 0\n",
                  global_vars={"int32": int32})  # fmt: skip
    s.split("i", 2)
    assert s.buffer("split") == MockBuffer("k", "split")


def test_an_unknown_buffer():
    with pytest.raises(AttributeError) as caught:
        customize(caller).reorderr
    assert str(caught.value) == (
        "caller has no array 'reorderr', and a schedule no such method; did you mean 'reorder'?"
    )
    with pytest.raises(AttributeError, match=r"no such method; its arrays are A, T$"):
        customize(caller).Zzz
    with pytest.raises(ScheduleError) as caught:
        customize(caller).partition("B")
    assert caught.value.message == "there is no array 'B' in caller"
    assert caught.value.allowed == "A, T"
