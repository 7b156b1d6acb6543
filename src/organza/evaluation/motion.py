"""How exactly a generator's pictures move with the waves that they are made from (`eq-t`, `eq-t-frac`, `eq-r`)."""

from __future__ import annotations

import torch
from torch import Tensor

from organza.config import ConfigError
from organza.evaluation.evidence import Evidence
from organza.hub import GAN
from organza.latent.sampling import in_batches, latents
from organza.latent.space import LatentSpace
from organza.metrics.equivariance import LEAST, Motion, motions, of_waves, squared_errors

AT_ONCE = 32
SMALLEST = 1e-14  # of a mean squared error; float32 tells no less from nothing


def must_move(gan: GAN, kind: Motion) -> None:
    """Raise ConfigError for a generator whose waves cannot be moved, and for pictures below the round filter."""
    if len(gan.shape) != 3:
        raise ConfigError("equivariance is that of pictures, not of points")
    _, height, width = gan.shape
    of_waves(gan.generator, torch.empty(0), (height, width))
    if kind != "integer" and min(height, width) < LEAST:
        raise ConfigError(
            f"equivariance to rotations and parts of pixels needs sides of at least {LEAST} and has {height}x{width}; "
            "take eq-t, which moves by whole pixels"
        )


def errors_of_motion(kind: Motion, seen: Evidence) -> Tensor:
    """Mean squared error of each judged sample, moved once at random: float32 [N], at least SMALLEST."""
    gan, about, count = seen.gan, seen.fake.origin, len(seen.fake)
    assert gan is not None
    _, height, width = gan.shape
    first, psi = int(about["first_seed"]), about.get("truncation")
    z = latents(range(first, first + count), gan.z_dim)
    codes = LatentSpace(gan.generator).codes(z, seen.fake.labels, 1.0 if psi is None else psi)
    matrices = motions(count, (height, width), kind, seen.seed)

    def errors(rows: Tensor, _: Tensor | None) -> Tensor:
        """Of some samples."""
        seen.progress.step(f"moving samples ({kind})", int(rows[-1]) + 1, count)
        draw = of_waves(gan.generator, codes[rows.cpu()].to(rows.device), (height, width))
        return squared_errors(draw, matrices[rows.cpu()], kind)

    return in_batches(gan.generator, errors, torch.arange(count), None, AT_ONCE).clamp(min=SMALLEST)
