"""Our own format for finished GANs (safetensors, config.json, a card), and the way back: `load`."""

from __future__ import annotations

from organza.hub.gan import GAN, save
from organza.hub.loading import load, load_gan, load_translator
from organza.hub.translator import Translator

__all__ = ["GAN", "Translator", "load", "load_gan", "load_translator", "save"]
