"""Prints and assertions: what a simulation of the hardware says is what the evaluator says."""

import numpy as np
import pytest
from ir_writer import Writer, design_of, module_of

from allo_rtl.errors import AssertionFailed
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import Fixed, Float, Int, Struct, UInt, float32, index, int8, int32, uint8
from allo_rtl.pipeline import build_rtl
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim
from allo_rtl.sim.marshal import to_words

WIDE = Int(200)


def noisy(pipeline_ii=1):
    """Prints in two places of a pipelined loop, one of them conditional, around a product."""
    data = Value(int8[6], "A")
    w = Writer(data)
    w.print("start {{}}: 100%")
    with w.loop("i", 6, pipeline_ii=pipeline_ii) as i:
        x = w.load(data, i)
        w.print("{} at {}", x, i)
        square = w.binary("mul", w.cast(x, WIDE), w.cast(x, WIDE))
        cube = w.binary("mul", square, w.cast(x, WIDE))
        with w.if_(w.compare("lt", x, 0)):
            w.print("cube of {}\n is \"{}\" \\ é", x, cube)
        w.check(w.compare("lt", x, 100), "below {100}")
        w.store(w.binary("add", x, 1), data, i)
    w.print("end")
    return module_of(w.func("noisy"))


def rich():
    """Prints of every kind of type; the arguments are raw bits."""
    pair = Struct({"x": int8, "y": float32})
    types = (Float(16, 10), Fixed(12, 4), pair, UInt(1), index)
    args = [Value(t, f"a{n}") for n, t in enumerate(types)]
    w = Writer(*args)
    w.print("{} {} {} {} {}", *args)
    return module_of(w.func("rich"))


def calls():
    """Prints and a while in a function that is called twice in each iteration."""
    n = Value(uint8, "n")
    w = Writer(n)
    left = w.variable(n, "left")
    with w.while_(lambda: w.compare("gt", w.load(left), 0)):
        w.print("{} left of {}", w.load(left), n)
        w.store(w.binary("sub", w.load(left), 1), left)
    helper = w.func("countdown")
    w = Writer()
    with w.loop("i", 3) as i:
        w.call(helper, w.cast(i, uint8))
        w.print("between")
        w.call(helper, w.const(1, uint8))
    return module_of(helper, w.func("calls"))


def lines_of_hardware(module, args, **options):
    lines = []
    raw = [
        to_words(a, p.type.element) if isinstance(a, np.ndarray) else a
        for a, p in zip(args, module.top_func.args, strict=True)
    ]
    try:
        pysim.run(KernelComponent(design_of(module, **options)), raw, output=lines.append)
    except AssertionFailed as error:
        lines.append(str(error))
    return lines


def lines_of_evaluator(module, args):
    lines = []
    try:
        evaluate(module, args, output=lines.append)
    except AssertionFailed as error:
        lines.append(str(error))
    return lines


FINE = np.array([3, -4, 127 - 28, -128, 0, -1], object)
WRONG = np.array([3, -4, 100, -128, 0, -1], object)
CASES = {
    "pipelined": (noisy(), FINE),
    "every second cycle": (noisy(2), FINE),
    "in sequence": (noisy(None), FINE),
    "assertion": (noisy(), WRONG),
    "assertion in sequence": (noisy(None), WRONG),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("clock_mhz", [5, 150])
def test_lines_come_in_the_order_of_the_program(name, clock_mhz):
    module, data = CASES[name]
    found = lines_of_hardware(module, [data.copy()], clock_mhz=clock_mhz)
    assert found == lines_of_evaluator(module, [data.copy()])
    assert len(found) == (11 if data is FINE else 6)


def test_numbers_of_every_type_are_written_as_the_evaluator_writes_them():
    args = [0xC100, -24, 0x3FC0_0000_FE & ~0xFF | 0xFD, 1, -5]
    expected = ["-2.5 -1.5 {'x': -3, 'y': 1.5} 1 -5"]
    assert lines_of_evaluator(rich(), args) == expected
    assert lines_of_hardware(rich(), args) == expected


def test_prints_of_called_functions_come_when_they_are_called():
    found = lines_of_hardware(calls(), [])
    assert found == lines_of_evaluator(calls(), [])
    assert found[:4] == ["between", "1 left of 1", "1 left of 1", "between"]


def test_a_failed_assertion_has_its_message_and_place():
    assert lines_of_hardware(*_one("n is small"))[-1] == "k.py:3:1: error: n is small"
    assert lines_of_hardware(*_one(""))[-1] == "k.py:3:1: error: an assertion does not hold"


def _one(message):
    n = Value(int32, "n")
    w = Writer(n)
    w.check(w.compare("lt", n, 10), message)
    return module_of(w.func("one")), [10]


def test_the_simulated_verilog_prints(capsys):
    for module, args in ((noisy(), [FINE.astype(np.int8)]), (calls(), [])):
        expected = lines_of_evaluator(module, [a.astype(object) for a in args])
        rtl = build_rtl(module)
        rtl(*args)
        assert capsys.readouterr().out.splitlines() == "\n".join(expected).splitlines()


def test_the_simulated_verilog_asserts_and_goes_on_after_it(capsys):
    module = noisy()
    rtl = build_rtl(module)
    with pytest.raises(AssertionFailed) as caught:
        rtl(WRONG.astype(np.int8))
    *lines, error = lines_of_evaluator(module, [WRONG.copy()])
    assert str(caught.value) == error
    assert capsys.readouterr().out.splitlines() == "\n".join(lines).splitlines()
    rtl(FINE.astype(np.int8))
    assert capsys.readouterr().out.splitlines()[-1] == "end"


def test_plain_verilog_writes_lines_with_the_bits_and_synthesis_sees_none():
    pair = Value(Struct({"x": int8, "y": float32}), "p"), Value(int8, "n")
    w = Writer(*pair)
    w.print("{} {}", *pair)
    w.check(w.compare("lt", pair[1], 10), "small")
    text = build_rtl(module_of(w.func("lines"))).verilog
    (start, end), lines = [text.index(s) for s in ("`ifndef SYNTHESIS", "`endif")], text.count("$w")
    assert lines == 2
    assert '$write("0x%010h %0d [print 0: %010h %02h]\\n"' in text[start:end]
    assert '$write("k.py:4: assertion failed: small [assert 1:]\\n")' in text[start:end]
