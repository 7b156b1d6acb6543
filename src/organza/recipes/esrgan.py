"""ESRGAN: "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks" (Wang et al., 2018, arXiv:1809.00219).

    organza train esrgan --data emoji --out runs/esrgan
    organza train esrgan --data my/photos --size paper --out runs/mine

Small copies, made by a bicubic filter, are enlarged four times; each has its large original to be compared with. The
first stage learns L1 alone, which blurs but does not invent. The second is the game:

    D minimises  -E log sigmoid(D(y) - E D(G(x))) - E log(1 - sigmoid(D(G(x)) - E D(y)))        (eq. 1)
    G minimises  the same with y and G(x) swapped, + 200 E perceptual(y, G(x)) + 2 E |y - G(x)|

which is the paper's perceptual + 0.005 game + 0.01 L1 (eq. 3), divided by 0.005. PSNR falls when the second stage
begins: that is the trade of the paper, and why LPIPS is to be looked at beside it.

In the first stage D's rate is zero: it takes no turn, and G hears of L1 alone, at a fraction of the cost. `paper` has
the iterations of both stages (1 000 000 and 400 000 of 16); its rates are halved or restarted several times there, and
held here. Its perceptual loss is that of VGG19 before the last ReLU (conv5_4): `--perceptual vgg19-esrgan`. Unasked it
is LPIPS where its weights are found, else the small embedded network, to whose scales 200 was not tuned. Sources are
cut and made anew in every batch.
"""

from __future__ import annotations

from organza.config import EMA, Config, Data, Model, Optimizer, Penalty, Player, Shape, Size
from organza.recipes.translation import stepped, translation


def esrgan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for targets of `shape` (C, H, W), squares of 16 times a power of two.

    `laptop` has 4 thin blocks, a discriminator of half the width, and a first rate of 1e-3 for its few steps.
    """
    small = size == "laptop"
    first, second, batch = (40_000, 40_000, 8) if small else (16_000_000, 6_400_000, 16)
    maker = {"width": 32, "blocks": 4, "growth": 16} if small else {"width": 64, "blocks": 23, "growth": 32}
    judge = {"width": 32, "max_width": 256} if small else {"width": 64, "max_width": 512}
    return translation(
        "esrgan",
        "restore",
        generator=Player(
            model=Model(name="esrgan", options=maker),
            optimizer=Optimizer(name="adam", lr=stepped(1e-3 if small else 2e-4, 1e-4, first), beta1=0.9, beta2=0.99),
            penalties=(
                Penalty(name="pixel", weight=2.0),
                Penalty(name="perceptual", weight=stepped(0.0, 200.0, first)),
            ),
        ),
        discriminator=Player(
            model=Model(name="esrgan", options=judge),
            optimizer=Optimizer(name="adam", lr=stepped(0.0, 1e-4, first), beta1=0.9, beta2=0.99),
        ),
        loss="relativistic-average",
        data=data("bicubic-x4", None if small else 128),
        batch=batch,
        images=first + second,
        ema=averaged(batch),
        small=small,
    )


def data(degrade: str, side: int | None) -> Data:
    """The embedded emoji, or squares of so many pixels cut out of what comes."""
    return Data(source="emoji", degrade=degrade, flip=True, window=None if side is None else (side, side))


def averaged(batch: int) -> EMA:
    """0.999 per step: half after 693 steps."""
    return EMA(half_life=693.0 * batch, ramp=0.05)
