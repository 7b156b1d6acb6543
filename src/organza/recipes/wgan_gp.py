"""WGAN-GP: "Improved Training of Wasserstein GANs" (Gulrajani et al., 2017, arXiv:1704.00028).

    organza train wgan-gp --data mnist --out runs/wgan-gp

The critic D has no upper bound; its loss estimates the Wasserstein distance between data and samples when D changes
by at most 1 per unit of distance, which a penalty on its gradient asks for (eq. 3):

    D minimises  E D(G(z)) - E D(x) + 10 E (|grad D(x')| - 1)^2,   x' uniform between a real and a fake sample
    G minimises  -E D(G(z))

D takes five turns for each of G's (algorithm 1), on five batches.

`paper` is the CIFAR-10 residual network of the appendix: 128 wide, batch 64, Adam 2e-4 with beta 0 and 0.9, the rate
falling in a line to zero over 100,000 turns of G. `laptop` trains the DCGAN networks, the baseline of the paper's
comparison, without batch norm in D: a turn of D with its second derivatives then costs a third of what it costs the
residual network at the same width. It judges G's average, which the paper does not take.
"""

from __future__ import annotations

import dataclasses

from organza.config import EMA, Config, Data, Model, Optimizer, Output, Penalty, Player, Schedule, Shape, Size
from organza.recipes.gan import points

BATCH = 64
CRITIC_TURNS = 5


def wgan_gp(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for samples of `shape`: as published for 32x32, the same for other sizes.

    Points get the perceptrons of the recipe `gan`; their penalty has a weight of 0.1.
    """
    if len(shape) == 1:
        return _points(points(3_000_000, depth=4))
    return _paper() if size == "paper" else _laptop()


def _points(base: Config) -> Config:
    config = _config(
        base.generator.model, base.discriminator.model, lr=base.generator.optimizer.lr, images=base.images,
        ema=base.ema, output=base.output,
    )  # fmt: skip
    gentle = (Penalty(name="gradient-norm", weight=0.1),)  # at 10 the critic is too flat for narrow modes
    critic = dataclasses.replace(config.discriminator, penalties=gentle)
    return dataclasses.replace(config, discriminator=critic, data=base.data, batch=base.batch)


def _paper() -> Config:
    images = 100_000 * CRITIC_TURNS * BATCH
    return _config(
        generator=Model(name="resnet", options={"z_dim": 128, "width": 128, "norm": "batch"}),
        discriminator=Model(name="resnet", options={"width": 128, "norm": "none", "minibatch": "none"}),
        lr=Schedule(start=2e-4, end=0.0, images=images, shape="linear"),
        images=images,
        ema=EMA(half_life=0.0, ramp=None),
        output=Output(log=20_000, samples=1_000_000, checkpoint=2_000_000),
    )


def _laptop() -> Config:
    networks = {"width": 32, "max_width": 512}
    generator = {"z_dim": 128, **networks, "upsample": "transposed", "norm": "batch", "slope": 0.0}
    return _config(
        generator=Model(name="dcgan", options=generator),
        discriminator=Model(name="dcgan", options={**networks, "norm": "none", "dropout": 0.0, "minibatch": "none"}),
        lr=5e-4,
        images=300_000,
        ema=EMA(half_life=20_000.0, ramp=0.05),
        output=Output(log=5_000, samples=50_000, checkpoint=100_000),
    )


def _config(
    generator: Model, discriminator: Model, lr: float | Schedule, images: int, ema: EMA, output: Output
) -> Config:
    adam = Optimizer(name="adam", lr=lr, beta1=0.0, beta2=0.9, eps=1e-8, weight_decay=0.0)
    penalties = (Penalty(name="gradient-norm", weight=10.0),)
    return Config(
        recipe="wgan-gp",
        generator=Player(model=generator, optimizer=adam),
        discriminator=Player(model=discriminator, optimizer=adam, turns=CRITIC_TURNS, penalties=penalties),
        loss="wasserstein",
        share_fakes=False,
        data=Data(flip=False),
        batch=BATCH,
        images=images,
        ema=ema,
        precision="float32",
        output=output,
    )
