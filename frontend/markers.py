"""Decorators: which of :mod:`.dataflow_dsl` they are."""

from __future__ import annotations

import ast
from typing import Any

from allo_rtl.frontend import dataflow_dsl
from allo_rtl.frontend.capture import Kernel
from allo_rtl.frontend.infer import MISSING, resolve


def is_region(kernel: Kernel) -> bool:
    """Whether a kernel is decorated as a region."""
    return any(means(kernel, d, dataflow_dsl.region) for d in kernel.node.decorator_list)


def means(kernel: Kernel, node: ast.expr, thing: Any) -> bool:  # noqa: ANN401 - any function
    """Whether a decorator is a call of ``thing``, a function of :mod:`.dataflow_dsl`."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
        return False
    found = resolve(kernel, node.func)
    unknown = found is MISSING and ast.unparse(node.func) == f"df.{thing.__name__}"
    return found is thing or unknown
