"""Writing modules of the loop IR by hand, in few words, and running them in hardware."""

import copy
from contextlib import contextmanager

import numpy as np
from agreement import as_ints

from allo_rtl.errors import SourceLoc
from allo_rtl.hls.depths import run_cycles
from allo_rtl.hls.design import build_design
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.arithmetic import limits
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.ops import (
    Alloc,
    Assert,
    Binary,
    BinaryKind,
    Call,
    Cast,
    Compare,
    Condition,
    Constant,
    FloatKind,
    FloatOp,
    For,
    Func,
    GetGlobal,
    Global,
    If,
    Load,
    LoopAttrs,
    Module,
    Predicate,
    Print,
    Return,
    Select,
    Store,
    Value,
    While,
)
from allo_rtl.ir.types import ArrayType, UInt, bool_, index, int32
from allo_rtl.ir.verify import verify_module
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim
from allo_rtl.sim.marshal import from_words, to_words
from allo_rtl.target import device


class Writer:
    """Collects the operations of a function; every call is on a line of its own."""

    def __init__(self, *args):
        self.args = args
        self.blocks = [[]]
        self.line = 0

    def add(self, op_class, **parts):
        self.line += 1
        self.blocks[-1].append(op_class(loc=SourceLoc("k.py", self.line), **parts))

    def define(self, op_class, type, **parts):
        result = Value(type, parts.pop("name", ""))
        self.add(op_class, result=result, **parts)
        return result

    def const(self, value, type=int32):
        return self.define(Constant, type, value=value)

    def binary(self, kind, a, b):
        b = self.const(b, a.type) if isinstance(b, int) else b
        return self.define(Binary, a.type, kind=BinaryKind(kind), lhs=a, rhs=b)

    def compare(self, predicate, a, b):
        b = self.const(b, a.type) if isinstance(b, int) else b
        return self.define(Compare, bool_, predicate=Predicate(predicate), lhs=a, rhs=b)

    def select(self, condition, a, b):
        return self.define(Select, a.type, condition=condition, if_true=a, if_false=b)

    def cast(self, value, type):
        return self.define(Cast, type, operand=value)

    def float(self, kind, format, *args, result=None, **parts):
        return self.define(
            FloatOp, result or UInt(format.width), kind=FloatKind(kind), format=format,
            args=args, **parts,
        )  # fmt: skip

    def alloc(self, type, name):
        return self.define(Alloc, type, name=name)

    def variable(self, value, name):
        """A scalar variable with a first value."""
        cell = self.alloc(ArrayType(value.type, ()), name)
        self.store(value, cell)
        return cell

    def global_(self, item):
        result = Value(item.type, item.name)
        self.add(GetGlobal, result=result, name=item.name)
        return result

    def load(self, array, *index):
        return self.define(Load, array.array.element, array=array, index=exprs(index))

    def store(self, value, array, *index):
        self.add(Store, value=value, array=array, index=exprs(index))

    def call(self, callee, *args):
        outs = tuple(Value(t) for t in callee.results)
        self.add(Call, callee=callee.name, args=args, outs=outs)
        return outs

    def print(self, text, *args, types=()):
        self.add(Print, text=text, args=args, types=types)

    def check(self, condition, message=""):
        self.add(Assert, condition=condition, message=message)

    @contextmanager
    def block(self):
        self.blocks.append([])
        yield self.blocks[-1]
        self.blocks.pop()

    @contextmanager
    def loop(self, name, *bounds, step=1, **attrs):
        lower, upper = bounds if len(bounds) > 1 else (0, *bounds)
        iv = Value(index, name)
        with self.block() as body:
            yield iv
        self.add(
            For, iv=iv, lower=exprs([lower]), upper=exprs([upper]), body=tuple(body), step=step,
            name=name, attrs=LoopAttrs(**attrs),
        )  # fmt: skip

    @contextmanager
    def while_(self, condition):
        """``condition`` is a function that writes the operations and gives the value."""
        with self.block() as before:
            value = condition()
            self.add(Condition, value=value)
        with self.block() as body:
            yield
        self.add(While, before=tuple(before), body=tuple(body))

    @contextmanager
    def if_(self, condition, orelse=None):
        """``orelse`` is a function that writes the other branch."""
        with self.block() as then:
            yield
        with self.block() as other:
            if orelse:
                orelse()
        self.add(If, condition=condition, then=tuple(then), orelse=tuple(other))

    def func(self, name="kernel", *results):
        if results:
            self.add(Return, values=tuple(results))
        types = tuple(r.type for r in results)
        return Func(name=name, args=self.args, results=types, body=tuple(self.blocks[0]))


def exprs(parts):
    of = {int: AffineExpr.constant, Value: AffineExpr.of}
    return tuple(of.get(type(p), lambda e: e)(p) for p in parts)


def module_of(*funcs, globals=()):
    module = Module(funcs=funcs, top=funcs[-1].name, globals=tuple(globals))
    verify_module(module)
    return module


def stateful(name, type, data):
    return Global(name=name, type=type, data=tuple(data), stateful=True)


def design_of(module, device_name="ecp5-85", clock_mhz=50):
    return build_design(module, device(device_name), float(clock_mhz))


def random_args(module, seed):
    random = np.random.default_rng(seed)

    def number(type):
        low, high = limits(type)
        span = high - low + 1
        return low + int.from_bytes(random.bytes(-(-type.bits // 8))) % span

    return [
        np.array([number(v.type.element) for _ in range(v.type.size)], object).reshape(v.type.shape)
        if isinstance(v.type, ArrayType) else number(v.type)
        for v in module.top_func.args
    ]  # fmt: skip


def agree(module, args, design=None, **options):
    """Assert that the hardware does what the evaluator does, in the cycles promised."""
    design = design or design_of(module, **options)
    types = [v.type for v in module.top_func.args]
    raw = [
        to_words(a, t.element) if isinstance(t, ArrayType) else a
        for a, t in zip(args, types, strict=True)
    ]
    results, cycles = pysim.run(KernelComponent(design), raw)
    after = copy.deepcopy(args)
    expected = [as_ints(r) for r in evaluate(module, after)]
    assert as_python(results, module.top_func.results) == expected
    assert as_python(raw, types) == [as_ints(a) for a in after]
    assert run_cycles(design) in (None, cycles)
    return cycles


def as_python(raw, types):
    return [
        as_ints(from_words(r, t, object)) if isinstance(t, ArrayType) else r
        for r, t in zip(raw, types, strict=True)
    ]
