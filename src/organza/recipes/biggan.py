"""BigGAN: "Large Scale GAN Training for High Fidelity Natural Image Synthesis" (Brock et al., 2018, arXiv:1809.11096).

    organza train biggan --data mnist --out runs/biggan
    organza train biggan-deep --data mnist --out runs/biggan-deep

SAGAN's loss, attention and spectral norm in both players, with larger batches, wider networks, noise and a shared class
embedding that reach every block of G (section 3), and orthogonal weights at the start. A penalty keeps the filters of a
weight at right angles and leaves their length free (eq. 3), so that truncated noise, `--truncation 0.5`, trades variety
for fidelity (section 3.1) instead of falling between the filters:

    D minimises  E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))
    G minimises  -E D(G(z)) + 1e-4 sum over W of |W W^T * (1 - I)|^2

Both recipes need labels; `--conditional false` drops them, and the noise alone drives the batch norms.

`paper` has the widths of the appendix's tables for 64x64 to 512x512, and 256 channels throughout below: batch 2048 in
eight micro-batches, two turns of D, Adam 5e-5 for G and 2e-4 for D (deep: 2.5e-5 for both from 256x256 on), 150,000
turns of G and the average of its weights (decay 0.9999; appendix C). Training at this size collapses in the end
(section 4.2): the best checkpoint counts.

`laptop` has up to 64 channels (deep: 128), attention at 16x16, batches of 32 and rates that fall to zero. G's is the
higher one: spectral norm forbids its weights to grow, so that gains and biases alone carry the output from grey to
black and white, by no more than the rate in each of so few turns.
"""

from __future__ import annotations

from organza.config import EMA, Config, Data, Model, Optimizer, Penalty, Player, Schedule, Shape, Size
from organza.layers.geometry import image, pyramid
from organza.recipes.sngan import output, to_zero

RISING = {  # channels from the image to the base, in units of 96 (deep: 128), by the number of halvings
    4: (1, 2, 4, 8, 16),
    5: (1, 2, 4, 8, 16, 16),
    6: (1, 2, 4, 8, 8, 16, 16),
    7: (1, 1, 2, 4, 8, 8, 16, 16),
}
FALLING = {n: rising[::-1] for n, rising in RISING.items()} | {4: (16, 16, 8, 4, 2)}
TURNS = 2  # of D for each of G
RATES = 5e-5, 2e-4  # of G and of D


def biggan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for images of `shape` (C, H, W). Raises ConfigError for points and for sides like 27."""
    falling, rising, downs = _paper_widths(shape, 96) if size == "paper" else _laptop_widths(shape, 16)
    generator = {
        "z_dim": 20 * len(falling), "embed_dim": 128 if size == "paper" else 32, "widths": falling,
        "attention": _attention(shape, size),
    }  # fmt: skip
    discriminator = {"widths": rising, "downs": downs, "attention": _attention(shape, size), "minibatch": "none"}
    make = _paper if size == "paper" else _laptop
    return make("biggan", generator, discriminator)


def biggan_deep(shape: Shape, size: Size = "laptop") -> Config:
    """The same with four times as deep networks of bottlenecks."""
    falling, rising, _ = _paper_widths(shape, 128) if size == "paper" else _laptop_widths(shape, 32)
    generator = {
        "z_dim": 128 if size == "paper" else 64, "embed_dim": 128 if size == "paper" else 32, "widths": falling,
        "depth": 2, "attention": _attention(shape, size),
    }  # fmt: skip
    discriminator = {"widths": rising, "depth": 2, "attention": _attention(shape, size), "minibatch": "none"}
    if size == "laptop":
        return _laptop("biggan-deep", generator, discriminator)
    rates = (2.5e-5, 2.5e-5) if min(shape[1:]) >= 256 else RATES
    return _paper("biggan-deep", generator, discriminator, rates)


def _paper(name: str, generator: dict, discriminator: dict, rates: tuple[float, float] = RATES) -> Config:
    batch = 2048
    images = 150_000 * TURNS * batch
    return Config(
        recipe=name,
        generator=_generator(name, generator, rates[0]),
        discriminator=_discriminator(name, discriminator, rates[1]),
        loss="hinge",
        conditional=True,
        share_fakes=False,
        data=Data(flip=False),
        batch=batch,
        accumulate=8,
        images=images,
        ema=EMA(half_life=28_390_000.0, ramp=0.35),  # 0.9999 a turn of G, full at 20,000 turns
        precision="float32",
        output=output(images),
    )


def _laptop(name: str, generator: dict, discriminator: dict) -> Config:
    images = 200_000 if name == "biggan" else 100_000  # a deep block costs twice as much
    return Config(
        recipe=name,
        generator=_generator(name, generator, rate=to_zero(4e-3, images)),
        discriminator=_discriminator(name, discriminator, rate=to_zero(2e-3, images)),
        loss="hinge",
        conditional=True,
        share_fakes=False,
        data=Data(flip=False),
        batch=32,
        images=images,
        ema=EMA(half_life=10_000.0, ramp=0.05),
        precision="float32",
        output=output(images),
    )


def _generator(name: str, options: dict, rate: float | Schedule) -> Player:
    penalties = (Penalty(name="orthogonal", weight=1e-4),)
    return Player(
        model=Model(name=name, options=options), optimizer=_adam(rate), penalties=penalties, spectral_norm=True
    )


def _discriminator(name: str, options: dict, rate: float | Schedule) -> Player:
    return Player(model=Model(name=name, options=options), optimizer=_adam(rate), turns=TURNS, spectral_norm=True)


def _adam(rate: float | Schedule) -> Optimizer:
    return Optimizer(name="adam", lr=rate, beta1=0.0, beta2=0.999, eps=1e-6, weight_decay=0.0)


def _attention(shape: Shape, size: Size) -> int:
    """64, as published from 128x128 on; half the smaller side below. Its cost grows with the fourth power."""
    _, height, width = image(shape)
    return min(64 if size == "paper" else 16, height // 2, width // 2)


def _paper_widths(shape: Shape, unit: int) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Of G, of D, and how many blocks of BigGAN's D halve."""
    _, height, width = image(shape)
    _, _, doublings = pyramid(height, width)
    if doublings < 4:
        return (256,) * (doublings + 1), (256,) * (doublings + 1), doublings
    more = doublings - max(RISING)  # beyond 512x512 the base stays as wide
    falling, rising = FALLING[min(doublings, 7)], RISING[min(doublings, 7)]
    falling, rising = falling[:1] * more + falling, rising + rising[-1:] * more
    return tuple(unit * f for f in falling), tuple(unit * r for r in rising), doublings


def _laptop_widths(shape: Shape, least: int) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Twice as many channels beyond each resampling, four times `least` at most."""
    _, height, width = image(shape)
    _, _, doublings = pyramid(height, width)
    rising = tuple(min(4 * least, least << i) for i in range(doublings + 1))
    return rising[::-1], rising, doublings
