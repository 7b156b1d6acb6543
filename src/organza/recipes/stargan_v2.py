"""StarGAN v2: "Diverse Image Synthesis for Multiple Domains" (Choi et al., 2020, arXiv:1912.01865).

    organza train stargan-v2 --data emoji --out runs/styles
    organza train stargan-v2 --data my/animals --size paper --out runs/animals

One generator draws an image in a style of another class; styles come from noise or are read from an image of that
class, and D has a head for each. Data is a folder with a folder of images for each class.

    D minimises  -E log D_c(y) - E log(1 - D_c(G(x, s))) + 1/2 E |grad D_c(y)|^2
    G minimises  -E log D_c(G(x, s)) + |s - E_c(G(x, s))| - w |G(x, s) - G(x, s')| + |x - G(G(x, s), E_cx(x))|
                                                                                                        (eq. 1 to 5)

for s from noise, and D_c(G(x, s)) alone for s of real images of the class c (the penalty `references`), which the paper
takes in steps of their own with all terms. w falls linearly from 1 to 0. As published: Adam (0, 0.99) at 1e-4 with a
weight decay of 1e-4, the mapping network at a hundredth of that rate, batches of 8, 100 000 steps, an average with
0.999 a step. Not as published: classes are drawn as often as they are in the data, images are mirrored but not cut, and
faces need masks of another network, which is not part of this. `laptop` has widths of 16 to 64, four times the rate,
and the penalty of gradients in every fourth turn.
"""

from __future__ import annotations

import dataclasses

from organza.config import EMA, Config, Data, Model, Optimizer, Penalty, Player, Schedule, Shape, Size
from organza.recipes.translation import translation


def stargan_v2(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for images of `shape` (C, H, W)."""
    small = size == "laptop"
    images = 60_000 if small else 100_000 * 8
    adam = Optimizer(name="adam", lr=4e-4 if small else 1e-4, beta1=0.0, beta2=0.99, weight_decay=1e-4)
    widths = {"width": 16 if small else 0, "max_width": 64 if small else 512}
    maker = {"z_dim": 16, "style_dim": 64, **widths, "downs": 0, "w_hpf": 0.0, "mapping_width": 128 if small else 512}
    falling = Schedule(start=1.0, end=0.0, images=images, shape="linear")
    return translation(
        "stargan-v2",
        "domains",
        conditional=True,
        generator=Player(
            model=Model(name="stargan-v2", options=maker),
            optimizer=dataclasses.replace(adam, mapping=0.01),
            penalties=(
                Penalty(name="style", weight=1.0),
                Penalty(name="diversity", weight=falling),
                Penalty(name="cycle", weight=1.0),
                Penalty(name="references", weight=1.0),
            ),
        ),
        discriminator=Player(
            model=Model(name="stargan-v2", options=widths),
            optimizer=adam,
            penalties=(Penalty(name="r1", weight=0.5, every=4 if small else 1), Penalty(name="references", weight=1.0)),
        ),
        loss="non-saturating",
        data=Data(source="emoji", flip=True, resolution=None if small else (256, 256)),
        batch=8,
        images=images,
        small=small,
        ema=EMA(half_life=5_542.0, ramp=0.05 if small else None),  # of a short run the first weights would be the most
        precision="float32",
    )
