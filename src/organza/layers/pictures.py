"""What networks that change pictures share: their two ranges, pixel unshuffling, and the shapes they refuse."""

from __future__ import annotations

import torch
from torch import Tensor

from organza.config import ConfigError, Shape
from organza.layers.geometry import image


def to_unit(x: Tensor) -> Tensor:
    """[-1, 1], Organza's range, -> [0, 1], in which restoration networks are published."""
    return x.add(1).mul_(0.5)


def from_unit(x: Tensor) -> Tensor:
    """[0, 1] -> [-1, 1]; in the place of x, a layer's own result, where no gradient needs it."""
    return x.mul(2).sub_(1) if x.requires_grad else x.mul_(2).sub_(1)


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision made float32; float32 and float64 as they are."""
    return x if x.dtype == torch.float64 else x.float()


def scale_of(source: Shape, shape: Shape, allowed: tuple[int, ...], name: str) -> int:
    """How many times larger the sides of `shape` are. Raises ConfigError for what the network `name` has not."""
    _, height, width = image(source)
    _, tall, wide = image(shape)
    for scale in allowed:
        if (tall, wide) == (scale * height, scale * width):
            return scale
    words = " or ".join(map(str, allowed))
    raise ConfigError(
        f"{name} makes pictures {words} times as large; {height}x{width} -> {tall}x{wide} is none of these; "
        f"type a target of {allowed[-1] * height}x{allowed[-1] * width}"
    )


def without_labels(classes: int, name: str) -> int:
    """0. Raises ConfigError for labels, which the network `name` has no use for."""
    if classes:
        raise ConfigError(f"{name} takes no labels, and the data has {classes} classes; type --conditional false")
    return classes
