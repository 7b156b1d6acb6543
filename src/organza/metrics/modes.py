"""Coverage of a known mixture of Gaussians (Srivastava et al., VEEGAN, arXiv:1705.07761, section 5.1)."""

from __future__ import annotations

import torch
from torch import Tensor


def mode_coverage(samples: Tensor, centres: Tensor, sigma: float) -> tuple[int, float]:
    """(modes found, share of high-quality samples) of points [N, D] and centres [M, D].

    A sample is of high quality within 3 sigma of its nearest centre; a mode is found when it has such a sample.
    """
    distance, nearest = torch.cdist(samples.double(), centres.double()).min(1)
    good = distance <= 3 * sigma
    return int(nearest[good].unique().numel()), float(good.double().mean())
