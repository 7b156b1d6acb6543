"""Conditional GAN: "Conditional Generative Adversarial Nets" (Mirza & Osindero, 2014, arXiv:1411.1784).

    organza train cgan --data mnist --out runs/cgan
    organza sample runs/cgan --labels 7

Both players see the label y (eq. 2): G gets it beside its noise, D beside the image.

    D minimises  -E log sigmoid(D(x, y)) - E log(1 - sigmoid(D(G(z, y), y)))
    G minimises  -E log sigmoid(D(G(z, y), y))

`paper` has the fully connected players of section 4.1 in their modern form; `laptop` has the convolutional ones of the
recipe `dcgan`, where one plane for each class joins D's input.
"""

from __future__ import annotations

import dataclasses

from organza.config import Config, Shape, Size
from organza.recipes.dcgan import dcgan
from organza.recipes.gan import gan


def cgan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for labelled samples of `shape`; points always get the fully connected players."""
    base = gan(shape, size) if size == "paper" or len(shape) == 1 else dcgan(shape, size)
    return dataclasses.replace(base, recipe="cgan", conditional=True)
