"""MLIR text as a kernel: what a schedule starts from when it does not start from Python."""

from __future__ import annotations

import re
from dataclasses import replace
from keyword import iskeyword
from typing import Any

from allo_rtl.errors import ParseError, SourceLoc
from allo_rtl.ir.mlir_parser import parse_module
from allo_rtl.ir.mlir_raise import raise_affine
from allo_rtl.ir.ops import (
    Alloc,
    Block,
    Call,
    For,
    Func,
    GetGlobal,
    Module,
    Op,
    Store,
    SubView,
    Value,
)
from allo_rtl.ir.rewrite import rename, substitute, walk, with_fields
from allo_rtl.ir.verify import verify_module

_MLIR = re.compile(
    r"""(\s|//[^\n]*\n)*
    ( module\s*(@|\{|attributes) | func\.func\b | memref\.global\b | "[a-z]+\.\w+"\s*\(
    | [#!][\w.]+\s*=\s*(affine_|loc\b|[#!]|memref|strided|\[|") )""",
    re.VERBOSE,
)


def is_mlir(text: str) -> bool:
    """Whether a text is MLIR and not Python."""
    return _MLIR.match(text) is not None


def read_kernel(text: str, filename: str = "<mlir>", top: str | None = None) -> Module:
    """The module that a text describes, made ready to be scheduled.

    What the top function does not call is left out.  Index arithmetic is folded into the accesses
    and loops that use it; constant arrays are recognised by that nobody stores to them.  What has
    no name gets one: loops ``i``, ``j``, ... by depth, arguments ``arg0``, arrays ``buf0``,
    variables ``var0`` by number.

    Args:
        text: the text.
        filename: the name of its file, for messages.
        top: name of the top function; without it the one the module names, or the last.

    Raises:
        ParseError: the text is not MLIR that a kernel can be made of, or has no such function.
        IRError: the module is ill-formed.
    """
    module = parse_module(text, filename)
    names = [f.name for f in module.funcs]
    if top is not None and top not in names:
        text = f"the module has no function {top!r}"
        raise ParseError(text, loc=SourceLoc(filename, 1), allowed=", ".join(names))
    module = _reachable(replace(module, top=top or module.top))
    funcs = tuple(_named(raise_affine(f)) for f in module.funcs)
    module = _with_constants(replace(module, funcs=funcs))
    verify_module(module)
    return module


def _reachable(module: Module) -> Module:
    """The module without what its top does not need."""
    needed = {module.top}
    for func in reversed(module.funcs):
        if func.name in needed:
            needed |= {op.callee for op in walk(func.body) if isinstance(op, Call)}
    funcs = tuple(f for f in module.funcs if f.name in needed)
    used = {op.name for f in funcs for op in walk(f.body) if isinstance(op, GetGlobal)}
    globals_ = tuple(g for g in module.globals if g.name in used)
    return replace(module, funcs=funcs, globals=globals_)


def _with_constants(module: Module) -> Module:
    """The module with arrays constant that nobody stores to, though the text does not say so."""
    stored_args: dict[str, set[int]] = {}
    stored: set[str] = set()
    for func in module.funcs:
        ops = list(walk(func.body))
        found = _stored(ops, stored_args)
        stored_args[func.name] = {n for n, a in enumerate(func.args) if a in found}
        stored |= {op.name for op in ops if isinstance(op, GetGlobal) and op.result in found}
    changed = tuple(replace(g, stateful=g.stateful and g.name in stored) for g in module.globals)
    return replace(module, globals=changed)


def _stored(ops: list[Op], stored_args: dict[str, set[int]]) -> set[Value]:
    """The arrays that these operations store to, also through views and calls."""
    found: set[Value] = set()
    # A view comes before the stores to it.
    for op in reversed(ops):
        match op:
            case Store(array=array):
                found.add(array)
            case Call(callee=callee, args=args):
                found |= {args[n] for n in stored_args[callee]}
            case SubView(result=result, source=source) if result in found:
                found.add(source)
    return found


# Names


def _named(func: Func) -> Func:
    """The function with names for its arguments, arrays and loops that Python can write."""
    taken: set[str] = set()
    names: dict[Value, str] = {}
    made = [op.result for op in walk(func.body) if isinstance(op, Alloc)]
    arrays = [v for v in made if v.array.rank]
    for prefix, values in (("arg", func.args), ("buf", arrays)):
        for n, value in enumerate(values):
            names[value] = _unused(_identifier(value.name) or f"{prefix}{n}", taken)
    for n, value in enumerate(v for v in made if not v.array.rank):
        name = _identifier(value.name)
        names[value] = _unused(f"var{n}" if _is_numbered(name) else name, taken)
    changed = {v: name for v, name in names.items() if name != v.name}
    renamed = rename(func, changed)
    return replace(renamed, body=_with_loop_names(renamed.body, 0))


def _identifier(name: str) -> str:
    """The name as an identifier, or '' when nothing is left of it."""
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"_{plain}" if plain[:1].isdigit() or iskeyword(plain) else plain


def _is_numbered(name: str) -> bool:
    """Whether a name says nothing: a tool made it up."""
    return not name or re.fullmatch(r"(arg|iv|_)_?\d+", name) is not None


def _unused(name: str, taken: set[str]) -> str:
    tail, found = 0, name
    while found in taken:
        tail, found = tail + 1, f"{name}_{tail}"
    taken.add(found)
    return found


_LETTERS = "ijklmnpqrstuvw"


def _with_loop_names(block: Block, depth: int) -> Block:
    """Loops and their counters with names; those that a tool numbered get theirs by depth."""

    def inner(op: Op) -> Op:
        deeper = depth + isinstance(op, For)
        changes: dict[str, Any] = {n: _with_loop_names(getattr(op, n), deeper) for n in op.REGIONS}
        if isinstance(op, For):
            name = op.name or _identifier(op.iv.name)
            if _is_numbered(name):
                name = _LETTERS[depth % len(_LETTERS)]
            iv = Value(op.iv.type, name)
            body = substitute(changes["body"], {op.iv: iv})
            changes |= {"name": name, "iv": iv, "body": body}
        return with_fields(op, changes)

    return tuple(map(inner, block))
