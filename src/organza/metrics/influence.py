"""A score with what each sample adds to it: the common ground of intervals, paired tests and worst samples.

A score of two sets of samples is a function of weights on them. To first order, new weights w (of mean 1) change it by
mean(w * contribution), the empirical influence function (Hampel, 1974). One evaluation then serves thousands of
bootstrap replicates, also of the Fréchet distance, where each would cost an eigenproblem.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Influence:
    """A score and the contribution of each sample, float64 [N], mean 0; None for a set that is held fixed."""

    value: float
    real: Tensor | None
    fake: Tensor | None
    least: float = -math.inf  # bounds of the score
    most: float = math.inf
    samples: tuple[int, int] = (0, 0)  # N of real and of fake


def centred(contributions: Tensor) -> Tensor:
    """The same in float64, less their mean."""
    contributions = contributions.double()
    return contributions - contributions.mean()


def of_mean(values: Tensor, least: float = -math.inf, most: float = math.inf) -> Influence:
    """The mean of a value for each fake [N], which holds no real."""
    return Influence(float(values.double().mean()), None, centred(values), least, most, (0, len(values)))


def of_share(share: float, count: int) -> Influence:
    """The share of so many fakes with a quality."""
    return of_mean(torch.arange(count) < round(share * count), 0.0, 1.0)
