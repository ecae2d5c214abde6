"""Functions and modules: a captured kernel becomes a module of the loop IR."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from allo_rtl.errors import KernelErrors, KernelTypeError, LanguageError, SourceLoc
from allo_rtl.frontend import arrays, overlaps, regions, tensors
from allo_rtl.frontend import expressions as ex
from allo_rtl.frontend.annotations import declared, declared_by
from allo_rtl.frontend.builder import Builder, Operand
from allo_rtl.frontend.calls import may_be_kernel
from allo_rtl.frontend.capture import Kernel, capture
from allo_rtl.frontend.context import Context, Program
from allo_rtl.frontend.infer import result_types
from allo_rtl.frontend.jumps import flag, jump_out, own_returns, tail_returns
from allo_rtl.frontend.markers import is_region
from allo_rtl.frontend.scope import Cascade, Frame, Scalar, Scopes, Streams, Variable
from allo_rtl.frontend.statements import block, changed_names
from allo_rtl.frontend.stream_arguments import with_flags
from allo_rtl.frontend.stream_ends import channel_type
from allo_rtl.frontend.tensors import ArrayValue
from allo_rtl.frontend.typing_rules import RULE_SETS
from allo_rtl.frontend.views import View
from allo_rtl.ir.ops import Alloc, Call, Func, Module, Return, Value
from allo_rtl.ir.types import ArrayType, Refined, ScalarType, Stream, StreamType, Type


@dataclass(frozen=True, slots=True)
class Lowered:
    """A kernel, its module, and the functions made of each kernel, by the kernel's name."""

    kernel: Kernel
    module: Module
    instances: Mapping[str, Sequence[str]]


def lower_kernel(
    fn: Callable[..., Any] | str,
    *,
    global_vars: Mapping[str, Any] | None = None,
    instantiate: Sequence[Any] | Mapping[str, Sequence[Any]] = (),
    typing_rule_set: str = "default",
) -> Module:
    """Lower a kernel, and every kernel it calls, to a module of the loop IR.

    Args:
        fn: a Python function (it is not executed), or the text of one function definition.
        global_vars: what outer names stand for, before the function's own closure and globals.
            For a text these are all the names there are; without them it sees its caller's.
        instantiate: the kernel's parameters, those in square brackets; or the parameters of this
            and other kernels by name, for where they are named without any.
        typing_rule_set: "default" or "cpp-style", see :mod:`.typing_rules`.

    Returns:
        A module whose ``top`` is the kernel's name; callees come before callers.

    Raises:
        LanguageError: the kernel is not in the language; KernelErrors when for several reasons.
    """
    return lower(
        fn,
        global_vars=global_vars,
        instantiate=instantiate,
        typing_rule_set=typing_rule_set,
    ).module


def lower(
    fn: Callable[..., Any] | str,
    *,
    global_vars: Mapping[str, Any] | None = None,
    instantiate: Sequence[Any] | Mapping[str, Sequence[Any]] = (),
    typing_rule_set: str = "default",
) -> Lowered:
    """Like :func:`lower_kernel`, and tells what became of each kernel."""
    if typing_rule_set not in RULE_SETS:
        known = ", ".join(f'"{name}"' for name in RULE_SETS)
        raise LanguageError(f"there is no typing rule set '{typing_rule_set}'", allowed=known)
    kernel = capture(fn, global_vars)
    if not isinstance(instantiate, Mapping):
        instantiate = {kernel.name: instantiate}
    program = Program(_lower, RULE_SETS[typing_rule_set], instantiate)
    top: Func | None = None
    loc = kernel.source.loc(kernel.node)
    try:
        with suppress(Cascade):
            top = program.function(_key(fn), kernel, None, loc)
    except RecursionError:
        raise LanguageError(
            f"'{kernel.name}' has blocks or expressions inside each other, deeper than can be read",
            loc=loc,
            hint="an elif is inside the one before it: take a long chain apart, or look its values "
            "up in an array",
        ) from None
    # Instances of one kernel may have the same errors.
    found: dict[tuple[str, SourceLoc | None], LanguageError] = {}
    for error in program.errors:
        found.setdefault((error.message, error.loc), error)
    if errors := list(found.values()):
        raise errors[0] if len(errors) == 1 else KernelErrors(errors)
    assert top is not None
    if (stream := next((a for a in top.args if isinstance(a.type, StreamType)), None)) is not None:
        raise LanguageError(
            f"'{top.name}' is given a stream, '{stream.name}'",
            loc=top.loc,
            hint="call it in a kernel of a region, which makes the stream",
        )
    module = Module(
        funcs=tuple(program.funcs.values()),
        top=top.name,
        globals=tuple(program.globals.values()),
    )
    return Lowered(kernel, module, program.instances)


def _key(fn: Callable[..., Any] | str) -> object:
    return fn if isinstance(fn, str) else inspect.unwrap(fn)


def _lower(program: Program, kernel: Kernel, name: str, outer: Scopes | None) -> Func:
    """Lower one kernel to a function; what is wrong goes to ``program.errors``."""
    cx = Context(
        kernel, program, Scopes(outer), name, Builder(rules=program.rules),
        is_region=is_region(kernel),
    )  # fmt: skip
    errors = len(program.errors)
    args = _arguments(cx)
    results = _noting(cx, lambda: _results(cx))
    _body(cx, results, errors)
    program.hazards[name] = overlaps.of_arguments(cx, args)
    ops = (*cx.prologue, *cx.builder.blocks[0])
    args = (*args, *cx.captures.values())
    program.captures[name] = tuple(cx.captures)
    func = Func(
        name=name, args=args, results=results or (), body=ops, loc=cx.loc(kernel.node),
        dataflow=cx.is_region,
    )  # fmt: skip
    if cx.is_region:
        return regions.finished(cx, func, errors)
    return with_flags(cx, func)


def _body(cx: Context, results: tuple[Type, ...] | None, errors: int) -> None:
    """The statements of a kernel and its closing Return; ``errors`` were found before it."""
    body = cx.kernel.node.body
    returns = list(own_returns(body))
    early = results is not None and not tail_returns(body).issuperset(returns)
    places = _result_places(cx, results) if early and results is not None else None
    if results is not None:
        cx.leave = lambda node: _return(cx, node, results, places)
    ends = block(cx, body)
    if places is None:  # A loop without end may stand before the return.
        ends = any(isinstance(op, Return) for op in cx.builder.blocks[0])
    if results and not ends and (not returns or errors == len(cx.program.errors)):
        _noting(cx, lambda: _missing_return(cx, None, some=bool(returns)))
    elif places is not None:
        _end(cx, places)


def _result_places(cx: Context, results: tuple[Type, ...]) -> tuple[Value, ...]:
    """Variables for the results of a kernel that returns early, and its frame."""
    loc = cx.loc(cx.kernel.node)
    cx.frames[0] = Frame(flag(cx.builder, "go", loc))
    arrays = (t if isinstance(t, ArrayType) else _variable(t) for t in results)
    return tuple(cx.builder.alloc(t, f"result_{n}", loc) for n, t in enumerate(arrays))


def _variable(type_: Type) -> ArrayType:
    assert isinstance(type_, ScalarType)
    return ArrayType(type_, ())


def _end(cx: Context, places: tuple[Value, ...]) -> None:
    """The closing Return of a kernel that returns early."""
    loc = cx.loc(cx.kernel.node)
    loaded = (p if p.array.rank else cx.builder.load(p, (), loc).value for p in places)
    if values := tuple(v for v in loaded if v is not None):
        cx.builder.emit(Return(values=values, loc=loc))


def _noting[T](cx: Context, make: Callable[[], T]) -> T | None:
    """What ``make`` gives; None when it raises, and the error is noted."""
    try:
        return make()
    except LanguageError as error:
        if not isinstance(error, Cascade):
            cx.program.errors.append(error)
        return None


def _arguments(cx: Context) -> tuple[Value, ...]:
    spec = cx.kernel.node.args
    for star in filter(None, (spec.vararg, spec.kwarg)):
        cx.program.errors.append(
            LanguageError(
                f"the star argument '{star.arg}' is not in the language",
                loc=cx.loc(star),
                allowed="arguments with a type: A: int32[8, 4], n: int32",
            )
        )
    changed = changed_names(cx.kernel.node.body)
    args: list[Value] = []
    for arg in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs):
        if (type_ := _noting(cx, lambda arg=arg: _argument_type(cx, arg))) is None:  # type: ignore[misc]
            cx.scopes.broken.add(arg.arg)
            continue
        if isinstance(type_, Stream):
            closed = arg.arg in cx.kernel.closed
            channel = channel_type(cx, type_, arg) if closed else type_.channel
            args.append(Value(channel, arg.arg))
            cx.scopes.declare(arg.arg, Streams(type_, (args[-1],), cx.loc(arg), closed))
            continue
        args.append(Value(type_, arg.arg))
        _declare_argument(cx, arg, args[-1], arg.arg in changed)
    return tuple(args)


def _argument_type(cx: Context, arg: ast.arg) -> Type:
    if arg.annotation is None:
        raise LanguageError(
            f"the argument '{arg.arg}' has no type",
            loc=cx.loc(arg),
            allowed=f"{arg.arg}: int32[8, 4] for an array, {arg.arg}: int32 for a scalar",
        )
    evaluated = cx.kernel.annotations.get(arg.arg)
    loc = cx.loc(arg.annotation)
    if regions.is_stream(cx, arg.annotation):
        return regions.stream_argument(cx, arg)
    if isinstance(evaluated, Type | Refined):
        said = declared_by(evaluated, loc)
    else:
        said = declared(cx.kernel, arg.annotation)
    if said.stateful or said.constexpr:
        raise LanguageError(
            f"the argument '{arg.arg}' cannot be {'Stateful' if said.stateful else 'a ConstExpr'}",
            loc=loc,
            hint="only a variable of the kernel keeps its value from run to run"
            if said.stateful
            else f"make it a parameter: def {cx.kernel.name}[{arg.arg}](...)",
        )
    return regions.local_type(cx.kernel, said, loc)


def _declare_argument(cx: Context, arg: ast.arg, value: Value, assigned: bool) -> None:
    loc = cx.loc(arg)
    if isinstance(value.type, ArrayType):
        cx.scopes.declare(arg.arg, Variable(value, loc))
    elif assigned and not cx.is_region:
        # Arguments are by value: the kernel changes a variable of its own.
        variable = cx.builder.alloc(ArrayType(value.scalar, ()), arg.arg, loc)
        cx.builder.store(Operand(value.scalar, value), variable, (), loc)
        cx.scopes.declare(arg.arg, Variable(variable, loc))
    else:
        cx.scopes.declare(arg.arg, Scalar(value, loc))


def _results(cx: Context) -> tuple[Type, ...]:
    evaluated = cx.kernel.annotations.get("return")
    if isinstance(evaluated, Type):
        return (evaluated,)
    if isinstance(evaluated, tuple) and all(isinstance(t, Type) for t in evaluated):
        return evaluated
    return result_types(cx.kernel, cx.kernel.node.returns)


def _return(
    cx: Context,
    node: ast.Return,
    results: tuple[Type, ...],
    places: tuple[Value, ...] | None,
) -> None:
    """A return, checked against the declared results.

    It is the closing one, or with ``places`` for the results one of several.
    """
    value, loc = node.value, cx.loc(node)
    if value is None or (isinstance(value, ast.Constant) and value.value is None):
        if results:
            _missing_return(cx, node)
        if places is not None:
            jump_out(cx, loc)
        return
    parts = value.elts if isinstance(value, ast.Tuple) else [value]
    given = _given(cx, parts, results)
    if len(given) != len(results):
        raise KernelTypeError(
            f"{len(given)} value{'s' * (len(given) != 1)} returned, {len(results)} declared",
            loc=loc,
            hint=None
            if results
            else f"declare the results: def {cx.kernel.name}(...) -> "
            + ", ".join(str(g.type) for g, _ in given),
        )
    if places is not None:
        for (one, part), type_, place in zip(given, results, places, strict=True):
            _keep(cx, one, part, type_, place)
        jump_out(cx, loc)
        return
    values: list[Value] = []
    for (one, part), type_ in zip(given, results, strict=True):
        values.append(_returned(cx, one, part, type_, values))
    cx.builder.emit(Return(values=tuple(values), loc=loc))


def _keep(
    cx: Context, given: ArrayValue | Operand, node: ast.expr, type_: Type, place: Value
) -> None:
    """Store one result for the closing Return."""
    _check_result(given, node, type_, cx)
    if isinstance(given, Operand):
        cx.builder.store(given, place, (), cx.loc(node))
    else:
        loc = cx.loc(node)
        tensors.store(cx, View.whole(Variable(place, loc)), given, loc)


def _missing_return(cx: Context, node: ast.Return | None, *, some: bool = False) -> None:
    """Refuse a bare return, or the end of a kernel that has ``some`` return."""
    annotation_ = cx.kernel.node.returns
    assert annotation_ is not None
    if some:
        raise LanguageError(
            f"the kernel '{cx.kernel.name}' may end without returning a result",
            loc=cx.loc(annotation_),
            hint="end it with 'return ...'",
        )
    raise LanguageError(
        f"the kernel '{cx.kernel.name}' declares a result and returns none",
        loc=cx.loc(node or annotation_),
        hint="end it with 'return ...', or declare '-> None'",
    )


def _given(
    cx: Context, parts: list[ast.expr], results: tuple[Type, ...]
) -> list[tuple[ArrayValue | Operand, ast.expr]]:
    """What the expressions of a return give; one call may give several values."""
    if len(parts) == 1 and isinstance(parts[0], ast.Call) and may_be_kernel(cx, parts[0].func):
        return [(arrays.made(cx, v, parts[0]), parts[0]) for v in ex.call(cx, parts[0])]
    given: list[tuple[ArrayValue | Operand, ast.expr]] = []
    for part, type_ in zip_longest(parts, results[: len(parts)]):
        if isinstance(part, ast.Dict) and isinstance(type_, ScalarType):
            given.append((ex.scalar_as(cx, part, type_), part))
        else:
            given.append((arrays.anything(cx, part), part))
    return given


def _returned(
    cx: Context, given: ArrayValue | Operand, node: ast.expr, type_: Type, before: list[Value]
) -> Value:
    """The value of one result; an array that is not the kernel's own is copied first."""
    loc, builder = cx.loc(node), cx.builder
    _check_result(given, node, type_, cx)
    if isinstance(given, Operand):
        assert isinstance(type_, ScalarType)
        return builder.value(builder.convert(given, type_, loc), loc)
    assert isinstance(type_, ArrayType)
    if (array := tensors.array_of(given)) is not None:
        makers = (op for op in builder.blocks[0] if isinstance(op, Alloc | Call))
        own = any(array in op.results() for op in makers)
        if own and array.type == type_ and array not in before:
            return array
    name = f"{array.name}_result" if array is not None else "result"
    return tensors.new_array(cx, given, type_, name, loc)


def _check_result(given: ArrayValue | Operand, node: ast.expr, type_: Type, cx: Context) -> None:
    """A scalar where a scalar is declared, an array of the shape of a declared array."""
    if isinstance(given, Operand):
        fits = isinstance(type_, ScalarType)
    else:
        fits = isinstance(type_, ArrayType) and given.shape == type_.shape
    if not fits:
        raise KernelTypeError(
            f"'{ast.unparse(node)}' is {given.type}, the result is declared {type_}",
            loc=cx.loc(node),
        )
