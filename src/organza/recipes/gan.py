"""The first GAN: "Generative Adversarial Nets" (Goodfellow et al., 2014, arXiv:1406.2661).

    organza train gan --data mnist --out runs/gan
    organza train gan --data ring --out runs/ring

Two fully connected players; algorithm 1 with one turn each, and the non-saturating loss of section 3:

    D minimises  -E log sigmoid(D(x)) - E log(1 - sigmoid(D(G(z))))
    G minimises  -E log sigmoid(D(G(z)))

G has batch norm; for images it ends in tanh, and D has dropout, as the paper's D had. That paper prints no rates, so
that those of DCGAN stand here (arXiv:1511.06434, section 4); `paper` is wider than `laptop` and trains longer.

For points D has no dropout, and both are perceptrons of three or four layers, much as in VEEGAN's study of modes
(arXiv:1705.07761). These are won or lost in the first tenth of a run: the noise of arXiv:1610.04490 on all that D sees,
gone after a third, lets G hear of all of them, and a rate that falls to nothing draws it to their centres.
"""

from __future__ import annotations

from typing import Any

from organza.config import EMA, Config, Data, Model, Optimizer, Output, Player, Schedule, Shape, Size


def gan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for images (C, H, W) or points (D,)."""
    return points(2_000_000) if len(shape) == 1 else _images(size)


def points(images: int, batch: int = 128, rate: float = 1e-3, depth: int = 3) -> Config:
    """The configuration for points, its schedules over so many samples; other recipes begin with it.

    A G of `depth` 4 leaves fewer samples between narrow modes; without a gradient penalty it loses more of these.
    """
    lr = Schedule(start=rate, end=rate / 100, images=images, shape="linear")
    adam = Optimizer(name="adam", lr=lr, beta1=0.5, beta2=0.999)
    layers: dict[str, Any] = {"width": 128, "slope": 0.0}
    maker = {"z_dim": 2, "norm": "batch", **layers, "depth": depth}
    judge = {**layers, "depth": 3, "dropout": 0.0, "minibatch": "none", "reach": 4.0}
    return Config(
        recipe="gan",
        generator=Player(model=Model(name="mlp", options=maker), optimizer=adam),
        discriminator=Player(model=Model(name="mlp", options=judge), optimizer=adam),
        loss="non-saturating",
        share_fakes=True,
        noise=Schedule(start=0.4, end=0.0, images=images * 3 // 10, shape="linear"),
        data=Data(source="ring"),
        batch=batch,
        images=images,
        ema=EMA(half_life=50_000.0, ramp=0.05),
        precision="float32",
        output=Output(log=50_000, samples=200_000, checkpoint=500_000),
    )


def _images(size: Size) -> Config:
    adam = Optimizer(name="adam", lr=2e-4, beta1=0.5, beta2=0.999)
    layers = {"width": 256 if size == "laptop" else 512, "depth": 3, "slope": 0.2}
    judge = {**layers, "dropout": 0.3, "minibatch": "none", "reach": 0.0}
    return Config(
        recipe="gan",
        generator=Player(model=Model(name="mlp", options={"z_dim": 100, "norm": "batch", **layers}), optimizer=adam),
        discriminator=Player(model=Model(name="mlp", options=judge), optimizer=adam),
        loss="non-saturating",
        share_fakes=True,
        data=Data(),
        batch=64,
        images=1_000_000 if size == "laptop" else 12_000_000,
        ema=EMA(half_life=20_000.0, ramp=0.05),
        precision="float32",
        output=Output(log=10_000, samples=100_000, checkpoint=200_000),
    )
