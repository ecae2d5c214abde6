"""Expressions that Python computes when a kernel is captured: shapes, ConstExpr, meta_if.

The syntax tree is walked with the operators of Python itself; names are looked up, and what is
called are the functions that names stand for.  Nothing is compiled or executed from text.
"""

from __future__ import annotations

import ast
import inspect
import operator
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

from allo_rtl.errors import LanguageError, SourceLoc
from allo_rtl.ir.arithmetic import eval_cast
from allo_rtl.ir.types import ScalarType, Struct, float64

_FLOATS = (
    float, np.floating, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2
)  # fmt: skip

ALLOWED = "literals, outer names, operators, subscripts, calls of Python functions"

_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.MatMult: operator.matmul,
}

_UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}

_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Python's value of an expression.

    Attributes:
        lookup: the object that a name stands for; it raises LanguageError for an unknown one.
        place: the place of a node in the user's file.
        known: what calls of some functions, without arguments, stand for here.
    """

    lookup: Callable[[ast.Name], Any]
    place: Callable[[ast.AST], SourceLoc]
    known: Mapping[Callable[..., Any], Any] = field(default_factory=dict)

    def value(self, node: ast.expr) -> Any:  # noqa: ANN401 - any Python object
        """The value of an expression.

        Raises:
            LanguageError: it has another form than these, a name is not known, or Python raises.
        """
        match node:
            case ast.Name():
                return self.lookup(node)
            case ast.BoolOp():
                return self._bool_op(node)
            case ast.IfExp(test=test, body=one, orelse=other):
                return self.value(one if self.value(test) else other)
        try:
            return self._compute(node)
        except LanguageError as error:
            if error.loc is not None:
                raise
            raise LanguageError(
                error.message, loc=self.place(node), allowed=error.allowed, hint=error.hint
            ) from None
        except Exception as error:
            what = f"'{ast.unparse(node)}' raises {type(error).__name__}: {error}"
            raise LanguageError(what, loc=self.place(node)) from error

    def _compute(self, node: ast.expr) -> Any:  # noqa: ANN401 - any Python object
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Attribute(value=owner, attr=name):
                return getattr(self.value(owner), name)
            case ast.UnaryOp(op=op, operand=operand):
                return _UNARY[type(op)](self.value(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return _BINARY[type(op)](self.value(left), self.value(right))
            case ast.Compare():
                return self._compare(node)
            case ast.Call():
                return self._call(node)
            case ast.Subscript(value=owner, slice=at):
                return self.value(owner)[self.value(at)]
            case ast.Slice(lower=lower, upper=upper, step=step):
                return slice(*(None if n is None else self.value(n) for n in (lower, upper, step)))
            case ast.Tuple(elts=parts):
                return tuple(self.value(p) for p in parts)
            case ast.List(elts=parts):
                return [self.value(p) for p in parts]
            case ast.Set(elts=parts):
                return {self.value(p) for p in parts}
            case ast.Dict(keys=keys, values=values) if None not in keys:
                pairs = zip(keys, values, strict=True)
                return {self.value(k): self.value(v) for k, v in pairs if k is not None}
        raise LanguageError(
            f"'{ast.unparse(node)}' is not computed before the kernel runs",
            loc=self.place(node),
            allowed=ALLOWED,
        )

    def _bool_op(self, node: ast.BoolOp) -> Any:  # noqa: ANN401 - any Python object
        decided = isinstance(node.op, ast.Or)
        for part in node.values[:-1]:
            value = self.value(part)
            if bool(value) == decided:
                return value
        return self.value(node.values[-1])

    def _compare(self, node: ast.Compare) -> bool:
        left = self.value(node.left)
        for op, part in zip(node.ops, node.comparators, strict=True):
            right = self.value(part)
            if not _COMPARE[type(op)](left, right):
                return False
            left = right
        return True

    def _call(self, node: ast.Call) -> Any:  # noqa: ANN401 - any Python object
        bad = next((a for a in node.args if isinstance(a, ast.Starred)), None) or next(
            (k for k in node.keywords if k.arg is None), None
        )
        if bad is not None:
            raise LanguageError("a star argument is not supported here", loc=self.place(bad))
        args = [self.value(a) for a in node.args]
        named = {str(k.arg): self.value(k.value) for k in node.keywords}
        function = self.value(node.func)
        if not args and not named and inspect.isfunction(function) and function in self.known:
            return self.known[function]
        return function(*args, **named)


def raw_of(type_: ScalarType, number: Any) -> int | None:  # noqa: ANN401 - any Python object
    """The int that stands for a Python or numpy number in ``type_``, converted like an assignment.

    A struct is a dictionary with its fields, or an element of a structured array.  None when it is
    neither a number nor such a struct.

    Raises:
        TypeError: a number does not convert to the type (a struct).
    """
    if isinstance(number, int | np.integer | np.bool_):
        return eval_cast(type_, int(number))
    if isinstance(number, _FLOATS):
        pattern = int.from_bytes(struct.pack("<d", float(number)), "little")
        return eval_cast(type_, pattern, float64)
    if isinstance(type_, Struct) and isinstance(number, Mapping | np.void):
        return _raw_struct(type_, number)
    return None


def _raw_struct(type_: Struct, fields: Mapping[Any, Any] | np.void) -> int | None:
    names = fields.dtype.names or () if isinstance(fields, np.void) else fields
    if set(names) != {name for name, _ in type_.fields}:
        return None
    word, low = 0, 0
    for name, part in type_.fields:
        raw = raw_of(part, fields[name])
        if raw is None:
            return None
        word |= (raw & ((1 << part.bits) - 1)) << low
        low += part.bits
    return word
