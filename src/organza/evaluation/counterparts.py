"""Results beside their own counterparts, picture by picture: `psnr`, `ssim`, `lpips-of-pairs` and `perceptual`.

Result i is compared with real i, of two folders each result with the real of its name (`organza.evaluation.names`). A
translating run brings both: the results for the sources that its training did not see, and their counterparts.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from organza.config import ConfigError
from organza.evaluation.evidence import Evidence
from organza.evaluation.names import in_line
from organza.latent.perceptual import open_distance
from organza.training.batches import to_range

AT_ONCE = 32
EXACT = 100.0  # decibels of equal pictures, whose ratio is infinite


def psnr(result: Tensor, real: Tensor) -> Tensor:
    """10 log10(255^2 / mean squared error) in dB of images uint8 [N, C, H, W], of all channels; 100 at most."""
    error = (result.double() - real.double()).square().flatten(1).mean(1)
    return (10 * (255**2 / error.clamp(min=1e-12)).log10()).clamp(max=EXACT)


def of_pairs(seen: Evidence, measure: Callable[[Tensor, Tensor], Tensor], what: str) -> Tensor:
    """`measure` of each result and its counterpart, float64 [N]. Raises ConfigError for sides that do not pair."""
    fake, real = seen.fake.samples, seen.real.samples
    if fake.shape != real.shape:
        raise ConfigError(
            f"{what} compares each result with its counterpart, but there are results of {tuple(fake.shape)} and reals "
            f"of {tuple(real.shape)}; give as many, of one size, or leave {what} out"
        )
    if seen.fake.names and seen.real.names:
        real = real[in_line(seen.fake.names, seen.real.names, what)]
    found = []
    for start in range(0, len(fake), AT_ONCE):
        found.append(measure(fake[start : start + AT_ONCE], real[start : start + AT_ONCE]).cpu().double())
        seen.progress.step(what, min(start + AT_ONCE, len(fake)), len(fake))
    return torch.cat(found)


def perceptual(seen: Evidence) -> Callable[[Tensor, Tensor], Tensor]:
    """The distance that translations are trained with where LPIPS is not at hand: the embedded network and pixels."""
    distance = open_distance("general", tuple(seen.real.samples.shape[1:]))

    @torch.no_grad()
    def measure(result: Tensor, real: Tensor) -> Tensor:
        return distance(to_range(result), to_range(real))

    return measure
