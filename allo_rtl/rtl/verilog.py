"""Verilog text of an Amaranth component."""

from __future__ import annotations

import re

from amaranth.back import verilog
from amaranth.lib import wiring

_FOREIGN = re.compile(
    r"""^[ ]*\(\*[ ](?:generator|top|init)[ ]=[^*]*\*\)\n
      | (?P<line>^[ ]*)?\(\*[ ]src[ ]=[ ]"[^"]*/[^"]*"[ ]\*\)(?(line)\n|[ ])""",
    re.MULTILINE | re.VERBOSE,
)
"""Attributes for the compiler's own lines and of tools; those of the kernel name no folder."""


_WRITES = re.compile(
    r"""^[ ]*always[ ]@\(posedge[ ]clk\)[ ]begin\n
        (?:[ ]*if[ ]\(.*\)[ ]begin\n (?:[ ]*\$write\(.*\);\n)+ [ ]*end\n)+
        [ ]*end\n""",
    re.MULTILINE | re.VERBOSE,
)
"""Processes that do nothing but write; tools for synthesis may not know what to do with them."""


def to_verilog(component: wiring.Component, name: str) -> str:
    """Verilog of a component and all below it; its top module is called ``name``.

    Ports are the component's members and ``clk``, ``rst`` of its clock domain.  The ``src``
    attributes name lines of the kernel.  What only simulators do is between ``ifndef SYNTHESIS``
    and ``endif``.
    """
    text: str = verilog.convert(component, name=name, emit_src=True, strip_internal_attrs=False)
    text = _FOREIGN.sub("", text)
    return _WRITES.sub(lambda found: f"`ifndef SYNTHESIS\n{found[0]}`endif\n", text)
