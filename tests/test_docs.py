"""The pages: every Python block runs, in order, and prints what the page says it prints.

A block fenced as ``python`` is run with the names of the blocks before it on that page.  A
``text`` block right after it is what it must print.  A block fenced as ``python no-run`` (it needs
a board, or minutes) must at least be Python.  A picture of a page is what the page's code writes to
a file of that name; with UPDATE_PICTURES in the environment it is put beside the page.
"""

import os
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"^!\[[^]]*\]\((pictures/[^)]*\.svg)\)$", re.MULTILINE)


@dataclass
class Block:
    line: int
    code: str
    runs: bool
    output: str | None


def blocks(page: str) -> Iterator[Block]:
    fences = list(FENCE.finditer(page))
    for fence, after in zip(fences, [*fences[1:], None], strict=False):
        if fence["info"] not in ("python", "python no-run"):
            continue
        follows = after is not None and after["info"] == "text"
        output = None
        if after is not None and follows and not page[fence.end() : after.start()].strip():
            output = after["body"]
        line = page[: fence.start("body")].count("\n")
        yield Block(line, fence["body"], fence["info"] == "python", output)


def test_blocks_are_found_with_their_line_and_output() -> None:
    page = "a\n```python\nprint(1)\n```\n\n```text\n1\n```\n```python no-run\nx\n```\nwords\n" \
           "```text\nno output\n```\n```sh\nls\n```\n"
    assert list(blocks(page)) == [
        Block(2, "print(1)\n", True, "1\n"), Block(9, "x\n", False, None),
    ]


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_page(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Kernels are read from their source file, so the page's code is laid out as one, at its lines.
    found = list(blocks(path.read_text()))
    source = tmp_path / f"{path.stem.lower()}_page.py"
    lines = [""] * 2000
    for block in found:
        code = block.code.splitlines()
        lines[block.line : block.line + len(code)] = code if block.runs else [""] * len(code)
    source.write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": source.stem}
    for block in found:
        code = compile("\n" * block.line + block.code, str(source), "exec")
        printed = StringIO()
        if block.runs:
            with redirect_stdout(printed):
                exec(code, names)
        if block.output is not None:
            assert printed.getvalue() == block.output, f"{path.name}:{block.line}"
    for name in PICTURE.findall(path.read_text()):
        kept, made = path.parent / name, (tmp_path / Path(name).name).read_text()
        if "UPDATE_PICTURES" in os.environ:
            kept.write_text(made)
        assert kept.read_text() == made, f"{name} is not what {path.name} draws"


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_between_pages(path: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", path.read_text()))
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
