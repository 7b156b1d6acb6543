"""colorize: "Image-to-Image Translation with Conditional Adversarial Networks" (Isola et al., 2017, arXiv:1611.07004).

    organza train colorize --data emoji --out runs/coloured
    organza train colorize-nogan --data my/photos --out runs/mine
    organza colorize old.jpg --model runs/coloured

pix2pix in Lab: the U-Net sees how light each pixel is and predicts a and b, and the lightness stays that of the source
(`organza.models.colorize`). D sees grey and colour side by side. Losses are those of `pix2pix`, with L1 between RGB
pictures and not between a and b.

`colorize-nogan` trains as DeOldify does (Antic, 2018, without a paper), whose networks it has not: first G alone, by L1
and `perceptual`; then D on what G makes, while G goes on alone; then the game, short and at a tenth of G's rate. The
game is a tenth of the images here, and 1 to 3 % of those of its data there.
"""

from __future__ import annotations

import dataclasses

from organza.config import Config, Data, Model, Penalty, Player, Shape, Size
from organza.recipes.translation import held_adam, stepped, translation

ALONE_UNTIL, JUDGED_UNTIL = 0.75, 0.9  # shares of the run in which G learns alone, and in which the game begins


def colorize(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for RGB targets of `shape` (3, H, W)."""
    small = size == "laptop"
    images, width = (100_000, 32) if small else (16_000_000, 64)
    adam = held_adam(1e-3 if small else 2e-4, images)
    maker = {"downs": 0, "width": width, "norm": "batch", "dropout": 0.5, "upsample": "transposed"}
    judge = {"width": width, "layers": 2 if small else 3, "norm": "batch", "antialias": False}
    return translation(
        "colorize",
        "paired",
        generator=Player(
            model=Model(name="colorize", options=maker), optimizer=adam,
            penalties=(Penalty(name="pixel", weight=100.0),),
        ),
        discriminator=Player(model=Model(name="colorize", options=judge), optimizer=adam),
        loss="non-saturating",
        data=Data(source="emoji", channels="rgb", degrade="lightness", flip=True, window=None if small else (256, 256)),
        batch=8 if small else 16,
        images=images,
        small=small,
    )  # fmt: skip


def colorize_nogan(shape: Shape, size: Size = "laptop") -> Config:
    """The same in three parts: G alone, D alone on what G makes, and a short game."""
    plain, small = colorize(shape, size), size == "laptop"
    alone, judged = round(ALONE_UNTIL * plain.images), round(JUDGED_UNTIL * plain.images)
    rate = 1e-3 if small else 2e-4
    return dataclasses.replace(
        plain,
        recipe="colorize-nogan",
        generator=dataclasses.replace(
            plain.generator,
            optimizer=dataclasses.replace(plain.generator.optimizer, lr=stepped(rate, rate / 10, judged)),
            penalties=(Penalty(name="pixel", weight=100.0), Penalty(name="perceptual", weight=10.0)),
        ),
        # Adam forgets the size of gradients slowly: were G taught by weights that drown the game before, and by others
        # in it, its steps would be too small to the end.
        game_weight=stepped(0.0, 1.0, judged),
        discriminator=dataclasses.replace(
            plain.discriminator,
            optimizer=dataclasses.replace(plain.discriminator.optimizer, lr=stepped(0.0, rate / 2, alone)),
        ),
    )
