"""SAGAN: "Self-Attention Generative Adversarial Networks" (Zhang et al., 2018, arXiv:1805.08318).

    organza train sagan --data mnist --out runs/sagan

SNGAN with three changes. On one feature map of each player, every pixel draws from all the others (section 3), which a
3x3 convolution cannot: parts that belong together need not be neighbours. Spectral norm bounds G as well (section 4.1).
And D, whose bounded slope slows it, learns at four times G's rate instead of in five turns (section 4.2; Heusel et al.,
arXiv:1706.08500). The loss is the hinge (eq. 4):

    D minimises  E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))
    G minimises  -E D(G(z))

The published runs know the labels: type `--conditional true` for data that has some. G's batch norms then have gains
and biases for each class, and D multiplies its features with a class embedding.

`paper`: attention at 32x32 or the nearest feature map, Adam 1e-4 for G and 4e-4 for D with beta 0 and 0.9, batch 256, a
million turns of each. `laptop` has 64 channels at most, attention at 16x16, batches of 32, and five times these rates,
which fall in a line to zero.
"""

from __future__ import annotations

from organza.config import EMA, Config, Data, Optimizer, Player, Schedule, Shape, Size
from organza.recipes.sngan import networks, output, to_zero


def sagan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for images of `shape` (C, H, W). Raises ConfigError for points and for sides like 27."""
    paper = size == "paper"
    generator, discriminator = networks(shape, size, attention=32 if paper else 16)
    batch, images = (256, 256_000_000) if paper else (32, 200_000)
    rates = (1e-4, 4e-4) if paper else (to_zero(5e-4, images), to_zero(2e-3, images))
    return Config(
        recipe="sagan",
        generator=Player(model=generator, optimizer=_adam(rates[0]), spectral_norm=True),
        discriminator=Player(model=discriminator, optimizer=_adam(rates[1]), spectral_norm=True),
        loss="hinge",
        conditional=False,
        share_fakes=False,
        data=Data(flip=False),
        batch=batch,
        images=images,
        ema=EMA(half_life=0.0, ramp=None) if paper else EMA(half_life=10_000.0, ramp=0.05),
        precision="float32",
        output=output(images),
    )


def _adam(rate: float | Schedule) -> Optimizer:
    return Optimizer(name="adam", lr=rate, beta1=0.0, beta2=0.9, eps=1e-8, weight_decay=0.0)
