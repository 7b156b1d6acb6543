"""The catalogue of recipes: one function per published GAN, `recipe(shape, size) -> Config`.

`shape` is that of one sample, (C, H, W) or (D,); `size` is `laptop` (trains on a CPU) or `paper` (as published).
"""

from __future__ import annotations

from collections.abc import Callable

from organza.config import Config, Shape, Size
from organza.recipes.cgan import cgan
from organza.recipes.dcgan import dcgan
from organza.recipes.gan import gan
from organza.recipes.r3gan import r3gan
from organza.recipes.wgan_gp import wgan_gp

Recipe = Callable[[Shape, Size], Config]

RECIPES: dict[str, Recipe] = {
    "gan": gan,
    "dcgan": dcgan,
    "cgan": cgan,
    "wgan-gp": wgan_gp,
    "r3gan": r3gan,
}

MEASURED: dict[str, str] = {
    "gan": "ring: 8 of 8 modes, 81 % within 3 sigma",
    "dcgan": "mnist: FD 10.9, digits, 10k",
    "cgan": "mnist: FD 2.4, digits, 10k",
    "wgan-gp": "mnist: FD 78.4, digits, 10k",
    "r3gan": "mnist: FD 204.5, digits, 10k",
}
"""What the default of a recipe reached, with its protocol, as in benchmarks/results; `organza recipes` shows it."""
