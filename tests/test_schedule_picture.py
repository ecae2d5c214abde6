"""Pictures of schedules: a box for each loop, an element a cell in its bank's colour."""

import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest

import allo_rtl as allo
from allo_rtl.ir.types import Partition, int8, int32
from allo_rtl.schedule.schedule import Schedule

NAME = "{http://www.w3.org/2000/svg}"
PAGES = Path(__file__).resolve().parent.parent / "docs" / "primitives"


def gemm(A: int8[4, 8], B: int8[8, 6]) -> int32[4, 6]:
    C: int32[4, 6] = 0
    for i, j, k in allo.grid(4, 6, 8, name="gemm"):
        C[i, j] += A[i, k] * B[k, j]
    return C


def drawn(svg, what):
    return list(ET.fromstring(svg).iter(NAME + what))


def classes(svg):
    return [rect.get("class") for rect in drawn(svg, "rect")]


def test_loops_are_boxes_inside_each_other():
    svg = allo.customize(gemm).picture()
    assert classes(svg) == ["func", "loop", "loop", "loop"]
    boxes = [[float(r.get(k)) for k in ("x", "y", "width", "height")] for r in drawn(svg, "rect")]
    for (x, y, w, h), (ix, iy, iw, ih) in pairwise(boxes):
        assert x < ix < ix + iw < x + w
        assert y < iy < iy + ih < y + h
    size = ET.fromstring(svg)
    assert boxes[0][0] + boxes[0][2] <= float(size.get("width"))
    assert boxes[0][1] + boxes[0][3] <= float(size.get("height"))


def test_marks_have_classes_of_their_own():
    s = allo.customize(gemm)
    s.pipeline("k")
    s.unroll("j")
    s.parallel("i")
    assert classes(s.picture(since=3)) == ["func", "parallel", "unroll", "pipeline"]
    assert classes(s.picture()) == ["func", "loop", "loop", "loop",
                                    "func", "parallel", "unroll", "pipeline"]  # fmt: skip


def test_titles_are_the_primitives_since_then():
    s = allo.customize(gemm)
    s.split("j", 2)
    s.pipeline("k")
    titles = [t.text for t in drawn(s.picture(), "text") if t.get("class") == "title"]
    assert titles == ["before", "split('j', 2)", "pipeline('k')"]
    titles = [t.text for t in drawn(s.picture(since=1), "text") if t.get("class") == "title"]
    assert titles == ["before", "pipeline('k')"]


@pytest.mark.parametrize(("kind", "banks"), [
    (Partition.Cyclic, [0, 1, 0, 1, 0, 1, 0, 1]), (Partition.Block, [0, 0, 0, 0, 1, 1, 1, 1]),
])  # fmt: skip
def test_cells_have_the_colour_of_their_bank(kind, banks):
    s = allo.customize(gemm)
    s.partition("A", kind, dim=2, factor=2)
    cells = [c for c in classes(s.picture(since=1)) if c.startswith("bank")]
    assert cells == [f"bank{n}" for n in banks] * 4


def test_it_is_written_to_a_file(tmp_path):
    s = allo.customize(gemm)
    path = tmp_path / "gemm.svg"
    assert s.picture(path) == path.read_text()


def test_every_page_of_a_primitive_has_a_picture():
    others = {"get_loops", "get_equivalent_variables", "history"}
    pages = [p for p in PAGES.glob("*.md") if hasattr(Schedule, p.stem) and p.stem not in others]
    assert len(pages) > 20
    for page in pages:
        assert f"](pictures/{page.stem}.svg)" in page.read_text(), page.name
