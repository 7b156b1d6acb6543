"""How samples are drawn from noise: truncation, the noise of the pixels, and where StyleGAN3 puts the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypedDict, get_args

import torch
from torch import Tensor

from organza.config import Shape, closest
from organza.draws import Draws
from organza.latent.space import LatentSpace
from organza.layers.style import Noise
from organza.training.batches import to_bytes

PSI = (-1.0, 2.0)
"""Of truncation in w: 0 is the mean sample, 1 the sample itself, -1 its opposite; above 1 it is exaggerated."""

PIXELS = 2**22  # of the samples of one batch: 4 of 1024x1024, which fit a laptop


class Look(TypedDict, total=False):
    """The settings of a `Drawing`, by name; every tool of `organza.latent` takes them."""

    truncation: float | None
    cutoff: int | None
    noise: Noise | None
    translate: tuple[float, float] | None
    rotate: float | None


@dataclass(frozen=True)
class Drawing:
    """One generator with the settings of its samples. Raises ValueError for a setting that it does not have.

    With w, `truncation` is psi, the share of the way from the mean w (in the first `cutoff` layers, default all); else
    it cuts the noise off at -t and t. `noise` is const, random or none, for generators with noise for each pixel.
    `translate` (right, down; in picture widths) and `rotate` (degrees, counterclockwise) move StyleGAN3's pictures.
    """

    space: LatentSpace
    shape: Shape
    truncation: float | None = None
    cutoff: int | None = None
    noise: Noise | None = None
    translate: tuple[float, float] | None = None
    rotate: float | None = None

    def __post_init__(self) -> None:
        _check_truncation(self)
        generator = self.space.generator
        if self.noise is not None and self.noise not in get_args(Noise):
            raise ValueError(f"noise is '{self.noise}'{closest(str(self.noise), get_args(Noise))}")
        if self.noise is not None and not getattr(generator, "has_noise", False):
            raise ValueError("noise is that of the pixels, and this generator has none (StyleGAN and StyleGAN2 do); "
                             "leave it out")  # fmt: skip
        if self.is_moved and not getattr(generator, "has_transform", False):
            raise ValueError("translate and rotate move the waves that StyleGAN3 begins with, and this generator is no "
                             "StyleGAN3; leave them out")  # fmt: skip
        if not all(map(math.isfinite, (*(self.translate or (0, 0)), self.rotate or 0))):
            raise ValueError(f"translate is {self.translate} and rotate is {self.rotate}; they take finite numbers")

    @property
    def is_plain(self) -> bool:
        """Whether nothing is set that the generator's own `forward` does not do."""
        in_w = self.space.has_w and self.truncation is not None
        return not in_w and self.noise in (None, "const") and not self.is_moved

    @property
    def is_moved(self) -> bool:
        """Whether the picture is translated or rotated."""
        return self.translate is not None or self.rotate is not None

    @property
    def cut(self) -> float | None:
        """Where normal noise is cut off; None with w, which is truncated itself."""
        return None if self.space.has_w else self.truncation

    def codes(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Noise [B, z_dim], already cut off -> codes [B, layers, width]."""
        if not self.space.has_w or self.truncation is None:
            return self.space.codes(z, labels)
        return self.space.codes(z, labels, self.truncation, self.cutoff)

    def draw(self, codes: Tensor, labels: Tensor | None = None, keys: Tensor | None = None) -> Tensor:
        """Codes [B, layers, width] -> images uint8 [B, C, H, W], points float32 [B, D]; all at once.

        `keys` int64 [B] (`organza.draws`) decide random noise; without them the bits of the codes do.
        """
        more: dict[str, Any] = {}
        device = next(self.space.generator.parameters()).device
        if self.noise == "random" and keys is not None:
            more["draws"] = Draws(keys.to(device))
        if self.is_moved:
            more["transform"] = transform(self.shape, self.translate or (0, 0), self.rotate or 0).to(device)
        made = self.space.draw(codes, labels, self.noise or "const", max(len(codes), 1), **more)
        return to_bytes(made) if made.dim() == 4 else made


def at_once(shape: Shape, most: int = 64) -> int:
    """How many samples of this shape one batch has, `most` at most."""
    return max(1, min(most, PIXELS // max(math.prod(shape[1:]), 1)))


def transform(shape: Shape, translate: tuple[float, float] = (0, 0), rotate: float = 0) -> Tensor:
    """What moves StyleGAN3's waves, [1, 3, 3] (arXiv:2106.12423, appendix F): the inverse of the picture's motion.

    The picture turns by `rotate` degrees around its middle, then moves by `translate` (right, down; in its widths).
    """
    _, height, width = shape
    unit = width / 2 ** (max(height, width) - 1).bit_length()  # of the square that its waves are designed for
    angle = math.radians(rotate)
    c, s, (x, y) = math.cos(angle), math.sin(angle), (way * unit for way in translate)
    matrix = torch.tensor([[c, s, x], [-s, c, y], [0, 0, 1]], dtype=torch.float64)
    return torch.linalg.inv(matrix).float()[None]


def _check_truncation(drawing: Drawing) -> None:
    psi, cutoff, space = drawing.truncation, drawing.cutoff, drawing.space
    if cutoff is not None and not space.has_w:
        raise ValueError("cutoff chooses layers of w, and this generator has no w; leave it out")
    if cutoff is not None and psi is None:
        raise ValueError("cutoff has no effect without truncation; give both, such as truncation 0.7")
    if psi is None:
        return
    if space.has_w and not PSI[0] <= psi <= PSI[1]:
        raise ValueError(f"truncation is {psi}; here it is psi, the share of the way from the mean w: it takes "
                         f"{PSI[0]:g} to {PSI[1]:g}, such as 0.7 (0 is the mean, 1 no truncation)")  # fmt: skip
    if not space.has_w and not psi > 0:
        raise ValueError(f"truncation is {psi}; it takes a number above 0, such as 0.7")
    if cutoff is not None and not 1 <= cutoff <= space.layers:
        raise ValueError(f"cutoff is {cutoff}; this generator has {space.layers} layers, it takes 1 to {space.layers}")
