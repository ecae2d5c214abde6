"""Systolic arrays for products of matrices, in several forms; benchmarks.systolic measures them."""

# ruff: noqa: F821 - streams are declared by annotations
from __future__ import annotations

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.frontend.dataflow_dsl import Region
from allo_rtl.ir.types import IntegerType, Memory, Partition, Stream, int8, int32
from allo_rtl.library.systolic import schedule_systolic, systolic
from allo_rtl.schedule.schedule import Schedule


def _by_rows_and_columns(gemm: Region) -> Schedule:
    """A memory for each row of A and each column of B, and for each element of C."""
    s = df.customize(gemm, opt_default=True)
    s.partition("gemm:A", dim=1)
    s.partition("gemm:B", dim=2)
    s.partition("gemm:C", dim=0)
    return s


def square(n: int, word: IntegerType) -> Schedule:
    """``C = A @ B``, n by n on n by n elements; rows of A and columns of B are memories.

    These are read by the elements at the edges, in the cycle of the address.
    """
    memory = Memory("LUTRAM", latency=0)

    @df.region()
    def gemm(A: word[n, n] @ memory, B: word[n, n] @ memory, C: int32[n, n]):
        rows: Stream[word, 2][n, n]
        columns: Stream[word, 2][n, n]

        @df.kernel(mapping=[n, n], args=[A, B, C])
        def pe(a: word[n, n], b: word[n, n], c: int32[n, n]):
            i, j = df.get_pid()
            total: int32 = 0
            for k in range(n):
                x: word = 0
                y: word = 0
                with allo.meta_if(j == 0):
                    x = a[i, k]
                with allo.meta_else():
                    x = rows[i, j].get()
                with allo.meta_if(i == 0):
                    y = b[k, j]
                with allo.meta_else():
                    y = columns[i, j].get()
                with allo.meta_if(j < n - 1):
                    rows[i, j + 1].put(x)
                with allo.meta_if(i < n - 1):
                    columns[i + 1, j].put(y)
                total += x * y
                if k == n - 1:
                    c[i, j] = total

    return _by_rows_and_columns(gemm)


def square_of_block_ram(n: int, word: IntegerType) -> Schedule:
    """:func:`square` with memories that answer one cycle after the address.

    Processes of their own read them, so that the elements at the edges do not wait for words.
    """

    @df.region()
    def gemm(A: word[n, n], B: word[n, n], C: int32[n, n]):
        rows: Stream[word, 2][n, n]
        columns: Stream[word, 2][n, n]

        @df.kernel(mapping=[n], args=[A])
        def load_a(a: word[n, n]):
            i = df.get_pid()
            for k in range(n):
                rows[i, 0].put(a[i, k])

        @df.kernel(mapping=[n], args=[B])
        def load_b(b: word[n, n]):
            j = df.get_pid()
            for k in range(n):
                columns[0, j].put(b[k, j])

        @df.kernel(mapping=[n, n], args=[C])
        def pe(c: int32[n, n]):
            i, j = df.get_pid()
            total: int32 = 0
            for k in range(n):
                x = rows[i, j].get()
                y = columns[i, j].get()
                with allo.meta_if(j < n - 1):
                    rows[i, j + 1].put(x)
                with allo.meta_if(i < n - 1):
                    columns[i + 1, j].put(y)
                total += x * y
                if k == n - 1:
                    c[i, j] = total

    return _by_rows_and_columns(gemm)


def tiled(size: int, tile: int) -> Schedule:
    """``C = A @ B`` of int8, size by size, in tiles that follow each other without a gap.

    The arrays are in as many memories along each dimension as the array of elements has rows.
    """
    tiles = size // tile

    @df.region()
    def gemm(A: int8[size, size], B: int8[size, size], C: int32[size, size]):
        rows: Stream[int8, 2][tile, tile]
        columns: Stream[int8, 2][tile, tile]

        @df.kernel(mapping=[tile], args=[A])
        def load_a(a: int8[size, size]):
            i = df.get_pid()
            for m, _n, k in allo.grid(tiles, tiles, size):
                rows[i, 0].put(a[m * tile + i, k])

        @df.kernel(mapping=[tile], args=[B])
        def load_b(b: int8[size, size]):
            j = df.get_pid()
            for _m, n, k in allo.grid(tiles, tiles, size):
                columns[0, j].put(b[k, n * tile + j])

        @df.kernel(mapping=[tile, tile], args=[C])
        def pe(c: int32[size, size]):
            i, j = df.get_pid()
            total: int32 = 0
            for m, n, k in allo.grid(tiles, tiles, size):
                x = rows[i, j].get()
                y = columns[i, j].get()
                with allo.meta_if(j < tile - 1):
                    rows[i, j + 1].put(x)
                with allo.meta_if(i < tile - 1):
                    columns[i + 1, j].put(y)
                before: int32 = 0 if k == 0 else total
                total = before + x * y
                if k == size - 1:
                    c[m * tile + i, n * tile + j] = total

    s = df.customize(gemm, opt_default=True)
    s.partition("gemm:A", Partition.Cyclic, dim=1, factor=tile)
    s.partition("gemm:B", Partition.Cyclic, dim=2, factor=tile)
    for dim in (1, 2):
        s.partition("gemm:C", Partition.Cyclic, dim=dim, factor=tile)
    return s


def weight_stationary(rows: int, n: int) -> Schedule:
    """``C = A @ B`` with an element of B in each of n by n; rows of A go right, sums go down.

    An element reads its weight once, from a memory of its own.
    """

    @df.region()
    def gemm(A: int8[rows, n], B: int8[n, n], C: int32[rows, n]):
        right: Stream[int8, 2][n, n]
        sums: Stream[int32, 2][n, n]

        @df.kernel(mapping=[n], args=[A])
        def load_a(a: int8[rows, n]):
            k = df.get_pid()
            for t in range(rows):
                right[k, 0].put(a[t, k])

        @df.kernel(mapping=[n, n], args=[B, C])
        def pe(b: int8[n, n], c: int32[rows, n]):
            k, j = df.get_pid()
            weight: int8 = b[k, j]
            for t in range(rows):
                x = right[k, j].get()
                with allo.meta_if(j < n - 1):
                    right[k, j + 1].put(x)
                total: int32 = x * weight
                with allo.meta_if(k > 0):
                    total += sums[k, j].get()
                with allo.meta_if(k < n - 1):
                    sums[k + 1, j].put(total)
                with allo.meta_else():
                    c[t, j] = total

    s = df.customize(gemm, opt_default=True)
    s.partition("gemm:A", dim=2)
    s.partition("gemm:B", dim=0)
    s.partition("gemm:C", dim=2)
    return s


def linear(rows: int, n: int) -> Schedule:
    """``C = A @ B`` on n elements in a line: each has a column of B, and the words of A pass by."""

    @df.region()
    def gemm(A: int8[rows, n], B: int8[n, n], C: int32[rows, n]):
        line: Stream[int8, 2][n]

        @df.kernel(mapping=[1], args=[A])
        def load_a(a: int8[rows, n]):
            for t, k in allo.grid(rows, n):
                line[0].put(a[t, k])

        @df.kernel(mapping=[n], args=[B, C])
        def pe(b: int8[n, n], c: int32[rows, n]):
            j = df.get_pid()
            total: int32 = 0
            for t, k in allo.grid(rows, n):
                x = line[j].get()
                with allo.meta_if(j < n - 1):
                    line[j + 1].put(x)
                before: int32 = 0 if k == 0 else total
                total = before + x * b[k, j]
                if k == n - 1:
                    c[t, j] = total

    s = df.customize(gemm, opt_default=True)
    s.partition("gemm:B", dim=2)
    s.partition("gemm:C", dim=2)
    return s


def daisy_chain(n: int, length: int) -> Schedule:
    """An array of n by n whose words come and go by its edges: A, B and C are a memory each.

    A row of A and of B's transpose, of ``length`` words, goes along the edge from element to
    element to its place, the sums come back the same way.
    """

    @df.region()
    def gemm(A: int8[n, length], B: int8[n, length], C: int32[n, n]):
        down: Stream[int8, 2][n]
        across: Stream[int8, 2][n]
        rows: Stream[int8][n, n]
        columns: Stream[int8][n, n]
        drain: Stream[int32, 2][n, n]
        up: Stream[int32, 2][n]

        @df.kernel(mapping=[1], args=[A, B])
        def feed(a: int8[n, length], b: int8[n, length]):
            for i, k in allo.grid(n, length):
                down[0].put(a[i, k])
                across[0].put(b[i, k])

        @df.kernel(mapping=[n])
        def edge():
            i = df.get_pid()
            for _ in range(length):
                rows[i, 0].put(down[i].get())
                columns[0, i].put(across[i].get())
            with allo.meta_if(i < n - 1):
                for _ in range((n - 1 - i) * length):
                    down[i + 1].put(down[i].get())
                    across[i + 1].put(across[i].get())

        @df.kernel(mapping=[n, n])
        def pe():
            i, j = df.get_pid()
            total: int32 = 0
            for _ in range(length):
                x = rows[i, j].get()
                y = columns[i, j].get()
                with allo.meta_if(j < n - 1):
                    rows[i, j + 1].put(x)
                with allo.meta_if(i < n - 1):
                    columns[i + 1, j].put(y)
                total += x * y
            drain[i, j].put(total)
            with allo.meta_if(j < n - 1):
                for _ in range(n - 1 - j):
                    drain[i, j].put(drain[i, j + 1].get())

        @df.kernel(mapping=[n])
        def collect():
            i = df.get_pid()
            for _ in range(n):
                up[i].put(drain[i, 0].get())
            with allo.meta_if(i < n - 1):
                for _ in range((n - 1 - i) * n):
                    up[i].put(up[i + 1].get())

        @df.kernel(mapping=[1], args=[C])
        def store(c: int32[n, n]):
            for i, j in allo.grid(n, n):
                c[i, j] = up[0].get()

    return df.customize(gemm, opt_default=True)


def unfolded(n: int, length: int) -> Schedule:
    """The output-stationary array made of three plain loops by ``unfold`` and ``to``."""

    def gemm(A: int8[n, length], B: int8[length, n], C: int32[n, n]):
        for i, j in allo.grid(n, n, name="PE"):
            total: int32 = 0
            for k in range(length):
                total += A[i, k] * B[k, j]
            C[i, j] = total

    s = allo.customize(gemm)
    s.pipeline("k")
    elements = s.unfold("PE", [0, 1])
    s.to("A", elements, axis="j", depth=n)
    s.to("B", elements, axis="i", depth=n)
    s.partition("A", dim=1)
    s.partition("B", dim=2)
    s.partition("C", dim=0)
    return s


def unfolded_weights(rows: int, n: int) -> Schedule:
    """The weight-stationary array made of three plain loops by ``unfold`` and ``to``."""

    def gemm(A: int8[rows, n], B: int8[n, n], C: int32[rows, n]):
        for k, j, t in allo.grid(n, n, rows, name="PE"):
            C[t, j] += A[t, k] * B[k, j]

    s = allo.customize(gemm)
    s.pipeline("t")
    elements = s.unfold("PE", [0, 1])
    s.to("A", elements, axis="j", depth=n)
    s.to("C", elements, axis="k", depth=2)
    s.partition("A", dim=2)
    s.partition("B", dim=0)
    s.partition("C", dim=2)
    return s


def unfolded_row(rows: int, n: int) -> Schedule:
    """A line of n elements with a column of B each, made of three plain loops."""

    def gemm(A: int8[rows, n], B: int8[n, n], C: int32[rows, n]):
        for j, t, k in allo.grid(n, rows, n, name="PE"):
            C[t, j] += A[t, k] * B[k, j]

    s = allo.customize(gemm)
    s.pipeline("k")
    s.to("A", s.unfold("PE", [0]), axis="j", depth=2)
    s.partition("B", dim=2)
    s.partition("C", dim=2)
    return s


def of_the_library(size: int, tile: int) -> Schedule:
    """The library's tiled product, with its schedule: a tile is loaded, computed, and stored."""
    shape = [int8, int8, int32, size, size, size, tile, tile]
    return schedule_systolic(allo.customize(systolic, instantiate=shape))
