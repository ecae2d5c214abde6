"""The CPU build is quick enough to be an afterthought."""

from benchmarks.cpu_compile import measure


def test_a_kernel_of_200_lines_is_built_in_two_seconds():
    """Of this process's time; it takes about 0.6 s, and the first build of all a second more."""
    measure(10)
    lines, customize, build = measure(200)
    assert lines >= 200
    assert customize + build < 2
