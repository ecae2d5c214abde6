"""What the lowering of one kernel carries along, and what it shares with the other kernels."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from types import FunctionType
from typing import Any

import numpy as np
import numpy.typing as npt

from allo_rtl.errors import KernelTypeError, LanguageError, SourceLoc
from allo_rtl.frontend.builder import Builder
from allo_rtl.frontend.capture import Kernel, capture
from allo_rtl.frontend.generics import instance, instance_text
from allo_rtl.frontend.infer import MISSING, array_constant, names_in, resolve, similar
from allo_rtl.frontend.markers import is_region
from allo_rtl.frontend.scope import (
    Binding,
    Cascade,
    Frame,
    Known,
    LocalKernel,
    Scalar,
    Scopes,
    Streams,
    Variable,
    Visible,
)
from allo_rtl.frontend.typing_rules import DEFAULT, RuleSet
from allo_rtl.ir.ops import Call, Func, GetGlobal, Global, Op, Store, SubView, Value
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import ArrayType

MOST_NESTED = 50
"""Calls inside each other; only an endless recursion of instances has more."""


@dataclass
class Program:
    """The module while it is made.

    Attributes:
        lower: lowers one kernel (the names of the kernel around it given) to a function.
        rules: the types that operators give.
        instantiate: parameters for kernels that are named without any, by name.
        funcs: finished functions, callees first.
        errors: everything found wrong so far.
        instances: the functions made of each kernel, by its name.
        captures: of each process, what it is given besides its arguments.
        flags: of each function, what else it is given and gives back of streams that are its
            arguments: their positions, and what it says of them.
        hazards: arguments of each function that must not share elements, see :mod:`.overlaps`.
    """

    lower: Callable[[Program, Kernel, str, Scopes | None], Func]
    rules: RuleSet = DEFAULT
    instantiate: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    funcs: dict[str, Func] = field(default_factory=dict)
    globals: dict[str, Global] = field(default_factory=dict)
    errors: list[LanguageError] = field(default_factory=list)
    instances: dict[str, list[str]] = field(default_factory=dict)
    hazards: dict[str, frozenset[tuple[int, int, bool]]] = field(default_factory=dict)
    captures: dict[str, tuple[Value, ...]] = field(default_factory=dict)
    flags: dict[str, tuple[tuple[int, str], ...]] = field(default_factory=dict)
    _names: dict[Any, str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _captured: dict[FunctionType, Kernel] = field(default_factory=dict)
    _arrays: dict[int, tuple[npt.NDArray[Any], str]] = field(default_factory=dict)
    _active: list[str] = field(default_factory=list)

    def captured(self, fn: FunctionType) -> Kernel:
        """The definition of a Python function, looked up once."""
        if fn not in self._captured:
            self._captured[fn] = capture(fn)
        return self._captured[fn]

    def function(
        self,
        key: object,
        kernel: Kernel,
        outer: Scopes | None,
        loc: SourceLoc | None,
        params: Sequence[Any] = (),
        name: str = "",
    ) -> Func:
        """The function of a kernel, lowered the first time it is asked for.

        Args:
            key: what tells this kernel from another of the same name.
            kernel: the kernel.
            outer: the names of the kernel it is defined in.
            loc: the call.
            params: what is given in square brackets.
            name: of the function, if it can have that.

        Raises:
            Cascade: it has errors (they are in ``errors``).
            LanguageError: it calls itself, or the parameters do not fit.
        """
        params = params or self.instantiate.get(kernel.name, ())
        bound, given, id_ = instance(kernel, params, loc)
        key = (key, given, id_, kernel.closed)
        if not name and given and is_region(kernel):
            name = "_".join([kernel.name, *map(str, params)])
        if key not in self._names:
            self._names[key] = name = self._name(kernel.name, id_, loc, name)
            self._taken.add(name)
            before = len(self.errors)
            self._lower(bound, name, outer, loc)
            if given or kernel.pe:
                where = f"in {instance_text(kernel, params) if given else name}"
                self.errors[before:] = [_within(e, where, loc) for e in self.errors[before:]]
        name = self._names[key]
        if name in self._active:
            raise recursive(name, loc)
        if name not in self.funcs:
            raise Cascade(f"the kernel '{name}' has errors")
        return self.funcs[name]

    def _name(self, kernel: str, id_: str, loc: SourceLoc | None, name: str) -> str:
        wanted = f"{kernel}_{id_}" if id_ else name or kernel
        if id_ and self._is_taken(wanted):
            raise LanguageError(
                f"the name '{wanted}' of the instance '{id_}' is in use",
                loc=loc,
                hint="give each instance an id of its own",
            )
        name = self._fresh(wanted)
        self.instances.setdefault(kernel, []).append(name)
        return name

    def _lower(
        self, kernel: Kernel, name: str, outer: Scopes | None, loc: SourceLoc | None
    ) -> None:
        if len(self._active) == MOST_NESTED:
            raise LanguageError(
                f"more than {MOST_NESTED} calls inside each other",
                loc=loc,
                hint=f"end the recursion of '{kernel.name}' with a meta_if",
            )
        self._active.append(name)
        before = len(self.errors)
        func = self.lower(self, kernel, name, outer)
        self._active.pop()
        if len(self.errors) == before:
            self.funcs[name] = func

    def outer_array(self, name: str, array: npt.NDArray[Any], loc: SourceLoc) -> Global:
        """The constant of a numpy array of the surrounding Python, copied now."""
        if id(array) not in self._arrays:
            found = array_constant(array)
            if isinstance(found, str):
                raise KernelTypeError(
                    f"the array '{name}' cannot be a constant of a kernel: {found}",
                    loc=loc,
                    allowed="numpy arrays of integers, bools and floating-point numbers",
                )
            # The array itself is kept, so that its id stays its own.
            self._arrays[id(array)] = (array, self.constant(name, *found).name)
        return self.globals[self._arrays[id(array)][1]]

    def _is_taken(self, name: str) -> bool:
        return name in self._taken or name in self.globals

    def _fresh(self, name: str) -> str:
        """``name``, or ``name_<n>`` with the first n that is free."""
        numbered = (f"{name}_{n}" for n in count(1))
        return next(n for n in chain([name], numbered) if not self._is_taken(n))

    def constant(
        self, name: str, type_: ArrayType, data: tuple[int, ...], *, stateful: bool = False
    ) -> Global:
        """A new constant (or stateful) array, called ``name``, or ``name_<n>`` if that is taken."""
        fresh = self._fresh(name)
        made = Global(name=fresh, type=type_, data=data, stateful=stateful)
        self.globals[made.name] = made
        return made

    def written(self, func: Func) -> frozenset[int]:
        """Positions of the array arguments that a function stores to, also through calls."""
        views = {op.result: op.source for op in walk(func.body) if isinstance(op, SubView)}
        stored = {v for op in walk(func.body) for v in self._stored(op)}
        for view in list(stored):
            while view in views:
                view = views[view]
            stored.add(view)
        return frozenset(n for n, arg in enumerate(func.args) if arg in stored)

    def _stored(self, op: Op) -> Sequence[Value]:
        if isinstance(op, Store):
            return [op.array]
        if isinstance(op, Call):
            return [op.args[n] for n in self.written(self.funcs[op.callee])]
        return []


def _within(error: LanguageError, where: str, loc: SourceLoc | None) -> LanguageError:
    """An error with a note of the instance it is in; of nested instances, the innermost three."""
    if len(error.notes) > 2:
        return error
    return type(error)(
        error.message,
        loc=error.loc,
        allowed=error.allowed,
        hint=error.hint,
        notes=[*error.notes, (where, loc)],
    )


def recursive(name: str, loc: SourceLoc | None) -> LanguageError:
    """The error for a kernel that calls itself."""
    hint = "write the recursion as a loop"
    return LanguageError(f"the kernel '{name}' calls itself", loc=loc, hint=hint)


@dataclass(frozen=True, slots=True)
class Hazard:
    """An array that a statement stores to, and one that it reads meanwhile.

    ``aligned`` says that they may be the same array, but not shifted parts of one.
    """

    stored: Value
    read: Value
    aligned: bool


@dataclass
class Context:
    """The lowering of one kernel.

    Attributes:
        kernel: the kernel; its ``names`` are those visible at the point that is looked at.
        name: name of the function that is made.
        prologue: operations that come first in the function (constants it reads).
        flags: variables that say what has happened to a stream.
        bands: number of loop statements finished so far; it numbers the loop nests.
        depth: number of loops around the current statement.
        frames: what may be left early, outermost (the kernel) first; None for what is not.
        chain: whether a branch of the ``meta_if`` just before was taken; None without one.
        leave: lowers a return.
        parts: the views that are made, by their values.
        is_region: what the kernel calls runs at once (see :mod:`.regions`).
        captures: of a process, streams and scalars of its region and what they are here.
        hazards: pairs of arrays that must not share elements.
    """

    kernel: Kernel
    program: Program
    scopes: Scopes
    name: str
    builder: Builder = field(default_factory=Builder)
    prologue: list[Op] = field(default_factory=list)
    flags: dict[tuple[Value, str], Value] = field(default_factory=dict)
    bands: int = 0
    depth: int = 0
    frames: list[Frame | None] = field(default_factory=lambda: [None])
    chain: bool | None = None
    leave: Callable[[ast.Return], None] | None = None
    parts: dict[Value, SubView] = field(default_factory=dict)
    captures: dict[Value, Value] = field(default_factory=dict)
    is_region: bool = False
    hazards: set[Hazard] = field(default_factory=set)
    _constants: dict[str, Variable] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = Visible(self.scopes, self.kernel.names)
        self.kernel = replace(self.kernel, names=names)

    def inner_kernel(self, node: ast.FunctionDef) -> Kernel:
        """A kernel defined here: it keeps the compile-time names as they are now."""
        names = self.kernel.names
        assert isinstance(names, Visible)
        known = {**self.kernel.known, **self.scopes.known()}
        values = {name: k.value for name, k in known.items()}
        return Kernel(node, self.kernel.source, {**names.around, **values}, known=known)

    def loc(self, node: ast.AST) -> SourceLoc:
        """The place of a node in the user's file."""
        return self.kernel.source.loc(node)

    def outside(self, node: ast.expr) -> Any:  # noqa: ANN401 - any Python object
        """The Python object a name stands for outside the kernel, or MISSING."""
        root: ast.expr = node
        while isinstance(root, ast.Attribute):
            root = root.value
        if isinstance(root, ast.Name):
            inside = self.find(root.id) or self.scopes.find_outer(root.id)
            if inside is not None and not isinstance(inside, Known):
                return MISSING
        return resolve(self.kernel, node)

    def find(self, name: str) -> Binding | None:
        """What a name is inside the kernel (or a kernel defined next to it), or None."""
        if (found := self.scopes.find(name)) is not None:
            return found
        if isinstance(known := self.kernel.known.get(name), Known):
            return known
        match around := self.scopes.find_outer(name):
            case LocalKernel():
                return around
            case Streams() if self.kernel.pe:
                return around
            case Scalar(value=value, loc=loc) if self.kernel.pe:
                return Scalar(self.captured(value), loc)
        return None

    def captured(self, value: Value) -> Value:
        """A stream or scalar of the region around: an argument that this process gets as well."""
        if value not in self.captures:
            self.captures[value] = Value(value.type, value.name)
        return self.captures[value]

    def outer_array(self, node: ast.Name | ast.Attribute) -> Variable | None:
        """The constant array that a name outside the kernel stands for, if it does."""
        array = self.outside(node)
        if not isinstance(array, np.ndarray):
            return None
        name = node.id if isinstance(node, ast.Name) else node.attr
        return self.get_global(self.program.outer_array(name, array, self.loc(node)), node)

    def get_global(self, made: Global, node: ast.AST, name: str = "") -> Variable:
        """A constant or stateful array of the module as a variable of this function."""
        if made.name not in self._constants:
            value = Value(made.type, name or made.name)
            self.prologue.append(GetGlobal(result=value, name=made.name, loc=self.loc(node)))
            constant = not made.stateful
            self._constants[made.name] = Variable(value, self.loc(node), constant)
        return self._constants[made.name]

    def unknown(self, node: ast.Name) -> LanguageError:
        """The error for a name that is nothing here."""
        name, loc = node.id, self.loc(node)
        if (around := self.scopes.find_outer(name)) is not None:
            return self._not_its_own(name, around, loc)
        if (ended := self.scopes.ended.get(name)) is not None:
            return LanguageError(
                f"'{name}' is not known here",
                loc=loc,
                notes=[("it was declared in a block that has ended", ended)],
                hint=f"declare '{name}' before that block",
            )
        outer = [k for k, v in self.kernel.names.items() if isinstance(v, int | np.ndarray)]
        hint = similar(name, [*self.scopes.names(), *outer])
        return LanguageError(f"unknown name '{name}'", loc=loc, hint=hint)

    def _not_its_own(self, name: str, around: Binding, loc: SourceLoc) -> LanguageError:
        """The error for a name of the kernel around this one."""
        kind, hint = "variable", f"pass it as an argument of '{self.kernel.name}'"
        if isinstance(around, Streams):
            kind, hint = "stream", f"pass it as an argument: {name}: Stream[...]"
        elif self.kernel.pe and isinstance(around, Scalar):
            kind, hint = "scalar", f"copy it to a variable of your own: x: int32 = {name}"
        elif self.kernel.pe:
            hint += f": @df.kernel(mapping=..., args=[..., {name}])"
        what = f"'{name}' is a {kind} of the kernel around '{self.kernel.name}'"
        return LanguageError(what, loc=loc, hint=hint)

    def need_constant(self, node: ast.expr) -> None:
        """Refuse an expression that uses a variable of the kernel where a constant is needed."""
        for part in names_in(node):
            if isinstance(self.find(part.id), Variable | Scalar):
                raise LanguageError(
                    f"'{part.id}' is a variable of the kernel, and a constant is needed here",
                    loc=self.loc(part),
                    allowed="literals, names from outside the kernel, ConstExpr names",
                )

    def missing(self, node: ast.expr) -> bool:
        """Whether an expression stands for no Python object."""
        return self.outside(node) is MISSING
