import pytest
from hypothesis import given
from hypothesis import strategies as st

from allo_rtl.boards.catalog import BOARDS, board
from allo_rtl.boards.pll import TOLERANCE, find_pll
from allo_rtl.errors import BuildError

VCO = {"ice40": (533, 1066), "ecp5": (400, 800), "gowin": (400, 1200)}


def test_known_settings():
    # What icepll prints for the same question.
    ice40 = find_pll("ice40", 12, 48)
    assert (ice40.reference, ice40.feedback, ice40.post, ice40.mhz) == (1, 64, 16, 48)
    ecp5 = find_pll("ecp5", 25, 60)
    assert (ecp5.reference, ecp5.feedback, ecp5.post, ecp5.mhz) == (1, 24, 10, 60)
    assert [round(find_pll("ecp5", 25, f).mhz, 1) for f in (12, 50, 80, 100)] == [12, 50, 80, 100]
    assert find_pll("gowin", 27, 54).mhz == 54


@pytest.mark.parametrize("name", BOARDS)
@given(mhz=st.floats(1, 500))
def test_setting_is_near_below_and_within_the_limits(name, mhz):
    family, source = board(name).family, board(name).oscillator_mhz
    try:
        pll = find_pll(family, source, mhz)
    except BuildError:
        return
    assert mhz * (1 - TOLERANCE) <= pll.mhz <= mhz * (1 + 1e-6)
    low, high = VCO[family]
    assert low <= pll.mhz * pll.post * pll.inside <= high


def test_clock_out_of_reach_is_refused():
    with pytest.raises(BuildError) as error:
        find_pll("ice40", 12, 13)
    assert str(error.value) == (
        "a clock of 13 MHz cannot be made from the board's 12 MHz\n"
        "  allowed: 12 MHz, or what the PLL makes: nearest 16.12 MHz"
    )


def test_unknown_board_is_refused():
    with pytest.raises(BuildError) as error:
        board("ulx3s")
    assert str(error.value) == (
        "unknown board 'ulx3s'\n"
        "  allowed: icebreaker, ulx3s-85f, tang-nano-9k\n"
        "  hint: did you mean 'ulx3s-85f'?"
    )
