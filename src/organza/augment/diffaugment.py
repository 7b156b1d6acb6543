"""DiffAugment: "Differentiable Augmentation for Data-Efficient GAN Training" (Zhao et al., 2020, arXiv:2006.10738).

Three changes, each of all samples where the probability is 1, as in the paper. All map images
[B, C, H, W] to images; `translation` and cutouts fill with zero, the middle grey of [-1, 1]. The smaller cutout is that
of Projected GAN (Sauer et al., 2021, arXiv:2111.01007).
"""

from __future__ import annotations

import torch
from torch import Tensor

from organza.augment.chance import Probability, chosen, colours, per_sample
from organza.augment.warp import gathered
from organza.draws import Draws

REACH = 1 / 8  # of a translation, of each side


def color(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Brightness + U(-0.5, 0.5), saturation x U(0, 2), contrast x U(0.5, 1.5), one after another; not of alpha.

    Saturation is the distance from a pixel's mean over the colours, contrast the distance from the image's mean.
    """
    count = colours(images.shape[1])
    seen, rest = images[:, :count], images[:, count:]
    brightness, saturation, contrast = map(per_sample, draws.uniform("augment/color", 3).to(images).unbind(1))
    x = seen + (brightness - 0.5)
    grey = x.mean(1, keepdim=True)
    x = grey + 2 * saturation * (x - grey)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = mean + (contrast + 0.5) * (x - mean)
    return torch.cat([torch.where(per_sample(chosen(draws, "color", p)), x, seen), rest], 1)


def translation(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Move by whole pixels, by at most an eighth of each side."""
    height, width = images.shape[2:]
    shares = torch.where(chosen(draws, "translation", p)[:, None], draws.uniform("augment/translation", 2), 0.5)
    rows = _numbers(height, images) - _step(shares[:, 0], height)
    columns = _numbers(width, images) - _step(shares[:, 1], width)
    known = _within(rows, height)[:, :, None] & _within(columns, width)[:, None]
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    moved = gathered(images, rows[:, :, None].expand(-1, -1, width), columns[:, None].expand(-1, height, -1))
    return moved * known[:, None]


def cutout_half(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Hide a rectangle of half the sides, its centre anywhere."""
    return _cut(images, draws, p, "cutout-half", 1 / 2)


def cutout_fifth(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Hide a rectangle of a fifth of the sides, its centre anywhere."""
    return _cut(images, draws, p, "cutout-fifth", 1 / 5)


def _cut(images: Tensor, draws: Draws, p: Probability, name: str, side: float) -> Tensor:
    shares = draws.uniform(f"augment/{name}", 2)
    rows, columns = (_hidden(shares[:, i], length, images, side) for i, length in enumerate(images.shape[2:]))
    hidden = chosen(draws, name, p)[:, None, None] & rows[:, :, None] & columns[:, None]
    return images * ~hidden[:, None]


def _step(share: Tensor, length: int) -> Tensor:
    """A share from 0 to 1 -> a whole number from -reach to reach, int64 [B, 1]; 0.5 is none."""
    reach = _rounded(length * REACH)
    return (share * (2 * reach + 1)).floor().long()[:, None] - reach


def _hidden(share: Tensor, length: int, images: Tensor, side: float) -> Tensor:
    """Bool [B, length]: a piece of the axis whose centre is any of the pixels, or the one behind the last if even."""
    size = _rounded(length * side)
    centres = length + 1 - size % 2
    start = (share * centres).floor().long()[:, None] - size // 2
    pixels = _numbers(length, images)
    return (pixels >= start) & (pixels < start + size)


def _numbers(length: int, images: Tensor) -> Tensor:
    return torch.arange(length, device=images.device)[None]


def _within(index: Tensor, length: int) -> Tensor:
    return (index >= 0) & (index < length)


def _rounded(value: float) -> int:
    """To the nearest whole number, as the paper's sizes are."""
    return int(value + 0.5)
