"""Regions: the kernels in one run at once, each copy of them as a process of its own.

A region becomes a dataflow function: it makes the streams and calls the processes.  What a kernel
uses of its region by name, streams and scalars, its function gets as further arguments.
"""

from __future__ import annotations

import ast
import types
from dataclasses import replace

import numpy as np

from allo_rtl.errors import KernelTypeError, LanguageError, SourceLoc
from allo_rtl.frontend import calls, dataflow_dsl, stream_arguments, stream_ends, topology
from allo_rtl.frontend import expressions as ex
from allo_rtl.frontend.annotations import Declared, declared
from allo_rtl.frontend.capture import Kernel, Place
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.infer import MISSING, as_int, constant, inside_string, resolve, root_of
from allo_rtl.frontend.markers import means
from allo_rtl.frontend.scope import Known, Streams, Variable
from allo_rtl.frontend.views import Axis, View, subview
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import Assert, Call, Func, Print, Store, Value
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.stream_ops import STREAM_OPS, MakeStream
from allo_rtl.ir.types import ArrayType, ConstExpr, Stream, Type

ALLOWED = "streams, ConstExpr names, kernels (@df.kernel), meta_if, meta_for"


def check_statement(cx: Context, node: ast.stmt) -> None:
    """Refuse what has no meaning beside the kernels of a region.

    Raises:
        LanguageError: ``node`` computes something.
    """
    match node:
        case ast.FunctionDef() | ast.With() | ast.Pass():
            return
        case ast.Expr(value=ast.Constant(value=str() | types.EllipsisType())):
            return
        case ast.AnnAssign() if is_stream(cx, node.annotation) or _is_constant(cx, node):
            return
        case ast.Return(value=None):
            return
    if isinstance(node, ast.AnnAssign):
        what = f"'{ast.unparse(node.target)}' is neither a stream nor a constant"
    elif isinstance(node, ast.Return):
        what = "a region returns nothing"
    else:
        what = f"'{ast.unparse(node).splitlines()[0]}' stands in a region and in no kernel of it"
    hint = "put it in a kernel: @df.kernel(mapping=[1])"
    if isinstance(node, ast.Return):
        hint = "a kernel stores to the arrays that the region is given"
    raise LanguageError(what, loc=cx.loc(node), allowed=ALLOWED, hint=hint)


def _is_constant(cx: Context, node: ast.AnnAssign) -> bool:
    inner = node.annotation
    return isinstance(inner, ast.Subscript) and resolve(cx.kernel, inner.value) is ConstExpr


# --- streams --------------------------------------------------------------------------------


def is_stream(cx: Context, node: ast.expr) -> bool:
    """Whether an annotation is of a stream."""
    found = resolve(cx.kernel, root_of(_annotation(cx, node)))
    return found is Stream or isinstance(found, Stream)


def _annotation(cx: Context, node: ast.expr) -> ast.expr:
    match node:
        case ast.Constant(value=str(text)):
            return inside_string(cx.kernel, node, text)
    return node


def stream_argument(cx: Context, arg: ast.arg) -> Stream:
    """The type of an argument ``s: Stream[int32, 4]`` of a kernel that processes call.

    Raises:
        LanguageError: it is an argument of a region or process, or an array of streams.
    """
    assert arg.annotation is not None
    loc = cx.loc(arg)
    if cx.is_region or cx.kernel.pe:
        hint = "a process sees the streams of its region by their names"
        raise LanguageError(f"the argument '{arg.arg}' is a stream", loc=loc, hint=hint)
    type_ = _stream_type(cx, arg.annotation)
    if type_.shape:
        hint = "give the streams one by one"
        raise LanguageError(f"the argument '{arg.arg}' is {type_}", loc=loc, hint=hint)
    return type_


def declare_stream(cx: Context, node: ast.AnnAssign) -> None:
    """``s: Stream[int32, 4][2]``.

    Raises:
        LanguageError: not in a region, or it is no such annotation, or the name is in use.
    """
    loc = cx.loc(node)
    assert isinstance(node.target, ast.Name)
    name = node.target.id
    if not cx.is_region:
        hint = "declare it beside the kernels that it connects"
        raise LanguageError("a stream is declared in a region", loc=loc, hint=hint)
    if node.value is not None:
        raise LanguageError("a stream is empty at first", loc=cx.loc(node.value))
    if (known := cx.scopes.find(name)) is not None:
        notes = [("declared here", known.loc)]
        raise LanguageError(f"the name '{name}' is in use", loc=loc, notes=notes)
    cx.need_constant(node.annotation)
    type_ = _stream_type(cx, node.annotation)
    closing = stream_arguments.closes(cx, name)
    channel = stream_ends.channel_type(cx, type_, closing) if closing else type_.channel
    values = []
    for at in np.ndindex(*type_.shape):
        values.append(Value(channel, "_".join([name, *map(str, at)])))
        undeclared = type_.depth is None
        cx.builder.emit(MakeStream(result=values[-1], undeclared=undeclared, loc=loc))
    cx.scopes.declare(name, Streams(type_, tuple(values), loc, closing is not None))


def _stream_type(cx: Context, node: ast.expr) -> Stream:
    allowed = "Stream[int32, 4], Stream[int32[8], 4] for blocks, Stream[int32, 4][2, 3]"
    loc = cx.loc(node)
    try:
        made = constant(cx.kernel, _annotation(cx, node))
    except LanguageError as error:
        if isinstance(cause := error.__cause__, ValueError | TypeError):
            raise KernelTypeError(str(cause), loc=loc, allowed=allowed) from None
        raise
    if not isinstance(made, Stream):
        raise KernelTypeError(f"'{ast.unparse(node)}' has no element type", loc=loc,
                              allowed=allowed)  # fmt: skip
    return made


# --- processes ------------------------------------------------------------------------------


def processes(cx: Context, node: ast.FunctionDef) -> None:
    """``@df.kernel(mapping=[2, 4], args=[A, B])``: one process for each index.

    Raises:
        LanguageError: it is another decorator, or what it says does not fit.
    """
    decorator = node.decorator_list[0]
    if len(node.decorator_list) > 1 or not means(cx.kernel, decorator, dataflow_dsl.kernel):
        raise LanguageError(
            f"'@{ast.unparse(decorator)}' is not supported on a kernel inside another",
            loc=cx.loc(decorator),
            allowed="@df.kernel(mapping=[2, 4], args=[A, B]), in a region",
        )
    if not cx.is_region:
        what = f"'{node.name}' is a process, and stands in no region"
        raise LanguageError(what, loc=cx.loc(decorator), hint="mark the function: @df.region()")
    assert isinstance(decorator, ast.Call)
    mapping = _mapping(cx, decorator)
    args = _args(cx, decorator)
    kernel = cx.inner_kernel(node)
    for index in np.ndindex(*mapping):
        copy = replace(kernel, pe=Place(index, mapping))
        _process(cx, copy, args)


def _keyword(node: ast.Call, name: str) -> ast.expr | None:
    return next((k.value for k in node.keywords if k.arg == name), None)


def _mapping(cx: Context, node: ast.Call) -> tuple[int, ...]:
    """How many processes there are in each direction."""
    allowed = "@df.kernel(mapping=[2, 4], args=[A, B])"
    known = {"mapping", "args"}
    wrong = [*node.args, *(k for k in node.keywords if k.arg not in known)]
    if wrong:
        what = f"'{ast.unparse(wrong[0])}' is not an option of a kernel"
        raise LanguageError(what, loc=cx.loc(wrong[0]), allowed=allowed)
    given = _keyword(node, "mapping")
    if given is None:
        raise LanguageError("a kernel without a mapping", loc=cx.loc(node), allowed=allowed)
    cx.need_constant(given)
    value = constant(cx.kernel, given)
    sizes = [as_int(n) for n in value] if isinstance(value, list | tuple) else [None]
    if not sizes or any(n is None or n < 1 for n in sizes):
        raise LanguageError(
            f"the mapping '{ast.unparse(given)}' is {value!r}",
            loc=cx.loc(given),
            allowed="a list of ints of 1 or more: mapping=[2, 4]",
        )
    return tuple(n for n in sizes if n is not None)


def _args(cx: Context, node: ast.Call) -> list[tuple[ast.expr, Variable]]:
    """The arrays that each process is given."""
    given = _keyword(node, "args")
    if given is None:
        return []
    if not isinstance(given, ast.List | ast.Tuple):
        what = f"'{ast.unparse(given)}' is not a list of arrays"
        raise LanguageError(what, loc=cx.loc(given), allowed="args=[A, B]")
    return [(part, _array(cx, part)) for part in given.elts]


def _array(cx: Context, node: ast.expr) -> Variable:
    found = ex.array(cx, node)
    if found is not None:
        return found
    text, hint = ast.unparse(node), None
    if isinstance(node, ast.Name):
        known = cx.scopes.find(node.id)
        if known is None and cx.missing(node):
            raise cx.unknown(node)
        if known is not None:
            hint = f"the kernel sees '{text}' by its name; leave it out"
    raise LanguageError(
        f"'{text}' is not an array", loc=cx.loc(node), allowed="arrays of the region", hint=hint
    )


def _process(cx: Context, kernel: Kernel, args: list[tuple[ast.expr, Variable]]) -> None:
    """Make the function of one process, and call it, unless it does nothing."""
    assert kernel.pe is not None
    loc = cx.loc(kernel.node)
    _check_count(cx, kernel, args)
    # What tells instances of a generic region from each other tells their processes too.
    which = cx.name.removeprefix(cx.kernel.name)
    name = "_".join([kernel.name, *map(str, kernel.pe.index)]) + which
    key = (kernel.node, cx.name, kernel.pe)
    func = cx.program.function(key, kernel, cx.scopes, loc, name=name)
    if func.results:
        raise LanguageError(
            f"the process '{kernel.name}' returns something",
            loc=cx.loc(kernel.node.returns or kernel.node),
            hint="put it to a stream, or store it to an array that it is given",
        )
    if not _acts(func):
        del cx.program.funcs[func.name]
        return
    written = cx.program.written(func)
    values = []
    for n, ((node, array), param) in enumerate(zip(args, func.args, strict=False)):
        part = _part(cx, kernel, n, node, array)
        _check_type(cx, kernel, node, part, param)
        values.append(calls.argument(cx, node, part, param, n in written))
    captured = cx.program.captures[func.name]
    cx.builder.call(func.name, (*values, *captured), (), loc)


def _check_type(
    cx: Context, kernel: Kernel, node: ast.expr, array: Variable, param: Value
) -> None:
    """Refuse an array of another type than the argument that it is for."""
    if isinstance(param.type, ArrayType) and calls.fits(array.value.array, param.type):
        return
    spec = kernel.node.args
    places = {a.arg: cx.loc(a) for a in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)}
    is_scalar = not isinstance(param.type, ArrayType)
    raise KernelTypeError(
        f"'{ast.unparse(node)}' is {array.value.type}, the argument '{param.name}' is {param.type}",
        loc=cx.loc(node),
        notes=[("the argument is here", places[param.name])],
        hint="scalars of the region are seen by their names" if is_scalar else None,
    )


def _part(
    cx: Context, kernel: Kernel, n: int, node: ast.expr, array: Variable
) -> Variable:
    """The part of an array that a process sees: by the layout of its n-th argument, or all."""
    spec = kernel.node.args
    param = (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)[n]
    assert param.annotation is not None
    assert kernel.pe is not None
    said = declared(kernel, param.annotation)
    if said.layout is None or array.value.array != said.type:
        return array
    shape, mapping = array.value.array.shape, kernel.pe.mapping
    starts = said.layout.offsets(shape, mapping, kernel.pe.index)
    local = said.layout.local(shape, mapping)
    axes = [Axis(AffineExpr.constant(o), n) for o, n in zip(starts, local, strict=True)]
    view = View(array, tuple(axes))
    return Variable(subview(cx, view, node), array.loc, array.constant)


def local_type(kernel: Kernel, said: Declared, loc: SourceLoc) -> Type:
    """The type that an argument has for one process.

    Raises:
        LanguageError: it has a layout, and the kernel is no process or the layout does not fit.
    """
    if said.layout is None:
        return said.type
    if kernel.pe is None:
        raise LanguageError(
            "a layout is for the arguments of a @df.kernel",
            loc=loc,
            hint="declare the part that this kernel works on: int32[M // 4, N]",
        )
    if not isinstance(said.type, ArrayType):
        raise KernelTypeError(f"a layout is for arrays, and the type is {said.type}", loc=loc)
    try:
        shape = said.layout.local(said.type.shape, kernel.pe.mapping)
    except ValueError as error:
        raise KernelTypeError(str(error), loc=loc) from None
    return replace(said.type, shape=shape)


def _check_count(cx: Context, kernel: Kernel, args: list[tuple[ast.expr, Variable]]) -> None:
    spec = kernel.node.args
    params = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]
    if len(params) != len(args):
        names = ", ".join(p.arg for p in params)
        decorator = kernel.node.decorator_list[0]
        raise KernelTypeError(
            f"'{kernel.name}' is given {len(args)} array{'s' * (len(args) != 1)}, "
            f"and has {len(params)} argument{'s' * (len(params) != 1)}",
            loc=cx.loc(decorator),
            notes=[(f"its arguments: {names or 'none'}", cx.loc(kernel.node))],
            hint="streams and scalars of the region are seen by their names",
        )


_EFFECTS = (Store, Call, Print, Assert, *STREAM_OPS)


def _acts(func: Func) -> bool:
    """Whether a process does anything that can be seen from outside."""
    return any(isinstance(op, _EFFECTS) for op in walk(func.body))


def finished(cx: Context, func: Func, errors: int) -> Func:
    """The function of a region, checked; streams that nobody uses are left out.

    ``errors`` were found before it; with more the checks make no sense.
    """
    if func.results:
        error = LanguageError(
            "a region returns nothing",
            loc=cx.loc(cx.kernel.node.returns or cx.kernel.node),
            hint="its kernels store to the arrays that it is given",
        )
        cx.program.errors.append(error)
    if len(cx.program.errors) > errors:
        return func
    used = {v for op in func.body if isinstance(op, Call) for v in op.args}
    kept = (op for op in func.body if not isinstance(op, MakeStream) or op.result in used)
    func = replace(func, body=tuple(kept))
    cx.program.errors += topology.problems(func, cx.program.funcs, _assumed(cx, func))
    return func


def _assumed(cx: Context, func: Func) -> list[Value]:
    """The arrays of ``@df.region(assume_ordered=["B"])``.

    Raises:
        LanguageError: one is no array of the region.
    """
    arrays = {v.name: v for v in func.args if isinstance(v.type, ArrayType)}
    names = _promised(cx) if cx.kernel.assumed is None else cx.kernel.assumed
    if (wrong := next((n for n in names if n not in arrays), None)) is not None:
        raise LanguageError(
            f"assume_ordered: {wrong!r} is not an array of '{cx.kernel.name}'",
            loc=cx.loc(cx.kernel.node.decorator_list[0]),
            allowed=", ".join(arrays) or None,
        )
    return [arrays[n] for n in names]


def _promised(cx: Context) -> tuple[str, ...]:
    """What the text of a region says of ``assume_ordered``."""
    calls = [d for d in cx.kernel.node.decorator_list if isinstance(d, ast.Call)]
    given = next((k for k in (_keyword(d, "assume_ordered") for d in calls) if k), None)
    if given is None:
        return ()
    cx.need_constant(given)
    names = constant(cx.kernel, given)
    if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
        raise LanguageError(f"assume_ordered is {names!r}", loc=cx.loc(given),
                            allowed='names of arrays: assume_ordered=["B"]')  # fmt: skip
    return tuple(names)


# --- get_pid --------------------------------------------------------------------------------


def is_get_pid(cx: Context, node: ast.expr) -> bool:
    """Whether an expression is ``df.get_pid()``."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
        return False
    thing = cx.outside(node.func)
    name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
    return thing is dataflow_dsl.get_pid or (thing is MISSING and name == "get_pid")


def get_pid(cx: Context, target: ast.expr, node: ast.expr) -> None:
    """``i, j = df.get_pid()``: the names are Python ints.

    Raises:
        LanguageError: this is not a process, or has another number of indices.
    """
    if cx.kernel.pe is None:
        raise LanguageError(
            "only a process of a region has an index",
            loc=cx.loc(node),
            hint="mark the kernel: @df.kernel(mapping=[4], args=[...])",
        )
    parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
    index = cx.kernel.pe.index
    if len(parts) != len(index):
        raise LanguageError(
            f"{len(index)} indices for {len(parts)} name{'s' * (len(parts) != 1)}",
            loc=cx.loc(target),
            notes=[("the mapping is here", cx.loc(cx.kernel.node.decorator_list[0]))],
        )
    for part, number in zip(parts, index, strict=True):
        if not isinstance(part, ast.Name):
            what = f"'{ast.unparse(part)}' cannot be an index"
            raise LanguageError(what, loc=cx.loc(part), allowed="a plain name")
        known = cx.scopes.find(part.id)
        if known is not None and part.id != "_":
            notes = [("declared here", known.loc)]
            raise LanguageError(f"the name '{part.id}' is in use", loc=cx.loc(part), notes=notes)
        cx.scopes.declare(part.id, Known(number, cx.loc(part)))
