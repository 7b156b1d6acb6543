"""What keeps a projection where the generator draws from: white noise maps, and noise of the length that noise has."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def noise_penalty(maps: Sequence[Tensor]) -> Tensor:
    """What neighbours have in common, squared, of maps [1, 1, h, w], at every halving down to 8 pixels.

    Near 0 for white noise; averages of 2x2 are doubled, so that it stays white. A map of ones has 2, and at every
    further scale 16 times as much.
    """
    found = []
    for noise in maps:
        while True:
            found += [(noise * noise.roll(1, axis)).mean().square() for axis in (2, 3)]
            if min(noise.shape[2:]) <= 8:
                break
            noise = F.avg_pool2d(noise, 2) * 2
    return torch.stack(found).sum()


def length_penalty(z: Tensor) -> Tensor:
    """-log of the density of the length of normal noise z [1, ..., D], for each of its numbers; 0 at the likeliest."""
    numbers = z.numel()
    if numbers == 1:
        return z.square().sum() / 2
    square = z.square().sum() / (numbers - 1)
    return (square - 1 - square.clamp(min=1e-8).log()) / 2 * (numbers - 1) / numbers
