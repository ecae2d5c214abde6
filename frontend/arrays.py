"""Which expressions are arrays, and what each becomes: see :mod:`.tensors`."""

from __future__ import annotations

import ast

import numpy as np

from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.frontend import arithmetic, calls, named_ops, streams, subscripts, tensors, views
from allo_rtl.frontend import expressions as ex
from allo_rtl.frontend.builder import Operand
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.scope import Variable
from allo_rtl.frontend.tensors import ArrayValue, Tensor
from allo_rtl.frontend.views import View
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import ArrayType, ScalarType

OPERATIONS = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.Pow: "power",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
    ast.LShift: "shl",
    ast.RShift: "shr",
    ast.MatMult: "matmul",
}


def rank(cx: Context, node: ast.expr) -> int:
    """Number of dimensions of what an expression gives; 0 for scalars.  Nothing is emitted."""
    match node:
        case ast.Name(id=name) if (found := cx.find(name)) is not None:
            return found.value.array.rank if isinstance(found, Variable) else 0
        case ast.Attribute(value=value, attr="T" | "copy") if rank(cx, value):
            return rank(cx, value)
        case ast.Name() | ast.Attribute():
            outer = cx.outside(node)
            return outer.ndim if isinstance(outer, np.ndarray) else 0
        case ast.Subscript(value=value):
            parts = subscripts.parts_of(node)
            taken = [p for p in parts if not isinstance(p, ast.Slice) and not subscripts.is_dots(p)]
            return max(0, rank(cx, value) - len(taken))
        case ast.BinOp(left=left, right=right):
            return max(rank(cx, left), rank(cx, right))
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Invert(), operand=operand):
            return rank(cx, operand)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if (
            type(op) in arithmetic.PREDICATES
        ):
            return max(rank(cx, left), rank(cx, right))
        case ast.Call():
            return _call_rank(cx, node)
    return 0


def _call_rank(cx: Context, node: ast.Call) -> int:
    if _is_copy(cx, node):
        return rank(cx, node.func.value)  # type: ignore[attr-defined]
    if (op := named_ops.find(cx, node.func)) is not None:
        return op.rank(cx, node)
    if (taken := streams.rank(cx, node)) is not None:
        return taken
    if ex.builtin_name(cx, node.func) is not None or not calls.may_be_kernel(cx, node.func):
        return 0
    results = calls.find_callee(cx, node).func.results
    one = results[0] if len(results) == 1 else None
    return one.rank if isinstance(one, ArrayType) else 0


def _is_copy(cx: Context, node: ast.Call) -> bool:
    """Whether a call is ``A.copy()``."""
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr="copy"), args=[], keywords=[]):
            return rank(cx, value) > 0
    return False


def tensor(cx: Context, node: ast.expr) -> Tensor:
    """An array expression whose elements can be computed one by one."""
    return tensors.settled(cx, evaluate(cx, node), cx.loc(node))


def operand(cx: Context, node: ast.expr) -> Tensor | Operand:
    """An expression of any kind, as an operand of an elementwise operation."""
    return tensor(cx, node) if rank(cx, node) else ex.scalar(cx, node)


def anything(cx: Context, node: ast.expr) -> ArrayValue | Operand:
    """The value of an expression of any kind."""
    return evaluate(cx, node) if rank(cx, node) else ex.scalar(cx, node)


def evaluate(cx: Context, node: ast.expr, name: str = "") -> ArrayValue:
    """The value of an expression of which :func:`rank` is not 0.

    ``name`` is a hint for the array that a call gives.

    Raises:
        LanguageError: it is not in the language, or its shapes do not fit.
    """
    match node:
        case ast.Name():
            return tensors.of_variable(cx, _variable(cx, node), cx.loc(node))
        case ast.Attribute(value=value, attr="T") if rank(cx, value):
            return named_ops.transposed(tensor(cx, value), None)
        case ast.Attribute(value=value, attr="copy") if rank(cx, value):
            return named_ops.copied(tensor(cx, value))
        case ast.Attribute():
            return tensors.of_variable(cx, _variable(cx, node), cx.loc(node))
        case ast.Subscript():
            base = tensor(cx, node.value)
            return tensors.selected(cx, base, subscripts.axes(cx, node, base.type), cx.loc(node))
        case ast.BinOp(op=ast.MatMult()):
            return named_ops.matmul(cx, node, tensor(cx, node.left), tensor(cx, node.right))
        case ast.BinOp():
            return _binary(cx, node)
        case ast.UnaryOp():
            return _unary(cx, node)
        case ast.Compare():
            return _compare(cx, node)
        case ast.Call():
            return _call(cx, node, name)
    raise LanguageError(f"'{ast.unparse(node)}' is not an array", loc=cx.loc(node))


def _variable(cx: Context, node: ast.Name | ast.Attribute) -> Variable:
    found = ex.array(cx, node)
    if found is None:
        raise KernelTypeError(f"'{ast.unparse(node)}' is not an array", loc=cx.loc(node))
    return found


def element(cx: Context, node: ast.Subscript) -> Operand:
    """The element that ``A[i, j]`` (or ``A[i][j]``, ``(A + B)[i]``) gives."""
    base = tensor(cx, node.value)
    at = tuple(a.offset for a in subscripts.axes(cx, node, base.type))
    if base.view is None:
        return base.read(at)
    return cx.builder.load(base.view.array, base.view.at(at), cx.loc(node))


def both(cx: Context, left: ast.expr, right: ast.expr) -> tuple[Tensor | Operand, Tensor | Operand]:
    """Two operands; the left one is computed first when the right one calls a kernel."""
    one = operand(cx, left)
    if isinstance(one, Tensor) and one.view is None and _calls_kernel(cx, right):
        one = tensors.stored(cx, one, cx.loc(left))
    return one, operand(cx, right)


def _calls_kernel(cx: Context, node: ast.expr) -> bool:
    called = (n.func for n in ast.walk(node) if isinstance(n, ast.Call))
    return any(calls.may_be_kernel(cx, f) and not named_ops.find(cx, f) for f in called)


def _binary(cx: Context, node: ast.BinOp) -> Tensor:
    left, right = both(cx, node.left, node.right)
    return tensors.elementwise(
        cx, lambda a, b: ex.binary(cx, node, a, b), (left, right), node,
        OPERATIONS[type(node.op)],
    )  # fmt: skip


def _unary(cx: Context, node: ast.UnaryOp) -> Tensor:
    loc, b = cx.loc(node), cx.builder

    def function(a: Operand) -> Operand:
        match node.op:
            case ast.USub():
                return arithmetic.negate(b, a, loc)
            case ast.Invert():
                return arithmetic.invert(b, a, loc)
        return arithmetic.plus(b, a, loc)

    name = {ast.USub: "neg", ast.Invert: "invert"}.get(type(node.op), "copy")
    return tensors.elementwise(cx, function, [tensor(cx, node.operand)], node, name)


def _compare(cx: Context, node: ast.Compare) -> Tensor:
    predicate = arithmetic.PREDICATES[type(node.ops[0])]
    operands = both(cx, node.left, node.comparators[0])
    return tensors.elementwise(
        cx, lambda a, b: arithmetic.compare(cx.builder, predicate, a, b, cx.loc(node)),
        operands, node, "compare",
    )  # fmt: skip


def _call(cx: Context, node: ast.Call, name: str) -> ArrayValue:
    if _is_copy(cx, node):
        return named_ops.copied(tensor(cx, node.func.value))  # type: ignore[attr-defined]
    if (op := named_ops.find(cx, node.func)) is not None:
        return op.evaluate(cx, node)
    if (taken := streams.array(cx, node, name)) is not None:
        return taken
    (value,) = ex.call(cx, node, (name,))
    array = made(cx, value, node)
    assert isinstance(array, Tensor)
    return array


def made(cx: Context, value: Value, node: ast.AST) -> Tensor | Operand:
    """What a call gave; nothing else refers to an array among it."""
    if not isinstance(value.type, ArrayType):
        return Operand(value.scalar, value)
    view = View.whole(Variable(value, cx.loc(node)))
    return tensors.of_view(cx, view, cx.loc(node), fresh=True)


# --- statements ----------------------------------------------------------------------------


def into_array(cx: Context, node: ast.expr, type_: ArrayType, name: str) -> Value:
    """A fresh array of a type with the value of an expression, or a scalar everywhere, in it."""
    loc = cx.loc(node)
    if rank(cx, node):
        return tensors.new_array(cx, evaluate(cx, node, name), type_, name, loc)
    given = _everywhere(cx, node, type_.element)
    array = cx.builder.alloc(type_, name, loc)
    # An array is zero at the start of the run; only in a loop is this not the first time.
    if cx.depth or given.constant != 0:
        tensors.store(cx, View.whole(Variable(array, loc)), given, loc, initial=True)
    return array


def _everywhere(cx: Context, node: ast.expr, element: ScalarType) -> Operand:
    """A scalar for every element: what a dictionary makes is known by the element type."""
    return ex.scalar_as(cx, node, element) if isinstance(node, ast.Dict) else ex.scalar(cx, node)


def snapshot(cx: Context, node: ast.expr) -> Value | Operand:
    """The value of an expression now: of an array a copy."""
    given = anything(cx, node)
    if isinstance(given, Operand):
        return given
    loc = cx.loc(node)
    tensors.need_extents(given, loc)
    return tensors.new_array(cx, given, given.type, "", loc)


def declare(cx: Context, target: ast.Name, value: ast.expr) -> None:
    """``x = <array>`` for a name that is not known yet: a copy, of the value's type."""
    given, loc = evaluate(cx, value, target.id), cx.loc(target)
    tensors.need_extents(given, cx.loc(value))
    array = tensors.new_array(cx, given, given.type, target.id, loc)
    cx.scopes.declare(target.id, Variable(array, loc))


def place(cx: Context, target: ast.Subscript) -> View:
    """The part of an array, or the element, that a subscript stands for in an assignment.

    Raises:
        LanguageError: it is part of a value that has no place.
    """
    base = tensor(cx, target.value)
    if base.view is None:
        raise LanguageError(
            f"'{ast.unparse(target.value)}' is a value, and has no elements to assign to",
            loc=cx.loc(target.value),
            allowed="a name, an element A[i, j] or a slice A[0:2, :]",
        )
    return base.view.select(subscripts.axes(cx, target, base.type))


def assign(cx: Context, target: View, value: ast.expr) -> None:
    """``A = value``: every element is stored."""
    made = isinstance(value, ast.Dict)
    given = _everywhere(cx, value, target.element) if made else anything(cx, value)
    tensors.store(cx, target, given, cx.loc(value))


def augment(cx: Context, target: View, node: ast.AugAssign) -> None:
    """``A[0:2] += value``: like ``A[0:2] = A[0:2] + value``."""
    old = tensors.of_view(cx, target, cx.loc(node.target))
    given = operand(cx, node.value)
    if isinstance(node.op, ast.MatMult) and isinstance(given, Tensor):
        value = named_ops.matmul(cx, node.value, old, given)
    else:
        value = tensors.elementwise(
            cx, lambda a, b: ex.binary(cx, node, a, b), (old, given), node,
            OPERATIONS[type(node.op)],
        )  # fmt: skip
    if value.shape != target.shape:
        raise KernelTypeError(
            f"{given.type} does not fit {old.type}",
            loc=cx.loc(node.value),
            allowed=tensors.FITTING,
        )
    tensors.store(cx, target, value, cx.loc(node))


def argument(cx: Context, node: ast.expr, type_: object) -> Variable | Operand:
    """An argument of a call: an array by reference, or what an expression gives.

    The value of an expression is put into a fresh array of the parameter's type, as in an
    assignment.
    """
    if not rank(cx, node):
        return ex.scalar(cx, node)
    given, loc = evaluate(cx, node), cx.loc(node)
    if isinstance(given, Tensor) and given.view is not None:
        view = given.view
        part = views.subview(cx, view, node)
        return Variable(part, loc, constant=view.variable.constant)
    same = isinstance(type_, ArrayType) and type_.shape == given.shape
    wanted = type_ if same and isinstance(type_, ArrayType) else given.type
    return Variable(tensors.new_array(cx, given, wanted, "", loc), loc)
