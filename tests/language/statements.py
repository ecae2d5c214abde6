"""Rows: signatures, variables, loops, branches, calls."""

import numpy as np
from language.rows import row

import allo_rtl as allo
from allo_rtl.ir.types import ConstExpr, Memory, Stateful, int8, int32

I8 = np.arange(8, dtype=np.int32)
N = 8


@row("Kernels", "Signature", I8, 3, gives=I8 * 3)
def signature(A: int32[8], s: int32) -> int32[8]:
    """Arguments are annotated and positional. Arrays are passed by reference, scalars by value;
    an array result is a fresh array."""
    B: int32[8]
    for i in range(8):
        B[i] = A[i] * s
    return B


@row("Kernels", "No result", np.zeros(4, np.int32), leaves={0: [0, 1, 4, 9]})
def no_result(A: int32[4]):
    """A kernel without a result writes to its arguments."""
    for i in range(4):
        A[i] = i * i


@row("Kernels", "Several results", I8[:4], gives=[I8[:4] + 1, 6])
def several_results(A: int32[4]) -> (int32[4], int32):
    """Arrays and scalars may be mixed; the caller gets a list."""
    B: int32[4]
    total: int32 = 0
    for i in range(4):
        B[i] = A[i] + 1
        total += A[i]
    return B, total


@row("Kernels", "String annotations", I8[:4], gives=I8[:4] - 1)
def string_annotations(A: "int32[N // 2]") -> "int32[N // 2]":
    """An annotation may be a string; it is read as the annotation in it."""
    B: int32[N // 2] = A - 1
    return B


@row(
    "Kernels",
    "Dynamic shapes",
    I8,
    8,
    gives=28,
    hardware="has a size that is known when it is built",
)
def dynamic_shape(A: int32[...], n: int32) -> int32:
    """The first extent of an argument may be open: the array that is passed decides."""
    total: int32 = 0
    for i in range(n):
        total += A[i]
    return total


@row("Variables", "Declarations", 5, gives=[6, 12])
def declarations(a: int32) -> (int32, int32):
    """With a type, or with that of the value; without a value it is zero."""
    x: int32 = a + 1
    y: int32
    z = x * 2
    y += z
    return x, y


@row("Variables", "Array declarations", I8[:4], gives=[[7] * 4, [0, 1, 2, 3], [0, 0, 0, 0]])
def array_declarations(A: int32[4]) -> (int32[4], int8[4], int32[4]):
    """A scalar fills the array, an array is copied (and converted), nothing is zero."""
    filled: int32[4] = 7
    copied: int8[4] = A
    zeros: int32[4]
    return filled, copied, zeros


@row("Variables", "List initialisers", gives=[[1, 2], [3, 4]])
def list_initialiser() -> int32[2, 2]:
    """A nested list of constants."""
    t: int32[2, 2] = [[1, 2], [3, 4]]
    return t


WEIGHTS = np.array([[1, -1], [2, -2]], dtype=np.int8)


@row("Variables", "numpy arrays as constants", gives=[[2, -2], [4, -4]])
def numpy_constant() -> int32[2, 2]:
    """A numpy array of the surrounding Python is a constant; its value is taken when the kernel is
    compiled."""
    W: int32[2, 2] = WEIGHTS
    return W + WEIGHTS


@row("Variables", "Names from around the kernel", gives=8)
def python_constant() -> int32:
    """Python numbers are constants."""
    total: int32 = 0
    for _ in range(N):
        total += 1
    return total


@row("Variables", "Compile-time values: ConstExpr", I8, gives=[0, 1, 2, 3])
def const_expr(A: int32[N]) -> int32[N // 2]:
    """Computed by Python before the kernel is compiled; usable in bounds and shapes."""
    half: ConstExpr[int32] = N // 2
    B: int32[half]
    for i in range(half):
        B[i] = A[i]
    return B


@row("Variables", "State: Stateful", 5, gives=5)
def stateful(x: int32) -> int32:
    """Keeps its value from call to call, as a C static variable does; it starts with the constant.
    `reset()` of the built module brings that back."""
    total: int32 @ Stateful = 0
    total += x
    return total


@row("Variables", "Storage: Memory", np.arange(16, dtype=np.int32), gives=np.arange(16)[::-1])
def memory(A: int32[16]) -> int32[16]:
    """Says where an array is stored: block RAM, LUT RAM or registers."""
    held: int32[16] @ Memory(resource="BRAM")
    B: int32[16]
    for i in range(16):
        held[i] = A[i]
    for i in range(16):
        B[i] = held[15 - i]
    return B


@row("Assignments", "Swap", np.array([1, 2], np.int32), leaves={0: [2, 1]})
def swap(A: int32[2]):
    """All values are computed before any is stored."""
    A[0], A[1] = A[1], A[0]


@row("Assignments", "Several at once", gives=[3, 3, 7])
def tuple_assignment() -> (int32, int32, int32):
    """Tuples, and one value for several names."""
    x, y = 3, 7
    a = b = x
    z: int32 = a
    return z, b, y


@row("Assignments", "Augmented", np.array([10, 20], np.int32), leaves={0: [13, 10]})
def augmented(A: int32[2]):
    """Computed like the operator, then converted to the target's type."""
    A[0] += 3
    A[1] //= 2


@row("Loops", "range", gives=[2, 5, 8, 0])
def range_loop() -> int32[4]:
    """One to three arguments; the step is a constant of 1 or more."""
    B: int32[4]
    for i in range(2, 10, 3):
        B[(i - 2) // 3] = i
    return B


@row("Loops", "Bounds that vary", np.array([2, 3], np.int32), gives=[1, 3])
def variable_bounds(A: int32[2]) -> int32[2]:
    """Bounds may use outer counters and data."""
    B: int32[2]
    for i in range(2):
        for j in range(i, A[i]):
            B[i] += j
    return B


@row("Loops", "allo.grid", gives=np.add.outer(np.arange(3) * 10, np.arange(2)))
def grid_loop() -> int32[3, 2]:
    """A nest of loops, with a name for schedules."""
    B: int32[3, 2]
    for i, j in allo.grid(3, 2, name="fill"):
        B[i, j] = 10 * i + j
    return B


@row("Loops", "allo.reduction", I8, gives=28)
def reduction_loop(A: int32[8]) -> int32:
    """Like grid; it also states that the iterations may be summed in any order."""
    total: int32 = 0
    for k in allo.reduction(8):
        total += A[k]
    return total


@row("Loops", "Marks in the source", I8, gives=I8 + 1)
def inline_pragmas(A: int32[8]) -> int32[8]:
    """`pipeline` and `unroll` of the innermost loop, or a list for each."""
    B: int32[8]
    for i in allo.grid(8, pipeline=True):
        B[i] = A[i] + 1
    return B


@row("Loops", "while", 27, gives=111)
def while_loop(n: int32) -> int32:
    """Runs while the condition holds; in hardware one iteration after the other."""
    steps: int32 = 0
    x: int32 = n
    while x != 1:
        if x % 2 == 0:  # noqa: SIM108 - the statement is what this row shows
            x = x // 2
        else:
            x = 3 * x + 1
        steps += 1
    return steps


@row("Loops", "break and continue", I8, 5, gives=[5, 9])
def break_and_continue(A: int32[8], key: int32) -> (int32, int32):
    """As in Python."""
    found: int32 = -1
    for i in range(8):
        if A[i] == key:
            found = i
            break
    odd: int32 = 0
    for i in range(7):
        if A[i] % 2 == 0:
            continue
        odd += A[i]
    return found, odd


@row("Branches", "if, elif, else", np.array([-3, 0, 4], np.int32), gives=[-1, 0, 1])
def branches(A: int32[3]) -> int32[3]:
    """Names declared in a branch end with it."""
    B: int32[3]
    for i in range(3):
        if A[i] > 0:
            B[i] = 1
        elif A[i] == 0:
            B[i] = 0
        else:
            B[i] = -1
    return B


@row("Branches", "Ternary", I8[:4], gives=[1, 0, 1, 0])
def ternary(A: int32[4]) -> int32[4]:
    """Both sides are computed unless one could fail."""
    B: int32[4]
    for i in range(4):
        B[i] = 1 if A[i] % 2 == 0 else 0
    return B


def twice(x: int32) -> int32:
    return 2 * x


@row("Calls", "Other kernels", I8[:4], gives=[0, 2, 4, 6])
def calls(A: int32[4]) -> int32[4]:
    """Arrays go by reference, scalars by value and are converted."""
    B: int32[4]
    for i in range(4):
        B[i] = twice(A[i])
    return B


def scale(x: int32, factor: int32 = 3, offset: int32 = 0) -> int32:
    return x * factor + offset


@row("Calls", "Keywords and defaults", 5, gives=[15, 16, 10])
def keyword_calls(x: int32) -> (int32, int32, int32):
    """Arguments by name, and those left out."""
    return scale(x), scale(x, offset=1), scale(factor=2, x=x)


def minmax(A: int32[4]) -> (int32, int32):
    low: int32 = A[0]
    high: int32 = A[0]
    for i in range(1, 4):
        low = min(low, A[i])
        high = max(high, A[i])
    return low, high


@row("Calls", "Several results", np.array([3, 9, -2, 4], np.int32), gives=[-2, 9])
def unpack(A: int32[4]) -> (int32, int32):
    """A call's results are unpacked."""
    low, high = minmax(A)
    return low, high


@row("Calls", "Nested kernels", 5, gives=26)
def nested(n: int32) -> int32:
    """A kernel defined inside another."""

    def square(x: int32) -> int32:
        return x * x

    return square(n) + 1


def scaled_add[T, M](X: "T[M]", Y: "T[M]", a: "T") -> "T[M]":
    Z: T[M]
    for i in range(M):
        Z[i] = X[i] * a + Y[i]
    return Z


@row("Generics", "Type and size parameters", I8[:4], gives=I8[:4] * 3)
def generic_call(A: int32[4]) -> int32[4]:
    """A kernel with parameters in brackets; a string at the end names the instance."""
    return scaled_add[int32, 4, "axpy"](A, A, 2)


@row("Generics", "Instantiate", I8[:4], gives=I8[:4] + 1, instantiate=[int32, 4])
def instantiated[T, M: int32](A: "T[M]") -> "T[M]":
    """`allo.customize(kernel, instantiate=[...])` gives the parameters of the top kernel."""
    B: T[M]
    for i in range(M):
        B[i] = A[i] + 1
    return B


@row("Compile time", "meta_if", I8[:4], gives=I8[:4] * 2, instantiate=[int32])
def meta_branch[T](A: "T[4]") -> "T[4]":
    """Chosen before the kernel is compiled; conditions may compare types."""
    B: T[4]
    for i in range(4):
        with allo.meta_if(int32 == T):
            B[i] = A[i] * 2
        with allo.meta_elif(T.bits == 8):
            B[i] = A[i] + 1
        with allo.meta_else():
            B[i] = A[i]
    return B


@row("Compile time", "meta_for", gives=[0, 1, 4])
def meta_loop() -> int32[3]:
    """The body once for each value; the variable is a Python number."""
    B: int32[3]
    with allo.meta_for(3) as i:
        B[i] = i * i
    return B


@row("Simulation", "assert", 4, gives=2)
def assertion(n: int32) -> int32:
    """Checked by the evaluator, on the CPU and in simulated hardware."""
    assert n % 2 == 0, "n must be even"
    return n // 2


@row("Simulation", "print", 4, gives=4)
def printing(n: int32) -> int32:
    """Writes a line, on the CPU and in simulated hardware."""
    print("n =", n)
    return n
