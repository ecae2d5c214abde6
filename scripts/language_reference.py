"""Write docs/reference.md from the rows in tests/language.

Each row becomes an example; the table at the end says where it was run just now, and whether it
gave what the row promises.
"""

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import test_language  # noqa: E402 - found through the path above
from language.rows import CHAPTERS, Row  # noqa: E402

from allo_rtl.ir.types import Struct  # noqa: E402

PAGE = ROOT / "docs" / "reference.md"
ORDER = (
    "Kernels", "Types", "Arrays of types", "Operators", "Functions", "Conversions", "Bits",
    "Variables", "Assignments", "Branches", "Loops", "Calls", "Generics", "Compile time",
    "Arrays", "Tensors", "Named operations", "Streams", "Simulation",
)  # fmt: skip
TARGETS = {"evaluator": "evaluator", "cpu": "CPU", "rtl": "RTL"}

HEAD = """\
# Language reference

One example for everything a kernel may contain. This page is made from `tests/language` by
`python scripts/language_reference.py`; the tests run every example on the evaluator, the CPU build
and the RTL, and [the table at the end](#status) was written by running them. The types, rules and
statements are explained in [the language of kernels](language.md), regions and streams in
[dataflow](dataflow.md); these run on the simulator in place of the CPU build.

```python
import numpy as np

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.ir.types import *
from allo_rtl.ir.types import bool
```
"""


def used_by(row: Row) -> Iterator[str]:
    """Definitions of the module that a kernel uses, as source."""
    module = inspect.getmodule(row.kernel)
    for name, thing in vars(module).items():
        if name == row.kernel.__name__ or not re.search(rf"\b{name}\b", row.code):
            continue
        if inspect.isfunction(thing) and thing.__module__ == module.__name__:
            yield textwrap.dedent(inspect.getsource(thing))
        elif name.isupper() and isinstance(thing, int):
            yield f"{name} = {thing}\n"
        elif name.isupper() and isinstance(thing, np.ndarray):
            yield f"{name} = np.array({thing.tolist()}, dtype=np.{thing.dtype})\n"
        elif isinstance(thing, Struct):
            yield f"{name} = {thing}\n"


def shown(value: object) -> str:
    """A value as the page shows it."""
    if isinstance(value, np.ndarray):
        return str(np.round(value.astype(float), 4).tolist() if value.dtype.kind == "f"
                   else value.astype(object).tolist())  # fmt: skip
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(shown, value)) + "]"
    return str(round(value, 6)) if isinstance(value, float | np.floating) else str(value)


def example(row: Row) -> str:
    """The section of a row."""
    uses = "\n\n".join(s.rstrip() for s in used_by(row))
    code = f"{uses}\n\n\n{row.code}" if uses else row.code
    arguments = ", ".join(map(shown, row.args))
    name = row.kernel.__name__
    outcome = [] if row.gives is None else [f"gives `{shown(row.gives)}`"]
    outcome += [f"leaves `{shown(v)}` in argument {n + 1}" for n, v in row.leaves.items()]
    call = f"`{name}({arguments})` {' and '.join(outcome)}."
    return f"### {row.title}\n\n{row.text}\n\n```python\n{code}\n```\n\n{call}\n"


def works(row: Row, target: str) -> str:
    """Whether a row does on a target what it promises."""
    if target == "rtl" and row.hardware:
        return f"no: {row.hardware}"
    try:
        test_language.run(row, target)
    except Exception as error:  # whatever it is, the table says so
        return f"✗ {type(error).__name__}"
    return "✓"


def table() -> Iterator[str]:
    """The lines of the status table; runs everything."""
    yield "| example | " + " | ".join(TARGETS.values()) + " |"
    yield "|---|" + "---|" * len(TARGETS)
    for chapter in ORDER:
        rows = CHAPTERS[chapter]
        for row in rows:
            cells = [works(row, target) for target in TARGETS]
            print(f"{chapter}: {row.title}: {' '.join(cells)}", file=sys.stderr)
            yield f"| {chapter}: {row.title} | " + " | ".join(cells) + " |"


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for chapter in ORDER:
        rows = CHAPTERS[chapter]
        parts.append(f"## {chapter}\n")
        parts += map(example, rows)
    parts.append("## Status\n\n" + "\n".join(table()) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    assert set(ORDER) == set(CHAPTERS), "every chapter has its place"
    PAGE.write_text(page())
