"""Equivariance: how exactly a generator's picture moves and turns with what it is made from (arXiv:2106.12423, 2.1).

    EQ = 10 log10( I^2 / mean of (G(t[z]) - t[G(z)])^2 ),  I = 2 from -1 to 1,

in dB, over random translations (EQ-T) and rotations (EQ-R), the colours, and the pixels that both pictures know. The
paper's translations are up to an eighth of the picture each way, its rotations any angle.

- `integer`: by whole pixels; the pictures are compared as they are.
- `fractional` and `rotation`: both pictures are read through one round low-pass filter, a windowed jinc that passes
  frequencies up to 3/8 a pixel and none above 1/2, at the moved places: interpolation and low pass are one sum. The
  paper's own filters are others (windowed sincs, and the overlap of two squares of frequencies), so that these two
  figures compare with each other and not with published ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from organza.config import ConfigError
from organza.layers.alias_free import kaiser_beta
from organza.metrics.checks import must_be_finite, must_be_from

Motion = Literal["integer", "fractional", "rotation"]
RANGE = 1 / 8  # of the picture, each way
REACH, CUTOFF, WIDTH = 8, 0.375, 0.25  # of the round filter: radius in pixels, cycles a pixel, transition band
PEAK = 2.0  # from -1 to 1
LEAST = 4 * REACH  # pixels a side
AT_ONCE = 4096  # places that are read

Move = Callable[[Tensor], Tensor]
"""Matrices [B, 3, 3] that move places (x to the right, y down, in pixels from the centre) -> images [B, C, H, W]."""


def motions(count: int, size: tuple[int, int], kind: Motion, seed: int = 0) -> Tensor:
    """Random matrices float64 [count, 3, 3] that move a picture of `size` (H, W), in pixels from its centre."""
    random = np.random.RandomState(seed)
    matrices = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
    if kind == "rotation":
        angle = torch.from_numpy(random.uniform(0, 2 * math.pi, count))
        matrices[:, 0, 0] = matrices[:, 1, 1] = angle.cos()
        matrices[:, 0, 1], matrices[:, 1, 0] = -angle.sin(), angle.sin()
        return matrices
    shift = torch.from_numpy(random.uniform(-RANGE, RANGE, (count, 2))) * torch.tensor([size[1], size[0]])
    matrices[:, :2, 2] = shift.round() if kind == "integer" else shift
    return matrices


def squared_errors(draw: Move, matrices: Tensor, kind: Motion) -> Tensor:
    """Mean of (G(t[z]) - t[G(z)])^2 for each sample, float64 [N]; `draw` makes the same N samples for any motion.

    Raises ConfigError for sides below 32 where the round filter is needed, and for values that are not finite.
    """
    still, moved = draw(torch.eye(3, dtype=torch.float64).repeat(len(matrices), 1, 1)), draw(matrices)
    if still.device.type == "mps":  # which has no float64
        still, moved = still.cpu(), moved.cpu()
    still, moved = still.double(), moved.double()
    if kind == "integer":
        found = [_shifted_error(*each) for each in zip(still, moved, matrices, strict=True)]
    else:
        must_be_from("the shorter side of the images", min(still.shape[2:]), LEAST)
        found = [_filtered_error(*each) for each in zip(still, moved, matrices, strict=True)]
    errors = torch.stack(found).cpu()
    must_be_finite("the images", errors)
    return errors


def decibels(error: float) -> float:
    """The peak signal-to-noise ratio of a mean squared error of images in [-1, 1]; infinite for none."""
    return math.inf if error == 0 else 10 * math.log10(PEAK**2 / error)


def equivariance(draw: Move, samples: int, size: tuple[int, int], kind: Motion, seed: int = 0) -> float:
    """EQ-T or EQ-R in dB of `samples` samples of `size` (H, W), one random motion each. Raises as `squared_errors`."""
    must_be_from("the number of samples", samples, 1)
    return decibels(float(squared_errors(draw, motions(samples, size, kind, seed), kind).mean()))


def of_waves(generator: torch.nn.Module, codes: Tensor, size: tuple[int, int]) -> Move:
    """`draw` for codes [N, L, w_dim] of pictures of `size` (H, W), whose synthesis takes a `transform` (StyleGAN3).

    Raises ConfigError for another one: what it begins with cannot be moved.
    """
    synthesis = generator.synthesis if hasattr(generator, "synthesis") else None
    if not hasattr(getattr(synthesis, "input", None), "transform"):
        raise ConfigError("equivariance moves the waves that a generator begins with; stylegan3-t and -r have them")

    whole = 2 ** (max(size) - 1).bit_length()  # pixels in the unit of the waves

    @torch.no_grad()
    def draw(matrices: Tensor) -> Tensor:
        """The waves are looked up where each place came from."""
        stored = synthesis.input.transform  # type: ignore[union-attr]
        back = torch.linalg.inv(matrices).to(stored)
        back[:, :2, 2] /= whole
        return synthesis(codes, transform=stored @ back)  # type: ignore[operator]

    return draw


def _shifted_error(still: Tensor, moved: Tensor, matrix: Tensor) -> Tensor:
    """Over the pixels that come from inside."""
    dx, dy = (int(step) for step in matrix[:2, 2])
    height, width = still.shape[1:]
    rows, columns = (slice(max(step, 0), side + min(step, 0)) for step, side in ((dy, height), (dx, width)))
    from_rows, from_columns = (slice(max(-s, 0), n + min(-s, 0)) for s, n in ((dy, height), (dx, width)))
    return (moved[:, rows, columns] - still[:, from_rows, from_columns]).square().mean()


def _filtered_error(still: Tensor, moved: Tensor, matrix: Tensor) -> Tensor:
    """Over the pixels around which, here and where they come from, the whole filter lies inside."""
    height, width = still.shape[1:]
    rows, columns = (torch.arange(side, dtype=torch.float64) - (side - 1) / 2 for side in (height, width))
    here = torch.stack([columns.expand(height, -1), rows[:, None].expand(-1, width)], 2).flatten(0, 1)  # (x, y)
    back = torch.linalg.inv(matrix.double().cpu())
    there = here @ back[:2, :2].T + back[:2, 2]
    limit = torch.tensor([width, height]) / 2 - REACH
    known = ((here.abs() <= limit) & (there.abs() <= limit)).all(1)
    return (read(moved, here[known]) - read(still, there[known])).square().mean()


def read(image: Tensor, places: Tensor) -> Tensor:
    """An image [C, H, W] through the round filter at places [P, 2] (x, y in pixels from the centre) -> [C, P]."""
    return torch.cat([_read(image, some) for some in places.split(AT_ONCE)], 1)


def _read(image: Tensor, places: Tensor) -> Tensor:
    height, width = image.shape[1:]
    exact = places + torch.tensor([width - 1, height - 1]) / 2  # in pixels from the first one's centre
    steps = torch.arange(1 - REACH, REACH + 1)
    near = exact.floor().long()[:, None, None] + torch.stack(torch.meshgrid(steps, steps, indexing="xy"), 2)
    weights = round_filter((near - exact[:, None, None]).norm(dim=3)).flatten(1)  # [P, taps]
    weights = weights / weights.sum(1, keepdim=True)
    x, y = near[..., 0].clamp(0, width - 1), near[..., 1].clamp(0, height - 1)
    pixels = image[:, y.flatten(1).to(image.device), x.flatten(1).to(image.device)]  # [C, P, taps]
    return (pixels * weights.to(image)).sum(2)


def round_filter(radius: Tensor) -> Tensor:
    """Its value at a distance in pixels, not normalised; 0 from REACH on."""
    safe = radius.clamp(min=1e-9)
    jinc = torch.special.bessel_j1(2 * math.pi * CUTOFF * safe) / safe
    beta = kaiser_beta(2 * REACH, WIDTH, 1.0)
    inside = (1 - (safe / REACH).square()).clamp(min=0).sqrt()
    window = torch.special.i0(torch.tensor(beta) * inside) / torch.special.i0(torch.tensor(beta))
    return jinc * window * (safe < REACH)
