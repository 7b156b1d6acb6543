"""What a translation starts from when it is made of the images themselves: outlines, greys, small copies, holes.

Each takes images [B, C, H, W] in [-1, 1] and gives sources [B, C', H', W'] in [-1, 1] on the same device; row i depends
on image i and its own random numbers alone.

| name | source | for |
|---|---|---|
| outline | 1 channel: dark lines where colours change | drawing to picture, as edges2shoes of arXiv:1611.07004 |
| grey | 1 channel: luma | colouring |
| x2, x4 | a half or a quarter of each side, averaged over areas of four by four | enlarging |
| regions | 2^C planes of zeros and ones: which corner of the cube of colours is nearest | painting by label maps |
| hole | the image with a box greyed out, and the box as one more channel (1 inside, -1 outside) | filling in |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from organza.config import ConfigError, Shape, closest
from organza.draws import Draws

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)
STEEP = 6.0  # how fast a line becomes black with the step of colour across it


@dataclass(frozen=True)
class Degradation:
    """A way to make sources, and the shape that they have."""

    make: Callable[[Tensor, Draws], Tensor]
    shape: Callable[[Shape], Shape]


def grey(images: Tensor, draws: Draws | None = None) -> Tensor:
    """Luma [B, 1, H, W] of RGB or RGBA; grey stays as it is."""
    if images.shape[1] < 3:
        return images[:, :1]
    weights = torch.tensor(LUMA, device=images.device, dtype=images.dtype).view(1, 3, 1, 1)
    return (images[:, :3] * weights).sum(1, keepdim=True)


def outline(images: Tensor, draws: Draws | None = None) -> Tensor:
    """Dark lines [B, 1, H, W] on white: the largest gradient of the channels, by Sobel's filters."""
    kernel = torch.tensor([[1.0, 2.0, 1.0]], device=images.device).T @ torch.tensor([[-1.0, 0.0, 1.0]]).to(images) / 8
    filters = torch.stack([kernel, kernel.T])[:, None]
    flat = F.pad(images.flatten(0, 1)[:, None], (1, 1, 1, 1), mode="replicate")
    steps = F.conv2d(flat, filters).square().sum(1).sqrt().view(images.shape).amax(1, keepdim=True)
    return 2 * torch.exp(-STEEP * steps) - 1


def smaller(images: Tensor, factor: int) -> Tensor:
    """Each side divided by `factor`, with the areas averaged. Raises ConfigError for sides that do not divide."""
    if images.shape[2] % factor or images.shape[3] % factor:
        raise ConfigError(
            f"degrade x{factor} takes sides that {factor} divides, not {images.shape[2]}x{images.shape[3]}; "
            f"type --data.resolution {max(images.shape[2] // factor, 1) * factor}"
        )
    return F.avg_pool2d(images, factor)


def hole(images: Tensor, draws: Draws) -> Tensor:
    """A box of a quarter to a half of each side is set to 0, and marked in one more channel, [B, C + 1, H, W]."""
    places = draws.other("hole").uniform("box", 4)
    height, width = images.shape[2:]
    inside = None
    for at, (side, axis) in enumerate(((height, 2), (width, 3))):
        long = ((0.25 + 0.25 * places[:, at]) * side).floor()
        first = (places[:, 2 + at] * (side - long + 1)).floor()
        grid = torch.arange(side, device=images.device)[None]
        along = (grid >= first[:, None]) & (grid < (first + long)[:, None])
        along = along.view(len(images), 1, *((-1, 1) if axis == 2 else (1, -1)))
        inside = along if inside is None else inside & along
    assert inside is not None
    return torch.cat([images * ~inside, 2 * inside.to(images.dtype) - 1], 1)


def regions(images: Tensor, draws: Draws | None = None) -> Tensor:
    """A label map [B, 2^C, H, W] of zeros and ones: which corner of the cube of colours a pixel is nearest to.

    Pixels are means over three by three, so that regions have fewer crumbs.
    """
    flat = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    weights = 2 ** torch.arange(images.shape[1], device=images.device).view(1, -1, 1, 1)
    corner = ((flat > 0) * weights).sum(1)
    planes = F.one_hot(corner, 2 ** images.shape[1]).movedim(-1, 1).to(images.dtype)
    return planes.contiguous(memory_format=torch.channels_last)


def _shrunk(factor: int) -> Degradation:
    return Degradation(lambda x, _: smaller(x, factor), lambda s: (s[0], s[1] // factor, s[2] // factor))


DEGRADATIONS: dict[str, Degradation] = {
    "outline": Degradation(outline, lambda s: (1, *s[1:])),
    "grey": Degradation(grey, lambda s: (1, *s[1:])),
    "regions": Degradation(regions, lambda s: (2 ** s[0], *s[1:])),
    "x2": _shrunk(2),
    "x4": _shrunk(4),
    "hole": Degradation(hole, lambda s: (s[0] + 1, *s[1:])),
}


def degradation(name: str) -> Degradation:
    """The entry `name`. Raises ConfigError for an unknown one."""
    if name not in DEGRADATIONS:
        raise ConfigError(f"data.degrade is '{name}'{closest(name, DEGRADATIONS)}")
    return DEGRADATIONS[name]
