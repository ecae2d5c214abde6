"""verify: schedules and kernels compared for all inputs, or by a counterexample."""

from operator import mul

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_generators import all_types, modules, random_args

import allo_rtl as allo
from allo_rtl.customize import customize
from allo_rtl.errors import ScheduleError
from allo_rtl.ir.arithmetic import (
    eval_binary,
    eval_bitcast,
    eval_cast,
    eval_compare,
    eval_math,
    wrap,
)
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.ops import BinaryKind, MathKind, Predicate
from allo_rtl.ir.symbolic import NotSymbolic, outputs
from allo_rtl.ir.terms import Terms
from allo_rtl.ir.types import ArrayType, Int, float32, index, int8, int32
from allo_rtl.verify import verify


def gemm(A: int32[4, 6], B: int32[6, 5]) -> int32[4, 5]:
    C: int32[4, 5] = 0
    for i, j, k in allo.grid(4, 5, 6, name="gemm"):
        C[i, j] += A[i, k] * B[k, j]
    return C


def backwards(A: int32[4, 6], B: int32[6, 5]) -> int32[4, 5]:
    C: int32[4, 5] = 0
    for i, j, k in allo.grid(4, 5, 6, name="gemm"):
        C[3 - i, j] += B[5 - k, j] * A[3 - i, 5 - k]
    return C


def short(A: int32[4, 6], B: int32[6, 5]) -> int32[4, 5]:
    C: int32[4, 5] = 0
    for i, j, k in allo.grid(4, 5, 5, name="gemm"):
        C[i, j] += A[i, k] * B[k, j]
    return C


def test_schedules_of_one_kernel_are_proved_equal():
    s = customize(gemm)
    s.split("j", 2)
    s.reorder("k", "j.outer", "j.inner")
    s.buffer_at("C", "i")
    s.partition("A", dim=2)
    verdict = verify(customize(gemm), s)
    assert verdict
    assert verdict.proved
    text = "equivalent (proved): all 74 elements are the same function of the inputs"
    assert str(verdict) == text


def test_integer_sums_and_products_may_come_in_any_order():
    assert verify(customize(gemm), customize(backwards)).proved


def test_what_differs_is_named_with_inputs_that_show_it():
    verdict = verify(customize(gemm), customize(short))
    assert not verdict
    assert verdict.proved
    assert verdict.reason.startswith("result 1[0, 0] is ")
    one, other = (evaluate(customize(k).module, list(verdict.inputs)) for k in (gemm, short))
    assert one[0][0, 0] != other[0][0, 0]


def float_sum(A: float32[6]) -> float32:
    total: float32 = 0.0
    for i in range(6):
        total += A[i]
    return total


def float_sum_backwards(A: float32[6]) -> float32:
    total: float32 = 0.0
    for i in range(6):
        total += A[5 - i]
    return total


def test_floating_point_sums_may_not():
    assert verify(customize(float_sum), customize(float_sum)).proved
    verdict = verify(customize(float_sum), customize(float_sum_backwards))
    assert not verdict.equal
    assert verdict.inputs is not None


def clip(A: int32[6]) -> int32[6]:
    B: int32[6] = 0
    for i in range(6):
        if A[i] > 10:
            B[i] = 10
        else:
            B[i] = A[i]
    return B


def clip_select(A: int32[6]) -> int32[6]:
    B: int32[6] = 0
    for i in range(6):
        B[5 - i] = 10 if A[5 - i] > 10 else A[5 - i]
    return B


def test_conditions_on_data_become_choices():
    assert verify(customize(clip), customize(clip_select)).proved


def count_up(n: int8) -> int32:
    total: int32 = 0
    for i in range(n):
        total += i
    return total


def gauss(n: int8) -> int32:
    x: int32 = n
    return x * (x - 1) // 2 if x > 0 else 0


def test_control_that_depends_on_data_is_tested_and_says_so():
    verdict = verify(customize(count_up), customize(gauss))
    assert verdict.equal
    assert not verdict.proved
    assert str(verdict) == (
        "equivalent (tested): equal on 20 random inputs; not followed for all inputs: a loop or "
        "subscript depends on its inputs"
    )


def test_kernels_of_other_types_cannot_be_compared():
    with pytest.raises(ScheduleError, match=r"gemm\(int32\[4, 6\].*\) and clip\(.*cannot be compa"):
        verify(customize(gemm), customize(clip))


def widen(a: int8, b: int8) -> int8:
    wide: Int(20) = a
    wide += b
    wide += a
    return wide


def narrow(a: int8, b: int8) -> int8:
    x: int8 = a + a
    return x + b


def test_sums_cut_to_fewer_bits_are_equal_where_the_low_bits_are():
    assert verify(customize(widen), customize(narrow)).proved


def value_of(term, inputs, known):
    """The int that a term stands for, for given inputs; computed by the evaluator's arithmetic."""
    if term in known:
        return known[term]
    parts = [value_of(p, inputs, known) for p in term.parts]
    match term.kind:
        case "const":
            result = term.detail
        case "input":
            result = inputs[term.detail]
        case "sum":
            result = wrap(term.type, term.detail + sum(map(mul, parts, term.factors)))
        case "cast":
            result = eval_cast(term.type, parts[0], term.parts[0].type)
        case "bitcast":
            result = eval_bitcast(term.type, parts[0])
        case "select":
            result = parts[1] if parts[0] else parts[2]
        case kind if kind in {p.value for p in Predicate}:
            result = eval_compare(Predicate(kind), *parts, term.parts[0].type)
        case kind if kind in {k.value for k in MathKind}:
            result = eval_math(MathKind(kind), term.type, tuple(parts))
        case kind:
            result = eval_binary(BinaryKind(kind), term.type, *parts)
    known[term] = result
    return result


@given(modules(rich=all_types), st.integers(0, 1 << 30))
@settings(max_examples=60, deadline=None)
def test_terms_stand_for_what_the_evaluator_computes(module, seed):
    try:
        found = outputs(module, Terms())
    except NotSymbolic:
        return
    args = random_args(module.top_func, seed)
    inputs = {}
    for n, arg in enumerate(args):
        type_ = module.top_func.args[n].type
        element = type_.element if isinstance(type_, ArrayType) else type_
        for place in np.ndindex(np.shape(arg)):
            at = f"[{', '.join(map(str, place))}]" if isinstance(type_, ArrayType) else ""
            inputs[f"argument {n + 1}{at}"] = wrap(element, int(np.asarray(arg, object)[place]))
    inputs |= {
        f"state {g.name}[{k}]": x for g in module.globals for k, x in enumerate(g.data)
    }
    results = evaluate(module, args)
    known = {}
    for name, term in found.items():
        kind, _, rest = name.partition(" ")
        number, _, place = rest.partition("[")
        if kind == "state":
            continue
        source = (args if kind == "argument" else results)[int(number) - 1]
        where = tuple(int(x) for x in place[:-1].split(", ") if x)
        expected = int(np.asarray(source, object)[where])
        assert value_of(term, inputs, known) == wrap(term.type, expected), name


def index_kernel(i: index) -> index:
    return i * 2 + i


def index_kernel_2(i: index) -> index:
    return 3 * i


def test_index_arithmetic():
    assert verify(customize(index_kernel), customize(index_kernel_2)).proved
