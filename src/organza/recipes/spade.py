"""SPADE, or GauGAN: "Semantic Image Synthesis with Spatially-Adaptive Normalization" (Park et al., 2019,
arXiv:1903.07291).

    organza train spade --data emoji --out runs/painter
    organza train spade --data my/landscapes --data.layout_classes 151 --size paper --out runs/landscapes

A label map says what is to be seen at every place; every norm of G is told again, so that no norm washes it out. Two
judges look at map and picture together:

    D minimises  sum over scales k of  E max(0, 1 - D_k(m, y)) + E max(0, 1 + D_k(m, G(m)))
    G minimises  sum over k of  -E D_k(m, G(m)) + 10 FM_k + 10 P        (section 3 and appendix A)

where FM is the mean distance of y and G(m) in D's layers, and P that in a trained network: VGG19 as published with
`--perceptual vgg19`; unasked LPIPS where its weights are found, else the embedded network. Those take the mean over
both scales where this is the sum, hence both weights are doubled. D's rate is four times G's. The published runs take
200 epochs, the second half while both rates fall to zero, 32 pictures at a time. Without noise each map has one
picture. With the encoder of the paper (section 3, "multi-modal synthesis"), of an eighth of its width here, maps are
painted as another picture is:

    organza train spade --data emoji --out runs/styled --generator.model.vae true --generator.model.encoder_width 8
        --generator.penalties judged-alike,perceptual,codes --generator.penalties.codes.weight 0.4
    organza translate my/photos --model runs/styled --degrade --style picture.png

The divergence weighs 0.05 of the sum over the 4 pictures of a GPU there; here of their mean, and doubled as the others.

By default maps are made of the pictures themselves (`data.degrade regions`); with a folder of label maps, palette or
grey images of class numbers, type `--data.layout_classes N --data.degrade none`. `laptop` has an eighth of the width
and batches of 8.
"""

from __future__ import annotations

from organza.config import Config, Data, Model, Penalty, Player, Shape, Size
from organza.recipes.translation import held_adam, translation

EPOCH = 20_210  # pictures of ADE20K


def spade(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for targets of `shape` (C, H, W), whose sides 32 divides."""
    small = size == "laptop"
    images = 100_000 if small else EPOCH * 200
    rates = (2e-4, 8e-4) if small else (1e-4, 4e-4)
    slow, fast = (held_adam(rate, images, beta1=0.0, beta2=0.9) for rate in rates)
    maker = {"width": 8 if small else 64, "hidden": 32 if small else 128, "ups": "usual", "norm": "batch",
             "vae": False, "z_dim": 256, "encoder_width": 0, "spectral": True}  # fmt: skip
    judge = {"layers": 3 if small else 4, "scales": 2, "width": 32 if small else 64, "spectral": True}
    return translation(
        "spade",
        "paired",
        generator=Player(
            model=Model(name="spade", options=maker),
            optimizer=slow,
            penalties=(Penalty(name="judged-alike", weight=20.0), Penalty(name="perceptual", weight=20.0)),
        ),
        discriminator=Player(model=Model(name="spade", options=judge), optimizer=fast),
        loss="hinge",
        data=Data(source="emoji", degrade="regions", flip=True, resolution=None if small else (256, 256)),
        batch=8 if small else 32,
        images=images,
        small=small,
    )
