"""Functions of floating-point numbers as integer algorithms in the loop IR."""

from allo_rtl.ir.functions.build import build_function, function_name

__all__ = ["build_function", "function_name"]
