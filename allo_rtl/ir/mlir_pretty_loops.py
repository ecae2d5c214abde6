"""Written forms of affine and scf operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.mlir_affine_syntax import AffineMap, AffineSet
from allo_rtl.ir.mlir_pretty_ops import affine_operands
from allo_rtl.ir.mlir_syntax import RawOp, Ref, Region
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import Type, bool_, index

if TYPE_CHECKING:
    from allo_rtl.ir.mlir_pretty import Operations


def yield_(p: Operations, raw: RawOp) -> None:
    """``scf.yield %a, %b : i32, i32``."""
    raw.attrs = p.optional_attrs()
    if p.here.kind == "value":
        raw.operands = p.refs()
        raw.ins = p.typed()


def condition(p: Operations, raw: RawOp) -> None:
    """``scf.condition(%c) %a : i32``."""
    p.expect("(")
    raw.operands = [p.ref()]
    p.expect(")")
    raw.attrs = p.optional_attrs()
    raw.ins = (bool_,)
    if p.here.kind == "value":
        raw.operands += p.refs()
        raw.ins += p.typed()


def applied_map(p: Operations, raw: RawOp) -> None:
    """``affine.apply map(%dims)[%symbols]``."""
    raw.attrs["map"], raw.operands = _applied(p)
    raw.attrs |= p.optional_attrs()
    raw.outs = (index,)


def _applied(p: Operations) -> tuple[AffineMap, list[Ref]]:
    token = p.here
    found = p.attribute()
    if not isinstance(found, AffineMap):
        raise p.source.error(token, "this is not an affine_map")
    return found, _operands(p, found, "map")


def _operands(p: Operations, map: AffineMap, what: str) -> list[Ref]:
    token = p.expect("(")
    uses = p.listed(")", p.ref)
    if p.accept("["):
        uses += p.listed("]", p.ref)
    if len(uses) != len(map.dims):
        text = f"the {what} has {len(map.dims)} operands, {len(uses)} are given"
        raise p.source.error(token, text)
    return uses


def affine_for(p: Operations, raw: RawOp) -> None:
    """``affine.for %i = 0 to 4 step 2 iter_args(%a = %x) -> (i32) { ... }``."""
    iv = p.new_ref()
    p.expect("=")
    lower, lower_uses = _bound(p, "max")
    p.expect("to")
    upper, upper_uses = _bound(p, "min")
    step = p.integer() if p.accept("step") else 1
    args, inits = _carried(p, raw)
    raw.regions = [p.region([(iv, index), *args])]
    raw.attrs = {"lowerBoundMap": lower, "upperBoundMap": upper, "step": step}
    raw.attrs["operandSegmentSizes"] = [len(lower_uses), len(upper_uses), len(inits)]
    raw.attrs |= p.optional_attrs()
    raw.operands = lower_uses + upper_uses + inits


def _bound(p: Operations, pick: str) -> tuple[AffineMap, list[Ref]]:
    p.accept(pick)
    if p.here.kind == "value":
        use, place = p.ref(), Value(index)
        return AffineMap((place,), (AffineExpr.of(place),)), [use]
    if p.here.kind == "number" or p.at("-"):
        return AffineMap((), (AffineExpr.constant(p.integer()),)), []
    return _applied(p)


def _carried(p: Operations, raw: RawOp) -> tuple[list[tuple[Ref, Type]], list[Ref]]:
    """``iter_args(%a = %x) -> (i32)``: arguments of the block and what they are at first."""
    if not p.accept("iter_args"):
        return [], []
    pairs = _initialised(p)
    p.expect("->")
    raw.outs = p.types()
    if len(pairs) != len(raw.outs):
        text = f"{raw.name} carries {len(pairs)} values, {len(raw.outs)} types are given"
        raise p.source.error(raw.token, text)
    args = [(name, type) for (name, _), type in zip(pairs, raw.outs, strict=True)]
    return args, [init for _, init in pairs]


def _initialised(p: Operations) -> list[tuple[Ref, Ref]]:
    def pair() -> tuple[Ref, Ref]:
        name = p.new_ref()
        p.expect("=")
        return name, p.ref()

    p.expect("(")
    return p.listed(")", pair)


def affine_if(p: Operations, raw: RawOp) -> None:
    """``affine.if set(%dims)[%symbols] -> i32 { ... } else { ... }``."""
    token = p.here
    found = p.attribute()
    if not isinstance(found, AffineSet):
        raise p.source.error(token, "this is not an affine_set")
    raw.operands = _operands(p, found.map, "set")
    raw.attrs["condition"] = found
    _branches(p, raw)


def _branches(p: Operations, raw: RawOp) -> None:
    raw.outs = p.types() if p.accept("->") else ()
    raw.regions = [p.region()]
    raw.regions.append(p.region() if p.accept("else") else Region([], []))
    raw.attrs |= p.optional_attrs()


def scf_if(p: Operations, raw: RawOp) -> None:
    """``scf.if %c -> (i32) { ... } else { ... }``."""
    raw.operands = [p.ref()]
    _branches(p, raw)


def affine_parallel(p: Operations, raw: RawOp) -> None:
    """``affine.parallel (%i, %j) = (0, 0) to (4, %n) step (1, 2) { ... }``."""
    p.expect("(")
    ivs = p.listed(")", p.new_ref)
    p.expect("=")
    lower, lower_uses = _parallel_bounds(p)
    p.expect("to")
    upper, upper_uses = _parallel_bounds(p)
    raw.attrs["steps"] = [1] * len(ivs)
    if p.accept("step"):
        p.expect("(")
        raw.attrs["steps"] = p.listed(")", p.integer)
    if p.at("reduce"):
        text = "reductions of a parallel loop are not supported"
        raise p.source.error(p.here, text, hint="use affine.for with iter_args")
    raw.attrs |= {"lowerBoundsMap": lower, "upperBoundsMap": upper}
    raw.operands = lower_uses + upper_uses
    raw.regions = [p.region([(iv, index) for iv in ivs])]
    raw.attrs |= p.optional_attrs()


def _parallel_bounds(p: Operations) -> tuple[AffineMap, list[Ref]]:
    p.expect("(")
    if p.at("min", "max"):
        raise p.source.error(p.here, "a bound of a parallel loop is one expression")
    return affine_operands(p, ")")


def scf_for(p: Operations, raw: RawOp) -> None:
    """``scf.for %i = %a to %b step %c iter_args(%x = %y) -> (i32) { ... }``."""
    iv = p.new_ref()
    p.expect("=")
    raw.operands = [p.ref()]
    for word in ("to", "step"):
        p.expect(word)
        raw.operands.append(p.ref())
    args, inits = _carried(p, raw)
    raw.operands += inits
    if p.accept(":"):
        token = p.here
        if p.type() != index:
            raise p.source.error(token, "the counter of a loop is index")
    raw.regions = [p.region([(iv, index), *args])]
    raw.attrs = p.optional_attrs()


def scf_parallel(p: Operations, raw: RawOp) -> None:
    """``scf.parallel (%i, %j) = (%a, %b) to (%c, %d) step (%e, %f) { ... }``."""
    p.expect("(")
    ivs = p.listed(")", p.new_ref)
    counts = []
    for word in ("=", "to", "step"):
        p.expect(word)
        p.expect("(")
        found = p.listed(")", p.ref)
        counts.append(len(found))
        raw.operands += found
    if p.at("init"):
        text = "reductions of a parallel loop are not supported"
        raise p.source.error(p.here, text, hint="use scf.for with iter_args")
    raw.regions = [p.region([(iv, index) for iv in ivs])]
    raw.attrs = {"operandSegmentSizes": [*counts, 0]} | p.optional_attrs()


def scf_while(p: Operations, raw: RawOp) -> None:
    """``scf.while (%a = %x) : (i32) -> i32 { ... } do { ^bb0(%b: i32): ... }``."""
    pairs = _initialised(p) if p.at("(") else []
    token = p.expect(":")
    kind = p.function_type()
    if len(kind.ins) != len(pairs):
        text = f"{raw.name} starts with {len(pairs)} values, {len(kind.ins)} types are given"
        raise p.source.error(token, text)
    raw.operands, raw.ins, raw.outs = [init for _, init in pairs], kind.ins, kind.outs
    args = [(name, type) for (name, _), type in zip(pairs, kind.ins, strict=True)]
    raw.regions = [p.region(args)]
    p.expect("do")
    raw.regions.append(p.region())
    if p.accept("attributes"):
        raw.attrs = p.attr_dict()


READERS: dict[str, Callable[[Operations, RawOp], None]] = {
    "affine.yield": yield_,
    "scf.yield": yield_,
    "scf.reduce": yield_,
    "scf.condition": condition,
    "affine.apply": applied_map,
    "affine.min": applied_map,
    "affine.max": applied_map,
    "affine.for": affine_for,
    "affine.if": affine_if,
    "affine.parallel": affine_parallel,
    "scf.for": scf_for,
    "scf.if": scf_if,
    "scf.parallel": scf_parallel,
    "scf.while": scf_while,
}
"""Reads the written form of an operation."""
