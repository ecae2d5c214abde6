"""Names that scripts for Allo ask for."""

import pytest

import allo_rtl as allo
from allo_rtl.backend import hls
from allo_rtl.backend.llvm import LLVMModule
from allo_rtl.customize import LoopWrapper, MockBuffer
from allo_rtl.ir import transform, utils
from allo_rtl.ir.types import int32
from allo_rtl.passes import analyze_use_def, df_pipeline


def twice(x: int32) -> int32:
    return 2 * x


def test_vendor_tools_are_looked_for_on_the_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not hls.is_available("vitis_hls")
    tool = tmp_path / "vitis_hls"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    assert hls.is_available("vitis_hls")
    with pytest.raises(ValueError, match="the tool 'gcc' is not one of vivado_hls"):
        hls.is_available("gcc")


def test_the_cpu_module_has_its_old_name():
    assert LLVMModule(allo.customize(twice).module)(21) == 42


def test_names_of_loops_and_arrays_have_their_old_places():
    assert transform.LoopWrapper is LoopWrapper
    assert utils.MockBuffer is MockBuffer


def add(X: int32[4, 6], Y: int32[4, 6]):
    for i, j in allo.grid(4, 6, name="add"):
        Y[i, j] = X[i, j] + 1


def add_twice(A: int32[4, 6], B: int32[4, 6]):
    T: int32[4, 6] = 0
    add(A, T)
    add(T, B)


def test_every_innermost_loop_is_pipelined():
    s = allo.customize(add_twice)
    df_pipeline(s, rewind=True)
    assert str(s.history()[0]) == "pipeline('add:add.j', rewind=True)"


def test_arrays_that_are_one_and_the_same():
    module = allo.customize(add_twice).module
    assert analyze_use_def(module) == [{"add:X", "add:Y", "add_twice:A", "add_twice:T",
                                        "add_twice:B"}]
    assert analyze_use_def(allo.customize(add).module) == []
