"""Perceptual path length: how far images move for a small step of the noise (Karras et al., arXiv:1812.04948, 4.1).

    mean of d(G(a), G(a + eps (b - a))) / eps^2

over pairs of random noise a and b, at the ends of their ways, in the second version of the protocol (`ppl2_wend`, and
the same in z): eps 1e-4, images neither cut nor rounded to bytes, averaged down to 256 pixels, and no values below the
1st or above the 99th percentile. A d that is a squared difference makes it the mean of |J (b - a)|^2, J = dG/da.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from organza.config import ConfigError
from organza.data.progress import SILENT, Progress
from organza.metrics.checks import must_be_finite, must_be_from

EPSILON, SIDE, AT_ONCE = 1e-4, 256, 16
CUT = (0.01, 0.99)  # quantiles, beyond which values do not count

Draw = Callable[[Tensor, slice], Tensor]
"""Noise [B, D] of these rows -> images float32 [B, C, H, W] in [-1, 1]."""


def path_lengths(
    draw: Draw, starts: Tensor, ends: Tensor, distance: Callable[[Tensor, Tensor], Tensor], *,
    epsilon: float = EPSILON, batch: int = AT_ONCE, progress: Progress = SILENT,
) -> Tensor:  # fmt: skip
    """The squared speed at the start of each way, float64 [N], from `starts` to `ends` [N, D].

    `distance` compares two batches of images and gives [B]; it grows with the square of a small step, as LPIPS does.
    Raises ConfigError for unequal shapes, for an epsilon that is not above 0 and for results that are not finite.
    """
    if starts.shape != ends.shape or not len(starts):
        raise ConfigError(f"ways go from {tuple(starts.shape)} to {tuple(ends.shape)}; give equal shapes [N, D]")
    if not epsilon > 0:
        raise ConfigError(f"epsilon is {epsilon}; it takes a number above 0, usually {EPSILON}")
    found = []
    for begin in range(0, len(starts), batch):
        rows = slice(begin, begin + batch)
        here = starts[rows]
        near = torch.lerp(here, ends[rows], epsilon)
        found.append(distance(draw(here, rows), draw(near, rows)).cpu().double() / epsilon**2)
        progress.step("path lengths", min(begin + batch, len(starts)), len(starts))
    lengths = torch.cat(found)
    must_be_finite("path lengths", lengths)
    return lengths


def without_extremes(lengths: Tensor) -> Tensor:
    """Those from the 1st percentile (the value at or below it) to the 99th (at or above it). Raises for none."""
    must_be_from("the number of path lengths", len(lengths), 1)
    low = torch.quantile(lengths, CUT[0], interpolation="lower")
    high = torch.quantile(lengths, CUT[1], interpolation="higher")
    return lengths[(lengths >= low) & (lengths <= high)]


def for_path_length(images: Tensor) -> Tensor:
    """Images [B, 1 or 3, H, W] -> [B, 3, h, w], averaged in squares where they are twice as high as 256 or more."""
    if images.shape[1] not in (1, 3):
        raise ConfigError(f"ppl looks at grey or RGB images, not at {images.shape[1]} channels; leave it out")
    factor = images.shape[2] // SIDE
    smaller = F.avg_pool2d(images, factor) if factor > 1 else images
    return smaller.expand(-1, 3, -1, -1)
