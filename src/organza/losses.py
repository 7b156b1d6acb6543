"""Adversarial losses: logits [B], or [B, K] where a discriminator judges each sample K times, -> scalar.

Where the K are those of several judges (scales, domains), the losses of each are added, as in CycleGAN, pix2pixHD.

A loss is three functions of one logit, each with the sign that is minimised: what D pays where it should say real,
what it pays where it should say fake, and what G pays for its fakes. A relativistic loss (Jolicoeur-Martineau, 2018,
arXiv:1807.00734) puts differences between real and fake logits in the place of the logits.

| name | when | why |
|---|---|---|
| non-saturating (softplus) | the default | G keeps its gradient when D wins; needs R1 or a normed D for the long run |
| minimax | to see why nobody uses it | the game of the theory; G's gradient vanishes when D wins |
| least-squares | D is too sure of itself | far fakes still pull; no sigmoid to saturate |
| wasserstein | with a gradient penalty or clipped weights | its value falls as samples improve |
| hinge | with spectral norm | D stops where it is sure, as in SNGAN, SAGAN and BigGAN |
| relativistic | with R1 and R2 | every real sample has a fake opponent: no mode can be dropped for free |
| relativistic-average | ESRGAN and its heirs | as above, against the mean opponent |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from organza.training.distributed import mean_of_all

OneLogit = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Loss:
    """What both players minimise. `as_real` and `as_fake` are D's price for one logit, `fooled` is G's."""

    as_real: OneLogit
    as_fake: OneLogit
    fooled: OneLogit
    versus: Literal["nothing", "partner", "average"] = "nothing"  # what is taken off a logit first
    border: float | None = 0.0  # between real and fake; None for a critic, whose logits have no zero
    parts: tuple[int, ...] = ()  # how many of the K logits are each judge's; empty for one judge

    @property
    def relativistic(self) -> bool:
        """Whether the generator's turn needs the logits of real samples."""
        return self.versus != "nothing"

    def discriminator(self, real: Tensor, fake: Tensor, targets: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """D's loss; `targets` say how real reals and fakes are called: two tensors [B], or [B, K], in [0, 1].

        A target t weighs both prices, t as_real + (1 - t) as_fake: for cross-entropy and least squares this is label
        smoothing (arXiv:1606.03498, section 3.4), up to a constant for the latter; t = 0 swaps a sample's label.
        """
        if self.versus == "partner":
            ahead = real - fake
            return self._price(ahead, None if targets is None else (1 + targets[0] - targets[1]) / 2, self.as_real)
        if self.versus == "average":
            real, fake = real - mean_of_all(fake.mean(0)), fake - mean_of_all(real.mean(0))
        of_real, of_fake = targets or (None, None)
        return self._price(real, of_real, self.as_real) + self._price(fake, of_fake, self.as_fake)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """G's loss; a relativistic one needs the logits of the real partners."""
        if self.versus == "nothing":
            return self._mean(self.fooled(fake))
        assert real is not None
        if self.versus == "partner":
            return self._mean(self.fooled(fake - real))
        ahead, behind = real - mean_of_all(fake.mean(0)), fake - mean_of_all(real.mean(0))
        return self._mean(self.as_fake(ahead)) + self._mean(self.fooled(behind))

    def _price(self, logits: Tensor, target: Tensor | None, plain: OneLogit) -> Tensor:
        if target is None:
            return self._mean(plain(logits))
        target = target.view(*target.shape, *[1] * (logits.dim() - target.dim()))
        return self._mean(target * self.as_real(logits) + (1 - target) * self.as_fake(logits))

    def _mean(self, prices: Tensor) -> Tensor:
        """The mean, or the sum of the means of every judge."""
        if len(self.parts) < 2:
            return prices.mean()
        return torch.stack([part.mean() for part in prices.split(self.parts, 1)]).sum()


def real_cross_entropy(logits: Tensor) -> Tensor:
    """-log sigmoid(D(x)) = softplus(-D(x)) (arXiv:1406.2661, eq. 1)."""
    return F.softplus(-logits)


def fake_cross_entropy(logits: Tensor) -> Tensor:
    """-log(1 - sigmoid(D(G(z)))) = softplus(D(G(z))) (arXiv:1406.2661, eq. 1)."""
    return F.softplus(logits)


def saturating(logits: Tensor) -> Tensor:
    """log(1 - sigmoid(D(G(z)))): the minimax game, flat where D wins (arXiv:1406.2661, eq. 1)."""
    return -F.softplus(logits)


def to_one(logits: Tensor) -> Tensor:
    """(D - 1)^2 / 2 (Mao et al., arXiv:1611.04076, eq. 9)."""
    return (logits - 1).square() / 2


def to_zero(logits: Tensor) -> Tensor:
    """D^2 / 2 (Mao et al., arXiv:1611.04076, eq. 9)."""
    return logits.square() / 2


def low(logits: Tensor) -> Tensor:
    """-D, for those who want it high (Arjovsky et al., arXiv:1701.07875, eq. 2 and algorithm 1)."""
    return -logits


def high(logits: Tensor) -> Tensor:
    """D, for those who want it low (Arjovsky et al., arXiv:1701.07875, eq. 2)."""
    return logits


def above_one(logits: Tensor) -> Tensor:
    """max(0, 1 - D), nothing beyond the margin (Lim & Ye, arXiv:1705.02894; arXiv:1802.05957, eq. 16)."""
    return F.relu(1 - logits)


def below_minus_one(logits: Tensor) -> Tensor:
    """max(0, 1 + D), nothing beyond the margin (arXiv:1705.02894; arXiv:1802.05957, eq. 16)."""
    return F.relu(1 + logits)


LOSSES = {
    "non-saturating": Loss(real_cross_entropy, fake_cross_entropy, real_cross_entropy),
    "softplus": Loss(real_cross_entropy, fake_cross_entropy, real_cross_entropy),  # StyleGAN's name for the same
    "minimax": Loss(real_cross_entropy, fake_cross_entropy, saturating),
    "least-squares": Loss(to_one, to_zero, to_one, border=0.5),
    "wasserstein": Loss(low, high, low, border=None),
    "hinge": Loss(above_one, below_minus_one, low),
    "relativistic": Loss(real_cross_entropy, fake_cross_entropy, real_cross_entropy, versus="partner"),
    "relativistic-average": Loss(real_cross_entropy, fake_cross_entropy, real_cross_entropy, versus="average"),
}


def probability(logits: Tensor) -> Tensor:
    """Mean of sigmoid(logits): the D(x) and D(G(z)) that tutorials print, in [0, 1]."""
    return torch.sigmoid(logits.float()).mean()
