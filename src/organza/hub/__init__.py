"""Our own format for finished GANs (safetensors, config.json, a card), and the way back: `load`."""

from __future__ import annotations

from organza.hub.gan import GAN, load, save

__all__ = ["GAN", "load", "save"]
