"""SNGAN: "Spectral Normalization for Generative Adversarial Networks" (Miyato et al., 2018, arXiv:1802.05957).

    organza train sngan --data mnist --out runs/sngan

Every weight matrix of D is divided by its largest singular value, found by one power iteration a turn (algorithm 1). No
layer then stretches a difference much, so that D's slope is bounded everywhere, at hardly any cost: a gradient penalty
bounds it between samples only, and takes a second backward pass. The loss is the hinge (eq. 16 and 17):

    D minimises  E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))
    G minimises  -E D(G(z))

`--conditional true` adds labels as in "cGANs with Projection Discriminator" (arXiv:1802.05637): gains and biases of G's
batch norms for each class, and the product of D's features with a class embedding.

`paper` is the residual network of the appendix for CIFAR-10, and that for ImageNet from 48x48 pixels on, whose widths
double up to 1024: batch 64, five turns of D, Adam 2e-4 with beta 0 and 0.9, the rate falling in a line to zero over
100,000 turns of G. `laptop` has 64 channels at most, batches of 32, and one turn of D at twice the rate of G for five.
Points get the loss and the norm with the perceptrons of the recipe `gan`.
"""

from __future__ import annotations

import dataclasses

from organza.config import EMA, Config, Data, Model, Optimizer, Output, Player, Schedule, Shape, Size
from organza.layers.geometry import image, pyramid
from organza.recipes.gan import points


def sngan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for samples of `shape`. Raises ConfigError for sides like 27."""
    if len(shape) == 1:
        return _points(points(3_000_000, depth=4))
    generator, discriminator = networks(shape, size, attention=0)
    return _paper(generator, discriminator) if size == "paper" else _laptop(generator, discriminator)


def _paper(generator: Model, discriminator: Model) -> Config:
    batch, turns = 64, 5
    images = 100_000 * turns * batch
    adam = _adam(to_zero(2e-4, images))
    return Config(
        recipe="sngan",
        generator=Player(model=generator, optimizer=adam),
        discriminator=Player(model=discriminator, optimizer=adam, turns=turns, spectral_norm=True),
        loss="hinge",
        share_fakes=False,
        data=Data(flip=False),
        batch=batch,
        images=images,
        ema=EMA(half_life=0.0, ramp=None),
        precision="float32",
        output=output(images),
    )


def _laptop(generator: Model, discriminator: Model) -> Config:
    images = 200_000
    return Config(
        recipe="sngan",
        generator=Player(model=generator, optimizer=_adam(to_zero(1e-3, images))),
        discriminator=Player(model=discriminator, optimizer=_adam(to_zero(2e-3, images)), spectral_norm=True),
        loss="hinge",
        share_fakes=False,
        data=Data(flip=False),
        batch=32,
        images=images,
        ema=EMA(half_life=10_000.0, ramp=0.05),
        precision="float32",
        output=output(images),
    )


def _points(base: Config) -> Config:
    """Three turns of D, which sees narrow modes late: its slope is one at most."""
    critic = dataclasses.replace(base.discriminator, turns=3, spectral_norm=True)
    return dataclasses.replace(base, recipe="sngan", discriminator=critic, loss="hinge", share_fakes=False)


def networks(shape: Shape, size: Size, attention: int) -> tuple[Model, Model]:
    """The networks of SNGAN and SAGAN: generator and discriminator, with self-attention at a side or without (0)."""
    widths, judging, downs = _laptop_widths(shape) if size == "laptop" else _paper_widths(shape)
    z_dim = 64 if size == "laptop" else 128
    return (
        Model(name="sngan", options={"z_dim": z_dim, "widths": widths, "attention": attention}),
        Model(name="sngan", options={"widths": judging, "downs": downs, "attention": attention, "minibatch": "none"}),
    )


def output(images: int) -> Output:
    """How often a run of so many images writes; 100 times it shows samples."""
    return Output(
        log=max(2_000, images // 2_000),
        samples=max(10_000, images // 100),
        checkpoint=max(25_000, images // 20),
    )


def to_zero(rate: float, images: int) -> Schedule:
    """A learning rate that falls in a line to zero."""
    return Schedule(start=rate, end=0.0, images=images, shape="linear")


def _adam(rate: Schedule) -> Optimizer:
    return Optimizer(name="adam", lr=rate, beta1=0.0, beta2=0.9, eps=1e-8, weight_decay=0.0)


def _paper_widths(shape: Shape) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Of G, of D, and how many blocks of D halve; 48x48 goes down to 3x3 in D, as in the table for STL-10."""
    _, height, width = image(shape)
    _, _, doublings = pyramid(height, width)
    if height * width < 48**2:
        return (256,) * (doublings + 1), (128,) * 4, min(2, doublings)
    _, _, downs = pyramid(height, width, smallest=3)
    rising = [min(1024, 64 << i) for i in range(max(doublings, downs) + 1)]
    return tuple(rising[doublings::-1]), tuple(rising[: downs + 1]), downs


def _laptop_widths(shape: Shape) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """16 channels beside the image, twice as many beyond each resampling, 64 at most."""
    _, height, width = image(shape)
    _, _, doublings = pyramid(height, width)
    rising = tuple(min(64, 16 << i) for i in range(doublings + 1))
    return rising[::-1], rising, doublings
