"""Tiny untrained GANs of every model."""

import torch

from organza.config import Model
from organza.hub import GAN
from organza.models import build, complete

SMALL = {
    "width": 8, "max_width": 16, "z_dim": 8, "embed_dim": 4, "depth": 2, "blocks": 1, "channels_per_group": 8,
    "w_dim": 8, "mapping_layers": 2,
}  # fmt: skip


def tiny(name: str, classes=(), shape=(1, 16, 16), **options) -> GAN:
    """Of any model; its weights come from seed 0."""
    torch.manual_seed(0)
    known = complete(Model(name=name, options={}), "generator").options
    chosen = {key: value for key, value in SMALL.items() if key in known}
    if "widths" in known:
        chosen["widths"] = (8, 8, 8)
    model = Model(name=name, options=chosen | options)
    generator = build(model, "generator", shape, len(classes)).eval().requires_grad_(False)
    return GAN(generator, model, shape, tuple(classes), name, sha256="0" * 64)
