"""allo_rtl: composable scheduling of Python kernels, lowered directly to RTL."""

from pathlib import Path

# In a checkout, frontend/, sim/ and boards/ lie beside this folder and belong to this namespace.
_root = Path(__file__).resolve().parent.parent
if (_root / "pyproject.toml").exists() and str(_root) not in __path__:
    __path__.append(str(_root))
