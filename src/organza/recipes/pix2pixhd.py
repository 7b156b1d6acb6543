"""pix2pixHD: "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs" (Wang et al., 2018,
arXiv:1711.11585).

    organza train pix2pixhd --data emoji-pairs --out runs/hd
    organza train pix2pixhd --data my/streets --data.layout_classes 35 --size paper --out runs/streets

Label maps, or any other images, become large pictures. Two judges look at source and result side by side, at the full
size and at half of it, and G is taught by what they see as well as by what they say:

    D minimises  sum over scales k of  E (D_k(x, y) - 1)^2 + E D_k(x, G(x))^2
    G minimises  sum over k of  E (D_k(x, G(x)) - 1)^2 + 10 FM_k + 10 P        (eq. 3 to 5)

where FM is the mean distance of y and G(x) in D's layers, and P that in a trained network: LPIPS on VGG16 where its
weights are found, else the embedded network, where the published runs have VGG19. Least squares are halved here, and so
are both weights. The published runs take 100 epochs and 100 more while the rate falls to zero, one picture at a time.
For pictures of 2048 pixels, train `--generator.model.local true` from a run without it (`--start`), with
`--discriminator.model.scales 3`. Planes of the edges between instances, and their features, are not made here.
`laptop` has a quarter of the width, two halvings and batches of 4.
"""

from __future__ import annotations

from organza.config import EMA, Config, Data, Model, Optimizer, Output, Penalty, Player, Schedule, Shape, Size

EPOCH = 2_975  # street scenes


def pix2pixhd(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for targets of `shape` (C, H, W)."""
    small = size == "laptop"
    images = 60_000 if small else EPOCH * 200
    rate = Schedule(start=4e-4 if small else 2e-4, end=0.0, images=images, shape="linear", hold=images // 2)
    adam = Optimizer(name="adam", lr=rate, beta1=0.5, beta2=0.999)
    maker = {"width": 16 if small else 64, "downs": 2 if small else 4, "blocks": 4 if small else 9, "local": False,
             "local_blocks": 3, "norm": "instance", "upsample": "transposed"}  # fmt: skip
    judge = {"layers": 2 if small else 3, "scales": 2, "width": 32 if small else 64, "norm": "instance"}
    return Config(
        recipe="pix2pixhd",
        game="paired",
        generator=Player(
            model=Model(name="pix2pixhd", options=maker), optimizer=adam,
            penalties=(Penalty(name="judged-alike", weight=5.0), Penalty(name="perceptual", weight=5.0)),
        ),
        discriminator=Player(model=Model(name="pix2pixhd", options=judge), optimizer=adam),
        loss="least-squares",
        share_fakes=True,
        data=Data(source="emoji-pairs", flip=True) if small else Data(
            source="emoji-pairs", resolution=(512, 1024), flip=True
        ),
        batch=4 if small else 1,
        images=images,
        ema=EMA(half_life=0.0, ramp=None),
        precision="auto" if small else "float32",
        output=Output(log=1_000, samples=10_000, checkpoint=10_000) if small else Output(),
    )  # fmt: skip
