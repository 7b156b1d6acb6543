"""R3GAN: "The GAN is dead; long live the GAN! A Modern GAN Baseline" (Huang et al., 2024, arXiv:2501.05441).

    organza train r3gan --data mnist --out runs/r3gan

A relativistic loss on pairs of real and fake samples (eq. 2), and zero-centred gradient penalties on both (eq. 3), of
which section 2 proves local convergence; the penalty on real samples alone is not enough. With d = D(x) - D(G(z)):

    D minimises  E softplus(-d) + gamma/2 (E |grad D(x)|^2 + E |grad D(G(z))|^2)
    G minimises  E softplus(d)

Both penalties act in every turn; every eighth turn, a saving that other GANs allow, fails on Stacked-MNIST. Over the
burn-in, a cosine moves the rate, gamma, Adam's beta2 and the half-life of the average from first to last values.

`paper` takes the nearest published column (tables of the appendix): Stacked-MNIST for 28x28 pixels and for little grey
images, CIFAR-10 for other little ones, FFHQ-64, FFHQ-256. At other sizes gamma grows with the number of pixels, a rule
of thumb: gamma is the first thing to tune. Published runs on CIFAR-10 are conditional (`--conditional true`). All but
Stacked-MNIST mirror half of the images and augment both players' with ADA's set, colours half as often as the rest,
with a probability that follows the cosine.

`laptop` keeps the loss, the penalties and the schedules, leaves augmentation out, and cuts widths and budgets. A
discriminator's turn with both penalties costs about six forward passes, so that most channels stand where there are few
pixels.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from organza.config import EMA, Augment, Config, Data, Model, Optimizer, Output, Penalty, Player, Schedule, Shape, Size
from organza.layers.geometry import image, pyramid
from organza.recipes.gan import points


@dataclass(frozen=True, kw_only=True)
class Column:
    """What differs between the published runs: first and last values move over the burn-in."""

    side: int  # of its square images
    images: int
    burn_in: int
    batch: int
    lr: tuple[float, float]
    gamma: tuple[float, float]
    half_life: float  # of the average, in images; it starts at zero
    flip: bool
    augment: float  # the probability at the end of the burn-in; it starts at zero


STACKED_MNIST = Column(
    side=32, images=10_000_000, burn_in=2_000_000, batch=512, lr=(2e-4, 2e-4), gamma=(1.0, 0.1),
    half_life=500_000.0, flip=False, augment=0.0,
)  # fmt: skip
CIFAR10 = Column(
    side=32, images=250_000_000, burn_in=20_000_000, batch=512, lr=(2e-4, 5e-5), gamma=(0.05, 0.005),
    half_life=5_000_000.0, flip=True, augment=0.55,
)  # fmt: skip
FFHQ64 = Column(
    side=64, images=100_000_000, burn_in=20_000_000, batch=256, lr=(2e-4, 5e-5), gamma=(2.0, 0.2),
    half_life=500_000.0, flip=True, augment=0.3,
)  # fmt: skip
FFHQ256 = Column(
    side=256, images=200_000_000, burn_in=20_000_000, batch=256, lr=(2e-4, 5e-5), gamma=(150.0, 15.0),
    half_life=500_000.0, flip=True, augment=0.3,
)  # fmt: skip


def r3gan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for samples of `shape`. Raises ConfigError for sides like 27.

    Points get the loss and the penalties with the perceptrons of the recipe `gan`.
    """
    if len(shape) == 1:
        return _points(points(3_000_000, batch=256, rate=2e-3, depth=4))
    _, height, width = image(shape)
    column = _nearest(shape)
    if size == "laptop":
        return _config(_laptop(column), height * width, _laptop_widths(height, width), size)
    return _config(column, height * width, _paper_widths(height, width), size)


def _config(column: Column, pixels: int, widths: tuple[int, ...], size: Size) -> Config:
    blocks = 1 if size == "laptop" else 2
    structure = {"widths": widths, "blocks": blocks, "expansion": 2, "channels_per_group": 16}
    burn_in = column.burn_in
    half_gamma = [_three_digits(g / 2 * pixels / column.side**2) for g in column.gamma]
    weight = Schedule(start=half_gamma[0], end=half_gamma[1], images=burn_in)
    adam = Optimizer(
        name="adam",
        lr=Schedule(start=column.lr[0], end=column.lr[1], images=burn_in),
        beta1=0.0,
        beta2=Schedule(start=0.9, end=0.99, images=burn_in),
        eps=1e-8,
        weight_decay=0.0,
    )
    penalties = (Penalty(name="r1", weight=weight), Penalty(name="r2", weight=weight))
    return Config(
        recipe="r3gan",
        generator=Player(model=Model(name="r3gan", options={"z_dim": 64, **structure}), optimizer=adam),
        discriminator=Player(
            model=Model(name="r3gan", options={**structure, "minibatch": "none"}), optimizer=adam, penalties=penalties
        ),
        loss="relativistic",
        share_fakes=False,
        data=Data(flip=column.flip),
        augment=_augment(column),
        batch=column.batch,
        images=column.images,
        ema=EMA(half_life=Schedule(start=0.0, end=column.half_life, images=burn_in), ramp=None),
        precision="float32" if size == "laptop" else "auto",
        output=_output(column.images),
    )


def _augment(column: Column) -> Augment:
    if not column.augment:
        return Augment()
    probability = Schedule(start=0.0, end=column.augment, images=column.burn_in)
    return Augment(policy=("bg", "color-ada:0.5", "cutout"), probability=probability)


def _points(base: Config) -> Config:
    """Gamma falls to a hundredth, as the modes are narrow; the penalties hold all of them, so that no noise has to."""
    weight = Schedule(start=0.02, end=0.0002, images=base.images)
    penalties = (Penalty(name="r1", weight=weight), Penalty(name="r2", weight=weight))
    critic = dataclasses.replace(base.discriminator, penalties=penalties)
    return dataclasses.replace(
        base, recipe="r3gan", discriminator=critic, loss="relativistic", share_fakes=False, noise=0.0
    )


def _nearest(shape: Shape) -> Column:
    """The published run whose images are nearest in size; the borders lie half way in octaves."""
    channels, height, width = image(shape)
    pixels = height * width
    if pixels < 48**2:
        return STACKED_MNIST if channels < 3 or (height, width) == (28, 28) else CIFAR10
    return FFHQ64 if pixels < 128**2 else FFHQ256


def _paper_widths(height: int, width: int) -> tuple[int, ...]:
    """768 for the first four stages, then halved: 768 x 4, 384, 192, 96 at 256x256; 24 at least, beyond 1024x1024."""
    _, _, doublings = pyramid(height, width)
    return tuple(max(24, 768 >> max(0, stage - 3)) for stage in range(doublings + 1))


def _laptop_widths(height: int, width: int) -> tuple[int, ...]:
    """By the longer side of a stage: 64 to 8 pixels, 32 to 16, then 8; multiples of 8 fill groups of 16."""
    base_h, base_w, doublings = pyramid(height, width)
    sides = [max(base_h, base_w) << stage for stage in range(doublings + 1)]
    return tuple(64 if side <= 8 else 32 if side <= 16 else 8 for side in sides)


def _laptop(column: Column) -> Column:
    """The column with budgets for minutes on two cores.

    A batch of 16 for 512, so that there are turns enough, and more than seven times the rate need more damping: with
    the published gamma D wins within 10 kimg (its loss falls to 0.1), with ten times as much both players stay level.
    """
    start, end = column.gamma
    return Column(
        side=column.side, images=120_000, burn_in=120_000, batch=16, lr=(1.5e-3, 2e-4), gamma=(10 * start, 20 * end),
        half_life=5_000.0, flip=column.flip, augment=0.0,
    )  # fmt: skip


def _output(images: int) -> Output:
    return Output(
        log=max(2_000, images // 2_000),
        samples=max(10_000, images // 100),
        checkpoint=max(30_000, images // 50),
    )


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}")
