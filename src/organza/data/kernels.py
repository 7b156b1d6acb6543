"""Blur kernels of Real-ESRGAN (Wang et al., 2021, arXiv:2107.10833, sections 3.1 and 3.2), one for each sample.

    isotropic and anisotropic   exp(-q / 2),  q = x' S^-1 x, S with two deviations along turned axes (eq. 2 to 4)
    generalised                 exp(-q^beta / 2)
    plateau                     1 / (1 + q^beta)
    sinc                        w J1(w r) / (2 pi r), what rings beside edges (eq. 6)

All are drawn in 21x21 pixels, cut to an odd size from 7 to 21, and add to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from organza.draws import Draws

SIDE = 21
SIZES = (7, 9, 11, 13, 15, 17, 19, 21)
KINDS = ("iso", "aniso", "generalized-iso", "generalized-aniso", "plateau-iso", "plateau-aniso")
SHARES = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
SINC = len(KINDS)  # the number of the kind beside them
SINC_SHARE = 0.1


@dataclass(frozen=True)
class Recipe:
    """What was drawn for each sample, [B] each."""

    kind: Tensor  # number in KINDS, or SINC
    size: Tensor
    deviation: Tensor  # [B, 2]
    turn: Tensor  # radians
    beta: Tensor
    cutoff: Tensor  # of a sinc


def draw(draws: Draws, deviations: tuple[float, float]) -> Recipe:
    """Kinds by their shares, deviations between both given ones."""
    low, high = deviations
    size = torch.tensor(SIZES, device=draws.keys.device)[draws.below("size", len(SIZES))]
    shares = torch.tensor(SHARES, device=draws.keys.device).cumsum(0)
    kind = torch.searchsorted(shares, draws.uniform("kind")).clamp(max=len(KINDS) - 1)
    kind = torch.where(draws.uniform("sinc") < SINC_SHARE, SINC, kind)
    deviation = low + (high - low) * draws.uniform("deviation", 2)
    round_ = kind % 2 == 0
    deviation = torch.where(round_[:, None], deviation[:, :1], deviation)
    turn = torch.where(round_, 0.0, math.pi * (2 * draws.uniform("turn") - 1))
    most = torch.where(kind < 4, 4.0, 2.0)
    least = torch.where(kind < 4, 0.5, 1.0)
    upper = 1 + (most - 1) * draws.uniform("beta/above")
    lower = least + (1 - least) * draws.uniform("beta/below")
    beta = torch.where(draws.uniform("beta") < 0.5, lower, upper)
    floor = torch.where(size < 13, math.pi / 3, math.pi / 5)
    return Recipe(kind, size, deviation, turn, beta, floor + (math.pi - floor) * draws.uniform("cutoff"))


def kernels(recipe: Recipe) -> Tensor:
    """[B, 21, 21], each adding to 1."""
    x, y, inside = _grid(recipe.size)
    cos, sin = (f(recipe.turn)[:, None, None] for f in (torch.cos, torch.sin))
    along, across = (cos * x + sin * y), (cos * y - sin * x)
    q = (along / recipe.deviation[:, 0, None, None]) ** 2 + (across / recipe.deviation[:, 1, None, None]) ** 2
    kind, beta = recipe.kind[:, None, None], recipe.beta[:, None, None]
    bent = q.clamp(min=1e-12) ** torch.where(kind < 2, 1.0, beta)
    made = torch.where(kind < 4, torch.exp(-0.5 * bent), 1 / (1 + bent))
    made = torch.where(kind == SINC, _sinc(x, y, recipe.cutoff), made) * inside
    return made / made.sum((1, 2), keepdim=True)


def final_sinc(draws: Draws, share: float = 0.8) -> Tensor:
    """[B, 21, 21]: a sinc of a random size for a share of the samples, for the others what leaves them as they are."""
    size = torch.tensor(SIZES, device=draws.keys.device)[draws.below("size", len(SIZES))]
    x, y, inside = _grid(size)
    cutoff = math.pi / 3 + math.pi * 2 / 3 * draws.uniform("cutoff")
    made = _sinc(x, y, cutoff) * inside
    made = made / made.sum((1, 2), keepdim=True)
    return torch.where((draws.uniform("some") < share)[:, None, None], made, identity(made))


def identity(like: Tensor) -> Tensor:
    """Kernels [B, 21, 21] that leave an image as it is."""
    made = torch.zeros_like(like)
    made[:, SIDE // 2, SIDE // 2] = 1
    return made


def _sinc(x: Tensor, y: Tensor, cutoff: Tensor) -> Tensor:
    """w J1(w r) / (2 pi r), w^2 / (4 pi) in the middle."""
    radius, w = (x**2 + y**2).sqrt(), cutoff[:, None, None]
    around = w * torch.special.bessel_j1(w * radius) / (2 * math.pi * radius.clamp(min=1e-6))
    return torch.where(radius > 0, around, w**2 / (4 * math.pi))


def _grid(size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Columns and rows [1, 21, 21] from the middle, and where a kernel of each size [B] reaches [B, 21, 21]."""
    place = torch.arange(SIDE, device=size.device, dtype=torch.float32) - SIDE // 2
    y, x = torch.meshgrid(place, place, indexing="ij")
    inside = torch.maximum(x.abs(), y.abs()) <= (size // 2)[:, None, None]
    return x[None], y[None], inside
