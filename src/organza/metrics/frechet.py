"""The Fréchet distance between two sets of features, in float64 (Heusel et al., arXiv:1706.08500, eq. 6)."""

from __future__ import annotations

import torch
from torch import Tensor


def frechet_distance(*, real: Tensor, fake: Tensor) -> float:
    """|mu_r - mu_f|^2 + tr(S_r + S_f - 2 (S_r S_f)^(1/2)) between features [N, D]; never below 0.

    The trace of the root is that of the symmetric S_r^(1/2) S_f S_r^(1/2), which has the same eigenvalues.
    """
    mean_real, cov_real = _moments(real)
    mean_fake, cov_fake = _moments(fake)
    values, vectors = torch.linalg.eigh(cov_real)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_fake @ root).clamp(min=0).sqrt().sum()
    distance = (mean_real - mean_fake).square().sum() + cov_real.trace() + cov_fake.trace() - 2 * cross
    return max(float(distance), 0.0)


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [D] and unbiased covariance [D, D]."""
    features = features.double()
    return features.mean(0), torch.cov(features.T)
