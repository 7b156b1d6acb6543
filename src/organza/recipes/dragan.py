"""DRAGAN: "On Convergence and Stability of GANs" (Kodali et al., 2017, arXiv:1705.07215).

    organza train dragan --data mnist --out runs/dragan

Mode collapse goes with steep slopes of D around some real samples. A penalty asks for slope one in the neighbourhood
of the data, and nowhere else (section 2.3):

    D minimises  -E log sigmoid(D(x)) - E log(1 - sigmoid(D(G(z)))) + 10 E (|grad D(x + e)| - 1)^2
    G minimises  -E log sigmoid(D(G(z)))

Unlike the recipe `wgan-gp` it takes one turn of each player and the loss of the first GAN. D has no batch norm here, as
each sample has its own penalty.
"""

from __future__ import annotations

import dataclasses

from organza.config import Config, Model, Optimizer, Penalty, Player, Schedule, Shape, Size
from organza.recipes.dcgan import dcgan
from organza.recipes.gan import gan


def dragan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for samples of `shape`; points get the fully connected players."""
    points = len(shape) == 1
    base = gan(shape, size) if points else dcgan(shape, size)
    model = base.discriminator.model
    if not points:
        model = Model(name=model.name, options={**model.options, "norm": "none"})
    images = 300_000 if size == "laptop" and not points else base.images
    rate = 2e-4 if size == "paper" else Schedule(start=1e-3, end=1e-4, images=images, shape="linear")
    adam = Optimizer(name="adam", lr=rate, beta1=0.5, beta2=0.999)
    return dataclasses.replace(
        base,
        recipe="dragan",
        generator=Player(model=base.generator.model, optimizer=adam),
        discriminator=Player(model=model, optimizer=adam, penalties=(Penalty(name="dragan", weight=10.0),)),
        share_fakes=False,
        images=images,
        precision="float32",
    )
