"""Pictures with holes: what inpainting networks start from, and how their results are put back.

A source is a picture [B, C, H, W] in [-1, 1] whose hole is 0, and one more channel that marks it: 1 inside, -1 outside.
"""

from __future__ import annotations

import torch
from torch import Tensor

from organza.config import ConfigError, Shape
from organza.layers.geometry import image


def with_hole(images: Tensor, inside: Tensor) -> Tensor:
    """Images [B, C, H, W] in [-1, 1], bool [B, 1, H, W] that is true in the hole -> source [B, C + 1, H, W]."""
    return torch.cat([images * ~inside, 2 * inside.to(images.dtype) - 1], 1)


def parted(source: Tensor) -> tuple[Tensor, Tensor]:
    """Source [B, C + 1, H, W] -> (picture [B, C, H, W], mask [B, 1, H, W], exactly 1 in the hole and 0 outside)."""
    return source[:, :-1], (source[:, -1:] > 0).to(source.dtype)


def pasted(source: Tensor, made: Tensor) -> Tensor:
    """What was made [B, C, H, W] in the hole, what the source has outside."""
    picture, mask = parted(source)
    return torch.where(mask > 0, made, picture)


def must_have_mask(source: Shape, shape: Shape, name: str) -> int:
    """The channels of the picture. Raises ConfigError for a source without a mask beside them."""
    if source[0] != image(shape)[0] + 1:
        raise ConfigError(
            f"{name} fills holes: it takes the channels of its result and one more that marks the hole, "
            f"{shape[0]} + 1, not {source[0]}; add --data.degrade hole"
        )
    return shape[0]
