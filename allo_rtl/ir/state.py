"""State is the top's: stateful arrays become arguments of every other function that uses them.

Wherever a function is called from, its state is one array, as a C function's static variable is.
"""

from __future__ import annotations

from dataclasses import replace

from allo_rtl.ir.ops import Call, Func, GetGlobal, Module, Op, Value
from allo_rtl.ir.rewrite import map_block, substitute, walk


def hoist_state(module: Module) -> Module:
    """The module with stateful arrays named by the top alone, each once, and passed to callees."""
    types = {g.name: g.type for g in module.globals if g.stateful}
    if not types:
        return module
    used: dict[str, tuple[str, ...]] = {}
    funcs = []
    for func in module.funcs:
        names = _used(func, used, frozenset(types))
        used[func.name] = names
        values = {name: Value(types[name], name) for name in names}
        body = _with_state(func, values, used)
        if func.name == module.top:
            gets = tuple(GetGlobal(result=v, name=n, loc=func.loc) for n, v in values.items())
            funcs.append(replace(func, body=(*gets, *body)))
        else:
            funcs.append(replace(func, args=(*func.args, *values.values()), body=body))
    return replace(module, funcs=tuple(funcs))


def _used(
    func: Func, used: dict[str, tuple[str, ...]], stateful: frozenset[str]
) -> tuple[str, ...]:
    """The stateful arrays that a function, or one it calls, uses; in the order of first use."""
    names: dict[str, None] = {}
    for op in walk(func.body):
        if isinstance(op, GetGlobal) and op.name in stateful:
            names[op.name] = None
        elif isinstance(op, Call):
            names |= dict.fromkeys(used[op.callee])
    return tuple(names)


def _with_state(
    func: Func, values: dict[str, Value], used: dict[str, tuple[str, ...]]
) -> tuple[Op, ...]:
    """The body of a function over the given arrays."""
    mapping = {
        op.result: values[op.name]
        for op in walk(func.body)
        if isinstance(op, GetGlobal) and op.name in values
    }

    def visit(op: Op) -> Op | tuple[Op, ...] | None:
        if isinstance(op, GetGlobal) and op.name in values:
            return ()
        if isinstance(op, Call) and used[op.callee]:
            return replace(op, args=(*op.args, *(values[n] for n in used[op.callee])))
        return None

    return substitute(map_block(func.body, visit), mapping)
