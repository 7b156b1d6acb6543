"""LaMa: "Resolution-robust Large Mask Inpainting with Fourier Convolutions" (Suvorov et al., 2021, arXiv:2109.07161).

    organza train lama --data emoji --out runs/lama
    organza train lama --data my/photos --size paper --out runs/mine
    organza inpaint photo.png --mask hole.png --model runs/mine

Large holes need a view of the whole picture at once: three quarters of the channels go through a Fourier transform.
Half of the holes are boxes, half are wide strokes. D sees the whole drawing of G, not pasted, at patches:

    D minimises  -E log sigmoid(D(y)) - E log(1 - sigmoid(D(G(x)))) + 0.001 E |dD/dy|^2
    G minimises  -E log sigmoid(D(G(x))) + E |y - G(x)| outside the hole + 10 matched features + 3 perceptual  (eq. 6)

which are the official weights 10, 10, 100 and 30, divided by that of the game. There the features are those of D, the
mean over its layers (`judged-alike` adds four times that mean: 2.5), and the perceptual loss is that of a dilated
ResNet50 trained to segment ADE20K, whose view is wide (eq. 3): `--perceptual resnet50-ade20k`, with its published file
in `$ORGANZA_WEIGHTS`. Unasked it is LPIPS where its weights are found, else the embedded network, which sees 64x64
pixels of the whole. In D's turn, patches of G(x) that show nothing
of the hole are called real (section 2.3). `paper` is LaMa-Fourier (9 blocks; 18 are Big LaMa) with the published rates
and 40 epochs of 25 000 batches of 10; `laptop` has a quarter of the width and 3 blocks.
"""

from __future__ import annotations

from organza.config import Config, Model, Optimizer, Penalty, Player, Shape, Size, Targets
from organza.recipes.inpaint import holed
from organza.recipes.translation import translation


def lama(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for targets of `shape` (C, H, W), whose sides divide by 8."""
    small = size == "laptop"
    maker = {"width": 16, "blocks": 3, "share": 0.75} if small else {"width": 64, "blocks": 9, "share": 0.75}
    judge = {"layers": 2, "width": 32, "norm": "batch"} if small else {"layers": 4, "width": 64, "norm": "batch"}
    return translation(
        "lama",
        "restore",
        generator=Player(
            model=Model(name="lama", options=maker),
            optimizer=Optimizer(name="adam", lr=1e-3, beta1=0.9, beta2=0.999),
            penalties=(
                Penalty(name="known", weight=1.0),
                Penalty(name="judged-alike", weight=2.5),
                Penalty(name="perceptual", weight=3.0),
            ),
            clip=0.1,  # there 1, of a loss that is ten times as large
        ),
        discriminator=Player(
            model=Model(name="lama", options=judge),
            optimizer=Optimizer(name="adam", lr=1e-4, beta1=0.9, beta2=0.999),
            penalties=(Penalty(name="r1", weight=0.001),),
            clip=0.1,
        ),
        loss="non-saturating",
        targets=Targets(known=True),
        data=holed("hole-or-strokes", small),
        batch=8 if small else 10,
        images=80_000 if small else 10_000_000,
        small=small,
    )
