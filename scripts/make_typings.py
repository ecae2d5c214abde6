"""Lay the package out for type checkers in ``typings/allo_rtl``, as one folder of links.

frontend/, sim/ and boards/ lie beside allo_rtl/ and join its namespace when it is imported;
mypy and pyright look at folders only and would not find them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = ("frontend", "sim", "boards")


def make_typings(root: Path) -> Path:
    """Make ``root/typings/allo_rtl`` anew from relative links; return it."""
    farm = root / "typings" / "allo_rtl"
    shutil.rmtree(farm, ignore_errors=True)
    farm.mkdir(parents=True)
    sources = [p for p in (root / "allo_rtl").iterdir() if p.name != "__pycache__"]
    for source in [*sources, *(root / name for name in OUTSIDE)]:
        (farm / source.name).symlink_to(Path("../..") / source.relative_to(root))
    return farm


if __name__ == "__main__":
    make_typings(ROOT)
