"""StyleGAN3: "Alias-Free Generative Adversarial Networks" (Karras et al., 2021, arXiv:2106.12423), in its
configurations T and R.

    organza train stylegan3-t --data emoji --data.resolution 32 --out runs/stylegan3-t
    organza train stylegan3-r --data photos.zip --size paper --out runs/stylegan3-r

G follows translations (T), or rotations as well (R), down to fractions of a pixel (`models/stylegan3.py`); D is
StyleGAN2's. The loss is the non-saturating one with R1 in every 16th turn of D; neither path length nor mixing.

    D minimises  E softplus(D(G(z))) + E softplus(-D(x)) + gamma / 2 E |grad D(x)|^2
    G minimises  E softplus(-D(G(z)))

`paper`: batch 32, Adam with betas 0 and 0.99, 2.5e-3 for G and 2e-3 for D, gamma 2 at 256x256 and four times as much
for each doubling. R has 1x1 kernels, twice the channels and round filters; what D sees is blurred at first, so that G
does not settle on pixels: by 10 pixels, which fade out over the first 200,000 images (times the batch over 32).
With fewer than about 10,000 images add `--augment.policy bgc --augment.probability 0 --augment.target 0.6`.

`laptop` is narrow. These networks are dear on a CPU: many layers on canvases with a margin. For pictures that do not
move StyleGAN2 gives more in the same time.
"""

from __future__ import annotations

from organza.config import EMA, Config, Data, Model, Optimizer, Output, Penalty, Player, Schedule, Shape, Size
from organza.layers.geometry import image
from organza.recipes.stylegan2 import lazy

BLUR = 10.0  # pixels, at the start of R
BLURRED = 200_000  # images, at batch 32


def stylegan3_t(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration T for images of `shape` (C, H, W). Raises ConfigError for points."""
    return _config("stylegan3-t", shape, size, rotates=False)


def stylegan3_r(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration R, which rotations do not disturb. Raises ConfigError for points."""
    return _config("stylegan3-r", shape, size, rotates=True)


def _config(recipe: str, shape: Shape, size: Size, rotates: bool) -> Config:
    side, small = max(image(shape)[1:]), size == "laptop"
    batch, images = (8, 30_000) if small else (32, 25_000_000)
    gamma = side**2 / 1024 if small else 2.0 * (side / 256) ** 2
    maker = _maker(side, small, rotates, batch)
    judge = {
        "width": max((1024 if small else _base(side)) // side, 1), "max_width": 128 if small else 512, "arch": "resnet",
        "group": 4, "mapping_layers": 2 if small else 8, "clamp": None,
    }  # fmt: skip
    blurred = images // 10 if small else BLURRED * batch // 32
    start = side / 32 if small else BLUR
    adam = Optimizer(name="adam", lr=0.0025, beta1=0.0, beta2=0.99, eps=1e-8, weight_decay=0.0)
    slower = Optimizer(name="adam", lr=0.0025 if small else 0.002, beta1=0.0, beta2=0.99, eps=1e-8, weight_decay=0.0)
    return Config(
        recipe=recipe,
        generator=Player(model=Model(name="stylegan3", options=maker), optimizer=adam),
        discriminator=Player(
            model=Model(name="stylegan3", options=judge), optimizer=lazy(slower, 16),
            penalties=(Penalty(name="r1", weight=gamma / 2, every=16),),
        ),
        loss="non-saturating",
        share_fakes=small,
        blur=Schedule(start=start, end=0.0, images=blurred, shape="linear") if rotates else 0.0,
        data=Data(source="emoji", flip=False),
        batch=batch,
        images=images,
        ema=EMA(half_life=5_000.0 if small else batch * 312.5, ramp=0.05),
        precision="auto",
        output=Output(log=2_000, samples=2_500, checkpoint=7_500) if small
        else Output(log=20_000, samples=200_000, checkpoint=500_000),
    )  # fmt: skip


def _maker(side: int, small: bool, rotates: bool, batch: int) -> dict:
    """The options of the generator; R has twice the channels."""
    base, most = (1024, 64) if small else (_base(side), 512)
    noise, more = (128 if small else 512), (2 if rotates else 1)
    return {
        "z_dim": noise, "w_dim": noise, "mapping_layers": 2, "width": max(base * more // side, 1),
        "max_width": most * more, "kernel": 1 if rotates else 3, "radial": rotates, "layers": 8 if small else 14,
        "critical": 2, "first_cutoff": 2.0, "first_stopband": 2.0**2.1, "last_stopband": 2.0**0.3,
        "margin": 4 if small else 10, "taps": 6, "output_scale": 0.25, "clamp": None if small else 256.0,
        "magnitude_decay": 0.5 ** (batch / 20_000), "embed_dim": None, "class_averages": False,
    }  # fmt: skip


def _base(side: int) -> int:
    """Channels times resolution, of both players, as the published networks of this size have it."""
    return 32_768 if side >= 512 else 16_384
