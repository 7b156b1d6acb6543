"""Tiny untrained GANs for the tests of the latent tools, whose samples differ visibly."""

from typing import Any

import torch
from gan_helpers import untrained

from organza.hub import GAN

SHAPE = (3, 16, 16)
TINY = {
    "width": 8, "max_width": 8, "z_dim": 8, "w_dim": 8, "mapping_layers": 2, "depth": 1, "blocks": 1,
    "embed_dim": 4, "channels_per_group": 8, "layers": 6, "attention": 0, "fade": 0, "stable": 1,
}  # fmt: skip


def tiny(name: str, classes: int = 0, shape=SHAPE, codes=None, **options) -> GAN:
    """An untrained generator of the catalogue in evaluation mode; w has a mean, and the noise of the pixels is loud."""
    names = tuple(f"class {i}" for i in range(classes))
    gan = untrained(name, TINY, (8, 8, 8), names, shape, seed=1, codes=codes, sha256="ab" * 32, **options)
    network: Any = gan.generator
    if hasattr(network, "advance"):
        network.advance(10**6)
    for key, value in [*network.named_parameters(), *network.named_buffers()]:
        if key.endswith(("noise_strength", "strength")):
            value.fill_(0.3)
        if key.endswith("w_avg"):
            value.copy_(torch.linspace(-0.5, 0.5, value.numel()).view_as(value))
    if not hasattr(network, "mapping"):
        for parameter in network.parameters():
            parameter.mul_(3)  # else grey images that all look the same
    return gan


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest difference of two uint8 tensors; batches of other sizes may round to a neighbour."""
    assert a.shape == b.shape
    return float((a.float() - b.float()).abs().max())
