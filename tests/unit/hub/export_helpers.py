"""Tiny generators of the whole catalogue, none of whose parameters is without effect."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gan_helpers import untrained

from organza.hub import GAN
from organza.models import MODELS, NO_CODES

SMALL = {
    "width": 4, "max_width": 8, "z_dim": 6, "embed_dim": 4, "depth": 2, "blocks": 1, "channels_per_group": 4,
    "w_dim": 4, "mapping_layers": 1, "layers": 3, "critical": 1, "attention": 8,
}  # fmt: skip
VARIANTS = {
    **{name: (name, {}) for name in MODELS},
    "stylegan3-r": ("stylegan3", {"kernel": 1, "radial": True}),
    "stylegan-xl": ("stylegan3", {"class_averages": True}),
    "dcgan-resize": ("dcgan", {"upsample": "resize"}),
    "biggan": ("biggan", {"z_dim": 7}),  # in three parts
}


def tiny(variant="dcgan", classes=3, shape=(1, 16, 16), codes=NO_CODES, training=None, **more) -> GAN:
    """A generator whose zeros are made to count: strengths of noise, last layers of blocks, mean w."""
    name, options = VARIANTS[variant]
    gan = untrained(name, SMALL, (8, 8, 4), tuple("abc"[:classes]), shape, codes=codes, recipe=variant,
                    training=training, **options | more)  # fmt: skip
    network: Any = gan.generator
    for parameter in network.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter) * (parameter.numel() == 1 or not parameter.any()))
        if name == "fastgan" and parameter.dim() == 1:
            parameter.mul_(4)  # untrained samples of it are all alike
    if hasattr(network, "mapping"):
        network.mapping.w_avg.normal_()
    return gan


def noise(gan: GAN, seeds) -> np.ndarray:
    """The seed contract, of numpy alone."""
    return np.stack([np.random.RandomState(seed).randn(1, gan.z_dim)[0] for seed in seeds]).astype(np.float32)
