"""The generated sources around a kernel's Verilog: a wrapper with plain port names, and C++.

A kernel's ports have the user's names, which may be words of C++ or be changed by Verilator.
So the simulated top is a wrapper whose ports are p0, p1 ..., and the C++ uses only these.
"""

from __future__ import annotations

from importlib.resources import files

from allo_rtl.rtl.interface import ArrayPort, BankPort, KernelInterface, ScalarPort


def wrapper_name(interface: KernelInterface) -> str:
    """Name of the module that :func:`wrapper_verilog` writes."""
    return f"{interface.name}__simulation"


def wrapper_verilog(interface: KernelInterface) -> str:
    """A module that holds the kernel; its ports are clk, rst and p0 ... in signals() order."""
    signals = interface.signals()
    ports = ["input wire clk", "input wire rst"]
    ports += [
        f"{direction} wire [{bits - 1}:0] p{n}"
        for n, (direction, bits) in enumerate(signals.values())
    ]
    # Escaped names (backslash ... space) are never taken for keywords.
    kernel = f"\\{interface.name} "
    own = {"clk", "rst", *(f"p{n}" for n in range(len(signals)))}
    instance = f"\\{interface.name}_ " if interface.name in own else kernel
    connections = [".clk(clk)", ".rst(rst)"] + [f".\\{s} (p{n})" for n, s in enumerate(signals)]
    return (
        "/* verilator tracing_off */\n"
        f"module {wrapper_name(interface)} (\n    " + ",\n    ".join(ports) + "\n);\n"
        "  /* verilator tracing_on */\n"
        f"  {kernel}{instance}(\n    " + ",\n    ".join(connections) + "\n  );\n"
        "endmodule\n"
    )


def driver_cpp(interface: KernelInterface) -> str:
    """The C++ driver: the template around a struct that knows the wrapper's ports."""
    template = files("allo_rtl.sim").joinpath("templates", "driver.cpp").read_text()
    return template.replace("@kernel@", _kernel_struct(interface))


def _kernel_struct(interface: KernelInterface) -> str:
    ports = {name: f"top.p{n}" for n, name in enumerate(interface.signals())}
    banks = numbered_banks(interface)
    functions = {
        "void sample(uint64_t cycle)": [
            line for n, (_, _, bank) in enumerate(banks) for line in _sample(n, bank, ports)
        ],
        "void answer()": [
            f"b{n}.answer({ports[f'{bank.name}_rdata']});"
            for n, (_, _, bank) in enumerate(banks) if bank.read
        ],
        "void attach(uint64_t* const* arrays)": [
            f"b{n}.attach(arrays[{array}] + {b * bank.depth * _words(bank.width)}u);"
            for n, (array, b, bank) in enumerate(banks)
        ],
        "void detach()": [f"b{n}.memory = nullptr;" for n in range(len(banks))],
        "bool wrote_outside() const": [
            "return " + " || ".join(
                f"b{n}.used.outside" for n, (_, _, bank) in enumerate(banks) if bank.write
            ) + ";" if any(bank.write for _, _, bank in banks) else "return false;"
        ],
        "void activity(Activity* banks) const": [
            f"banks[{n}] = b{n}.used;" for n in range(len(banks))
        ],
        **_scalar_functions(interface, ports),
    }
    members = [f"Bank<{_words(bank.width)}> b{n}{{{bank.depth}u}};"
               for n, (_, _, bank) in enumerate(banks)]
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
    arrays = [p for p in (*interface.args, *interface.results) if isinstance(p, ArrayPort)]
    return [
        (number, b, bank)
        for number, array in enumerate(arrays)
        for b, bank in enumerate(array.banks)
        if bank.read or bank.write
    ]


def _sample(n: int, bank: BankPort, ports: dict[str, str]) -> list[str]:
    lines = []
    if bank.read:  # before the write: a RAM gives the old word
        address = ports.get(f"{bank.name}_raddr", "0")
        lines.append(f"b{n}.read(cycle, {ports[f'{bank.name}_ren']}, {address});")
    if bank.write:
        address = ports.get(f"{bank.name}_waddr", "0")
        enable, data = ports[f"{bank.name}_wen"], ports[f"{bank.name}_wdata"]
        lines.append(f"b{n}.write(cycle, {enable}, {address}, {data});")
    return lines


def _offsets(scalars: list[ScalarPort]) -> list[tuple[ScalarPort, int]]:
    found, at = [], 0
    for port in scalars:
        found.append((port, at))
        at += _words(port.width)
    return found


def _words(bits: int) -> int:
    return -(-bits // 64)
