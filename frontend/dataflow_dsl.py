"""What a region is written with: kernels that run at once and talk through streams.

    @df.region()
    def top(A: int32[8], B: int32[8]):
        link: Stream[int32, 4]

        @df.kernel(mapping=[1], args=[A])
        def produce(a: int32[8]):
            for i in range(8):
                link.put(a[i] + 1)

        @df.kernel(mapping=[1], args=[B])
        def consume(b: int32[8]):
            for i in range(8):
                b[i] = link.get()

Everything but :func:`region` has a meaning only inside a region.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from allo_rtl.errors import LanguageError


def region(*nothing: object) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``@df.region()``: a function whose kernels all run at once.

    Its body declares streams and kernels.  It gives no result, for its kernels store to the
    arrays it is given.  Calling it with numpy arrays runs it on the simulator; to schedule or
    build it see :func:`allo_rtl.dataflow.customize` and :func:`allo_rtl.dataflow.build`.

    Raises:
        LanguageError: the parentheses are missing, or what is decorated is not a function.
    """
    if nothing:
        raise LanguageError("'@df.region' without parentheses", hint="write @df.region()")

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        if not inspect.isfunction(function):
            what = f"a region is a function, not a {type(function).__name__}"
            raise LanguageError(what, hint="write @df.region() above 'def'")

        @functools.wraps(function)
        def run(*args: Any) -> Any:  # noqa: ANN401 - the region's own signature
            from allo_rtl import dataflow

            return dataflow.simulator(run)(*args)

        return run

    return mark


def kernel(
    *, mapping: Sequence[int], args: Sequence[Any] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``@df.kernel(mapping=[2, 4], args=[A, B])``: kernels of a region, one for each index.

    Args:
        mapping: how many there are in each direction; they are known when the region is captured.
        args: the arrays of the region that each of them is given.  Streams and scalars of the
            region are seen by their names.
    """
    return lambda function: function


def get_pid() -> NoReturn:
    """``i, j = df.get_pid()``: which of the kernels of its mapping this is, as Python ints.

    Raises:
        NotImplementedError: outside a captured kernel.
    """
    raise NotImplementedError("get_pid() has a meaning only in a kernel of a region")


def gather(streams: Sequence[Any]) -> NoReturn:
    """``df.gather([s0, s1])`` or ``df.gather(s[:, 0])``: one value of each stream, in order.

    The result is an array whose first extent is the number of streams.

    Raises:
        NotImplementedError: outside a captured kernel.
    """
    raise NotImplementedError("gather() has a meaning only in a kernel of a region")


def scatter(buffer: Any, streams: Sequence[Any]) -> NoReturn:  # noqa: ANN401 - an array
    """``df.scatter(buffer, [s0, s1])``: ``buffer[n]`` is put to the n-th stream, in order.

    Raises:
        NotImplementedError: outside a captured kernel.
    """
    raise NotImplementedError("scatter() has a meaning only in a kernel of a region")
