"""Results of place and route, kept so that a design that did not change is not placed again."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"

_NOT_HARDWARE = re.compile(r"//[^\n]*|/\*.*?\*/|\(\*[^)]*?\*\)|\s+", re.DOTALL)
_LINE = re.compile(r"_line\d+")


def hash_of(verilog: str) -> str:
    """What tells designs apart: their Verilog without comments, source lines and blanks."""
    words = _NOT_HARDWARE.sub(" ", verilog).split()
    return sha256(_LINE.sub("", " ".join(words)).encode()).hexdigest()[:16]


class Placed:
    """The results of one benchmark, in ``results/<name>.json``: written whenever there is one.

    A result is a dictionary for JSON; what it holds is the benchmark's.
    """

    def __init__(self, name: str, folder: Path = FOLDER) -> None:
        self._path = folder / f"{name}.json"

    def _found(self) -> dict[str, dict[str, Any]]:
        """All results, also those of other processes."""
        if not self._path.exists():
            return {}
        found: dict[str, dict[str, Any]] = json.loads(self._path.read_text(encoding="utf-8"))
        return found

    def get(self, key: str, design: str | None = None) -> dict[str, Any] | None:
        """The result under a key; None when there is none, or it is of another design."""
        found = self._found().get(key)
        return found if found and design in (None, found["design"]) else None

    def put(self, key: str, design: str, result: dict[str, Any]) -> None:
        """Keep a result of the design with this hash."""
        found = self._found() | {key: {"design": design, **result}}
        text = json.dumps(dict(sorted(found.items())), indent=1)
        self._path.parent.mkdir(exist_ok=True)
        self._path.write_text(text + "\n", encoding="utf-8")
