"""FastGAN, for few images: "Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image Synthesis" (Liu
et al., 2021, arXiv:2101.04775).

    organza train fastgan --data mnist --out runs/fastgan

A light generator whose small maps excite its large ones, and a discriminator that must be able to draw the real images
it sees (section 3, `models/fastgan.py`). D judges each place of two maps, and the hinge loss is averaged over them:

    D minimises  E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))) + E |drawn by D(x) - x|     (eq. 2 and 3)
    G minimises  -E D(G(z))                                                             (eq. 4)

Spectral norm on both networks, DiffAugment (arXiv:2006.10738) on all that D sees.

`paper` has width 64, batch 8, Adam 2e-4 with beta1 0.5, 50,000 steps, an average of G that keeps 0.999 of itself in
each. One pass of G serves both turns. The authors' implementation draws the margins of the hinge anew from 0.8 to 1,
and has a third decoder on the coarse branch; here both follow the paper's text. Drawings are compared by an L1 distance
in the place of LPIPS, which would need weights.

`laptop` has narrow networks, and larger batches at a higher rate. Its average forgets the start sooner: the statistics
of batch norm are averaged with the weights, and those of the first steps are far off.
"""

from __future__ import annotations

from organza.config import EMA, Augment, Config, Data, Model, Optimizer, Output, Penalty, Player, Shape, Size
from organza.layers.geometry import image


def fastgan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for images of `shape` (C, H, W), both sides at least 14. Raises ConfigError for points."""
    channels, height, width = image(shape)
    return _paper(channels) if size == "paper" else _laptop(max(height, width))


def _paper(channels: int) -> Config:
    return _config(
        z_dim=256, width=64, lr=2e-4, batch=8, images=400_000,
        ema=EMA(half_life=5_542.0, ramp=None),  # 8 images keep 0.999
        flip=channels >= 3, output=Output(log=4_000, samples=20_000, checkpoint=40_000),
    )  # fmt: skip


def _laptop(side: int) -> Config:
    small = side <= 32
    images = 80_000 if small else 40_000
    return _config(
        z_dim=128, width=8 if small else 4, lr=1e-3, batch=32, images=images, ema=EMA(half_life=5_000.0, ramp=0.05),
        flip=False, output=Output(log=2_000, samples=10_000, checkpoint=images // 4),
    )  # fmt: skip


def _config(
    z_dim: int, width: int, lr: float, batch: int, images: int, ema: EMA, flip: bool, output: Output
) -> Config:  # fmt: skip
    adam = Optimizer(name="adam", lr=lr, beta1=0.5, beta2=0.999, eps=1e-8, weight_decay=0.0)
    generator = Model(name="fastgan", options={"z_dim": z_dim, "width": width})
    discriminator = Model(name="fastgan", options={"width": width})
    penalties = (Penalty(name="reconstruction", weight=1.0),)
    return Config(
        recipe="fastgan",
        generator=Player(model=generator, optimizer=adam, spectral_norm=True),
        discriminator=Player(model=discriminator, optimizer=adam, penalties=penalties, spectral_norm=True),
        loss="hinge",
        share_fakes=True,
        augment=Augment(policy=("diffaugment",), probability=1.0),
        data=Data(flip=flip),
        batch=batch,
        images=images,
        ema=ema,
        precision="float32",
        output=output,
    )
