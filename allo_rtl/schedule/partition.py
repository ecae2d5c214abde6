"""The primitive that spreads an array over memory banks."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

from allo_rtl.errors import ScheduleError
from allo_rtl.ir.dependence import base
from allo_rtl.ir.equal_arrays import equal_arrays
from allo_rtl.ir.ops import Func, GetGlobal, Module, SubView, Value
from allo_rtl.ir.rewrite import retype, walk
from allo_rtl.ir.types import ArrayType, DimPartition, Partition
from allo_rtl.schedule.loop_transforms import is_count


def partition_kind(kind: object) -> Partition:
    """The kind of partition meant; its number is accepted too."""
    if isinstance(kind, Partition):
        return kind
    if is_count(kind) and kind in (0, 1, 2):
        return Partition(kind)
    raise ScheduleError(
        f"the partition type is {kind!r}",
        allowed="Partition.Complete, Partition.Block or Partition.Cyclic",
    )


def check_partition(array: Value, kind: Partition, dim: object, factor: object) -> list[int]:
    """The dimensions to partition, from 0; ScheduleError when the arguments do not fit.

    Where all are wanted completely, those that are so already stay: arrays that calls make the
    same are partitioned together, and a user may ask for each of them.
    """
    type_, name = array.array, array.name
    if type_.rank == 0:
        raise ScheduleError(
            f"{name!r} is a scalar variable; there is nothing to partition",
            allowed="an array",
        )
    if not is_count(dim) or not 0 <= dim <= type_.rank:
        raise ScheduleError(
            f"the dimension to partition is {dim!r}, and {name!r} is {type_}",
            allowed=f"1 to {type_.rank}, or 0 for all dimensions",
        )
    done = _complete_dims(type_) if kind is Partition.Complete else set()
    dims = [dim - 1] if dim else [d for d in range(type_.rank) if d not in done]
    for d in dims:
        _check_dim(name, type_, d, kind, factor)
    return dims


def _complete_dims(type_: ArrayType) -> set[int]:
    return {d for d, p in enumerate(type_.partition) if p and p.kind is Partition.Complete}


def _check_dim(name: str, type_: ArrayType, dim: int, kind: Partition, factor: object) -> None:
    if type_.partition and (old := type_.partition[dim]):
        raise ScheduleError(
            f"dimension {dim + 1} of {name!r} is partitioned already "
            f"({old.kind.name}, {old.factor} banks)",
            hint="undo() that partition first",
        )
    extent = type_.shape[dim]
    if kind is Partition.Complete:
        if not is_count(factor) or factor not in (0, extent):
            raise ScheduleError(
                f"the factor of a complete partition is {factor!r}",
                allowed="0: a complete partition has one bank an element",
            )
    elif not is_count(factor) or not 2 <= factor <= extent:
        allowed = f"a number of banks from 2 to {extent}" if extent > 1 else "Partition.Complete"
        raise ScheduleError(
            f"the partition factor is {factor!r}, and dimension {dim + 1} of {name!r} has "
            f"{extent} elements",
            allowed=allowed,
        )


def apply_partition(
    module: Module, func: Func, array: Value, dims: list[int], kind: Partition, factor: int
) -> Module:
    """The module with the array, everywhere it goes, partitioned along ``dims``.

    Raises:
        ScheduleError: it is part of another array somewhere, as an argument of a call.
    """
    if not dims:
        return module
    type_ = array.array
    for dim in dims:
        banks = type_.shape[dim] if kind is Partition.Complete else factor
        type_ = type_.with_partition(dim, DimPartition(kind, banks))
    same = equal_arrays(module, func, array)
    _check_no_views(module, array, same)
    constants = {
        op.name
        for f in module.funcs
        for op in walk(f.body)
        if isinstance(op, GetGlobal) and op.result in same.get(f.name, ())
    }
    return replace(
        module,
        funcs=tuple(retype(f, dict.fromkeys(same.get(f.name, ()), type_)) for f in module.funcs),
        globals=tuple(
            replace(g, type=type_) if g.name in constants else g for g in module.globals
        ),
    )


def _check_no_views(module: Module, array: Value, same: Mapping[str, Set[Value]]) -> None:
    for func in module.funcs:
        for op in walk(func.body):
            if isinstance(op, SubView) and op.result in same.get(func.name, ()):
                source, _ = base(module, op.source)
                raise ScheduleError(
                    f"{array.name!r} cannot be partitioned: it is given a part of "
                    f"{source.name!r} in {func.name}",
                    loc=op.loc,
                    hint=f"partition '{func.name}:{source.name}'",
                )
