"""pix2pixHD: "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs" (Wang et al., 2018,
arXiv:1711.11585).

    organza train pix2pixhd --data emoji-pairs --out runs/hd
    organza train pix2pixhd --data my/streets --data.layout_classes 35 --size paper --out runs/streets

Label maps, or any other images, become large pictures. Two judges look at source and result side by side, at the full
size and at half of it, and G is taught by what they see as well as by what they say:

    D minimises  sum over scales k of  E (D_k(x, y) - 1)^2 + E D_k(x, G(x))^2
    G minimises  sum over k of  E (D_k(x, G(x)) - 1)^2 + 10 FM_k + 10 P        (eq. 3 to 5)

where FM is the mean distance of y and G(x) in D's layers, and P that in a trained network: VGG19 as published with
`--perceptual vgg19`; unasked LPIPS where its weights are found, else the embedded network. Least squares are halved
here, and so are both weights. The published runs take 100 epochs and 100 more while the rate falls to zero, one picture
at a time. For pictures of 2048 pixels, train `--generator.model.local true` from a run without it (`--start`), with
`--discriminator.model.scales 3`. Planes of the edges between instances, and their features, are not made here. `laptop`
has a quarter of the width, two halvings and batches of 4.
"""

from __future__ import annotations

from organza.config import Config, Data, Model, Penalty, Player, Shape, Size
from organza.recipes.translation import held_adam, translation

EPOCH = 2_975  # street scenes


def pix2pixhd(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for targets of `shape` (C, H, W)."""
    small = size == "laptop"
    images = 60_000 if small else EPOCH * 200
    adam = held_adam(4e-4 if small else 2e-4, images)
    maker = {"width": 16 if small else 64, "downs": 2 if small else 4, "blocks": 4 if small else 9, "local": False,
             "local_blocks": 3, "norm": "instance", "upsample": "transposed"}  # fmt: skip
    judge = {"layers": 2 if small else 3, "scales": 2, "width": 32 if small else 64, "norm": "instance"}
    return translation(
        "pix2pixhd",
        "paired",
        generator=Player(
            model=Model(name="pix2pixhd", options=maker),
            optimizer=adam,
            penalties=(Penalty(name="judged-alike", weight=5.0), Penalty(name="perceptual", weight=5.0)),
        ),
        discriminator=Player(model=Model(name="pix2pixhd", options=judge), optimizer=adam),
        loss="least-squares",
        data=Data(source="emoji-pairs", flip=True, resolution=None if small else (512, 1024)),
        batch=4 if small else 1,
        images=images,
        small=small,
    )
