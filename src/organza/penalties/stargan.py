"""What StarGAN (arXiv:1711.09020) and StarGAN v2 (arXiv:1912.01865) ask of their players beside the adversarial loss.

Each function gives one value per sample [B]. Published weights: classes 1, reconstruction 10 for StarGAN; style 1,
cycle 1, diversity -1 (CelebA-HQ) or -2 (AFHQ), which goes linearly to 0 over 100 000 steps, for StarGAN v2.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from organza.models import stargan_v2 as v2
from organza.models.stargan_v2 import Masks
from organza.penalties.distances import apart


def domain_classification(logits: Tensor, labels: Tensor) -> Tensor:
    """-log p(labels | image) of logits [B, classes] (arXiv:1711.09020, eq. 2 and 3), [B].

    Labels are classes int64 [B], or attributes [B, classes] in [0, 1], each with a cross-entropy of its own, all summed
    up.
    """
    if labels.dim() == 2:
        return F.binary_cross_entropy_with_logits(logits.float(), labels.float(), reduction="none").sum(1)
    return F.cross_entropy(logits.float(), labels, reduction="none")


def reconstruction(generator: Callable[..., Tensor], source: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
    """|x - G(G(x, c), c')| for the source's own labels c' (arXiv:1711.09020, eq. 4), [B]."""
    return apart(source, generator(fake, None, labels))


def style_reconstruction(generator: v2.Generator, fake: Tensor, style: Tensor, domain: Tensor) -> Tensor:
    """|s - E_y(G(x, s))| for fakes in the style s of their domain y (arXiv:1912.01865, eq. 2), [B]."""
    return apart(style, generator.style_of(fake, domain))


def diversity(
    generator: v2.Generator, source: Tensor, fake: Tensor, style: Tensor, mask: Masks | None = None
) -> Tensor:
    """|G(x, s) - G(x, s')| for another style s' of the same domain (eq. 3), to be large: its weight is negative, [B].

    The other image moves aside for nothing: it has no gradient.
    """
    return apart(fake, generator.translate(source, style, mask).detach())


def cycle(generator: v2.Generator, source: Tensor, fake: Tensor, domain: Tensor, mask: Masks | None = None) -> Tensor:
    """|x - G(G(x, s), E_y(x))| for the source's own domain y (arXiv:1912.01865, eq. 4), [B]; masks are those of x."""
    return apart(source, generator.translate(fake, generator.style_of(source, domain), mask))
