"""The shape of the project: its packages, its one namespace, who imports whom, file lengths."""

import ast
import importlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = ("frontend", "sim", "boards")
PACKAGES = {p.name: p for p in (ROOT / "allo_rtl").iterdir() if (p / "__init__.py").exists()} | {
    name: ROOT / name for name in OUTSIDE
}

# What each package may import of allo_rtl, besides itself.  `frontend`, `schedule` and `hls` stand
# on `ir` alone; hardware comes after the operation schedule; who runs hardware comes last.
MAY_IMPORT = {
    "ir": set(),
    "frontend": {"ir"},
    "schedule": {"ir"},
    "library": {"ir", "frontend", "schedule"},
    "primitives": {"ir", "schedule"},
    "backend": {"sim"},
    "hls": {"ir"},
    "advice": {"ir", "schedule", "hls"},
    "rtl": {"ir", "hls"},
    "sim": {"ir", "hls", "rtl"},
    "boards": {"ir", "hls", "rtl", "sim"},
}
# Schedule.build, and calling a region, hand over to the pages that join the stages; and compose
# finds the library's own schedules; advice has the defaults of a build.
ALSO = {
    "allo_rtl/advice/__init__.py": {"pipeline"},
    "allo_rtl/primitives/unify.py": {"customize"},
    "allo_rtl/schedule/schedule.py": {"pipeline", "library", "customize"},
    "frontend/dataflow_dsl.py": {"dataflow"},
}
# Modules of allo_rtl itself that every package may use: they import none of the packages but ir.
COMMON = {"errors", "svg", "target", "utils"}


def sources(folder: Path) -> Iterator[Path]:
    """Python files, but for templates, which are not Python until they are filled in."""
    return (path for path in folder.rglob("*.py") if path.parent.name != "templates")


def imports(path: Path) -> Iterator[str]:
    """Dotted names of everything a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of_allo(name: str) -> str | None:
    """``"ir"`` for ``allo_rtl.ir.types``; None for what is not of this package."""
    parts = name.split(".")
    return parts[1] if parts[0] == "allo_rtl" and len(parts) > 1 else None


def test_pyproject_lists_the_packages_on_disk() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    nested = {
        f"allo_rtl.{name}" + "".join(f".{part}" for part in init.parent.relative_to(folder).parts)
        for name, folder in PACKAGES.items()
        for init in folder.rglob("__init__.py")
    }
    assert set(tools["packages"]) == {"allo_rtl"} | nested
    assert tools["package-dir"] == {f"allo_rtl.{name}": name for name in OUTSIDE}


def test_pyproject_lists_every_data_file() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    listed = {
        path
        for package, patterns in tools["package-data"].items()
        for pattern in patterns
        for path in (PACKAGES | {"allo_rtl": ROOT / "allo_rtl"})[
            package.removeprefix("allo_rtl.")
        ].glob(pattern)
    }
    on_disk = {
        path
        for folder in (ROOT / "allo_rtl", *(ROOT / name for name in OUTSIDE))
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
        and not (path.suffix == ".py" and (path.parent / "__init__.py").exists())
    }
    assert on_disk == listed


@pytest.mark.parametrize("name", OUTSIDE)
def test_folders_beside_the_package_are_in_its_namespace(name: str) -> None:
    package = importlib.import_module(f"allo_rtl.{name}")
    assert package.__file__ is not None
    assert Path(package.__file__).parent.name == name


@pytest.mark.parametrize("name", OUTSIDE)
def test_folders_beside_the_package_refuse_another_name(name: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", f"import {name}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == (
        f"ImportError: this folder is the package 'allo_rtl.{name}', imported here as {name!r}; "
        f"write 'import allo_rtl.{name}'"
    )


def test_every_package_has_its_place_in_the_order() -> None:
    assert set(PACKAGES) == set(MAY_IMPORT)


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_packages_import_only_what_is_before_them(name: str) -> None:
    allowed = {name, *MAY_IMPORT[name], *COMMON}
    wrong = [
        f"{path.relative_to(ROOT)} imports {found}"
        for path in sources(PACKAGES[name])
        for found in imports(path)
        if (part := part_of_allo(found)) is not None
        and part not in allowed | ALSO.get(path.relative_to(ROOT).as_posix(), set())
    ]
    assert wrong == []


@pytest.mark.parametrize("name", sorted(COMMON))
def test_common_modules_import_at_most_the_ir(name: str) -> None:
    parts = {part_of_allo(found) for found in imports(ROOT / "allo_rtl" / f"{name}.py")}
    assert parts <= {None, "ir", *COMMON}


@pytest.mark.parametrize("name", ["ir", "frontend", "schedule", "hls"])
def test_only_hardware_packages_import_amaranth(name: str) -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in sources(PACKAGES[name])
        if any(found.split(".")[0].startswith("amaranth") for found in imports(path))
    ]
    assert wrong == []


def test_files_stay_short() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in ("allo_rtl", *OUTSIDE, "tests", "examples", "benchmarks")
        for path in sources(ROOT / folder)
        if (lines := len(path.read_text().splitlines())) > 600
    }
    assert long == {}


def test_type_checkers_see_every_package(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        make_typings = importlib.import_module("make_typings").make_typings
    finally:
        sys.path.pop(0)
    for folder in ("allo_rtl/ir", *OUTSIDE):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "allo_rtl" / "errors.py").touch()
    for _ in range(2):  # the second time over an old farm
        farm = make_typings(tmp_path)
    assert sorted(p.name for p in farm.iterdir()) == [
        "boards", "errors.py", "frontend", "ir", "sim",
    ]
    assert all(p.is_symlink() and p.resolve().exists() for p in farm.iterdir())
    assert (farm / "sim" / "__init__.py").exists()
