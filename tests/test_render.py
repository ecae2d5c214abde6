"""Reports as text, JSON and pictures."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import allo_rtl as allo
from allo_rtl.errors import SourceLoc
from allo_rtl.hls import bank_map, chart, render
from allo_rtl.hls.certificate import Certificate, Reason, Step
from allo_rtl.hls.report import BankAccess, ChartRow, KernelReport, LoopReport, MemoryReport
from allo_rtl.ir.types import Partition, float32, int32

SVG = "{http://www.w3.org/2000/svg}"
LINE = SourceLoc("/home/somebody/gemm.py", 12)
ROWS = (
    ChartRow("read A[i, k]", "load", 0, 2, LINE),
    ChartRow("mul 8x8", "mul", 2, 5, LINE),
    ChartRow("mul 8x8", "mul", 2, 5, LINE),
    ChartRow("a < b", "compare", 5, 6, LINE),
)
NEST = LoopReport("i, k, j", "gemm", 0, 4096, 2, 6, 8196, "port of A: 2 reads", LINE, ROWS)
INNER = LoopReport("x", "gemm", 1, None, None, 3, None, "the trip count depends on data", LINE)
REPORT = KernelReport(
    kernel="gemm", device="ecp5-85", clock_mhz=100.0, latency=8198, critical_ns=8.25,
    loops=(NEST, INNER),
    memories=(MemoryReport("A", "gemm", "port", 1, 256, 8),
              MemoryReport("acc", "gemm", "block RAM", 4, 64, 32)),
    units=(("mul 8x8", 2), ("add 32", 1)),
    notes=("A is read twice in an iteration",),
)


def test_table_shows_every_loop_and_the_totals() -> None:
    assert render.render_table(REPORT, measured=8198) == """\
gemm on ecp5-85 at 100 MHz
Loops (cycles)
╭─────────┬────────┬────┬───────┬─────────┬────────────┬────────────────────────────────╮
│ loop    │   trip │ II │ depth │ latency │ line       │ limited by                     │
├─────────┼────────┼────┼───────┼─────────┼────────────┼────────────────────────────────┤
│ i, k, j │  4,096 │  2 │     6 │   8,196 │ gemm.py:12 │ port of A: 2 reads             │
│   x     │ varies │  - │     3 │  varies │ gemm.py:12 │ the trip count depends on data │
╰─────────┴────────┴────┴───────┴─────────┴────────────┴────────────────────────────────╯
Totals
╭───────────────────┬─────────────────────────────────────────╮
│ what              │ value                                   │
├───────────────────┼─────────────────────────────────────────┤
│ cycles, predicted │ 8,198                                   │
│ cycles, simulated │ 8,198                                   │
│ time              │ 81.98 µs                                │
│ longest chain     │ 8.25 ns of 10.00                        │
│ memories          │ A: 256 words of 8 bits, port            │
│                   │ acc: 4 × 64 words of 32 bits, block RAM │
│ units             │ 2 × mul 8x8                             │
│                   │ 1 × add 32                              │
╰───────────────────┴─────────────────────────────────────────╯
note: A is read twice in an iteration
"""


def test_table_says_what_is_not_known() -> None:
    text = render.render_table(replace(REPORT, latency=None, loops=(), memories=(), units=()))
    rows = [line.split("│")[1:3] for line in text.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["what", "value"],
        ["cycles, predicted", "depends on data"],
        ["longest chain", "8.25 ns of 10.00"],
    ]


def test_long_reasons_wrap_and_numbers_do_not() -> None:
    long = replace(NEST, trip=1_000_000_000, latency=2_000_000_000, limit="because " * 40)
    lines = render.render_table(replace(REPORT, loops=(long,))).splitlines()
    assert max(map(len, lines)) == render.WIDTH
    assert any("1,000,000,000" in line and "2,000,000,000" in line for line in lines)
    assert " ".join(lines).count("because") == 40


def test_loops_of_several_functions_carry_their_function() -> None:
    text = render.render_table(replace(REPORT, loops=(NEST, replace(INNER, func="other"))))
    assert "gemm: i, k, j" in text
    assert "  other: x" in text


def test_json_keeps_its_keys_in_order_and_hides_folders() -> None:
    text = render.render_json(REPORT)
    data = json.loads(text)
    assert list(data) == [
        "kernel", "device", "clock_mhz", "latency", "unknown", "measured", "overlap",
        "critical_ns", "loops", "memories", "streams", "units", "shared", "notes", "schedule",
    ]
    assert data["measured"] is None
    assert data["loops"][0]["chart"][0] == {
        "label": "read A[i, k]", "kind": "load", "start": 0, "end": 2, "loc": "gemm.py:12",
    }
    assert data["loops"][1]["ii"] is None
    assert data["units"] == {"mul 8x8": 2, "add 32": 1}
    assert "somebody" not in text


def test_boards_table_says_whether_the_clock_was_met() -> None:
    rows = [
        render.BoardRow("icebreaker", (1234, 5280), (600, 5280), (6, 30), (3, 8), 23.45, 12),
        render.BoardRow("hx8k", (1234, 7680), (600, 7680), (6, 32), None, 20.0, 27.0),
        render.BoardRow("new", None, None, None, None, None, 27.0),
    ]
    assert render.render_boards(rows) == """\
Boards
╭────────────┬─────────────┬───────────┬──────┬─────┬────────────┬────────────────╮
│ board      │         LUT │        FF │ BRAM │ DSP │ Fmax (MHz) │ clock asked    │
├────────────┼─────────────┼───────────┼──────┼─────┼────────────┼────────────────┤
│ icebreaker │ 1,234/5,280 │ 600/5,280 │ 6/30 │ 3/8 │       23.4 │ 12 MHz, met    │
│ hx8k       │ 1,234/7,680 │ 600/7,680 │ 6/32 │   - │       20.0 │ 27 MHz, MISSED │
│ new        │           - │         - │    - │   - │          ? │ 27 MHz         │
╰────────────┴─────────────┴───────────┴──────┴─────┴────────────┴────────────────╯
"""


def bars(svg: str) -> dict[str, tuple[float, float]]:
    """(x, width) of each bar of a chart by its tooltip."""
    found = {}
    for rect in ET.fromstring(svg).iter(f"{SVG}rect"):
        if (title := rect.find(f"{SVG}title")) is not None:
            assert title.text is not None
            found[title.text] = (float(rect.attrib["x"]), float(rect.attrib["width"]))
    return found


def test_chart_shifts_iterations_by_the_interval() -> None:
    found = bars(chart.render_svg(NEST))
    first, width = found["mul 8x8, iteration 1: cycles 2 to 4"]
    second, _ = found["mul 8x8, iteration 2: cycles 4 to 6"]
    third, _ = found["mul 8x8, iteration 3: cycles 6 to 8"]
    cell = (width + 1) / 3
    assert second - first == third - second == 2 * cell
    assert found["read A[i, k], iteration 1: cycles 0 to 1"][0] == first - 2 * cell


def test_chart_draws_equal_operations_once_with_their_number() -> None:
    svg = chart.render_svg(NEST)
    assert len(bars(svg)) == 3 * 3
    assert ">mul 8x8 ×2</text>" in svg
    assert ">a &lt; b</text>" in svg


def test_chart_of_a_loop_that_is_not_pipelined_has_one_iteration() -> None:
    svg = chart.render_svg(replace(NEST, ii=None))
    assert len(bars(svg)) == 3
    assert "not pipelined" in svg
    assert "II =" not in svg


def test_chart_has_no_more_iterations_than_the_loop() -> None:
    assert len(bars(chart.render_svg(replace(NEST, trip=2)))) == 3 * 2


def test_chart_of_very_many_operations_says_how_many_are_not_shown() -> None:
    rows = tuple(ChartRow(f"add {n}", "add", n, n + 1) for n in range(chart.MAX_ROWS + 7))
    svg = chart.render_svg(replace(NEST, chart=rows, depth=len(rows)))
    assert len(bars(svg)) == 3 * chart.MAX_ROWS
    assert "and 7 more operations" in svg


def test_every_element_lies_inside_the_picture() -> None:
    long = replace(NEST, name="a_rather_long_name, " * 6, limit="why " * 100, depth=500)
    root = ET.fromstring(chart.render_svg_report(replace(REPORT, loops=(NEST, long))))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for rect in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height
    assert all(float(text.attrib["y"]) < height for text in root.iter(f"{SVG}text"))


def test_a_picture_without_a_chart_says_so() -> None:
    svg = chart.render_svg_report(replace(REPORT, loops=()))
    assert "no loop is pipelined: nothing to draw" in svg


def test_report_picture_has_the_loops_with_a_chart() -> None:
    texts = [t.text for t in ET.fromstring(chart.render_svg_report(REPORT)).iter(f"{SVG}text")]
    assert texts[0] == "gemm on ecp5-85 at 100 MHz"
    titles = [text for text in texts if text and text.startswith("loop ")]
    assert titles == ["loop i, k, j (gemm.py:12): II 2, depth 6, 4,096 iterations, 8,196 cycles"]


PROOF = Certificate(
    Reason.RECURRENCE, 2, "recurrence: y",
    (Step("float32 add", LINE, 6, 9.25), Step("set y", None, 1, distance=4)),
)
PROVED = replace(
    NEST, ii=3, certificate=PROOF, accesses=(
        BankAccess("A", 0, "read", 0, False, LINE),
        BankAccess("A", 1, "read", 4, True, LINE),
        BankAccess("A", 1, "read", 4, True, LINE),
        BankAccess("y", 0, "write", 8, False),
    ),
)  # fmt: skip


def test_table_has_the_proof_step_by_step() -> None:
    text = render.render_table(replace(REPORT, loops=(PROVED,)))
    start = text.index("Why iterations")
    assert text[start : text.index("Totals")] == """\
Why iterations do not start more often
╭─────────┬─────────────┬────────────┬────────┬─────┬──────────────────╮
│ loop    │ operation   │ line       │ cycles │  ns │ iterations later │
├─────────┼─────────────┼────────────┼────────┼─────┼──────────────────┤
│ i, k, j │ float32 add │ gemm.py:12 │      6 │ 9.2 │                  │
│         │ set y       │            │      1 │     │                4 │
╰─────────┴─────────────┴────────────┴────────┴─────┴──────────────────╯
"""


def test_long_proofs_end_with_a_number() -> None:
    steps = tuple(Step(f"add {k}", LINE, 1) for k in range(50))
    text = render.render_table(
        replace(REPORT, loops=(replace(NEST, certificate=replace(PROOF, steps=steps)),))
    )
    assert f"and {50 - render.MAX_STEPS} more" in text
    assert f"add {render.MAX_STEPS - 1} " in text
    assert f"add {render.MAX_STEPS} " not in text


def test_json_has_proof_and_banks() -> None:
    loop = json.loads(render.render_json(replace(REPORT, loops=(PROVED, INNER))))["loops"][0]
    assert loop["certificate"] == {
        "reason": "recurrence", "bound": 2, "text": "recurrence: y",
        "steps": [
            {"what": "float32 add", "loc": "gemm.py:12", "cycles": 6, "ns": 9.25, "distance": 0},
            {"what": "set y", "loc": None, "cycles": 1, "ns": 0.0, "distance": 4},
        ],
    }  # fmt: skip
    assert loop["accesses"][1] == {
        "array": "A", "bank": 1, "kind": "read", "cycle": 4, "varies": True, "loc": "gemm.py:12",
    }


def test_bank_map_puts_accesses_into_the_cycles_of_the_interval() -> None:
    found = bank_map.cells(PROVED)
    assert list(found) == [("A", 0, "read"), ("A", 1, "read"), ("y", 0, "write")]
    used = {port: [len(users) for users in slots] for port, slots in found.items()}
    assert used == {
        ("A", 0, "read"): [1, 0, 0], ("A", 1, "read"): [0, 2, 0], ("y", 0, "write"): [0, 0, 1],
    }
    svg = chart.render_svg(PROVED)
    texts = [e.text for e in ET.fromstring(svg).iter(f"{SVG}text")]
    assert {"A[0] read", "A[1] read", "y[0] write", "2 in turn", "line 12", "one"} <= set(texts)
    titles = {e.text for e in ET.fromstring(svg).iter(f"{SVG}title")}
    assert "A[0] read: cycle 0 at gemm.py:12" in titles


def test_bank_maps_of_many_banks_end_with_a_number() -> None:
    many = tuple(BankAccess("A", k, "read", 0, False, LINE) for k in range(100))
    svg = chart.render_svg(replace(PROVED, accesses=many, ii=100))
    texts = [e.text for e in ET.fromstring(svg).iter(f"{SVG}text")]
    assert "60 more ports, 68 more cycles are not shown" in texts


def test_charts_say_what_floating_point_units_do() -> None:
    def kernel(a: float32[8], b: float32[8]):
        for i in range(8):
            b[i] = allo.sqrt(a[i]) / (b[i] + a[i] * 3.0)

    s = allo.customize(kernel)
    s.pipeline("i")
    report = s.build(target="rtl").report()
    svg = chart.render_svg_report(report)
    for name in ("float32 sqrt", "float32 div", "float32 add", "float32 mul"):
        assert name in svg
    legend = ("multiply", "divide, root", "add, subtract")
    assert all(f">{word}</text>" in svg for word in legend)
    assert "if this is the bank" not in svg


def test_a_bank_map_says_what_the_question_mark_means() -> None:
    def kernel(a: int32[8], b: int32[8], at: int32[8]):
        for i in range(8):
            b[i] = a[at[i] & 7]

    s = allo.customize(kernel)
    s.pipeline("i")
    s.partition("a", Partition.Cyclic, dim=1, factor=4)
    svg = chart.render_svg_report(s.build(target="rtl").report())
    assert "line" in svg
    assert "(?: if this is the bank that is meant)" in svg
