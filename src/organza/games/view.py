"""What the discriminator is shown (every sample augmented, blurred and with instance noise), and what G learns from."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from organza.augment import augmentation
from organza.draws import Draws
from organza.layers.resample import blurred


@dataclass(frozen=True)
class View:
    """Augmentation (arXiv:2006.06676, section 2), blur (arXiv:2106.12423, section 3.2) and noise (Sønderby et al.,
    arXiv:1610.04490, section 2.3)."""

    policy: tuple[str, ...] = ()
    fakes_for_reals: bool = False  # adaptive pseudo augmentation takes the probability for itself

    def __call__(
        self, samples: Tensor, draws: Draws, probability: Tensor | float, noise: float, blur: float = 0.0
    ) -> Tensor:
        """Samples [B, ...] as D sees them; gradients reach the samples through all of it."""
        if self.policy:
            samples = augmentation(self.policy)(samples, draws.other("augment"), probability)
        if blur:
            samples = blurred(samples, blur)
        if noise:
            samples = samples + noise * draws.normal("noise", *samples.shape[1:])
        return samples


def most_real(share: float, fake: Tensor, real: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The `share` of the fakes with the highest logits, and their partners (Sinha et al., arXiv:2002.06224, eq. 5).

    Of those at hand: every process and every micro-batch chooses its own.
    """
    if share >= 1:
        return fake, real
    score = fake.detach().flatten(1).mean(1) if fake.dim() > 1 else fake.detach()
    rows = score.topk(max(1, round(share * len(score)))).indices
    return fake[rows], None if real is None else real[rows]
