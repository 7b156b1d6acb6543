"""ProGAN: "Progressive Growing of GANs for Improved Quality, Stability, and Variation" (Karras et al., 2018,
arXiv:1710.10196).

    organza train progan --data mnist --out runs/progan

Both networks begin with images of about 4x4 and grow level by level while they learn (section 2, `models/progan.py`).
The loss is that of WGAN-GP with one turn for each player, and a pull of the critic's level to zero (appendix A.1):

    D minimises  E D(G(z)) - E D(x) + 10 E (|grad D(x')| - 1)^2 + 0.001 E D(x)^2,   x' between a real and a fake sample
    G minimises  -E D(G(z))

`paper` is appendix A.1: 800,000 images to fade a level in and as many until the next one, batch 16, Adam 1e-3 with
betas 0 and 0.99, an average of G that keeps 0.999 of itself in each step, channels as in table 2 (16 at 1024x1024, 512
at most). Above 128x128 the paper's batch shrinks to fit its memory; here it stays, and `--accumulate` splits it.

`laptop` has narrow networks and short phases; most of the time goes to the full size, where an image costs four times
as much as one of the smallest. Both networks must have the same `fade` and `stable`, and a run that is cut short (by
`--images` or `--minutes`) may end before the last level has come.
"""

from __future__ import annotations

from organza.config import EMA, Config, Data, Model, Optimizer, Output, Penalty, Player, Shape, Size
from organza.layers.geometry import image, pyramid


def progan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for images of `shape` (C, H, W). Raises ConfigError for points and for sides like 27."""
    _, height, width = image(shape)
    *_, levels = pyramid(height, width)
    return _paper(max(height, width), levels) if size == "paper" else _laptop(max(height, width), levels)


def _paper(side: int, levels: int) -> Config:
    phase = 800_000
    return _config(
        z_dim=512, width=min(16_384 >> (side - 1).bit_length(), 512), max_width=512, fade=phase, stable=phase,
        images=phase * (2 * levels + 1), batch=16, lr=1e-3, half_life=11_085.0,  # 16 images keep 0.999
        output=Output(log=20_000, samples=100_000, checkpoint=400_000),
    )  # fmt: skip


def _laptop(side: int, levels: int) -> Config:
    fade, stable, last = 10_000, 10_000, 80_000 if side <= 32 else 40_000  # the last phase is longer
    images = levels * (fade + stable) + last
    return _config(
        z_dim=128, width=8 if side <= 32 else 4, max_width=64, fade=fade, stable=stable,
        images=images, batch=32, lr=2e-3, half_life=5_000.0,
        output=Output(log=5_000, samples=20_000, checkpoint=images // 4),
    )  # fmt: skip


def _config(
    z_dim: int, width: int, max_width: int, fade: int, stable: int, images: int, batch: int, lr: float,
    half_life: float, output: Output,
) -> Config:  # fmt: skip
    networks = {"width": width, "max_width": max_width, "fade": fade, "stable": stable}
    adam = Optimizer(name="adam", lr=lr, beta1=0.0, beta2=0.99, eps=1e-8, weight_decay=0.0)
    penalties = (Penalty(name="gradient-norm", weight=10.0), Penalty(name="drift", weight=0.001))
    critic = Model(name="progan", options={**networks, "group": 4, "first": 0, "blur": False})
    return Config(
        recipe="progan",
        generator=Player(model=Model(name="progan", options={"z_dim": z_dim, **networks}), optimizer=adam),
        discriminator=Player(model=critic, optimizer=adam, penalties=penalties),
        loss="wasserstein",
        share_fakes=False,
        data=Data(flip=False),
        batch=batch,
        images=images,
        ema=EMA(half_life=half_life, ramp=None),
        precision="float32",
        output=output,
    )
