"""What loops, branches, calls and the like of affine, scf, func and cf mean in the loop IR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.mlir_affine_syntax import AffineMap, AffineSet
from allo_rtl.ir.mlir_build import Builder, Rule, hint
from allo_rtl.ir.mlir_build_memory import symbol
from allo_rtl.ir.mlir_build_scalars import binary, compare, constant
from allo_rtl.ir.mlir_syntax import RawOp, Ref, Region, Symbol
from allo_rtl.ir.mlir_types import signless
from allo_rtl.ir.ops import (
    Apply,
    Assert,
    BinaryKind,
    Call,
    Condition,
    For,
    If,
    LoopAttrs,
    Predicate,
    Print,
    Return,
    Value,
    While,
)
from allo_rtl.ir.types import Type, bool_, index

type Exprs = tuple[AffineExpr, ...]


# Loops


def affine_for(b: Builder, raw: RawOp) -> None:
    """``affine.for``."""
    counts = raw.attrs["operandSegmentSizes"]
    numbers = all(isinstance(n, int) for n in counts)
    if not numbers or len(counts) != 3 or sum(counts) != len(raw.operands):
        raise b.error(raw, f"the operands of {raw.name} are not as operandSegmentSizes says")
    refs = raw.operands
    first, second = counts[0], counts[0] + counts[1]
    lower = b.mapped(raw, raw.attrs["lowerBoundMap"], refs[:first])
    upper = b.mapped(raw, raw.attrs["upperBoundMap"], refs[first:second])
    _loop(b, raw, lower, upper, raw.attrs["step"], refs[second:])


def scf_for(b: Builder, raw: RawOp) -> None:
    """``scf.for``."""
    lower, upper, step = raw.operands[:3]
    _loop(b, raw, b.bounds(lower), b.bounds(upper), b.number(step), raw.operands[3:])


def _loop(
    b: Builder, raw: RawOp, lower: Exprs, upper: Exprs, step: int, inits: Sequence[Ref]
) -> None:
    """A loop; what it carries is in variables."""
    region = raw.regions[0]
    if len(region.args) != 1 + len(inits):
        text = f"the block of {raw.name} needs one argument, its counter"
        more = f", and {len(inits)} for what it carries" if inits else ""
        raise b.error(raw, text + more)
    variables = _variables(b, raw, region.args[1:], inits)
    (ref, type), loc = region.args[0], b.loc
    iv = Value(type, hint(ref.name))
    b.env[ref.name] = iv
    names = [(r.name, v) for (r, _), v in zip(region.args[1:], variables, strict=True)]
    body = b.block(region, names, variables)
    del b.env[ref.name]
    name = str(raw.attrs.get("loop_name", ""))
    attrs = _loop_attrs(raw.attrs)
    new = For(iv=iv, lower=lower, upper=upper, step=step, body=body, name=name, attrs=attrs)
    b.out.append(replace(new, loc=loc))
    _results(b, raw, variables)


def _variables(
    b: Builder, raw: RawOp, args: Sequence[tuple[Ref, Type]], inits: Sequence[Ref]
) -> tuple[Value, ...]:
    """Variables for arguments of a block, which hold what these are at first."""
    values = [b.value(r) for r in inits]
    for init, value, (_, type) in zip(inits, values, args, strict=True):
        if signless(value.type) != signless(type):
            text = f"'{init.name}' is {value.type}, the type given here is {type}"
            raise b.build.source.error(init.token, text)
    # The variable has the sign of the value that it starts with.
    variables = tuple(
        b.variable(raw, value.type, hint(ref.name))
        for (ref, _), value in zip(args, values, strict=True)
    )
    for variable, value in zip(variables, values, strict=True):
        b.set(variable, value)
    return variables


def _results(b: Builder, raw: RawOp, variables: tuple[Value, ...]) -> None:
    for (name, _), variable in zip(b.result_names(raw, len(variables)), variables, strict=True):
        b.get(name, variable)


def affine_parallel(b: Builder, raw: RawOp) -> None:
    """``affine.parallel``: a nest of loops marked parallel."""
    ivs, steps = raw.regions[0].args, raw.attrs["steps"]
    lower_map, upper_map = raw.attrs["lowerBoundsMap"], raw.attrs["upperBoundsMap"]
    first = len(lower_map.dims)
    lower = b.mapped(raw, lower_map, raw.operands[:first])
    upper = b.mapped(raw, upper_map, raw.operands[first:])
    _parallel(b, raw, ivs, [(e,) for e in lower], [(e,) for e in upper], steps)


def scf_parallel(b: Builder, raw: RawOp) -> None:
    """``scf.parallel``: a nest of loops marked parallel."""
    count = len(raw.regions[0].args)
    if len(raw.operands) != 3 * count:
        raise b.error(raw, f"{raw.name} of {count} loops has {3 * count} operands")
    parts = [raw.operands[n * count : (n + 1) * count] for n in range(3)]
    lower, upper = ([b.bounds(r) for r in part] for part in parts[:2])
    _parallel(b, raw, raw.regions[0].args, lower, upper, [b.number(r) for r in parts[2]])


def _parallel(
    b: Builder, raw: RawOp, ivs: Sequence[tuple[Ref, Type]],
    lower: list[Exprs], upper: list[Exprs], steps: list[int],
) -> None:  # fmt: skip
    if raw.outs:
        raise b.error(raw, "reductions of a parallel loop are not supported")
    if not len(ivs) == len(lower) == len(upper) == len(steps):
        raise b.error(raw, f"{raw.name} needs a bound and a step for each of its loops")
    counters, loc = [Value(type, hint(ref.name)) for ref, type in ivs], b.loc
    for (ref, _), iv in zip(ivs, counters, strict=True):
        b.env[ref.name] = iv
    body = b.block(raw.regions[0])
    for ref, _ in ivs:
        del b.env[ref.name]
    nest = zip(counters, lower, upper, steps, strict=True)
    for iv, low, high, step in reversed(list(nest)):
        attrs = LoopAttrs(parallel=True)
        loop = For(iv=iv, lower=low, upper=high, step=step, body=body, attrs=attrs, loc=loc)
        body = (loop,)
    b.out.extend(body)


def scf_while(b: Builder, raw: RawOp) -> None:
    """``scf.while``: what goes around and what leaves are in variables."""
    before, after = raw.regions
    if len(before.args) != len(raw.operands) or len(after.args) != len(raw.outs):
        raise b.error(raw, f"the blocks of {raw.name} do not fit its operands and results")
    around = _variables(b, raw, before.args, raw.operands)
    leaving = tuple(b.variable(raw, type) for type in raw.outs)
    loc = b.loc
    names = [(r.name, v) for (r, _), v in zip(before.args, around, strict=True)]
    first = b.block(before, names, leaving)
    names = [(r.name, v) for (r, _), v in zip(after.args, leaving, strict=True)]
    body = b.block(after, names, around)
    b.out.append(While(before=first, body=body, loc=loc))
    _results(b, raw, leaving)


def condition(b: Builder, raw: RawOp) -> None:
    """``scf.condition``."""
    _give(b, raw, raw.operands[1:])
    value = b.coerce(b.value(raw.operands[0]), bool_)
    b.out.append(Condition(value=value, loc=b.loc))


def yield_(b: Builder, raw: RawOp) -> None:
    """The values that a block ends with go to the variables for them."""
    _give(b, raw, raw.operands)


def _give(b: Builder, raw: RawOp, refs: Sequence[Ref]) -> None:
    if len(refs) != len(b.targets):
        text = f"{raw.name} gives {len(refs)} values, {len(b.targets)} are taken"
        raise b.error(raw, text)
    for variable, value in zip(b.targets, [b.value(r) for r in refs], strict=True):
        b.set(variable, value)


def _loop_attrs(attrs: dict[str, Any]) -> LoopAttrs:
    return LoopAttrs(
        ii_required=bool(attrs.get("ii_required", False)),
        band=str(attrs.get("op_name", "")),
        reduction=bool(attrs.get("reduction", False)),
        pipeline_ii=attrs.get("pipeline_ii"),
        rewind=bool(attrs.get("rewind", False)),
        unroll=attrs.get("unroll"),
        parallel=bool(attrs.get("parallel", False)),
        overlap=bool(attrs.get("overlap", False)),
        dataflow=bool(attrs.get("dataflow", False)),
    )


# Branches


def scf_if(b: Builder, raw: RawOp) -> None:
    """``scf.if``."""
    _branch(b, raw, b.coerce(b.value(raw.operands[0]), bool_))


def affine_if(b: Builder, raw: RawOp) -> None:
    """``affine.if``: all of its expressions are 0, or 0 or more."""
    found = raw.attrs["condition"]
    parts = []
    for expr, equal in zip(b.mapped(raw, found.map, raw.operands), found.equal, strict=True):
        value = Value(index)
        b.out.append(Apply(result=value, expr=expr, loc=b.loc))
        predicate = Predicate.EQ if equal else Predicate.GE
        parts.append(compare(b, predicate, value, constant(b, index, 0)))
    parts = parts or [constant(b, bool_, 1)]
    _branch(b, raw, reduce(lambda x, y: binary(b, BinaryKind.AND, x, y), parts))


def _branch(b: Builder, raw: RawOp, flag: Value) -> None:
    variables = tuple(b.variable(raw, type) for type in raw.outs)
    loc = b.loc
    then, orelse = (_given(b, raw, region, variables) for region in raw.regions)
    b.out.append(If(condition=flag, then=then, orelse=orelse, loc=loc))
    _results(b, raw, variables)


def _given(b: Builder, raw: RawOp, region: Region, variables: tuple[Value, ...]) -> Any:  # noqa: ANN401
    if variables and not region.ops:
        raise b.error(raw, f"a branch of {raw.name} gives nothing")
    return b.block(region, targets=variables)


# Functions, simulation


def call(b: Builder, raw: RawOp) -> None:
    """``func.call``."""
    callee = symbol(raw.attrs["callee"])
    signature = b.build.signatures.get(callee)
    if signature is None:
        raise b.error(raw, f"the module has no function {callee}")
    values = [b.value(r) for r in raw.operands]
    if len(values) != len(signature.args):
        raise b.error(raw, f"{callee} takes {len(signature.args)} arguments")
    args = tuple(map(b.coerce, values, signature.args))
    outs = []
    names = b.result_names(raw, len(signature.results))
    for (name, position), type in zip(names, signature.results, strict=True):
        outs.append(Value(type, hint(name) if position == 0 else ""))
        b.bind(name, outs[-1])
    fifos = tuple(raw.attrs.get("fifos", ()))
    b.out.append(Call(callee=callee, args=args, outs=tuple(outs), fifos=fifos, loc=b.loc))


def return_(b: Builder, raw: RawOp) -> None:
    """``func.return``."""
    if raw.operands:
        values = [b.value(r) for r in raw.operands]
        if len(values) == len(b.signature.results):
            values = list(map(b.coerce, values, b.signature.results))
        b.out.append(Return(values=tuple(values), loc=b.loc))


def assert_(b: Builder, raw: RawOp) -> None:
    """``cf.assert``."""
    flag = b.coerce(b.value(raw.operands[0]), bool_)
    b.out.append(Assert(condition=flag, message=raw.attrs["msg"], loc=b.loc))


def print_(b: Builder, raw: RawOp) -> None:
    """``allo.print``."""
    args = tuple(b.value(r) for r in raw.operands)
    types = raw.attrs.get("types", [])
    if not isinstance(types, list) or not all(isinstance(t, Type) for t in types):
        raise b.error(raw, "types of allo.print are a list of types")
    b.out.append(Print(text=raw.attrs["text"], args=args, types=tuple(types), loc=b.loc))


_BOUNDS = (
    ("lowerBoundMap", AffineMap),
    ("upperBoundMap", AffineMap),
    ("step", int),
    ("operandSegmentSizes", list),
)
_PARALLEL = (("lowerBoundsMap", AffineMap), ("upperBoundsMap", AffineMap), ("steps", list))

RULES: dict[str, Rule] = {
    "affine.for": Rule(affine_for, 0, _BOUNDS, regions=1),
    "affine.parallel": Rule(affine_parallel, 0, _PARALLEL, regions=1),
    "affine.if": Rule(affine_if, 0, (("condition", AffineSet),), regions=2),
    "affine.yield": Rule(yield_),
    "scf.for": Rule(scf_for, 3, regions=1),
    "scf.parallel": Rule(scf_parallel, 3, regions=1),
    "scf.reduce": Rule(yield_),
    "scf.while": Rule(scf_while, regions=2),
    "scf.condition": Rule(condition, 1),
    "scf.if": Rule(scf_if, 1, regions=2),
    "scf.yield": Rule(yield_),
    "func.call": Rule(call, attrs=(("callee", Symbol),)),
    "func.return": Rule(return_),
    "cf.assert": Rule(assert_, 1, (("msg", str),)),
    "allo.print": Rule(print_, attrs=(("text", str),)),
}
"""How to build each operation."""
