"""Walking and rebuilding operations.  Nothing here changes anything in place.

Because a :class:`~allo_rtl.ir.ops.Value` is an identity, an operation can be rebuilt with other
operands or bodies while its results stay the same values: its users need no change.  Source
locations are copied by construction (``dataclasses.replace``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from operator import is_not
from typing import Any

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import Apply, Block, For, Func, Module, Op, Value
from allo_rtl.ir.types import Index

type Substitution = Mapping[Value, Value | AffineExpr]
"""What values become: another value anywhere, or an expression inside affine parts."""


def walk(block: Block) -> Iterator[Op]:
    """Every operation of a block and of the blocks inside it, outer first."""
    for op in block:
        yield op
        for name in op.REGIONS:  # which few have
            yield from walk(getattr(op, name))


def loops(block: Block) -> Iterator[For]:
    """Every loop of a block, outer first."""
    return (op for op in walk(block) if isinstance(op, For))


def with_fields[T: Op](op: T, changes: Mapping[str, object]) -> T:
    """The operation with other values in some of its fields; itself when there are none."""
    fields: dict[str, Any] = dict(changes)
    return replace(op, **fields) if fields else op


def with_regions[T: Op](op: T, of: Callable[[Block], Block]) -> T:
    """The operation with each of its blocks replaced."""
    return with_fields(op, {name: of(getattr(op, name)) for name in op.REGIONS})


def users_of(block: Block) -> dict[Value, list[Op]]:
    """The operations of a block itself that use each value."""
    found: dict[Value, list[Op]] = {}
    for op in block:
        for value in dict.fromkeys(op.operands()):
            found.setdefault(value, []).append(op)
    return found


def map_block(block: Block, visit: Callable[[Op], Op | Block | None]) -> Block:
    """Rebuild a block bottom-up: ``visit`` sees each operation with its regions already rebuilt.

    It answers the operation (or another), a tuple of operations to put in its place (``()``
    removes it), or None to leave it.  Parts that do not change are shared with the old block.
    """
    out: list[Op] = []
    changed = False
    for op in block:
        current = op
        if op.REGIONS:
            new_regions = {name: map_block(getattr(op, name), visit) for name in op.REGIONS}
            same = all(new_regions[n] is getattr(op, n) for n in new_regions)
            current = op if same else with_fields(op, new_regions)
        answer = visit(current)
        result = current if answer is None else answer
        out.extend(result if isinstance(result, tuple) else (result,))
        changed = changed or result is not op
    return tuple(out) if changed else block


def _as_value(new: Value | AffineExpr) -> Value:
    value = new if isinstance(new, Value) else new.as_value
    if value is None:
        raise ValueError(f"the expression {new} stands where a value is needed")
    return value


def _as_expr(new: Value | AffineExpr | None) -> AffineExpr | None:
    return AffineExpr.of(new) if isinstance(new, Value) else new


def substitute_op(op: Op, mapping: Substitution) -> Op:
    """The operation with its own operands replaced (regions untouched)."""
    changes: dict[str, object] = {}
    for name in op.OPERANDS:
        old = getattr(op, name)
        if isinstance(old, tuple):
            if not mapping.keys().isdisjoint(old):
                changes[name] = tuple(_as_value(mapping.get(v, v)) for v in old)
        elif old in mapping:
            changes[name] = _as_value(mapping[old])
    for name in op.AFFINE:
        exprs = getattr(op, name)
        if all(mapping.keys().isdisjoint(e.values) for e in exprs):
            continue
        rebuilt = tuple(e.substitute(lambda v: _as_expr(mapping.get(v))) for e in exprs)
        changes["expr" if isinstance(op, Apply) else name] = (
            rebuilt[0] if isinstance(op, Apply) else rebuilt
        )
    return with_fields(op, changes) if changes else op


def substitute(block: Block, mapping: Substitution) -> Block:
    """Replace values throughout a block."""
    if not mapping:
        return block
    return map_block(block, lambda op: substitute_op(op, mapping))


def clone(
    block: Block,
    mapping: Substitution | None = None,
    name: Callable[[Value], str] = lambda v: v.name,
) -> Block:
    """A copy in which every value defined inside is fresh, after substituting ``mapping``.

    ``name`` gives the name of the copy of a value.
    """
    return _clone(block, dict(mapping or {}), name)


def _clone(
    block: Block, env: dict[Value, Value | AffineExpr], name_of: Callable[[Value], str]
) -> Block:
    out: list[Op] = []
    for op in block:
        new = substitute_op(op, env)
        changes: dict[str, object] = {}
        if isinstance(op, For):
            iv = Value(op.iv.type, name_of(op.iv))
            env[op.iv] = iv
            changes["iv"] = iv
        for name in op.REGIONS:
            changes[name] = _clone(getattr(op, name), env, name_of)
        for name in op.RESULTS:
            old = getattr(op, name)
            olds = old if isinstance(old, tuple) else (old,)
            fresh = tuple(Value(v.type, name_of(v)) for v in olds)
            env.update(zip(olds, fresh, strict=True))
            changes[name] = fresh if isinstance(old, tuple) else fresh[0]
        out.append(with_fields(new, changes))
    return tuple(out)


def fold_applied(func: Func) -> Func:
    """The function with the constants that ``Apply`` gives in the subscripts and bounds that use
    them, without those that nothing else uses."""
    known = {
        op.result: op.expr
        for op in walk(func.body)
        if isinstance(op, Apply) and op.expr.is_constant
    }
    if not known:
        return func

    def fold(op: Op) -> Op:
        changes = {
            name: tuple(e.substitute(known.get) for e in getattr(op, name))
            for name in op.AFFINE
            if any(not known.keys().isdisjoint(e.values) for e in getattr(op, name))
        }
        if isinstance(op, Apply):
            return replace(op, expr=changes["exprs"][0]) if changes else op
        return with_fields(op, changes)

    body = map_block(func.body, fold)
    used = {v for op in walk(body) for v in op.operands()}

    def drop(op: Op) -> Block | None:
        return () if isinstance(op, Apply) and op.result in known.keys() - used else None

    return replace(func, body=map_block(body, drop))


type Changes = Sequence[tuple[Func, Func | None]]
"""Functions of a module, each with that of its name in an earlier one."""


def changed_funcs(module: Module, before: Module) -> Changes:
    """The functions of a module that are not in another one, in order.

    Most rewrites leave most functions where they were, which is quick to see.
    """
    if len(module.funcs) == len(before.funcs):
        both = module.funcs, before.funcs
        pairs = [*compress(zip(*both, strict=True), map(is_not, *both))]
        if all(f.name == g.name for f, g in pairs):
            return pairs
    old = {f.name: f for f in before.funcs}
    return [(f, old.get(f.name)) for f in module.funcs if old.get(f.name) is not f]


def replace_func(module: Module, new: Func) -> Module:
    """The module with the function of that name replaced."""
    at = module.places[new.name]
    made = replace(module, funcs=(*module.funcs[:at], new, *module.funcs[at + 1 :]))
    # A schedule of a thousand processes makes a module for each step: the names stay.
    vars(made)["places"] = module.places
    return made


def retype(func: Func, types: Mapping[Value, Any]) -> Func:
    """The function with some values given other types (for example partitioned arrays)."""
    return _with_values(func, {v: Value(t, v.name) for v, t in types.items()})


def rename(func: Func, names: Mapping[Value, str]) -> Func:
    """The function with some values given other names."""
    return _with_values(func, {v: Value(v.type, name) for v, name in names.items()})


def _with_values(func: Func, mapping: Mapping[Value, Value]) -> Func:
    if not mapping:
        return func

    def new_of(value: Value) -> Value:
        return mapping.get(value, value)

    def visit(op: Op) -> Op:
        new = substitute_op(op, mapping)
        changes: dict[str, object] = {}
        for name in op.RESULTS:
            old = getattr(op, name)
            olds = old if isinstance(old, tuple) else (old,)
            if any(v in mapping for v in olds):
                news = tuple(map(new_of, olds))
                changes[name] = news if isinstance(old, tuple) else news[0]
        return with_fields(new, changes)

    args = tuple(map(new_of, func.args))
    body = map_block(func.body, visit)
    results = func.results
    if func.returned:
        results = tuple(new_of(v).type for v in func.returned)
    return replace(func, args=args, body=body, results=results)


def bind(block: Block, iv: Value, expr: AffineExpr) -> Block:
    """The block with a counter replaced by an expression, also where it is used as a number."""
    number = Value(Index(), iv.name)

    def visit(op: Op) -> Op:
        operands = {name: getattr(op, name) for name in op.OPERANDS}
        changes: dict[str, object] = {
            name: tuple(number if v is iv else v for v in part)
            if isinstance(part, tuple) else (number if part is iv else part)
            for name, part in operands.items()
        }
        return substitute_op(with_fields(op, changes) if changes != operands else op, {iv: expr})

    return (Apply(result=number, expr=expr), *map_block(block, visit))
