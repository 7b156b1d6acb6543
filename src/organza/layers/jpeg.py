"""JPEG (ITU-T T.81) as a differentiable layer: what the codec does to pixels, without the codes.

Colours to YCbCr, chroma halved (4:2:0), cosine transform of 8x8 blocks, coefficients divided by the quality's table and
rounded, and back, as libjpeg does by default. Rounding has the gradient of x - (x - round x)^3, which keeps a slope
(Shin & Song, 2017); its value is that of rounding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from organza.config import ConfigError
from organza.layers.pictures import at_least_float32
from organza.training.precision import without_autocast

LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
CHROMA = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, *[99] * 32,
)  # fmt: skip
"""Steps of the coefficients at quality 50, by rows (annex K)."""
TO_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))  # JFIF
BLOCK = 8


def jpeg(images: Tensor, quality: Tensor) -> Tensor:
    """Images [B, 1 or 3, H, W] in [-1, 1], quality [B] from 1 to 100 -> the same size, as if stored and read again.

    Values beyond [-1, 1] are cut first. Raises ConfigError for other channels.
    """
    if images.shape[1] not in (1, 3):
        raise ConfigError(f"JPEG stores 1 or 3 channels, not {images.shape[1]}; add --data.channels rgb")
    with without_autocast(images.device.type):
        bytes_ = rounded(at_least_float32(images).clamp(-1, 1).add(1).mul(127.5))
        made = _coded(bytes_ - 128, _table(LUMA, quality)) + 128 if images.shape[1] == 1 else _colours(bytes_, quality)
        return rounded(made.clamp(0, 255)).div(127.5).sub(1).to(images.dtype)


def rounded(x: Tensor, near: Tensor | None = None) -> Tensor:
    """The nearest whole numbers, or those that are given; the gradient is 1 - 3 (x - round x)^2, from 1 down to 1/4."""
    near = (x.detach() + 0.5).floor() if near is None else near.detach()
    rest = x - near
    kept = rest - rest**3
    return near + (kept - kept.detach())


def _colours(rgb: Tensor, quality: Tensor) -> Tensor:
    """RGB in [0, 255] through luma at its size and chroma at half of it."""
    height, width = rgb.shape[2:]
    matrix = torch.tensor(TO_YCBCR, dtype=torch.float64)
    luma, chroma = rounded(_mixed(rgb, matrix)).split((1, 2), 1)  # chroma about 0
    luma = _coded(luma - 128, _table(LUMA, quality)) + 128
    means = F.avg_pool2d(_filled(chroma, 2), 2)
    small = rounded(means, (means + _turns(means, 0.25, 0.5)).floor())  # libjpeg's rounding takes turns
    small = rounded(_coded(small, _table(CHROMA, quality)).clamp(-128, 127))
    wide = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)  # libjpeg's triangle filter
    wide = rounded(wide, (wide + _turns(wide, 8 / 16, 7 / 16)).floor())
    return _mixed(torch.cat([rounded(luma), wide[:, :, :height, :width]], 1), torch.linalg.inv(matrix))


def _coded(x: Tensor, table: Tensor) -> Tensor:
    """[B, C, H, W] about 0 -> the same, its coefficients rounded to multiples of the table [B, 8, 8]."""
    batch, channels, height, width = x.shape
    wide, cosine, steps = _filled(x, BLOCK), _cosine(x), table.to(x)[:, None, None, None]
    rows, columns = wide.shape[2] // BLOCK, wide.shape[3] // BLOCK
    blocks = wide.view(batch, channels, rows, BLOCK, columns, BLOCK).transpose(3, 4)
    waves = cosine @ blocks @ cosine.T
    eighths = waves.detach().mul(8).round()  # as exact as libjpeg has them, whose halves are rounded from zero
    near = eighths.sign() * ((eighths.abs() + 4 * steps) / (8 * steps)).floor()
    blocks = cosine.T @ (rounded(waves / steps, near) * steps) @ cosine
    return blocks.transpose(3, 4).reshape(wide.shape)[:, :, :height, :width]


def _table(base: tuple[int, ...], quality: Tensor) -> Tensor:
    """Steps [B, 8, 8] of a quality [B], by libjpeg's rule in whole numbers; qualities are rounded down."""
    q = quality.detach().clamp(1, 100).long().view(-1, 1, 1)
    percent = torch.where(q < 50, 5000 // q, 200 - 2 * q)
    steps = torch.tensor(base, device=quality.device).view(1, BLOCK, BLOCK)
    return ((steps * percent + 50) // 100).clamp(1, 255)


def _cosine(like: Tensor) -> Tensor:
    """The orthonormal transform of 8 numbers, [8, 8]: rows are waves."""
    place = torch.arange(BLOCK, dtype=torch.float64)
    waves = torch.cos(math.pi / BLOCK * place[:, None] * (place[None] + 0.5)) / 2
    waves[0] /= math.sqrt(2)
    return waves.to(like)


def _turns(like: Tensor, even: float, odd: float) -> Tensor:
    """One number for even columns, another one for odd ones."""
    return torch.where(torch.arange(like.shape[3], device=like.device) % 2 == 0, even, odd).to(like.dtype)


def _filled(x: Tensor, multiple: int) -> Tensor:
    """With the last row and column repeated until `multiple` divides both sides."""
    return F.pad(x, (0, -x.shape[3] % multiple, 0, -x.shape[2] % multiple), mode="replicate")


def _mixed(x: Tensor, matrix: Tensor) -> Tensor:
    """Every pixel [B, 3, H, W] times a matrix."""
    return (matrix.to(x)[None, :, :, None, None] * x[:, None]).sum(2)
