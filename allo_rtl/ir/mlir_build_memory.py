"""What memref and affine operations on arrays mean in the loop IR."""

from __future__ import annotations

from dataclasses import replace

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.mlir_affine_syntax import AffineMap
from allo_rtl.ir.mlir_build import Alias, Builder, Rule, hint
from allo_rtl.ir.mlir_build_scalars import constant
from allo_rtl.ir.mlir_pretty_ops import RUN_TIME
from allo_rtl.ir.mlir_syntax import RawOp, Ref, Symbol
from allo_rtl.ir.mlir_types import dropped_dims, is_unsigned, signless, with_unsigned
from allo_rtl.ir.ops import Alloc, Block, For, GetGlobal, Load, Store, SubView, Value
from allo_rtl.ir.types import DYNAMIC, ArrayType, index


def symbol(attribute: object) -> str:
    """The name that an attribute refers to."""
    return attribute.name if isinstance(attribute, Symbol) else str(attribute)


def alloc(b: Builder, raw: RawOp) -> None:
    """``memref.alloc`` and ``alloca``."""
    type = with_unsigned(raw.outs[0], "unsigned" in raw.attrs)
    if not isinstance(type, ArrayType):
        raise b.error(raw, f"{raw.name} gives {type}, not an array")
    if type.is_dynamic or raw.operands:
        raise b.error(raw, f"{raw.name} of unknown size: only arguments may be dynamic")
    name = b.result_name(raw)
    result = Value(type, str(raw.attrs.get("name", hint(name))))
    fifo, zeroed = int(raw.attrs.get("fifo", 0)), "uninitialized" not in raw.attrs
    b.out.append(Alloc(result=result, fifo=fifo, zeroed=zeroed, loc=b.loc))
    b.bind(name, result)


def get_global(b: Builder, raw: RawOp) -> None:
    """``memref.get_global``."""
    name = symbol(raw.attrs["name"])
    item = b.build.globals.get(name)
    if item is None:
        raise b.error(raw, f"the module has no memref.global {name}")
    type = with_unsigned(raw.outs[0], is_unsigned(item.type))
    b.define(raw, type, lambda r: GetGlobal(result=r, name=item.name, loc=b.loc))


type Element = tuple[Value, tuple[AffineExpr, ...]]
"""An array and subscripts."""


def _element(b: Builder, raw: RawOp, array: Ref, refs: list[Ref]) -> Element:
    """What an access is to."""
    if isinstance(raw.attrs.get("map"), AffineMap):
        places = b.mapped(raw, raw.attrs["map"], refs)
    else:
        places = tuple(b.expr(r) for r in refs)
    found = b.lookup(array)
    if not isinstance(found, Alias):
        return b.array(array), places
    if len(places) != found.type.rank:
        text = f"'{array.name}' is {found.type} and has {len(places)} subscripts here"
        raise b.error(raw, text)
    return found.value, found.subscripts(places)


def load(b: Builder, raw: RawOp) -> None:
    """``memref.load`` and ``affine.load``."""
    array, places = _element(b, raw, raw.operands[0], raw.operands[1:])
    type = array.array.element
    b.define(raw, type, lambda r: Load(result=r, array=array, index=places, loc=b.loc))


def store(b: Builder, raw: RawOp) -> None:
    """``memref.store`` and ``affine.store``."""
    array, places = _element(b, raw, raw.operands[1], raw.operands[2:])
    value = b.coerce(b.value(raw.operands[0]), array.array.element)
    b.out.append(Store(value=value, array=array, index=places, loc=b.loc))


def reshape(b: Builder, raw: RawOp) -> None:
    """``memref.collapse_shape`` and ``expand_shape``: another name of the array."""
    found, wanted = b.lookup(raw.operands[0]), raw.outs[0]
    source = found.value if isinstance(found, Alias) else b.array(raw.operands[0])
    type = with_unsigned(wanted, is_unsigned(source.type))
    if not isinstance(type, ArrayType) or type.partition or source.array.size != type.size:
        raise b.error(raw, f"{raw.name} of {source.type} does not give {wanted}")
    b.bind(b.result_name(raw), Alias(source, type, reshaped=True))


def dim(b: Builder, raw: RawOp) -> None:
    """``memref.dim`` of an extent that the type tells."""
    found = b.lookup(raw.operands[0])
    shape = found.type.shape if isinstance(found, Alias) else b.array(raw.operands[0]).array.shape
    number = b.number(raw.operands[1])
    if not 0 <= number < len(shape) or shape[number] == DYNAMIC:
        raise b.error(raw, f"extent {number} of {raw.operands[0].name} is not known")
    value = constant(b, index, shape[number])
    b.constants[value] = shape[number]
    b.bind(b.result_name(raw), value)


def copy(b: Builder, raw: RawOp) -> None:
    """``memref.copy``: a loop nest."""
    source, target = map(b.array, raw.operands[:2])
    shape = source.array.shape
    if shape != target.array.shape or source.array.is_dynamic:
        text = f"{raw.name} needs arrays of one known shape"
        raise b.error(raw, f"{text}, not {source.type} and {target.type}")
    ivs = [Value(index, f"i{n}") for n in range(len(shape))]
    places = tuple(map(AffineExpr.of, ivs))
    value = Value(source.array.element)
    outer, b.out = b.out, [Load(result=value, array=source, index=places, loc=b.loc)]
    fitting = b.coerce(value, target.array.element)
    b.out.append(Store(value=fitting, array=target, index=places, loc=b.loc))
    body: Block = tuple(b.out)
    b.out = outer
    for iv, extent in reversed(list(zip(ivs, shape, strict=True))):
        bounds = (AffineExpr.constant(0),), (AffineExpr.constant(extent),)
        loop = For(iv=iv, lower=bounds[0], upper=bounds[1], body=body, name=iv.name, loc=b.loc)
        body = (loop,)
    b.out.extend(body)


def cast(b: Builder, raw: RawOp) -> None:
    """A cast of an array is another name of it; one that learns its extent is a view."""
    source, wanted = b.array(raw.operands[0]), raw.outs[0]
    type = with_unsigned(wanted, is_unsigned(source.type))
    if not isinstance(type, ArrayType) or not _same_elements(source.array, type):
        text = f"{raw.name} of {source.type} to {wanted} changes what the array is"
        raise b.error(raw, text)
    if source.array.is_dynamic and not type.is_dynamic:
        zeros = (AffineExpr.constant(0),) * type.rank
        view = replace(type, partition=())
        _view(b, raw, view, source, zeros, tuple(type.shape), (1,) * type.rank)
    else:
        b.bind(b.result_name(raw), Alias(source, type))


def _same_elements(one: ArrayType, other: ArrayType) -> bool:
    same = signless(one.element) == signless(other.element) and one.rank == other.rank
    return same and all(
        DYNAMIC in (a, b) or a == b for a, b in zip(one.shape, other.shape, strict=True)
    )


def _view(
    b: Builder, raw: RawOp, type: ArrayType, source: Value,
    offsets: tuple[AffineExpr, ...], sizes: tuple[int | None, ...], steps: tuple[int, ...],
) -> None:  # fmt: skip
    b.define(
        raw,
        type,
        lambda r: SubView(
            result=r, source=source, offsets=offsets, sizes=sizes, steps=steps, loc=b.loc
        ),
    )


def subview(b: Builder, raw: RawOp) -> None:
    """``memref.subview``."""
    source, wanted = b.array(raw.operands[0]), raw.outs[0]
    offsets, sizes, steps = _view_parts(b, raw)
    if not isinstance(wanted, ArrayType) or len(offsets) != source.array.rank:
        raise b.error(raw, f"this is no view of {source.type}")
    dropped = raw.attrs.get("dropped", dropped_dims(sizes, wanted.shape))
    if dropped is None:
        raise b.error(raw, f"a view of sizes {list(sizes)} is not {wanted}")
    kept = tuple(None if n in dropped else size for n, size in enumerate(sizes))
    shape = tuple(n for n in kept if n is not None)
    _view(
        b, raw, ArrayType(source.array.element, shape, memory=wanted.memory), source,
        offsets, kept, steps,
    )  # fmt: skip


def _view_parts(
    b: Builder, raw: RawOp
) -> tuple[tuple[AffineExpr, ...], tuple[int, ...], tuple[int, ...]]:
    """Offsets, sizes and steps; the last two must be constants."""
    uses = iter(raw.operands[1:])

    def of(name: str) -> list[int | Ref]:
        numbers = raw.attrs[name]
        try:
            return [next(uses) if n == RUN_TIME else n for n in numbers]
        except StopIteration:
            raise b.error(raw, f"{raw.name} has too few operands") from None

    offsets, sizes, steps = map(of, ("static_offsets", "static_sizes", "static_strides"))
    if not len(offsets) == len(sizes) == len(steps):
        raise b.error(raw, "a view needs as many offsets as sizes and steps")
    places = tuple(b.expr(o) if isinstance(o, Ref) else AffineExpr.constant(o) for o in offsets)
    known = [[b.number(x) if isinstance(x, Ref) else x for x in part] for part in (sizes, steps)]
    return places, tuple(known[0]), tuple(known[1])


def nothing(b: Builder, raw: RawOp) -> None:
    """Operations without a meaning here."""


_MAP = (("map", AffineMap),)
_VIEW = tuple((f"static_{name}", list) for name in ("offsets", "sizes", "strides"))

RULES: dict[str, Rule] = {
    "memref.alloc": Rule(alloc, results=1),
    "memref.alloca": Rule(alloc, results=1),
    "memref.dealloc": Rule(nothing, 1),
    "memref.get_global": Rule(get_global, attrs=(("name", Symbol),), results=1),
    "memref.load": Rule(load, 1),
    "memref.store": Rule(store, 2),
    "affine.load": Rule(load, 1, _MAP),
    "affine.store": Rule(store, 2, _MAP),
    "memref.dim": Rule(dim, 2),
    "memref.copy": Rule(copy, 2),
    "memref.collapse_shape": Rule(reshape, 1, results=1),
    "memref.expand_shape": Rule(reshape, 1, results=1),
    "memref.subview": Rule(subview, 1, _VIEW, results=1),
    "memref.cast": Rule(cast, 1, results=1),
    "memref.memory_space_cast": Rule(cast, 1, results=1),
    "builtin.unrealized_conversion_cast": Rule(cast, 1, results=1),
}
"""How to build each operation."""
