"""Names inside a kernel: what each is, from where to where it is known.

A name lives from its declaration to the end of the block (kernel, loop, branch) it is in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from allo_rtl.errors import LanguageError, SourceLoc
from allo_rtl.frontend.capture import Kernel
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import ScalarType, Stream


@dataclass(frozen=True, slots=True)
class Variable:
    """An array or a scalar variable (an array of rank 0); ``constant`` ones are never stored to."""

    value: Value
    loc: SourceLoc
    constant: bool = False


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar argument, or the counter of a loop."""

    value: Value
    loc: SourceLoc
    counter: bool = False


@dataclass(frozen=True, slots=True)
class LocalKernel:
    """A function defined inside the kernel."""

    kernel: Kernel
    loc: SourceLoc


@dataclass(frozen=True, slots=True)
class Known:
    """A Python object that a name stands for while the kernel is captured: a ConstExpr.

    ``type`` is what it is as an operand; without one its value says that.
    """

    value: Any
    loc: SourceLoc
    type: ScalarType | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A loop, or the kernel, whose statements may be left.

    Attributes:
        go: scalar variable, 1 while the rest of this run of the body is to run.
        running: scalar variable, 1 while the loop is to go on; None when nothing ends it early.
    """

    go: Value
    running: Value | None = None


@dataclass(frozen=True, slots=True)
class Streams:
    """A stream of a region, or an array of streams; ``values`` has each of them, row-major.

    ``closes``: whether somebody closes one of them.
    """

    type: Stream
    values: tuple[Value, ...]
    loc: SourceLoc
    closes: bool = False


type Binding = Variable | Scalar | LocalKernel | Known | Streams


class Cascade(LanguageError):
    """A consequence of an error that has been reported already."""


@dataclass
class Scopes:
    """The stack of blocks, innermost last.

    Attributes:
        ended: names whose block is over, with the place they were declared at.
        broken: names whose declaration had an error; using them raises Cascade.
        outer: the names of the kernel around this one.
    """

    outer: Scopes | None = None
    blocks: list[dict[str, Binding]] = field(default_factory=lambda: [{}])
    ended: dict[str, SourceLoc] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    @contextmanager
    def block(self) -> Iterator[None]:
        """A nested block: what is declared in it ends with it."""
        self.blocks.append({})
        try:
            yield
        finally:
            self.ended |= {name: b.loc for name, b in self.blocks.pop().items()}

    def declare(self, name: str, binding: Binding) -> None:
        """Make a name known in the innermost block."""
        self.blocks[-1][name] = binding
        self.broken.discard(name)

    def find(self, name: str) -> Binding | None:
        """What a name is here, or None; raises Cascade when its declaration had an error."""
        for block in reversed(self.blocks):
            if name in block:
                return block[name]
        if name in self.broken:
            raise Cascade(f"'{name}' was declared with an error")
        return None

    def known(self) -> dict[str, Known]:
        """Every name that stands for a Python object here."""
        bindings = {name: b for block in self.blocks for name, b in block.items()}
        return {name: b for name, b in bindings.items() if isinstance(b, Known)}

    def find_outer(self, name: str) -> Binding | None:
        """What a name is in the kernels around this one."""
        if self.outer is None:
            return None
        return self.outer.find(name) or self.outer.find_outer(name)

    def names(self) -> list[str]:
        """Every name known here."""
        return [name for block in self.blocks for name in block]


@dataclass(frozen=True, slots=True)
class Visible(Mapping[str, Any]):
    """The Python objects that names stand for at this point of a kernel: its own come first."""

    scopes: Scopes
    around: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - any Python object
        found = self.scopes.find(name)
        return found.value if isinstance(found, Known) else self.around[name]

    def __contains__(self, name: object) -> bool:
        # Most names that are looked for are types and functions, which stand in neither.
        known = isinstance(name, str) and isinstance(self.scopes.find(name), Known)
        return known or name in self.around

    def __iter__(self) -> Iterator[str]:
        names = {**self.around, **self.scopes.known()}
        return (name for name in names if name not in self.scopes.broken)

    def __len__(self) -> int:
        return sum(1 for _ in self)
