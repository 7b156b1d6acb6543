"""CycleGAN: "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks" (Zhu et al., 2017,
arXiv:1703.10593).

    organza train cyclegan --data emoji-pairs --out runs/cyclegan
    organza train cyclegan --data my/horse2zebra --size paper --out runs/zebras

Two translators, G from A to B and F back, and a judge of each kind of image. Nothing is paired: what keeps a result
near its source is that the other translator has to lead it back.

    D minimises  E (D_B(b) - 1)^2 + E D_B(G(a))^2, and the same of D_A
    G minimises  E (D_B(G(a)) - 1)^2 + 10 E |F(G(a)) - a| + 5 E |G(b) - b|, and the same of F   (eq. 1 to 3, sec. 5.2)

Both judges are shown an earlier result in the place of half of the new ones, out of a pool of 50 (section 4). The
published runs take 100 epochs and 100 more while the rate falls to zero, one image of each at a time, cut out at
random from 286 pixels and mirrored. Least squares are halved here (arXiv:1611.04076, eq. 9), and with them the weights
5 and 2.5. Both halves of a pair of results change places in the pool together, and D's
turn comes before G's. `laptop` translates by a U-Net, which official code offers too and which costs a fourth of the
residual network on a CPU, has batches of 4, a patch of 34 pixels and an average of its weights.
"""

from __future__ import annotations

from organza.config import Config, Model, Penalty, Player, Replay, Shape, Size
from organza.recipes.translation import emoji_pairs, held_adam, translation, unpaired_average


def cyclegan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for targets of `shape` (C, H, W)."""
    small = size == "laptop"
    images = 60_000 if small else 1_334 * 200  # epochs of the zebras
    adam = held_adam(4e-4 if small else 2e-4, images)
    plain = {"norm": "instance", "dropout": 0.0, "upsample": "transposed"}
    maker = Model(name="cyclegan", options={"width": 64, "blocks": 9, "antialias": False, **plain})
    if small:
        maker = Model(name="pix2pix", options={"width": 24, "downs": downs(shape, most=4), **plain})
    judge = {"width": 32 if small else 64, "layers": 2 if small else 3, "norm": "instance", "antialias": False}
    return translation(
        "cyclegan",
        "cycle",
        generator=Player(
            model=maker,
            optimizer=adam,
            penalties=(Penalty(name="cycle", weight=5.0), Penalty(name="identity", weight=2.5)),
        ),
        discriminator=Player(model=Model(name="cyclegan", options=judge), optimizer=adam),
        loss="least-squares",
        replay=Replay(size=50, share=0.5),
        data=emoji_pairs(small),
        batch=4 if small else 1,
        images=images,
        small=small,
        ema=unpaired_average(small),
    )


def downs(shape: Shape, most: int) -> int:
    """How often both sides can be halved, at most `most` times and at least once."""
    return max(1, max(n for n in range(most + 1) if not any(side % 2**n for side in shape[1:])))
