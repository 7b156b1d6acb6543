"""Adversarial losses: logits [B] -> scalar, one function for each player, with the sign that is minimised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Loss:
    """What both players minimise, from the raw logits [B] on real and on fake samples.

    `generator` gets (fake, real); real logits are computed for it only when `relativistic`.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor | None], Tensor]
    relativistic: bool = False


def non_saturating_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-log sigmoid(D(x)) - log(1 - sigmoid(D(G(z)))): binary cross-entropy (arXiv:1406.2661, eq. 1)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def non_saturating_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """-log sigmoid(D(G(z))), which keeps a gradient when D wins (arXiv:1406.2661, section 3)."""
    return F.softplus(-fake).mean()


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E D(G(z)) - E D(x), the critic's negative distance (arXiv:1701.07875, eq. 2)."""
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """-E D(G(z)) (arXiv:1701.07875, algorithm 1)."""
    return -fake.mean()


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """softplus(-(D(x) - D(G(z)))), real and fake paired index by index (arXiv:1807.00734; arXiv:2501.05441, eq. 2)."""
    return F.softplus(fake - real).mean()


def relativistic_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """softplus(-(D(G(z)) - D(x))) (arXiv:1807.00734; arXiv:2501.05441, eq. 2)."""
    assert real is not None
    return F.softplus(real - fake).mean()


LOSSES = {
    "non-saturating": Loss(non_saturating_discriminator, non_saturating_generator),
    "wasserstein": Loss(wasserstein_discriminator, wasserstein_generator),
    "relativistic": Loss(relativistic_discriminator, relativistic_generator, relativistic=True),
}


def probability(logits: Tensor) -> Tensor:
    """Mean of sigmoid(logits): the D(x) and D(G(z)) that tutorials print, in [0, 1]."""
    return torch.sigmoid(logits.float()).mean()
