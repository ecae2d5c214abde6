"""Choices among many: balanced trees, however many there are."""

from operator import or_

from amaranth.back import rtlil
from amaranth.hdl import Module, Signal
from hypothesis import given
from hypothesis import strategies as st

from allo_rtl.rtl.trees import any_of, balanced


@given(st.lists(st.text(), min_size=1))
def test_order_and_depth(words):
    """Every value once and in order, at most log2 of their number deep."""
    joined, depth = balanced(
        lambda a, b: (a[0] + b[0], max(a[1], b[1]) + 1), [(w, 0) for w in words]
    )
    assert joined == "".join(words)
    assert depth == (len(words) - 1).bit_length()


def test_thousands_of_bits():
    """A chain would be too deep for Amaranth."""
    m, bits, answer = Module(), [Signal() for _ in range(3000)], Signal()
    m.d.comb += answer.eq(any_of(bits))
    assert rtlil.convert(m, ports=[*bits, answer]).count("cell $or") == len(bits) - 1
    assert balanced(or_, [bits[0]]) is bits[0]
