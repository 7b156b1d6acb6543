"""Distances between two batches, one for each sample."""

from __future__ import annotations

from torch import Tensor


def apart(x: Tensor, y: Tensor) -> Tensor:
    """Mean absolute difference of two tensors [B, ...], in float32, [B]."""
    return (x.float() - y.float()).abs().flatten(1).mean(1)
