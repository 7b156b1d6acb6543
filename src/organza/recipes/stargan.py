"""StarGAN: "Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation" (Choi et al., 2018,
arXiv:1711.09020).

    organza train stargan --data emoji --out runs/stargan
    organza train stargan --data my/moods --size paper --out runs/moods
    organza train stargan --data celeba --data.attributes Black_Hair,Blond_Hair,Brown_Hair,Male,Young \
        --data.crop center --size paper --out runs/faces
    organza translate my/faces --model runs/faces --label Blond_Hair,Young

One generator translates from any class into any other; data is a folder with a folder of images for each class, or
images with a table of attributes beside them (`organza.data.attributes`), of which each can have several. D tells real
from fake and reads the class; the way back keeps what does not belong to the class.

    D minimises  E D(G(x, c)) - E D(y) + 10 E (|grad D| - 1)^2 - E log D(c_y | y)
    G minimises  -E D(G(x, c)) - E log D(c | G(x, c)) + 10 E |x - G(G(x, c), c_x)|        (eq. 1 to 8)

Five turns of D for one of G; Adam with beta2 of 0.999; 200 000 turns of D with 16 images each, the second half while
the rate falls to zero. The classes to go to, or the whole rows of attributes, are those of other real images in the
batch, as there; log p of attributes is the sum of theirs. The five above are the published ones. `laptop` has a third
of the width, 4 blocks, images of the size that they are, batches of 8 and one turn of D for one of G at higher rates:
with five of 16 a core takes G twenty steps a minute. D is paid ten times as much for reading classes there; with the
published weight it read none in 375 turns. The way back weighs five times as much, and what has the class already is
to stay as it is: without, results were negatives of their sources, which lead back as well.
"""

from __future__ import annotations

from organza.config import Config, Data, Model, Penalty, Player, Shape, Size
from organza.recipes.translation import held_adam, translation


def stargan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for images of `shape` (C, H, W)."""
    small = size == "laptop"
    images = 60_000 if small else 200_000 * 16
    slow, fast = (held_adam(rate, images) for rate in ((5e-4, 1e-3) if small else (1e-4, 1e-4)))
    judge = {"width": 32 if small else 64, "max_width": 256 if small else 2048, "layers": 0}
    kept = (Penalty(name="cycle", weight=50.0), Penalty(name="identity", weight=50.0))
    kept = kept if small else (Penalty(name="cycle", weight=10.0),)
    return translation(
        "stargan",
        "domains",
        conditional=True,
        generator=Player(
            model=Model(name="stargan", options={"width": 24 if small else 64, "blocks": 4 if small else 6}),
            optimizer=slow,
            penalties=(Penalty(name="classification", weight=1.0), *kept),
        ),
        discriminator=Player(
            model=Model(name="stargan", options=judge),
            optimizer=fast,
            turns=1 if small else 5,
            init="he" if small else "own",  # with torch's, D reads no class for hundreds of turns
            penalties=(
                Penalty(name="gradient-norm", weight=10.0),
                Penalty(name="classification-of-reals", weight=10.0 if small else 1.0),
            ),
        ),
        loss="wasserstein",
        data=Data(source="emoji", flip=True, resolution=None if small else (128, 128)),
        batch=8 if small else 16,
        images=images,
        small=small,
        share_fakes=small,  # as published D takes five turns for one
        precision="float32",
    )
