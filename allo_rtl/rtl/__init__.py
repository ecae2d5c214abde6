"""From timed designs to Amaranth components and Verilog."""
