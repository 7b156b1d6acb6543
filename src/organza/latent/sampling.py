"""From seeds to samples: the seed contract of the StyleGAN family."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn


def must_be_seeds(seeds: Sequence[int]) -> list[int]:
    """The seeds. Raises ValueError for none and for those that numpy does not take."""
    if not len(seeds) or min(seeds) < 0 or max(seeds) >= 2**32:
        raise ValueError("sampling takes at least one seed, each from 0 to 4294967295")
    return list(seeds)


def latents(seeds: Sequence[int], z_dim: int, truncation: float | None = None) -> Tensor:
    """Noise [len(seeds), z_dim]; seed s gives `numpy.random.RandomState(s).randn(1, z_dim)`.

    `truncation` t > 0 draws each number from the normal distribution cut off at -t and t instead (Brock et al.,
    arXiv:1809.11096, section 3.1), by the same uniform quantile, so that the noise moves smoothly with t.
    """
    rows = [np.random.RandomState(seed).randn(1, z_dim) for seed in seeds]
    z = torch.from_numpy(np.concatenate(rows) if rows else np.empty((0, z_dim)))
    return z.float() if truncation is None else truncated_normal(z, truncation)


def truncated_normal(z: Tensor, t: float) -> Tensor:
    """Normal numbers -> those of the normal distribution cut off at -t and t, by the same quantile, float32.

    Raises ValueError for a t that is not above 0.
    """
    if not t > 0:
        raise ValueError(f"truncation is {t}; it takes a number above 0, such as 0.7")
    below = torch.special.ndtr(torch.tensor(-t, dtype=torch.float64))
    return torch.special.ndtri(below + torch.special.ndtr(z.double()) * (1 - 2 * below)).float()


def every_class(count: int, classes: int) -> Tensor | None:
    """Labels [count] that go through all the classes in turn, None without classes."""
    return torch.arange(count) % classes if classes else None


def generate(generator: nn.Module, z: Tensor, labels: Tensor | None, batch: int = 256) -> Tensor:
    """Samples [N, *shape] in float32 on the CPU, from the generator in evaluation mode, `batch` at a time."""
    return in_batches(generator, generator, z, labels, batch)


@torch.no_grad()
def in_batches(
    generator: nn.Module, function: Callable[..., Tensor], rows: Tensor, labels: Tensor | None, batch: int
) -> Tensor:
    """`function` of `batch` rows [N, ...] and labels [N] at a time, float32 on the CPU; the generator evaluates."""
    device, training = next(generator.parameters()).device, generator.training
    generator.eval()
    try:
        parts = []
        for start in range(0, len(rows), batch):
            part = slice(start, start + batch)
            chosen = None if labels is None else labels[part].to(device)
            parts.append(function(rows[part].to(device), chosen).float().cpu())
    finally:
        generator.train(training)
    return torch.cat(parts)
