"""InfoGAN: "Interpretable Representation Learning by Information Maximizing ..." (Chen et al., 2016, arXiv:1606.03657).

    organza train infogan --data mnist --out runs/infogan

Some numbers of the noise are codes c: one of ten categories and two uniform numbers. A small head Q on D's features
reads them back, and both players raise the bound on the mutual information between c and the image (eq. 5 and 6):

    D and Q minimise  V_D(D, G) - E log Q(c | G(z, c))
    G minimises       V_G(D, G) - E log Q(c | G(z, c))

On digits the category becomes the digit and the numbers become slant and width, without a single label. The report
shows one row for each code, its values going from left to right.

`paper` has the rates of appendix C: Adam 2e-4 for D, 1e-3 for G, 62 numbers of plain noise; `laptop` has the networks,
rates and batches of `dcgan --size laptop`.
"""

from __future__ import annotations

import dataclasses

from organza.config import Codes, Config, Model, Optimizer, Penalty, Player, Shape, Size
from organza.recipes.dcgan import dcgan
from organza.recipes.gan import gan

PLAIN = 62  # numbers of noise beside the codes (appendix C.1)


def infogan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for samples of `shape`; points get the fully connected players.

    Their code has 50 values, so that each of the 25 modes of the larger mixture can have one of its own.
    """
    points = len(shape) == 1
    base = gan(shape, size) if points else dcgan(shape, size)
    codes = Codes(categorical=(50,), continuous=0) if points else Codes(categorical=(10,), continuous=2)
    options = {**base.generator.model.options, "z_dim": PLAIN + sum(codes.categorical) + codes.continuous}
    critic_rate, rate = base.discriminator.optimizer, base.generator.optimizer
    if size == "paper":
        critic_rate, rate = (Optimizer(name="adam", lr=lr, beta1=0.5, beta2=0.999) for lr in (2e-4, 1e-3))
    legible = (Penalty(name="mutual-information", weight=1.0),)
    model = Model(name=base.generator.model.name, options=options)
    return dataclasses.replace(
        base,
        recipe="infogan",
        generator=Player(model=model, optimizer=rate, penalties=legible),
        discriminator=Player(model=base.discriminator.model, optimizer=critic_rate, penalties=legible),
        codes=codes,
    )
