"""What a CPU build does besides computing: state, printing, assertions, open extents, while.

The evaluator as a target is called alike; most tests run on both.
"""

import numpy as np
import pytest

import allo_rtl as allo
from allo_rtl.errors import AlloError, AssertionFailed, BuildError, CallError
from allo_rtl.ir.ops import (
    Alloc,
    Func,
    GetGlobal,
    Global,
    Load,
    Module,
    Print,
    Return,
    Store,
    Value,
)
from allo_rtl.ir.types import (
    DYNAMIC,
    Fixed,
    Int,
    Stateful,
    Struct,
    UFixed,
    UInt,
    bfloat16,
    bool_,
    float8_e4m3,
    float8_e5m2,
    float16,
    float32,
    float64,
    index,
    int8,
    int32,
    uint8,
)
from allo_rtl.sim.cpu import CpuModule
from allo_rtl.sim.reference import ReferenceModule
from allo_rtl.sim.words import numpy_dtype

targets = pytest.mark.parametrize("target", ["cpu", "evaluator"])

# State


def count(step: int32) -> int32:
    total: int32 @ Stateful = 10
    total += step
    return total


@targets
def test_state_lasts_from_call_to_call_until_reset(target):
    kernel = allo.customize(count).build(target=target)
    assert [kernel(1), kernel(2), kernel(-3)] == [11, 13, 10]
    kernel.reset()
    assert kernel(5) == 15


@targets
def test_every_build_has_state_of_its_own(target):
    s = allo.customize(count)
    one, two = s.build(target=target), s.build(target=target)
    assert [one(1), two(1), one(1)] == [11, 11, 12]


def delay(x: float32) -> float32:
    line: float32[3] @ Stateful
    last: float32 = line[2]
    line[2] = line[1]
    line[1] = line[0]
    line[0] = x
    return last


@targets
def test_stateful_arrays_start_with_zeros(target):
    kernel = allo.customize(delay).build(target=target)
    assert [kernel(x) for x in (1.5, 2.5, 3.5, 4.5, 5.5)] == [0, 0, 0, 1.5, 2.5]


def twice(step: int32) -> int32:
    a: int32 = count(step)
    return count(a)


@targets
def test_state_of_a_callee(target):
    kernel = allo.customize(twice).build(target=target)
    assert [kernel(1), kernel(1)] == [22, 46]


@pytest.mark.parametrize("type_", [Int(7), Int(33), Int(100)], ids=str)
def test_state_of_odd_widths(type_):
    """A stateful array, stored to after it is read; reset restores every element."""
    state, x = Value(type_[3], "state"), Value(type_, "x")
    first = Load(result=Value(type_), array=state, index=(_at(1),))
    body = (
        GetGlobal(result=state, name="state"), first,
        Store(value=x, array=state, index=(_at(1),)), Return(values=(state, first.result)),
    )  # fmt: skip
    func = Func(name="f", args=(x,), results=(type_[3], type_), body=body)
    initial = Global(name="state", type=type_[3], data=(type_.min, 3, -1), stateful=True)
    kernel = CpuModule(Module(funcs=(func,), top="f", globals=(initial,)))
    for _ in range(2):
        array, before = kernel(5)
        assert (array.tolist(), before) == ([type_.min, 5, -1], 3)
        assert kernel(-2)[1] == 5
        kernel.reset()


def _at(n):
    from allo_rtl.ir.affine import AffineExpr

    return AffineExpr.constant(n)


# Printing


def table(n: int32, x: float32):
    for i in range(n):
        print("row", i, x * i)
    print("done")


@targets
def test_printed_lines_are_on_stdout_in_order(target, capsys):
    allo.customize(table).build(target=target)(3, 0.1)
    assert capsys.readouterr().out == (
        "row 0 0.0\nrow 1 0.10000000149011612\nrow 2 0.20000000298023224\ndone\n"
    )


@targets
def test_lines_can_go_elsewhere(target, capsys):
    lines = []
    kernel = allo.customize(table).build(target=target)
    kernel.output = lines.append
    kernel(1, -np.inf)
    assert lines == ["row 0 nan", "done"]
    assert capsys.readouterr().out == ""


def printer(*types):
    """A kernel that prints its arguments."""
    args = tuple(Value(t, f"a{n}") for n, t in enumerate(types))
    op = Print(text="<" + " ".join(["{}"] * len(types)) + ">", args=args)
    return Module(funcs=(Func(name="f", args=args, results=(), body=(op,)),), top="f")


@pytest.mark.parametrize("build", [CpuModule, ReferenceModule])
def test_all_types_are_printed_as_python_does(build, capsys):
    pair = Struct({"x": int8, "y": float16})
    module = printer(int8, uint8, Int(200), Fixed(12, 4), float16, pair, Int(3))
    build(module)(-5, 250, -(1 << 190), -1.25, 1e-7, {"x": -1, "y": np.inf}, -4)
    line = f"<-5 250 {-(1 << 190)} -1.25 1.1920928955078125e-07 {{'x': -1, 'y': inf}} -4>\n"
    assert capsys.readouterr().out == line


@targets
def test_an_error_of_the_output_comes_through(target):
    def broken(line):
        raise OSError("the disk is full")

    kernel = allo.customize(table).build(target=target)
    kernel.output = broken
    with pytest.raises(OSError, match=r"^the disk is full$"):
        kernel(1, 1.0)
    kernel.output = lambda line: None
    assert kernel(1, 1.0) is None


# Assertions


def root(x: int32) -> int32:
    assert x >= 0, "the root of a negative number"
    r: int32 = 0
    while (r + 1) * (r + 1) <= x:
        r += 1
    return r


def roots(a: int32[4], b: int32[4]):
    for i in range(4):
        b[i] = root(a[i])
        print("root", i)


@targets
def test_while(target):
    kernel = allo.customize(root).build(target=target)
    assert [kernel(x) for x in (0, 1, 3, 4, 99, 100)] == [0, 1, 1, 2, 9, 10]


@targets
def test_a_failed_assertion_ends_the_run(target, capsys):
    """Of a callee in a loop: what comes after does not happen, no argument changes."""
    kernel = allo.customize(roots).build(target=target)
    a, b = np.array([4, 9, -1, 16], np.int32), np.zeros(4, np.int32)
    with pytest.raises(AssertionFailed) as caught:
        kernel(a, b)
    assert caught.value.message == "the root of a negative number"
    assert caught.value.loc.text.strip() == 'assert x >= 0, "the root of a negative number"'
    assert caught.value.loc.file == __file__
    assert capsys.readouterr().out == "root 0\nroot 1\n"
    assert b.tolist() == [0, 0, 0, 0]
    a[2] = 25
    kernel(a, b)
    assert b.tolist() == [2, 3, 5, 4]


def checked(x: int32) -> int32:
    assert x < 100, "too large"
    assert x != 13, "unlucky"
    return x


def sum_of_checked(x: int32, y: int32) -> int32:
    assert x != y, "equal"
    total: int32 = checked(x)
    if y > 0:
        total += checked(y)
    return total


@targets
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [(1, 1, "equal"), (200, 1, "too large"), (13, 1, "unlucky"), (1, 200, "too large"),
     (1, 13, "unlucky"), (-5, 99, None)],
)  # fmt: skip
def test_the_first_assertion_that_fails_is_reported(target, x, y, message):
    kernel = allo.customize(sum_of_checked).build(target=target)
    if message is None:
        assert kernel(x, y) == x + y
        return
    with pytest.raises(AssertionFailed) as caught:
        kernel(x, y)
    assert caught.value.message == message


def large_then_fail(n: int32) -> int32:
    buffer: int32[100000] = 0
    for i in range(n):
        buffer[i] = i
    assert n < 50
    return buffer[n - 1]


def test_what_a_failed_run_had_on_the_heap_is_freed():
    """A thousand runs of 400 kB each."""
    resource = pytest.importorskip("resource")
    kernel = allo.customize(large_then_fail).build()
    assert kernel(50 - 1) == 48
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1000):
        with pytest.raises(AssertionFailed, match=r"an assertion does not hold|n < 50"):
            kernel(60)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


# Subscripts out of range


def gather(A: int32[8], at: int32[3]) -> int32[3]:
    out: int32[3] = 0
    for i in range(3):
        out[i] = A[at[i]]
    return out


def scatter(A: float32[2, 5], row: int8, column: int32):
    A[row, column + 1] = 1


def fill(A: int32[..., 3], n: int32):
    for i in range(n):
        for j in range(3):
            A[i, j] = i


def fill_all(A: int32[..., 3], B: int32[4, 3], n: int32, m: int32):
    fill(A, n)
    fill(B, m)


def ints(*shape):
    return np.zeros(shape, np.int32)


@targets
@pytest.mark.parametrize(
    ("kernel", "args", "found"),
    [
        (gather, (ints(8), np.array([0, 7, 8], np.int32)), "A[8] is out of range"),
        (gather, (ints(8), np.array([0, -1, 8], np.int32)), "A[-1] is out of range"),
        (scatter, (np.zeros((2, 5), np.float32), 2, 0), "A[2, 1] is out of range"),
        (scatter, (np.zeros((2, 5), np.float32), 1, 4), "A[1, 5] is out of range"),
        (scatter, (np.zeros((2, 5), np.float32), -1, -2), "A[-1, -1] is out of range"),
        (fill, (ints(6, 3), 7), "A[6, 0] is out of range"),
        (fill_all, (ints(6, 3), ints(4, 3), 7, 0), "A[6, 0] is out of range"),
        (fill_all, (ints(6, 3), ints(4, 3), 6, 5), "A[4, 0] is out of range"),
    ],
)
def test_a_subscript_out_of_range_ends_the_run(target, kernel, args, found):
    before = [np.copy(a) for a in args]
    with pytest.raises(AlloError) as caught:
        allo.customize(kernel).build(target=target)(*args)
    assert caught.value.message == found
    assert caught.value.loc.file == __file__
    assert caught.value.allowed.startswith("subscripts of ")
    assert all(np.array_equal(a, b) for a, b in zip(args, before, strict=True))


@targets
def test_subscripts_in_range_are_left_alone(target):
    build = lambda kernel: allo.customize(kernel).build(target=target)  # noqa: E731
    at = np.array([7, 0, 3], np.int32)
    assert build(gather)(np.arange(8, dtype=np.int32), at).tolist() == [7, 0, 3]
    A, B = ints(6, 3), ints(4, 3)
    build(fill_all)(A, B, 6, 4)
    assert A[:, 2].tolist() == [0, 1, 2, 3, 4, 5]
    assert B[:, 0].tolist() == [0, 1, 2, 3]


def test_subscripts_of_constant_loops_need_no_check():
    def triangle(A: int32[8, 8], B: int32[7]):
        for i in range(8):
            for j in range(i, 8):
                A[i, j] = A[j, 7 - i] + B[j // 2]

    kernel = allo.customize(triangle).build()
    assert "subscripts" not in kernel.llvm_ir.replace('@"subscripts" = ', "")


# Arrays of any extent


def scale(A: float32[..., 2], n: int32, by: float32):
    for i in range(n):
        for j in range(2):
            A[i, j] = A[i, j] * by


@targets
@pytest.mark.parametrize("rows", [0, 1, 5, 1000])
def test_the_first_extent_comes_with_the_argument(target, rows):
    kernel = allo.customize(scale).build(target=target)
    a = np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)
    expected = a * np.float32(3)
    kernel(a, rows, 3)
    assert a.tolist() == expected.tolist()


@targets
def test_the_other_extents_must_fit(target):
    kernel = allo.customize(scale).build(target=target)
    with pytest.raises(CallError) as caught:
        kernel(np.zeros((4, 3), np.float32), 4, 1)
    assert str(caught.value) == (
        "argument 'A' of scale is float32[..., 2], but an array of shape (4, 3) was given\n"
        "  allowed: a numpy array of shape (..., 2) and dtype float32"
    )


def test_a_result_of_any_extent_is_refused():
    a = Value(int8[DYNAMIC], "a")
    body = (Return(values=(a,)),)
    func = Func(name="f", args=(a,), results=(int8[DYNAMIC],), body=body)
    with pytest.raises(BuildError) as caught:
        CpuModule(Module(funcs=(func,), top="f"))
    assert str(caught.value) == (
        "'f' returns int8[...], whose first extent is not known\n"
        "  hint: pass an array for the result as an argument"
    )


# The module object


def mixed(a: Fixed(16, 8), b: float16[2, 3]) -> (float32, int8[4]):
    c: int8[4] = 1
    d: float32 = a
    return d, c


def test_attributes():
    kernel = allo.customize(mixed).build()
    assert kernel.in_types == [(Fixed(16, 8), ()), (float16, (2, 3))]
    assert kernel.out_types == [(float32, ()), (int8, (4,))]
    assert kernel.module.top_func.args[0].type == Fixed(16, 8)
    assert kernel.intermediate_module.top_func.args[0].type == Int(16)
    assert kernel.execution_engine is not None
    assert repr(kernel) == "CpuModule(mixed(a: Fixed(16, 8), b: float16[2, 3]))"
    scalar, array = kernel(-1.5, np.zeros((2, 3), np.float16))
    assert (scalar, array.tolist()) == (-1.5, [1, 1, 1, 1])


def test_the_evaluator_is_a_target():
    kernel = allo.customize(mixed).build(target="evaluator")
    assert isinstance(kernel, ReferenceModule)
    assert repr(kernel) == "ReferenceModule(mixed(a: Fixed(16, 8), b: float16[2, 3]))"
    assert kernel.top_func_name == "mixed"
    assert kernel(0.25, np.zeros((2, 3), np.float16))[0] == 0.25


def test_any_function_of_a_module_can_be_the_top():
    module = allo.customize(roots).module
    kernel = allo.LLVMModule(module, "root")
    assert (kernel(50), kernel.top_func_name) == (7, "root")
    with pytest.raises(BuildError) as caught:
        allo.LLVMModule(module, "square")
    assert str(caught.value) == (
        "there is no function 'square'\n  allowed: root, roots"
    )


def test_an_unused_print_is_no_trouble():
    """In a function that is never called."""
    x = Value(int8, "x")
    never = Func(name="never", args=(x,), results=(), body=(Print(text="{}", args=(x,)),))
    made = Alloc(result=Value(int8[2]))
    top = Func(name="f", args=(), results=(int8[2],), body=(made, Return(values=(made.result,))))
    assert CpuModule(Module(funcs=(never, top), top="f"))().tolist() == [0, 0]


# Every type, from numpy through a kernel and back

PAIR = Struct({"x": Int(5), "p": Struct({"y": bfloat16, "z": Fixed(9, 3)})})
SAMPLES = {
    bool_: [True, False, True],
    int8: [-128, 127, 5],
    UInt(12): [4095, 0, 1],
    Int(33): [-(2**32), 2**32 - 1, 0],
    UInt(64): [2**64 - 1, 0, 1],
    Int(65): [-(2**64), 2**64 - 1, -1],
    UInt(512): [2**512 - 1, 0, 2**511],
    index: [-(2**63), 2**63 - 1, 7],
    Fixed(16, 8): [-128.0, 127.99609375, 0.5],
    UFixed(7, 7): [0.9921875, 0.0, 0.5],
    float8_e4m3: [448.0, -0.001953125, 1.0],
    float8_e5m2: [57344.0, -np.inf, 1.5258789e-05],
    float16: [65504.0, 5.960464477539063e-08, -0.0],
    bfloat16: [1.5, -np.inf, 3.0],
    float32: [1e-45, -3.4028234663852886e38, 0.25],
    float64: [5e-324, 1.7976931348623157e308, 0.1],
    PAIR: [(-16, (1.5, -0.125)), (15, (-2.0, 31.875)), (0, (0.0, 0.0))],
}


def kernel_of(T):
    def keep(a: T[3], x: T) -> (T[3], T):
        b: T[3] = a
        a[0] = x
        return b, x

    return keep


@targets
@pytest.mark.parametrize("type_", SAMPLES, ids=str)
def test_every_type_goes_in_and_out(type_, target):
    array = np.array(SAMPLES[type_], numpy_dtype(type_))
    given = array.copy()
    kernel = allo.customize(kernel_of(type_)).build(target=target)
    copy, number = kernel(given, array[1])
    assert copy.dtype == array.dtype
    assert copy.tolist() == array.tolist()
    assert given.tolist() == [array.tolist()[1], *array.tolist()[1:]]
    if type_ is PAIR:
        assert number == {"x": 15, "p": {"y": -2.0, "z": 31.875}}
    else:
        assert number == array.tolist()[1]
        assert type(number) in (int, float)
