"""Kernels with parameters: ``def k[T, M: int32](A: "T[M]")``, used as ``k[float32, 8](A)``.

A kernel is lowered once for each list of arguments.  A string after the last argument is the id
of an instance, and names its function: ``k[float32, 8, "left"]`` is ``k_left``.
"""

from __future__ import annotations

import ast
from collections import ChainMap
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from allo_rtl.errors import KernelTypeError, LanguageError, SourceLoc
from allo_rtl.frontend.capture import Kernel
from allo_rtl.frontend.constexpr import raw_of
from allo_rtl.frontend.infer import as_int, constant
from allo_rtl.ir.arithmetic import limits
from allo_rtl.ir.types import Float, ScalarType, Type


def instance(
    kernel: Kernel, args: Sequence[Any], loc: SourceLoc | None
) -> tuple[Kernel, tuple[object, ...], str]:
    """One instance of a kernel.

    Args:
        kernel: the kernel.
        args: types and numbers, one for each of its parameters, and perhaps an id.
        loc: where they are given.

    Returns:
        The kernel with its parameters bound; what tells the instance from others; the id or "".

    Raises:
        KernelTypeError: the number of arguments, or one of them, does not fit.
    """
    params = kernel.node.type_params
    given = list(args)
    id_ = given.pop() if len(given) == len(params) + 1 and isinstance(given[-1], str) else ""
    if len(given) != len(params):
        raise _wrong_count(kernel, given, loc)
    bound: dict[str, Any] = {}
    names = ChainMap(bound, *_layers(kernel))
    made = replace(kernel, names=names)
    for param, arg in zip(params, given, strict=True):
        if not isinstance(param, ast.TypeVar):
            raise LanguageError(
                f"the parameter '{ast.unparse(param)}' is not supported",
                loc=kernel.source.loc(param),
                allowed="T, T: Int, M: int32",
            )
        _check(made, param, arg, loc)
        number = as_int(arg)
        bound[param.name] = arg if number is None or isinstance(arg, bool) else number
    return made, tuple(_key(a) for a in given), id_


def instance_text(kernel: Kernel, args: Sequence[Any]) -> str:
    """An instance as it is written: ``scale[int16, 8]``."""
    return f"{kernel.name}[{', '.join(_text(a) for a in args)}]"


def _wrong_count(kernel: Kernel, given: list[Any], loc: SourceLoc | None) -> KernelTypeError:
    name, params = kernel.name, ", ".join(ast.unparse(p) for p in kernel.node.type_params)
    if not params:
        return KernelTypeError(f"'{name}' has no parameters in square brackets", loc=loc)
    if not given:
        what = f"'{name}' needs its parameters"
        hint = f"in a kernel {name}[...](...), else customize({name}, instantiate=[...])"
        return KernelTypeError(what, loc=loc, allowed=f"{name}[{params}]", hint=hint)
    what = f"'{name}' with {len(given)} parameter{'s' * (len(given) != 1)}"
    found = ", ".join(_text(a) for a in given)
    return KernelTypeError(f"{what}: {found}", loc=loc, allowed=f"{name}[{params}]")


def _layers(kernel: Kernel) -> list[Any]:
    return list(kernel.names.maps) if isinstance(kernel.names, ChainMap) else [kernel.names]


def _key(arg: object) -> object:
    """Types and numbers by value (1, 1.0 and True are three), anything else by identity."""
    if isinstance(arg, Type):
        return arg
    return (type(arg), arg) if isinstance(arg, int | float | str) else id(arg)


def _check(kernel: Kernel, param: ast.TypeVar, arg: Any, loc: SourceLoc | None) -> None:  # noqa: ANN401
    if not isinstance(arg, Type) and as_int(arg) is None and not isinstance(arg, float):
        raise KernelTypeError(
            f"{_text(arg)} cannot be the parameter '{param.name}' of '{kernel.name}'",
            loc=loc,
            allowed="types and numbers",
        )
    if param.bound is None:
        return
    bound = constant(kernel, param.bound)
    options = bound if isinstance(bound, tuple) else (bound,)
    if not any(_fits(arg, option) for option in options):
        raise KernelTypeError(
            f"{_text(arg)} is not within the bound of '{param.name}' of '{kernel.name}'",
            loc=loc,
            allowed=ast.unparse(param.bound),
            notes=[("the bound is here", kernel.source.loc(param))],
        )


def _fits(arg: Any, bound: object) -> bool:  # noqa: ANN401 - a type or a number
    """Whether an argument is within one bound.

    A type is within its family (``Int``) and within itself, a number within a type that holds it.
    """
    if isinstance(bound, type):
        return isinstance(arg, bound)
    if isinstance(arg, Type) or not isinstance(bound, ScalarType):
        return bool(arg == bound)
    if isinstance(arg, float) or isinstance(bound, Float):
        return isinstance(bound, Float) and raw_of(bound, arg) is not None
    low, high = limits(bound)
    return low <= int(arg) <= high


def _text(arg: object) -> str:
    return str(arg) if isinstance(arg, Type) else repr(arg)

