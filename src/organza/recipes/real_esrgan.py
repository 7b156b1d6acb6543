"""Real-ESRGAN: "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data" (Wang et al., 2021,
arXiv:2107.10833).

    organza train real-esrgan --data emoji --out runs/restored
    organza train real-esrgan --data my/photos --size paper --out runs/mine
    organza train real-esrgan --data my/photos --data.degrade real-esrgan-x2 --out runs/twice

As `esrgan`, but the small copies are what is found on the web: blurred, resized, noisy and stored as JPEG, twice
(`organza.data.real_esrgan`), anew in every batch. D is a U-Net that judges every pixel, of spectrally normed layers:

    D minimises  -E log sigmoid(D(y)) - E log(1 - sigmoid(D(G(x))))
    G minimises  -E log sigmoid(D(G(x))) + 10 E |s(y) - G(x)| + 10 E perceptual(s(y), G(x))     (section 3.3)

which is the paper's L1 + perceptual + 0.1 game, divided by 0.1; s sharpens, and D sees y as it is. The first stage is
L1 alone, as in `esrgan`. `paper` has its iterations (1 000 000 and 400 000 of 48), squares of 256 pixels, and the
generator of 23 blocks. Its perceptual loss is that of five layers of VGG19 (`--perceptual vgg19-real-esrgan`); unasked
it is LPIPS where its weights are found, else the embedded network. There is no pool of 180 pairs, which mixes batches
of one size each: here every sample has its own.
"""

from __future__ import annotations

from organza.config import Config, Model, Optimizer, Penalty, Player, Shape, Size
from organza.recipes.esrgan import averaged, data
from organza.recipes.translation import stepped, translation


def real_esrgan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for targets of `shape` (C, H, W), whose sides divide by 8; C is 1 or 3.

    `laptop` takes the compact generator of the paper's code, thinner, a discriminator of half the width, and a first
    rate of 1e-3 (with 2e-4 it was still below the bicubic filter after 312 steps).
    """
    small = size == "laptop"
    first, second, batch = (40_000, 40_000, 8) if small else (48_000_000, 19_200_000, 48)
    maker = Model(name="srvgg", options={"width": 32, "depth": 8, "shuffle": 0})
    if not small:
        maker = Model(name="esrgan", options={"width": 64, "blocks": 23, "growth": 32})
    return translation(
        "real-esrgan",
        "restore",
        generator=Player(
            model=maker,
            optimizer=Optimizer(name="adam", lr=stepped(1e-3 if small else 2e-4, 1e-4, first), beta1=0.9, beta2=0.99),
            penalties=(
                Penalty(name="pixel-sharpened", weight=10.0),
                Penalty(name="perceptual-sharpened", weight=stepped(0.0, 10.0, first)),
            ),
        ),
        discriminator=Player(
            model=Model(name="srvgg", options={"width": 32 if small else 64}),
            optimizer=Optimizer(name="adam", lr=stepped(0.0, 1e-4, first), beta1=0.9, beta2=0.99),
        ),
        loss="non-saturating",
        data=data("real-esrgan", None if small else 256),
        batch=batch,
        images=first + second,
        ema=averaged(batch),
        small=small,
    )
