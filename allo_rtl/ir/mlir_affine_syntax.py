"""Reads affine expressions, maps and sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.mlir_lexer import Token, Tokens
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import index

type Operand = Callable[[], AffineExpr]


@dataclass(frozen=True, slots=True)
class AffineMap:
    """Expressions over ``dims``; the values in them are placeholders for the operands."""

    dims: tuple[Value, ...]
    results: tuple[AffineExpr, ...]

    def at(self, operands: list[AffineExpr]) -> tuple[AffineExpr, ...]:
        """The expressions with operands in the places of the dimensions."""
        env = dict(zip(self.dims, operands, strict=True))
        return tuple(e.substitute(env.get) for e in self.results)


@dataclass(frozen=True, slots=True)
class AffineSet:
    """The points where each expression is 0 (``equal``), or 0 or more."""

    map: AffineMap
    equal: tuple[bool, ...]


class AffineSyntax(Tokens):
    """Reads integers and what is affine."""

    def integer(self) -> int:
        sign = -1 if self.accept("-") else 1
        token = self.expect_kind("number", "an integer")
        try:
            return sign * int(token.text, 0)
        except ValueError:
            raise self.source.error(token, f"'{token.text}' is not an integer") from None

    def affine_set(self) -> AffineSet:
        """``affine_set<(d0)[s0] : (d0 - 1 >= 0, s0 == 0)>``."""
        self.expect("affine_set")
        self.expect("<")
        env: dict[str, Value] = {}
        self.map_names("(", ")", env)
        if self.at("["):
            self.map_names("[", "]", env)
        self.expect(":")
        self.expect("(")
        found = self.listed(")", lambda: self.constraint(env))
        self.expect(">")
        exprs, equal = zip(*found, strict=True) if found else ((), ())
        return AffineSet(AffineMap(tuple(env.values()), exprs), equal)

    def constraint(self, env: dict[str, Value]) -> tuple[AffineExpr, bool]:
        """An expression compared with another one; answer the difference, whether it is 0."""
        left = self.affine_sum(lambda: self.map_operand(env))
        if not self.at(">=", "=="):
            raise self.unexpected("'>=' or '=='")
        equal = self.take().text == "=="
        return left - self.affine_sum(lambda: self.map_operand(env)), equal

    def affine_map(self) -> AffineMap:
        """``affine_map<(d0)[s0] -> (d0 + s0)>``; symbols follow the dimensions."""
        self.expect("affine_map")
        self.expect("<")
        env: dict[str, Value] = {}
        self.map_names("(", ")", env)
        if self.at("["):
            self.map_names("[", "]", env)
        self.expect("->")
        results = self.affine_list("(", ")", lambda: self.map_operand(env))
        self.expect(">")
        return AffineMap(tuple(env.values()), tuple(results))

    def map_names(self, opening: str, closing: str, env: dict[str, Value]) -> None:
        self.expect(opening)
        for token in self.listed(closing, lambda: self.expect_kind("word", "a dimension's name")):
            env[token.text] = Value(index, token.text)

    def map_operand(self, env: dict[str, Value]) -> AffineExpr:
        token = self.expect_kind("word", "a dimension, an integer or '('")
        if token.text not in env:
            raise self.source.error(token, f"'{token.text}' is no dimension of this map")
        return AffineExpr.of(env[token.text])

    def affine_list(self, opening: str, closing: str, operand: Operand) -> list[AffineExpr]:
        """Affine expressions in brackets; ``operand`` reads what stands for a value."""
        self.expect(opening)
        return self.listed(closing, lambda: self.affine_sum(operand))

    def affine_sum(self, operand: Operand) -> AffineExpr:
        total = self.affine_product(operand)
        while self.at("+", "-"):
            sign = 1 if self.take().text == "+" else -1
            total = total + self.affine_product(operand) * sign
        return total

    def affine_product(self, operand: Operand) -> AffineExpr:
        expr = self.affine_unit(operand)
        while self.at("*", "floordiv", "ceildiv", "mod"):
            sign = self.take()
            expr = self.affine_scale(sign, expr, self.affine_unit(operand))
        return expr

    def affine_scale(self, sign: Token, expr: AffineExpr, by: AffineExpr) -> AffineExpr:
        if sign.text == "*" and (expr.is_constant or by.is_constant):
            return expr * by.const if by.is_constant else by * expr.const
        if sign.text == "*" or not by.is_constant or by.const < 1:
            allowed = "a constant factor" if sign.text == "*" else "a constant of 1 or more"
            raise self.source.error(sign, f"this '{sign.text}' is not affine", allowed)
        if sign.text == "mod":
            return expr.mod(by.const)
        if sign.text == "floordiv":
            return expr.floordiv(by.const)
        return -(-expr).floordiv(by.const)

    def affine_unit(self, operand: Operand) -> AffineExpr:
        if self.accept("-"):
            return -self.affine_unit(operand)
        if self.here.kind == "number":
            return AffineExpr.constant(self.integer())
        if self.accept("("):
            inner = self.affine_sum(operand)
            self.expect(")")
            return inner
        return operand()
