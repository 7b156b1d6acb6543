"""AnimeGANv2: "AnimeGAN: A Novel Lightweight GAN for Photo Animation" (Chen et al., 2020,
doi:10.1007/978-981-15-5577-0_18), in the authors' second version.

    organza train animegan --data emoji-pairs --out runs/drawn
    organza train animegan --data my/photo2anime --size paper --out runs/anime

Photographs (A) become drawings in the hand of one artist (B). Nothing is paired. D learns that drawings without
colours, and those with blurred edges, are as wrong as fakes; G keeps what the photograph shows and its colours, and
takes the brush from grey drawings.

    D minimises  E (D(y) - 1)^2 + E D(G(x))^2 + E D(grey(y))^2 + 2/3 E D(grey(blurred(y)))^2
    G minimises  E (D(G(x)) - 1)^2 + content + style + colour + variation

with the ratios of D's terms of the style Hayao (1.2 to 0.8). The published weights (content 1.5, style 2.5, colour 15,
variation 1, for 300 of the loss) are for features of VGG19 on another scale; those here are chosen by how large the
terms are. Ten epochs of content alone come first there, and a tenth of the images here. Published rates are 2e-5 for G
and 4e-5 for D, with batches of 12 and 101 epochs. The colour offset of each style's data is left out. `laptop` has half
of the width, 2 blocks and rates ten times as high.
"""

from __future__ import annotations

from organza.config import Config, Data, Model, Optimizer, Penalty, Player, Shape, Size
from organza.recipes.translation import stepped, translation

EPOCH = 6_656  # photographs


def animegan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for RGB drawings of `shape` (3, H, W)."""
    small = size == "laptop"
    images = 60_000 if small else EPOCH * 101
    first = images // 10
    pull = (("drawing-style", 100.0), ("drawing-colour", 2.0), ("drawing-variation", 0.1))
    rate = 2e-4 if small else 2e-5
    return translation(
        "animegan",
        "unpaired",
        generator=Player(
            model=Model(name="animegan", options={"width": 16 if small else 32, "blocks": 2 if small else 4}),
            optimizer=Optimizer(name="adam", lr=rate, beta1=0.5, beta2=0.999),
            penalties=(
                Penalty(name="drawing-content", weight=1.0),
                *(Penalty(name=name, weight=stepped(0.0, weight, first)) for name, weight in pull),
            ),
        ),
        discriminator=Player(
            model=Model(name="animegan", options={"width": 32 if small else 64, "layers": 3}),
            optimizer=Optimizer(name="adam", lr=stepped(0.0, 2 * rate, first), beta1=0.5, beta2=0.999),
            penalties=(Penalty(name="drawing-grey", weight=1.0), Penalty(name="drawing-blurred", weight=2 / 3)),
            spectral_norm=True,
        ),
        loss="least-squares",
        data=Data(source="emoji-pairs", flip=True, resolution=None if small else (256, 256)),
        batch=8 if small else 12,
        images=images,
        small=small,
    )
