"""inline and outline: which functions there are, never what they compute."""

import agreement
import pytest

import allo_rtl as allo
from allo_rtl.errors import ScheduleError
from allo_rtl.hls.prepare import prepare
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.ops import Call, Func, Module, Return, Store, Value
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import ArrayType, Partition, Stateful, float32, index, int16, int32
from allo_rtl.ir.verify import verify_module


def scale(X: int32[8], by: int32) -> int32[8]:
    Y: int32[8] = 0
    for i in range(8):
        Y[i] = X[i] * by
    return Y


def total(X: int32[8]) -> int32:
    s: int32 = 0
    for i in range(8):
        s += X[i]
    return s


def spread(X: int32[8], by: int32) -> int32[8]:
    Y = scale(X, by)
    Y[0] = total(X)
    return Y


def top(A: int32[8], B: int32[8]):
    Y = spread(A, 3)
    Z = scale(Y, 5)
    for i in range(8):
        B[i] = Z[i] + total(A)


def first(X: int32[8]) -> int32[8]:
    X[0] = X[0] + 1
    return X


def changes_what_it_gives(A: int32[8], B: int32[8]):
    for i in range(8):
        Y = first(A)
        A[0] = A[0] * 2
        B[i] = Y[0]


def rows(A: int32[4, 8]):
    for i in range(4):
        one(A[i])


def one(X: int32[8]):
    for j in range(1, 8):
        X[j] = X[j] + X[j - 1]


def count_calls() -> int32:
    n: int32 @ Stateful = 0
    n = n + 1
    return n


def counts(A: int32[4]):
    for i in range(4):
        A[i] = count_calls() * 10 + count_calls()


def conditional(A: int32[8], n: int32) -> int32:
    r: int32 = 0
    if n > 2:
        r = total(A)
    else:
        i: int32 = 0
        while i < n:
            r += total(A)
            i += 1
    return r


def scaled(A: int32[8, 8], B: int32[8], n: int16):
    k: int32 = 1
    for i in range(8):
        t: int32 = i + n
        for j in range(8):
            B[j] += A[i, j] * t + k
        k = B[i]


def doubled(A: float32[8], n: int32) -> float32:
    s: float32 = 0.5
    for i in range(8):
        if i < n:
            for j in range(i, 8):
                s += A[j] * 2
    return s


def functions(schedule):
    return [f.name for f in schedule.module.funcs]


def same(kernel, schedule):
    verify_module(schedule.module)
    verdict = allo.verify(allo.customize(kernel), schedule)
    assert verdict.equal, verdict.reason


def test_inline_puts_the_body_where_the_call_was():
    s = allo.customize(top)
    s.inline("scale")
    assert functions(s) == ["total", "spread", "top"]
    assert s.show().split("\n\n")[-1] == """\
top(A: int32[8], B: int32[8])
  Y = spread(A, ...)
  Z: int32[8]
  S_i_0_1: for i in 0..8
    Z[i] = ...
  S_i_0: for i in 0..8
    total(A)
    B[i] = ..."""
    same(top, s)


def test_inline_alone_leaves_the_top_without_calls():
    for name in (None, "top"):
        s = allo.customize(top)
        s.inline(name)
        assert functions(s) == ["top"]
        assert not any(isinstance(op, Call) for op in walk(s.top_func.body))
        same(top, s)


def test_inline_within_one_function():
    s = allo.customize(top)
    s.inline("scale", within="top")
    assert functions(s) == ["scale", "total", "spread", "top"]
    s.inline(within="spread")
    assert functions(s) == ["total", "spread", "top"]
    same(top, s)


def test_handles_and_names_of_the_caller_stay():
    s = allo.customize(top)
    handle = s.get_loops().S_i_0.i
    s.inline()
    s.pipeline(handle)
    assert s.get_loops().S_i_0.i == handle
    s.partition(s.Z, Partition.Complete)
    s.partition(s.Y, Partition.Complete)
    same(top, s)


def test_loops_of_an_inlined_call_in_a_loop_are_of_its_band():
    s = allo.customize(counts)
    s.inline()
    s = allo.customize(rows)
    s.inline()
    s.pipeline("j")
    assert [n for n, _ in s.get_loops().S_i_0] == ["i", "j"]
    same(rows, s)


def test_other_primitives_reach_across_an_inlined_call():
    def chain(A: int32[8]) -> int32[8]:
        Y = scale(A, 3)
        Z = scale(Y, 5)
        return Z

    s = allo.customize(chain)
    s.inline()
    first_, second = s.get_loops().bands.values()
    s.compute_at(first_.i, second.i)
    assert s.show() == """\
chain(A: int32[8]) -> int32[8]
  Z: int32[8]
  S_i_0_1: for i in 0..8
    Z[i] = ..."""
    same(chain, s)


@pytest.mark.parametrize(
    "kernel", [top, changes_what_it_gives, rows, counts, conditional], ids=lambda k: k.__name__
)
def test_inlined_kernels_agree_everywhere(kernel):
    original = allo.customize(kernel)
    s = allo.customize(kernel)
    s.inline()
    rtl = kernel is not counts  # State lasts between runs, which pysim starts anew.
    limits = {"n": (0, 5)}
    agreement.check(s, original=original.module, simulator="pysim", rtl=rtl, limits=limits)


def returning_its_argument() -> Module:
    """A callee that gives its own argument back, and a caller that then changes it."""
    type_ = ArrayType(int32, (4,))
    x, a, b, y = (Value(type_, n) for n in "xaby")
    word, k = Value(int32), Value(index, "k")
    from allo_rtl.ir.affine import AffineExpr
    from allo_rtl.ir.ops import Constant, For, Load

    zero, at = (AffineExpr.constant(0),), (AffineExpr.of(k),)
    loop = For(
        iv=k, lower=zero, upper=(AffineExpr.constant(4),), name="k",
        body=(Load(result=word, array=y, index=at), Store(value=word, array=b, index=at)),
    )
    seven = Value(int32)
    body = (
        Call(callee="give", args=(a,), outs=(y,)), Constant(result=seven, value=7),
        Store(value=seven, array=a, index=zero), loop,
    )
    give = Func(name="give", args=(x,), results=(type_,), body=(Return(values=(x,)),))
    caller = Func(name="caller", args=(a, b), results=(), body=body)
    return Module(funcs=(give, caller), top="caller")


def test_what_a_callee_gives_back_is_a_copy():
    from allo_rtl.schedule import Schedule

    module = returning_its_argument()
    s = Schedule(module)
    s.inline()
    verify_module(s.module)
    assert allo.verify(module, s.module).equal
    a, b = agreement.random_args(module)
    before = [*a]
    evaluate(s.module, [a, b])
    assert (a[0], [*b]) == (7, before)
    prepare(legalize(s.module))


def test_inline_refuses():
    s = allo.customize(scale)
    with pytest.raises(ScheduleError, match="nothing to inline: scale calls nothing"):
        s.inline()
    s = allo.customize(top)
    with pytest.raises(ScheduleError, match="there is no function 'scal'"):
        s.inline("scal")
    with pytest.raises(ScheduleError, match="nothing to inline: scale calls total"):
        s.inline("total", within="scale")
    assert not s.history()


def test_an_inlined_pipeline_may_not_be_in_another_one():
    s = allo.customize(top)
    s.pipeline("total:i")
    s.pipeline("i")
    with pytest.raises(ScheduleError, match="loop 'i_1' is inside loop 'i'; only one of them"):
        s.inline("total")
    assert functions(s) == ["scale", "total", "spread", "top"]


def test_inlining_saves_the_handshake_of_calls():
    plain, inlined = allo.customize(top), allo.customize(top)
    inlined.inline()
    before, after = (
        s.build(target="rtl", device="ecp5-85", clock_mhz=50) for s in (plain, inlined)
    )
    assert [f.name for f in before.design.functions] == ["scale", "total", "spread", "top"]
    assert [f.name for f in after.design.functions] == ["top"]
    assert after.predicted_cycles < before.predicted_cycles


def test_outline_makes_a_function_of_a_loop():
    s = allo.customize(scaled)
    assert s.outline("i") == "scaled_S_i_0"
    assert s.show() == """\
scaled_S_i_0(A: int32[8, 8], B: int32[8], n: int16, k: int32[])
  S_i_0: for i in 0..8
    t = ...
    S_j_0: for j in 0..8
      B[j] = ...
    k = ...

scaled(A: int32[8, 8], B: int32[8], n: int16)
  k = ...
  scaled_S_i_0(A, B, n, k)"""
    s.pipeline("scaled_S_i_0:j")
    same(scaled, s)


@pytest.mark.parametrize(
    ("kernel", "loop"),
    [(scaled, "i"), (scaled, "j"), (doubled, "i"), (doubled, "j"), (rows, "i"), (counts, "i")],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_outlined_kernels_agree_everywhere(kernel, loop):
    s = allo.customize(kernel)
    made = s.outline(loop, "made")
    assert functions(s)[-2:] == [made, kernel.__name__]
    original = allo.customize(kernel).module
    agreement.check(
        s, original=original, simulator="pysim", rtl=kernel is not counts, limits={"n": (0, 9)}
    )
    s.inline(made)
    same(kernel, s)


def test_the_outlined_loop_is_a_module_of_its_own():
    s = allo.customize(scaled)
    s.outline("j", "row")
    hardware = s.build(target="rtl", device="ecp5-85", clock_mhz=50)
    assert [f.name for f in hardware.design.functions] == ["row", "scaled"]


def test_outline_refuses():
    s = allo.customize(top)
    with pytest.raises(ScheduleError, match="there is something called 'total' already"):
        s.outline("i", "total")
    with pytest.raises(ScheduleError, match="'a b' is no name for a function"):
        s.outline("i", "a b")
    s.outline("i", "last")
    with pytest.raises(ScheduleError, match=r"no loop 'i' in top any more: outline\('i'\) repl"):
        s.pipeline("i")


def test_hierarchies_are_composed():
    def wide(A: int32[8], B: int32[8]):
        spread(A, 2)
        top(A, B)

    inner = allo.customize(top)
    inner.inline()
    inner.outline("S_i_0.i", "end")
    inner.pipeline("end:i")
    s = allo.customize(wide)
    s.compose(inner)
    assert functions(s) == ["scale", "total", "spread", "end", "top", "wide"]
    assert [str(step) for step in s.history()] == [
        "inline(within='top')", "outline('top:S_i_0.i', name='end')", "pipeline('end:i')",
    ]  # fmt: skip
    same(wide, s)


def last(X: int32[8]):
    for i in range(8):
        X[i] = X[i] + 1
    for j in range(8):
        X[j] = X[j] * X[j]


def twice(A: int32[8], B: int32[8]):
    last["u"](A)
    last["v"](B)


@pytest.mark.parametrize(
    ("name", "found"), [(None, ["last_v_S_j_1", "last_u_S_j_1"]), ("end", ["end", "end_u"])]
)
def test_each_instance_gets_outlined_functions_of_its_own(name, found):
    inner = allo.customize(last)
    inner.pipeline(inner.outline("j", name) + ":j", initiation_interval=2)
    s = allo.customize(twice)
    s.compose(inner, id="v")
    s.compose(inner, id="u")
    assert [str(step) for step in s.history()][1::2] == [
        f"pipeline('{name}:j', initiation_interval=2)" for name in found
    ]
    same(twice, s)


def test_a_schedule_without_steps_composes_to_nothing():
    s = allo.customize(rows)
    before = s.module
    s.compose(allo.customize(one))
    assert s.module is before
    assert s.history() == ()
