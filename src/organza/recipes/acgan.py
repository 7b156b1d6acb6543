"""AC-GAN: "Conditional Image Synthesis with Auxiliary Classifier GANs" (Odena et al., 2016, arXiv:1610.09585).

    organza train acgan --data mnist --out runs/acgan
    organza sample runs/acgan --labels 7

G is told the class and D has to name it, of real and of fake samples, with a second head on its features (eq. 2, 3):

    D minimises  -E log p(real | x) - E log p(fake | G(z, c)) - E log p(c | x) - E log p(c | G(z, c))
    G minimises  -E log p(real | G(z, c)) - E log p(c | G(z, c))

Compare the recipe `cgan`, where D is told the class too. `paper` has Adam 2e-4 with beta1 0.5, batches of 100 and
dropout of one half in D (appendix A); `laptop` has the networks, rates and batches of `dcgan --size laptop`.
"""

from __future__ import annotations

import dataclasses

from organza.config import Config, Model, Penalty, Player, Shape, Size
from organza.recipes.dcgan import dcgan
from organza.recipes.gan import gan


def acgan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for labelled samples of `shape`; points get the fully connected players."""
    points = len(shape) == 1
    base = gan(shape, size) if points else dcgan(shape, size)
    # A D that learns its classes from fakes too fixes them in wrong places where they have not spread yet: of the 25
    # modes of the grid 20 to 25 are found, with classes from reals alone all.
    weight = 0.1 if points else 1.0
    legible = (Penalty(name="classification", weight=weight),)
    read = (Penalty(name="classification-of-reals", weight=weight),) if points else legible
    model = base.discriminator.model
    if size == "paper":
        model = Model(name=model.name, options={**model.options, "dropout": 0.5})
    return dataclasses.replace(
        base,
        recipe="acgan",
        generator=Player(model=base.generator.model, optimizer=base.generator.optimizer, penalties=legible),
        discriminator=Player(model=model, optimizer=base.discriminator.optimizer, penalties=read),
        conditional=True,
        batch=100 if size == "paper" and len(shape) == 3 else base.batch,
    )
