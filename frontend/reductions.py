"""Named operations that fill an array with nests of their own: products, windows, normalisations.

Each reduction is a perfect nest whose innermost loops carry the mark of ``allo.reduction``, so it
can be split, reordered, pipelined and unrolled.  Sums of integers and fixed-point numbers are
exact: a sum of n products has the product's type with ceil(log2(n)) bits more.  Floating-point
sums are rounded after each addition, in the type that the operators give, first element first.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod

from allo_rtl.errors import KernelTypeError, LanguageError, SourceLoc
from allo_rtl.frontend import element_ops as el
from allo_rtl.frontend import tensors
from allo_rtl.frontend import typing_rules as rules
from allo_rtl.frontend.builder import Operand, float_literal, number
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.nests import band_name, nest
from allo_rtl.frontend.scope import Variable
from allo_rtl.frontend.tensors import Result, Source, Tensor, loops_of
from allo_rtl.frontend.views import At, Axis, View
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import BinaryKind, Value
from allo_rtl.ir.types import ArrayType, Index, Int, ScalarType

type Loops = Sequence[tuple[str, int]]
type Combine = Callable[[Operand, Operand, ScalarType], Operand]


@dataclass(frozen=True, slots=True)
class _Here:
    """Where an operation stands, and the name of its nests."""

    cx: Context
    loc: SourceLoc
    band: str

    def part(self, suffix: str) -> _Here:
        """A nest that is one part of the operation."""
        return replace(self, band=f"{self.band}_{suffix}")

    def binary(self, kind: BinaryKind, a: Operand, b: Operand, type_: ScalarType) -> Operand:
        return self.cx.builder.binary(kind, a, b, type_, self.loc)

    def alloc(self, element: ScalarType, shape: tuple[int, ...], name: str) -> Value:
        return self.cx.builder.alloc(ArrayType(element, shape), f"{self.band}_{name}", self.loc)

    def load(self, array: Value, at: At) -> Operand:
        return self.cx.builder.load(array, at, self.loc)

    def fill(self, target: Value, value: Tensor | Operand) -> None:
        """Store a value to all of ``target``, in a nest called ``<band>_init``."""
        b = self.cx.builder

        def body(at: At) -> None:
            one = value if isinstance(value, Operand) else tensors.element_of(value, at)
            b.store(one, target, at, self.loc)

        nest(self.cx, f"{self.band}_init", loops_of(target.array.shape), body, self.loc)

    def each(self, target: Value, element: Callable[[At], Operand]) -> None:
        """Store ``element`` of its subscripts to every element of ``target``."""

        def body(at: At) -> None:
            self.cx.builder.store(element(at), target, at, self.loc)

        nest(self.cx, self.band, loops_of(target.array.shape), body, self.loc)

    def reduce(
        self,
        target: Value,
        kept: Loops,
        reduced: Loops,
        term: Callable[[At], Operand],
        kind: BinaryKind = BinaryKind.ADD,
    ) -> None:
        """``target[kept] = target[kept] kind term[kept, reduced]`` for all of both."""
        type_, b = target.array.element, self.cx.builder

        def body(at: At) -> None:
            cell = at[: len(kept)]
            new = term(at)
            b.store(self.binary(kind, self.load(target, cell), new, type_), target, cell, self.loc)

        nest(
            self.cx, self.band, [*kept, *reduced], body, self.loc,
            reductions=len(reduced), pipeline=False,
        )  # fmt: skip


def _here(cx: Context, node: ast.AST, name: str, band: str) -> _Here:
    return _Here(cx, cx.loc(node), band or band_name(cx, name))


def _sources(*parts: Tensor) -> tuple[Source, ...]:
    return tuple(replace(s, aligned=False) for p in parts for s in p.sources)


def _ready(cx: Context, x: Tensor, loc: SourceLoc) -> Tensor:
    """An operand of which each element is read more than once: computed once."""
    return x if x.plain else tensors.stored(cx, x, loc)


def _mismatch(name: str, loc: SourceLoc, parts: Sequence[Tensor], allowed: str) -> KernelTypeError:
    found = ", ".join(str(p.type) for p in parts)
    return KernelTypeError(f"'{name}' cannot take {found}", loc=loc, allowed=allowed)


# --- sums of products ----------------------------------------------------------------------


def _product(here: _Here, a: Operand, b: Operand) -> Operand:
    return el.BINARY["mul"](here.cx.builder, a, b, here.loc)


def _sum_of_products(
    cx: Context,
    node: ast.AST,
    name: str,
    operands: tuple[Tensor, Tensor],
    loops: tuple[Loops, Loops],
    subscripts: Callable[[At], tuple[At, At]],
    band: str,
    bias: Tensor | None = None,
) -> Result:
    """The sums over ``loops[1]`` of products of two operands' elements, for all of ``loops[0]``.

    ``subscripts`` gives both operands' subscripts for the counters of all loops.  The sums start
    at ``bias``, which is broadcast.
    """
    loc, (kept, reduced) = cx.loc(node), loops
    a, b = (_ready(cx, o, loc) for o in operands)
    product = tensors.probe(cx, lambda p, q: el.BINARY["mul"](cx.builder, p, q, loc), (a, b))
    element = el.widened(_plain(product), prod(n for _, n in reduced), loc)
    if bias is not None:
        element = cx.builder.rules.sum(element, bias.element)
    parts = (a, b) if bias is None else (a, b, bias)

    def fill(target: Value, zero: bool) -> None:
        here = _here(cx, node, name, band)
        if bias is not None:
            here.fill(target, bias)
        elif not zero:
            here.fill(target, number(0, target.array.element))

        def term(at: At) -> Operand:
            left, right = subscripts(at)
            return _product(here, a.read(left), b.read(right))

        here.reduce(target, kept, reduced, term)

    return Result(element, tuple(n for _, n in kept), _sources(*parts), fill, modular=True)


def _plain(type_: ScalarType) -> ScalarType:
    return Int(64) if isinstance(type_, Index) else type_


def matmul(cx: Context, node: ast.AST, lhs: Tensor, rhs: Tensor, band: str = "") -> Result:
    """(..., M, K) by (..., K, N): loops over the leading dimensions, ``i``, ``j`` and ``k``.

    One operand may be a vector, (K,): then there is no ``i``, or no ``j``.
    """
    loc, shapes = cx.loc(node), (lhs.shape, rhs.shape)
    if not all(shapes):
        raise _mismatch("matmul", loc, (lhs, rhs), "arrays, not scalars")
    rows, columns = lhs.shape[-2:-1], rhs.shape[-1:] if len(rhs.shape) > 1 else ()
    inner = rhs.shape[-2] if columns else rhs.shape[-1]
    if lhs.shape[-1] != inner or not (rows or columns):
        rule = "(..., M, K) and (..., K, N), or one of them (K,)"
        raise _mismatch("matmul", loc, (lhs, rhs), rule)
    heads = [s[:-2] for s in shapes]
    head = tensors.broadcast([ArrayType(lhs.element, h) for h in heads], loc)
    kept = [
        *((f"b{d}", n) for d, n in enumerate(head)),
        *(("i", n) for n in rows),
        *(("j", n) for n in columns),
    ]

    def subscripts(at: At) -> tuple[At, At]:
        left, right = (tensors.broadcast_at(at[: len(head)], h) for h in heads)
        i, j, k = at[len(head) :][: len(rows)], at[len(head) + len(rows) : -1], at[-1]
        return (*left, *i, k), (*right, k, *j)

    loops: tuple[Loops, Loops] = (kept, [("k", inner)])
    return _sum_of_products(cx, node, "matmul", (lhs, rhs), loops, subscripts, band)


def bmm(cx: Context, node: ast.AST, lhs: Tensor, rhs: Tensor, band: str = "") -> Result:
    """(B, M, K) by (B, K, N): loops ``b``, ``i``, ``j`` and ``k``."""
    shapes = lhs.shape, rhs.shape
    if any(len(s) != 3 for s in shapes) or (shapes[0][0], shapes[0][2]) != shapes[1][:2]:
        raise _mismatch("bmm", cx.loc(node), (lhs, rhs), "(B, M, K) and (B, K, N)")
    (batch, rows, inner), columns = lhs.shape, rhs.shape[2]
    loops: tuple[Loops, Loops] = [("b", batch), ("i", rows), ("j", columns)], [("k", inner)]

    def subscripts(at: At) -> tuple[At, At]:
        b, i, j, k = at
        return (b, i, k), (b, k, j)

    return _sum_of_products(cx, node, "bmm", (lhs, rhs), loops, subscripts, band)


def linear(
    cx: Context,
    node: ast.AST,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    band: str = "",
) -> Result:
    """(..., K) by (N, K) and (N,): loops over the leading dimensions, ``j`` and ``k``.

    The sums start at the bias.
    """
    fits = len(weight.shape) == 2 and weight.shape[1] == x.shape[-1]
    if not fits or (bias is not None and bias.shape != weight.shape[:1]):
        parts = (x, weight) if bias is None else (x, weight, bias)
        raise _mismatch("linear", cx.loc(node), parts, "(..., K), (N, K) and, if given, (N,)")
    head = [(f"b{d}", n) for d, n in enumerate(x.shape[:-2])]
    if len(x.shape) > 1:
        head.append(("i", x.shape[-2]))
    loops: tuple[Loops, Loops] = [*head, ("j", weight.shape[0])], [("k", x.shape[-1])]

    def subscripts(at: At) -> tuple[At, At]:
        *lead, j, k = at
        return (*lead, k), (j, k)

    return _sum_of_products(cx, node, "linear", (x, weight), loops, subscripts, band, bias)


# --- windows -------------------------------------------------------------------------------


def _strides(node: ast.AST, cx: Context, stride: object) -> tuple[int, int]:
    pair = stride if isinstance(stride, tuple) else (stride, stride)
    if len(pair) != 2 or not all(isinstance(s, int) and s >= 1 for s in pair):
        raise LanguageError(
            f"the stride is {stride!r}", loc=cx.loc(node), allowed="an int of 1 or more, or two"
        )
    return pair


def _window(
    name: str, cx: Context, node: ast.AST, x: Tensor, filter_: Tensor, stride: tuple[int, int]
) -> tuple[int, int]:
    """The extents (Oh, Ow) of where a window can be."""
    extents = zip(x.shape[2:], filter_.shape[-2:], stride, strict=True)
    out = tuple((n - k) // s + 1 for n, k, s in extents)
    if min(out) < 1:
        raise _mismatch(name, cx.loc(node), (x, filter_), "a window that fits into the array")
    return out[0], out[1]


def conv2d(
    cx: Context,
    node: ast.AST,
    inp: Tensor,
    filter_: Tensor,
    band: str = "",
    stride: object = 1,
) -> Result:
    """(N, C, H, W) with (F, C, Kh, Kw): loops ``n f h w`` and the reductions ``c p q``."""
    if len(inp.shape) != 4 or len(filter_.shape) != 4 or inp.shape[1] != filter_.shape[1]:
        rule = "(N, C, H, W) and (F, C, Kh, Kw)"
        raise _mismatch("conv2d", cx.loc(node), (inp, filter_), rule)
    down, across = steps = _strides(node, cx, stride)
    high, wide = _window("conv2d", cx, node, inp, filter_, steps)
    count, channels, rows, columns = filter_.shape
    loops: tuple[Loops, Loops] = (
        [("n", inp.shape[0]), ("f", count), ("h", high), ("w", wide)],
        [("c", channels), ("p", rows), ("q", columns)],
    )

    def subscripts(at: At) -> tuple[At, At]:
        n, f, h, w, c, p, q = at
        return (n, c, h * down + p, w * across + q), (f, c, p, q)

    return _sum_of_products(cx, node, "conv2d", (inp, filter_), loops, subscripts, band)


def _pool(
    cx: Context,
    node: ast.AST,
    name: str,
    inp: Tensor,
    filter_: Tensor,
    stride: object,
    band: str,
    kind: BinaryKind,
) -> Result:
    """Loops ``n c h w`` and the reductions ``p q``."""
    if len(inp.shape) != 4 or len(filter_.shape) != 2:
        rule = "(N, C, H, W) and a window (Kh, Kw), of which only the shape counts"
        raise _mismatch(name, cx.loc(node), (inp, filter_), rule)
    down, across = steps = _strides(node, cx, stride)
    high, wide = _window(name, cx, node, inp, filter_, steps)
    x, (rows, columns) = _ready(cx, inp, cx.loc(node)), filter_.shape
    kept = [("n", inp.shape[0]), ("c", inp.shape[1]), ("h", high), ("w", wide)]
    sums = kind is BinaryKind.ADD
    element = el.widened(_plain(x.element), rows * columns, cx.loc(node)) if sums else x.element

    def fill(target: Value, zero: bool) -> None:
        here = _here(cx, node, name, band)
        if not sums:
            here.fill(target, el.lowest(element))
        elif not zero:
            here.fill(target, number(0, target.array.element))

        def term(at: At) -> Operand:
            n, c, h, w, p, q = at
            return x.read((n, c, h * down + p, w * across + q))

        here.reduce(target, kept, [("p", rows), ("q", columns)], term, kind)

    return Result(element, tuple(n for _, n in kept), _sources(x), fill, modular=sums)


def maxpool(
    cx: Context, node: ast.AST, inp: Tensor, filter_: Tensor, band: str = "", stride: object = 1
) -> Result:
    """The largest element of each window, in the type of the elements."""
    return _pool(cx, node, "maxpool", inp, filter_, stride, band, BinaryKind.MAX)


def sumpool(
    cx: Context, node: ast.AST, inp: Tensor, filter_: Tensor, band: str = "", stride: object = 1
) -> Result:
    """The sum of each window."""
    return _pool(cx, node, "sumpool", inp, filter_, stride, band, BinaryKind.ADD)


# --- normalisations ------------------------------------------------------------------------


def softmax(cx: Context, node: ast.AST, x: Tensor, band: str = "") -> Result:
    """Over the last dimension, in the elements' floating-point type.

    Nests ``<band>_max``, ``_exp``, ``_sum`` and ``_div``, each over all elements.
    """
    x = _ready(cx, x, cx.loc(node))
    element, (kept, reduced) = rules.math_type(x.element), _last(x)

    def fill(target: Value, zero: bool) -> None:
        here = _here(cx, node, "softmax", band)
        most = here.alloc(element, x.shape[:-1], "most")
        total = here.alloc(element, x.shape[:-1], "total")
        here.part("max").fill(most, el.lowest(element))
        here.part("max").reduce(most, kept, reduced, x.read, BinaryKind.MAX)

        def exponential(at: At) -> Operand:
            less = here.binary(BinaryKind.SUB, x.read(at), here.load(most, at[:-1]), element)
            return el.UNARY["exp"](cx.builder, less, here.loc)

        here.part("exp").each(target, exponential)
        here.part("sum").reduce(total, kept, reduced, lambda at: here.load(target, at))
        here.part("div").each(
            target,
            lambda at: here.binary(
                BinaryKind.DIV, here.load(target, at), here.load(total, at[:-1]), element
            ),
        )

    return Result(element, x.shape, _sources(x), fill)


def layernorm(
    cx: Context,
    node: ast.AST,
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    band: str = "",
    eps: float = 1e-5,
) -> Result:
    """Over the last dimension; mean and variance in the elements' floating-point type.

    Nests ``<band>_sum``, ``_mean``, ``_squares``, ``_deviation`` and ``_scale``.
    """
    if not isinstance(eps, int | float):
        raise KernelTypeError(f"eps is {eps}, not a number", loc=cx.loc(node))
    if gamma.shape != x.shape[-1:] or beta.shape != x.shape[-1:]:
        rule = "(..., L), (L,) and (L,)"
        raise _mismatch("layernorm", cx.loc(node), (x, gamma, beta), rule)
    x, type_ = _ready(cx, x, cx.loc(node)), rules.math_type(x.element)

    def scaled(v: Operand, g: Operand, b: Operand) -> Operand:
        loc = cx.loc(node)
        return el.BINARY["add"](cx.builder, el.BINARY["mul"](cx.builder, v, g, loc), b, loc)

    element = tensors.probe(cx, scaled, (replace(x, element=type_), gamma, beta))

    def fill(target: Value, zero: bool) -> None:
        here = _here(cx, node, "layernorm", band)
        mean, deviation = _moments(here, x, type_, eps)

        def result(at: At) -> Operand:
            centred = here.binary(BinaryKind.SUB, x.read(at), here.load(mean, at[:-1]), type_)
            v = here.binary(BinaryKind.DIV, centred, here.load(deviation, at[:-1]), type_)
            return scaled(v, gamma.read(at[-1:]), beta.read(at[-1:]))

        here.part("scale").each(target, result)

    return Result(element, x.shape, _sources(x, gamma, beta), fill)


def _moments(here: _Here, x: Tensor, type_: ScalarType, eps: float) -> tuple[Value, Value]:
    """The mean over the last dimension, and the square root of variance plus ``eps``."""
    kept, reduced = _last(x)
    mean = here.alloc(type_, x.shape[:-1], "mean")
    deviation = here.alloc(type_, x.shape[:-1], "deviation")

    def divided(array: Value, at: At) -> Operand:
        count = number(x.shape[-1], type_)
        return here.binary(BinaryKind.DIV, here.load(array, at), count, type_)

    def square(at: At) -> Operand:
        centred = here.binary(BinaryKind.SUB, x.read(at), here.load(mean, at[:-1]), type_)
        return here.binary(BinaryKind.MUL, centred, centred, type_)

    def root(at: At) -> Operand:
        shifted = here.binary(BinaryKind.ADD, divided(deviation, at), float_literal(eps), type_)
        return el.UNARY["sqrt"](here.cx.builder, shifted, here.loc)

    here.part("sum").reduce(mean, kept, reduced, x.read)
    here.part("mean").each(mean, lambda at: divided(mean, at))
    here.part("squares").reduce(deviation, kept, reduced, square)
    here.part("deviation").each(deviation, root)
    return mean, deviation


def _last(x: Tensor) -> tuple[Loops, Loops]:
    """Loops over all but the last dimension, and over the last."""
    *kept, last = loops_of(x.shape)
    return kept, [last]


# --- concatenation -------------------------------------------------------------------------


def concat(
    cx: Context, node: ast.AST, parts: Sequence[Tensor], axis: int, band: str = ""
) -> Result:
    """Arrays one after the other along a dimension: a nest ``<band>_<n>`` for each.

    The element type is one that holds every element of all, as in ``a if c else b``.
    """
    loc, rank = cx.loc(node), len(parts[0].shape) if parts else 0
    at = axis + rank if axis < 0 else axis
    rule = "arrays of equal extents but along the axis, which is one of their dimensions"
    others = {(*p.shape[:at], *p.shape[at + 1 :]) for p in parts}
    if not 0 <= at < rank or len(others) > 1 or any(len(p.shape) != rank for p in parts):
        raise _mismatch("concat", loc, parts, rule)
    element = parts[0].element
    for p in parts[1:]:
        element = cx.builder.rules.choice(element, p.element)
    extents = [p.shape[at] for p in parts]
    shape = (*parts[0].shape[:at], sum(extents), *parts[0].shape[at + 1 :])

    def fill(target: Value, zero: bool) -> None:
        here = _here(cx, node, "concat", band)
        whole, start = View.whole(Variable(target, loc)), 0
        for n, part in enumerate(parts):
            axes = [Axis(AffineExpr.constant(0), extent) for extent in part.shape]
            axes[at] = Axis(AffineExpr.constant(start), extents[n])
            start += extents[n]
            tensors.store(cx, whole.select(axes), replace(part, band=f"{here.band}_{n}"), loc)

    return Result(element, shape, _sources(*parts), fill)
