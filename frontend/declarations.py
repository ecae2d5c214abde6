"""Declarations: ``x: int32 = 3``, ``B: int32[4] = A``, constant arrays, and whole-array copies."""

from __future__ import annotations

import ast

import numpy as np

from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.frontend import expressions as ex
from allo_rtl.frontend.annotations import declared
from allo_rtl.frontend.builder import Operand
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.infer import array_constant, list_constant
from allo_rtl.frontend.known import declare_constexpr, declare_stateful
from allo_rtl.frontend.scope import Known, LocalKernel, Scalar, Variable
from allo_rtl.frontend.writes import call_writes
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import ArrayType, Index, IntegerType, ScalarType


def annotated(cx: Context, node: ast.AnnAssign) -> None:
    """``x: T`` and ``x: T = value``: a declaration, or an assignment if ``x`` is known as a T.

    Elements of an array declared without a value, or scalars, are zero when the kernel starts.

    Raises:
        LanguageError: the target is not a name, or has another type already.
    """
    if not isinstance(node.target, ast.Name):
        raise LanguageError(
            "only a name can be declared",
            loc=cx.loc(node.target),
            hint="leave the annotation out of the assignment to an element",
        )
    cx.need_constant(node.annotation)
    if isinstance(node.value, ast.List):
        cx.need_constant(node.value)
    said = declared(cx.kernel, node.annotation)
    type_ = said.type
    if said.stateful or said.constexpr:
        (declare_stateful if said.stateful else declare_constexpr)(cx, node, type_)
        return
    known = _same_variable(cx, node.target, type_)
    if isinstance(type_, ScalarType):
        _declare_scalar(cx, node, type_, known)
    elif isinstance(type_, ArrayType):
        _declare_array(cx, node, node.target, type_, known)


def _same_variable(cx: Context, target: ast.Name, type_: object) -> Variable | None:
    """The variable of that name if there is one; it must have the type."""
    found = cx.scopes.find(target.id)
    if found is None:
        return None
    match found:
        case Variable(value=value) if _declared_type(value) == type_ and not found.constant:
            return found
        case Variable(value=value):
            what = f"is {_declared_type(value)} already"
        case Scalar(counter=True):
            what = "is a loop variable"
        case Scalar(value=value):
            what = f"is an argument ({value.type})"
        case LocalKernel():
            what = "is a kernel"
        case Known():
            what = "is a constant"
    raise KernelTypeError(
        f"'{target.id}' {what} and cannot be declared as {type_}",
        loc=cx.loc(target),
        notes=[("declared here", found.loc)],
        hint="choose another name",
    )


def _declared_type(value: Value) -> ArrayType | ScalarType:
    return value.array if value.array.rank else value.array.element


def declare_scalar(
    cx: Context, target: ast.Name, type_: ScalarType, initial: Operand | None
) -> None:
    """Make a scalar variable known in this block, with its initial value."""
    loc = cx.loc(target)
    variable = cx.builder.alloc(ArrayType(type_, ()), target.id, loc)
    if initial is not None:
        cx.builder.store(initial, variable, (), loc)
    cx.scopes.declare(target.id, Variable(variable, loc))


def _declare_scalar(
    cx: Context, node: ast.AnnAssign, type_: ScalarType, known: Variable | None
) -> None:
    assert isinstance(node.target, ast.Name)
    initial = ex.scalar_as(cx, node.value, type_) if node.value else None
    if known is None:
        declare_scalar(cx, node.target, type_, initial)
    elif initial is not None:
        cx.builder.store(initial, known.value, (), cx.loc(node.target))


def _declare_array(
    cx: Context, node: ast.AnnAssign, target: ast.Name, type_: ArrayType, known: Variable | None
) -> None:
    loc = cx.loc(target)
    if type_.is_dynamic:
        raise KernelTypeError(
            f"'{target.id}' is {type_}: only arguments may have a dynamic extent",
            loc=cx.loc(node.annotation),
        )
    if isinstance(node.value, ast.List):
        _from_list(cx, target, node.value, type_, known)
    elif known is not None:
        if node.value is not None:
            copy_or_fill(cx, known.value, node.value)
    elif node.value is None:
        cx.scopes.declare(target.id, Variable(cx.builder.alloc(type_, target.id, loc), loc))
    elif (data := _outer_constant(cx, node.value, type_)) is not None:
        _from_constant(cx, target, type_, data)
    else:
        _initialised(cx, target, node.value, type_)


def _initialised(cx: Context, target: ast.Name, value: ast.expr, type_: ArrayType) -> None:
    """``B: T[n] = scalar``, ``= A`` or ``= kernel(...)``."""
    loc = cx.loc(target)
    source = ex.array(cx, value)
    given = source.value if source else call_result(cx, value, target.id) or ex.scalar(cx, value)
    if source is None and isinstance(given, Value) and given.type == type_:
        array = given  # The result of a call is a fresh array: no copy.
    else:
        array = cx.builder.alloc(type_, target.id, loc)
        # An array is zero at the start of the run; only in a loop is this not the first time.
        if cx.depth or not isinstance(given, Operand) or given.constant != 0:
            _store_all(cx, array, given, value)
    cx.scopes.declare(target.id, Variable(array, loc))


def _outer_constant(cx: Context, node: ast.expr, type_: ArrayType) -> tuple[int, ...] | None:
    """The elements of an outer numpy array of the shape of ``type_``; None for anything else."""
    if isinstance(node, ast.Name) and cx.find(node.id) is not None:
        return None
    outer = cx.outside(node)
    if not isinstance(outer, np.ndarray):
        return None
    found = array_constant(outer)
    if isinstance(found, str) or found[0].shape != type_.shape:
        what = found if isinstance(found, str) else f"it is {found[0]}"
        raise KernelTypeError(
            f"'{ast.unparse(node)}' cannot initialise {type_}: {what}", loc=cx.loc(node)
        )
    return found[1]


def _from_list(
    cx: Context, target: ast.Name, value: ast.List, type_: ArrayType, known: Variable | None
) -> None:
    data = list_constant(cx.kernel, value, type_)
    if known is None:
        _from_constant(cx, target, type_, data)
        return
    made = cx.program.constant(f"{target.id}_const", type_, data)
    cx.builder.copy(known.value, cx.get_global(made, target).value, cx.loc(value))


def _from_constant(cx: Context, target: ast.Name, type_: ArrayType, data: tuple[int, ...]) -> None:
    """A constant array under the name, or a variable that starts as a copy of it."""
    element = type_.element
    assert isinstance(element, IntegerType | Index)
    data = tuple(element.wrap(x) for x in data)
    loc = cx.loc(target)
    if not _is_written(cx, target.id):
        made = cx.program.constant(target.id, type_, data)
        cx.scopes.declare(target.id, cx.get_global(made, target, target.id))
        return
    made = cx.program.constant(f"{target.id}_const", type_, data)
    array = cx.builder.alloc(type_, target.id, loc)
    cx.builder.copy(array, cx.get_global(made, target).value, loc)
    cx.scopes.declare(target.id, Variable(array, loc))


def _is_written(cx: Context, name: str) -> bool:
    """Whether an array of the kernel may be stored to, returned or replaced after its start."""
    stores = 0
    for part in ast.walk(cx.kernel.node):
        match part:
            case ast.Name(id=found, ctx=ast.Store()) if found == name:
                stores += 1
            case ast.Subscript(value=ast.Name(id=found), ctx=ast.Store()) if found == name:
                return True
            case ast.Return(value=ast.expr() as value):
                if any(isinstance(n, ast.Name) and n.id == name for n in _plain(value)):
                    return True
            case ast.Call() if _call_writes(cx, part, name):
                return True
    return stores > 1


def _plain(value: ast.expr) -> list[ast.expr]:
    return list(value.elts) if isinstance(value, ast.Tuple) else [value]


def _call_writes(cx: Context, node: ast.Call, name: str) -> bool:
    """Whether a call passes the array and the kernel called stores to it."""
    return ex.builtin_name(cx, node.func) is None and call_writes(cx, node, name)


def copy_or_fill(cx: Context, array: Value, value: ast.expr) -> None:
    """Store an array of the same shape, or one scalar, to every element of ``array``."""
    source = ex.array(cx, value)
    given = source.value if source else call_result(cx, value) or ex.scalar(cx, value)
    _store_all(cx, array, given, value)


def _store_all(cx: Context, array: Value, given: Value | Operand, value: ast.expr) -> None:
    loc = cx.loc(value)
    if isinstance(given, Operand):
        cx.builder.fill(array, given, loc)
        return
    if given.array.shape != array.array.shape:
        raise KernelTypeError(
            f"'{ast.unparse(value)}' is {given.type}, '{array.name}' is {array.type}",
            loc=loc,
            allowed="arrays of the same shape",
        )
    cx.builder.copy(array, given, loc)


def call_result(cx: Context, node: ast.expr, name: str = "") -> Value | Operand | None:
    """The one result of a call of a kernel; None when ``node`` is not such a call."""
    if not isinstance(node, ast.Call) or ex.builtin_name(cx, node.func) is not None:
        return None
    outs = ex.call(cx, node, (name,))
    if len(outs) != 1:
        raise wrong_count(cx, node, len(outs), 1)
    return outs[0] if isinstance(outs[0].type, ArrayType) else Operand(outs[0].scalar, outs[0])


def wrong_count(cx: Context, node: ast.expr, found: int, wanted: int) -> LanguageError:
    """The error for an unpacking whose numbers of values and targets differ."""
    text = ast.unparse(node.func) if isinstance(node, ast.Call) else ast.unparse(node)
    return KernelTypeError(
        f"'{text}' gives {found} value{'s' * (found != 1)} for {wanted} "
        f"target{'s' * (wanted != 1)}",
        loc=cx.loc(node),
    )
