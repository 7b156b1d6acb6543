"""What every network that translates images does first: check its sides, and put labels beside the channels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from organza.config import ConfigError, Shape
from organza.layers.geometry import image


def ends(source: Shape, shape: Shape, multiple: int) -> tuple[int, int, int, int]:
    """(channels in, channels out, height, width) of a network from `source` to `shape`, whose sides are the same.

    Raises ConfigError for sides that differ or that `multiple` does not divide.
    """
    channels, *before = image(source)
    wanted, height, width = image(shape)
    if before != [height, width]:
        raise ConfigError(
            f"this network keeps the size, but {before[0]}x{before[1]} shall become {height}x{width}; type "
            f"--data.resolution {height} {width}, which resizes both sides of a pair"
        )
    if height % multiple or width % multiple:
        raise ConfigError(
            f"images of {height}x{width} do not fit: both sides must be multiples of {multiple}; type "
            f"--data.resolution {_next(height, multiple)} {_next(width, multiple)}"
        )
    return channels, wanted, height, width


def prepared(source: Tensor, labels: Tensor | None, classes: int, multiple: int) -> Tensor:
    """Images [B, C, H, W], labels [B] when `classes` > 0 -> [B, C + classes, H, W], one plane for each class.

    Raises ValueError for sides that `multiple` does not divide, before a skip connection stumbles over them.
    """
    height, width = source.shape[2:]
    if height % multiple or width % multiple:
        raise ValueError(
            f"images of {height}x{width} do not fit: both sides must be multiples of {multiple}; pad them to "
            f"{_next(height, multiple)}x{_next(width, multiple)} and cut the result"
        )
    return with_planes(source, labels, classes)


def with_planes(x: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """Images [B, C, H, W] -> [B, C + classes, H, W]: beside them a plane of ones for the class, of zeros for others."""
    if not classes:
        return x
    assert labels is not None
    planes = F.one_hot(labels, classes).to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[2:])
    return torch.cat([x, planes], 1)


def _next(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple
