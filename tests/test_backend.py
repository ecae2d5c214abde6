"""Names that scripts for Allo ask for."""

import pytest

import allo_rtl as allo
from allo_rtl.backend import hls
from allo_rtl.backend.llvm import LLVMModule
from allo_rtl.ir.types import int32


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
