"""The primitives that change which functions there are: inline and outline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import partial

from allo_rtl.errors import ScheduleError
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.inline import body_of, own_results
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Block,
    Call,
    Constant,
    For,
    Func,
    GetGlobal,
    Module,
    Op,
    Value,
)
from allo_rtl.ir.rewrite import (
    clone,
    map_block,
    replace_func,
    substitute_op,
    walk,
    with_regions,
)
from allo_rtl.ir.rewrite import loops as all_loops
from allo_rtl.ir.types import ArrayType, StreamType
from allo_rtl.schedule.buffers import buffers
from allo_rtl.schedule.loops import Place, name_func, unused

# --- inline --------------------------------------------------------------------------------


def check_inline(module: Module, callee: str | None, within: str | None) -> tuple[str, ...]:
    """The functions whose calls are to be replaced.

    Args:
        module: where they are.
        callee: the function that is called, or None for all.
        within: the function that calls, or None for all.

    Raises:
        ScheduleError: there is no such call, or it starts something that runs at once with others.
    """
    callers = [f for f in module.funcs if within in (None, f.name)]
    calls = [(f, op) for f in callers for op in _calls(f) if callee in (None, op.callee)]
    if not calls:
        raise ScheduleError(
            f"there is nothing to inline: {within or 'nothing'} calls {callee or 'nothing'}",
            allowed=", ".join(dict.fromkeys(op.callee for f in callers for op in _calls(f)))
            or "there is no call",
        )
    for caller, op in calls:
        for func in (caller, module.func(op.callee)):
            if func.dataflow:
                raise ScheduleError(
                    f"what {func.name} calls runs at once, each call in hardware of its own, and "
                    "cannot be inlined",
                    loc=op.loc,
                    allowed="calls of functions that run one after the other",
                )
    return tuple(dict.fromkeys(op.callee for _, op in calls))


def _calls(func: Func) -> Iterator[Call]:
    return (op for op in walk(func.body) if isinstance(op, Call))


def apply_inline(module: Module, callee: str | None, within: str | None) -> Module:
    """The module with the calls replaced, without the functions that nothing calls any more."""
    before = _called(module)
    inlined = module
    for func in module.funcs:
        if within in (None, func.name):
            wanted = {callee} if callee else {f.name for f in module.funcs}
            inlined = replace_func(inlined, _Inliner(inlined, func, wanted).run())
    gone = before - _called(inlined)
    return replace(inlined, funcs=tuple(f for f in inlined.funcs if f.name not in gone))


def _called(module: Module) -> set[str]:
    """The functions that the top calls, through others too."""
    found: set[str] = set()
    todo = [module.top]
    while todo:
        for op in _calls(module.func(todo.pop())):
            if op.callee not in found:
                found.add(op.callee)
                todo.append(op.callee)
    return found


@dataclass
class _Inliner:
    """Replaces calls in one function; what it brings in gets names that are not taken."""

    module: Module
    func: Func
    wanted: Set[str]
    returned: dict[Value, Value | AffineExpr] = field(default_factory=dict)

    def run(self) -> Func:
        self.arrays = {name for name, _, _ in buffers(self.func)}
        self.bands = {loop.attrs.band for loop in all_loops(self.func.body)}
        return replace(self.func, body=self.block(self.func.body, None))

    def block(self, block: Block, names: set[str] | None) -> Block:
        """The block without calls; ``names`` are those of the loops of the band around it."""
        out: list[Op] = []
        for op in block:
            inside = names
            if isinstance(op, For) and names is None:
                inside = {loop.name for loop in all_loops((op,))}
            op = substitute_op(op, self.returned)
            if isinstance(op, Call) and op.callee in self.wanted:
                out += self.call(op, names)
                continue
            out.append(with_regions(op, partial(self.block, names=inside)))
        return tuple(out)

    def call(self, call: Call, names: set[str] | None) -> Block:
        callee = own_results(self.module.func(call.callee))
        own = dict(zip(callee.returned, (v.name for v in call.outs), strict=True))
        globals_here = {op.result for op in walk(callee.body) if isinstance(op, GetGlobal)}

        def name(value: Value) -> str:
            if not isinstance(value.type, ArrayType) or value in globals_here or not value.name:
                return value.name
            return own.pop(value, None) or unused(value.name, self.arrays)

        body, results = body_of(call, callee, name)
        self.returned |= results
        fifos = {results[v]: n for v, n in zip(call.outs, call.fifos, strict=False)}
        body = map_block(body, lambda op: self.in_fifo(op, fifos))
        return self.block(map_block(body, lambda op: self.named(op, names)), names)

    def in_fifo(self, op: Op, fifos: Mapping[Value | AffineExpr, int]) -> Op | None:
        """What passes between tasks of the caller; where it has none, there are no FIFOs."""
        if not isinstance(op, Alloc):
            return None
        depth = fifos.get(op.result, op.fifo)
        return replace(op, fifo=depth if self.func.tasks else 0)

    def named(self, op: Op, names: set[str] | None) -> Op | None:
        if not isinstance(op, For):
            return None
        band = op.attrs.band and unused(op.attrs.band, self.bands)
        name = op.name if names is None else unused(op.name or op.iv.name or "loop", names)
        return replace(op, name=name, attrs=replace(op.attrs, band=band))


# --- outline -------------------------------------------------------------------------------


def check_outline(module: Module, place: Place, name: str | None) -> str:
    """The name of the new function.

    Raises:
        ScheduleError: the name is none or is taken, or the loop uses streams.
    """
    for op in walk((place.loop,)):
        if any(isinstance(v.type, StreamType) for v in op.operands()):
            raise ScheduleError(
                f"loop {place.loop.name!r} uses a stream, and only the functions that a "
                "region starts are given streams",
                loc=op.loc,
                allowed="loops that load, compute, store and call",
            )
    taken = {f.name for f in module.funcs} | {g.name for g in module.globals}
    if name is None:
        what = place.loop.attrs.band or place.loop.name
        return unused(f"{place.func.name}_{what}".replace(".", "_"), taken)
    if not isinstance(name, str) or not name.isidentifier():
        raise ScheduleError(
            f"{name!r} is no name for a function", loc=place.loop.loc,
            allowed="a Python name",
        )
    if name in taken:
        raise ScheduleError(
            f"there is something called {name!r} already",
            loc=place.loop.loc,
            allowed=f"a name other than {', '.join(sorted(taken))}",
        )
    return name


def apply_outline(module: Module, place: Place, name: str) -> Module:
    """The module with the loop as a function of its own, called where the loop was."""
    moved, given = _free(place)
    mapping: dict[Value, Value | AffineExpr] = {}
    taken: set[str] = set()
    for value in given:
        mapping[value] = Value(value.type, unused(value.name or "x", taken))
    args = tuple(v for v in mapping.values() if isinstance(v, Value))
    loop = place.loop
    func = Func(
        name=name, args=args, results=(), body=clone((*moved, loop), mapping), loc=loop.loc
    )
    call = Call(callee=name, args=given, loc=loop.loc)
    body = map_block(place.func.body, lambda op: call if op is loop else None)
    caller = replace(place.func, body=body)
    funcs: list[Func] = []
    for old in module.funcs:
        funcs += [name_func(func), caller] if old is place.func else [old]
    return replace(module, funcs=tuple(funcs))


def _free(place: Place) -> tuple[Block, tuple[Value, ...]]:
    """What the loop uses from outside: operations that can be done inside too (constants,
    index arithmetic), in order, and the values that are to be arguments."""
    inside = {v for op in walk((place.loop,)) for v in _defined(op)}
    used = {v for op in walk((place.loop,)) for v in op.operands()} - inside
    moved: list[Op] = []
    for op in reversed(list(walk(place.func.body))):
        if isinstance(op, Constant | GetGlobal | Apply) and op.result in used:
            moved.append(op)
            used = (used - {op.result}) | set(op.operands())
    order = list(place.func.args) + [v for op in walk(place.func.body) for v in _defined(op)]
    return tuple(reversed(moved)), tuple(v for v in order if v in used)


def _defined(op: Op) -> Iterator[Value]:
    yield from op.results()
    if isinstance(op, For):
        yield op.iv

