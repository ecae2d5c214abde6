"""Annotations as a whole: a type and what ``@`` and ``ConstExpr[...]`` add to it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace

from allo_rtl.errors import KernelTypeError, LanguageError, SourceLoc
from allo_rtl.frontend.capture import Kernel
from allo_rtl.frontend.infer import annotation, constant, inside_string, resolve
from allo_rtl.ir.sharding import Layout
from allo_rtl.ir.types import ArrayType, ConstExpr, Memory, Refined, ScalarType, Stateful, Type

ALLOWED = 'Stateful, Memory(resource="...")'


@dataclass(frozen=True, slots=True)
class Declared:
    """What an annotation says.

    Attributes:
        type: the type; of an array, with the memory it is to be stored in.
        stateful: the variable keeps its value from run to run.
        constexpr: the name is a number that Python computes when the kernel is captured.
        layout: which part of the array each process of a region sees.
    """

    type: Type
    stateful: bool = False
    constexpr: bool = False
    layout: Layout | None = None


def declared(kernel: Kernel, node: ast.expr) -> Declared:
    """What an annotation says; a string is read as the annotation it contains.

    Raises:
        LanguageError: it is not an annotation of the language.
    """
    match node:
        case ast.Constant(value=str(text)):
            return declared(kernel, inside_string(kernel, node, text))
        case ast.BinOp(left=left, op=ast.MatMult(), right=right):
            base = declared(kernel, left)
            thing, text = constant(kernel, right), ast.unparse(right)
            return _refined(base, thing, text, kernel.source.loc(right))
        case ast.Subscript(value=base_, slice=inner) if resolve(kernel, base_) is ConstExpr:
            return _constexpr(annotation(kernel, inner), kernel.source.loc(node))
        case ast.Name() | ast.Attribute() if isinstance(
            found := resolve(kernel, node), Refined
        ):
            return declared_by(found, kernel.source.loc(node))
    return Declared(annotation(kernel, node))


def declared_by(made: Type | Refined, loc: SourceLoc) -> Declared:
    """What an annotation says that Python has evaluated already.

    Raises:
        LanguageError: it is not an annotation of the language.
    """
    if not isinstance(made, Refined):
        return Declared(made)
    said = Declared(made.type)
    for thing in made.refinements:
        if thing is ConstExpr:
            said = _constexpr(said.type, loc)
        else:
            said = _refined(said, thing, str(thing), loc)
    return said


def _refined(said: Declared, thing: object, text: str, loc: SourceLoc) -> Declared:
    """``said @ thing``."""
    if thing is Stateful:
        return replace(said, stateful=True)
    if isinstance(thing, list | Layout):
        return replace(said, layout=_layout(thing, loc))
    if not isinstance(thing, Memory):
        hint = 'write Memory(resource="BRAM")' if thing is Memory else None
        what = f"'@ {text}' says nothing about a type"
        raise LanguageError(what, loc=loc, allowed=ALLOWED, hint=hint)
    if not isinstance(said.type, ArrayType):
        raise KernelTypeError(
            f"'@ {text}' is for arrays, and the type is {said.type}",
            loc=loc,
            hint="a scalar is stored in a register",
        )
    return replace(said, type=replace(said.type, memory=thing))


def _layout(thing: list[object] | Layout, loc: SourceLoc) -> Layout:
    try:
        return thing if isinstance(thing, Layout) else Layout(thing)
    except ValueError as error:
        allowed = "[Layout.Shard(0), Layout.Replicate]"
        raise KernelTypeError(str(error), loc=loc, allowed=allowed) from None


def _constexpr(type_: Type, loc: SourceLoc) -> Declared:
    if not isinstance(type_, ScalarType):
        raise KernelTypeError(
            f"a ConstExpr is a number, not {type_}", loc=loc, allowed="ConstExpr[int32]"
        )
    return Declared(type_, constexpr=True)
