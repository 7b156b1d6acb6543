"""The first GAN: "Generative Adversarial Nets" (Goodfellow et al., 2014, arXiv:1406.2661).

    organza train gan --data mnist --out runs/gan
    organza train gan --data ring --out runs/ring

Two fully connected players; algorithm 1 with one turn each, and the non-saturating loss of section 3:

    D minimises  -E log sigmoid(D(x)) - E log(1 - sigmoid(D(G(z))))
    G minimises  -E log sigmoid(D(G(z)))

For images G ends in tanh and has batch norm; D has dropout, as the paper's D had. For points both are plain
perceptrons, the set-up of every 2-D study since arXiv:1611.02163.
"""

from __future__ import annotations

from organza.config import EMA, Config, Data, Model, Optimizer, Output, Player, Shape, Size


def gan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for images (C, H, W) or points (D,)."""
    return _points() if len(shape) == 1 else _images(size)


def _points() -> Config:
    adam = Optimizer(name="adam", lr=1e-3, beta1=0.5, beta2=0.999)
    return Config(
        recipe="gan",
        generator=Player(
            model=Model(name="mlp", options={"z_dim": 32, "width": 128, "depth": 3}), optimizer=adam
        ),
        discriminator=Player(
            model=Model(name="mlp", options={"width": 128, "depth": 3, "dropout": 0.0, "minibatch": "none"}),
            optimizer=adam,
        ),
        loss="non-saturating",
        share_fakes=True,
        data=Data(source="ring"),
        batch=512,
        images=5_000_000,
        ema=EMA(half_life=50_000.0, ramp=0.05),
        precision="float32",
        output=Output(log=100_000, samples=500_000, checkpoint=1_000_000),
    )  # fmt: skip


def _images(size: Size) -> Config:
    width = 256 if size == "laptop" else 512
    adam = Optimizer(name="adam", lr=2e-4, beta1=0.5, beta2=0.999)
    return Config(
        recipe="gan",
        generator=Player(
            model=Model(name="mlp", options={"z_dim": 100, "width": width, "depth": 3}), optimizer=adam
        ),
        discriminator=Player(
            model=Model(name="mlp", options={"width": width, "depth": 3, "dropout": 0.3, "minibatch": "none"}),
            optimizer=adam,
        ),
        loss="non-saturating",
        share_fakes=True,
        data=Data(),
        batch=64,
        images=1_000_000 if size == "laptop" else 12_000_000,
        ema=EMA(half_life=20_000.0, ramp=0.05),
        precision="float32",
        output=Output(log=10_000, samples=100_000, checkpoint=200_000),
    )  # fmt: skip
