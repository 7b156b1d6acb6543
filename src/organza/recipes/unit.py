"""UNIT: "Unsupervised Image-to-Image Translation Networks" (Liu et al., 2017, arXiv:1703.00848).

    organza train unit --data emoji-pairs --out runs/unit
    organza train unit --data my/day2night --size paper --out runs/night

Both domains share one space of codes, which are kept near a normal distribution. A's image is encoded, and B's decoder
draws what the code with some noise says.

    D minimises  E (D_B(b) - 1)^2 + E D_B(G_B(h_a + n))^2, summed over 3 scales, and the same of D_A
    G minimises  E (D_B(G_B(h_a + n)) - 1)^2 + 10 |G_A(h_a + n) - a| + 10 |G_A(h_ab + n') - a|
                 + 0.01 |h_a|^2 + 0.01 |h_ab|^2, and the same of A        (eq. 2 to 5)

h_ab is the code of the translation. Weights are those of the authors' second code, in MUNIT's repository, which has
MUNIT's networks, too; least squares are halved here, and so are the weights. Rates and what is left out: as in the
recipe munit. In use, codes are without noise. `laptop` has a quarter of the width, 2 blocks and batches of 4.
"""

from __future__ import annotations

from organza.config import Config, Shape, Size
from organza.recipes.munit import both_domains


def unit(shape: Shape, size: Size = "laptop") -> Config:
    """The configuration for targets of `shape` (C, H, W)."""
    small = size == "laptop"
    maker = {"width": 16 if small else 64, "downs": 2, "blocks": 2 if small else 4, "channels_of_a": 0}
    asked = (("image", 5.0), ("cycle", 5.0), ("codes", 0.005), ("codes-of-results", 0.005))
    return both_domains("unit", shape, size, maker, asked)
