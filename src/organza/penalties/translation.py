"""What translation papers add to the adversarial loss, as pure functions of tensors -> one value per sample [B].

All in float32. Features are those of a discriminator's `features`, real ones without gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor


def matched_features(real: Sequence[Tensor], fake: Sequence[Tensor], per_layer: float) -> Tensor:
    """`per_layer` * sum over layers of mean |f(real) - f(fake)|, [B]; the real ones learn nothing.

    pix2pixHD (arXiv:1711.11585, eq. 5) divides by layers and scales, `hd_weight`; SPADE by scales, `spade_weight`;
    both multiply by 10. Raises ValueError for different numbers of features.
    """
    if len(real) != len(fake) or not real:
        raise ValueError(f"{len(real)} real and {len(fake)} fake features; give those of all layers of both")
    values = [(a.detach().float() - b.float()).abs().flatten(1).mean(1) for a, b in zip(real, fake, strict=True)]
    return per_layer * torch.stack(values).sum(0)


def hd_weight(features: int) -> float:
    """4 / (layers + 1) / scales, as official code of pix2pixHD has it: `features` are those of all scales together."""
    return 4 / features


def spade_weight(scales: int) -> float:
    """1 / scales, for each layer of SPADE's discriminator."""
    return 1 / scales


def total_variation(x: Tensor, power: Literal[1, 2] = 1) -> Tensor:
    """Mean |difference| ** power of neighbours in a row, plus that of neighbours in a column, of images -> [B].

    Rudin, Osher and Fatemi (1992, doi:10.1016/0167-2789(92)90242-F) in the form that treats both axes alone.
    """
    across, down = x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]
    return sum((d.float().abs() ** power).flatten(1).mean(1) for d in (across, down))  # type: ignore[return-value]


def absolute(target: Tensor, made: Tensor) -> Tensor:
    """Mean |target - made| [B]: pix2pix (weight 100), the cycles of CycleGAN (10) and its identities (5)."""
    return (target.float() - made.float()).abs().flatten(1).mean(1)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) [B], summed over the numbers of a code [B, D] (arXiv:1312.6114, appendix B).

    SPADE takes 0.05 of the sum over the batch.
    """
    mean, log_variance = mean.float(), log_variance.float()
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(1)
