"""The generated sources around a kernel's Verilog: a wrapper with plain port names, and C++.

A kernel's ports have the user's names, which may be words of C++ or be changed by Verilator.
So the simulated top is a wrapper whose ports are p0, p1 ..., and the C++ uses only these.
"""

from __future__ import annotations

from importlib.resources import files

from allo_rtl.rtl.interface import (
    ArrayPort,
    ArrayStream,
    BankPort,
    Direction,
    KernelInterface,
    ScalarPort,
)
from allo_rtl.sim.packing import stream_parts
from allo_rtl.sim.probes import Probe, Watched, stuck_verilog, vain_verilog, verilog_of
from allo_rtl.sim.stalls import LATEST_START


def wrapper_name(interface: KernelInterface) -> str:
    """Name of the module that :func:`wrapper_verilog` writes."""
    return f"{interface.name}__simulation"


def watched_probes(watched: Watched | None) -> list[Probe]:
    """The probes of all processes, in the order of the bits of the wrapper's port ``probes``."""
    if watched is None:
        return []
    found = [watched, *watched.all_processes()]
    return list(dict.fromkeys(p for w in found for p in w.all_probes()))


def wrapper_verilog(interface: KernelInterface, watched: Watched | None = None) -> str:
    """A module that holds the kernel; its ports are clk, rst and p0 ... in signals() order.

    With processes to be watched it also has ``stuck`` (all wait for streams), ``vain`` (all wait
    or only look at streams) and ``probes``, a bit for each.
    """
    signals = interface.signals()
    ports = ["input wire clk", "input wire rst"]
    ports += [
        f"{direction} wire [{bits - 1}:0] p{n}"
        for n, (direction, bits) in enumerate(signals.values())
    ]
    probes = watched_probes(watched)
    if probes:
        ports += [f"output wire {name}" for name in ("stuck", "vain")]
        ports.append(f"output wire [{len(probes) - 1}:0] probes")
    # Escaped names (backslash ... space) are never taken for keywords.
    kernel = f"\\{interface.name} "
    own = {"clk", "rst", "stuck", "vain", "probes", *(f"p{n}" for n in range(len(signals)))}
    instance = f"\\{interface.name}_ " if interface.name in own else kernel
    connections = [".clk(clk)", ".rst(rst)"] + [f".\\{s} (p{n})" for n, s in enumerate(signals)]
    return (
        "/* verilator tracing_off */\n"
        f"module {wrapper_name(interface)} (\n    " + ",\n    ".join(ports) + "\n);\n"
        "  /* verilator tracing_on */\n"
        f"  {kernel}{instance}(\n    " + ",\n    ".join(connections) + "\n  );\n"
        + _watching(watched, probes, instance.strip().removeprefix("\\")) +
        "endmodule\n"
    )


def _watching(watched: Watched | None, probes: list[Probe], instance: str) -> str:
    if watched is None:
        return ""
    state = {"stuck": stuck_verilog(watched, instance), "vain": vain_verilog(watched, instance)}
    # Verilator reads lines of up to 2**17 characters.
    lines = {
        name: text.replace(" & ", "\n    & ").replace(" | ", "\n    | ")
        for name, text in state.items()
    }
    return "".join(f"  assign {name} = {text};\n" for name, text in lines.items()) + "".join(
        f"  assign probes[{n}] = {verilog_of(p, instance)};\n" for n, p in enumerate(probes)
    )


def driver_cpp(interface: KernelInterface, watched: Watched | None = None) -> str:
    """The C++ driver: the template around a struct that knows the wrapper's ports."""
    template = files("allo_rtl.sim").joinpath("templates", "driver.cpp").read_text()
    template = template.replace("@latest_start@", str(LATEST_START))
    return template.replace("@kernel@", _kernel_struct(interface, len(watched_probes(watched))))


def _kernel_struct(interface: KernelInterface, probes: int) -> str:
    ports = {name: f"top.p{n}" for n, name in enumerate(interface.signals())}
    banks, streams = numbered_banks(interface), numbered_streams(interface)
    held_back = [_held_back(n, port, ports) for n, (_, port) in enumerate(streams)]
    written = [n for n, (_, p) in enumerate(streams) if p.direction is Direction.WRITE]
    functions = {
        "void sample(uint64_t cycle)": [
            line for n, (_, _, bank) in enumerate(banks) for line in _sample(n, bank, ports)
        ] + [_sample_stream(n, port, ports) for n, (_, port) in enumerate(streams)],
        "void answer()": [
            f"b{n}.answer({ports[f'{bank.name}_rdata']});"
            for n, (_, _, bank) in enumerate(banks) if bank.read and not bank.async_read
        ],
        # One may give another's address: each is asked, until all are as before.
        "bool follow()": ["bool changed = false;"] + [
            f"changed |= b{n}.follow({_address(bank, 'r', ports)}, {ports[f'{bank.name}_rdata']});"
            for n, (_, _, bank) in enumerate(banks) if bank.read and bank.async_read
        ] + ["return changed;"],
        "void attach(uint64_t* const* arrays, uint64_t runs)": ["(void)runs;"] + [
            f"b{n}.attach(arrays[{array}] + {b * bank.depth * _words(bank.width)}u);"
            for n, (array, b, bank) in enumerate(banks)
        ] + [f"s{n}.attach(arrays[{array}], runs);" for n, (array, _) in enumerate(streams)],
        "void detach()": [f"b{n}.memory = nullptr;" for n in range(len(banks))]
        + [f"s{n}.memory = nullptr;" for n in range(len(streams))],
        "void offer(Dice& dice)": [
            f"s{n}.drive({_driven(port, ports)}, dice);" for n, (_, port) in enumerate(streams)
        ],
        "bool streams_over() const": [
            f"return {' && '.join(['true', *(f's{n}.over()' for n in range(len(streams)))])};"
        ],
        "bool held_back() const": [
            f"return {' || '.join(['false', *held_back])};"
        ],
        "bool wrong_word() const": [
            f"return {' || '.join(['false', *(f's{n}.wrong' for n in written)])};"
        ],
        "void progress(uint64_t* words) const": [
            f"words[{n}] = s{n}.next;" for n in range(len(streams))
        ],
        "bool wrote_outside() const": [
            "return " + " || ".join(
                f"b{n}.used.outside" for n, (_, _, bank) in enumerate(banks) if bank.write
            ) + ";" if any(bank.write for _, _, bank in banks) else "return false;"
        ],
        "void activity(Activity* banks) const": [
            f"banks[{n}] = b{n}.used;" for n in range(len(banks))
        ],
        "bool stuck() const": [f"return {'top.stuck' if probes else 'false'};"],
        "bool vain() const": [f"return {'top.vain' if probes else 'false'};"],
        "void probes(uint64_t* words) const": ["get(top.probes, words);"] if probes else [],
        **_scalar_functions(interface, ports),
    }
    members = [f"Bank<{_words(bank.width)}> b{n}{{{bank.depth}u}};"
               for n, (_, _, bank) in enumerate(banks)]
    members += [
        f"{'Sink' if n in written else 'Source'}<{stream_parts(port)}> s{n}{{{port.words}u}};"
        for n, (_, port) in enumerate(streams)
    ]
    body = ["Vtop top;", *members, "explicit Kernel(VerilatedContext* context) : top{context} {}"]
    body += [
        f"{head} {{\n" + "".join(f"        {line}\n" for line in lines) + "    }"
        for head, lines in functions.items()
    ]
    return "struct Kernel {\n" + "".join(f"    {line}\n" for line in body) + "};"


def _scalar_functions(interface: KernelInterface, ports: dict[str, str]) -> dict[str, list[str]]:
    args = _offsets([p for p in interface.args if isinstance(p, ScalarPort)])
    results = _offsets([p for p in interface.results if isinstance(p, ScalarPort)])
    return {
        "void start(int value)": [f"{ports['start']} = value;"],
        "bool ready() const": [f"return {ports['ready']};"],
        "bool done() const": [f"return {ports['done']};"],
        "void arguments(const uint64_t* words)": [
            f"put({ports[p.name]}, words + {at});" for p, at in args
        ],
        # They are sampled with start: what reads them later must not find them.
        "void forget_arguments()": [
            f"{{ uint64_t zero[{_words(p.width)}] = {{}}; put({ports[p.name]}, zero); }}"
            for p, _ in args
        ],
        "void results(uint64_t* words) const": [
            f"get({ports[p.name]}, words + {at});" for p, at in results
        ],
    }


def numbered_banks(interface: KernelInterface) -> list[tuple[int, int, BankPort]]:
    """(number of the array port, bank in it, its port group) of all groups with signals."""
    return [
        (number, b, bank)
        for number, array in enumerate(arrays_of(interface))
        if isinstance(array, ArrayPort)
        for b, bank in enumerate(array.banks)
        if bank.read or bank.write
    ]


def numbered_streams(interface: KernelInterface) -> list[tuple[int, ArrayStream]]:
    """(number of the array, its port) of the arrays that are streams."""
    numbered = enumerate(arrays_of(interface))
    return [(number, port) for number, port in numbered if isinstance(port, ArrayStream)]


def arrays_of(interface: KernelInterface) -> list[ArrayPort | ArrayStream]:
    """The ports of all arrays, those of arguments first."""
    ports = (*interface.args, *interface.results)
    return [p for p in ports if not isinstance(p, ScalarPort)]


def _sample_stream(n: int, port: ArrayStream, ports: dict[str, str]) -> str:
    if port.direction is Direction.READ:
        return f"s{n}.sample({ports[f'{port.name}_tready']});"
    data, valid, last = (ports[f"{port.name}_t{x}"] for x in ("data", "valid", "last"))
    return f"s{n}.sample({valid}, {last}, {data});"


def _held_back(n: int, port: ArrayStream, ports: dict[str, str]) -> str:
    """Whether the outside could hand over a word in this cycle, and waits."""
    if port.direction is Direction.READ:
        return f"s{n}.holds_back()"
    return f"({ports[f'{port.name}_tvalid']} && !s{n}.ready)"


def _driven(port: ArrayStream, ports: dict[str, str]) -> str:
    """The signals that the outside drives."""
    parts = ("data", "valid") if port.direction is Direction.READ else ("ready",)
    return ", ".join(ports[f"{port.name}_t{x}"] for x in parts)


def _sample(n: int, bank: BankPort, ports: dict[str, str]) -> list[str]:
    lines = []
    if bank.read:  # before the write: a RAM gives the old word
        enable = ports[f"{bank.name}_ren"]
        lines.append(
            f"b{n}.note(cycle, {enable});" if bank.async_read
            else f"b{n}.read(cycle, {enable}, {_address(bank, 'r', ports)});"
        )
    if bank.write:
        enable, data = ports[f"{bank.name}_wen"], ports[f"{bank.name}_wdata"]
        lines.append(f"b{n}.write(cycle, {enable}, {_address(bank, 'w', ports)}, {data});")
    return lines


def _address(bank: BankPort, way: str, ports: dict[str, str]) -> str:
    return ports.get(f"{bank.name}_{way}addr", "0")


def _offsets(scalars: list[ScalarPort]) -> list[tuple[ScalarPort, int]]:
    found, at = [], 0
    for port in scalars:
        found.append((port, at))
        at += _words(port.width)
    return found


def _words(bits: int) -> int:
    return -(-bits // 64)
