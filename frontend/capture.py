"""From a Python function or a source text to its syntax tree, with places and outer names.

Nothing of the kernel is executed.  Places are those of the user's own file, also for a nested
or decorated function and for one typed into a doctest or notebook (through ``linecache``).
"""

from __future__ import annotations
import __future__

import ast
import inspect
import sys
import textwrap
import warnings
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

from allo_rtl.errors import LanguageError, SourceLoc
from allo_rtl.frontend.dataflow_dsl import ASSUMED


@dataclass(frozen=True, slots=True)
class Source:
    """A piece of a source file: ``lines`` from line ``first`` on (line numbers from 1)."""

    file: str
    lines: tuple[str, ...]
    first: int = 1
    _known: dict[tuple[int | None, ...], SourceLoc] = field(
        default_factory=dict, compare=False, repr=False
    )

    def line(self, number: int) -> str:
        """The text of line ``number`` of the file, '' when it is not in this piece."""
        at = number - self.first
        return self.lines[at] if 0 <= at < len(self.lines) else ""

    def loc(self, node: ast.AST) -> SourceLoc:
        """The place of a node; of a node of several lines, its first line."""
        number = getattr(node, "lineno", self.first)
        last = getattr(node, "end_lineno", number)
        place = number, getattr(node, "col_offset", 0), last, getattr(node, "end_col_offset", None)
        if place not in self._known:  # a process is lowered as often as it runs
            self._known[place] = self._loc(*place)
        return self._known[place]

    def _loc(self, number: int, start_byte: int, last: int, end_byte: int | None) -> SourceLoc:
        text = self.line(number)
        raw = text.encode()
        start = len(raw[:start_byte].decode(errors="replace"))
        end = len(raw[: end_byte if last == number else len(raw)].decode(errors="replace"))
        return SourceLoc(self.file, number, start + 1, max(end, start + 1) + 1, text)


@dataclass(frozen=True, slots=True)
class Place:
    """Which of the copies of a kernel this is: ``index`` is below ``mapping`` everywhere."""

    index: tuple[int, ...]
    mapping: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """A captured kernel; one is the same as another only when it is that object.

    Attributes:
        node: its definition, with line and column numbers of the file.
        names: what the names it does not define itself stand for.
        annotations: the annotations that Python has already evaluated, by argument name.
        defaults: the default values that Python has already evaluated, by argument name.
        known: of a kernel inside another, what stood for Python objects where it is defined.
        pe: which copy it is, when it is a process of a region.
        closed: the arguments that are streams which somebody closes.
        assumed: of a region, the arrays it assumes to be ordered; None where only its text says.
    """

    node: ast.FunctionDef
    source: Source
    names: Mapping[str, Any]
    annotations: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    known: Mapping[str, Any] = field(default_factory=dict)
    pe: Place | None = None
    closed: frozenset[str] = frozenset()
    assumed: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """The function's name."""
        return self.node.name


def capture(fn: Callable[..., Any] | str, global_vars: Mapping[str, Any] | None = None) -> Kernel:
    """Find the definition of a kernel.

    Args:
        fn: a Python function, decorated or not, or the text of one function definition.
        global_vars: names that come first; for a text they replace the caller's names.

    Raises:
        LanguageError: the source is not at hand, or is not one function definition.
    """
    if isinstance(fn, str):
        return _from_text(fn, _caller_names() if global_vars is None else global_vars)
    inner = inspect.unwrap(fn)
    if not inspect.isfunction(inner):
        raise LanguageError(
            f"a kernel must be a Python function, not {type(fn).__name__}",
            allowed="a function defined with 'def', or the text of one",
            hint="write it outside the class" if inspect.ismethod(inner) else None,
        )
    source, node = _definition(inner)
    names = ChainMap(dict(global_vars or {}), *map(dict, _outer_names(inner)))
    annotations = _evaluated(node, inner.__annotations__, set(global_vars or ()))
    assumed = getattr(inner, ASSUMED, None)
    return Kernel(node, source, names, annotations, _defaults(inner), assumed=assumed)


def _evaluated(
    node: ast.FunctionDef, annotations: Mapping[str, Any], overridden: set[str]
) -> dict[str, Any]:
    """The annotations that mean what Python evaluated: they use no name that is given anew."""
    spec = node.args
    parts = {a.arg: a.annotation for a in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)}
    parts["return"] = node.returns
    used = {
        name: {n.id for n in ast.walk(part) if isinstance(n, ast.Name)}
        for name, part in parts.items()
        if part is not None
    }
    return {n: a for n, a in annotations.items() if not used.get(n, set()) & overridden}


def _defaults(fn: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(fn).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _from_text(text: str, names: Mapping[str, Any]) -> Kernel:
    source = Source("<kernel>", tuple(textwrap.dedent(text).splitlines()))
    whole = "\n".join(source.lines)
    try:
        body = ast.parse(whole).body
        _compiled(whole, source.file)  # It finds more, such as two arguments of one name.
    except SyntaxError as e:
        raise _syntax_error(e, source) from None
    functions = [n for n in body if isinstance(n, ast.FunctionDef)]
    if len(functions) != 1:
        raise LanguageError(
            f"the text defines {len(functions)} functions", allowed="exactly one function"
        )
    return Kernel(functions[0], source, names)


def _compiled(text: str, file: str, flags: int = 0) -> CodeType:
    """The code of a text, which is not executed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made: CodeType = compile(text, file, "exec", flags, dont_inherit=True)
    return made


def _syntax_error(error: SyntaxError, source: Source) -> LanguageError:
    line, col = error.lineno or 1, error.offset or 1
    loc = SourceLoc(source.file, line, col, error.end_offset or col + 1, source.line(line))
    return LanguageError(f"this is not Python: {error.msg}", loc=loc)


def _definition(fn: Callable[..., Any]) -> tuple[Source, ast.FunctionDef]:
    code = fn.__code__
    try:
        lines, first = inspect.getsourcelines(fn)
    except (OSError, TypeError):
        if (text := _executed_text(code)) is None:
            raise LanguageError(
                f"the source of the kernel '{fn.__name__}' is not at hand "
                f"(defined in {code.co_filename})",
                hint="write the kernel in a file, a notebook cell or a doctest, or pass its text",
            ) from None
        all_lines, first = text.splitlines(keepends=True), code.co_firstlineno
        lines = inspect.getblock(all_lines[first - 1 :])
    source = Source(code.co_filename, tuple(line.rstrip("\r\n") for line in lines), first)
    # An indented definition is parsed inside a block, so that its columns stay as they are.
    indented = lines[0][:1].isspace()
    tree = ast.parse(("if 1:\n" if indented else "") + "".join(lines))
    ast.increment_lineno(tree, first - 1 - indented)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            return source, node
    raise LanguageError(
        f"no 'def' found for '{fn.__name__}' at {source.file}:{first}",
        hint="a lambda or an async function cannot be a kernel",
    )


def _executed_text(code: CodeType) -> str | None:
    """The text that a function was executed from, if a calling frame still has it.

    It is only taken when it compiles to the very same code.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        for text in (*frame.f_locals.values(), *frame.f_code.co_consts):
            if isinstance(text, str) and f"def {code.co_name}" in text and _defines(text, code):
                return text
        frame = frame.f_back
    return None


def _defines(text: str, code: CodeType) -> bool:
    flags = code.co_flags & __future__.annotations.compiler_flag
    try:
        made = _compiled(text, code.co_filename, flags)
    except (SyntaxError, ValueError):
        return False
    pending: list[object] = [made]
    while pending:
        part = pending.pop()
        if part == code:
            return True
        pending += part.co_consts if isinstance(part, CodeType) else ()
    return False


def _outer_names(fn: Callable[..., Any]) -> list[Mapping[str, Any]]:
    """Closure variables, locals of the function around it while that still runs, globals.

    The closure has only the names that Python saw used; annotations of arguments may need others.
    """
    cells = zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True)
    closure = {name: _cell(cell) for name, cell in cells}
    around = fn.__qualname__.rpartition(".<locals>.")[0]
    scopes: list[Mapping[str, Any]] = [{k: v for k, v in closure.items() if v is not _EMPTY}]
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and around:
        code = frame.f_code
        if code.co_qualname == around and code.co_filename == fn.__code__.co_filename:
            scopes.append(dict(frame.f_locals))
            break
        frame = frame.f_back
    return [*scopes, fn.__globals__]


_EMPTY = object()


def _cell(cell: Any) -> Any:  # noqa: ANN401 - a closure cell holds anything
    try:
        return cell.cell_contents
    except ValueError:
        return _EMPTY


def _caller_names() -> Mapping[str, Any]:
    """Names visible in the frames outside this package, those of the nearest first."""
    scopes: list[dict[str, Any]] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] != "allo_rtl":
            scopes.append({**frame.f_globals, **frame.f_locals})
            if frame.f_code.co_name == "<module>":
                break
        frame = frame.f_back
    return ChainMap(*scopes)
