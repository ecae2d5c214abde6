"""Matrix multiplication on a grid of processing elements, each with its own running sum.

``systolic[TyA, TyB, TyC, M, K, N, Mt, Nt](A, B, C)`` computes ``C = A @ B`` in tiles of Mt x Nt
elements.  Element (i, j) of a tile takes a row of A from its left and a column of B from above,
adds up their products, and passes both on (Kung and Leiserson 1979, output stationary).

The packed variants take words of ``P`` elements, element p in bits ``p * bits ... (p + 1) * bits``.
"""

from __future__ import annotations

import allo_rtl as allo
from allo_rtl.ir.rewrite import loops
from allo_rtl.ir.types import Int, index, int4, int8, int16, int32
from allo_rtl.schedule.buffers import buffers
from allo_rtl.schedule.schedule import Schedule


def PE_kernel[TyA, TyB, TyC, K, Mt, Nt](
    A_in: "TyA[K]", B_in: "TyB[K]", A_out: "TyA[K]", B_out: "TyB[K]",
    C: "TyC[Mt, Nt]", i: "index", j: "index",
):  # fmt: skip
    """One element: ``C[i, j]`` is the dot product; the operands go on to the neighbours."""
    v: TyC = 0
    for k in range(K):
        a: TyA = A_in[k]
        b: TyB = B_in[k]
        v += a * b
        A_out[k] = a
        B_out[k] = b
    C[i, j] = v


def PE_kernel_packed_int8xint8[K, Mt, Nt](
    A_in: "int8[K]", B_in: "int16[K]", A_out: "int8[K]", B_out: "int16[K]",
    C: "int32[Mt, Nt]", i: "index", j: "index",
):  # fmt: skip
    """Two dot products with one multiplier: B's words hold two int8, C's two int16.

    ``a * (high * 2**18 + low)`` holds ``a * low`` in its low 18 bits, and above them ``a * high``
    less one where ``a * low`` is negative.
    """
    low: int16 = 0
    high: int16 = 0
    for k in range(K):
        a: int8 = A_in[k]
        b: int16 = B_in[k]
        b_low: int8 = b[0:8]
        b_high: int8 = b[8:16]
        packed: Int(27) = b_high
        packed = (packed << 18) + b_low
        product: Int(35) = a * packed
        p_low: Int(18) = product[0:18]
        p_high: Int(17) = product[18:35]
        low += p_low
        high += p_high + (1 if p_low < 0 else 0)
        A_out[k] = a
        B_out[k] = b
    word: int32 = 0
    word[0:16] = low
    word[16:32] = high
    C[i, j] = word


def PE_kernel_packed_int4xint8[K, Mt, Nt](
    A_in: "int8[K]", B_in: "int8[K]", A_out: "int8[K]", B_out: "int8[K]",
    C: "int32[Mt, Nt]", i: "index", j: "index",
):  # fmt: skip
    """Two dot products with one multiplier: B's words hold two int4, C's two int16.

    A product has 12 bits, so that the two numbers take 17 together, with room for both: one
    multiplier of 18 x 18 bits is enough.
    """
    low: int16 = 0
    high: int16 = 0
    for k in range(K):
        a: int8 = A_in[k]
        b: int8 = B_in[k]
        b_low: int4 = b[0:4]
        b_high: int4 = b[4:8]
        packed: Int(17) = b_high
        packed = (packed << 12) + b_low
        product: Int(25) = a * packed
        p_low: Int(12) = product[0:12]
        p_high: Int(13) = product[12:25]
        low += p_low
        high += p_high + (1 if p_low < 0 else 0)
        A_out[k] = a
        B_out[k] = b
    word: int32 = 0
    word[0:16] = low
    word[16:32] = high
    C[i, j] = word


def systolic_tile[TyA, TyB, TyC, K, Mt, Nt](
    A: "TyA[Mt, K]", B: "TyB[K, Nt]", C: "TyC[Mt, Nt]"
):
    """One tile: the operands are loaded, go through the elements, and are drained.

    With int8, int16 and int32 the words of B and C hold two numbers
    (:func:`PE_kernel_packed_int8xint8`).
    """
    A_fifo: TyA[Mt, Nt + 1, K]
    B_fifo: TyB[Nt, Mt + 1, K]
    A_drain: TyA[Mt]
    B_drain: TyB[Nt]
    for k in range(K, name="data_load"):
        for m in range(Mt):
            A_fifo[m, 0, k] = A[m, k]
        for n in range(Nt):
            B_fifo[n, 0, k] = B[k, n]
    for i, j in allo.grid(Mt, Nt, name="PE"):
        with allo.meta_if(TyA == int8 and TyB == int16 and TyC == int32):
            PE_kernel_packed_int8xint8[K, Mt, Nt](
                A_fifo[i, j], B_fifo[j, i], A_fifo[i, j + 1], B_fifo[j, i + 1], C, i, j
            )
        with allo.meta_else():
            PE_kernel[TyA, TyB, TyC, K, Mt, Nt](
                A_fifo[i, j], B_fifo[j, i], A_fifo[i, j + 1], B_fifo[j, i + 1], C, i, j
            )
    for k in range(K, name="data_drain"):
        for m in range(Mt):
            A_drain[m] = A_fifo[m, Nt, k]
        for n in range(Nt):
            B_drain[n] = B_fifo[n, Mt, k]


def systolic[TyA, TyB, TyC, M, K, N, Mt, Nt](A: "TyA[M, K]", B: "TyB[K, N]", C: "TyC[M, N]"):
    """``C = A @ B`` in tiles of Mt x Nt, which divide M and N."""
    assert M % Mt == 0, "Mt divides M"
    assert N % Nt == 0, "Nt divides N"
    for mi, ni in allo.grid(M // Mt, N // Nt, name="outer_tile"):
        local_A: TyA[Mt, K]
        local_B: TyB[K, Nt]
        local_C: TyC[Mt, Nt]
        for ak, ai in allo.grid(K, Mt, name="load_A_tile"):
            local_A[ai, ak] = A[mi * Mt + ai, ak]
        for bk, bj in allo.grid(K, Nt, name="load_B_tile"):
            local_B[bk, bj] = B[bk, ni * Nt + bj]
        systolic_tile[TyA, TyB, TyC, K, Mt, Nt](local_A, local_B, local_C)
        for sj, si in allo.grid(Nt, Mt, name="store_C_tile"):
            C[mi * Mt + si, ni * Nt + sj] = local_C[si, sj]


def packed_systolic[TyA, TyB, TyC, M, K, N, Mt, Nt, P](
    A: "Int(TyA.bits * P)[M // P, K]",
    B: "Int(TyB.bits * P)[K, N // P]",
    C: "Int(TyC.bits * P)[M // P, N]",
):
    """:func:`systolic` on words: of P rows of A and C, and of P columns of B.

    P divides Mt and Nt.
    """
    assert M % Mt == 0, "Mt divides M"
    assert N % Nt == 0, "Nt divides N"
    assert Mt % P == 0, "P divides Mt"
    assert Nt % P == 0, "P divides Nt"
    for mi, ni in allo.grid(M // Mt, N // Nt, name="outer_tile"):
        local_A: TyA[Mt, K]
        local_B: TyB[K, Nt]
        local_C: TyC[Mt, Nt]
        for ak, ai in allo.grid(K, Mt // P, name="load_A_tile"):
            a: Int(TyA.bits * P) = A[mi * (Mt // P) + ai, ak]
            for p in range(P):
                local_A[ai * P + p, ak] = a[p * TyA.bits : (p + 1) * TyA.bits]
        for bk, bj in allo.grid(K, Nt // P, name="load_B_tile"):
            b: Int(TyB.bits * P) = B[bk, ni * (Nt // P) + bj]
            for q in range(P):
                local_B[bk, bj * P + q] = b[q * TyB.bits : (q + 1) * TyB.bits]
        systolic_tile[TyA, TyB, TyC, K, Mt, Nt](local_A, local_B, local_C)
        for sj, si in allo.grid(Nt, Mt // P, name="store_C_tile"):
            c: Int(TyC.bits * P) = 0
            for r in range(P):
                c[r * TyC.bits : (r + 1) * TyC.bits] = local_C[si * P + r, sj]
            C[mi * (Mt // P) + si, ni * Nt + sj] = c


def packed_int8xint8_systolic[M, K, N, Mt, Nt, P](
    A: "Int(8 * P)[M // P, K]", B: "Int(8 * P)[K, N // P]", C: "Int(16 * P)[M // P, N]"
):
    """int8 matrices in words of P, two products a multiplier; sums wrap at 16 bits.

    P is even and divides Mt and Nt.
    """
    assert M % Mt == 0, "Mt divides M"
    assert N % Nt == 0, "Nt divides N"
    assert P % 2 == 0, "P is even"
    assert Mt % P == 0, "P divides Mt"
    assert Nt % P == 0, "P divides Nt"
    for mi, ni in allo.grid(M // Mt, N // Nt, name="outer_tile"):
        local_A: int8[Mt, K]
        local_B: int16[K, Nt // 2]
        local_C: int32[Mt, Nt // 2]
        for ak, ai in allo.grid(K, Mt // P, name="load_A_tile"):
            a: Int(8 * P) = A[mi * (Mt // P) + ai, ak]
            for p in range(P):
                local_A[ai * P + p, ak] = a[p * 8 : (p + 1) * 8]
        for bk, bj in allo.grid(K, Nt // P, name="load_B_tile"):
            b: Int(8 * P) = B[bk, ni * (Nt // P) + bj]
            for q in range(P // 2):
                local_B[bk, bj * (P // 2) + q] = b[q * 16 : (q + 1) * 16]
        systolic_tile[int8, int16, int32, K, Mt, Nt // 2](local_A, local_B, local_C)
        for sj, si in allo.grid(Nt // 2, Mt // P, name="store_C_tile"):
            even: Int(16 * P) = 0
            odd: Int(16 * P) = 0
            for r in range(P):
                pair: int32 = local_C[si * P + r, sj]
                even[r * 16 : (r + 1) * 16] = pair[0:16]
                odd[r * 16 : (r + 1) * 16] = pair[16:32]
            C[mi * (Mt // P) + si, ni * Nt + 2 * sj] = even
            C[mi * (Mt // P) + si, ni * Nt + 2 * sj + 1] = odd


def schedule_systolic(s: Schedule) -> Schedule:
    """The elements of a (packed) systolic kernel at once, with FIFOs between them, in place.

    Loads, elements and stores are pipelined, and overlap from tile to tile.  The rows of A and
    columns of B come to the elements at the edges a cycle after each other and all leave their
    memory together, so that the FIFOs hold as many words as there are elements in a row or column,
    and one.
    """
    for loop in ("ai", "bj", "si"):
        s.pipeline(loop)
    names = [func.name for func in s.module.funcs]
    for name in names:
        if name.startswith("PE_kernel"):
            s.pipeline(f"{name}:k")
    for name in names:
        if name.startswith("systolic_tile"):
            _schedule_tile(s, name)
        for array, dim in (("local_A", 1), ("local_B", 2), ("local_C", 0)):
            if any(found == array for found, _, _ in buffers(s.module.func(name))):
                s.partition(f"{name}:{array}", dim=dim)
        _overlap_tiles(s, name)
    return s


def _overlap_tiles(s: Schedule, name: str) -> None:
    """The tiles of a kernel as one loop, of which a tile is loaded while others are computed."""
    nest = [p for p in loops(s.module.func(name).body) if p.name in ("mi", "ni")]
    several = [f"{name}:outer_tile.{loop.name}" for loop in nest if loop.trip_count != 1]
    if len(several) == 2:
        s.fuse(*several)
        several = [f"{name}:outer_tile.mi_ni_fused"]
    for loop in several:
        s.dataflow(loop)


def _schedule_tile(s: Schedule, tile: str) -> None:
    """The elements of a tile as processes that hand on rows and columns."""
    s.pipeline(f"{tile}:data_load.k")
    s.pipeline(f"{tile}:data_drain.k")
    elements = s.unfold(f"{tile}:PE", [0, 1])
    depth = max(elements[0].extents) + 1
    s.to(f"{tile}:A_fifo", elements, axis=1, depth=depth)
    s.to(f"{tile}:B_fifo", elements, axis=0, depth=depth)
