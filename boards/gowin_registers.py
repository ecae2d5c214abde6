"""Registers around Gowin's multipliers become those inside of the blocks.

Yosys (0.70) leaves all registers outside.  nextpnr (0.11) knows no delays of multipliers, so that
its placer does not care how long the wires between them and registers are: often as long as half of
what the block itself takes.  Registers inside have no wire.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MULTIPLIERS = ("MULT9X9", "MULT18X18")
"""The blocks whose registers are used."""

REGISTERS = {"A": "AREG", "B": "BREG", "DOUT": "OUT_REG"}
"""The parameter of a block that puts a register at each of its ports."""

_FLOPS = ("DFF", "DFFE", "DFFR", "DFFRE")
_CLOCKED = ("DFF", "SP", "SDP", "DP", "pROM")
"""Beginnings of the types of cells whose outputs are there right after the clock."""

type Bit = int | str
"""A net's number, or a constant: "0", "1" or "x"."""
type Json = dict[str, Any]
"""A netlist as Yosys writes it, or a part of one."""


def take_registers(path: Path) -> None:
    """Move registers into the multipliers of the netlist in a file, see :func:`inside`."""
    path.write_text(json.dumps(inside(json.loads(path.read_text()))))


def inside(netlist: Json) -> Json:
    """A flat netlist in which multipliers have the registers around them inside, where they can.

    Behind a block these are registers that are all that uses its product.  Before it they are those
    that another register or a memory is wired to: that wire becomes longer instead.  Registers of
    one block have the same clock and enable, begin with 0 and are never reset.  Those that somebody
    asked to keep stay where they are.
    """
    return {**netlist, "modules": {n: _moved(m) for n, m in netlist["modules"].items()}}


def registered(netlist: Json) -> dict[str, frozenset[str]]:
    """The ports with a register of each multiplier that has some, by the cell's name."""
    return {
        name: ports
        for module in netlist["modules"].values()
        for name, cell in module["cells"].items()
        if cell["type"] in MULTIPLIERS
        and (ports := frozenset(p for p, r in REGISTERS.items() if _is_set(cell, r)))
    }


@dataclass(frozen=True, slots=True)
class _Flop:
    """A flip-flop that may be inside of a block."""

    name: str
    data: Bit
    output: Bit
    control: tuple[Bit, Bit]  # clock and enable


def _moved(module: Json) -> Json:
    """The module with registers moved: those behind all blocks, then those before them."""
    blocks = [name for name, cell in module["cells"].items() if cell["type"] in MULTIPLIERS]
    for name in blocks:
        module = _behind(name, module, _Nets(module))
    for name in blocks:
        for port in ("A", "B"):
            module = _before(name, port, module, _Nets(module))
    return module


def _behind(block: str, module: Json, nets: _Nets) -> Json:
    """The module with the registers that all of a product goes to inside of its block."""
    cell = module["cells"][block]
    bits = cell["connections"]["DOUT"]
    used = [bit for bit in bits if nets.users[bit]]
    flops = {bit: flop for bit in used if (flop := nets.behind(bit))}
    if len(flops) < len(used):
        return module
    outputs = [flops[bit].output if bit in flops else bit for bit in bits]
    changed = _with_register(cell, "DOUT", outputs, [*flops.values()])
    return _replaced(module, block, changed, {f.name for f in flops.values()})


def _before(block: str, port: str, module: Json, nets: _Nets) -> Json:
    """The module with the registers of an operand inside of its block."""
    cell = module["cells"][block]
    bits = cell["connections"][port]
    flops = {bit: flop for bit in bits if (flop := nets.flops.get(bit))}
    if any(bit not in flops and nets.value(bit) != "0" for bit in bits):
        return module
    if any(flop.data not in nets.clocked for flop in flops.values()):
        return module
    data = [flops[bit].data if bit in flops else bit for bit in bits]
    changed = _with_register(cell, port, data, [*flops.values()])
    here = (block, port)
    unused = {f.name for bit, f in flops.items() if all(user == here for user in nets.users[bit])}
    return _replaced(module, block, changed, unused)


def _with_register(
    cell: Json, port: str, bits: Sequence[Bit], flops: Sequence[_Flop]
) -> Json | None:
    """A block with a register at a port, whose other side are ``bits``; None: it cannot have it."""
    controls = {flop.control for flop in flops}
    connections = cell["connections"]
    if any(_is_set(cell, parameter) for parameter in REGISTERS.values()):
        controls.add((connections["CLK"][0], connections["CE"][0]))
    if not flops or len(controls) > 1:
        return None
    [(clock, enable)] = controls
    return {
        **cell,
        "parameters": {**cell["parameters"], REGISTERS[port]: "1"},
        "connections": {**connections, port: list(bits), "CLK": [clock], "CE": [enable]},
    }


def _replaced(module: Json, block: str, changed: Json | None, gone: set[str]) -> Json:
    """The module with a block changed and cells gone; as it is where the block did not change."""
    if changed is None:
        return module
    cells = {name: cell for name, cell in module["cells"].items() if name not in gone}
    return {**module, "cells": {**cells, block: changed}}


class _Nets:
    """What drives and what uses the bits of a module.

    Attributes:
        users: cell and port of each use of a bit, ports of the module with "" for the cell.
        flops: the flip-flops that a block may have inside, by their outputs.
        clocked: bits that are there right after the clock.
    """

    def __init__(self, module: Json) -> None:
        cells: Mapping[str, Json] = module["cells"]
        self.users: dict[Bit, list[tuple[str, str]]] = defaultdict(list)
        self.clocked: set[Bit] = set()
        self._constants: dict[Bit, str] = {"0": "0", "1": "1"}
        for port, content in module["ports"].items():
            for bit in content["bits"]:
                self.users[bit].append(("", port))
        for name, port, bits, drives in _pins(cells):
            kind = cells[name]["type"]
            if not drives:
                for bit in bits:
                    self.users[bit].append((name, port))
            elif kind in ("GND", "VCC"):
                self._constants |= dict.fromkeys(bits, "1" if kind == "VCC" else "0")
            elif kind.startswith(_CLOCKED) or (port == "DOUT" and _is_set(cells[name], "OUT_REG")):
                self.clocked |= set(bits)
        kept = {
            bit
            for net in module["netnames"].values()
            if "keep" in net["attributes"]
            for bit in net["bits"]
        }
        found = (flop for name, cell in cells.items() if (flop := self._flop(name, cell)))
        self.flops = {flop.output: flop for flop in found if flop.output not in kept}
        self._by_name = {flop.name: flop for flop in self.flops.values()}

    def value(self, bit: Bit) -> str | None:
        """The constant that a bit is, if it is one."""
        return self._constants.get(bit)

    def behind(self, bit: Bit) -> _Flop | None:
        """The flip-flop that is all that uses a bit, as its data."""
        match self.users[bit]:
            case [(name, "D")]:
                return self._by_name.get(name)
        return None

    def _flop(self, name: str, cell: Json) -> _Flop | None:
        pins = {port: bits[0] for port, bits in cell["connections"].items() if bits}
        if cell["type"] not in _FLOPS or _is_set(cell, "INIT") or "keep" in cell["attributes"]:
            return None
        if "RESET" in pins and self.value(pins["RESET"]) != "0":
            return None
        enable = pins.get("CE", "1")
        enable = "1" if self.value(enable) == "1" else enable
        return _Flop(name, pins["D"], pins["Q"], (pins["CLK"], enable))


def _pins(cells: Mapping[str, Json]) -> Iterator[tuple[str, str, list[Bit], bool]]:
    """The ports of cells: cell, port, bits, and whether the cell drives them."""
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            yield name, port, bits, cell["port_directions"].get(port) == "output"


def _is_set(cell: Json, parameter: str) -> bool:
    """Whether a parameter of a cell is there and not 0."""
    return "1" in str(cell["parameters"].get(parameter, ""))
