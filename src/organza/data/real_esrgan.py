"""How pictures get worse in the wild: Real-ESRGAN's degradation of second order (Wang et al., 2021, arXiv:2107.10833).

    sharpen, then twice: blur, resize, noise, JPEG; in the second round a sinc filter stands before or behind JPEG

Images [B, C, H, W] in [-1, 1] -> [B, C, H / scale, W / scale], rounded to 8 bits, on their device. Everything that a
sample goes through is its own. Official code draws sizes, kinds of noise and orders once for a batch, and mixes batches
in a pool of 180 pairs, since else a batch has one kind of sample; here they go one by one, and no pool is needed. It
also cuts out of larger pictures when all is done, and so has no borders; here the target is cut out first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from organza.config import ConfigError
from organza.data.kernels import draw, final_sinc, identity, kernels
from organza.draws import Draws
from organza.layers.jpeg import jpeg
from organza.layers.sharpen import filtered, sharpened

FILTERS: tuple[Literal["area", "bilinear", "bicubic"], ...] = ("area", "bilinear", "bicubic")
GREY_NOISE = 0.4  # share of the samples whose channels have the same noise
JPEG = (30.0, 95.0)
LARGE, MOST = 10.0, 40  # from which mean on a Poisson number is approximated; the largest one looked for below


@dataclass(frozen=True)
class Round:
    """The ranges of one round (table of the paper's appendix and official options)."""

    blur: float  # share of samples
    deviations: tuple[float, float]
    resize: tuple[float, float, float]  # shares: larger, smaller, the same
    factors: tuple[float, float]
    gaussian: tuple[float, float]  # deviation, levels of 255
    poisson: tuple[float, float]  # scale


FIRST = Round(1.0, (0.2, 3.0), (0.2, 0.7, 0.1), (0.15, 1.5), (1.0, 30.0), (0.05, 3.0))
SECOND = Round(0.8, (0.2, 1.5), (0.3, 0.4, 0.3), (0.3, 1.2), (1.0, 25.0), (0.05, 2.5))


def worsened(images: Tensor, draws: Draws, scale: int) -> Tensor:
    """The source of each image of 1, 3 or 4 channels, of which alpha only shrinks.

    Raises ConfigError for other channels, and for sides that `scale` does not divide.
    """
    height, width = images.shape[2:]
    if images.shape[1] not in (1, 3, 4):
        raise ConfigError(f"real-esrgan takes images of 1, 3 or 4 channels, not {images.shape[1]}; add "
                          "--data.channels rgb")  # fmt: skip
    if height % scale or width % scale:
        raise ConfigError(
            f"degrade real-esrgan takes sides that {scale} divides, not {height}x{width}; type --data.resolution "
            f"{max(height // scale, 1) * scale}"
        )
    colours = sharpened(images[:, :3])
    rows = [slice(number, number + 1) for number in range(len(images))]
    made = torch.cat([_one(colours[row], draws.within(row), (height // scale, width // scale)) for row in rows])
    return made if images.shape[1] < 4 else torch.cat([made, F.avg_pool2d(images[:, 3:], scale)], 1)


def _one(x: Tensor, draws: Draws, size: tuple[int, int]) -> Tensor:
    """A sample [1, C, H, W] through both rounds, to a size."""
    one, two = draws.other("first"), draws.other("second")
    x, factor = _blurred(x, one, FIRST), factor_of(one, FIRST)
    x = _resized(x, one, (max(round(x.shape[2] * factor), 1), max(round(x.shape[3] * factor), 1)))
    x = jpeg(noisy(x, one, FIRST), _between(one, "quality", JPEG))
    x, factor = _blurred(x, two, SECOND), factor_of(two, SECOND)
    x = _resized(x, two, (max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)))
    x = _ended(noisy(x, two, SECOND), draws.other("end"), size)
    return x.clamp(-1, 1).add(1).mul(127.5).round().div(127.5).sub(1)


def factor_of(draws: Draws, of: Round) -> float:
    """How many times larger a sample becomes."""
    kind, place = (float(draws.uniform(f"resize/{name}")) for name in ("kind", "factor"))
    if kind < of.resize[0]:
        return 1 + (of.factors[1] - 1) * place
    if kind < of.resize[0] + of.resize[1]:
        return of.factors[0] + (1 - of.factors[0]) * place
    return 1.0


def noisy(x: Tensor, draws: Draws, of: Round) -> Tensor:
    """Gaussian noise for half of the samples, that of counted light for the others; cut to [-1, 1]."""
    channels, place = x.shape[1], x.shape[2:]
    alone = (draws.uniform("noise/grey") < GREY_NOISE).view(-1, 1, 1, 1)
    normal = draws.normal("noise/gaussian", channels, *place)
    normal = torch.where(alone, normal[:, :1], normal) * _wide(_between(draws, "noise/deviation", of.gaussian)) / 127.5
    unit, uniform = x.clamp(-1, 1).add(1).div(2), draws.uniform("noise/poisson", channels, *place)
    grains = torch.where(alone, _grains(_grey(unit), uniform[:, :1]), _grains(unit, uniform))
    grains = grains * _wide(_between(draws, "noise/scale", of.poisson)) * 2
    gaussian = (draws.uniform("noise/kind") < 0.5).view(-1, 1, 1, 1)
    return (x + torch.where(gaussian, normal, grains)).clamp(-1, 1)


def poisson(mean: Tensor, uniform: Tensor) -> Tensor:
    """Poisson numbers of each mean from uniform ones: by counting up to 10, by Cornish and Fisher (1938) above."""
    small = mean.clamp(max=LARGE)
    chance = torch.exp(-small)
    below, found = chance, torch.zeros_like(mean)
    for number in range(1, MOST):
        found = found + (uniform > below)
        chance = chance * small / number
        below = below + chance
    z = torch.special.ndtri(uniform.clamp(2**-25, 1 - 2**-24))
    large = (mean + mean.sqrt() * z + (z**2 - 1) / 6).round().clamp(min=0)
    return torch.where(mean > LARGE, large, found)


def _grains(unit: Tensor, uniform: Tensor) -> Tensor:
    """Poisson noise of images in [0, 1] with as many counts as they have levels, rounded up to a power of two."""
    levels = unit.mul(255).round()
    seen = torch.zeros(len(unit), 256, device=unit.device).scatter_(1, levels.flatten(1).long(), 1.0).sum(1)
    counts = _wide(2.0 ** seen.log2().ceil())
    return poisson(levels / 255 * counts, uniform) / counts - levels / 255


def _blurred(x: Tensor, draws: Draws, of: Round) -> Tensor:
    made = kernels(draw(draws.other("kernel"), of.deviations))
    some = (draws.uniform("blur") < of.blur).view(-1, 1, 1)
    return filtered(x, torch.where(some, made, identity(made)))


def _resized(x: Tensor, draws: Draws, size: tuple[int, int]) -> Tensor:
    """By one of the filters; none of them but `area` averages when it shrinks."""
    mode = FILTERS[int(draws.below("filter", len(FILTERS)))]
    if mode == "area":
        return F.interpolate(x, size, mode="area")
    return F.interpolate(x, size, mode=mode, align_corners=False)


def _ended(x: Tensor, draws: Draws, size: tuple[int, int]) -> Tensor:
    """To the final size, with a sinc filter, and JPEG before or behind both."""
    sinc, quality = final_sinc(draws.other("sinc")), _between(draws, "quality", JPEG)
    if float(draws.uniform("order")) < 0.5:
        return jpeg(filtered(_resized(x, draws, size), sinc), quality)
    return filtered(_resized(jpeg(x, quality), draws, size), sinc)


def _between(draws: Draws, name: str, ends: tuple[float, float]) -> Tensor:
    return ends[0] + (ends[1] - ends[0]) * draws.uniform(name)


def _wide(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def _grey(unit: Tensor) -> Tensor:
    if unit.shape[1] == 1:
        return unit
    weights = torch.tensor([0.299, 0.587, 0.114], device=unit.device).view(1, 3, 1, 1)
    return (unit * weights).sum(1, keepdim=True)
