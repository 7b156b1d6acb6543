"""pix2pix: "Image-to-Image Translation with Conditional Adversarial Networks" (Isola et al., 2017, arXiv:1611.07004).

    organza train pix2pix --data emoji-pairs --out runs/pix2pix
    organza train pix2pix --data emoji --data.degrade outline --out runs/colours
    organza train pix2pix --data my/pairs --size paper --out runs/mine

A U-Net translates; D looks at source and result side by side, at patches of 70 pixels, each called real or fake:

    D minimises  -E log sigmoid(D(x, y)) - E log(1 - sigmoid(D(x, G(x))))
    G minimises  -E log sigmoid(D(x, G(x))) + 100 E |y - G(x)|        (eq. 1, 3 and 4)

Pairs are cut out of images resized to 286 pixels and mirrored at random; the published runs take 100 epochs and 100
more while the rate falls to zero, one pair at a time. D's turn comes first here as there. Its loss is halved there,
which Adam does not notice. `laptop` has a quarter of the width, batches of 8 and a patch of 34 pixels.
"""

from __future__ import annotations

from organza.config import Config, Model, Penalty, Player, Shape, Size
from organza.recipes.translation import emoji_pairs, held_adam, translation


def pix2pix(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for targets of `shape` (C, H, W). Raises ConfigError for images too small to be halved."""
    small = size == "laptop"
    images = 150_000 if small else 200 * 400  # epochs of the façades
    adam, width = held_adam(1e-3 if small else 2e-4, images), 32 if small else 64
    maker = {"width": width, "downs": 0, "norm": "batch", "dropout": 0.5, "upsample": "transposed"}
    judge = {"width": width, "layers": 2 if small else 3, "norm": "batch", "antialias": False}
    return translation(
        "pix2pix",
        "paired",
        generator=Player(
            model=Model(name="pix2pix", options=maker),
            optimizer=adam,
            penalties=(Penalty(name="pixel", weight=100.0),),
        ),
        discriminator=Player(model=Model(name="pix2pix", options=judge), optimizer=adam),
        loss="non-saturating",
        data=emoji_pairs(small),
        batch=8 if small else 1,
        images=images,
        small=small,
    )
