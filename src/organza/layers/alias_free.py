"""Alias-free layers: low-pass filters by design, and a nonlinearity between them (Karras et al., 2021, "Alias-Free
Generative Adversarial Networks", arXiv:2106.12423, section 3, appendix B and C).

A nonlinearity makes frequencies that the grid of pixels cannot hold. It therefore acts on a finer grid: enlarge, leaky
ReLU, low-pass, shrink. Filters are windowed by Kaiser's window of the width of their transition band.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from organza.layers.equalized import precise

SMALL = 192  # pixels a side; below it a product with a matrix per axis is faster than a convolution of each channel


def kaiser_beta(taps: int, width: float, rate: float) -> float:
    """The form of the window whose transition band is `width` wide (Kaiser & Schafer, 1980, as scipy.signal has it)."""
    attenuation = 2.285 * (taps - 1) * math.pi * width / (rate / 2) + 7.95
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return 0.0


def low_pass(taps: int, cutoff: float, width: float, rate: float) -> Tensor | None:
    """Float32 [taps] of sum 1 that passes what is below `cutoff`, at the sampling rate `rate`; None for one tap."""
    if taps == 1:
        return None
    places = np.arange(taps) - (taps - 1) / 2
    filter = np.sinc(2 * cutoff / rate * places) * np.kaiser(taps, kaiser_beta(taps, width, rate))
    return torch.from_numpy(filter / filter.sum()).float()


def radial_low_pass(taps: int, cutoff: float, width: float, rate: float) -> Tensor | None:
    """The same in two dimensions and alike in all directions, float32 [taps, taps] (appendix C.2, jinc).

    `taps` is even, so that no tap lies in the centre, where the formula is 0 / 0.
    """
    if taps == 1:
        return None
    assert taps % 2 == 0
    places = (np.arange(taps) - (taps - 1) / 2) / rate
    radius = torch.from_numpy(np.hypot(*np.meshgrid(places, places)))
    window = np.kaiser(taps, kaiser_beta(taps, width, rate))
    filter = torch.special.bessel_j1(2 * math.pi * cutoff * radius) / (math.pi * radius)
    filter = filter * torch.from_numpy(np.outer(window, window))
    return (filter / filter.sum()).float()


def padding(
    inputs: int, outputs: int, kernel: int, up: int, down: int, up_taps: int, down_taps: int
) -> tuple[int, int]:
    """Zeros before and after the enlarged axis (below 0: cut off), so that `inputs` become `outputs` (appendix D.1).

    `kernel` is that of the convolution before, which has grown the axis by kernel - 1.
    """
    total = (outputs - 1) * down + 1 - (inputs + kernel - 1) * up + up_taps + down_taps - 2
    before = (total + up) // 2
    return before, total - before


def filtered_leaky_relu(
    x: Tensor, bias: Tensor, enlarge: Tensor | None, shrink: Tensor | None, up: int, down: int,
    pads: tuple[tuple[int, int], tuple[int, int]], *, slope: float = 0.2, gain: float = 1.0, clamp: float | None = None,
) -> Tensor:  # fmt: skip
    """[B, C, h, w] plus bias [C] -> [B, C, H, W] in float32: enlarged by `up`, activated, shrunk by `down`.

    `pads` are those of the rows and of the columns at the enlarged rate. The filters are symmetric, [taps] for each
    axis or [taps, taps] for `shrink`; None filters nothing. The result is `gain` times as large and within `clamp`.
    """
    x = (precise(x) + bias[:, None, None]) * gain  # before there are more samples; it passes through what follows
    for axis in (2, 3):
        x = enlarged(x, axis, enlarge, up, pads[axis - 2])
    x = F.leaky_relu(x, slope) if slope != 1 else x
    if clamp is not None:
        x = x.clamp(-clamp, clamp)
    if shrink is None:
        return x[:, :, ::down, ::down]
    if shrink.dim() == 2:
        return F.conv2d(x, shrink.expand(x.shape[1], 1, *shrink.shape), stride=down, groups=x.shape[1])
    for axis in (2, 3):
        x = shrunk(x, axis, shrink, down)
    return x


def enlarged(x: Tensor, axis: int, filter: Tensor | None, up: int, pads: tuple[int, int]) -> Tensor:
    """One axis of [B, C, H, W] with up - 1 zeros behind each sample, padded, and filtered with a gain of `up`."""
    taps = torch.ones(1, device=x.device, dtype=x.dtype) if filter is None else filter
    length = x.shape[axis] * up + sum(pads) - len(taps) + 1
    if x.shape[axis] <= SMALL:
        return along(x, axis, up * banded(taps, length, x.shape[axis], up, pads[0]))
    first = len(taps) - 1 - pads[0]
    wide = F.conv_transpose2d(x, *_each(taps * up, x, axis), stride=_along(axis, up), groups=x.shape[1])
    cut = (-first, length + first - wide.shape[axis])
    return F.pad(wide, (0, 0, *cut) if axis == 2 else cut)


def shrunk(x: Tensor, axis: int, filter: Tensor, down: int) -> Tensor:
    """One axis of [B, C, H, W] filtered without padding, of which every so many samples are kept."""
    length = (x.shape[axis] - len(filter)) // down + 1
    if x.shape[axis] <= 2 * SMALL:
        return along(x, axis, banded(filter, x.shape[axis], length, down, len(filter) - 1).T)
    return F.conv2d(x, *_each(filter, x, axis), stride=_along(axis, down), groups=x.shape[1])


def banded(filter: Tensor, fine: int, coarse: int, step: int, offset: int) -> Tensor:
    """[fine, coarse]: entry (m, i) is the filter at i * step + offset - m: it enlarges, and its transpose shrinks."""
    places = torch.arange(coarse, device=filter.device) * step + offset
    tap = places - torch.arange(fine, device=filter.device)[:, None]
    inside = (tap >= 0) & (tap < len(filter))
    return filter[tap.clamp(0, len(filter) - 1)] * inside


def along(x: Tensor, axis: int, matrix: Tensor) -> Tensor:
    """[B, C, H, W] with one axis multiplied by a matrix [out, in]."""
    return matrix @ x if axis == 2 else x @ matrix.T


def _each(filter: Tensor, x: Tensor, axis: int) -> tuple[Tensor]:
    shape = (x.shape[1], 1, len(filter), 1) if axis == 2 else (x.shape[1], 1, 1, len(filter))
    return (filter.view(shape[1:]).expand(shape),)


def _along(axis: int, step: int) -> tuple[int, int]:
    return (step, 1) if axis == 2 else (1, step)
