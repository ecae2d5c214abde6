"""Neural-network layers as kernels, each with a predefined schedule.

    from allo_rtl.library.nn import linear2d, schedule_linear2d

    s = allo.customize(linear2d, instantiate=[float32, float32, float32, 8, 16, 32])
    schedule_linear2d(s)                     # in place; also KERNEL2SCHEDULE[linear2d](s)

Inside a kernel they are called as ``linear2d[float32, float32, float32, 8, 16, 32](X, W, b)``.
``Ty`` is the type of the elements and of what is accumulated.  Sums run in an outer loop, so that
the partial sums of a row are independent: their pipelines start an iteration every cycle when a
row is at least as long as the adder's latency.
"""

from __future__ import annotations

import allo_rtl as allo
from allo_rtl.ir.types import float32, int32
from allo_rtl.library.systolic import systolic
from allo_rtl.schedule.schedule import Schedule


def linear2d[TyX, TyW, TyO, M, N, K](
    X: "TyX[M, K]", W: "TyW[N, K]", b: "TyO[N]"
) -> "TyO[M, N]":
    """``X @ W.T + b``."""
    Z: TyO[M, N]
    for i, j in allo.grid(M, N, name="bias"):
        Z[i, j] = b[j]
    for i, k, j in allo.grid(M, K, N, name="gemm"):
        Z[i, j] += X[i, k] * W[j, k]
    return Z


def linear3d[TyX, TyW, TyO, B, L, D, M](
    X: "TyX[B, L, D]", W: "TyW[M, D]", b: "TyO[M]"
) -> "TyO[B, L, M]":
    """``X @ W.T + b`` for a batch."""
    Z: TyO[B, L, M]
    for p, i, j in allo.grid(B, L, M, name="bias"):
        Z[p, i, j] = b[j]
    for p, i, k, j in allo.grid(B, L, D, M, name="gemm"):
        Z[p, i, j] += X[p, i, k] * W[j, k]
    return Z


def relu2d[Ty, H, W](X: "Ty[H, W]") -> "Ty[H, W]":
    """``max(X, 0)``."""
    Z: Ty[H, W]
    for h, w in allo.grid(H, W, name="relu"):
        Z[h, w] = max(X[h, w], 0)
    return Z


def relu3d[Ty, C, H, W](X: "Ty[C, H, W]") -> "Ty[C, H, W]":
    """``max(X, 0)``."""
    Z: Ty[C, H, W]
    for c, h, w in allo.grid(C, H, W, name="relu"):
        Z[c, h, w] = max(X[c, h, w], 0)
    return Z


def relu4d[Ty, B, C, H, W](X: "Ty[B, C, H, W]") -> "Ty[B, C, H, W]":
    """``max(X, 0)``."""
    Z: Ty[B, C, H, W]
    for b, c, h, w in allo.grid(B, C, H, W, name="relu"):
        Z[b, c, h, w] = max(X[b, c, h, w], 0)
    return Z


def softmax[Ty, L](X: "Ty[L, L]") -> "Ty[L, L]":
    """Softmax of each row; the row's maximum is subtracted first."""
    M: Ty[L]
    S: Ty[L] = 0
    E: Ty[L, L]
    Z: Ty[L, L]
    for j, i in allo.grid(L, L, name="row_max"):
        M[i] = X[i, j] if j == 0 else max(M[i], X[i, j])
    for j, i in allo.grid(L, L, name="exp_sum"):
        e: Ty = allo.exp(X[i, j] - M[i])
        E[i, j] = e
        S[i] += e
    for i, j in allo.grid(L, L, name="divide"):
        Z[i, j] = E[i, j] / S[i]
    return Z


def log_softmax[Ty, B, C](X: "Ty[B, C]") -> "Ty[B, C]":
    """The logarithm of the softmax of each row."""
    M: Ty[B]
    S: Ty[B] = 0
    Z: Ty[B, C]
    for j, i in allo.grid(C, B, name="row_max"):
        M[i] = X[i, j] if j == 0 else max(M[i], X[i, j])
    for j, i in allo.grid(C, B, name="exp_sum"):
        S[i] += allo.exp(X[i, j] - M[i])
    for i in allo.grid(B, name="log"):
        S[i] = allo.log(S[i]) + M[i]
    for i, j in allo.grid(B, C, name="subtract"):
        Z[i, j] = X[i, j] - S[i]
    return Z


def layer_norm[Ty, L, D](X: "Ty[L, D]", gamma: "Ty[D]", beta: "Ty[D]") -> "Ty[L, D]":
    """Each row with mean 0 and variance 1 (eps 1e-5), times ``gamma``, plus ``beta``."""
    mean: Ty[L] = 0
    var: Ty[L] = 0
    Z: Ty[L, D]
    for j, i in allo.grid(D, L, name="sum"):
        mean[i] += X[i, j]
    for i in allo.grid(L, name="mean"):
        mean[i] = mean[i] / D
    for j, i in allo.grid(D, L, name="squares"):
        d: Ty = X[i, j] - mean[i]
        var[i] += d * d
    for i in allo.grid(L, name="deviation"):
        var[i] = allo.sqrt(var[i] / D + 0.00001)
    for i, j in allo.grid(L, D, name="norm"):
        Z[i, j] = (X[i, j] - mean[i]) / var[i] * gamma[j] + beta[j]
    return Z


def GeLU[Ty, L, D](X: "Ty[L, D]") -> "Ty[L, D]":
    """The Gaussian error linear unit in its tanh approximation (Hendrycks and Gimpel 2016)."""
    Z: Ty[L, D]
    for i, j in allo.grid(L, D, name="gelu"):
        x: Ty = X[i, j]
        inner: Ty = 0.7978845608028654 * (x + 0.044715 * x * x * x)
        Z[i, j] = 0.5 * x * (1.0 + allo.tanh(inner))
    return Z


def residual_add[Ty, L, D](X1: "Ty[L, D]", X2: "Ty[L, D]") -> "Ty[L, D]":
    """``X1 + X2``."""
    Z: Ty[L, D]
    for i, j in allo.grid(L, D, name="add"):
        Z[i, j] = X1[i, j] + X2[i, j]
    return Z


def scaled_dot_product_attention[Ty, H, L, D, M0, M1](
    Q: "Ty[L, D]", K: "Ty[L, D]", V: "Ty[L, D]"
) -> "Ty[L, D]":
    """Attention of ``H`` heads, each over D // H columns, on systolic tiles of M0 x M1.

    Of each head: ``softmax(Q @ K.T / sqrt(D // H)) @ V``.
    """
    assert D % H == 0, "H divides D"
    Z: Ty[L, D]
    for h in allo.grid(H, name="head"):
        Q_h: Ty[L, D // H]
        K_h: Ty[D // H, L]
        V_h: Ty[L, D // H]
        for i, j in allo.grid(L, D // H, name="split"):
            Q_h[i, j] = Q[i, h * (D // H) + j]
            K_h[j, i] = K[i, h * (D // H) + j]
            V_h[i, j] = V[i, h * (D // H) + j]
        scores: Ty[L, L]
        systolic[Ty, Ty, Ty, L, D // H, L, M0, M1, "QKT"](Q_h, K_h, scores)
        scale: float32 = D // H
        for i, j in allo.grid(L, L, name="scale"):
            scores[i, j] = scores[i, j] / allo.sqrt(scale)
        weights = softmax[Ty, L](scores)
        out: Ty[L, D // H]
        systolic[Ty, Ty, Ty, L, L, D // H, M0, M1, "SV"](weights, V_h, out)
        for i, j in allo.grid(L, D // H, name="merge"):
            Z[i, h * (D // H) + j] = out[i, j]
    return Z


def RoPE[Ty, H, L, D](
    X: "Ty[L, D]", cos: "Ty[L, D // H // 2]", sin: "Ty[L, D // H // 2]"
) -> "Ty[L, D]":
    """Rotary position embedding (Su et al. 2021) of ``H`` heads, each over D // H columns.

    Columns k and k + D // H // 2 of a head are one pair, rotated by the angle whose cosine and
    sine are ``cos[l, k]`` and ``sin[l, k]``.
    """
    assert D % (2 * H) == 0, "the columns of a head are pairs: 2 * H divides D"
    Z: Ty[L, D]
    for h, i, k in allo.grid(H, L, D // H // 2, name="rotate"):
        a: Ty = X[i, h * (D // H) + k]
        b: Ty = X[i, h * (D // H) + D // H // 2 + k]
        Z[i, h * (D // H) + k] = a * cos[i, k] - b * sin[i, k]
        Z[i, h * (D // H) + D // H // 2 + k] = b * cos[i, k] + a * sin[i, k]
    return Z


def modulate_fused[Ty, L, D](X: "Ty[L, D]", shift: "Ty[D]", scale: "Ty[D]") -> "Ty[L, D]":
    """``X * (1 + scale) + shift``, the modulation of adaptive layer norms."""
    Z: Ty[L, D]
    for i, j in allo.grid(L, D, name="modulate"):
        Z[i, j] = X[i, j] * (1.0 + scale[j]) + shift[j]
    return Z


def conv2d[Ty, B, Cin, Cout, H, W, Kh, Kw, Oh, Ow, Sh, Sw, Pd0, Pd1](
    inp: "Ty[B, Cin, H, W]", kernel: "Ty[Cout, Cin, Kh, Kw]", bias: "Ty[Cout]"
) -> "Ty[B, Cout, Oh, Ow]":
    """Convolution with strides (Sh, Sw) and zero padding (Pd0, Pd1)."""
    Z: Ty[B, Cout, Oh, Ow]
    for b, co, oh, ow in allo.grid(B, Cout, Oh, Ow, name="bias"):
        Z[b, co, oh, ow] = bias[co]
    for b, co, ci, kh, kw, oh, ow in allo.grid(B, Cout, Cin, Kh, Kw, Oh, Ow, name="conv"):
        h: int32 = oh * Sh + kh - Pd0
        w: int32 = ow * Sw + kw - Pd1
        if h >= 0 and h < H and w >= 0 and w < W:
            Z[b, co, oh, ow] += inp[b, ci, h, w] * kernel[co, ci, kh, kw]
    return Z


def maxpool2d[Ty, B, C, H, W, K, Oh, Ow, S, Pd](inp: "Ty[B, C, H, W]") -> "Ty[B, C, Oh, Ow]":
    """The largest of each K x K window, stride S; padding (Pd < K) is never the largest."""
    Z: Ty[B, C, Oh, Ow]
    for b, c, oh, ow in allo.grid(B, C, Oh, Ow, name="first"):
        Z[b, c, oh, ow] = inp[b, c, max(oh * S - Pd, 0), max(ow * S - Pd, 0)]
    for b, c, kh, kw, oh, ow in allo.grid(B, C, K, K, Oh, Ow, name="max"):
        h: int32 = oh * S + kh - Pd
        w: int32 = ow * S + kw - Pd
        if h >= 0 and h < H and w >= 0 and w < W:
            Z[b, c, oh, ow] = max(Z[b, c, oh, ow], inp[b, c, h, w])
    return Z


def avgpool2d[Ty, B, C, H, W, K, Oh, Ow, S, Pd](inp: "Ty[B, C, H, W]") -> "Ty[B, C, Oh, Ow]":
    """The mean of each K x K window, stride S; padding counts as zeros."""
    Z: Ty[B, C, Oh, Ow] = 0
    for b, c, kh, kw, oh, ow in allo.grid(B, C, K, K, Oh, Ow, name="sum"):
        h: int32 = oh * S + kh - Pd
        w: int32 = ow * S + kw - Pd
        if h >= 0 and h < H and w >= 0 and w < W:
            Z[b, c, oh, ow] += inp[b, c, h, w]
    for b, c, oh, ow in allo.grid(B, C, Oh, Ow, name="mean"):
        Z[b, c, oh, ow] = Z[b, c, oh, ow] / (K * K)
    return Z


def batchnorm2d[Ty, B, C, H, W](
    X: "Ty[B, C, H, W]", gamma: "Ty[C]", beta: "Ty[C]", eps: "Ty", mean: "Ty[C]", var: "Ty[C]"
) -> "Ty[B, C, H, W]":
    """Inference: ``(X - mean) / sqrt(var + eps) * gamma + beta`` of each channel."""
    Z: Ty[B, C, H, W]
    for b, c, h, w in allo.grid(B, C, H, W, name="norm"):
        Z[b, c, h, w] = (X[b, c, h, w] - mean[c]) / allo.sqrt(var[c] + eps) * gamma[c] + beta[c]
    return Z


def batchnorm1d_2d[Ty, B, C](
    X: "Ty[B, C]", gamma: "Ty[C]", beta: "Ty[C]", eps: "Ty", mean: "Ty[C]", var: "Ty[C]"
) -> "Ty[B, C]":
    """:func:`batchnorm2d` without height and width."""
    Z: Ty[B, C]
    for b, c in allo.grid(B, C, name="norm"):
        Z[b, c] = (X[b, c] - mean[c]) / allo.sqrt(var[c] + eps) * gamma[c] + beta[c]
    return Z


def batchnorm1d_3d[Ty, B, C, L](
    X: "Ty[B, C, L]", gamma: "Ty[C]", beta: "Ty[C]", eps: "Ty", mean: "Ty[C]", var: "Ty[C]"
) -> "Ty[B, C, L]":
    """:func:`batchnorm2d` with one dimension of length ``L``."""
    Z: Ty[B, C, L]
    for b, c, i in allo.grid(B, C, L, name="norm"):
        Z[b, c, i] = (X[b, c, i] - mean[c]) / allo.sqrt(var[c] + eps) * gamma[c] + beta[c]
    return Z


def repeat_batch3d[Ty, B, L, C, N](X: "Ty[B, L, C]") -> "Ty[B * N, L, C]":
    """The batch ``N`` times in a row: element ``[n * B + b]`` is ``X[b]``."""
    Z: Ty[B * N, L, C]
    for n, b, i, c in allo.grid(N, B, L, C, name="repeat"):
        Z[n * B + b, i, c] = X[b, i, c]
    return Z


def concat[Ty, B, N1, N2, C](X1: "Ty[B, N1, C]", X2: "Ty[B, N2, C]") -> "Ty[B, N1 + N2, C]":
    """The two joined along the middle dimension."""
    Z: Ty[B, N1 + N2, C]
    for b, i, c in allo.grid(B, N1, C, name="first"):
        Z[b, i, c] = X1[b, i, c]
    for b, i, c in allo.grid(B, N2, C, name="second"):
        Z[b, N1 + i, c] = X2[b, i, c]
    return Z


def pipeline_innermost(s: Schedule) -> Schedule:
    """Pipeline the innermost loop of every band of the top function; returns ``s``."""
    for _, band in s.get_loops():
        *_, (_, innermost) = band
        s.pipeline(innermost)
    return s


schedule_linear2d = schedule_linear3d = pipeline_innermost
schedule_relu2d = schedule_relu3d = schedule_relu4d = pipeline_innermost
schedule_softmax = schedule_log_softmax = schedule_layernorm = pipeline_innermost
schedule_gelu = schedule_modulate_fused = pipeline_innermost
schedule_conv2d = schedule_maxpool2d = schedule_avgpool2d = pipeline_innermost
schedule_batchnorm2d = schedule_batchnorm1d_2d = schedule_batchnorm1d_3d = pipeline_innermost
schedule_repeat_batch3d = schedule_concat = pipeline_innermost
