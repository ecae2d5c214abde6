"""``break``, ``continue`` and early ``return``, made of flags and branches.

Each loop that is left early, and a kernel that returns early, has a ``Frame``.  Its flag
``go`` is 1 as long as the statements that follow are to run: what stands after a statement that
may jump is put in a branch on it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

from allo_rtl.errors import SourceLoc
from allo_rtl.frontend.builder import Builder, number
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.scope import Frame
from allo_rtl.ir.ops import If, Predicate, Value
from allo_rtl.ir.types import ArrayType, bool_


def leaves(body: Sequence[ast.stmt], kinds: tuple[type[ast.stmt], ...]) -> bool:
    """Whether statements may leave the loop they are the body of by a statement of ``kinds``.

    ``break`` and ``continue`` of loops inside do not count, a ``return`` inside them does.
    """
    return any(_leaves(node, kinds) for node in body)


@lru_cache(maxsize=1 << 12)
def _leaves(node: ast.stmt, kinds: tuple[type[ast.stmt], ...]) -> bool:
    """Of one statement, which many processes may have in common."""
    if isinstance(node, kinds):
        return True
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return False
    if isinstance(node, ast.For | ast.While):
        kinds = tuple(k for k in kinds if k is ast.Return)
    parts = [s for s in ast.iter_child_nodes(node) if isinstance(s, ast.stmt)]
    return leaves(parts, kinds)


def jumps(node: ast.stmt) -> bool:
    """Whether what follows a statement may have to be left out."""
    return leaves([node], (ast.Break, ast.Continue, ast.Return))


def own_returns(body: Sequence[ast.stmt]) -> Iterator[ast.Return]:
    """The returns of a kernel, without those of kernels inside it."""
    return (found for node in body for found in _own_returns(node))


@lru_cache(maxsize=1 << 12)
def _own_returns(node: ast.stmt) -> tuple[ast.Return, ...]:
    """Of one statement, which many processes may have in common."""
    if isinstance(node, ast.Return):
        return (node,)
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return ()
    return tuple(own_returns([s for s in ast.iter_child_nodes(node) if isinstance(s, ast.stmt)]))


def tail_returns(body: Sequence[ast.stmt]) -> set[ast.Return]:
    """The returns that close a kernel: its last statement, also inside a last ``meta_if``."""
    if not body:
        return set()
    if isinstance(body[-1], ast.Return):
        return {body[-1]}
    last: set[ast.Return] = set()
    for node in reversed(body):
        if not isinstance(node, ast.With):
            break
        last |= tail_returns(node.body)
    return last


def never_ends(node: ast.While) -> bool:
    """Whether a loop can only be left by a return."""
    forever = isinstance(node.test, ast.Constant) and bool(node.test.value)
    return forever and not leaves(node.body, (ast.Break,))


def flag(b: Builder, name: str, loc: SourceLoc) -> Value:
    """A scalar variable that is 1."""
    variable = b.alloc(ArrayType(bool_, ()), name, loc)
    b.store(number(1, bool_), variable, (), loc)
    return variable


def running_flag(b: Builder, body: Sequence[ast.stmt], loc: SourceLoc) -> Value | None:
    """Made before a loop: the flag that ends it early; None when nothing does."""
    return flag(b, "running", loc) if leaves(body, (ast.Break, ast.Return)) else None


@contextmanager
def run_of_body(
    cx: Context, body: Sequence[ast.stmt], running: Value | None, loc: SourceLoc
) -> Iterator[None]:
    """One run of a loop's body is lowered inside; what leaves it finds the frame."""
    frame = None if running is None else Frame(running, running)
    if leaves(body, (ast.Continue,)):
        frame = Frame(flag(cx.builder, "go", loc), running)
    cx.frames.append(frame)
    try:
        yield
    finally:
        cx.frames.pop()


def jump(cx: Context, node: ast.Break | ast.Continue) -> None:
    """Lower ``break`` or ``continue``: the rest of the run is left out."""
    _leave(cx.builder, cx.frames[-1], cx.loc(node), end=isinstance(node, ast.Break))


def jump_out(cx: Context, loc: SourceLoc) -> None:
    """Leave every loop and the kernel, as ``return`` does."""
    for frame in reversed(cx.frames):
        _leave(cx.builder, frame, loc, end=True)


def _leave(b: Builder, frame: Frame | None, loc: SourceLoc, *, end: bool) -> None:
    assert frame is not None, "the statement that leaves a loop was not seen before it"
    left = [frame.go, frame.running] if end else [frame.go]
    for variable in dict.fromkeys(v for v in left if v is not None):
        b.store(number(0, bool_), variable, (), loc)


@contextmanager
def branch(b: Builder, test: Value, loc: SourceLoc) -> Iterator[None]:
    """What is made inside runs when ``test`` is 1."""
    with b.block() as ops:
        yield
    b.emit(If(condition=test, then=tuple(ops), loc=loc))


@contextmanager
def while_not(b: Builder, variable: Value, loc: SourceLoc) -> Iterator[None]:
    """What is made inside runs when the flag is 0."""
    zero = number(0, bool_)
    test = b.compare(Predicate.EQ, b.load(variable, (), loc), zero, bool_, loc)
    with branch(b, b.value(test, loc), loc):
        yield


@contextmanager
def while_set(b: Builder, variable: Value, loc: SourceLoc) -> Iterator[None]:
    """What is made inside runs when the flag is 1."""
    test = b.value(b.load(variable, (), loc), loc)
    with branch(b, test, loc):
        yield
