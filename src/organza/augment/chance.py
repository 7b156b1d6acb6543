"""What every random change needs: whether it strikes a sample, and which channels are colours."""

from __future__ import annotations

from torch import Tensor

from organza.draws import Draws

Probability = Tensor | float
"""A number or a 0-d tensor from 0 to 1; a tensor is never read back from its device."""


def chosen(draws: Draws, name: str, probability: Probability) -> Tensor:
    """Bool [B]: true for this share of the samples."""
    return draws.uniform(f"augment/{name}/chosen") < probability


def colours(channels: int) -> int:
    """How many of the channels, the first ones, are colours: the last of 2 and of 4 is alpha, others have none."""
    return channels - 1 if channels in (2, 4) else channels


def per_sample(values: Tensor) -> Tensor:
    """[B] -> [B, 1, 1, 1], beside images."""
    return values.view(-1, 1, 1, 1)
