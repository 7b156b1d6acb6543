"""Penalties on slopes and on levels: R1, R2, WGAN-GP, DRAGAN, drift, LeCam of D, and the path length of G."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from organza.penalties.evidence import Evidence, each
from organza.training.distributed import mean

LENGTH_DECAY = 0.99  # of the mean path length, from one penalty to the next (arXiv:1912.04958, appendix B)


def squared_gradient(samples: Tensor, logits: Tensor) -> Tensor:
    """Squared norm of d(sum of logits)/d(samples), per sample [B]: R1 on real samples, R2 on fake ones.

    Mescheder et al. (arXiv:1801.04406, eq. 9 and 10), without their factor of one half.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return gradient.float().flatten(1).square().sum(1)


def distance_from_slope_one(judge: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """(|grad D(x)| - 1)^2 at the points `at`, per sample [B] (Gulrajani et al., arXiv:1704.00028, eq. 3)."""
    at = at.detach().requires_grad_()
    return (squared_gradient(at, judge(at)) + 1e-12).sqrt().sub(1).square()


def gradient_norm(judge: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """(|grad D(x')| - 1)^2 at x' = mix * real + (1 - mix) * fake, per sample [B] (arXiv:1704.00028, eq. 3)."""
    share = mix.view(-1, *[1] * (real.dim() - 1))
    return distance_from_slope_one(judge, torch.lerp(fake.detach().float(), real.detach().float(), share))


def dragan(seen: Evidence) -> Tensor:
    """(|grad D(x + e)| - 1)^2 near the data (Kodali et al., arXiv:1705.07215, section 2.3), per sample [B].

    e is uniform in [0, sigma / 2) for data of deviation sigma, where the paper's formula has normal noise.
    """
    assert seen.draws is not None
    noise = seen.draws.uniform("dragan", *seen.real.shape[1:])
    return distance_from_slope_one(seen.judge, seen.real.detach() + seen.deviation / 2 * noise)


def drift(logits: Tensor) -> Tensor:
    """D(x)^2, per sample [B], which keeps a critic near zero (Karras et al., arXiv:1710.10196, appendix A.1)."""
    return each(logits.square())


def lecam(seen: Evidence) -> Tensor:
    """(D(x) - a_fake)^2 + (D(G(z)) - a_real)^2 with D's recent averages a (Tseng et al., arXiv:2104.03310, eq. 4)."""
    assert seen.memory is not None
    to_real, to_fake = seen.memory[0], seen.memory[1]
    return each((seen.real_logits - to_fake).square()) + each((seen.fake_logits - to_real).square())


def path_length(seen: Evidence) -> Tensor:
    """(|J^T y| - a)^2 of the first half of the samples, [B / 2] (Karras et al., arXiv:1912.04958, eq. 4).

    J is how the picture follows w, y a picture of normal noise over the root of its number of pixels, and a the mean
    length of late, which moves on. The length is that of the mean square over the layers that take a w.
    """
    assert seen.z is not None
    assert seen.draws is not None
    assert seen.lengths is not None
    assert seen.generator is not None
    half = slice((len(seen.z) + 1) // 2)  # so much is enough; of all processes together it is the same half
    z, labels = seen.z[half], None if seen.labels is None else seen.labels[half]
    ws = seen.generator.styles(z, labels)  # type: ignore[operator]
    draws = seen.draws.within(half).other("path-length")
    made = seen.generator.synthesis(ws, "random", draws)  # type: ignore[operator]
    y = draws.normal("y", *made.shape[1:]) / (made.shape[2] * made.shape[3]) ** 0.5
    (gradient,) = torch.autograd.grad((made * y).sum(), ws, create_graph=True)
    lengths = (gradient.square().sum(2).mean(1) + 1e-12).sqrt()
    with torch.no_grad():
        seen.lengths.copy_(torch.lerp(mean(lengths.detach().mean()), seen.lengths, LENGTH_DECAY))
        aim = seen.lengths.clone()
    return (lengths - aim).square()
