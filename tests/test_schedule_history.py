"""The Schedule object: history, undo, text, targets."""

import json
import logging
from importlib import import_module

import pytest

import allo_rtl as allo
from allo_rtl.customize import Partition, Schedule, customize
from allo_rtl.errors import BuildError, IRError, ScheduleError
from allo_rtl.hls.render import render_json
from allo_rtl.ir.ops import Func, Module, Return, Value
from allo_rtl.ir.types import float32, int32


def gemm(A: int32[8, 6], B: int32[6, 10], C: int32[8, 10]):
    for i, j in allo.grid(8, 10, name="C"):
        for k in allo.reduction(6):
            C[i, j] += A[i, k] * B[k, j]


def scheduled() -> Schedule:
    s = customize(gemm)
    s.reorder("k", "j")
    s.split("i", 4)
    s.pipeline("j")
    s.partition(s.B, dim=2)
    s.unroll(s.get_loops().C["i.inner"], factor=2)
    return s


def test_the_history_prints_as_calls():
    assert [str(step) for step in scheduled().history()] == [
        "reorder('k', 'j')",
        "split('i', 4)",
        "pipeline('j')",
        "partition('gemm:B', partition_type=Partition.Complete, dim=2, factor=0)",
        "unroll('gemm:C.i.inner', factor=2)",
    ]


def test_primitive_sequences():
    assert scheduled().primitive_sequences[:3] == [
        ("reorder", ["k", "j"], {}),
        ("split", ["i", 4], {}),
        ("pipeline", ["j"], {}),
    ]


def test_a_history_can_be_replayed():
    s, again = scheduled(), customize(gemm)
    for name, args, kwargs in s.primitive_sequences:
        getattr(again, name)(*args, **kwargs)
    assert again.show() == s.show()


def test_undo_goes_back_one_primitive_at_a_time():
    s = scheduled()
    texts = []
    while s.history():
        texts.append(s.show())
        s.undo()
    assert s.show() == customize(gemm).show()
    assert len(set(texts)) == 5
    s.split("i", 2)  # the name is back
    s.undo()
    with pytest.raises(ScheduleError, match=r"there is nothing to undo"):
        s.undo()


def test_the_text_of_a_schedule():
    assert str(scheduled()) == "\n".join(
        [
            "gemm(A: int32[8, 6], B: int32[6, 10] banked [-, complete], C: int32[8, 10])",
            "  C: for i.outer in 0..2",
            "    for i.inner in 0..4  unroll 2",
            "      for k in 0..6  reduction",
            "        S_k_0: for j in 0..10  pipeline II=1",
            "          C[4*i.outer + i.inner, j] = ...",
        ]
    )


def test_the_top_function():
    s = scheduled()
    assert s.top_func_name == "gemm"
    assert s.top_func is s.module.func("gemm")


def test_an_unknown_target():
    with pytest.raises(BuildError) as caught:
        scheduled().build(target="vhls")
    assert str(caught.value) == (
        "there is no target 'vhls'\n  allowed: cpu, llvm, evaluator, simulator, rtl"
    )


def test_customize_takes_text_and_modules():
    text = "def k(A: int32[N]):\n    for i in range(N):\n        A[i] = i\n"
    s = customize(text, global_vars={"int32": int32, "N": 4})
    assert s.show().splitlines()[1] == "  S_i_0: for i in 0..4"
    assert customize(s.module).show() == s.show()


def test_customize_refuses_an_ill_formed_module():
    stray = Value(int32, "stray")
    func = Func(name="f", args=(), results=(int32,), body=(Return(values=(stray,)),))
    with pytest.raises(IRError):
        customize(Module(funcs=(func,), top="f"))


def test_verbose_logs_the_source_and_the_loops(caplog):
    with caplog.at_level(logging.INFO, logger="allo_rtl"):
        s = customize(gemm, verbose=True)
    (message,) = caplog.messages
    assert message.startswith("def gemm(A: int32[8, 6]")
    assert message.endswith(s.show())


def test_partition_is_exported_where_users_look_for_it():
    assert [kind.value for kind in Partition] == [0, 1, 2]


def add(C: int32[8, 10], D: int32[8, 10]):
    for i, j in allo.grid(8, 10, name="D"):
        D[i, j] = C[i, j] + 1


def both(A: int32[8, 6], B: int32[6, 10], C: int32[8, 10], D: int32[8, 10]):
    gemm(A, B, C)
    add(C, D)
    for i in range(8):
        D[i, 0] = 0
    for j in range(8):
        D[j, 1] = 0


def test_the_report_has_what_each_step_changed_and_only_that():
    s = customize(both)
    s.split("j", 4)
    s.pipeline("add:j")
    report = s.build(target="rtl").report()
    assert [(step.call, step.before, step.after) for step in report.steps] == [
        (
            "split('j', 4)",
            "both(A: int32[8, 6], B: int32[6, 10], C: int32[8, 10], D: int32[8, 10])\n"
            "  S_j_1: for j in 0..8\n"
            "    D[j, 1] = ...",
            "both(A: int32[8, 6], B: int32[6, 10], C: int32[8, 10], D: int32[8, 10])\n"
            "  S_j_1: for j.outer in 0..2\n"
            "    for j.inner in 0..4\n"
            "      D[4*j.outer + j.inner, 1] = ...",
        ),
        (
            "pipeline('add:j')",
            "add(C: int32[8, 10], D: int32[8, 10])\n"
            "  D: for i in 0..8\n"
            "    for j in 0..10\n"
            "      D[i, j] = ...",
            "add(C: int32[8, 10], D: int32[8, 10])\n"
            "  D: for i in 0..8\n"
            "    for j in 0..10  pipeline II=1\n"
            "      D[i, j] = ...",
        ),
    ]
    assert "split('j', 4)" in str(report)
    assert json.loads(render_json(report))["schedule"][1]["call"] == "pipeline('add:j')"


def sums(A: float32[4, 8], B: float32[4, 8], out: float32[2]):
    for i, j in allo.reduction(4, 8, name="declared"):
        out[0] += A[i, j]
    for i, j in allo.grid(4, 8, name="asked"):
        out[1] += B[i, j]
    for i, j in allo.grid(4, 8, name="copy"):
        A[i, j] = B[i, j]


def test_the_report_states_where_floating_point_sums_changed_their_order():
    s = customize(sums)
    s.reorder("declared.j", "declared.i")
    s.reorder("asked.j", "asked.i", reassociate=True)
    s.reorder("copy.j", "copy.i", reassociate=True)
    line = sums.__code__.co_firstlineno
    report = s.build(target="rtl").report()
    assert report.notes[-2:] == (
        "reorder('j', 'i'): the floating-point sum at test_schedule_history.py:"
        f"{line + 2} is added up in another order (its loops are declared with allo.reduction)",
        "reorder('j', 'i'): the floating-point sum at test_schedule_history.py:"
        f"{line + 4} is added up in another order (reassociate=True)",
    )
    assert s.history()[2].notes == ()
    s.undo()
    s.undo()
    assert len(s.build(target="rtl").report().steps) == 1


@pytest.mark.parametrize("name", ["allo_rtl.autoscheduler", "allo_rtl.autoscheduler.passes"])
def test_what_stands_for_an_autoscheduler_is_told(name):
    with pytest.raises(ImportError, match=r"allo_rtl\.advise\(schedule\)"):
        import_module(name)
