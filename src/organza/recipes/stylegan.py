"""StyleGAN: "A Style-Based Generator Architecture for Generative Adversarial Networks" (Karras et al., 2019,
arXiv:1812.04948).

    organza train stylegan --data emoji --data.resolution 32 --out runs/stylegan

Both networks grow as ProGAN's, from 8x8 on (`models/stylegan.py`). The loss is the non-saturating one with R1 in every
turn of D, gamma 10 (section 2, appendix C), and nine in ten fakes mix the styles of two w (section 3.1).

    D minimises  E softplus(D(G(z))) + E softplus(-D(x)) + gamma / 2 E |grad D(x)|^2
    G minimises  E softplus(-D(G(z)))

`paper`: 600,000 images to fade a level in and as many until the next one, 25 million in all, Adam with betas 0 and 0.99
and a rate that depends on the size, channels from 16 at 1024x1024 to 512. The paper's batch shrinks as its networks
grow (256 at 8x8, 32 from 128x128 on 8 GPUs); here it is 32 throughout, and `--accumulate` splits it.

`laptop` is narrow, with short phases, no mixing, and a gamma that fits its size.
"""

from __future__ import annotations

from organza.config import EMA, Config, Data, Model, Optimizer, Output, Penalty, Player, Shape, Size
from organza.layers.geometry import image, pyramid

RATES = {128: 1.5e-3, 256: 2e-3, 512: 3e-3, 1024: 3e-3}


def stylegan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for images of `shape` (C, H, W). Raises ConfigError for points and for sides like 27."""
    _, height, width = image(shape)
    *_, levels = pyramid(height, width)
    return _paper(max(height, width)) if size == "paper" else _laptop(max(height, width), levels)


def _paper(side: int) -> Config:
    rate = RATES.get(side, 3e-3 if side > 512 else 1e-3)
    return _config(
        noise=512, layers=8, width=min(16_384 >> (side - 1).bit_length(), 512), most=512, mixing=0.9, phase=600_000,
        images=25_000_000, batch=32, lr=rate, gamma=10.0, half_life=10_000.0,
        output=Output(log=20_000, samples=200_000, checkpoint=500_000),
    )  # fmt: skip


def _laptop(side: int, levels: int) -> Config:
    phase = 5_000
    images = 2 * phase * (levels - 1) + (100_000 if side <= 32 else 60_000)
    return _config(
        noise=128, layers=2, width=16 if side <= 32 else 8, most=128, mixing=0.0, phase=phase, images=images, batch=16,
        lr=2.5e-3, gamma=side**2 / 1024, half_life=5_000.0,
        output=Output(log=2_000, samples=10_000, checkpoint=images // 4),
    )  # fmt: skip


def _config(
    noise: int, layers: int, width: int, most: int, mixing: float, phase: int, images: int, batch: int, lr: float,
    gamma: float, half_life: float, output: Output,
) -> Config:  # fmt: skip
    growing = {"width": width, "max_width": most, "fade": phase, "stable": phase, "first": 1}
    maker = {"z_dim": noise, "w_dim": noise, "mapping_layers": layers, "mixing": mixing, **growing}
    adam = Optimizer(name="adam", lr=lr, beta1=0.0, beta2=0.99, eps=1e-8, weight_decay=0.0)
    judge = Model(name="stylegan", options={**growing, "group": 4, "blur": True})
    return Config(
        recipe="stylegan",
        generator=Player(model=Model(name="stylegan", options=maker), optimizer=adam),
        discriminator=Player(model=judge, optimizer=adam, penalties=(Penalty(name="r1", weight=gamma / 2),)),
        loss="non-saturating",
        share_fakes=False,
        data=Data(source="emoji", flip=False),
        batch=batch,
        images=images,
        ema=EMA(half_life=half_life, ramp=0.05),
        precision="float32",
        output=output,
    )
