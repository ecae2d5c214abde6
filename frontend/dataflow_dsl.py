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

ASSUMED = "__assume_ordered__"
"""Attribute of a region's function: what was given as ``assume_ordered``."""


class Region:
    """A region as Python sees it; ``region[8, int32]`` is one with values for its parameters.

    Calling it with numpy arrays runs it on the simulator.

    Attributes:
        params: the values of its parameters, where they were given.
    """

    def __init__(self, function: Callable[..., Any], params: tuple[Any, ...] = ()) -> None:
        functools.update_wrapper(self, function)
        self.__wrapped__ = function
        self.params = params
        self._built: tuple[str, Any] | None = None

    def __getitem__(self, params: Any) -> Region:  # noqa: ANN401 - types, numbers
        return Region(self.__wrapped__, params if isinstance(params, tuple) else (params,))

    def __call__(self, *args: Any) -> Any:  # noqa: ANN401 - the region's own signature
        """Run it on the simulator, which is compiled when the region or what it uses is new.

        Raises what :func:`allo_rtl.dataflow.build` does, and the call of what that makes.
        """
        from allo_rtl import dataflow

        module = dataflow.customize(self).module
        text = str(module)
        if self._built is None or self._built[0] != text:
            self._built = text, dataflow.build(module)
        run = self._built[1]
        run.reset()
        return run(*args)

    def __repr__(self) -> str:
        return f"<region {self.__wrapped__.__qualname__}>"


def plain(thing: object) -> object:
    """The function that a region was made of; anything else as it is."""
    return thing.__wrapped__ if isinstance(thing, Region) else thing


def region(
    *nothing: object, assume_ordered: Sequence[str] = ()
) -> Callable[[Callable[..., Any]], Region]:
    """``@df.region()``: a function whose kernels all run at once.

    Its body declares streams and kernels.  It gives no result, for its kernels store to the
    arrays it is given.  Calling it with numpy arrays runs it on the simulator; to schedule or
    build it see :func:`allo_rtl.dataflow.customize` and :func:`allo_rtl.dataflow.build`.

    Args:
        nothing: none.
        assume_ordered: names of arrays.  You promise that of these no two kernels use one element
            at once while one of them stores to it: they have elements of their own, or streams
            put them in order.  It is for what depends on data; all else is found out.

    Raises:
        LanguageError: the parentheses are missing, what is decorated is not a function, or
            ``assume_ordered`` is no list of names.
    """
    if isinstance(assume_ordered, str) or not all(isinstance(n, str) for n in assume_ordered):
        what = f"assume_ordered is {assume_ordered!r}"
        raise LanguageError(what, allowed='names of arrays: assume_ordered=["B"]')
    if nothing:
        raise LanguageError("'@df.region' without parentheses", hint="write @df.region()")

    def mark(function: Callable[..., Any]) -> Region:
        if not inspect.isfunction(function):
            what = f"a region is a function, not a {type(function).__name__}"
            raise LanguageError(what, hint="write @df.region() above 'def'")
        setattr(function, ASSUMED, tuple(assume_ordered))
        return Region(function)

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


def outside(name: str, written: str) -> LanguageError:
    """What to say of a call that Python makes, instead of the compiler reading it."""
    return LanguageError(
        f"df.{name}() has a meaning only in a kernel of a region",
        allowed=f"in a function under @df.kernel, as a statement of its own: {written}",
        hint="build or call the region; its kernels are read, not run by Python",
    )


def get_pid() -> NoReturn:
    """``i, j = df.get_pid()``: which of the kernels of its mapping this is, as Python ints.

    Raises:
        LanguageError: outside a captured kernel.
    """
    raise outside("get_pid", "i = df.get_pid(), or i, j = df.get_pid()")


def gather(streams: Sequence[Any]) -> NoReturn:
    """``df.gather([s0, s1])`` or ``df.gather(s[:, 0])``: one value of each stream, in order.

    The result is an array whose first extent is the number of streams.

    Raises:
        LanguageError: outside a captured kernel.
    """
    raise outside("gather", "x = df.gather(s[:, 0])")


def scatter(buffer: Any, streams: Sequence[Any]) -> NoReturn:  # noqa: ANN401 - an array
    """``df.scatter(buffer, [s0, s1])``: ``buffer[n]`` is put to the n-th stream, in order.

    Raises:
        LanguageError: outside a captured kernel.
    """
    raise outside("scatter", "df.scatter(x, s[:, 0])")
