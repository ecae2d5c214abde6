"""Loops: ``range``, ``grid`` and ``reduction``, their bounds, names and pragmas."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass

from allo_rtl.errors import LanguageError
from allo_rtl.frontend import dsl
from allo_rtl.frontend import expressions as ex
from allo_rtl.frontend.builder import limits
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.infer import MISSING, constant_int
from allo_rtl.frontend.jumps import leaves, run_of_body, running_flag, while_set
from allo_rtl.frontend.scope import Scalar
from allo_rtl.frontend.while_loops import counted_while
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import Block, For, LoopAttrs, Value
from allo_rtl.ir.types import index

ITERATORS = "range(...), allo.grid(...), allo.reduction(...)"

type Bounds = tuple[AffineExpr, ...]


@dataclass(frozen=True, slots=True)
class Extent:
    """Bounds and step of one loop."""

    lower: Bounds
    upper: Bounds
    step: int = 1


def for_loop(cx: Context, node: ast.For, body: Callable[[], object]) -> None:
    """Lower a loop statement; ``body`` lowers what is inside.

    A single loop that ``break`` or ``return`` may end becomes a While, unless the source gives it
    a name or pragma: then, and in a nest, it stays a For whose runs do nothing from there on.

    Raises:
        LanguageError: the loop is not one of the language.
    """
    no_else(cx, node)
    call = node.iter
    kind = _kind(cx, call)
    assert isinstance(call, ast.Call)
    names = targets(cx, node.target)
    extents = _range(cx, call) if kind == "range" else _grid(cx, call)
    if len(extents) != len(names):
        raise LanguageError(
            f"{len(names)} loop variable{'s' * (len(names) != 1)} for "
            f"{len(extents)} extent{'s' * (len(extents) != 1)}",
            loc=cx.loc(node.target),
        )
    attrs = _attributes(cx, call, kind, [t.id for t in names])
    ends_early = leaves(node.body, (ast.Break, ast.Return))
    if ends_early and len(names) == 1 and not call.keywords:
        only = extents[0]
        counts = _counter_range(cx, only)
        counted_while(cx, node, names[0], (only.lower, only.upper, only.step), counts, body)
        return
    inside = _until_it_ends(cx, node, body)
    for op in _nest(cx, node, names, extents, attrs, inside):
        cx.builder.emit(op)
    cx.bands += 1


def no_else(cx: Context, node: ast.For | ast.While) -> None:
    """Refuse the ``else`` of a loop."""
    if node.orelse:
        raise LanguageError(
            "'else' of a loop is not supported",
            loc=cx.loc(node.orelse[0]),
            hint="set a variable before 'break', and test it after the loop",
        )


def _until_it_ends(cx: Context, node: ast.For, body: Callable[[], object]) -> Callable[[], object]:
    """The body of a nest that keeps its loops: after a ``break`` its runs do nothing."""
    loc = cx.loc(node)
    running = running_flag(cx.builder, node.body, loc)

    def inside() -> None:
        with run_of_body(cx, node.body, running, loc):
            body()

    def guarded() -> None:
        assert running is not None
        with while_set(cx.builder, running, loc):
            inside()

    return inside if running is None else guarded


def _kind(cx: Context, node: ast.expr) -> str:
    """'range', 'grid' or 'reduction'."""
    if isinstance(node, ast.Call):
        func = node.func
        thing = cx.outside(func)
        name = func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")
        if thing is range and name == "range":
            return "range"
        for kind in (dsl.grid, dsl.reduction):
            if thing is kind or (thing is MISSING and name == kind.__name__):
                return kind.__name__
    raise LanguageError(
        f"a loop cannot run over '{ast.unparse(node)}'", loc=cx.loc(node), allowed=ITERATORS
    )


def targets(cx: Context, node: ast.expr) -> list[ast.Name]:
    """The loop variables, which are new names.

    Raises:
        LanguageError: they are something else.
    """
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    names: list[ast.Name] = []
    for part in parts:
        if not isinstance(part, ast.Name):
            raise LanguageError(
                f"'{ast.unparse(part)}' cannot be a loop variable",
                loc=cx.loc(part),
                allowed="plain names",
            )
        known = cx.scopes.find(part.id)
        if part.id != "_" and (known is not None or part.id in [n.id for n in names]):
            raise LanguageError(
                f"the name '{part.id}' of the loop variable is in use",
                loc=cx.loc(part),
                notes=[("declared here", known.loc)] if known else (),
                hint="choose a different name for the loop variable",
            )
        names.append(part)
    return names


def _range(cx: Context, call: ast.Call) -> list[Extent]:
    if not 1 <= len(call.args) <= 3:
        raise LanguageError(
            f"'range' with {len(call.args)} arguments",
            loc=cx.loc(call),
            allowed="range(stop), range(start, stop), range(start, stop, step)",
        )
    step = _step(cx, call.args[2]) if len(call.args) == 3 else 1
    lower = _bounds(cx, call.args[0], "max") if len(call.args) > 1 else _zero()
    upper = _bounds(cx, call.args[min(1, len(call.args) - 1)], "min")
    return [Extent(lower, upper, step)]


def _zero() -> Bounds:
    return (AffineExpr.constant(0),)


def _grid(cx: Context, call: ast.Call) -> list[Extent]:
    if not call.args:
        raise LanguageError("a loop nest without extents", loc=cx.loc(call), allowed=ITERATORS)
    return [Extent(_zero(), _bounds(cx, arg, "min")) for arg in call.args]


def _bounds(cx: Context, node: ast.expr, combine: str) -> Bounds:
    """The expressions of a bound: those inside ``min`` above, ``max`` below."""
    if (
        isinstance(node, ast.Call)
        and ex.builtin_name(cx, node.func) == combine
        and len(node.args) == 2
    ):
        return tuple(e for arg in node.args for e in _bounds(cx, arg, combine))
    return (ex.subscript(cx, node),)


def _step(cx: Context, node: ast.expr) -> int:
    with cx.builder.block():
        step = ex.scalar(cx, node).constant
    if step is None:
        raise LanguageError(
            f"the step '{ast.unparse(node)}' is not a constant",
            loc=cx.loc(node),
            allowed="a constant of 1 or more",
        )
    if step < 1:
        raise LanguageError(
            f"the step of the loop is {step}",
            loc=cx.loc(node),
            allowed="a constant of 1 or more",
            hint="count upwards and write the subscript as n - 1 - i" if step < 0 else None,
        )
    return step


def _attributes(cx: Context, call: ast.Call, kind: str, names: list[str]) -> list[LoopAttrs]:
    """What the source says of each loop of a nest."""
    band = f"S_{'_'.join(names)}_{cx.bands}"
    pipeline: list[int | None] = [None] * len(names)
    unroll: list[int | None] = [None] * len(names)
    for keyword in call.keywords:
        match keyword:
            case ast.keyword(arg="name", value=ast.Constant(value=str(text))):
                band = text
            case ast.keyword(arg="pipeline"):
                pipeline = _pragma(cx, keyword, len(names), 1, 1)
            case ast.keyword(arg="unroll"):
                unroll = _pragma(cx, keyword, len(names), 0, 0)
            case _:
                raise LanguageError(
                    f"'{ast.unparse(keyword)}' is not an option of a loop",
                    loc=cx.loc(keyword),
                    allowed='name="...", pipeline=..., unroll=...',
                )
    return [
        LoopAttrs(
            band="" if n else band,
            reduction=kind == "reduction",
            pipeline_ii=pipeline[n],
            unroll=unroll[n],
        )
        for n in range(len(names))
    ]


def _pragma(
    cx: Context, keyword: ast.keyword, loops: int, true: int, least: int
) -> list[int | None]:
    """A setting for each loop; a single one is for the innermost."""
    node = keyword.value
    if not isinstance(node, ast.List | ast.Tuple):
        return [*[None] * (loops - 1), _setting(cx, node, true, least)]
    if len(node.elts) != loops:
        raise LanguageError(
            f"'{keyword.arg}' has {len(node.elts)} settings for {loops} loops",
            loc=cx.loc(keyword),
            allowed="one setting for each loop, or a single one for the innermost",
        )
    return [_setting(cx, e, true, least) for e in node.elts]


def _setting(cx: Context, node: ast.expr, true: int, least: int) -> int | None:
    match node:
        case ast.Constant(value=None | False):
            return None
        case ast.Constant(value=True):
            return true
    cx.need_constant(node)
    value = constant_int(cx.kernel, node)
    if value < least:
        raise LanguageError(
            f"{value} is too small here", loc=cx.loc(node), allowed=f"True, False, {least} or more"
        )
    return value


def _nest(
    cx: Context,
    node: ast.For,
    targets: list[ast.Name],
    extents: list[Extent],
    attrs: list[LoopAttrs],
    body: Callable[[], object],
) -> Block:
    """The first loop with the others inside it, ``body`` innermost."""
    if not targets:
        with cx.builder.block() as ops:
            body()
        return tuple(ops)
    target, extent = targets[0], extents[0]
    iv = Value(index, target.id)
    cx.builder.ranges[iv] = _counter_range(cx, extent)
    cx.depth += 1
    try:
        with cx.scopes.block():
            cx.scopes.declare(target.id, Scalar(iv, cx.loc(target), counter=True))
            inside = _nest(cx, node, targets[1:], extents[1:], attrs[1:], body)
    finally:
        cx.depth -= 1
    loop = For(
        iv=iv,
        lower=extent.lower,
        upper=extent.upper,
        step=extent.step,
        body=inside,
        name=target.id,
        attrs=attrs[0],
        loc=cx.loc(node),
    )
    return (loop,)


def _counter_range(cx: Context, extent: Extent) -> tuple[int, int]:
    """First and last value that the counter may have."""
    low = max(cx.builder.subscript_range(e)[0] for e in extent.lower)
    high = min(cx.builder.subscript_range(e)[1] for e in extent.upper) - 1
    return low, min(max(low, high), limits(index)[1])
