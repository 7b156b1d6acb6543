"""StyleGAN2: "Analyzing and Improving the Image Quality of StyleGAN" (Karras et al., 2020, arXiv:1912.04958), and
StyleGAN2-ADA: "Training Generative Adversarial Networks with Limited Data" (Karras et al., 2020, arXiv:2006.06676).

    organza train stylegan2-ada --data emoji --out runs/stylegan2-ada
    organza train stylegan2 --data photos.zip --size paper --out runs/stylegan2

The networks are those of `models/stylegan2.py`, the loss is the non-saturating one. D has R1 in every 16th turn, G the
path length in every 4th (appendix B), and nine in ten fakes mix the styles of two w. ADA shows D augmented images
alone, as often as D's certainty about real images asks for (2006.06676, section 3).

    D minimises  E softplus(D(G(z))) + E softplus(-D(x)) + gamma / 2 E |grad D(x)|^2
    G minimises  E softplus(-D(G(z))) + 2 E (|J^T y| - a)^2

`paper` has the published set-ups, by the longer side of the images: those of StyleGAN2 at 256, 512 and 1024, that of
CIFAR-10 at 32 (100,000 kimg), and between them ADA's `auto`, which fits itself to the size; stylegan2-ada has `auto`
everywhere. All but CIFAR-10's see 25,000 kimg. One GPU of 80 GB holds their batches up to 512; else `--accumulate 2`
splits them. `laptop` is narrow, with a mapping of two layers (as `auto`), and trains on two CPU cores: 32x32 in
minutes, 64x64 in an hour.

Other set-ups of the papers: config E is `--generator.model.width` of half, `--generator.model.arch orig|resnet|skip`
and the discriminator's the variants of figure 7, `--discriminator.frozen 10` Freeze-D, `--augment.policy diffaugment
--augment.target none` DiffAugment, `--start FILE` goes on from trained networks.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from organza.config import EMA, Augment, Config, Data, Model, Optimizer, Output, Penalty, Player, Shape, Size
from organza.layers.geometry import image


@dataclass(frozen=True)
class Setup:
    """A row of the table of set-ups."""

    batch: int
    group: int  # of the minibatch deviation
    base: int  # channels are base / resolution, `most` at most
    lr: float
    gamma: float  # of R1
    half_life: float  # of G's average, in images
    ramp: float | None  # share of the images seen, which the half-life is at most
    mapping_layers: int
    most: int = 512
    path_length: float = 2.0
    mixing: float = 0.9
    judge: str = "resnet"  # D's architecture
    images: int = 25_000_000


PUBLISHED: dict[int, Setup] = {
    32: Setup(
        64, 32, 32_768, 0.0025, 0.01, 500_000, 0.05, 2, path_length=0.0, mixing=0.0, judge="orig", images=100_000_000
    ),
    256: Setup(64, 8, 16_384, 0.0025, 1.0, 20_000, None, 8),
    512: Setup(64, 8, 32_768, 0.0025, 0.5, 20_000, None, 8),
    1024: Setup(32, 4, 32_768, 0.002, 2.0, 10_000, None, 8),
}
"""By resolution: CIFAR-10's, `paper256`, `paper512` and `paper1024`."""


def auto(side: int) -> Setup:
    """ADA's set-up for one GPU and images whose longer side is `side`, gamma by its rule of thumb (section 4)."""
    batch = max(min(4096 // side, 32, 64), 1)
    lr = 0.002 if side >= 1024 else 0.0025
    base = 32_768 if side >= 512 else 16_384
    return Setup(batch, min(batch, 4), base, lr, 0.0002 * side**2 / batch, batch * 312.5, 0.05, 2)


def laptop(side: int) -> Setup:
    """Narrow networks that two CPU cores can train: `side` 32 in minutes, 64 in an hour.

    So short a run wants many steps, hence small batches, no mixing and no path length (as CIFAR-10's), and a gamma far
    above the rule of thumb: with that, or with batches of 32, shapes had not settled after 16,000 images at 32x32.
    """
    base, gamma = 1024 if side <= 32 else 2048, side**2 / 1024
    return Setup(16, 4, base, 0.0025, gamma, 5_000, 0.05, 2, most=128, path_length=0.0, mixing=0.0)


def stylegan2(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for images of `shape` (C, H, W). Raises ConfigError for points."""
    side = max(image(shape)[1:])
    setup = laptop(side) if size == "laptop" else PUBLISHED.get(side) or auto(side)
    return _config("stylegan2", setup, side, size)


def stylegan2_ada(shape: Shape, size: Size = "laptop") -> Config:
    """The same with adaptive augmentation. Raises ConfigError for points."""
    side = max(image(shape)[1:])
    config = _config("stylegan2-ada", laptop(side) if size == "laptop" else auto(side), side, size)
    # Inverted colours leak where G is weak and all backgrounds are white: a laptop's run does without.
    policy = ("bgc",) if size == "paper" else ("blit", "geom")
    return dataclasses.replace(config, augment=Augment(policy=policy, probability=0.0, target=0.6, speed=500_000))


def lazy(adam: Optimizer, every: int) -> Optimizer:
    """Adam for a player whose penalty comes in every so many turns: as if it came with all (1912.04958, appendix B).

    The rate is multiplied by c = every / (every + 1), and the betas are raised to c.
    """
    share = every / (every + 1)
    assert isinstance(adam.lr, float)
    assert isinstance(adam.beta2, float)
    return dataclasses.replace(adam, lr=adam.lr * share, beta1=adam.beta1**share, beta2=adam.beta2**share)


def _config(recipe: str, setup: Setup, side: int, size: Size) -> Config:
    small = size == "laptop"
    adam = Optimizer(name="adam", lr=setup.lr, beta1=0.0, beta2=0.99, eps=1e-8, weight_decay=0.0)
    widths = {"width": max(setup.base // side, 1), "max_width": setup.most, "clamp": None}
    layers, noise = setup.mapping_layers, 128 if small else 512
    maker = {"z_dim": noise, "w_dim": noise, "mapping_layers": layers, **widths, "arch": "skip", "mixing": setup.mixing}
    labels = layers if small else 8  # of the mapping of D's labels: as many in all published set-ups
    judge = {**widths, "arch": setup.judge, "group": setup.group, "mapping_layers": labels}
    lengths = (Penalty(name="path-length", weight=setup.path_length, every=4),) if setup.path_length else ()
    return Config(
        recipe=recipe,
        generator=Player(
            model=Model(name="stylegan2", options=maker), optimizer=lazy(adam, 4) if lengths else adam,
            penalties=lengths,
        ),
        discriminator=Player(
            model=Model(name="stylegan2", options=judge), optimizer=lazy(adam, 16),
            penalties=(Penalty(name="r1", weight=setup.gamma / 2, every=16),),
        ),
        loss="non-saturating",
        share_fakes=small,
        data=Data(source="emoji", flip=False),
        batch=setup.batch,
        images=_images(side) if small else setup.images,
        ema=EMA(half_life=float(setup.half_life), ramp=setup.ramp),
        precision="auto",
        output=_output(_images(side) if small else 0),
    )  # fmt: skip


def _images(side: int) -> int:
    """The budget of `laptop`: ten minutes at 32x32, an hour at 64x64."""
    return 120_000 if side <= 32 else 200_000


def _output(laptop_images: int) -> Output:
    if laptop_images:
        return Output(log=2_500, samples=10_000, checkpoint=laptop_images // 4)
    return Output(log=20_000, samples=200_000, checkpoint=500_000)
