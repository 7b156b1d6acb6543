"""The power of images at each frequency: where checkerboards and missing detail are seen before the eye finds them.

Samples of generators that enlarge by transposed convolutions have too much power at the highest frequencies, others too
little (Dzanic et al., arXiv:1911.06465; Durall et al., arXiv:2003.01826).
"""

from __future__ import annotations

import torch
from torch import Tensor

from organza.config import ConfigError

AT_ONCE = 128  # images


def power(images: Tensor) -> Tensor:
    """Mean power of images [N, C, H, W], each channel without its mean, float64 [H, W // 2 + 1] as `torch.fft.rfft2`.

    White noise of variance v has v at every frequency.
    """
    total = torch.zeros(images.shape[2], images.shape[3] // 2 + 1, dtype=torch.float64)
    for part in images.split(AT_ONCE):
        values = part.float()
        waves = torch.fft.rfft2(values - values.mean((2, 3), keepdim=True), norm="ortho")
        total += waves.abs().square().mean(1).sum(0, dtype=torch.float64).cpu()
    return total / max(len(images), 1)


def radial_spectrum(images: Tensor) -> tuple[Tensor, Tensor]:
    """Frequencies [F] in cycles per pixel, and the mean power of images [N, C, H, W] around each, float64 [F].

    Rings are 1 / min(H, W) wide, from the lowest frequency to the corner, 0.71, where a checkerboard of single pixels
    lies; stripes of single pixels lie at 0.5. Raises ConfigError for other shapes and sides below 4.
    """
    if images.dim() != 4 or not len(images) or min(images.shape[2:]) < 4:
        raise ConfigError(f"a spectrum is of images [N, C, H, W] with sides of 4 or more, not {tuple(images.shape)}")
    height, width = images.shape[2:]
    down, across = torch.fft.fftfreq(height, dtype=torch.float64), torch.fft.rfftfreq(width, dtype=torch.float64)
    ring = (torch.hypot(down[:, None], across) * min(height, width)).round().long()
    times = torch.full((width // 2 + 1,), 2.0, dtype=torch.float64)  # half of the plane stands for the other half
    times[0] = 1
    times[-1] = 1 if width % 2 == 0 else 2
    weights = times.expand(height, -1).flatten()
    sums = torch.bincount(ring.flatten(), weights * power(images).flatten())
    counts = torch.bincount(ring.flatten(), weights)
    kept = counts > 0
    kept[0] = False  # the mean was taken off
    frequencies = torch.arange(len(counts), dtype=torch.float64) / min(height, width)
    return frequencies[kept], sums[kept] / counts[kept]
