"""Compile-time blocks of a kernel.

In ordinary Python these are empty context managers: they mean something only in a compiled
kernel.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext


def meta_if(condition: object) -> AbstractContextManager[None]:
    """``with allo.meta_if(T == int8):`` - in the kernel only if the condition holds.

    The condition is Python's, computed when the kernel is captured, over types and constants.
    """
    return nullcontext()


def meta_elif(condition: object) -> AbstractContextManager[None]:
    """Right after a :func:`meta_if` or another ``meta_elif``: the block if none before was taken
    and the condition holds.
    """
    return nullcontext()


def meta_else() -> AbstractContextManager[None]:
    """Right after a :func:`meta_if` or :func:`meta_elif`: the block if none before was taken."""
    return nullcontext()


def meta_for(*bounds: int) -> AbstractContextManager[int]:
    """``with allo.meta_for(0, N, 2) as i:`` - one copy of the block for each ``i`` of the range.

    In each copy ``i`` is a Python int, so it may size arrays and be part of conditions of
    :func:`meta_if`.
    """
    return nullcontext(0)
