"""Which copy of a buffer a task's run works on, where runs overlap: kept by each task alone."""

from __future__ import annotations

from dataclasses import dataclass

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import Apply, Block, Cast, GetGlobal, Global, Load, Store, Value
from allo_rtl.ir.types import ArrayType, UInt, index


@dataclass(frozen=True)
class Turn:
    """A counter modulo a number of copies that goes on by one in each run.

    Attributes:
        state: what is kept from run to run; 0 before the first.
        now: the number of the copy, of index type.
        begin: what a run does before it uses ``now``.
        end: what it does after that.
    """

    state: Global
    now: Value
    begin: Block
    end: Block

    @staticmethod
    def of(name: str, copies: int) -> Turn:
        """The counter of a task; ``name`` is that of its state in the module."""
        element = UInt(max(1, (copies - 1).bit_length()))
        type_ = ArrayType(element, ())
        state, kept, now = Value(type_, name), Value(element, "turn"), Value(index, "copy")
        later, new = Value(index), Value(element)
        begin: Block = (
            GetGlobal(result=state, name=name), Load(result=kept, array=state),
            Cast(result=now, operand=kept),
        )  # fmt: skip
        end: Block = (
            Apply(result=later, expr=(AffineExpr.of(now) + AffineExpr.constant(1)).mod(copies)),
            Cast(result=new, operand=later), Store(value=new, array=state),
        )  # fmt: skip
        return Turn(Global(name=name, type=type_, data=(0,), stateful=True), now, begin, end)
