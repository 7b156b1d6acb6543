"""WGAN: "Wasserstein GAN" (Arjovsky et al., 2017, arXiv:1701.07875).

    organza train wgan --data mnist --out runs/wgan

The critic's loss estimates the Wasserstein distance between data and samples (eq. 2), as long as its slope is bounded.
Here the bound is the crudest one: after each turn every weight is cut to [-0.01, 0.01] (algorithm 1). Gradients vanish
or explode with the depth, which is why the recipes `wgan-gp` and `sngan` exist; this one is for learning.

    D minimises  E D(G(z)) - E D(x),   weights in [-0.01, 0.01]
    G minimises  -E D(G(z))

Five turns of D for one of G's, and RMSprop 5e-5: with momentum training became unstable (section 4.3). `laptop` takes
ten times the rate.
"""

from __future__ import annotations

import dataclasses

from organza.config import EMA, Config, Optimizer, Player, Shape, Size
from organza.recipes.dcgan import dcgan
from organza.recipes.gan import gan

CUT = 0.01
CRITIC_TURNS = 5


def wgan(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for samples of `shape`; points get the fully connected players."""
    base = gan(shape, size) if len(shape) == 1 else dcgan(shape, size)
    rate = 5e-5 if size == "paper" else 5e-4
    rmsprop = Optimizer(name="rmsprop", lr=rate, beta1=0.0, beta2=0.99, eps=1e-8)
    # Points need steeper critics than cut weights of 0.01 allow in so narrow a network.
    cut = 0.1 if len(shape) == 1 else CUT
    return dataclasses.replace(
        base,
        recipe="wgan",
        generator=Player(model=base.generator.model, optimizer=rmsprop),
        discriminator=Player(
            model=base.discriminator.model, optimizer=rmsprop, turns=CRITIC_TURNS, weight_clip=cut
        ),
        loss="wasserstein",
        share_fakes=False,
        batch=base.batch if len(shape) == 1 else 64,
        ema=EMA(half_life=0.0, ramp=None) if size == "paper" else base.ema,
    )  # fmt: skip
