"""Verilog text of an Amaranth component."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from amaranth.back import rtlil, verilog
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


_EMPTY_WIRE = re.compile(r"^[ ]*wire \[-1:0\] (?P<name>\\\S+) ;\n", re.MULTILINE)


def _without_empty_wires(text: str) -> str:
    """The text without wires of no bits that nothing uses.

    Verilog has none such: ``[-1:0]`` is two bits wide there, and some tools warn about it.
    """
    used = Counter(re.findall(r"\\\S+", text))

    def keep(found: re.Match[str]) -> str:
        return found[0] if used[found["name"]] > 1 else ""

    return _EMPTY_WIRE.sub(keep, text)


def to_verilog(component: wiring.Component, name: str) -> str:
    """Verilog of a component and all below it; its top module is called ``name``.

    Ports are the component's members and ``clk``, ``rst`` of its clock domain.  The ``src``
    attributes name lines of the kernel.  What only simulators do is between ``ifndef SYNTHESIS``
    and ``endif``.
    """
    return all_to_verilog([(component, name)])


def all_to_verilog(components: Sequence[tuple[wiring.Component, str]]) -> str:
    """One text for several components, each with the name of its top module.

    The modules are in the order of their names.  Amaranth runs Yosys to write Verilog, which
    takes half a second before it begins; so it is run once for all.
    """
    parts = [rtlil.convert(component, name=name, emit_src=True) for component, name in components]
    text: str = verilog._convert_rtlil_text("\n".join(parts))
    text = _without_empty_wires(_FOREIGN.sub("", text))
    return _WRITES.sub(lambda found: f"`ifndef SYNTHESIS\n{found[0]}`endif\n", text)
