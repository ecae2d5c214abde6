"""The named operations of :mod:`.dsl` in a kernel: which there are, and how they are called.

Elementwise ones become part of the loop nest of their statement, also with scalars; those that
move elements change its subscripts; the others (:mod:`.reductions`) make nests of their own.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.frontend import arrays, dsl, element_ops, functions, reductions, tensors
from allo_rtl.frontend.builder import Operand, number
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.infer import MISSING, as_int, constant, constant_int
from allo_rtl.frontend.tensors import ArrayValue, Tensor
from allo_rtl.frontend.views import At
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import Predicate
from allo_rtl.ir.types import ArrayType, ScalarType, index, int32

type Arguments = Mapping[str, ast.expr]
"""The arguments of a call by the names of the parameters; those left out are missing."""


@dataclass(frozen=True, slots=True)
class NamedOp:
    """An operation.

    Attributes:
        function: its Python function, which says what its arguments are.
        make: its value in a kernel.
        elementwise: whether its result is a scalar when all its arguments are.
    """

    function: Callable[..., Any]
    make: Callable[[Context, ast.Call, Arguments], ArrayValue]
    elementwise: bool = False

    @property
    def name(self) -> str:
        """Its name."""
        return self.function.__name__

    def rank(self, cx: Context, node: ast.Call) -> int:
        """Number of dimensions of the result (any number above 0 where that is not known yet)."""
        if not self.elementwise:
            return 1
        return max((arrays.rank(cx, a) for a in [*node.args, *_values(node)]), default=0)

    def evaluate(self, cx: Context, node: ast.Call) -> ArrayValue:
        """Its value in a kernel.

        Raises:
            LanguageError: the arguments are not those of the Python function.
        """
        return self.make(cx, node, self.arguments(cx, node))

    def arguments(self, cx: Context, node: ast.Call) -> Arguments:
        """The arguments of a call by name; several arrays (of concat) by their numbers."""
        try:
            found = inspect.signature(self.function).bind(
                *node.args, **{str(k.arg): k.value for k in node.keywords}
            )
        except TypeError as error:
            raise LanguageError(
                f"'{self.name}': {error}",
                loc=cx.loc(node),
                allowed=f"{self.name}{_shown(self.function)}",
            ) from None
        several = found.arguments.pop("arrays", ())
        return found.arguments | {str(n): a for n, a in enumerate(several)}


def _values(node: ast.Call) -> list[ast.expr]:
    return [k.value for k in node.keywords if not isinstance(k.value, ast.Constant)]


def _shown(function: Callable[..., Any]) -> str:
    """The parameters of a function without their types."""
    parts = [
        ("*" if p.kind is p.VAR_POSITIONAL else "")
        + p.name
        + ("" if p.default is p.empty else f"={p.default}")
        for p in inspect.signature(function).parameters.values()
    ]
    return f"({', '.join(parts)})"


def find(cx: Context, node: ast.expr) -> NamedOp | None:
    """The named operation that the function of a call is, if it is one."""
    if not isinstance(node, ast.Name | ast.Attribute):
        return None
    if isinstance(node, ast.Name) and cx.find(node.id) is not None:
        return None
    thing = cx.outside(node)
    if thing is MISSING:  # In a kernel that is a text, 'allo' may be unknown.
        return OPS.get(ast.unparse(node).removeprefix("allo.")) if _is_allo(node) else None
    if thing.__hash__ is None:
        return None
    op = OPS.get(functions.MEANING.get(thing, ""))
    return op or _BY_FUNCTION.get(thing)


def _is_allo(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="allo")):
            return True
    return False


def scalar(cx: Context, node: ast.Call, op: NamedOp) -> Operand:
    """An elementwise operation on scalars."""
    function, operands = _applied(cx, node, op.name, op.arguments(cx, node))
    return function(*(o for o in operands if isinstance(o, Operand)))


# --- elementwise ---------------------------------------------------------------------------


def _elementwise(cx: Context, node: ast.Call, given: Arguments) -> ArrayValue:
    op = find(cx, node.func)
    assert op is not None
    function, operands = _applied(cx, node, op.name, given)
    return tensors.elementwise(cx, function, operands, node, op.name, _band(cx, given))


def _applied(
    cx: Context, node: ast.Call, name: str, given: Arguments
) -> tuple[Callable[..., Operand], Sequence[Tensor | Operand]]:
    """The operation on elements, and its operands."""
    loc, b = cx.loc(node), cx.builder
    if "x" in given:
        unary = element_ops.UNARY[name]
        return (lambda a: unary(b, a, loc)), [arrays.operand(cx, given["x"])]
    binary = element_ops.BINARY[name]
    operands = arrays.both(cx, given["lhs"], given["rhs"])
    return (lambda a, c: binary(b, a, c, loc)), operands


def _band(cx: Context, given: Arguments) -> str:
    """The name that the user gives the loop nest, or ''."""
    node = given.get("name")
    match node:
        case None | ast.Constant(value=None):
            return ""
        case ast.Constant(value=str(text)):
            return text
    raise LanguageError(
        f"'{ast.unparse(node)}' is not the name of a loop nest",
        loc=cx.loc(node),
        allowed='a string: name="..."',
    )


# --- moving elements -----------------------------------------------------------------------


def transposed(x: Tensor, axes: Sequence[int] | None, band: str = "") -> Tensor:
    """Dimension ``d`` of the result is dimension ``axes[d]`` of ``x``; reversed without axes."""
    order = list(axes) if axes is not None else list(range(len(x.shape)))[::-1]
    shape = tuple(x.shape[a] for a in order)

    def move(at: At) -> At:
        return tuple(at[order.index(d)] for d in range(len(order)))

    return tensors.rearranged(x, shape, move, "transpose", band)


def copied(x: Tensor, band: str = "") -> Tensor:
    """The same elements, as a value of its own."""
    return tensors.rearranged(x, x.shape, lambda at: at, "copy", band)


def _transpose(cx: Context, node: ast.Call, given: Arguments) -> ArrayValue:
    x = _array(cx, given["x"])
    at = given.get("axes")
    axes = None if at is None or _is_none(at) else _ints(cx, at)
    if axes is not None:
        wrapped = tuple(a % len(x.shape) if -len(x.shape) <= a < 0 else a for a in axes)
        if sorted(wrapped) != list(range(len(x.shape))):
            raise KernelTypeError(
                f"the axes {axes} are not an order of the dimensions of {x.type}",
                loc=cx.loc(node),
                allowed=f"each of 0 ... {len(x.shape) - 1} once",
            )
        axes = wrapped
    return transposed(x, axes, _band(cx, given))


def _copy(cx: Context, node: ast.Call, given: Arguments) -> ArrayValue:
    return copied(_array(cx, given["x"]), _band(cx, given))


def _view(cx: Context, node: ast.Call, given: Arguments) -> ArrayValue:
    x, loc = _array(cx, given["x"]), cx.loc(node)
    shape = list(_ints(cx, given["shape"]))
    total = ArrayType(x.element, x.shape).size
    if shape.count(-1) == 1:
        rest = -ArrayType(x.element, tuple(n if n > 0 else 1 for n in shape)).size
        shape[shape.index(-1)] = max(1, total // -rest)
    if any(n < 1 for n in shape) or ArrayType(x.element, tuple(shape)).size != total:
        raise KernelTypeError(
            f"{x.type} has {total} elements, the shape {tuple(_ints(cx, given['shape']))} "
            "has another number",
            loc=loc,
            allowed="extents of 1 or more with the same product; one may be -1",
        )

    def move(at: At) -> At:
        flat = _linear(at, shape)
        steps = [flat.floordiv(_size(x.shape[d + 1 :])) for d in range(len(x.shape))]
        return (steps[0], *(e.mod(n) for e, n in zip(steps[1:], x.shape[1:], strict=True)))

    return tensors.rearranged(x, tuple(shape), move, "view", _band(cx, given))


def _size(extents: Sequence[int]) -> int:
    total = 1
    for n in extents:
        total *= n
    return total


def _linear(at: At, shape: Sequence[int]) -> AffineExpr:
    flat = AffineExpr.constant(0)
    for e, n in zip(at, shape, strict=True):
        flat = flat * n + e
    return flat


def _tril(cx: Context, node: ast.Call, given: Arguments) -> ArrayValue:
    x, loc = _array(cx, given["x"], 2), cx.loc(node)

    def read(at: At) -> Operand:
        row, column = (Operand(index, affine=e) for e in at[-2:])
        keep = cx.builder.compare(Predicate.GE, row, column, index, loc)
        inside = x.read(at)
        return cx.builder.select(keep, inside, number(0, x.element), x.element, loc)

    return Tensor(
        x.element, x.shape, read, x.sources, operation="tril", band=_band(cx, given)
    )


# --- making arrays -------------------------------------------------------------------------


def _filled(value: int) -> Callable[[Context, ast.Call, Arguments], ArrayValue]:
    def make(cx: Context, node: ast.Call, given: Arguments) -> ArrayValue:
        element: object = int32
        if "dtype" in given:
            element = constant(cx.kernel, given["dtype"])
        if not isinstance(element, ScalarType):
            raise KernelTypeError(
                f"'{ast.unparse(given['dtype'])}' is not an element type",
                loc=cx.loc(given["dtype"]),
                allowed="int8, Int(7), float32, Fixed(16, 8) ...",
            )
        shape = _ints(cx, given["shape"])
        if any(n < 1 for n in shape):
            raise KernelTypeError(
                f"an array cannot have the shape {shape}",
                loc=cx.loc(given["shape"]),
                allowed="extents of 1 or more",
            )
        one = number(value, element)
        return Tensor(element, shape, lambda at: one, (), operation="fill")

    return make


# --- arguments -----------------------------------------------------------------------------


def _array(cx: Context, node: ast.expr, least: int = 1) -> Tensor:
    """An argument that must be an array of ``least`` dimensions or more."""
    x = arrays.operand(cx, node)
    if isinstance(x, Operand) or len(x.shape) < least:
        raise KernelTypeError(
            f"'{ast.unparse(node)}' is {x.type}",
            loc=cx.loc(node),
            allowed=f"an array of {least} dimension{'s' * (least > 1)} or more",
        )
    tensors.need_extents(x, cx.loc(node))
    return x


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _ints(cx: Context, node: ast.expr) -> tuple[int, ...]:
    """A constant int or tuple of ints."""
    cx.need_constant(node)
    value = constant(cx.kernel, node)
    numbers = [as_int(n) for n in (value if isinstance(value, tuple | list) else [value])]
    known = [n for n in numbers if n is not None]
    if len(known) != len(numbers):
        raise LanguageError(
            f"'{ast.unparse(node)}' is not a constant int or tuple of ints", loc=cx.loc(node)
        )
    return tuple(known)


def _heavy(
    make: Callable[..., ArrayValue], *names: str
) -> Callable[[Context, ast.Call, Arguments], ArrayValue]:
    """An operation on arrays called by ``names``; other arguments are passed as constants."""

    def evaluate(cx: Context, node: ast.Call, given: Arguments) -> ArrayValue:
        arrays_ = [_array(cx, given[n]) for n in names if n in given and not _is_none(given[n])]
        rest = {k: v for k, v in given.items() if k not in (*names, "name")}
        for v in rest.values():
            cx.need_constant(v)
        options = {k: constant(cx.kernel, v) for k, v in rest.items()}
        return make(cx, node, *arrays_, band=_band(cx, given), **options)

    return evaluate


def _concat(cx: Context, node: ast.Call, given: Arguments) -> ArrayValue:
    parts = [_array(cx, v) for k, v in given.items() if k.isdigit()]
    axis = constant_int(cx.kernel, given["axis"])
    return reductions.concat(cx, node, parts, axis, _band(cx, given))


def _matmul(cx: Context, node: ast.Call, given: Arguments) -> ArrayValue:
    lhs, rhs = (_array(cx, given[n]) for n in ("lhs", "rhs"))
    return reductions.matmul(cx, node, lhs, rhs, band=_band(cx, given))


def matmul(cx: Context, node: ast.expr, lhs: Tensor, rhs: Tensor) -> ArrayValue:
    """``lhs @ rhs``."""
    return reductions.matmul(cx, node, lhs, rhs)


_ELEMENTWISE = (
    dsl.add, dsl.sub, dsl.mul, dsl.div, dsl.power, dsl.exp, dsl.log, dsl.log2, dsl.log10,
    dsl.sqrt, dsl.sin, dsl.cos, dsl.tan, dsl.tanh, dsl.abs, dsl.relu, dsl.gelu,
)  # fmt: skip

_ON_ARRAYS: Mapping[Callable[..., Any], Callable[..., ArrayValue]] = {
    dsl.copy: _copy,
    dsl.zeros: _filled(0),
    dsl.ones: _filled(1),
    dsl.transpose: _transpose,
    dsl.view: _view,
    dsl.tril: _tril,
    dsl.concat: _concat,
    dsl.matmul: _matmul,
    dsl.bmm: _heavy(reductions.bmm, "lhs", "rhs"),
    dsl.linear: _heavy(reductions.linear, "x", "weight", "bias"),
    dsl.conv2d: _heavy(reductions.conv2d, "inp", "filter"),
    dsl.maxpool: _heavy(reductions.maxpool, "inp", "filter"),
    dsl.sumpool: _heavy(reductions.sumpool, "inp", "filter"),
    dsl.softmax: _heavy(reductions.softmax, "x"),
    dsl.layernorm: _heavy(reductions.layernorm, "x", "gamma", "beta"),
}

OPS: Mapping[str, NamedOp] = {
    **{f.__name__: NamedOp(f, _elementwise, elementwise=True) for f in _ELEMENTWISE},
    **{f.__name__: NamedOp(f, make) for f, make in _ON_ARRAYS.items()},
}
"""Every named operation."""

_BY_FUNCTION: Mapping[Any, NamedOp] = {op.function: op for op in OPS.values()}
