"""Images with a hole, for the networks that fill it."""

import torch

from organza.layers.holes import with_hole


def count(network) -> int:
    """Numbers of a network."""
    return sum(p.numel() for p in network.parameters())


def holed(channels=3, height=32, width=24, batch=2) -> torch.Tensor:
    """Random images with the same box greyed out, [batch, channels + 1, height, width]."""
    torch.manual_seed(1)
    inside = torch.zeros(batch, 1, height, width, dtype=torch.bool)
    inside[:, :, 5:15, 6:20] = True
    return with_hole(torch.rand(batch, channels, height, width) * 2 - 1, inside)
