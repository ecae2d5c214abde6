"""Every row of the language reference runs on the evaluator, the CPU build and the RTL."""

import copy
from collections.abc import Callable
from typing import Any

import language.arrays
import language.scalars
import language.statements
import language.streams  # noqa: F401 - importing registers the rows
import numpy as np
import pytest
from language.rows import CHAPTERS, Row

import allo_rtl as allo
from allo_rtl.rtl_module import RtlModule
from allo_rtl.sim import pysim
from allo_rtl.sim.marshal import call_with_numpy

ROWS = [row for rows in CHAPTERS.values() for row in rows]


def same(found: Any, expected: Any, within: float) -> None:
    """Assert that a result is what was expected: bit for bit, or within a relative error."""
    if isinstance(expected, list) and isinstance(found, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other, within)
        return
    a, b = np.asarray(found, dtype=object), np.asarray(expected, dtype=object)
    if within:
        np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=within, atol=1e-7)
    else:
        assert a.astype(object).tolist() == b.astype(object).tolist()


def in_amaranth(module: RtlModule) -> Callable[..., Any]:
    """Hardware in Amaranth's simulator, which has nothing to compile; called like the module."""

    def call(*args: Any) -> Any:
        return call_with_numpy(
            module._signature, args, lambda raw: pysim.run(module.component, raw)[0]
        )

    return call


def run(row: Row, target: str, using: Callable[..., Any] = lambda module: module) -> None:
    """Assert what a row promises of one target."""
    options = row.options | ({"instantiate": row.instantiate} if row.instantiate else {})
    schedule = allo.customize(row.kernel, **options)
    module = schedule.build(target="simulator" if row.is_region and target == "cpu" else target)
    args = copy.deepcopy(row.args)
    result = using(module)(*args)
    same(result, row.gives, row.within)
    for position, left in row.leaves.items():
        same(args[position], left, row.within)


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.kernel.__name__)
@pytest.mark.parametrize("target", ["evaluator", "cpu"])
def test_row(row: Row, target: str) -> None:
    run(row, target)


HARDWARE = [row for row in ROWS if not row.hardware]


@pytest.mark.parametrize("row", HARDWARE, ids=lambda r: r.kernel.__name__)
def test_row_in_hardware(row: Row) -> None:
    run(row, "rtl", in_amaranth)


@pytest.mark.long
@pytest.mark.parametrize("row", HARDWARE, ids=lambda r: r.kernel.__name__)
def test_row_in_verilator(row: Row) -> None:
    run(row, "rtl")


@pytest.mark.parametrize("row", [r for r in ROWS if r.hardware], ids=lambda r: r.kernel.__name__)
def test_what_cannot_be_hardware_says_so(row: Row) -> None:
    with pytest.raises(allo.AlloError, match=row.hardware):
        run(row, "rtl")
