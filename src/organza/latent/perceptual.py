"""How different two pictures look: what projection and tuning make small. Gradients pass to the pictures.

Each distance is a sum of squares between what is seen of the one and of the other, so that a target is looked at once:

- `lpips-vgg`: LPIPS (`organza.metrics.lpips`) of pictures shrunk to 256 pixels at most, as StyleGAN2's projector has it
  (arXiv:1912.04958, appendix D). Its weights are not shipped.
- `general`: the same sum over the stages of the embedded network, without learnt weights, plus `pixels`.
- `pixels`: the mean squared difference on a pyramid of scales; for points and unusual channels the only one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from organza.config import ConfigError, Shape, closest
from organza.data.progress import SILENT, Progress
from organza.metrics.lpips import Lpips, open_lpips
from organza.metrics.networks.general import SIZE, GeneralNetwork, general_network

Perceptual = Literal["auto", "lpips-vgg", "general", "pixels"]

LARGEST, SMALLEST = 256, 64  # side of a picture that LPIPS sees
COARSEST = 4  # side at which the pyramid of pixels ends
EPS = 1e-16  # below the square root of a length, whose slope would else be infinite where all is dark


@dataclass(frozen=True)
class Distance:
    """A named distance between batches of samples [B, *shape] in [-1, 1]."""

    name: str
    look: Callable[[Tensor], list[Tensor]]
    """Samples -> what is seen of them, tensors [B, ...] whose squared differences sum up to the distance."""

    def __call__(self, one: Tensor, two: Tensor) -> Tensor:
        """The distance of each pair, [B]."""
        return apart(self.look(one), self.look(two))


def apart(one: list[Tensor], two: list[Tensor]) -> Tensor:
    """The distances [B] of what was seen; one of both may be of a single sample."""
    return torch.stack([(a - b).square().flatten(1).sum(1) for a, b in zip(one, two, strict=True)]).sum(0)


def open_distance(name: str, shape: Shape, device: torch.device | str = "cpu", progress: Progress = SILENT) -> Distance:
    """The distance `name` for samples of a shape; `auto` is LPIPS where its weights are found, else `general`.

    Raises ConfigError for unknown names, for networks that cannot see such samples, and for weights that are not there
    but were asked for.
    """
    if name not in get_args(Perceptual):
        raise ConfigError(f"perceptual is '{name}'{closest(name, get_args(Perceptual))}")
    seen = len(shape) == 3 and shape[0] in (1, 3, 4)
    if not seen and name in ("lpips-vgg", "general"):
        raise ConfigError(f"{name} sees images of 1, 3 or 4 channels, not samples of {shape}; type --perceptual pixels")
    if name == "pixels" or not seen:
        return Distance("pixels", pyramid)
    if name == "auto":
        try:
            return through_lpips(open_lpips("vgg"), device)
        except ConfigError:
            progress.note(
                "no weights of LPIPS on VGG16 are found here; the embedded network and pixels judge in their place, "
                "which sees less (--perceptual lpips-vgg tells which files it takes)"
            )
    return through_lpips(open_lpips("vgg"), device) if name == "lpips-vgg" else through_general(device)


def through_lpips(lpips: Lpips, device: torch.device | str = "cpu") -> Distance:
    """The distance of LPIPS with an opened network."""
    network = lpips.to(device).eval()

    def look(images: Tensor) -> list[Tensor]:
        return _all(views(images), lambda view: _of_lpips(network, _sized(view)))

    return Distance(network.name, look)


def through_general(device: torch.device | str = "cpu", network: GeneralNetwork | None = None) -> Distance:
    """The distance of the embedded network and of pixels."""
    eyes = (network or general_network()).to(device)

    def look(images: Tensor) -> list[Tensor]:
        return [*_all(views(images), lambda view: _of_general(eyes, view)), *pyramid(images)]

    return Distance("general", look)


def pyramid(samples: Tensor) -> list[Tensor]:
    """Images [B, C, H, W] at every halving down to 4 pixels, or points [B, D] alone, for the mean of mean squares."""
    levels = [samples]
    while samples.dim() == 4 and min(levels[-1].shape[2:]) >= 2 * COARSEST:
        levels.append(F.avg_pool2d(levels[-1], 2))
    return [level / math.sqrt(level[0].numel() * len(levels)) for level in levels]


def views(images: Tensor) -> list[Tensor]:
    """RGB in [-1, 1] of images: grey is repeated; of those with alpha there are two, on white and on black."""
    if images.shape[1] != 4:
        return [images.expand(-1, 3, -1, -1)]
    colours, alpha = images[:, :3], ((images[:, 3:] + 1) / 2).clamp(0, 1)
    return [colours * alpha + ground * (1 - alpha) for ground in (1.0, -1.0)]


def _all(views: list[Tensor], look: Callable[[Tensor], list[Tensor]]) -> list[Tensor]:
    """What is seen of each view, for the mean over them."""
    return [part / math.sqrt(len(views)) for view in views for part in look(view)]


def _sized(images: Tensor) -> Tensor:
    """Shrunk to 256 pixels on the longer side, but never below 64 on the shorter, to which small ones are enlarged."""
    height, width = images.shape[2:]
    scale = max(min(LARGEST / max(height, width), 1.0), SMALLEST / min(height, width))
    return resized(images, (round(height * scale), round(width * scale)))


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images [B, C, H, W] at `size` (height, width), without aliases."""
    if images.shape[2:] == size:
        return images
    return F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)


def _of_lpips(lpips: Lpips, images: Tensor) -> list[Tensor]:
    slices = lpips.network.slices((images - lpips.get_buffer("shift")) / lpips.get_buffer("scale"))
    return [_unit(part) * lpips.get_buffer(f"head{at}").sqrt() for at, part in enumerate(slices)]


def _of_general(network: GeneralNetwork, images: Tensor) -> list[Tensor]:
    x = F.relu(network.norm(network.stem(resized(images, (SIZE, SIZE)))))
    seen = [_unit(x)]
    for stage in network.stages:
        x = stage(x)
        seen.append(_unit(x))
    return seen


def _unit(activations: Tensor) -> Tensor:
    """Of length 1 over the channels, and divided so that squares are averaged over the places."""
    lengths = (activations.square().sum(1, keepdim=True) + EPS).sqrt()
    return activations / lengths / math.sqrt(math.prod(activations.shape[2:]))
