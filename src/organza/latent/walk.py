"""A walk through the noise that never ends and never leaves what the generator was trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import numpy as np
import torch
from torch import Tensor

from organza.latent.drawing import Look
from organza.latent.film import Film
from organza.latent.sampling import must_be_seeds, truncated_normal

if TYPE_CHECKING:
    from organza.hub.gan import GAN, Labels

REACH = 2  # a drawn noise is heard so many paces before and after its turn


def walk(
    gan: GAN, frames: int, seed: int | Sequence[int] = 0, *, pace: int = 60, labels: Labels = None,
    batch: int | None = None, **look: Unpack[Look],
) -> Film:  # fmt: skip
    """A film of `frames` of a random walk; of several seeds: as many walks side by side.

    The noise is a Gaussian process and standard normal at every frame, so that every frame is a sample like others;
    after `pace` frames its correlation is about 2/3, after four times as many none. It moves evenly, without kinks,
    and a longer walk begins as a shorter one of its seed does. `labels`: one for all or for each walk. `look` as
    in `GAN.sample`. Raises ValueError as that does, and for frames or a pace below 1.
    """
    nested = isinstance(seed, Sequence)
    seeds = must_be_seeds(seed if isinstance(seed, Sequence) else [seed])
    for name, number in (("frames", frames), ("pace", pace)):
        if number < 1:
            raise ValueError(f"{name} is {number}; it takes 1 or more")
    drawing, chosen = gan.drawing(**look), gan.label_numbers(labels, len(seeds))
    steps = math.ceil(frames / pace) + 2 * REACH
    drawn = [torch.from_numpy(np.random.RandomState(seed).randn(steps, gan.z_dim)) for seed in seeds]

    def codes_at(numbers: Tensor) -> tuple[Tensor, Tensor | None]:
        """Codes of all walks, frame by frame."""
        z = torch.stack([_heard(each, numbers.double() / pace) for each in drawn], 1).flatten(0, 1)
        told = None if chosen is None else chosen.repeat(len(numbers))
        z = z.float() if drawing.cut is None else truncated_normal(z, drawing.cut)
        return drawing.codes(z, told), told

    return Film(frames, len(seeds) if nested else 0, drawing, codes_at, seeds[0], batch)


def _heard(drawn: Tensor, times: Tensor) -> Tensor:
    """Draws [K, D] of a normal distribution -> a moving average [F, D] of them with the window of Hann, as normal.

    At most four of the windows, cos^2 and a pace apart, are heard at once, and their squares always sum to 3/2.
    """
    places = torch.arange(len(drawn), dtype=torch.float64) - (REACH - 1)
    apart = (times[:, None] - places).abs().clamp(max=REACH)
    windows = (math.pi * apart / (2 * REACH)).cos().square()
    return windows @ drawn / math.sqrt(1.5)
