"""DeepFill: "Free-Form Image Inpainting with Gated Convolution" (Yu et al., 2019, arXiv:1806.03589), version 2.

    organza train inpaint --data emoji --out runs/filled
    organza train inpaint --data my/photos --size paper --out runs/mine
    organza inpaint photo.png --mask hole.png --model runs/mine

Holes of every form, a box and brush strokes, are drawn anew in every batch. A coarse drawing is refined by dilated
convolutions and by patches that are copied from outside the hole. D sees the result and the mask; every feature of
every patch of its last layer is judged:

    D minimises  E max(0, 1 - D(y)) + E max(0, 1 + D(G(x)))
    G minimises  -E D(G(x)) + E |y - coarse| + E |y - fine|                                     (eq. 4, section 3.4)

The result is pasted: outside the hole it is the source. `paper` has batches of 16 squares of 256 pixels and the
published widths and rates; its budget of 8 million images is ours.
`laptop` has half of the widths, rates of 1e-3, and both distances weigh 20. A spectrally normed D of six layers tells
nothing apart in the first thousands of images; weighed as published, G follows its chance opinions to woven colours.
"""

from __future__ import annotations

from organza.config import Config, Data, Model, Optimizer, Penalty, Player, Shape, Size
from organza.recipes.translation import translation


def inpaint(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for targets of `shape` (C, H, W), whose sides divide by 8."""
    small = size == "laptop"
    adam = Optimizer(name="adam", lr=1e-3 if small else 1e-4, beta1=0.5, beta2=0.999)
    return translation(
        "inpaint",
        "paired",
        generator=Player(
            model=Model(name="deepfill", options={"width": 24 if small else 48}),
            optimizer=adam,
            penalties=(Penalty(name="both-stages", weight=20.0 if small else 1.0),),
        ),
        discriminator=Player(
            model=Model(name="deepfill", options={"width": 32 if small else 64, "skip": shape[0]}), optimizer=adam
        ),
        loss="hinge",
        data=holed("box-and-strokes", small),
        batch=8 if small else 16,
        images=80_000 if small else 8_000_000,
        small=small,
    )


def holed(degrade: str, small: bool) -> Data:
    """The embedded emoji, or squares of 256 pixels cut out of what comes, with holes."""
    return Data(source="emoji", degrade=degrade, flip=True, window=None if small else (256, 256))
