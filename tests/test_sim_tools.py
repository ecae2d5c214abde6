"""The tools' environment and the cache of built things."""

import os
import threading
from pathlib import Path

import pytest

from allo_rtl.errors import ToolError
from allo_rtl.sim import tools


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ALLO_RTL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_cache_folder_follows_xdg_and_can_be_moved(tmp_path, monkeypatch):
    monkeypatch.delenv("ALLO_RTL_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tools.cache_dir() == tmp_path / "allo_rtl"
    monkeypatch.setenv("ALLO_RTL_CACHE", str(tmp_path / "other"))
    assert tools.cache_dir() == tmp_path / "other"


def test_cache_folder_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ALLO_RTL_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ToolError, match="set ALLO_RTL_CACHE to a folder that can be written"):
        tools.cache_dir()


def test_same_key_builds_once(cache):
    calls = []

    def build(folder):
        calls.append(folder)
        (folder / "result").write_text("x")

    first = tools.build_cached("a", build)
    assert tools.build_cached("a", build) == first
    assert tools.build_cached(b"b", build) != first
    assert len(calls) == 2
    assert (first / "result").read_text() == "x"
    assert sorted(p.name for p in cache.iterdir() if not p.is_dir()) == []


def test_failed_build_leaves_nothing(cache):
    def build(folder):
        (folder / "half").write_text("")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        tools.build_cached("a", build)
    assert list(cache.iterdir()) == []


def test_builds_at_the_same_time_give_one_result(cache):
    barrier, found, calls = threading.Barrier(4), [], []

    def build(folder):
        calls.append(folder)
        (folder / "result").write_text("x")

    def worker():
        barrier.wait()
        found.append(tools.build_cached("a", build))

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [found[0]] * 4
    assert [p.name for p in cache.iterdir()] == [found[0].name]


def test_old_builds_go_when_there_are_many(cache, monkeypatch):
    monkeypatch.setattr(tools, "_KEEP_BUILDS", 2)
    old = [tools.build_cached(f"old {i}", lambda folder: None) for i in range(2)]
    for path in old:
        os.utime(path, (0, 0))
    new = [tools.build_cached(f"new {i}", lambda folder: None) for i in range(2)]
    assert sorted(cache.iterdir()) == sorted(new)


def test_missing_program_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError) as error:
        tools.find_tool("make")
    assert str(error.value) == (
        "the program 'make' is missing: it is not on PATH\n  hint: apt install make"
    )
    monkeypatch.setenv("CXX", "my-c++")
    with pytest.raises(ToolError, match=r"the program 'my-c\+\+' is missing"):
        tools.find_cxx()


def test_failing_program_shows_its_output():
    with pytest.raises(ToolError) as error:
        tools.run_tool(["sh", "-c", "echo why; exit 3"], what="the step")
    assert str(error.value) == "the step failed with exit status 3:\nwhy"


def test_environment_finds_the_wheel_first_and_repairs_its_settings(monkeypatch):
    monkeypatch.setenv("CXXFLAGS", "-DVL_TIME_CONTEXT")
    monkeypatch.setenv("MAKEFLAGS", " -j8 --jobserver-auth=3,4")
    env = tools.tool_environment()
    assert "VL_TIME_CONTEXT" not in env["CXXFLAGS"]
    assert "jobserver" not in env["MAKEFLAGS"]
    program = Path(env["PATH"].split(os.pathsep)[0]) / "verilator"
    assert program.resolve() == tools.verilator_bin()
    assert tools.run_tool(["verilator", "--version"], what="v", env=env)
