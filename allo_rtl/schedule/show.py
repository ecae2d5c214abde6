"""The compact text of a scheduled function: its loops, what they are marked as, its accesses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import (
    Alloc,
    Block,
    Call,
    Cast,
    Constant,
    For,
    Func,
    If,
    Load,
    Module,
    Op,
    Store,
    Value,
    While,
)
from allo_rtl.ir.rewrite import changed_funcs, walk
from allo_rtl.ir.stream_ops import Get, MakeStream, Poll, Put, StreamOp, TryGet, TryPut
from allo_rtl.ir.types import ArrayType, Partition, StreamType


def show_module(module: Module) -> str:
    """Every function, the top one last."""
    return "\n\n".join(show_func(f) for f in module.funcs)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the text of a schedule: how deep it stands, and what it is about."""

    depth: int
    text: str
    about: Op | Func


def show_func(func: Func, whole: Func | None = None) -> str:
    """One function, a loop or a statement a line; with ``whole`` it is a part of that."""
    return "\n".join("  " * row.depth + row.text for row in rows(func, whole))


def rows(func: Func, whole: Func | None = None) -> Iterator[Row]:
    """The lines of one function, its head first."""
    ways = [" as a stream" if n in func.streams else "" for n in range(_ends(func))]
    args = ", ".join(f"{a.name}: {show_type(a)}{w}" for a, w in zip(func.args, ways, strict=False))
    results = ", ".join(
        f"{t}{w}" for t, w in zip(func.results, ways[len(func.args) :], strict=True)
    )
    head = f"{func.name}({args})" + (f" -> {results}" if results else "")
    yield Row(0, head + ("  dataflow" if func.tasks else ""), func)
    yield from _block(func.body, 1, _Names(whole or func))


class _Names:
    """What the numbers are called that a function's bounds and subscripts are made of.

    Where data are read for that it is the variable, or the element of an array.
    """

    def __init__(self, func: Func) -> None:
        self._makers = {v: op for op in walk(func.body) for v in op.results()}

    def text(self, expr: AffineExpr) -> str:
        """An expression as the source has it, as far as it can be told; ``?`` for the rest."""
        return expr.text(self._name)

    def _name(self, value: Value) -> str:
        match self._makers.get(value):
            case _ if value.name:
                return value.name
            case Cast(operand=inner):
                return self._name(inner)
            case Load(array=array, index=()):
                return array.name or "?"
            case Load(array=array, index=index):
                return f"{array.name}[{', '.join(map(self.text, index))}]"
            case Constant(value=number):
                return str(number)
        return "?"


def show_change(before: Module, after: Module) -> tuple[str, str]:
    """What differs between two modules: the parts of the first, and those of the second."""
    return _only_in(before, after), _only_in(after, before)


def _only_in(module: Module, other: Module) -> str:
    return "\n\n".join(_different(*pair) for pair in changed_funcs(module, other))


def _different(func: Func, other: Func | None) -> str:
    """The head of a function and the operations that another form of it has not."""
    known = set(other.body) if other else set()
    return show_func(replace(func, body=tuple(op for op in func.body if op not in known)), func)


def _ends(func: Func) -> int:
    return len(func.args) + len(func.results)


def show_type(value: Value) -> str:
    """The type of a value; of a partitioned array with its banks by dimension."""
    type_ = value.type
    if not isinstance(type_, ArrayType) or not type_.partition:
        return str(type_)
    parts = []
    for part in type_.partition:
        if part is None:
            parts.append("-")
        else:
            count = "" if part.kind is Partition.Complete else f" {part.factor}"
            parts.append(part.kind.name.lower() + count)
    return f"{type_} banked [{', '.join(parts)}]"


def _block(block: Block, depth: int, names: _Names) -> Iterator[Row]:
    for op in block:
        match op:
            case For():
                yield Row(depth, _loop(op, names), op)
                yield from _block(op.body, depth + 1, names)
            case If():
                yield Row(depth, "if ...", op)
                yield from _block(op.then, depth + 1, names)
                if op.orelse:
                    yield Row(depth, "else", op)
                    yield from _block(op.orelse, depth + 1, names)
            case While():
                yield Row(depth, "while ...", op)
                yield from _block((*op.before, *op.body), depth + 1, names)
            case _:
                if text := _statement(op, names):
                    yield Row(depth, text, op)


def _statement(op: Op, names: _Names) -> str:
    """What an operation does that the text has a line for, "" for others."""
    match op:
        case Store():
            subscripts = ", ".join(map(names.text, op.index))
            return f"{op.array.name}[{subscripts}] = ..." if op.index else f"{op.array.name} = ..."
        case Call():
            outs = ", ".join(v.name for v in op.outs)
            args = ", ".join(v.name or "..." for v in op.args)
            fifos = zip(op.outs, op.fifos, strict=False)
            marks = "".join(f"  {v.name} in a FIFO of {n}" for v, n in fifos if n)
            return f"{outs + ' = ' if outs else ''}{op.callee}({args}){marks}"
        case Alloc() if op.result.array.rank:
            mark = f"  in a FIFO of {op.fifo}" if op.fifo else ""
            return f"{op.result.name}: {show_type(op.result)}{mark}"
        case MakeStream(result=result, undeclared=undeclared):
            assert isinstance(result.type, StreamType)
            shown = f"Stream[{result.type.element}]" if undeclared else result.type
            return f"{result.name}: {shown}"
        case Put() | Get() | TryPut() | TryGet() | Poll():
            return _stream(op)
    return ""


def _stream(op: StreamOp) -> str:
    """What is done with a stream."""
    name = op.stream.name
    match op:
        case Put():
            return f"{name}.put(...)"
        case TryPut():
            return f"{name}.try_put(...)"
        case Get():
            return f"{name}.get()"
        case TryGet(peek=peek):
            return f"{name}.{'peek' if peek else 'try_get'}()"
        case Poll(kind=kind):
            return f"{name}.{kind.value}()"


def _loop(loop: For, names: _Names) -> str:
    band = f"{loop.attrs.band}: " if loop.attrs.band else ""
    step = f" step {loop.step}" if loop.step > 1 else ""
    bounds = f"{_bound('max', loop.lower, names)}..{_bound('min', loop.upper, names)}"
    return f"{band}for {loop.name} in {bounds}{step}{''.join(_marks(loop))}"


def _bound(name: str, exprs: tuple[AffineExpr, ...], names: _Names) -> str:
    if len(exprs) == 1:
        return names.text(exprs[0])
    return f"{name}({', '.join(map(names.text, exprs))})"


def _marks(loop: For) -> Iterator[str]:
    attrs = loop.attrs
    if attrs.reduction:
        yield "  reduction"
    if attrs.pipeline_ii is not None:
        yield f"  pipeline II={attrs.pipeline_ii}" + (" rewind" if attrs.rewind else "")
    if attrs.unroll is not None:
        yield f"  unroll {attrs.unroll or 'all'}"
    if attrs.parallel:
        yield "  parallel"
    if attrs.overlap:
        yield "  with the loop before"
    if attrs.dataflow:
        yield "  dataflow"
    if loop.independent:
        yield f"  assumed independent in {', '.join(v.name for v in loop.independent)}"
