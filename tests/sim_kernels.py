"""Small kernels in Verilog, written by hand to the contract of allo_rtl.rtl.interface."""

from allo_rtl.ir.types import (
    ArrayType,
    DimPartition,
    Int,
    Partition,
    UInt,
    int8,
    int16,
    int32,
    uint8,
)
from allo_rtl.rtl.interface import ArrayPort, Direction, KernelInterface, ScalarPort

READ, WRITE, READ_WRITE = Direction.READ, Direction.WRITE, Direction.READ_WRITE


def kernel(interface, body, *, last=None):
    """(Verilog, interface): ``step`` is 0 when idle and k in cycle k of a run.

    ``last`` is the expression for the run's last cycle.
    """
    ports = ["input clk", "input rst"]
    ports += [
        f"{direction} {'reg ' if name == 'done' else ''}[{bits - 1}:0] \\{name} "
        for name, (direction, bits) in interface.signals().items()
    ]
    return f"""module {interface.name}({", ".join(ports)});
  reg [31:0] step;
  wire go = start & ready;
  wire last = {last or f"step == {interface.latency}"};
  assign ready = step == 0 | last;
  always @(posedge clk) begin
    done <= last;
    step <= ready ? (start ? 1 : 0) : step + 1;
    if (rst) begin step <= 0; done <= 0; end
  end
{body}
endmodule
""", interface


VADD = kernel(
    KernelInterface(
        "vadd",
        (
            ArrayPort("A", int32[8], READ),
            ArrayPort("B", int32[8], READ),
            ArrayPort("C", int32[8], WRITE),
        ),
        latency=9,
    ),
    """
  assign A_raddr = step - 1; assign A_ren = step >= 1 & step <= 8;
  assign B_raddr = step - 1; assign B_ren = A_ren;
  assign C_waddr = step - 2; assign C_wen = step >= 2; assign C_wdata = A_rdata + B_rdata;
""",
)

# Seven elements in two banks of four: the last word of bank 1 is no element.
ADD_N = kernel(
    KernelInterface(
        "add_n",
        (
            ArrayPort(
                "A", ArrayType(int16, (7,), (DimPartition(Partition.Cyclic, 2),)), READ_WRITE
            ),
            ScalarPort("n", int8),
        ),
        latency=5,
    ),
    """
  reg signed [7:0] n_kept;
  always @(posedge clk) if (go) n_kept <= n;
  assign A_0_raddr = step - 1; assign A_0_ren = step >= 1 & step <= 4;
  assign A_1_raddr = step - 1; assign A_1_ren = A_0_ren;
  assign A_0_waddr = step - 2; assign A_0_wen = step >= 2;
  assign A_1_waddr = step - 2; assign A_1_wen = step >= 2 & step != 5;
  assign A_0_wdata = $signed(A_0_rdata) + n_kept;
  assign A_1_wdata = $signed(A_1_rdata) + n_kept;
""",
)

# Names that are words of C++ or that Verilator changes; the run takes `while` cycles.
SCALARS = kernel(
    KernelInterface(
        "scalars",
        (ScalarPort("int", Int(7)), ScalarPort("a__b", UInt(12)), ScalarPort("while_", uint8)),
        (ScalarPort("class", Int(48)),),
    ),
    """
  reg [7:0] left; reg signed [47:0] product; reg signed [47:0] kept;
  always @(posedge clk)
    if (go) begin
      left <= while_;
      product <= $signed(\\int ) * $signed({1'b0, a__b});
    end
    else left <= left - 1;
  always @(posedge clk) if (last) kept <= product;
  assign \\class = kept;
""",
    last="step != 0 & left == 1",
)

# y[i] = ~x[i] in 100 bits; out = in + 1 in 513.
WIDE = kernel(
    KernelInterface(
        "wide",
        (ArrayPort("x", Int(100)[3], READ), ScalarPort("n", UInt(513))),
        (ArrayPort("y", Int(100)[3], WRITE), ScalarPort("m", UInt(513))),
        latency=4,
    ),
    """
  reg [512:0] kept;
  always @(posedge clk) if (go) kept <= n + 1;
  assign m = kept;
  assign x_raddr = step - 1; assign x_ren = step >= 1 & step <= 3;
  assign y_waddr = step - 2; assign y_wen = step >= 2; assign y_wdata = ~x_rdata;
""",
)

ROTATE = kernel(
    KernelInterface(
        "rotate",
        (ArrayPort("A", uint8[3].with_partition(0, DimPartition(Partition.Complete, 3)),
                   READ_WRITE),),
        latency=2,
    ),
    "\n".join(
        f"  assign A_{b}_ren = step == 1; assign A_{b}_wen = step == 2;"
        f" assign A_{b}_wdata = A_{(b + 2) % 3}_rdata;"
        for b in range(3)
    ),
)

# Cycle 1 reads A[0] and overwrites it; cycle 2 leaves the port alone; cycle 3 stores what it
# gives; cycles 4 and 5 do the same to the new word.
MEMORY = kernel(
    KernelInterface("memory", (ArrayPort("A", int32[3], READ_WRITE),), latency=5),
    """
  assign A_raddr = 0; assign A_ren = step == 1 | step == 4;
  assign A_wen = step == 1 | step == 3 | step == 5;
  assign A_waddr = step == 1 ? 0 : step == 3 ? 1 : 2;
  assign A_wdata = step == 1 ? 99 : A_rdata;
""",
)

# Writes to the address asked for, right or wrong; never ends when that is 0.
POKE = kernel(
    KernelInterface(
        "poke", (ArrayPort("A", int32[5], WRITE), ScalarPort("i", uint8)), latency=3
    ),
    """
  reg [7:0] at;
  always @(posedge clk) if (go) at <= i;
  assign A_waddr = at; assign A_wen = step == 2; assign A_wdata = 7;
""",
    last="step >= 3 & at != 0",
)
