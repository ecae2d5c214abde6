"""Systolic arrays as users write them (see :mod:`dataflow_designs`)."""

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.ir.types import Stream, int32

M, N, K = 3, 2, 4


@df.region()
def matrix_vector(A: int32[M, K], X: int32[K], Y: int32[M]):
    """One dimension: element i has row i, the vector goes by all of them."""
    rows: Stream[int32, K][M]
    along: Stream[int32, 2][M]
    sums: Stream[int32, 1][M]

    @df.kernel(mapping=[1], args=[A])
    def load(a: int32[M, K]):
        with allo.meta_for(M) as i:
            for k in range(K):
                rows[i].put(a[i, k])

    @df.kernel(mapping=[1], args=[X])
    def send(x: int32[K]):
        for k in range(K):
            along[0].put(x[k])

    @df.kernel(mapping=[M])
    def element():
        i = df.get_pid()
        total: int32 = 0
        for _ in range(K):
            x: int32 = along[i].get()
            total += rows[i].get() * x
            with allo.meta_if(i < M - 1):
                along[i + 1].put(x)
        sums[i].put(total)

    @df.kernel(mapping=[1], args=[Y])
    def store(y: int32[M]):
        with allo.meta_for(M) as i:
            y[i] = sums[i].get()


@df.region()
def output_stationary(A: int32[M, K], B: int32[K, N], C: int32[M, N]):
    """Two dimensions, from memories in banks."""
    rows: Stream[int32, 2][M, N]
    columns: Stream[int32, 2][M, N]

    @df.kernel(mapping=[M], args=[A])
    def load_a(a: int32[M, K]):
        i = df.get_pid()
        for k in range(K):
            rows[i, 0].put(a[i, k])

    @df.kernel(mapping=[N], args=[B])
    def load_b(b: int32[K, N]):
        j = df.get_pid()
        for k in range(K):
            columns[0, j].put(b[k, j])

    @df.kernel(mapping=[M, N], args=[C])
    def element(c: int32[M, N]):
        i, j = df.get_pid()
        total: int32 = 0
        for _ in range(K):
            x: int32 = rows[i, j].get()
            y: int32 = columns[i, j].get()
            total += x * y
            with allo.meta_if(j < N - 1):
                rows[i, j + 1].put(x)
            with allo.meta_if(i < M - 1):
                columns[i + 1, j].put(y)
        c[i, j] = total


@df.region()
def daisy_chain(A: int32[M, K], B: int32[K, N], C: int32[M, N]):
    """The same, loaded and drained from one element to the next: all arrays are streams."""
    down: Stream[int32, 2][M]
    right: Stream[int32, 2][N]
    rows: Stream[int32, K][M, N]
    columns: Stream[int32, 2][M, N]
    drain: Stream[int32, 2][M, N]
    up: Stream[int32, 2][M]

    @df.kernel(mapping=[1], args=[A])
    def feed_a(a: int32[M, K]):
        for i in range(M):
            for k in range(K):
                down[0].put(a[i, k])

    @df.kernel(mapping=[1], args=[B])
    def feed_b(b: int32[K, N]):
        for k in range(K):
            for j in range(N):
                right[0].put(b[k, j])

    @df.kernel(mapping=[M])
    def load_row():
        i = df.get_pid()
        for _ in range(K):
            rows[i, 0].put(down[i].get())
        with allo.meta_if(i < M - 1):
            for _ in range((M - 1 - i) * K):
                down[i + 1].put(down[i].get())

    @df.kernel(mapping=[N])
    def load_column():
        j = df.get_pid()
        for _ in range(K):
            columns[0, j].put(right[j].get())
            with allo.meta_if(j < N - 1):
                for _ in range(N - 1 - j):
                    right[j + 1].put(right[j].get())

    @df.kernel(mapping=[M, N])
    def element():
        i, j = df.get_pid()
        total: int32 = 0
        for _ in range(K):
            x: int32 = rows[i, j].get()
            y: int32 = columns[i, j].get()
            total += x * y
            with allo.meta_if(j < N - 1):
                rows[i, j + 1].put(x)
            with allo.meta_if(i < M - 1):
                columns[i + 1, j].put(y)
        drain[i, j].put(total)
        with allo.meta_if(j < N - 1):
            for _ in range(N - 1 - j):
                drain[i, j].put(drain[i, j + 1].get())

    @df.kernel(mapping=[M])
    def collect():
        i = df.get_pid()
        for _ in range(N):
            up[i].put(drain[i, 0].get())
        with allo.meta_if(i < M - 1):
            for _ in range((M - 1 - i) * N):
                up[i].put(up[i + 1].get())

    @df.kernel(mapping=[1], args=[C])
    def store(c: int32[M, N]):
        for i in range(M):
            for j in range(N):
                c[i, j] = up[0].get()


@df.region()
def tiled(A: int32[4, 3], B: int32[3, 4], C: int32[4, 4]):
    """Four tiles, one after the other, on an array of 2 x 2."""
    rows: Stream[int32, 2][2, 2]
    columns: Stream[int32, 2][2, 2]

    @df.kernel(mapping=[2], args=[A])
    def load_a(a: int32[4, 3]):
        p = df.get_pid()
        for ti, _tj, k in allo.grid(2, 2, 3):
            rows[p, 0].put(a[2 * ti + p, k])

    @df.kernel(mapping=[2], args=[B])
    def load_b(b: int32[3, 4]):
        p = df.get_pid()
        for _ti, tj, k in allo.grid(2, 2, 3):
            columns[0, p].put(b[k, 2 * tj + p])

    @df.kernel(mapping=[2, 2], args=[C])
    def element(c: int32[4, 4]):
        p, q = df.get_pid()
        for ti, tj in allo.grid(2, 2):
            total: int32 = 0
            for _ in range(3):
                x: int32 = rows[p, q].get()
                y: int32 = columns[p, q].get()
                total += x * y
                with allo.meta_if(q == 0):
                    rows[p, 1].put(x)
                with allo.meta_if(p == 0):
                    columns[1, q].put(y)
            c[2 * ti + p, 2 * tj + q] = total


@df.region()
def ping_pong(A: int32[4, 2, 2], B: int32[4, 2, 2], C: int32[4, 2, 2]):
    """Products of tiles; while one is computed the next is loaded: streams of blocks."""
    left: Stream[int32[2, 2], 2]
    right: Stream[int32[2, 2], 2]
    done: Stream[int32[2, 2], 2]

    @df.kernel(mapping=[1], args=[A])
    def load_a(a: int32[4, 2, 2]):
        for t in range(4):
            left.put(a[t])

    @df.kernel(mapping=[1], args=[B])
    def load_b(b: int32[4, 2, 2]):
        for t in range(4):
            right.put(b[t])

    @df.kernel(mapping=[1])
    def multiply():
        for _ in range(4):
            x: int32[2, 2] = left.get()
            y: int32[2, 2] = right.get()
            z: int32[2, 2] = allo.matmul(x, y)
            done.put(z)

    @df.kernel(mapping=[1], args=[C])
    def store(c: int32[4, 2, 2]):
        for t in range(4):
            c[t] = done.get()


@df.region()
def weight_stationary(A: int32[6, 3], W: int32[3, 2], C: int32[6, 2]):
    """Weights stay, sums go by."""
    x: Stream[int32, 2][3, 3]
    partial: Stream[int32, 2][4, 2]

    @df.kernel(mapping=[3], args=[A])
    def load(a: int32[6, 3]):
        k = df.get_pid()
        for i in range(6):
            x[k, 0].put(a[i, k])

    @df.kernel(mapping=[3, 2], args=[W])
    def pe(w: int32[3, 2]):
        k, j = df.get_pid()
        weight: int32 = w[k, j]
        for _ in range(6):
            v = x[k, j].get()
            before: int32 = 0
            with allo.meta_if(k > 0):
                before = partial[k, j].get()
            partial[k + 1, j].put(before + v * weight)
            with allo.meta_if(j < 1):
                x[k, j + 1].put(v)

    @df.kernel(mapping=[1], args=[C])
    def drain(c: int32[6, 2]):
        for i in range(6):
            c[i, :] = df.gather(partial[3, :])


@df.region()
def down_and_up(A: int32[4], B: int32[4]):
    """Words go down to the element that they are for, and results up."""
    down: Stream[int32, 1][4]
    up: Stream[int32, 1][5]

    @df.kernel(mapping=[1], args=[A])
    def load(a: int32[4]):
        for i in range(4):
            down[0].put(a[3 - i])

    @df.kernel(mapping=[4])
    def pe():
        p = df.get_pid()
        with allo.meta_for(3 - p):
            down[p + 1].put(down[p].get())
        mine: int32 = down[p].get()
        up[p + 1].put(mine * mine)
        with allo.meta_for(p):
            up[p + 1].put(up[p].get())

    @df.kernel(mapping=[1], args=[B])
    def drain(b: int32[4]):
        for i in range(4):
            b[3 - i] = up[4].get()
