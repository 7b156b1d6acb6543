"""Codes in the noise, and the head that reads them back (InfoGAN: Chen et al., 2016, arXiv:1606.03657)."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Coded(nn.Module):
    """A generator whose first inputs are codes: one-hot ones, then uniform ones in [-1, 1], then plain noise.

    The noise [B, z_dim] stays standard normal, which keeps the seed contract: the largest of k normal numbers falls on
    each of k places equally often, and 2 Phi(z) - 1 is uniform. `noise_for` is the inverse.
    """

    def __init__(self, generator: nn.Module, categorical: tuple[int, ...], continuous: int) -> None:
        super().__init__()
        self.generator, self.categorical, self.continuous = generator, categorical, continuous
        self.z_dim = int(generator.z_dim)  # type: ignore[arg-type]
        self.plain = tuple(f"generator.{name}" for name in getattr(generator, "plain", ()))

    @property
    def codes(self) -> int:
        """Their number."""
        return len(self.categorical) + self.continuous

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise to samples."""
        return self.generator(self.encode(z), labels)

    def encode(self, z: Tensor) -> Tensor:
        """Noise [B, z_dim] -> codes and noise [B, z_dim]."""
        places = list(itertools.accumulate(self.categorical, initial=0))
        hot = [F.one_hot(z[:, a:b].argmax(1), b - a).to(z.dtype) for a, b in itertools.pairwise(places)]
        end = places[-1] + self.continuous
        return torch.cat([*hot, torch.erf(z[:, places[-1] : end] / math.sqrt(2)), z[:, end:]], 1)

    def noise_for(self, z: Tensor, code: int, value: float) -> Tensor:
        """A copy of the noise whose code number `code` has a value: a category, or a number in (-1, 1)."""
        z = z.clone()
        if code < len(self.categorical):
            first = sum(self.categorical[:code])
            places = slice(first, first + self.categorical[code])
            z[:, first + int(value)] = z[:, places].amax(1) + 1
            return z
        at = sum(self.categorical) + code - len(self.categorical)
        z[:, at] = math.sqrt(2) * torch.erfinv(torch.tensor(value))
        return z


class Reader(nn.Sequential):
    """Q: features [B, F] -> what it reads [B, sum(categorical) + 2 * continuous]; appendix C.1 has 128 units."""

    def __init__(self, features: int, categorical: tuple[int, ...], continuous: int) -> None:
        outputs = sum(categorical) + 2 * continuous
        super().__init__(nn.Linear(features, 128), nn.LeakyReLU(0.1), nn.Linear(128, outputs))


def unread(read: Tensor, codes: Tensor, categorical: tuple[int, ...], continuous: int) -> Tensor:
    """-log Q(c | x) per sample [B]: cross-entropy for categories, a factored Gaussian for numbers (section 6).

    `read` is a `Reader`'s output, of which the last numbers are means and log deviations.
    """
    places = list(itertools.accumulate(categorical, initial=0))
    loss = torch.zeros(len(read), device=read.device)
    for a, b in itertools.pairwise(places):
        loss = loss + F.cross_entropy(read[:, a:b], codes[:, a:b].float(), reduction="none")
    at = places[-1]
    mean, log_deviation = read[:, at : at + continuous], read[:, at + continuous :].clamp(-3, 3)
    errors = (codes[:, at : at + continuous] - mean).square() * (-2 * log_deviation).exp() / 2
    return loss + (errors + log_deviation + math.log(2 * math.pi) / 2).sum(1)
