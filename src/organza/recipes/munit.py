"""MUNIT: "Multimodal Unsupervised Image-to-Image Translation" (Huang et al., 2018, arXiv:1804.04732).

    organza train munit --data emoji-pairs --out runs/munit
    organza train munit --data my/edges2shoes --size paper --out runs/shoes

An image is a content and a style. The content of A in a style of B that is drawn at random is a translation, and every
style makes another one. Nothing is paired: what is encoded has to be there again in what is drawn.

    D minimises  E (D_B(b) - 1)^2 + E D_B(G_B(c_a, s))^2, summed over 3 scales, and the same of D_A
    G minimises  E (D_B(G_B(c_a, s)) - 1)^2 + 10 |G_A(c_a, s_a) - a| + |E_c(G_B(c_a, s)) - c_a|
                 + |E_s(G_B(c_a, s)) - s|, and the same of A        (eq. 1 to 5)

Least squares are halved here, and so are the weights. For scenes the paper adds the way back in the source's own style:

    organza train munit --generator.penalties image,style,content,cycle --generator.penalties.cycle.weight 5

Images are resized to a shorter side of 256 pixels; of the longer one the centre is taken here, and a part at random
there. Rates are halved every 100 000 steps of a million there, and fall along a cosine here; the distance by VGG16 for
large pictures is left out. `laptop` has a quarter of the width, 2 blocks, batches of 4, as many scales as there are
pixels for, and an average of its weights.
"""

from __future__ import annotations

from organza.config import Config, Data, Model, Optimizer, Penalty, Player, Schedule, Shape, Size
from organza.recipes.translation import translation, unpaired_average

STEPS = 1_000_000  # published
SQUARES = Data(source="emoji-pairs", resolution=(256, 256), crop="center", flip=True)


def munit(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for targets of `shape` (C, H, W)."""
    small = size == "laptop"
    maker = {"style_dim": 8, "width": 16 if small else 64, "downs": 2, "blocks": 2 if small else 4, "style_downs": 4,
             "mlp_width": 64 if small else 256, "channels_of_a": 0}  # fmt: skip
    asked = (("image", 5.0), ("style", 0.5), ("content", 0.5))
    return both_domains("munit", shape, size, maker, asked)


def both_domains(
    name: str, shape: Shape, size: Size, maker: dict[str, int], penalties: tuple[tuple[str, float], ...]
) -> Config:
    """What MUNIT and UNIT share: the judges, their loss, the optimisers and the data."""
    small = size == "laptop"
    images = 60_000 if small else STEPS
    rate = Schedule(start=2e-4 if small else 1e-4, end=0.0, images=images)
    adam = Optimizer(name="adam", lr=rate, beta1=0.5, beta2=0.999, weight_decay=1e-4)
    judge = {"width": 32 if small else 64, "layers": 4, "scales": scales(shape, 4) if small else 3}
    return translation(
        name,
        "cycle",
        generator=Player(
            model=Model(name=name, options=maker),
            optimizer=adam,
            penalties=tuple(Penalty(name=penalty, weight=weight) for penalty, weight in penalties),
        ),
        discriminator=Player(model=Model(name=name, options=judge), optimizer=adam),
        loss="least-squares",
        data=Data(source="emoji-pairs", flip=True) if small else SQUARES,
        batch=4 if small else 1,
        images=images,
        small=small,
        ema=unpaired_average(small),
    )


def scales(shape: Shape, layers: int) -> int:
    """How many judges find room: each sees half the side of the one before, and the last one leaves a pixel."""
    side = min(shape[1:], default=0)
    return max(1, sum((2**layers - 1) * 2**number + 1 <= side for number in range(3)))
