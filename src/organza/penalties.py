"""Regularisers of the discriminator's turn: what it has at hand -> one value per sample [B], in float32.

The engine adds `weight * every * mean` to the loss of every `every`-th turn, in the same backward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Evidence:
    """One discriminator turn: samples [B, ...], their logits [B], and what else a penalty may need."""

    real: Tensor
    fake: Tensor
    real_logits: Tensor
    fake_logits: Tensor
    mix: Tensor  # uniform numbers in [0, 1), [B]
    judge: Callable[[Tensor], Tensor]  # samples [B, ...] -> logits [B], with the labels of the batch


@dataclass(frozen=True)
class Rule:
    """A penalty and whether it differentiates the logits with respect to the real or the fake samples."""

    per_sample: Callable[[Evidence], Tensor]
    real_gradient: bool = False
    fake_gradient: bool = False


def squared_gradient(samples: Tensor, logits: Tensor) -> Tensor:
    """Squared norm of d(sum of logits)/d(samples), per sample [B]: R1 on real samples, R2 on fake ones.

    Mescheder et al. (arXiv:1801.04406, eq. 9 and 10), without their factor of one half.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return gradient.float().flatten(1).square().sum(1)


def gradient_norm(judge: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """(|grad D(x')| - 1)^2 at x' = mix * real + (1 - mix) * fake, per sample [B] (arXiv:1704.00028, eq. 3)."""
    share = mix.view(-1, *[1] * (real.dim() - 1))
    between = torch.lerp(fake.detach().float(), real.detach().float(), share).requires_grad_()
    return (squared_gradient(between, judge(between)) + 1e-12).sqrt().sub(1).square()


def drift(logits: Tensor) -> Tensor:
    """D(x)^2, per sample [B], which keeps a critic near zero (Karras et al., arXiv:1710.10196, appendix A.1)."""
    return logits.square()


PENALTIES = {
    "r1": Rule(lambda seen: squared_gradient(seen.real, seen.real_logits), real_gradient=True),
    "r2": Rule(lambda seen: squared_gradient(seen.fake, seen.fake_logits), fake_gradient=True),
    "gradient-norm": Rule(lambda seen: gradient_norm(seen.judge, seen.real, seen.fake, seen.mix)),
    "drift": Rule(lambda seen: drift(seen.real_logits)),
}
