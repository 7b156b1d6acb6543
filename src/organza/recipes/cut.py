"""CUT: "Contrastive Learning for Unpaired Image-to-Image Translation" (Park et al., 2020, arXiv:2007.15651).

    organza train cut --data emoji-pairs --out runs/cut
    organza train fastcut --data my/horse2zebra --size paper --out runs/zebras

One way only, without the way back: a patch of the result has to be recognised as the patch of the source that stood
there, among 255 others of the same source (PatchNCE, eq. 3 and 5).

    D minimises  E (D(y) - 1)^2 + E D(G(x))^2
    G minimises  E (D(G(x)) - 1)^2 + NCE(G(x), x) + NCE(G(y), y)        (section 3.3)

Official code takes the mean of both contrasts, and least squares are halved here (arXiv:1611.04076, eq. 9): hence
weights of a quarter, and of 5 in the place of 10. `fastcut` leaves the second one out, weighs the first by 10, and
halves the epochs (150 and 50 while the rate falls; `cut` has 200 and 200). Its flips of source and result together are
left out here. `laptop` has a quarter of the width, 3 blocks, batches of 4, an average of its weights, and halves
without a low-pass filter first, which costs twice the time on a CPU. Without it the grid of the transposed convolutions
shows at first; `--generator.model.upsample resize` leaves none, and was further from Twemoji after a sixth
of the budget (Fréchet distance 21 to 6).
"""

from __future__ import annotations

from organza.config import Config, Model, Penalty, Player, Shape, Size
from organza.recipes.translation import emoji_pairs, held_adam, translation, unpaired_average

EPOCH = 1_334  # zebras


def cut(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for targets of `shape` (C, H, W)."""
    contrasts = (Penalty(name="patches", weight=0.25), Penalty(name="patches-of-targets", weight=0.25))
    return _config("cut", size, contrasts, epochs=(200, 200))


def fastcut(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for targets of `shape` (C, H, W), in less than half the time."""
    return _config("fastcut", size, (Penalty(name="patches", weight=5.0),), epochs=(150, 50))


def _config(name: str, size: Size, contrasts: tuple[Penalty, ...], epochs: tuple[int, int]) -> Config:
    small = size == "laptop"
    images = 60_000 if small else EPOCH * sum(epochs)
    adam = held_adam(4e-4 if small else 2e-4, images, held=epochs[0] / sum(epochs))
    both = {"norm": "instance", "antialias": not small}
    maker = {"width": 16 if small else 64, "blocks": 3 if small else 9, "dropout": 0.0, "upsample": "transposed"}
    judge = {"width": 32 if small else 64, "layers": 2 if small else 3}
    return translation(
        name,
        "unpaired",
        generator=Player(model=Model(name="cyclegan", options=maker | both), optimizer=adam, penalties=contrasts),
        discriminator=Player(model=Model(name="cyclegan", options=judge | both), optimizer=adam),
        loss="least-squares",
        data=emoji_pairs(small),
        batch=4 if small else 1,
        images=images,
        small=small,
        ema=unpaired_average(small),
    )
