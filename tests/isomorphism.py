"""Whether two modules are the same but for the identity, names and places of their values."""

from dataclasses import fields, replace

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import Op, Value
from allo_rtl.ir.types import ArrayType, Type

IGNORED = ("loc", "uid")


def difference(one, other):
    """What differs first, as text; None when the modules are the same."""
    return _Comparison().module(one, other)


class _Comparison:
    """``twin`` tells which value of the other module stands for one of this."""

    def __init__(self):
        self.twin = {}
        self.twins = set()

    def module(self, one, other):
        if one.top != other.top:
            return f"top: {one.top}, {other.top}"
        if len(one.funcs) != len(other.funcs) or len(one.globals) != len(other.globals):
            return "number of functions or globals"
        for a, b in zip((*one.globals, *one.funcs), (*other.globals, *other.funcs), strict=True):
            for field in fields(a):
                if field.name not in IGNORED and (
                    found := self.part(getattr(a, field.name), getattr(b, field.name))
                ):
                    return f"{a.name}.{field.name}: {found}"
        return None

    def part(self, a, b):
        match a:
            case Value():
                return self.value(a, b)
            case Op():
                return self.op(a, b)
            case AffineExpr():
                swapped = a.substitute(lambda v: AffineExpr.of(self.twin[v]))
                return None if swapped == b else f"{swapped}, {b}"
            case tuple():
                if len(a) != len(b):
                    return f"{len(a)} parts, {len(b)}"
                return next(filter(None, map(self.part, a, b)), None)
            case Type():
                return None if same_type(a, b) else f"{a}, {b}"
        return None if a == b else f"{a!r}, {b!r}"

    def value(self, a, b):
        if a in self.twin or b in self.twins:
            return None if self.twin.get(a) is b else f"{a.name}: another value, {b.name}"
        self.twin[a] = b
        self.twins.add(b)
        return None if same_type(a.type, b.type) else f"{a.name}: {a.type}, {b.type}"

    def op(self, a, b):
        if type(a) is not type(b):
            return f"{a}, {b}"
        for field in fields(a):
            if field.name not in IGNORED and (
                found := self.part(getattr(a, field.name), getattr(b, field.name))
            ):
                return f"{type(a).__name__}.{field.name}: {found}"
        return None


def same_type(a, b):
    """Partitions are the same when elements are in the same banks at the same addresses."""
    if not isinstance(a, ArrayType) or not isinstance(b, ArrayType):
        return a == b
    if a.partition == b.partition or replace(a, partition=()) != replace(b, partition=()):
        return a == b
    dims = [Value(ArrayType(a.element, ())) for _ in a.shape]
    places = [
        [Layout(t).split(n, AffineExpr.of(d)) for n, d in enumerate(dims)] for t in (a, b)
    ]
    return places[0] == places[1]
