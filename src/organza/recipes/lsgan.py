"""LSGAN: "Least Squares Generative Adversarial Networks" (Mao et al., 2016, arXiv:1611.04076).

    organza train lsgan --data mnist --out runs/lsgan

DCGAN's networks with squares in the place of the cross-entropy (eq. 9): a fake that D has long seen through still pulls
G, in proportion to its distance from the target.

    D minimises  E (D(x) - 1)^2 / 2 + E D(G(z))^2 / 2
    G minimises  E (D(G(z)) - 1)^2 / 2

`paper` has the rate of section 4.1, Adam 1e-3 with beta1 0.5, and batches of 64. `laptop` is that of `dcgan`.
"""

from __future__ import annotations

import dataclasses

from organza.config import Config, Optimizer, Shape, Size
from organza.recipes.dcgan import dcgan
from organza.recipes.gan import gan


def lsgan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for samples of `shape`; points get the fully connected players."""
    base = gan(shape, size) if len(shape) == 1 else dcgan(shape, size)
    config = dataclasses.replace(base, recipe="lsgan", loss="least-squares")
    if size == "laptop" or len(shape) == 1:
        return config
    adam = Optimizer(name="adam", lr=1e-3, beta1=0.5, beta2=0.999)
    return dataclasses.replace(
        config,
        generator=dataclasses.replace(config.generator, optimizer=adam),
        discriminator=dataclasses.replace(config.discriminator, optimizer=adam),
        batch=64,
    )
