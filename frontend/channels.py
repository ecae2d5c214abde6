"""Which stream of a region is meant in a kernel."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.infer import constant_int, root_name, root_of
from allo_rtl.frontend.scope import Streams
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import ScalarType, Stream, StreamType


@dataclass(frozen=True, slots=True)
class Channel:
    """One stream: its value in this kernel, what it carries, and whether somebody closes it."""

    value: Value
    type: Stream
    closes: bool

    @property
    def size(self) -> int:
        """Words of a block, 1 for scalars."""
        return prod(self.type.block)

    @property
    def word(self) -> ScalarType:
        """The type of the words that go through it."""
        assert isinstance(self.value.type, StreamType)
        return self.value.type.element

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.value.name


def method(cx: Context, node: ast.expr) -> str | None:
    """What is done with a stream when ``node`` is ``s.put(...)``, ``s[i].get()`` ...; else None."""
    match node:
        case ast.Call(func=ast.Attribute(value=base, attr=name)) if declared(cx, base):
            return name
    return None


def declared(cx: Context, node: ast.expr) -> Streams | None:
    """The streams that an expression is one or some of."""
    name = root_name(node)
    found = cx.find(name) if name is not None else None
    return found if isinstance(found, Streams) else None


def is_one(cx: Context, node: ast.expr) -> bool:
    """Whether an expression is a stream, or some of an array of streams."""
    return declared(cx, node) is not None


def refuse_value(cx: Context, node: ast.Name | ast.Subscript) -> None:
    """Refuse a stream in the place of a number.

    Raises:
        LanguageError: it is one.
    """
    if declared(cx, node):
        text = ast.unparse(node)
        raise LanguageError(
            f"'{text}' is a stream", loc=cx.loc(node), hint=f"take a value from it: {text}.get()"
        )


# --- which stream ---------------------------------------------------------------------------


def channel(cx: Context, node: ast.expr) -> Channel:
    """The one stream that ``s`` or ``s[0, 1]`` is.

    Raises:
        LanguageError: it is none, or several.
    """
    found = channels(cx, node)
    if len(found) != 1 or any(isinstance(p, ast.Slice) for p in _subscripts(node)):
        raise LanguageError(
            f"'{ast.unparse(node)}' is {len(found)} streams", loc=cx.loc(node), allowed="one"
        )
    return found[0]


def channels(cx: Context, node: ast.expr) -> list[Channel]:
    """The streams that ``s``, ``s[0, 1]`` or ``s[:, 0]`` are, row-major.

    Raises:
        LanguageError: there are no such streams, or which it is depends on a variable.
    """
    found = declared(cx, node)
    if found is None:
        what = f"'{ast.unparse(node)}' is not a stream of the region"
        raise LanguageError(what, loc=cx.loc(node))
    shape, parts = found.type.shape, _subscripts(node)
    if len(parts) > len(shape) or (parts and len(parts) < len(shape)):
        raise KernelTypeError(
            f"{len(parts)} subscript{'s' * (len(parts) != 1)} for '{_root(node).id}', "
            f"which is {found.type}",
            loc=cx.loc(node),
            allowed=f"{len(shape)}" if shape else "none",
        )
    whole = [range(n) for n in shape]
    chosen = [_chosen(cx, p, n) for p, n in zip(parts, shape, strict=True)] if parts else whole
    strides = [prod(shape[d + 1 :]) for d in range(len(shape))]
    places = [sum(i * n for i, n in zip(at, strides, strict=True)) for at in product(*chosen)]
    own = cx.scopes.find(_root(node).id) is found
    values = [found.values[n] for n in places]
    return [Channel(v if own else cx.captured(v), found.type, found.closes) for v in values]


def _root(node: ast.expr) -> ast.Name:
    root = root_of(node)
    assert isinstance(root, ast.Name)
    return root


def _subscripts(node: ast.expr) -> list[ast.expr]:
    if not isinstance(node, ast.Subscript):
        return []
    here = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    return [*_subscripts(node.value), *here]


def _chosen(cx: Context, node: ast.expr, extent: int) -> Sequence[int]:
    """The indices that one subscript of an array of streams stands for."""
    if isinstance(node, ast.Slice):
        bounds = [None if n is None else _index(cx, n) for n in (node.lower, node.upper, node.step)]
        return range(extent)[slice(*bounds)]
    number = _index(cx, node)
    if not 0 <= number < extent:
        raise KernelTypeError(
            f"the stream {number} of {extent}", loc=cx.loc(node), allowed=f"0 ... {extent - 1}"
        )
    return (number,)


def _index(cx: Context, node: ast.expr) -> int:
    try:
        cx.need_constant(node)
    except LanguageError as error:
        raise LanguageError(
            f"{error.message.partition(',')[0]}, and which stream is meant must be known before "
            "the kernel runs",
            loc=error.loc,
            allowed="numbers, df.get_pid(), ConstExpr names, variables of meta_for",
            hint="choose among streams with 'with allo.meta_for(...) as i:'",
        ) from None
    return constant_int(cx.kernel, node)


def closing(cx: Context, node: ast.expr, where: ast.AST) -> Channel:
    """The stream that is closed somewhere, by ``s.close``, ``s.ended`` or ``s``.

    Raises:
        LanguageError: it is never closed.
    """
    found = channel(cx, node.value if isinstance(node, ast.Attribute) else node)
    if found.closes:
        return found
    name = _root(node.value if isinstance(node, ast.Attribute) else node).id
    raise LanguageError(
        f"the stream '{name}' is never closed", loc=cx.loc(where),
        allowed=f"{name}.close() in the kernel that puts to it",
    )  # fmt: skip
