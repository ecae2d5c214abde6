"""Processes of which the text alone says that one uses an array after another is done with it.

    one:    ... all uses ...; done.put(x)
    other:  done.get(); ... all uses ...

Between the two there may be others that put to a stream only after they took from one.  What
stands before and after is anything: loops as long as data say, conditions, while loops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from allo_rtl.ir.ops import Call, For, Func, Module, Op, Value
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.stream_ops import Get, Put, TryPut
from allo_rtl.ir.types import ArrayType


@dataclass(frozen=True)
class Link:
    """A stream between two processes."""

    stream: Value
    writer: Call
    reader: Call


class Texts:
    """Orders by the text of a region's processes.

    Args:
        links: the streams of the region that connect two processes.
        whole: gives the array of the region that an argument is (a part of).
    """

    def __init__(
        self, module: Module, links: tuple[Link, ...], whole: Callable[[Value], Value]
    ) -> None:
        self._module = module
        self._from: dict[Call, list[Link]] = {}
        for link in links:
            self._from.setdefault(link.writer, []).append(link)
        self._whole = whole

    def is_after(self, one: Call, other: Call, array: Value) -> bool:
        """Whether all that ``other`` does with an array follows on all that ``one`` does."""
        last = self._last_use(one, array)
        pending = [k for k in self._from.get(one, ()) if last < self._first_put(one, k.stream)]
        seen = set(pending)
        while pending:
            link = pending.pop()
            taken = self._first_get(link.reader, link.stream)
            if taken is None:
                continue
            if link.reader is other and taken < self._first_use(other, array):
                return True
            for after in self._from.get(link.reader, ()):
                if after not in seen and taken < self._first_put(link.reader, after.stream):
                    seen.add(after)
                    pending.append(after)
        return False

    def _args(self, call: Call) -> Mapping[Value, Value]:
        """What the parameters of a process stand for."""
        func = self._module.func(call.callee)
        return dict(zip(func.args, call.args, strict=True))

    def _body(self, call: Call) -> Func:
        return self._module.func(call.callee)

    def _uses(self, call: Call, array: Value) -> list[int]:
        """Where in the body an array is used."""
        known = {p for p, a in self._args(call).items() if self._whole(a) is array}
        found = []
        for n, op in enumerate(self._body(call).body):
            for inner in walk((op,)):
                if not known.isdisjoint(inner.operands()):
                    # What an array is made of is taken to be the array.
                    known.update(v for v in inner.results() if isinstance(v.type, ArrayType))
                    found.append(n)
        return found

    def _last_use(self, call: Call, array: Value) -> int:
        return max(self._uses(call, array), default=-1)

    def _first_use(self, call: Call, array: Value) -> int:
        return min(self._uses(call, array), default=1 << 30)

    def _first_put(self, call: Call, stream: Value) -> int:
        """Where in the body a value may first be put."""
        params = {p for p, a in self._args(call).items() if a is stream}
        for n, op in enumerate(self._body(call).body):
            if any(self._may_put(o, params) for o in walk((op,))):
                return n
        return -1  # then nothing follows from it

    def _may_put(self, op: Op, streams: set[Value]) -> bool:
        if isinstance(op, Call):
            return not streams.isdisjoint(op.args)
        return isinstance(op, Put | TryPut) and op.stream in streams

    def _first_get(self, call: Call, stream: Value) -> int | None:
        """Where in the body a value has surely been taken."""
        params = {p for p, a in self._args(call).items() if a is stream}
        for n, op in enumerate(self._body(call).body):
            if self._surely_gets(op, params):
                return n
        return None

    def _surely_gets(self, op: Op, streams: set[Value]) -> bool:
        match op:
            case Get(stream=stream):
                return stream in streams
            case For(body=body):
                return bool(op.trip_count) and any(self._surely_gets(o, streams) for o in body)
            case Call(callee=callee, args=args):
                func = self._module.func(callee)
                inner = {p for p, a in zip(func.args, args, strict=True) if a in streams}
                return any(self._surely_gets(o, inner) for o in func.body) if inner else False
        return False
