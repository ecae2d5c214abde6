"""Tokens of MLIR text, each with its place, and the errors that show it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

from allo_rtl.errors import ParseError, SourceLoc
from allo_rtl.ir.types import DYNAMIC

_TOKEN = re.compile(
    r"""(?:\s+|//[^\n]*)*
      (?: (?P<value>%[\w$.-]+(?:\#\d+)?)
      | (?P<symbol>@(?:"[^"]*"|[A-Za-z_][\w$.]*))
      | (?P<alias>[\#!][A-Za-z_][\w$.]*)
      | (?P<block>\^[\w$.-]+)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<number>0x[0-9A-Fa-f]+|[0-9]+(?:\.[0-9]*(?:[eE][+-]?[0-9]+)?)?)
      | (?P<word>[A-Za-z_][\w$.]*)
      | (?P<punct>->|::|>=|==|[-+*=<>(){}\[\],:?|/;])
      | (?P<end>\Z)
      | (?P<bad>.))""",
    re.VERBOSE | re.ASCII,
)
_DIMENSIONS = re.compile(r"\s*(?:(?:\d+|\?)\s*x\s*)*")


class Token(NamedTuple):
    """A piece of text: ``kind`` is a group of the grammar above or ``end``."""

    kind: str
    text: str
    start: int


class Source:
    """A text with a place in it for every offset."""

    def __init__(self, text: str, filename: str) -> None:
        self.text = text
        self.filename = filename
        self.lines = [0, *(m.end() for m in re.finditer("\n", text)), len(text) + 1]

    def loc(self, start: int, length: int = 1) -> SourceLoc:
        """The place of ``length`` characters from an offset."""
        line = min(bisect_right(self.lines, start), len(self.lines) - 1)
        first, end = self.lines[line - 1], self.lines[line]
        text = self.text[first : end - 1]
        col = start - first + 1
        return SourceLoc(self.filename, line, col, col + max(1, length), text)

    def error(
        self, token: Token, message: str, allowed: str | None = None, hint: str | None = None
    ) -> ParseError:
        """An error about a token."""
        place = self.loc(token.start, len(token.text))
        return ParseError(message, loc=place, allowed=allowed, hint=hint)


class Tokens:
    """Reads a source token by token; ``here`` is the next one, ``previous`` the one before."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.next_start = 0
        self.here = self.previous = self._read()

    def _read(self) -> Token:
        match = _TOKEN.match(self.source.text, self.next_start)
        assert match is not None
        assert match.lastgroup is not None
        kind = match.lastgroup
        token = Token(kind, match.group(kind), match.start(kind))
        if kind == "bad":
            raise self.source.error(token, f"{token.text!r} starts nothing that MLIR has")
        self.next_start = match.end()
        return token

    def take(self) -> Token:
        """The next token, which is then behind."""
        self.previous = token = self.here
        self.here = self._read()
        return token

    def at(self, *texts: str) -> bool:
        """Whether the next token is one of these words or signs."""
        return self.here.text in texts and self.here.kind in ("word", "punct")

    def accept(self, text: str) -> bool:
        """Take the next token if it is this word or sign."""
        if self.at(text):
            self.take()
            return True
        return False

    def expect(self, text: str) -> Token:
        """Take this word or sign; ParseError when something else is next."""
        if not self.at(text):
            raise self.unexpected(f"'{text}'")
        return self.take()

    def expect_kind(self, kind: str, wanted: str) -> Token:
        """Take a token of a kind; ParseError, which names ``wanted``, for another."""
        if self.here.kind != kind:
            raise self.unexpected(wanted)
        return self.take()

    def unexpected(self, wanted: str) -> ParseError:
        """The error that the next token is not ``wanted``."""
        found = f"'{self.here.text}'" if self.here.text else "the end of the text"
        return self.source.error(self.here, f"{found} stands where {wanted} is expected")

    def listed[T](self, closing: str, item: Callable[[], T]) -> list[T]:
        """Read items with commas between them up to a closing sign, which is taken."""
        found: list[T] = []
        while not self.accept(closing):
            found.append(item())
            if not self.at(closing):
                self.expect(",")
        return found

    def dimensions(self) -> tuple[int, ...]:
        """Read ``<?x8x`` in front of an element type: tokens do not split ``x8xi32``."""
        if not self.at("<"):
            raise self.unexpected("'<'")
        match = _DIMENSIONS.match(self.source.text, self.next_start)
        assert match is not None
        self.next_start = match.end()
        self.here = self._read()
        found = re.findall(r"\d+|\?", match.group())
        return tuple(DYNAMIC if n == "?" else int(n) for n in found)
