"""Kernels in Verilator behind a call: results, cycles, memories, errors, waveforms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sim_kernels import ADD_N, MEMORY, POKE, ROTATE, SCALARS, VADD, WIDE

from allo_rtl.errors import CallError, SimulationError, ToolError
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.types import ArrayType, DimPartition, Int, Partition, int8
from allo_rtl.sim import verilator
from allo_rtl.sim.cosim import Simulation, element_positions
from allo_rtl.sim.marshal import to_words


def words(values, bits=64):
    return to_words(np.array(values, object), Int(bits))


def ints(array):
    return [int.from_bytes(row.tobytes(), "little") for row in array]


@pytest.fixture(scope="module")
def vadd():
    return Simulation(*VADD)


def test_array_arguments_and_the_cycle_count(vadd):
    a, b, c = words(range(8)), words([10] * 8), words([5] * 8)
    assert vadd.run([a, b, c]) == ([], 9)
    assert ints(c) == [10, 11, 12, 13, 14, 15, 16, 17]
    assert ints(a) == list(range(8))


def test_runs_repeat_with_and_without_reset(vadd):
    for repeat in range(3):
        c = words([0] * 8)
        vadd.run([words([repeat] * 8), words(range(8)), c])
        assert ints(c) == [repeat + i for i in range(8)]
        if repeat == 1:
            vadd.reset()


def test_cyclic_banks_and_a_sampled_scalar():
    simulation = Simulation(*ADD_N)
    a = words([1, 2, 3, 4, 5, 6, -7], 16)
    assert simulation.run([a, -3]) == ([], 5)
    assert ints(a) == [0xFFFE, 0xFFFF, 0, 1, 2, 3, 0xFFF6]


def test_scalars_of_odd_widths_and_a_latency_that_depends_on_data():
    simulation = Simulation(*SCALARS)
    assert simulation.run([-64, 4095, 1]) == ([-64 * 4095], 1)
    assert simulation.run([63, 4095, 200]) == ([63 * 4095], 200)


def test_wide_words_and_results():
    simulation = Simulation(*WIDE)
    values = [0, 1, (1 << 99) | (1 << 64) | 5]
    (y, m), cycles = simulation.run([words(values, 100), (1 << 512) + (1 << 128) - 1])
    assert ints(y) == [v ^ ((1 << 100) - 1) for v in values]
    assert m == (1 << 512) + (1 << 128)
    assert cycles == 4
    assert simulation.run([words(values, 100), (1 << 513) - 1])[0][1] == 0


def test_banks_of_one_word():
    a = words([1, 2, 255])
    assert Simulation(*ROTATE).run([a]) == ([], 2)
    assert ints(a) == [255, 1, 2]


def test_memory_reads_old_data_and_holds_it():
    a = words([5, 0, 0])
    Simulation(*MEMORY).run([a])
    assert ints(a) == [99, 5, 99]


def test_elements_that_are_not_written_stay():
    a = words([1, 2, 3, 4, 5])
    Simulation(*POKE).run([a, 3])
    assert ints(a) == [1, 2, 3, 7, 5]


def test_a_kernel_that_does_not_end_says_where_it_was():
    simulation, a = Simulation(*POKE), words([0] * 5)
    with pytest.raises(SimulationError) as error:
        simulation.run([a, 0], max_cycles=50)
    assert str(error.value) == (
        "'poke' was not done after 50 cycles\n"
        "  note: port group 'A' was never read, written last in cycle 2\n"
        "  hint: pass a larger max_cycles if the kernel needs more"
    )
    assert simulation.run([a, 1]) == ([], 3)


def test_default_limit_follows_the_latency():
    with pytest.raises(SimulationError, match="'poke' was not done after 1006 cycles"):
        Simulation(*POKE).run([words([0] * 5), 0])


def test_a_write_outside_an_array_is_an_error():
    simulation, a = Simulation(*POKE), words([0] * 5)
    with pytest.raises(SimulationError) as error:
        simulation.run([a, 6])
    assert str(error.value) == (
        "'poke' wrote outside an array in cycle 2: address 6 of port group 'A', "
        "which has 5 words\n"
        "  hint: a subscript that depends on data is out of range"
    )
    assert ints(a) == [0] * 5
    simulation.run([a, 4])
    assert ints(a) == [0, 0, 0, 0, 7]


def test_a_run_can_last_exactly_the_limit(vadd):
    args = [words([0] * 8) for _ in range(3)]
    assert vadd.run(args, max_cycles=9) == ([], 9)
    with pytest.raises(SimulationError, match="not done after 8 cycles"):
        vadd.run(args, max_cycles=8)


def test_arguments_that_do_not_fit(vadd):
    good = words([0] * 8)
    with pytest.raises(CallError, match="'vadd' takes 3 arguments, 1 were given"):
        vadd.run([good])
    with pytest.raises(CallError) as error:
        vadd.run([good, good, np.zeros((8, 1), np.int64)])
    assert str(error.value) == (
        "argument 'C' has words of shape (8, 1) and dtype int64\n"
        "  allowed: a C-contiguous uint64 array of shape (8, 1)"
    )
    with pytest.raises(CallError, match="argument 'A' is 3, not an array of words"):
        vadd.run([3, good, good])


def test_a_closed_simulation_says_so():
    simulation = Simulation(*VADD)
    simulation.close()
    with pytest.raises(SimulationError, match="the simulation of 'vadd' was closed"):
        simulation.run([])


def test_verilog_that_is_wrong_shows_what_verilator_says():
    with pytest.raises(SimulationError, match=r"(?s)'vadd__simulation' cannot .*syntax error"):
        Simulation("module vadd(; endmodule", VADD[1])


def test_a_missing_compiler_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ToolError) as error:
        Simulation(*VADD)
    assert str(error.value) == (
        "the program 'g++' is missing: it is not on PATH\n"
        "  hint: apt install g++ (or set CXX to another C++20 compiler)"
    )


def test_waveforms_have_the_source_names(tmp_path):
    simulation = Simulation(*VADD, trace=tmp_path / "waves.vcd")
    simulation.run([words([0] * 8) for _ in range(3)])
    text = simulation.trace.read_text()
    assert " step [31:0] $end" in text
    assert " A_rdata [31:0] $end" in text
    assert "p0" not in text.split("$enddefinitions")[0]
    # 12 cycles from the first reset to done, and the one after reset that takes start.
    assert text.count("\n#") >= 2 * 13


def test_waveforms_in_the_best_format_are_complete_when_closed(tmp_path):
    simulation = Simulation(*VADD, trace=tmp_path / "waves")
    simulation.run([words([0] * 8) for _ in range(3)])
    simulation.close()
    assert simulation.trace.suffix in (".vcd", ".fst")
    assert simulation.trace.stat().st_size > 500


def test_a_waveform_file_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SimulationError) as caught:
        Simulation(*VADD, trace=tmp_path / "file" / "w.vcd")
    place = str(tmp_path / "file" / "w.vcd")
    assert str(caught.value) == f"the waveform file {place!r} cannot be written: File exists"


def test_waveform_suffix_is_that_of_the_format(tmp_path, monkeypatch):
    from allo_rtl.sim import waves

    monkeypatch.setattr(waves, "best_wave_format", lambda: "fst")
    assert waves.choose_format(tmp_path / "a") == ("fst", tmp_path / "a.fst")
    assert waves.choose_format(tmp_path / "a.vcd") == ("vcd", tmp_path / "a.vcd")
    monkeypatch.setattr(waves, "best_wave_format", lambda: "vcd")
    assert waves.choose_format(tmp_path / "a.fst") == ("vcd", tmp_path / "a.vcd")
    assert waves.choose_format(tmp_path / "a.b") == ("vcd", tmp_path / "a.b.vcd")


def test_large_models_are_compiled_in_parts(tmp_path, monkeypatch):
    runtime = verilator._runtime(None)  # in the usual cache
    monkeypatch.setenv("ALLO_RTL_CACHE", str(tmp_path))
    monkeypatch.setattr(verilator, "_runtime", lambda trace: runtime)
    monkeypatch.setattr(verilator, "_UNIT_BYTES", 2000)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    a = words([1, 2, 255])
    assert Simulation(*ROTATE).run([a]) == ([], 2)
    assert ints(a) == [255, 1, 2]


def test_parts_of_a_large_model_are_even(tmp_path, monkeypatch):
    files = [tmp_path / name for name in "abc"]
    for path, size in zip(files, (500, 900, 400), strict=True):
        path.write_bytes(bytes(size))
    a, b, c = files
    assert verilator._compilation_units(files, 4) == [[b, a, c]]
    monkeypatch.setattr(verilator, "_UNIT_BYTES", 1000)
    assert verilator._compilation_units(files, 4) == [[b], [a, c]]
    assert verilator._compilation_units(files, 1) == [[b, a, c]]


def test_what_a_large_model_does_once_is_compiled_apart_and_quickly(tmp_path, monkeypatch):
    names = ("Vtop_0.cpp", "Vtop_0__Slow.cpp", "Vtop_1.cpp", "driver.cpp")
    files = [tmp_path / name for name in names]
    for path, size in zip(files, (900, 800, 700, 100), strict=True):
        path.write_bytes(bytes(size))
    fast, slow, other, driver = files
    monkeypatch.setattr(verilator, "_UNIT_BYTES", 1000)
    units = verilator._compilation_units(files, 2)
    assert units == [[fast], [other, driver], [slow]]
    assert verilator._unoptimised(units) == {2}
    monkeypatch.setattr(verilator, "_MOST_BYTES", 500)  # more units than processors
    assert len(verilator._compilation_units(files, 1)) == 4
    monkeypatch.setattr(verilator, "_LARGE_BYTES", 2400)
    assert verilator._unoptimised(units) == {0, 1, 2}


PARTS = st.one_of(
    st.none(),
    st.just(DimPartition(Partition.Complete, 0)),
    st.builds(
        DimPartition, st.sampled_from([Partition.Block, Partition.Cyclic]), st.integers(1, 4)
    ),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), PARTS), min_size=0, max_size=3))
def test_element_positions_are_those_of_the_layout(dims):
    shape = tuple(extent for extent, _ in dims)
    parts = tuple(
        p if p is None or p.kind is not Partition.Complete else DimPartition(p.kind, n)
        for n, p in dims
    )
    type = ArrayType(int8, shape, parts)
    layout = Layout(type)
    expected = [
        bank * layout.depth + address
        for bank, address in (layout.place_const(at) for at in np.ndindex(shape))
    ]
    assert element_positions(type).tolist() == expected
