"""Tiny untrained GANs of every model."""

from gan_helpers import untrained

from organza.hub import GAN

SMALL = {
    "width": 8, "max_width": 16, "z_dim": 8, "embed_dim": 4, "depth": 2, "blocks": 1, "channels_per_group": 8,
    "w_dim": 8, "mapping_layers": 2,
}  # fmt: skip


def tiny(name: str, classes=(), shape=(1, 16, 16), **options) -> GAN:
    """Of any model; its weights come from seed 0."""
    return untrained(name, SMALL, (8, 8, 8), tuple(classes), shape, sha256="0" * 64, **options)
