"""Array-valued expressions: their elements are computed where they are stored.

``C = A + B * 2`` becomes one loop nest.  An expression is a :class:`Tensor`, which computes one
element when asked, or a :class:`Result`, which fills a whole array (a matrix product).  Operands
are broadcast as in numpy: the shapes are aligned at the last dimension, and an extent of 1 (or a
missing one) is repeated.  A stored value is broadcast to the shape of its target and converted to
its element type.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from allo_rtl.errors import KernelTypeError, LanguageError, SourceLoc
from allo_rtl.frontend import overlaps
from allo_rtl.frontend.builder import Operand
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.nests import band_name, nest
from allo_rtl.frontend.scope import Variable
from allo_rtl.frontend.views import At, Axis, View
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import DYNAMIC, ArrayType, IntegerType, ScalarType

BROADCASTING = (
    "shapes that broadcast: aligned at the last dimension, extents are equal or one of them is 1"
)

FITTING = (
    "a shape that broadcasts to the target's: aligned at the last dimension, extents are equal or 1"
)

_ZERO = AffineExpr.constant(0)
_LETTERS = "ijklmnop"


@dataclass(frozen=True, slots=True)
class Source:
    """An array that an expression reads; ``aligned`` when element [i] reads element [i] only."""

    view: View
    aligned: bool = True


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array-valued expression that can compute any of its elements.

    Attributes:
        element, shape: its type.
        read: emits what computes the element at some subscripts.
        sources: the arrays it reads.
        view: the array it is, when it is one as it stands.
        fresh: ``view`` is the result of a call, which nothing else refers to.
        plain: reading an element is one load and nothing else.
        operation: what the loop nest that stores it is called.
        band: the name that the user gave this nest.
    """

    element: ScalarType
    shape: tuple[int, ...]
    read: Callable[[At], Operand]
    sources: tuple[Source, ...]
    view: View | None = None
    fresh: bool = False
    plain: bool = False
    operation: str = "copy"
    band: str = ""

    @property
    def type(self) -> ArrayType:
        """Its type as an array."""
        return ArrayType(self.element, self.shape)


@dataclass(frozen=True, slots=True)
class Result:
    """An operation that fills an array.

    Attributes:
        element, shape: the type of the array it makes.
        sources: the arrays it reads.
        fill: emits the operation into an array of that shape; the flag says that it is zero now.
        modular: the array's elements may be integers of any width, for the operation gives the
            same number modulo 2**width.
    """

    element: ScalarType
    shape: tuple[int, ...]
    sources: tuple[Source, ...]
    fill: Callable[[Value, bool], None]
    modular: bool = False

    @property
    def type(self) -> ArrayType:
        """The type of the array it makes."""
        return ArrayType(self.element, self.shape)

    def fills(self, element: ScalarType) -> bool:
        """Whether it can fill an array of this element type."""
        both = isinstance(element, IntegerType) and isinstance(self.element, IntegerType)
        return element == self.element or (self.modular and both)


type ArrayValue = Tensor | Result


# --- making --------------------------------------------------------------------------------


def of_view(cx: Context, view: View, loc: SourceLoc, *, fresh: bool = False) -> Tensor:
    """An array, or part of one, as an expression."""

    def read(at: At) -> Operand:
        return cx.builder.load(view.array, view.at(at), loc)

    return Tensor(view.element, view.shape, read, (Source(view),), view, fresh, plain=True)


def of_variable(cx: Context, variable: Variable, loc: SourceLoc) -> Tensor:
    """A whole array as an expression."""
    return of_view(cx, View.whole(variable), loc)


def elementwise(
    cx: Context,
    function: Callable[..., Operand],
    operands: Sequence[Tensor | Operand],
    node: ast.AST,
    operation: str,
    band: str = "",
) -> Tensor:
    """``function`` of the elements of its operands, broadcast.

    Raises:
        KernelTypeError: the shapes do not broadcast; or ``function`` refuses the element types.
    """
    tensors = [o for o in operands if isinstance(o, Tensor)]
    for t in tensors:
        need_extents(t, cx.loc(node))
    shape = broadcast([t.type for t in tensors], cx.loc(node))
    element = probe(cx, function, operands)

    def read(at: At) -> Operand:
        return function(*(element_of(o, at) for o in operands))

    sources = tuple(_broadcast_source(s, t.shape, shape) for t in tensors for s in t.sources)
    return Tensor(element, shape, read, sources, operation=operation, band=band)


def probe(
    cx: Context, function: Callable[..., Operand], operands: Sequence[Tensor | Operand]
) -> ScalarType:
    """The type that a function of operands gives."""
    with cx.builder.block():
        given = [
            Operand(o.element, Value(o.element)) if isinstance(o, Tensor) else o for o in operands
        ]
        return function(*given).type


def element_of(operand: Tensor | Operand, at: At) -> Operand:
    """The element of an operand that is broadcast, at subscripts of the whole."""
    if isinstance(operand, Operand):
        return operand
    return operand.read(broadcast_at(at, operand.shape))


def broadcast_at(at: At, shape: tuple[int, ...]) -> At:
    """The subscripts in an array of ``shape`` that is broadcast, at subscripts of the whole."""
    pairs = zip(at[len(at) - len(shape) :], shape, strict=True)
    return tuple(_ZERO if n == 1 else e for e, n in pairs)


def _broadcast_source(source: Source, old: tuple[int, ...], new: tuple[int, ...]) -> Source:
    return source if old == new else replace(source, aligned=False)


def broadcast(types: Sequence[ArrayType], loc: SourceLoc) -> tuple[int, ...]:
    """The shape that arrays are broadcast to.

    Raises:
        KernelTypeError: there is none.
    """
    rank = max(t.rank for t in types)
    padded = [(1,) * (rank - t.rank) + t.shape for t in types]
    shape = tuple(max(extents) for extents in zip(*padded, strict=True))
    if any(n not in (1, m) for p in padded for n, m in zip(p, shape, strict=True)):
        found = " and ".join(str(t) for t in types)
        raise KernelTypeError(f"{found} do not fit together", loc=loc, allowed=BROADCASTING)
    return shape


def need_extents(value: ArrayValue, loc: SourceLoc) -> None:
    """Refuse an array whose first extent is known only when the kernel is called."""
    if DYNAMIC in value.shape:
        raise LanguageError(
            f"an operation on all of {value.type} needs its first extent, which is known only "
            "when the kernel is called",
            loc=loc,
            hint="write a loop over its elements, or take a slice: A[0:8]",
        )


def rearranged(
    tensor: Tensor, shape: tuple[int, ...], move: Callable[[At], At], operation: str, band: str = ""
) -> Tensor:
    """The elements elsewhere: element ``at`` is element ``move(at)`` of ``tensor``."""
    sources = tuple(replace(s, aligned=False) for s in tensor.sources)
    return Tensor(
        tensor.element, shape, lambda at: tensor.read(move(at)), sources,
        plain=tensor.plain, operation=operation, band=band,
    )  # fmt: skip


def selected(cx: Context, tensor: Tensor, chosen: Sequence[Axis], loc: SourceLoc) -> Tensor:
    """Part of an expression; ``chosen`` has one entry a dimension."""
    if tensor.view is not None:
        return of_view(cx, tensor.view.select(chosen), loc)

    def move(at: At) -> At:
        given = iter(at)
        return tuple(
            a.offset if a.size is None else a.offset + next(given) * a.step for a in chosen
        )

    shape = tuple(a.size for a in chosen if a.size is not None)
    return rearranged(tensor, shape, move, "copy")


# --- storing -------------------------------------------------------------------------------


def new_array(
    cx: Context, value: ArrayValue, type_: ArrayType, name: str, loc: SourceLoc
) -> Value:
    """A fresh array with the value in it, broadcast and converted to the type.

    Raises:
        KernelTypeError: its shape does not broadcast to that of the type.
    """
    reused = isinstance(value, Tensor) and value.fresh and value.type == type_
    if reused and isinstance(value, Tensor) and value.view and type_.memory is None:
        return value.view.array
    array = cx.builder.alloc(type_, name, loc)
    store(cx, View.whole(Variable(array, loc)), value, loc, zero=True, initial=bool(name))
    return array


def settled(cx: Context, value: ArrayValue, loc: SourceLoc) -> Tensor:
    """The value as a tensor: the array of an operation that fills one is made here."""
    if isinstance(value, Tensor):
        return value
    array = cx.builder.alloc(value.type, "", loc)
    value.fill(array, True)
    return of_variable(cx, Variable(array, loc), loc)


def stored(cx: Context, value: ArrayValue, loc: SourceLoc) -> Tensor:
    """The value as an array: what is only an expression is put into a fresh one."""
    if isinstance(value, Tensor) and value.view is None:
        made = new_array(cx, value, value.type, "", loc)
        return of_variable(cx, Variable(made, loc), loc)
    return settled(cx, value, loc)


def array_of(value: ArrayValue) -> Value | None:
    """The array that a value is, when it is all of one."""
    view = value.view if isinstance(value, Tensor) else None
    return view.array if view is not None and view.is_whole else None


def store(
    cx: Context,
    target: View,
    value: ArrayValue | Operand,
    loc: SourceLoc,
    *,
    zero: bool = False,
    initial: bool = False,
) -> None:
    """Store a value to every element of ``target``, as if all of it were read before.

    Args:
        cx: the kernel.
        target: an array that may be written to.
        value: a scalar, or what has a shape that broadcasts to the target's.
        loc: the statement.
        zero: the target is known to be zero now.
        initial: the target is a new variable.

    Raises:
        KernelTypeError: the shape does not broadcast to that of the target.
    """
    need_extents(of_view(cx, target, loc), loc)
    if isinstance(value, Operand):
        value = _filling(cx, value, target, loc)
    else:
        _check_fits(value, target, loc)
    if isinstance(value, Result):
        if _fills_directly(target, value):
            for source in value.sources:
                overlaps.note(cx, target, source.view, aligned=False)
            value.fill(target.array, zero)
            return
        value = settled(cx, value, loc)
    if _overlaps(target, value):
        value = of_variable(
            cx, Variable(new_array(cx, value, value.type, "", loc), loc), loc
        )
    for source in value.sources:
        overlaps.note(cx, target, source.view, source.aligned and value.shape == target.shape)
    _store_each(cx, target, value, loc, initial)


def _filling(cx: Context, value: Operand, target: View, loc: SourceLoc) -> Tensor:
    converted = cx.builder.convert(value, target.element, loc)
    held = Operand(converted.type, cx.builder.value(converted, loc))
    return Tensor(target.element, target.shape, lambda at: held, (), operation="fill")


def _check_fits(value: ArrayValue, target: View, loc: SourceLoc) -> None:
    need_extents(value, loc)
    ends = zip(value.shape[::-1], target.shape[::-1], strict=False)
    if len(value.shape) > len(target.shape) or any(n not in (1, m) for n, m in ends):
        raise KernelTypeError(
            f"{value.type} does not fit {ArrayType(target.element, target.shape)}",
            loc=loc,
            allowed=FITTING,
        )


def _fills_directly(target: View, value: Result) -> bool:
    return (
        target.is_whole
        and target.shape == value.shape
        and value.fills(target.element)
        and all(s.view.array is not target.array for s in value.sources)
    )


def _overlaps(target: View, value: Tensor) -> bool:
    """Whether an element may be read after it is stored to."""
    return any(_in_the_way(target, value, s) for s in value.sources)


def _in_the_way(target: View, value: Tensor, source: Source) -> bool:
    same = source.aligned and value.shape == target.shape and source.view.axes == target.axes
    return not same and not source.view.apart(target)


def _store_each(
    cx: Context, target: View, value: Tensor, loc: SourceLoc, initial: bool
) -> None:
    loops = loops_of(target.shape)
    if value.band:
        band = value.band
    elif initial and value.operation in ("copy", "fill"):
        band = f"{target.array.name}_init"
        loops = [(str(d), n) for d, n in enumerate(target.shape)]
    else:
        band = band_name(cx, value.operation)

    def body(at: At) -> None:
        cx.builder.store(element_of(value, at), target.array, target.at(at), loc)

    nest(cx, band, loops, body, loc)


def loops_of(shape: Sequence[int]) -> list[tuple[str, int]]:
    """A loop for each dimension: i, j, k ..."""
    return [(_LETTERS[d] if d < len(_LETTERS) else f"d{d}", n) for d, n in enumerate(shape)]
