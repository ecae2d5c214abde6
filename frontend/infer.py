"""What annotations and outer Python names stand for: types, integer constants, constant arrays.

Nothing is executed: names are looked up, and the few forms that annotations and constant
expressions may have are read from the syntax tree.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.frontend import dataflow_dsl
from allo_rtl.frontend.capture import Kernel
from allo_rtl.frontend.constexpr import Evaluator, raw_of
from allo_rtl.frontend.typing_rules import literal_type
from allo_rtl.ir import types
from allo_rtl.ir.arithmetic import eval_cast
from allo_rtl.ir.types import (
    DYNAMIC,
    ArrayType,
    Float,
    IntegerType,
    ScalarType,
    Struct,
    Type,
    UInt,
)

MISSING = object()
"""What :func:`resolve` answers for a name that stands for nothing."""

TYPE_FORMS = "int8, uint12, index, Int(7), float32, Fixed(16, 8), int32[8, 4], UInt(3)[N]"


def root_of(node: ast.expr) -> ast.expr:
    """What an expression is of without its subscripts: ``s`` of ``s[0][i, 1]``."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return node


def root_name(node: ast.expr) -> str | None:
    """The name that an expression is, or is a part of by subscripts; None for anything else."""
    root = root_of(node)
    return root.id if isinstance(root, ast.Name) else None


@lru_cache(maxsize=1 << 12)
def names_in(node: ast.expr) -> tuple[ast.Name, ...]:
    """The names in an expression, which many processes may have in common."""
    return tuple(part for part in ast.walk(node) if isinstance(part, ast.Name))


def resolve(kernel: Kernel, node: ast.expr) -> Any:  # noqa: ANN401 - any Python object
    """The Python object that a name or ``module.name`` stands for outside the kernel.

    Predefined types and built-in functions are found too; MISSING when there is nothing.
    """
    match node:
        case ast.Name(id=name):
            if name in kernel.names:
                return kernel.names[name]
            return getattr(types, name, getattr(builtins, name, MISSING))
        case ast.Attribute(value=value, attr=attr):
            owner = resolve(kernel, value)
            return MISSING if owner is MISSING else getattr(owner, attr, MISSING)
    return MISSING


def similar(name: str, known: Iterator[str] | list[str]) -> str | None:
    """A hint naming the known name that looks like ``name``, if there is one."""
    close = get_close_matches(name, [k for k in known if not k.startswith("__")], n=1)
    return f"did you mean '{close[0]}'?" if close else None


def as_int(thing: object) -> int | None:
    """The Python int of an int, bool or numpy integer, else None."""
    if isinstance(thing, int | np.integer | np.bool_):
        return int(thing)
    return None


def as_float(thing: object) -> tuple[float, Float] | None:
    """The number and type of a Python float (float32 in a kernel) or narrow numpy float."""
    if isinstance(thing, float):
        return thing, types.float32
    if isinstance(thing, np.generic) and thing.dtype.name in _NUMPY_FLOATS:
        return float(thing), _NUMPY_FLOATS[thing.dtype.name]
    return None


_NUMPY_FLOATS = {
    "float16": types.float16,
    "float32": types.float32,
    "bfloat16": types.bfloat16,
    "float8_e4m3fn": types.float8_e4m3,
    "float8_e5m2": types.float8_e5m2,
}


def constant_type(thing: object) -> IntegerType:
    """The type that an outer Python number has in a kernel."""
    if isinstance(thing, bool | np.bool_):
        return UInt(1)
    number = as_int(thing)
    assert number is not None
    return literal_type(number)


def constant(kernel: Kernel, node: ast.expr) -> Any:  # noqa: ANN401 - any Python object
    """Python's value of an expression over literals and outer names.

    Raises:
        LanguageError: it is not such an expression, or Python raises.
    """

    def lookup(name: ast.Name) -> Any:  # noqa: ANN401 - any Python object
        found = resolve(kernel, name)
        if found is MISSING:
            hint = similar(name.id, list(kernel.names))
            raise LanguageError(f"unknown name '{name.id}'", loc=kernel.source.loc(name), hint=hint)
        return found

    known = {}
    if kernel.pe is not None:
        index = kernel.pe.index
        known[dataflow_dsl.get_pid] = index[0] if len(index) == 1 else index
    return Evaluator(lookup, kernel.source.loc, known).value(node)


def constant_int(kernel: Kernel, node: ast.expr) -> int:
    """The value of a constant integer expression over literals and outer names.

    Raises:
        LanguageError: it is not one.
    """
    value = constant(kernel, node)
    if (number := as_int(value)) is not None:
        return number
    found = f" (it is {value!r})" if isinstance(value, float | str | Type) else ""
    raise LanguageError(
        f"'{ast.unparse(node)}' is not a constant integer{found}", loc=kernel.source.loc(node)
    )


def annotation(kernel: Kernel, node: ast.expr) -> Type:
    """The type that an annotation means; a string is read as the annotation it contains.

    Raises:
        LanguageError: it is not a type of the language.
    """
    loc = kernel.source.loc(node)
    match node:
        case ast.Constant(value=str(text)):
            return annotation(kernel, inside_string(kernel, node, text))
        case ast.Name() | ast.Attribute():
            return _named_type(kernel, node)
        case ast.Call():
            return _made_type(kernel, node)
        case ast.Subscript(value=base, slice=ast.Constant(value=str(name))):
            return _field_type(kernel, node, annotation(kernel, base), name)
        case ast.Subscript(value=base, slice=shape):
            element = annotation(kernel, base)
            if not isinstance(element, ScalarType):
                raise KernelTypeError(f"'{element}' cannot be an array's element type", loc=loc)
            dims = shape.elts if isinstance(shape, ast.Tuple) else [shape]
            extents = tuple(_extent(kernel, d, first=d is dims[0]) for d in dims)
            try:
                return ArrayType(element, extents)
            except ValueError as e:
                raise KernelTypeError(str(e), loc=kernel.source.loc(shape)) from None
    if isinstance(found := constant(kernel, node), Type):
        return found
    raise LanguageError(f"'{ast.unparse(node)}' is not a type", loc=loc, allowed=TYPE_FORMS)


def _extent(kernel: Kernel, node: ast.expr, *, first: bool) -> int:
    if isinstance(node, ast.Constant) and node.value is ...:
        if first:
            return DYNAMIC
        raise KernelTypeError(
            "only the first extent of an array may be dynamic", loc=kernel.source.loc(node)
        )
    if (extent := constant_int(kernel, node)) < 1:  # DYNAMIC is a negative number, too
        raise KernelTypeError(
            f"an array dimension must be an int of 1 or more, not {extent}",
            loc=kernel.source.loc(node),
        )
    return extent


def result_types(kernel: Kernel, node: ast.expr | None) -> tuple[Type, ...]:
    """The types of a return annotation: none, one, or those of a tuple.

    Raises:
        LanguageError: they are not types a kernel can return.
    """
    types_ = _result_types(kernel, node)
    for type_ in types_:
        if isinstance(type_, ArrayType) and type_.is_dynamic:
            assert node is not None
            raise KernelTypeError(
                f"the result is {type_}: only arguments may have a dynamic extent",
                loc=kernel.source.loc(node),
            )
    return types_


def _result_types(kernel: Kernel, node: ast.expr | None) -> tuple[Type, ...]:
    match node:
        case None | ast.Constant(value=None):
            return ()
        case ast.Constant(value=str(text)):
            return _result_types(kernel, inside_string(kernel, node, text))
        case ast.Tuple(elts=elements):
            return tuple(annotation(kernel, e) for e in elements)
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=elements)):
            return tuple(annotation(kernel, e) for e in elements)
    return (annotation(kernel, node),)


def inside_string(kernel: Kernel, node: ast.expr, text: str) -> ast.expr:
    """The expression in a string annotation, every part placed at the string."""
    try:
        inner = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise LanguageError(
            f"'{text}' is not a type", loc=kernel.source.loc(node), allowed=TYPE_FORMS
        ) from None
    for part in ast.walk(inner):
        ast.copy_location(part, node)
    return inner


def _named_type(kernel: Kernel, node: ast.Name | ast.Attribute) -> Type:
    found = resolve(kernel, node)
    if isinstance(found, Type):
        return found
    if found is bool:
        return UInt(1)
    name, loc = ast.unparse(node), kernel.source.loc(node)
    known = [n for n, v in vars(types).items() if isinstance(v, Type)]
    known += [n for n, v in kernel.names.items() if isinstance(v, Type)]
    hints = {int: "write int32", float: "write float32", **_FORMS}
    hint = (hints.get(found) if isinstance(found, type) else None) or similar(name, known)
    number = f" (it is {found!r})" if isinstance(found, int | float) else ""
    what = f"'{name}' is not a type{number}" if found is not MISSING else f"unknown type '{name}'"
    raise LanguageError(what, loc=loc, allowed=TYPE_FORMS, hint=hint)


_FORMS: Mapping[Any, str] = {
    types.Int: "write its width: Int(7)",
    types.UInt: "write its width: UInt(7)",
    types.Fixed: "write its bits and fraction bits: Fixed(16, 8)",
    types.UFixed: "write its bits and fraction bits: UFixed(16, 8)",
    types.Float: "write its bits and fraction bits: Float(32, 23)",
    types.Struct: 'write its fields: Struct({"x": int32, "y": float32})',
    types.Index: "write index",
}


def _made_type(kernel: Kernel, node: ast.Call) -> Type:
    """``Fixed(16, 8)``, ``Int(T.bits * 2)``: the type that a class of types makes."""
    if resolve(kernel, node.func) not in _FORMS:
        what = f"'{ast.unparse(node.func)}(...)' is not a type"
        raise LanguageError(what, loc=kernel.source.loc(node.func), allowed=TYPE_FORMS)
    try:
        made = constant(kernel, node)
    except LanguageError as error:
        # What the constructor itself says is better than that Python raised it.
        if isinstance(error.__cause__, ValueError | TypeError):
            wrong_call = isinstance(error.__cause__, TypeError)
            at = node.args[0] if len(node.args) == 1 and not wrong_call else node
            text = f"'{ast.unparse(node)}' is not a type" if wrong_call else str(error.__cause__)
            hint = _FORMS[resolve(kernel, node.func)] if wrong_call else None
            raise KernelTypeError(text, loc=kernel.source.loc(at), hint=hint) from None
        raise
    assert isinstance(made, Type)
    return made


def _field_type(kernel: Kernel, node: ast.expr, struct: Type, name: str) -> Type:
    """``S["x"]``: the type of a field."""
    if isinstance(struct, Struct) and name in dict(struct.fields):
        return struct.field(name)[1]
    fields = ", ".join(f'"{n}"' for n, _ in struct.fields) if isinstance(struct, Struct) else None
    loc = kernel.source.loc(node)
    raise KernelTypeError(f"{struct} has no field '{name}'", loc=loc, allowed=fields)


_DTYPES: Mapping[str, ScalarType] = {
    "bool": UInt(1),
    "float64": types.float64,
    **_NUMPY_FLOATS,
}


def dtype_element(dtype: np.dtype[Any]) -> ScalarType | None:
    """The element type of the language that a numpy dtype is, or None."""
    if dtype.kind in "iu":
        return (types.Int if dtype.kind == "i" else UInt)(dtype.itemsize * 8)
    return _DTYPES.get(dtype.name)


def raw_elements(array: npt.NDArray[Any], element: ScalarType) -> tuple[int, ...]:
    """The row-major elements of an array whose dtype is ``element``, as the ints they are here."""
    if isinstance(element, Float):
        native = array.dtype.newbyteorder("=")
        patterns = np.ascontiguousarray(array, native).view(f"u{native.itemsize}")
        return tuple(int(x) for x in patterns.flat)
    return tuple(int(x) for x in array.flat)


def array_constant(array: npt.NDArray[Any]) -> tuple[ArrayType, tuple[int, ...]] | str:
    """Type and row-major elements of a numpy array, or what is wrong with it."""
    element = dtype_element(array.dtype)
    if element is None:
        return f"its dtype is {array.dtype}"
    if array.size == 0:
        return f"its shape {array.shape} is empty"
    return ArrayType(element, array.shape), raw_elements(array, element)


def elements_of(array: npt.NDArray[Any], element: ScalarType) -> tuple[int, ...] | None:
    """The row-major elements of a numpy array, converted to ``element`` like an assignment.

    None when its dtype has no numbers of the language, or they do not become ``element``.
    """
    try:
        return _raws(array, element)
    except TypeError:  # a number for a struct
        return None


def _raws(array: npt.NDArray[Any], element: ScalarType) -> tuple[int, ...] | None:
    native = dtype_element(array.dtype)
    if native is not None:
        patterns = raw_elements(array, native)
        return tuple(eval_cast(element, x, native) for x in patterns)
    if array.dtype != np.object_ and array.dtype.names is None:
        return None
    raws = [raw_of(element, x) for x in array.flat]
    known = tuple(r for r in raws if r is not None)
    return known if len(known) == len(raws) else None


def is_module(thing: object) -> bool:
    """Whether an outer name stands for an imported module."""
    return isinstance(thing, ModuleType)
