"""Random kernels over all scalar types and operators, and what they compute, independently.

:func:`kernels` is a hypothesis strategy of :class:`Case`: the source of a kernel whose arguments
are named after their types, and inputs.  :func:`meaning` computes its result from the source with
:mod:`numbers_model`, so nothing of the package is used but the typing rules (which have tables of
their own).
"""

import ast
import re
from dataclasses import dataclass
from fractions import Fraction

import numbers_model as model
from hypothesis import strategies as st
from numbers_model import Scalar

from allo_rtl.frontend import typing_rules as rules
from allo_rtl.ir.types import (
    Fixed,
    FixedType,
    Float,
    Index,
    Int,
    IntegerType,
    UFixed,
    UInt,
    bfloat16,
    float8_e4m3,
    float8_e5m2,
    float16,
    float32,
    float64,
    index,
)

TYPES = {
    "b": UInt(1), "i3": Int(3), "i8": Int(8), "i16": Int(16), "i32": Int(32), "i64": Int(64),
    "u5": UInt(5), "u8": UInt(8), "u16": UInt(16), "u32": UInt(32), "u64": UInt(64),
    "fx16": Fixed(16, 8), "fx12": Fixed(12, 12), "fx40": Fixed(40, 20), "fx6": Fixed(6, 9),
    "ux12": UFixed(12, 4), "ux8": UFixed(8, 7),
    "e4m3": float8_e4m3, "e5m2": float8_e5m2, "h": float16, "bh": bfloat16,
    "f": float32, "d": float64,
}  # fmt: skip
NARROW = {name: t for name, t in TYPES.items() if t.bits <= 16}
"""Types whose operations are quick to simulate."""

BOOL = UInt(1)
ARITHMETIC = {
    ast.Add: ("+", rules.sum_type),
    ast.Sub: ("-", rules.sum_type),
    ast.Mult: ("*", rules.product_type),
    ast.Div: ("/", rules.quotient_type),
    ast.FloorDiv: ("//", rules.quotient_type),
    ast.Mod: ("%", rules.common_type),
    ast.BitAnd: ("&", rules.bitwise_type),
    ast.BitOr: ("|", rules.bitwise_type),
    ast.BitXor: ("^", rules.bitwise_type),
    ast.LShift: ("<<", rules.shift_type),
    ast.RShift: (">>", rules.shift_type),
}
COMPARISONS = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A kernel and inputs (the ints that stand for values, in the order of its arguments)."""

    source: str
    inputs: tuple[int, ...]
    types: dict
    arguments: tuple[str, ...] = ()

    def __repr__(self):
        used = {n: str(t) for n, t in self.types.items() if f"T_{n}" in self.source}
        return f"{self.source}{self.inputs} {used}"

    @property
    def names(self):
        """What the text needs to know: the types by the names of the arguments."""
        return {f"T_{name}": type_ for name, type_ in self.types.items()} | {"index": index}


# --- Meaning -------------------------------------------------------------------------------------


def meaning(case):
    """The result of a kernel, the int that stands for it."""
    (function,) = ast.parse(case.source).body
    types = {f"T_{name}": type_ for name, type_ in case.types.items()}
    env = {
        arg.arg: Scalar(types[arg.annotation.id], raw)
        for arg, raw in zip(function.args.args, case.inputs, strict=True)
    }
    reader = _Reader(env, types)
    for statement in function.body:
        reader.run(statement)
    return model.cast(types[function.returns.id], reader.result).raw


def counted_meaning(case, counter):
    """The result for one number of the counter ``i`` of a :func:`counted` kernel."""
    loop = ast.parse(case.source).body[0].body[0]
    env = {
        name: Scalar(case.types[name], raw)
        for name, raw in zip(case.arguments, case.inputs, strict=True)
    }
    types = {f"T_{name}": type_ for name, type_ in case.types.items()}
    reader = _Reader(env | {"i": Scalar(index, counter)}, types)
    return model.cast(case.types["result"], reader.value(loop.body[0].value)).raw


class _Reader:
    """Reads a kernel of this module's strategy."""

    def __init__(self, env, types):
        self.env, self.types, self.result = env, types, None

    def run(self, node):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=type_, value=value):
                self.env[name] = model.cast(self.types[type_.id], self.value(value))
            case ast.Assign(targets=[target], value=value):
                self.assign(target, self.value(value))
            case ast.AugAssign(target=target, op=op, value=value):
                self.assign(target, self.binary(op, self.value(target), self.value(value)))
            case ast.If(test=test, body=body, orelse=orelse):
                for inner in body if self.value(test).true else orelse:
                    self.run(inner)
            case ast.Return(value=value):
                self.result = self.value(value)
            case _:
                raise AssertionError(ast.dump(node))

    def assign(self, target, value):
        if isinstance(target, ast.Name):
            known = self.env.get(target.id)
            kept = Scalar(value.type, model.cast(value.type, value).raw)
            self.env[target.id] = model.cast(known.type, value) if known else kept
            return
        word = self.env[target.value.id]
        low, count = self.range_of(target.slice, word)
        mask = ((1 << count) - 1) << low
        fresh = model.bits_of(UInt(count), model.cast(UInt(count), value).raw) << low
        raw = (model.bits_of(word.type, word.raw) & ~mask) | (fresh & mask)
        self.env[target.value.id] = Scalar(word.type, model.wrapped(word.type, raw))

    def range_of(self, at, word):
        """Lowest bit and number of bits of a subscript; a bit far outside is bit 2**12."""
        if isinstance(at, ast.Slice):
            low = self.value(at.lower).raw
            # Widths are written as constants: low + n.
            return self._bit(low), self.value(at.upper).raw - low
        return self._bit(self.value(at).raw), 1

    def _bit(self, place):
        return place if 0 <= place < 1 << 12 else 1 << 12

    def value(self, node):
        match node:
            case ast.Constant(value=float(number)):
                raw = model.nearest(float32, Fraction(number))
                return Scalar(float32, raw, number)
            case ast.Constant(value=bool(flag)):
                return Scalar(BOOL, int(flag))
            case ast.Constant(value=int(number)):
                return Scalar(rules.literal_type(number), number)
            case ast.Name(id=name):
                return self.env[name]
            case ast.UnaryOp(op=op, operand=operand):
                return self.unary(op, operand)
            case ast.BinOp(left=left, op=op, right=right):
                return self.binary(op, self.value(left), self.value(right))
            case ast.Compare(left=left, ops=ops, comparators=rights):
                values = [self.value(n) for n in (left, *rights)]
                pairs = zip(ops, values, values[1:], strict=False)
                found = [model.compared(COMPARISONS[type(o)], a, b) for o, a, b in pairs]
                return Scalar(BOOL, int(all(found)))
            case ast.BoolOp(op=op, values=parts):
                flags = [self.value(p).true for p in parts]
                return Scalar(BOOL, int(all(flags) if isinstance(op, ast.And) else any(flags)))
            case ast.IfExp(test=test, body=one, orelse=other):
                a, b = self.value(one), self.value(other)
                result = rules.common_type(a.type, b.type)
                return _fixed_up(model.cast(result, a if self.value(test).true else b))
            case ast.Subscript(value=word, slice=at):
                word = self.value(word)
                low, count = self.range_of(at, word)
                raw = model.bits_of(word.type, word.raw) >> low & ((1 << count) - 1)
                return Scalar(UInt(count), raw)
            case ast.Call():
                return self.call(node)
        raise AssertionError(ast.dump(node))

    def unary(self, op, operand):
        x = self.value(operand)
        if isinstance(op, ast.Not):
            return Scalar(BOOL, int(not x.true))
        if isinstance(op, ast.UAdd):
            return model.cast(rules.unary_type(x.type), x)
        if isinstance(op, ast.Invert):
            type_ = rules.unary_type(x.type)
            return Scalar(type_, model.wrapped(type_, ~x.raw))
        if isinstance(operand, ast.Constant) and isinstance(operand.value, int):
            return Scalar(rules.literal_type(-operand.value), -operand.value)
        if isinstance(x.type, Float):
            literal = None if x.literal is None else -x.literal
            return Scalar(x.type, x.raw ^ 1 << (x.type.width - 1), literal)
        return model.whole(rules.negative_type(x.type), -x.number)

    def binary(self, op, a, b):
        sign, rule = ARITHMETIC[type(op)]
        return self.compute(sign, rule(a.type, b.type), a, b)

    def compute(self, sign, type_, a, b):
        if isinstance(type_, Float):
            return model.float_binary(sign, type_, a, b)
        return model.exact_binary(sign, type_, a, b)

    def call(self, node):
        match node:
            case ast.Call(func=ast.Name(id="min" | "max" as name), args=args):
                result, *rest = (self.value(a) for a in args)
                for other in rest:
                    type_ = rules.common_type(result.type, other.type)
                    result = self.compute(name, type_, result, other)
                return result
            case ast.Call(func=ast.Name(id="abs"), args=[arg]):
                x = self.value(arg)
                if isinstance(x.type, Float):
                    return Scalar(x.type, x.raw & ~(1 << (x.type.width - 1)))
                return model.whole(x.type, abs(x.number))
            case ast.Call(func=ast.Name(id="int"), args=[arg]):
                return model.cast(Int(32), self.value(arg))
            case ast.Call(func=ast.Name(id="float"), args=[arg]):
                return _fixed_up(model.cast(float32, self.value(arg)))
            case ast.Call(func=ast.Name(id="bool"), args=[arg]):
                return Scalar(BOOL, int(self.value(arg).true))
            case ast.Call(func=ast.Name(id=name), args=[arg]):
                return _fixed_up(model.cast(self.types[name], self.value(arg)))
            case ast.Call(func=ast.Attribute(value=word, attr="reverse")):
                x = self.value(word)
                text = f"{model.bits_of(x.type, x.raw):0{x.type.bits}b}"
                return Scalar(x.type, model.wrapped(x.type, int(text[::-1], 2)))
            case ast.Call(func=ast.Attribute(value=word, attr="bitcast"), args=args):
                x = self.value(word)
                type_ = self.types[args[0].id] if args else UInt(x.type.bits)
                return Scalar(type_, model.wrapped(type_, x.raw))
        raise AssertionError(ast.dump(node))


def _fixed_up(x):
    """A value that is not a literal any more."""
    return Scalar(x.type, x.raw)


# --- Strategies ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Text:
    """An expression's text and type."""

    text: str
    type: object

    @property
    def plain(self):
        """Whether it has no variable: only functions and types have letters then."""
        words = re.findall(r"[A-Za-z_]\w*", re.sub(r"\d[\de.+-]*", "0", self.text))
        return all(w.startswith("T_") or w in _WORDS for w in words)


_WORDS = {"min", "max", "abs", "int", "float", "bool", "reverse", "bitcast"}
_WORDS |= {"if", "else", "and", "or", "not"}


def _is_whole(type_):
    return isinstance(type_, IntegerType)


class _Writer:
    """Writes expressions over the variables known so far."""

    def __init__(self, draw, types):
        self.draw, self.types = draw, types
        self.variables = {}

    def pick(self, options):
        return self.draw(st.sampled_from(list(options)))

    def variable(self, wanted=lambda t: True):
        fitting = [n for n, t in self.variables.items() if wanted(t)]
        name = self.pick(fitting or self.variables)
        return _Text(name, self.variables[name])

    def leaf(self):
        choice = self.draw(st.integers(0, 5))
        if choice == 0:
            number = self.draw(st.integers(0, 300) | st.integers(0, 1 << 34))
            return _Text(str(number), rules.literal_type(number))
        if choice == 1:
            number = self.draw(st.sampled_from([0.0, 0.1, 0.5, 1.5, 3.75, 1e-9, 100.25, 1e30]))
            return _Text(repr(number), float32)
        return self.variable()

    def expression(self, depth):
        """An expression whose type is not too wide to go on with."""
        found = self.leaf() if depth == 0 else self.compound(depth)
        small = isinstance(found.type, Float | Index) or found.type.bits <= 90
        if small and getattr(found.type, "fracs", 0) <= 60:
            return found
        return self.converted(found)

    def converted(self, inner):
        name = self.pick(self.types)
        return _Text(f"T_{name}({inner.text})", self.types[name])

    def compound(self, depth):
        kinds = [
            self.arithmetic, self.arithmetic, self.arithmetic, self.bitwise, self.shift,
            self.unary, self.comparison, self.logic, self.ternary, self.extreme, self.conversion,
            self.bits, self.pattern, self.leaf_only,
        ]  # fmt: skip
        return self.pick(kinds)(depth - 1)

    def leaf_only(self, depth):
        return self.leaf()

    def pair(self, depth):
        """Two operands, one of them with a variable."""
        a, b = self.expression(depth), self.expression(depth)
        return (a, self.variable()) if a.plain and b.plain else (a, b)

    def arithmetic(self, depth):
        a, b = self.pair(depth)
        sign, rule = self.pick([ARITHMETIC[op] for op in list(ARITHMETIC)[:6]])
        try:
            type_ = rule(a.type, b.type)
        except ValueError:  # More than 255 fraction bits.
            return self.converted(a)
        return _Text(f"({a.text} {sign} {b.text})", type_)

    def whole(self, depth):
        inner = self.expression(depth)
        if _is_whole(inner.type):
            return inner
        name = self.pick(n for n, t in self.types.items() if _is_whole(t))
        return _Text(f"T_{name}({inner.text})", self.types[name])

    def bitwise(self, depth):
        a, b = self.whole(depth), self.whole(depth)
        sign = self.pick("&|^")
        return _Text(f"({a.text} {sign} {b.text})", rules.bitwise_type(a.type, b.type))

    def shift(self, depth):
        a, b = self.expression(depth), self.whole(depth)
        if isinstance(a.type, Float):
            a = self.whole(depth)
        if b.plain:
            b = _Text(str(self.draw(st.integers(0, 70))), Int(32))
        return _Text(f"({a.text} {self.pick(['<<', '>>'])} {b.text})", a.type)

    def unary(self, depth):
        a = self.expression(depth)
        sign = self.pick("-+~!@") if _is_whole(a.type) else self.pick("-+!@")
        if sign == "!":
            return _Text(f"(not {a.text})", BOOL)
        if sign == "@":
            return _Text(f"abs({a.text})", a.type)
        rule = rules.negative_type if sign == "-" else rules.unary_type
        return _Text(f"({sign}{a.text})", rule(a.type))

    def comparison(self, depth):
        a, b = self.pair(depth)
        sign, other = self.pick(COMPARISONS.values()), self.pick(COMPARISONS.values())
        if self.draw(st.booleans()):
            return _Text(f"({a.text} {sign} {b.text})", BOOL)
        return _Text(f"({a.text} {sign} {b.text} {other} {self.variable().text})", BOOL)

    def logic(self, depth):
        a, b = self.expression(depth), self.expression(depth)
        return _Text(f"({a.text} {self.pick(['and', 'or'])} {b.text})", BOOL)

    def ternary(self, depth):
        test, (a, b) = self.expression(depth), self.pair(depth)
        type_ = rules.common_type(a.type, b.type)
        return _Text(f"({a.text} if {test.text} else {b.text})", type_)

    def extreme(self, depth):
        a, b = self.pair(depth)
        type_ = rules.common_type(a.type, b.type)
        name = self.pick(["min", "max"])
        if self.draw(st.booleans()):
            return _Text(f"{name}({a.text}, {b.text})", type_)
        third = self.variable()
        type_ = rules.common_type(type_, third.type)
        return _Text(f"{name}({a.text}, {b.text}, {third.text})", type_)

    def conversion(self, depth):
        inner = self.expression(depth)
        name = self.pick(["int", "float", "bool", ""])
        if name:
            type_ = {"int": Int(32), "float": float32, "bool": BOOL}[name]
            return _Text(f"{name}({inner.text})", type_)
        return self.converted(inner)

    def bits(self, depth):
        word = self.whole(depth)
        width = word.type.width
        pick = self.draw(st.integers(0, 3))
        if pick == 0:
            return _Text(f"{self.around(word)}[{self.draw(st.integers(0, width - 1))}]", BOOL)
        if pick == 1:
            return _Text(f"{self.around(word)}[{self.variable(_is_whole).text}]", BOOL) if any(
                map(_is_whole, self.variables.values())
            ) else word
        if pick == 2:
            low = self.draw(st.integers(0, width - 1))
            high = self.draw(st.integers(low + 1, width))
            return _Text(f"{self.around(word)}[{low}:{high}]", UInt(high - low))
        return _Text(f"{self.around(word)}.reverse()", word.type)

    def around(self, word):
        """The text of a word that a subscript or method may follow."""
        return word.text if word.text[0] == "(" or not word.plain else f"({word.text})"

    def pattern(self, depth):
        inner = self.expression(depth)
        same = [n for n, t in self.types.items() if t.bits == inner.type.bits]
        if inner.plain or not same or isinstance(inner.type, Index):
            return inner
        name = self.pick(same)
        if isinstance(inner.type, IntegerType) or self.draw(st.booleans()):
            return _Text(f"{inner.text}.bitcast(T_{name})", self.types[name])
        return _Text(f"{inner.text}.bitcast()", UInt(inner.type.bits))


def corners(type_):
    """Ends, zeros, ones and special values of a type."""
    if isinstance(type_, Float):
        top = 1 << (type_.width - 1)
        numbers = [Fraction(1), Fraction(-3, 2), Fraction(10) ** 400, -Fraction(10) ** 400]
        near = [model.nearest(type_, x) for x in numbers]
        return [0, top, 1, top | 1, *near, model.canonical_nan(type_)]
    raw = type_.raw if isinstance(type_, FixedType) else type_
    one = model.whole(type_, Fraction(1)).raw
    return sorted({raw.min, raw.max, 0, max(raw.min, -1), min(raw.max, 1), one})


def inputs_of(type_):
    """Inputs of a type: ends, zeros, special and other bit patterns; the canonical NaN only."""
    if not isinstance(type_, Float):
        raw = type_.raw if isinstance(type_, FixedType) else type_
        return st.sampled_from(corners(type_)) | st.integers(raw.min, raw.max)
    patterns = st.integers(0, (1 << type_.width) - 1).filter(
        lambda raw: not _is_nan(type_, raw) or raw == model.canonical_nan(type_)
    )
    near = st.fractions(-300, 300, max_denominator=64).map(lambda x: model.nearest(type_, x))
    return st.sampled_from(corners(type_)) | near | patterns


def _is_nan(type_, raw):
    real = float(model.numpy_of(type_, raw))
    return real != real


@st.composite
def kernels(draw, types=None, depth=3):
    """Kernels of one to four statements over up to four arguments.

    Args:
        types: the types to use, by name.
        depth: of the expressions.
    """
    types = types or TYPES
    writer = _Writer(draw, types)
    names = draw(st.lists(st.sampled_from(sorted(types)), min_size=1, max_size=4, unique=True))
    writer.variables = {name: types[name] for name in names}
    lines = []
    for n in range(draw(st.integers(0, 2))):
        lines.extend(_local(writer, f"t{n}", depth))
    returned = writer.expression(depth)
    lines.append(f"return {returned.text}")
    result = draw(st.sampled_from([returned.type, writer.types[writer.pick(types)]]))
    arguments = ", ".join(f"{name}: T_{name}" for name in names)
    source = f"def top({arguments}) -> T_result:\n" + "".join(f"    {x}\n" for x in lines)
    inputs = tuple(draw(inputs_of(types[name])) for name in names)
    return Case(source, inputs, types | {"result": result})


COUNTS = range(-2, 3)


@st.composite
def counted(draw, types=None, depth=3):
    """Kernels with a loop: the argument ``R`` gets an expression for each of ``COUNTS``."""
    types = types or TYPES
    writer = _Writer(draw, types)
    names = draw(st.lists(st.sampled_from(sorted(types)), min_size=1, max_size=2, unique=True))
    writer.variables = {name: types[name] for name in names} | {"i": index}
    stored = writer.expression(depth)
    result = draw(st.sampled_from([stored.type, writer.types[writer.pick(types)]]))
    arguments = ", ".join(f"{name}: T_{name}" for name in names)
    source = (
        f"def top({arguments}, R: T_result[{len(COUNTS)}]):\n"
        f"    for i in range({COUNTS.start}, {COUNTS.stop}):\n"
        f"        R[i - {COUNTS.start}] = {stored.text}\n".replace("- -", "+ ")
    )
    inputs = tuple(draw(inputs_of(types[name])) for name in names)
    return Case(source, inputs, types | {"result": result}, tuple(names))


def _local(writer, name, depth):
    """A variable and what is done to it."""
    draw, first = writer.draw, writer.expression(depth)
    chosen = writer.pick(writer.types)
    if draw(st.booleans()) or isinstance(first.type, Index):
        yield f"{name}: T_{chosen} = {first.text}"
        type_ = writer.types[chosen]
    else:
        yield f"{name} = {first.text}"
        type_ = first.type
    writer.variables[name] = type_
    sign, rule = writer.pick([ARITHMETIC[op] for op in list(ARITHMETIC)[:4]])
    other = writer.expression(depth - 1)
    try:
        rule(type_, other.type)
    except ValueError:
        return
    match draw(st.integers(0, 3)):
        case 0:
            yield f"{name} {sign}= {other.text}"
        case 1:
            yield f"if {writer.expression(1).text}:"
            yield f"    {name} {sign}= {other.text}"
        case 2 if _is_whole(type_):
            low = draw(st.integers(0, type_.width - 1))
            high = draw(st.integers(low + 1, type_.width))
            yield f"{name}[{low}:{high}] = {other.text}"
        case 3 if _is_whole(type_):
            yield f"{name}[{writer.variable(_is_whole).text}] = {other.text}"

