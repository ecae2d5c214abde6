"""Array arguments and results that come and go as streams: the top function rewritten.

An array that the top function marks (:attr:`~allo_rtl.ir.ops.Func.streams`) is never held as a
whole: each load of it takes the next element of a stream, each store puts one.  That is the same
as long as every element is used once, in row-major order, which is checked here.

A call passes the stream on, when it is the only thing that uses the array and does so once; what
else uses it is inlined first.  A partition says how many elements there are to a word of the
stream: the banks of the last dimension, dealt cyclically.  Elements of such words are taken and
put by :class:`TakeElement` and :class:`PutElement`, which
:mod:`allo_rtl.hls.beats` makes whole words of after loops are unrolled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from allo_rtl.errors import BuildError, SourceLoc
from allo_rtl.ir.inline import inline_calls, own_results
from allo_rtl.ir.ops import (
    Alloc,
    Block,
    Call,
    Func,
    Load,
    Module,
    Op,
    Return,
    Store,
    Value,
)
from allo_rtl.ir.rewrite import map_block, walk
from allo_rtl.ir.sequential import misfit
from allo_rtl.ir.stream_ops import Get, Put
from allo_rtl.ir.types import ArrayType, Partition, StreamType, UInt

type Streams = Mapping[Value, Value | None]
"""The streams that take the place of arrays."""

PORT_DEPTH = 2
"""Words that wait at a port: as few as let one come or go in every cycle."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TakeElement(Op):
    """The next element of a stream whose words hold several."""

    RESULTS = ("result",)
    OPERANDS = ("stream",)
    result: Value
    stream: Value


@dataclass(frozen=True, kw_only=True, eq=False)
class PutElement(Op):
    """Append an element to a stream whose words hold several."""

    OPERANDS = ("stream", "value")
    stream: Value
    value: Value


def elements_per_word(type: ArrayType) -> int:
    """How many elements of an array go through its stream at once.

    Raises:
        ValueError: the banks do not have elements that follow one another; it says why.
    """
    count = 1
    whole = True  # the dimensions looked at are in one word
    for extent, part in reversed(list(zip(type.shape, type.partition, strict=False))):
        if part is None or part.factor == 1:
            whole = whole and extent == 1
            continue
        if not whole:
            raise ValueError("elements that are next to each other are in one bank")
        if part.kind is Partition.Block and part.factor < extent:
            raise ValueError("a partition in blocks has distant elements in its banks")
        if extent % part.factor:
            raise ValueError(f"{extent} elements do not fill words of {part.factor}")
        count, whole = count * part.factor, part.factor == extent
    return count


def stream_arguments(module: Module) -> Module:
    """The module whose top takes streams for the arrays that it marks.

    Args:
        module: legalized.

    Returns:
        The module.  In the top function a marked argument is a stream in its place; marked
        results are no longer returned: their streams are arguments at the end.

    Raises:
        BuildError: an array is not used as a stream must be; it names the access.
    """
    top = own_results(module.top_func)
    if not top.streams:
        return module
    ends = (*top.args, *top.returned)
    arrays = [ends[n] for n in sorted(top.streams)]
    streamer = _Streamer(module)
    streamer.made[top.name] = streamer.function(
        top, {a: _stream_of(a, top.loc) for a in arrays}, {a: a.name or "a result" for a in arrays}
    )
    return replace(module, funcs=tuple(streamer.functions()))


def _stream_of(array: Value, loc: SourceLoc | None) -> Value:
    try:
        count = elements_per_word(array.array)
    except ValueError as error:
        raise BuildError(
            f"{array.name or 'a result'} cannot be a stream as it is partitioned: {error}", loc=loc,
            allowed="a stream of single elements, or of words of elements that follow one another",
            hint="leave it in one bank, or partition its last dimension cyclically",
        ) from None
    element = array.array.element
    type_ = element if count == 1 else UInt(count * element.bits)
    return Value(StreamType(type_, PORT_DEPTH), array.name)


class _Streamer:
    """Makes functions that are given streams in place of arrays.

    Attributes:
        made: the functions that take the place of others, by the names of these.
        added: further ones, after that of the name they are listed at.
    """

    def __init__(self, module: Module) -> None:
        self._module = module
        self._taken = {f.name for f in module.funcs}
        self._calls = Counter(
            op.callee for f in module.funcs for op in walk(f.body) if isinstance(op, Call)
        )
        self.made: dict[str, Func] = {}
        self.added: dict[str, list[Func]] = {}

    def functions(self) -> Iterator[Func]:
        """All functions, callees first."""
        for func in self._module.funcs:
            yield self.made.get(func.name, func)
            yield from self.added.get(func.name, ())

    def function(
        self, func: Func, streams: Streams, names: Mapping[Value, str], is_copy: bool = False,
    ) -> Func:
        """The function with arrays replaced by streams.

        Args:
            func: the function.
            streams: the stream of each array; None for one that it is given and does not use.
            names: what the user calls the arrays.
            is_copy: others go on to call the function as it was.
        """
        passed = {a: self._only_call(func, a) for a, s in streams.items() if s}
        if None in passed.values() and not func.dataflow:
            func, streams, names = self._inlined(func, streams, names)
            passed = {a: self._only_call(func, a) for a, s in streams.items() if s}
        for array, call in passed.items():
            if call is None:
                _check(func, array, names[array])
        body = map_block(func.body, lambda op: self._visit(op, streams, names, is_copy))
        results = [n for n, v in enumerate(func.returned) if v not in streams]
        return replace(
            func,
            args=_given(func.args, func.returned, streams),
            results=tuple(func.results[n] for n in results),
            body=body,
        )

    def _only_call(self, func: Func, array: Value) -> Call | None:
        """The call that is all that uses the array; None when other things do, or several."""
        uses = list(self._uses(func.body, array))
        if func.dataflow and len(uses) > 1:
            raise BuildError(
                f"{array.name} is used by {len(uses)} processes of '{func.name}'; a stream has "
                "one",
                loc=uses[1].loc, notes=[("another one is here", uses[0].loc)],
                hint='let one process take it and pass it on, or leave it a memory: '
                f's.interface("{array.name}", "memory")',
            )  # fmt: skip
        if len(uses) != 1 or not isinstance(call := uses[0], Call) or call not in func.body:
            return None
        return call if (*call.args, *call.outs).count(array) == 1 else None

    def _inlined(
        self, func: Func, streams: Streams, names: Mapping[Value, str]
    ) -> tuple[Func, Streams, Mapping[Value, str]]:
        """The function with what it calls inlined; results then are other values."""
        for op in walk(func.body):
            if isinstance(op, Call) and self._module.func(op.callee).dataflow:
                raise BuildError(
                    f"'{func.name}' calls the region '{op.callee}' and uses streams besides",
                    loc=op.loc, hint="make what uses them a process of a region",
                )  # fmt: skip
        new = own_results(replace(func, body=inline_calls(func.body, self._module.func)))
        moved = dict(zip(func.returned, new.returned, strict=True))
        return (
            new,
            {moved.get(a, a): s for a, s in streams.items()},
            {moved.get(a, a): n for a, n in names.items()},
        )

    def _visit(
        self, op: Op, streams: Streams, names: Mapping[Value, str], is_copy: bool
    ) -> Op | Block | None:
        match op:
            case Load() if stream := streams.get(op.array):
                return _take(op, stream)
            case Store() if stream := streams.get(op.array):
                return _put(op, stream)
            case Alloc() if op.result in streams:
                return ()
            case Return() if streams.keys() & set(op.values):
                return replace(op, values=tuple(v for v in op.values if v not in streams))
            case Call() if streams.keys() & {*op.args, *op.outs}:
                return self._call(op, streams, names, is_copy)
        return None

    def _call(
        self, call: Call, streams: Streams, names: Mapping[Value, str], is_copy: bool
    ) -> Call:
        """The call of a function that is given streams."""
        callee = own_results(self._module.func(call.callee))
        pairs = [
            (outer, inner)
            for outer, inner in zip(
                (*call.args, *call.outs), (*callee.args, *callee.returned), strict=True
            )
            if outer in streams
        ]
        new = self.function(
            callee,
            {
                inner: Value(stream.type, inner.name)
                if (stream := streams[outer]) and self._touches(callee, inner) else None
                for outer, inner in pairs
            },
            {inner: names[outer] for outer, inner in pairs},
            is_copy := is_copy or self._calls[callee.name] > 1,
        )
        if not is_copy:
            self.made[callee.name] = new
        else:
            new = replace(new, name=self._name(callee.name))
            self.added.setdefault(callee.name, []).append(new)
        used = {outer for outer, inner in pairs if self._touches(callee, inner)}
        return replace(
            call,
            callee=new.name,
            args=_given(call.args, call.outs, {a: s if a in used else None
                                               for a, s in streams.items()}),
            outs=tuple(v for v in call.outs if v not in streams),
        )

    def _uses(self, block: Block, array: Value) -> Iterator[Op]:
        """What touches the array, besides making and returning it."""
        for op in walk(block):
            if array not in (*op.operands(), *op.results()) or isinstance(op, Return | Alloc):
                continue
            if isinstance(op, Call):
                callee = own_results(self._module.func(op.callee))
                ends = zip((*op.args, *op.outs), (*callee.args, *callee.returned), strict=True)
                if not any(a is array and self._touches(callee, inner) for a, inner in ends):
                    continue
            yield op

    def _touches(self, func: Func, array: Value) -> bool:
        return any(True for _ in self._uses(func.body, array))

    def _name(self, callee: str) -> str:
        name = f"{callee}_streamed"
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def _given(
    args: tuple[Value, ...], results: tuple[Value, ...], streams: Streams
) -> tuple[Value, ...]:
    """Arguments with streams in the place of arrays, and those of results after them."""
    kept = (streams.get(a, a) for a in args)
    return (*(a for a in kept if a), *(s for v in results if (s := streams.get(v))))


def _check(func: Func, array: Value, name: str) -> None:
    found = misfit(func.body, array, name)
    if found is not None:
        raise BuildError(
            f"{name} cannot be a stream: {found.problem}", loc=found.loc or func.loc,
            allowed="each element once, in the order of the elements, all read or all written",
            hint=found.hint, notes=found.notes,
        )  # fmt: skip


def _take(load: Load, stream: Value) -> Op:
    cls = Get if _element(stream) == load.result.type else TakeElement
    return cls(result=load.result, stream=stream, loc=load.loc)


def _put(store: Store, stream: Value) -> Op:
    cls = Put if _element(stream) == store.value.type else PutElement
    return cls(stream=stream, value=store.value, loc=store.loc)


def _element(stream: Value) -> object:
    assert isinstance(stream.type, StreamType)
    return stream.type.element


