# ruff: noqa: E402 - the namespace is made whole first.
"""allo_rtl: composable scheduling of Python kernels, lowered directly to RTL.

    import allo_rtl as allo

    s = allo.customize(kernel)         # a Schedule; its primitives change how the kernel runs
    cpu = s.build()                    # a function on this machine
    rtl = s.build(target="rtl")        # hardware, called alike (it runs in Verilator)

Types are in :mod:`allo_rtl.ir.types`.
"""

from pathlib import Path

# In a checkout, frontend/, sim/ and boards/ lie beside this folder and belong to this namespace.
_root = Path(__file__).resolve().parent.parent
if (_root / "pyproject.toml").exists() and str(_root) not in __path__:
    __path__.append(str(_root))

from allo_rtl.advice import Advice, advise
from allo_rtl.customize import customize, invoke_mlir_parser
from allo_rtl.errors import AlloError
from allo_rtl.frontend.dsl import (
    abs,
    add,
    bmm,
    concat,
    conv2d,
    copy,
    cos,
    div,
    exp,
    fma,
    gelu,
    grid,
    layernorm,
    linear,
    log,
    log2,
    log10,
    matmul,
    maxpool,
    mul,
    ones,
    power,
    reduction,
    relu,
    sin,
    softmax,
    sqrt,
    sub,
    sumpool,
    tan,
    tanh,
    transpose,
    tril,
    view,
    zeros,
)
from allo_rtl.frontend.template import meta_elif, meta_else, meta_for, meta_if
from allo_rtl.ir.types import Memory, Partition
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.sim.cpu import LLVMModule
from allo_rtl.verify import Verdict, verify

__all__ = [
    "Advice",
    "AlloError",
    "LLVMModule",
    "Memory",
    "Partition",
    "Schedule",
    "Verdict",
    "abs",
    "add",
    "advise",
    "bmm",
    "concat",
    "conv2d",
    "copy",
    "cos",
    "customize",
    "div",
    "exp",
    "fma",
    "gelu",
    "grid",
    "invoke_mlir_parser",
    "layernorm",
    "linear",
    "log",
    "log2",
    "log10",
    "matmul",
    "maxpool",
    "meta_elif",
    "meta_else",
    "meta_for",
    "meta_if",
    "mul",
    "ones",
    "power",
    "reduction",
    "relu",
    "sin",
    "softmax",
    "sqrt",
    "sub",
    "sumpool",
    "tan",
    "tanh",
    "transpose",
    "tril",
    "verify",
    "view",
    "zeros",
]
