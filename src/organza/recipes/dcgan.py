"""DCGAN: "Unsupervised Representation Learning with Deep Convolutional GANs" (Radford et al., 2015, arXiv:1511.06434).

    organza train dcgan --data mnist --out runs/dcgan

All-convolutional networks with batch norm, and the non-saturating loss (arXiv:1406.2661, section 3):

    D minimises  -E log sigmoid(D(x)) - E log(1 - sigmoid(D(G(z))))
    G minimises  -E log sigmoid(D(G(z)))

`paper` is section 4: width 128 (1024 channels at 4x4 for 64x64 images), batch 128, Adam 2e-4 with beta1 0.5, no
average. `laptop` has fewer channels and a higher rate that falls in a line, shares one pass of G between both turns,
judges G's average, and computes in bfloat16 where the processor does.
"""

from __future__ import annotations

from organza.config import EMA, Config, Data, Model, Optimizer, Output, Player, Schedule, Shape, Size
from organza.layers.geometry import image


def dcgan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for images of `shape` (C, H, W), 16 to 256 pixels a side."""
    return _paper() if size == "paper" else _laptop(shape)


def _paper() -> Config:
    adam = Optimizer(name="adam", lr=2e-4, beta1=0.5, beta2=0.999)
    generator = {"z_dim": 100, "width": 128, "max_width": 1024, "upsample": "transposed", "norm": "batch", "slope": 0.0}
    discriminator = {"width": 128, "max_width": 1024, "norm": "batch", "dropout": 0.0, "minibatch": "none"}
    return Config(
        recipe="dcgan",
        generator=Player(model=Model(name="dcgan", options=generator), optimizer=adam),
        discriminator=Player(model=Model(name="dcgan", options=discriminator), optimizer=adam),
        loss="non-saturating",
        data=Data(),
        batch=128,
        images=25_000_000,
        ema=EMA(half_life=0.0, ramp=None),
        precision="auto",
        output=Output(log=20_000, samples=500_000, checkpoint=1_000_000),
    )


def _laptop(shape: Shape) -> Config:
    _, height, width = image(shape)
    images = 600_000 if height * width <= 32 * 32 else 300_000
    generator = {"z_dim": 100, "width": 64, "max_width": 128, "upsample": "transposed", "norm": "batch", "slope": 0.0}
    discriminator = {"width": 24, "max_width": 96, "norm": "batch", "dropout": 0.0, "minibatch": "none"}
    if height * width > 32 * 32:
        generator["max_width"], discriminator["max_width"] = 256, 192
    rate = Schedule(start=2e-3, end=1e-4, images=images, shape="linear")
    adam = Optimizer(name="adam", lr=rate, beta1=0.5, beta2=0.999)
    return Config(
        recipe="dcgan",
        generator=Player(model=Model(name="dcgan", options=generator), optimizer=adam),
        discriminator=Player(model=Model(name="dcgan", options=discriminator), optimizer=adam),
        loss="non-saturating",
        share_fakes=True,
        data=Data(),
        batch=48,
        images=images,
        ema=EMA(half_life=20_000.0, ramp=0.05),
        precision="auto",
        output=Output(log=5_000, samples=images // 12, checkpoint=images // 6),
    )
