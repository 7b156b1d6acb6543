"""DRAGAN: "On Convergence and Stability of GANs" (Kodali et al., 2017, arXiv:1705.07215).

    organza train dragan --data mnist --out runs/dragan

Mode collapse goes with steep slopes of D around some real samples. A penalty asks for slope one in the neighbourhood
of the data, and nowhere else (section 2.3):

    D minimises  -E log sigmoid(D(x)) - E log(1 - sigmoid(D(G(z)))) + 10 E (|grad D(x + e)| - 1)^2
    G minimises  -E log sigmoid(D(G(z)))

Unlike the recipe `wgan-gp` it takes one turn of each player and the loss of the first GAN. D has no batch norm here, as
each sample has its own penalty. `paper` is DCGAN's, with Adam 2e-4 and beta1 0.5; `laptop` has the narrow networks of
`dcgan --size laptop` and half of their rate, for 300,000 images, as the penalty costs a second backward pass.
"""

from __future__ import annotations

import dataclasses

from organza.config import Config, Model, Optimizer, Penalty, Player, Schedule, Shape, Size
from organza.recipes.dcgan import dcgan
from organza.recipes.gan import points


def dragan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for samples of `shape`; points get the fully connected players and a weight of 1."""
    if len(shape) == 1:
        return _config(points(3_000_000, depth=4), weight=1.0)
    base = dcgan(shape, size)
    model = Model(name=base.discriminator.model.name, options={**base.discriminator.model.options, "norm": "none"})
    images = 300_000 if size == "laptop" else base.images
    rate = 2e-4 if size == "paper" else Schedule(start=1e-3, end=1e-4, images=images, shape="linear")
    adam = Optimizer(name="adam", lr=rate, beta1=0.5, beta2=0.999)
    players = Player(model=base.generator.model, optimizer=adam), Player(model=model, optimizer=adam)
    base = dataclasses.replace(base, generator=players[0], discriminator=players[1], images=images)
    return _config(base, weight=10.0)


def _config(base: Config, weight: float) -> Config:
    critic = dataclasses.replace(base.discriminator, penalties=(Penalty(name="dragan", weight=weight),))
    return dataclasses.replace(base, recipe="dragan", discriminator=critic, share_fakes=False, precision="float32")
