"""The orthogonal wavelets of ADA as matrices: along one axis, every filter here is a matrix product.

Symlets (Daubechies, 1992, "Ten Lectures on Wavelets", chapter 8) are the least asymmetric orthogonal filters H:
sum_n h[n] h[n + 2k] is 1 for k = 0 and 0 else. Doubling with sqrt(2) h and halving with its transpose / 2 is therefore
the identity. The matrices contain the mirrored border, need no padded copy, and are several times faster on a CPU than
convolutions with so few channels. They are made once per length; later calls copy nothing to the device.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import unset_fake_temporarily

SYM2 = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)
SYM6 = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633,
    0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252,
    -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip

DELAY = sum(n * tap for n, tap in enumerate(SYM6)) / math.sqrt(2)
"""Of SYM6 for smooth images, in samples: entry n of a doubled axis shows the place (n - DELAY) / 2."""

OVERHANG = len(SYM6) - 2
"""Entries by which the axis that `halving` takes exceeds twice the axis that it makes."""


def period(length: int) -> int:
    """After how many pixels an axis repeats that is mirrored at the centres of its first and last pixel."""
    return max(2 * length - 2, 1)


@lru_cache(maxsize=64)
def doubling(length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[2 * period + 1, length]: one whole period of the mirrored axis at twice the rate; the last row is the first."""
    matrix = np.zeros((2 * period(length) + 1, length))
    for k, tap in enumerate(SYM6):
        rows = np.arange(k % 2, len(matrix), 2)
        matrix[rows, _mirrored((rows - k) // 2, length)] += math.sqrt(2) * tap
    return _tensor(matrix, dtype, device)


@lru_cache(maxsize=64)
def halving(length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[length, 2 * length + OVERHANG]: the transpose of doubling, / 2; it takes an axis with its surroundings."""
    matrix = np.zeros((length, 2 * length + OVERHANG))
    rows = np.arange(length)
    for k, tap in enumerate(SYM6):
        matrix[rows, 2 * rows + k] = tap / math.sqrt(2)
    return _tensor(matrix, dtype, device)


@lru_cache(maxsize=64)
def bands(length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[4, length, length]: the bands of `filter_bank` of a mirrored axis; their sum is the identity."""
    bank = filter_bank()
    matrix, rows, centre = np.zeros((4, length, length)), np.arange(length), bank.shape[1] // 2
    for k in range(bank.shape[1]):
        matrix[:, rows, _mirrored(rows + k - centre, length)] += bank[:, k, None]
    return _tensor(matrix, dtype, device)


def filter_bank() -> np.ndarray:
    """[4, 43]: filters without delay for the frequencies [0, pi/8], [pi/8, pi/4], [pi/4, pi/2], [pi/2, pi].

    With L(z) = H(z) H(1/z) / 2 of SYM2 the low passes are L(z), L(z) L(z^2) and L(z) L(z^2) L(z^4), and a band is the
    difference of two of them.
    """
    low = np.convolve(SYM2, SYM2[::-1]) / 2
    passes = [np.ones(1)]
    for level in range(3):
        stretched = np.zeros((len(low) - 1) * 2**level + 1)
        stretched[:: 2**level] = low
        passes.append(np.convolve(passes[-1], stretched))
    taps = len(passes[-1])
    wide = np.stack([np.pad(taps_of, (taps - len(taps_of)) // 2) for taps_of in passes[::-1]])
    return np.diff(wide, axis=0, prepend=0)


def _mirrored(index: np.ndarray, length: int) -> np.ndarray:
    index = index % period(length)
    return np.minimum(index, period(length) - index)


def _tensor(matrix: np.ndarray, dtype: torch.dtype, device: torch.device) -> Tensor:
    # It is kept, and a later call may differentiate through it, or compute after a plan on fake tensors.
    with torch.inference_mode(False), unset_fake_temporarily():
        return torch.from_numpy(matrix).to(dtype).to(device)  # some devices have no float64
