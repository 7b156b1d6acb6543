"""Labels as numbers and as planes of an image: one class for each image, or any number of attributes at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def attributes(labels: Tensor | None, classes: int) -> Tensor:
    """Classes int64 [B] -> one-hot [B, classes]; attributes [B, classes], of any type, become floats.

    Raises ValueError for anything else.
    """
    if labels is None:
        raise ValueError(f"labels are missing: give int64 [B] below {classes}, or attributes [B, {classes}]")
    if labels.dim() == 2 and labels.shape[1] == classes:
        return labels if labels.is_floating_point() else labels.to(torch.get_default_dtype())
    if not labels.is_floating_point() and labels.dim() == 1:
        return F.one_hot(labels.long(), classes).to(torch.get_default_dtype())
    raise ValueError(
        f"labels of type {labels.dtype} and shape {tuple(labels.shape)} are neither classes (int64 [B]) nor attributes "
        f"([B, {classes}])"
    )


def with_planes(x: Tensor, values: Tensor) -> Tensor:
    """Images [B, C, H, W] and values [B, c] -> [B, C + c, H, W]: each value fills a plane behind the image."""
    return torch.cat([x, values.to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[2:])], 1)
