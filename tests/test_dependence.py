"""Dependences between array accesses, against counting by hand and against enumeration."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.dependence import (
    Access,
    Conflict,
    accesses,
    before,
    carried_distance,
    conflict,
    same_iteration,
)
from allo_rtl.ir.ops import Alloc, Apply, Call, Cast, For, Func, If, Load, Module, Store, Value
from allo_rtl.ir.types import bool_, index, int32


def const(value: int) -> AffineExpr:
    return AffineExpr.constant(value)


def loop(iv: Value, lower: int, upper: int, body=(), step: int = 1) -> For:
    return For(
        iv=iv, lower=(const(lower),), upper=(const(upper),), step=step, body=body, name=iv.name
    )


def nest(ivs, ranges, body) -> tuple[For, ...]:
    """The loops of a perfect nest around ``body``, outermost first."""
    made: list[For] = []
    for iv, (lower, upper, step) in reversed(list(zip(ivs, ranges, strict=True))):
        made.insert(0, loop(iv, lower, upper, (made[0],) if made else body, step))
    return tuple(made)


def store_then_load(array, written, read, ivs, ranges):
    """(store, load, loops) of ``array[written] = array[read]`` in a nest."""
    value = Value(int32, "v")
    body = (
        Load(result=value, array=array, index=tuple(read)),
        Store(value=value, array=array, index=tuple(written)),
    )
    loops = nest(ivs, ranges, body)
    load, store = accesses((loops[0],))
    return store, load, loops


I, J, K = (Value(index, n) for n in "ijk")
i, j, k = map(AffineExpr.of, (I, J, K))


def distance(written, read, ivs, ranges, array=None):
    array = array or Value(int32[(64,) * len(written)], "A")
    store, load, loops = store_then_load(array, written, read, ivs, ranges)
    return carried_distance(store, load, loops), carried_distance(load, store, loops)


def test_a_running_sum_is_carried_over_one_iteration():
    assert distance([i + 1], [i], [I], [(0, 8, 1)]) == (1, None)


def test_the_distance_is_counted_in_iterations_not_in_cells():
    assert distance([i + 4], [i], [I], [(0, 16, 2)]) == (2, None)
    assert distance([i + 3], [i], [I], [(0, 16, 2)]) == (None, None)


def test_a_distance_beyond_the_loop_is_none():
    assert distance([i + 8], [i], [I], [(0, 8, 1)]) == (None, None)
    assert distance([i + 7], [i], [I], [(0, 8, 1)]) == (7, None)


def test_an_accumulator_in_a_flattened_nest():
    ranges = [(0, 4, 1), (0, 5, 1)]
    assert distance([i], [i], [I, J], ranges) == (1, 1)
    assert distance([j], [j], [I, J], ranges) == (5, 5)
    assert distance([i, j], [i, j], [I, J], ranges) == (None, None)


def test_a_coupled_subscript_is_exact():
    # A[i + j] = A[i + j]: one up in i and one down in j is 5 - 1 iterations later.
    assert distance([i + j], [i + j], [I, J], [(0, 4, 1), (0, 5, 1)]) == (4, 4)


def test_remainders_and_quotients_are_exact():
    fused = [i.floordiv(4), i.mod(4)]
    assert distance(fused, fused, [I], [(0, 16, 1)]) == (None, None)
    assert distance([i.mod(4)], [i.mod(4)], [I], [(0, 16, 1)]) == (4, 4)


def test_the_digits_of_a_fused_counter():
    # i counts a 4 x 3 x 2 nest; A[x, z + 1] = A[x, z] with y free.
    x, z = i.floordiv(6), i.mod(2)
    assert distance([x, z + 1], [x, z], [I], [(0, 24, 1)]) == (1, 1)
    y = i.floordiv(2).mod(3)
    assert distance([x, y + 1, z], [x, y, z], [I], [(0, 24, 1)]) == (2, None)
    # 23 iterations do not fill the nest, and a start at 1 shifts its digits: exact all the same.
    assert distance([x, y, z], [x, y, z], [I], [(0, 23, 1)]) == (None, None)
    assert distance([x, y], [x, y], [I], [(1, 24, 1)]) == (1, 1)


def test_a_row_major_address_is_taken_apart():
    ranges = [(0, 32, 1), (0, 32, 1)]
    assert distance([i * 32 + j], [i * 32 + j], [I, J], ranges) == (None, None)
    assert distance([i * 32 + j + 32], [i * 32 + j], [I, J], ranges) == (32, None)
    assert distance([i * 31 + j], [i * 31 + j], [I, J], ranges) == (1, 1)


def test_a_value_from_outside_the_loop_is_the_same_number_in_every_iteration():
    n, m = AffineExpr.of(Value(index, "n")), AffineExpr.of(Value(index, "m"))
    assert distance([i + n], [i + n], [I], [(0, 8, 1)]) == (None, None)
    assert distance([i + n], [i + m], [I], [(0, 8, 1)]) == (1, 1)


def test_different_arrays_never_meet():
    value, a, b = Value(int32, "v"), Value(int32[8], "A"), Value(int32[8], "B")
    body = (Load(result=value, array=a, index=(i,)), Store(value=value, array=b, index=(i,)))
    loops = nest([I], [(0, 8, 1)], body)
    load, store = accesses(loops)
    assert carried_distance(store, load, loops) is None
    assert not same_iteration(store, load, loops)


def data_dependent_pair(rows: bool):
    """A histogram: bins[x] or bins[i, x] is read and written for an ``x`` read from memory."""
    data, x = Value(int32[8], "data"), Value(index, "x")
    bins = Value(int32[8, 8] if rows else int32[8], "bins")
    raw, old = Value(int32, "raw"), Value(int32, "old")
    where = (i, AffineExpr.of(x)) if rows else (AffineExpr.of(x),)
    body = (
        Load(result=raw, array=data, index=(i,)),
        Cast(result=x, operand=raw),
        Load(result=old, array=bins, index=where),
        Store(value=old, array=bins, index=where),
    )
    loops = nest([I], [(0, 8, 1)], body)
    _, load, store = accesses(loops)
    return load, store, loops


def test_data_dependent_subscripts_may_be_any_cell():
    load, store, loops = data_dependent_pair(rows=False)
    assert not load.affine
    assert carried_distance(store, load, loops) == 1
    assert same_iteration(store, load, loops)


def test_the_affine_subscripts_of_a_data_dependent_access_still_count():
    load, store, loops = data_dependent_pair(rows=True)
    assert carried_distance(store, load, loops) is None


def test_the_body_alone_gives_the_same_answers_as_the_nest():
    store, load, loops = store_then_load(
        Value(int32[64], "A"), [i + j], [i + j], [I, J], [(0, 4, 1), (0, 5, 1)]
    )
    inner_load, inner_store = accesses(loops[-1].body)
    assert carried_distance(inner_store, inner_load, loops) == 4
    assert carried_distance(store, load, loops[1:]) is None
    assert carried_distance(store, load, loops[:1]) == 1


def test_an_applied_expression_is_seen_through():
    a, v, at = Value(int32[64], "A"), Value(int32, "v"), Value(index, "at")
    body = (
        Apply(result=at, expr=i * 2 + 1),
        Load(result=v, array=a, index=(AffineExpr.of(at),)),
        Store(value=v, array=a, index=(i * 2,)),
    )
    loops = nest([I], [(0, 8, 1)], body)
    load, store = accesses(loops)
    assert load.affine
    assert load.index == (i * 2 + 1,)
    assert carried_distance(store, load, loops) is None


def test_a_triangular_nest_tells_dependent_from_independent():
    array, v = Value(int32[64], "A"), Value(int32, "v")
    for offset, expected in [(0, 1), (64, None)]:
        body = (
            Load(result=v, array=array, index=(j + offset,)),
            Store(value=v, array=array, index=(j,)),
        )
        inner = For(iv=J, lower=(const(0),), upper=(i,), body=body, name="j")
        loops = (loop(I, 0, 8, (inner,)), inner)
        load, store = accesses(loops[:1])
        assert carried_distance(store, load, loops) == expected


def test_a_call_touches_what_its_callee_touches():
    src, dst, v = Value(int32[4], "src"), Value(int32[4], "dst"), Value(int32, "v")
    copy = Func(
        name="copy",
        args=(src, dst),
        results=(),
        body=nest(
            [J], [(0, 4, 1)],
            (Load(result=v, array=src, index=(j,)), Store(value=v, array=dst, index=(j,))),
        ),
    )
    a, b = Value(int32[4], "a"), Value(int32[4], "b")
    loops = nest([I], [(0, 3, 1)], (Call(callee="copy", args=(a, b)),))
    top = Func(name="top", args=(a, b), results=(), body=loops)
    module = Module(funcs=(copy, top), top="top")
    assert [(x.array, x.is_store) for x in accesses(top.body, module)] == [(a, False), (b, True)]
    assert len(accesses(top.body)) == 4
    write = accesses(top.body, module)[1]
    assert carried_distance(write, write, loops) == 1
    assert carried_distance(write, write, nest([I], [(0, 1, 1)], loops[0].body)) is None


def test_positions_and_parents_follow_the_text():
    a, v, flag = Value(int32[8], "A"), Value(int32, "v"), Value(bool_, "flag")
    branch = If(
        condition=flag,
        then=(Load(result=v, array=a, index=(i,)),),
        orelse=(Store(value=v, array=a, index=(i,)),),
    )
    loops = nest([I], [(0, 8, 1)], (Alloc(result=Value(int32[()], "t")), branch))
    load, store = accesses(loops)
    assert (load.position, store.position) == ((0, 0, 1, 0, 0), (0, 0, 1, 1, 0))
    assert load.position < store.position
    assert load.parents == (loops[0], branch)
    assert load.loops == loops


def test_a_conflict_names_the_first_two_iterations_and_the_cell():
    store, load, loops = store_then_load(
        Value(int32[64], "A"), [i + 1], [i], [I, J], [(2, 8, 1), (0, 5, 1)]
    )
    assert conflict(store, load, loops, before) == Conflict((2, 0), (3, 0), (3,))
    assert conflict(load, store, loops, before) is None


@st.composite
def subscripts(draw, ivs):
    """An affine expression over loop counters, sometimes with a quotient or a remainder."""
    expr = const(draw(st.integers(-3, 6)))
    for iv in ivs:
        expr = expr + AffineExpr.of(iv) * draw(st.sampled_from([0, 0, 1, 1, 2, -1]))
    match draw(st.sampled_from(["", "", "", "floordiv", "mod"])):
        case "floordiv":
            return expr.floordiv(draw(st.integers(2, 4)))
        case "mod":
            return expr.mod(draw(st.integers(2, 4)))
    return expr


@st.composite
def nests(draw):
    ivs = (I, J, K)[: draw(st.integers(1, 3))]
    ranges = [
        (low, low + draw(st.integers(1, 5)), draw(st.integers(1, 2)))
        for low in draw(st.lists(st.integers(-1, 2), min_size=len(ivs), max_size=len(ivs)))
    ]
    rank = draw(st.integers(0, 2))
    first = [draw(subscripts(ivs)) for _ in range(rank)]
    second = [
        a + draw(st.integers(-2, 2)) if draw(st.booleans()) else draw(subscripts(ivs))
        for a in first
    ]
    return ivs, ranges, first, second


def enumerate_cells(subs, ivs, ranges):
    points = product(*(range(*r) for r in ranges))
    return [tuple(s.evaluate(dict(zip(ivs, p, strict=True)).get) for s in subs) for p in points]


@given(nests())
@settings(max_examples=300, deadline=None)
def test_distances_agree_with_enumeration(case):
    ivs, ranges, first, second = case
    array = Value(int32[(64,) * len(first)], "A")
    store, load, loops = store_then_load(array, first, second, ivs, ranges)
    written = enumerate_cells(first, ivs, ranges)
    read = enumerate_cells(second, ivs, ranges)

    def least(src, dst):
        pairs = ((b - a, src[a] == dst[b]) for a in range(len(src)) for b in range(a, len(dst)))
        found = [gap for gap, equal in pairs if equal]
        return min((f for f in found if f > 0), default=None), 0 in found

    assert carried_distance(store, load, loops) == least(written, read)[0]
    assert carried_distance(load, store, loops) == least(read, written)[0]
    assert carried_distance(store, store, loops) == least(written, written)[0]
    assert same_iteration(store, load, loops) == least(written, read)[1]


@given(nests())
@settings(max_examples=100, deadline=None)
def test_a_conflict_is_a_real_one(case):
    ivs, ranges, first, second = case
    array = Value(int32[(64,) * len(first)], "A")
    store, load, loops = store_then_load(array, first, second, ivs, ranges)
    found = conflict(store, load, loops, before)
    assert (found is None) == (carried_distance(store, load, loops) is None)
    if found is not None:
        at = [dict(zip(ivs, p, strict=True)) for p in (found.source, found.sink)]
        assert found.source < found.sink
        assert tuple(s.evaluate(at[0].get) for s in first) == found.cell
        assert tuple(s.evaluate(at[1].get) for s in second) == found.cell


def test_an_access_without_inner_loops_is_plain_data():
    store, _, _ = store_then_load(Value(int32[8], "A"), [i], [i], [I], [(0, 8, 1)])
    assert isinstance(store, Access)
    assert (store.is_store, store.affine, store.index) == (True, True, (i,))
