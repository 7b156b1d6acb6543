"""What a translation starts from when it is made of the images themselves: outlines, greys, small copies, holes.

Each takes images [B, C, H, W] in [-1, 1] and gives sources [B, C', H', W'] in [-1, 1] on the same device; row i depends
on image i and its own random numbers alone.

| name | source | for |
|---|---|---|
| outline | 1 channel: dark lines where colours change | drawing to picture, as edges2shoes of arXiv:1611.07004 |
| grey | 1 channel: luma | colouring |
| lightness | 1 channel: the grey that is as light as the colour (CIE L) | colouring that keeps the lightness |
| x2, x4 | a half or a quarter of each side, averaged over areas | enlarging |
| bicubic-x2, bicubic-x4 | the same by the bicubic filter | enlarging, as SRGAN and ESRGAN |
| real-esrgan-x2, real-esrgan | the same by blurs, noise, JPEG and more, twice | enlarging pictures as they are found |
| regions | 2^C planes of zeros and ones: which corner of the cube of colours is nearest | painting by label maps |
| hole | the image with boxes greyed out, and the hole as one more channel (1 inside, -1 outside) | filling in |
| strokes, hole-or-strokes, box-and-strokes | the same with brush strokes, with either, with both | filling in |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from organza.config import ConfigError, Shape, closest
from organza.data.holes import box_and_brush, boxes, brush, either
from organza.data.real_esrgan import worsened
from organza.draws import Draws
from organza.layers.holes import with_hole
from organza.layers.lab import grey_of, rgb_to_lab

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)
STEEP = 6.0  # how fast a line becomes black with the step of colour across it


ENLARGES = "upscale PICTURES"


@dataclass(frozen=True)
class Degradation:
    """A way to make sources, and the shape that they have."""

    make: Callable[[Tensor, Draws], Tensor]
    shape: Callable[[Shape], Shape]
    stand_in: str = ""  # one of the same shape, where this one looks at values and there are none, as in a plan
    use: str = "translate PICTURES"  # of the command line, with a network that was trained on it


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
    _must_divide(images, factor, f"x{factor}")
    return F.avg_pool2d(images, factor)


def lighter(images: Tensor, draws: Draws | None = None) -> Tensor:
    """The grey [B, 1, H, W] that has the CIE lightness of each colour of RGB or RGBA; grey stays as it is."""
    if images.shape[1] < 3:
        return images[:, :1]
    return grey_of(rgb_to_lab(images[:, :3])[:, :1]).clamp(-1, 1)


def regions(images: Tensor, draws: Draws | None = None) -> Tensor:
    """A label map [B, 2^C, H, W] of zeros and ones: which corner of the cube of colours a pixel is nearest to.

    Pixels are means over three by three, so that regions have fewer crumbs.
    """
    flat = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    weights = 2 ** torch.arange(images.shape[1], device=images.device).view(1, -1, 1, 1)
    corner = ((flat > 0) * weights).sum(1)
    planes = F.one_hot(corner, 2 ** images.shape[1]).movedim(-1, 1).to(images.dtype)
    return planes.contiguous(memory_format=torch.channels_last)


def bicubic(images: Tensor, factor: int) -> Tensor:
    """Each side divided by `factor` through the bicubic filter that averages, as sets of restoration are made."""
    _must_divide(images, factor, f"bicubic-x{factor}")
    size = images.shape[2] // factor, images.shape[3] // factor
    return F.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)


def _must_divide(images: Tensor, factor: int, name: str) -> None:
    if images.shape[2] % factor or images.shape[3] % factor:
        raise ConfigError(
            f"degrade {name} takes sides that {factor} divides, not {images.shape[2]}x{images.shape[3]}; "
            f"type --data.resolution {max(images.shape[2] // factor, 1) * factor}"
        )


def _shrunk(make: Callable[[Tensor, Draws], Tensor], factor: int, stand_in: str = "") -> Degradation:
    return Degradation(make, lambda s: (s[0], s[1] // factor, s[2] // factor), stand_in, ENLARGES)


def _holed(mask: Callable[[int, int, Draws], Tensor]) -> Degradation:
    def make(images: Tensor, draws: Draws) -> Tensor:
        return with_hole(images, mask(images.shape[2], images.shape[3], draws.other("hole")))

    return Degradation(make, lambda s: (s[0] + 1, *s[1:]), use="inpaint PICTURES --mask MASK")


DEGRADATIONS: dict[str, Degradation] = {
    "outline": Degradation(outline, lambda s: (1, *s[1:])),
    "grey": Degradation(grey, lambda s: (1, *s[1:])),
    "regions": Degradation(regions, lambda s: (2 ** s[0], *s[1:])),
    "lightness": Degradation(lighter, lambda s: (1, *s[1:]), use="colorize PICTURES"),
    "x2": _shrunk(lambda x, _: smaller(x, 2), 2),
    "x4": _shrunk(lambda x, _: smaller(x, 4), 4),
    "bicubic-x2": _shrunk(lambda x, _: bicubic(x, 2), 2),
    "bicubic-x4": _shrunk(lambda x, _: bicubic(x, 4), 4),
    "real-esrgan-x2": _shrunk(lambda x, draws: worsened(x, draws, 2), 2, "x2"),
    "real-esrgan": _shrunk(lambda x, draws: worsened(x, draws, 4), 4, "x4"),
    "hole": _holed(boxes),
    "strokes": _holed(brush),
    "hole-or-strokes": _holed(either),
    "box-and-strokes": _holed(box_and_brush),
}


def without_values(name: str) -> str:
    """The degradation, or one of the same shape that needs no values of images; `none` stays."""
    return name if name not in DEGRADATIONS else DEGRADATIONS[name].stand_in or name


def use_of(name: str, scale: float = 1) -> str:
    """The verb and its arguments for a network that was trained on the degradation, or on `none` and enlarges."""
    if name in DEGRADATIONS:
        return DEGRADATIONS[name].use
    return ENLARGES if scale > 1 else Degradation.use


def degradation(name: str) -> Degradation:
    """The entry `name`. Raises ConfigError for an unknown one."""
    if name not in DEGRADATIONS:
        raise ConfigError(f"data.degrade is '{name}'{closest(name, DEGRADATIONS)}")
    return DEGRADATIONS[name]
