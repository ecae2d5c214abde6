"""One port for several processes: each cycle it is granted to one that asks, in turn."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value


def round_robin(
    m: Module, wants: Sequence[Value], name: str, again: Value | None = None
) -> list[Value]:
    """Whether each of those that ask is granted the port: at most one, and one when any asks.

    The next after the last that was granted comes first, so that who asks on gets it after at
    most one grant for each of the others.  After a cycle in which ``again`` is 1 the first of all
    comes first, as after a reset: then each run goes on like the one before.
    """
    size = len(wants)
    asking, after = Signal(size, name=f"{name}_asking"), Signal(size, name=f"{name}_after")
    chosen, grant = Signal(size, name=f"{name}_chosen"), Signal(size, name=f"{name}_grant")
    later = asking & after
    m.d.comb += [
        asking.eq(Cat(*wants)), chosen.eq(Mux(later.any(), later, asking)),
        grant.eq(chosen & -chosen),
    ]  # fmt: skip
    with m.If(asking.any()):
        m.d.sync += after.eq(~(grant | (grant - 1)))
    if again is not None:
        with m.If(again):
            m.d.sync += after.eq(0)
    return [grant[k] for k in range(size)]
