"""From the scheduled loop IR to functions that control trees can be read off.

After this, the body of every pipelined loop is free of loops and calls, unrolled loops are
unrolled, every returned array is an array of the function's own, and what must be cleared at its
allocation is known.  A loop that should be pipelined but has a loop inside whose trip count
depends on data is not: its iterations follow each other, and the innermost loops are pipelined
instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from allo_rtl.errors import BuildError
from allo_rtl.hls.aliases import merge_aliases
from allo_rtl.hls.balance import balanced
from allo_rtl.hls.beats import whole_words
from allo_rtl.hls.contended import contended
from allo_rtl.hls.initial import settle
from allo_rtl.hls.unroll import (
    DataDependentLoop,
    Intervals,
    copies,
    unroll_all,
    unroll_by,
)
from allo_rtl.hls.words import each_once
from allo_rtl.ir.inline import inline_calls, own_results
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import (
    Alloc,
    Block,
    Call,
    For,
    Func,
    Module,
    Op,
    Value,
    While,
)
from allo_rtl.ir.rewrite import map_block, retype, walk, with_regions
from allo_rtl.ir.types import ArrayType, DimPartition, Partition


@dataclass(frozen=True)
class PreparedFunc:
    """A prepared function.

    Attributes:
        func: the function.
        dirty: the arrays it must clear where they are allocated.
        contended: the arrays it is given that other processes use at the same time.
        sequential: counters of loops that could not be pipelined as asked, with the reason.
    """

    func: Func
    dirty: frozenset[Value]
    contended: frozenset[Value]
    sequential: Mapping[Value, str] = field(default_factory=dict)


def prepare(module: Module) -> tuple[PreparedFunc, ...]:
    """Prepare the functions that hardware is made of: the top and what it still calls."""
    module = merge_aliases(module)
    prepared: dict[str, PreparedFunc] = {}
    shared = contended(module)
    for func in module.funcs:
        unroller = _Unroller(module)
        func = each_once(balanced(replace(func, body=unroller.block(func.body))))
        func = whole_words(own_results(func))
        func = retype(func, _private_arrays(func))
        zeroed = zeroed_arrays(func)
        body, dirty = settle(func.body, zeroed, zeroed - set(func.returned))
        prepared[func.name] = PreparedFunc(
            replace(func, body=body), frozenset(dirty),
            frozenset(func.args[k] for k in shared[func.name]), unroller.sequential,
        )
    wanted = _called(module.top, prepared)
    return tuple(p for name, p in prepared.items() if name in wanted)


def _called(top: str, prepared: dict[str, PreparedFunc]) -> set[str]:
    found, todo = {top}, [top]
    while todo:
        for op in walk(prepared[todo.pop()].func.body):
            if isinstance(op, Call) and op.callee not in found:
                found.add(op.callee)
                todo.append(op.callee)
    return found


class _Unroller:
    """Unrolls the loops of one function that are to be unrolled.

    ``sequential`` collects the loops that cannot be pipelined.
    """

    def __init__(self, module: Module) -> None:
        self._module = module
        self._intervals: Intervals = {}
        self.sequential: dict[Value, str] = {}

    def block(self, block: Block) -> Block:
        """The block with every loop as it will be in hardware."""
        out: list[Op] = []
        for op in block:
            if isinstance(op, For):
                out.extend(self._loop(op))
            else:
                out.append(with_regions(op, self.block))
        return tuple(out)

    def _loop(self, loop: For) -> Block:
        if loop.attrs.unroll == 0:
            unrolled = (self.block(c) for c in copies(loop, self._intervals))
            return tuple(op for block in unrolled for op in block)
        if loop.attrs.unroll is not None and loop.attrs.unroll > 1:
            loop = unroll_by(loop, loop.attrs.unroll)
        self._learn(loop)
        pipelined = loop.attrs.pipeline_ii is not None
        if pipelined and (region := self._region_in(loop.body)) is not None:
            reason = f"'{region.name}' is a region, which cannot be part of a pipeline"
            loop = self._give_up(loop, reason, "loops that call no regions")
        elif pipelined:
            try:
                inlined = inline_calls(loop.body, self._module.func)
                return (replace(loop, body=unroll_all(inlined, self._intervals)),)
            except DataDependentLoop as error:
                loop = self._give_up(loop, error.reason, error.allowed)
        return (replace(loop, body=self.block(loop.body)),)

    def _region_in(self, block: Block) -> Func | None:
        """A region that the block calls, itself or in what it calls."""
        for op in walk(block):
            if isinstance(op, Call):
                callee = self._module.func(op.callee)
                if callee.dataflow:
                    return callee
                if (inner := self._region_in(callee.body)) is not None:
                    return inner
        return None

    def _give_up(self, loop: For, reason: str, allowed: str | None) -> For:
        """The loop without its pipelining, which the innermost loops inside get."""
        if loop.attrs.ii_required:
            raise BuildError(
                f"loop {loop.name!r} cannot be pipelined: {reason}",
                loc=loop.loc, allowed=allowed,
                hint="leave initiation_interval out to run its iterations one after the other",
            )  # fmt: skip
        self.sequential[loop.iv] = f"not pipelined: {reason}"
        attrs = replace(loop.attrs, pipeline_ii=None)
        return replace(loop, attrs=attrs, body=map_block(loop.body, _pipeline_innermost))

    def _learn(self, loop: For) -> None:
        """Note the interval of the loop's counter when it follows from those around it."""
        parts = (*loop.lower, *loop.upper)
        if all(e.values <= self._intervals.keys() for e in parts):
            env = self._intervals.__getitem__
            low = max(e.bounds(env)[0] for e in loop.lower)
            high = min(e.bounds(env)[1] for e in loop.upper)
            self._intervals[loop.iv] = (low, max(low, high - 1))


def _pipeline_innermost(op: Op) -> Op | None:
    """A loop with nothing but straight-line code inside, pipelined."""
    if not isinstance(op, For) or any(isinstance(x, For | While | Call) for x in walk(op.body)):
        return None
    if op.attrs.pipeline_ii is not None or op.attrs.unroll is not None:
        return None
    return replace(op, attrs=replace(op.attrs, pipeline_ii=1))


def _private_arrays(func: Func) -> dict[Value, ArrayType]:
    """Arrays allocated in pipelined loops become registers: each iteration has its own."""
    found: dict[Value, ArrayType] = {}
    for loop in walk(func.body):
        if isinstance(loop, For) and loop.attrs.pipeline_ii is not None:
            for op in walk(loop.body):
                if isinstance(op, Alloc):
                    found[op.result] = completely_partitioned(op.result.array)
    return found


def completely_partitioned(type: ArrayType) -> ArrayType:
    """The array with every element in a bank of its own."""
    parts = tuple(DimPartition(Partition.Complete, n) for n in type.shape)
    return replace(type, partition=parts)


def zeroed_arrays(func: Func) -> set[Value]:
    """Allocated arrays that are to be zeros and are not registers."""
    returned = set(func.returned)
    return {
        op.result
        for op in walk(func.body)
        if isinstance(op, Alloc) and op.zeroed
        and (op.result in returned or _is_memory(op.result.array))
    }


def _is_memory(type: ArrayType) -> bool:
    return Layout(type).depth > 1
