"""What each code of an InfoGAN does: its values from left to right, all else the same (arXiv:1606.03657, figure 2)."""

from __future__ import annotations

import torch
from torch import Tensor

from organza.latent.sampling import generate, latents
from organza.layers.codes import Coded

COLUMNS = 10
EACH = 2  # rows for one code, from different noise
WIDEST = 0.98  # of a continuous code, whose ends -1 and 1 are never drawn


def traversal(generator: Coded, seed: int = 0) -> Tensor:
    """Samples in rows of `COLUMNS`, `EACH` rows for each code: its categories, or numbers from -0.98 to 0.98.

    A code with fewer categories repeats them, one with more shows its first. Row r of every code has the noise of
    seed `seed` + r.
    """
    noise = latents(range(seed, seed + EACH), generator.z_dim)
    rows = [_row(generator, code, z[None]) for code in range(generator.codes) for z in noise]
    return generate(generator, torch.cat(rows), None)


def _row(generator: Coded, code: int, z: Tensor) -> Tensor:
    if code < len(generator.categorical):
        values = [float(column % generator.categorical[code]) for column in range(COLUMNS)]
    else:
        values = torch.linspace(-WIDEST, WIDEST, COLUMNS).tolist()
    return torch.cat([generator.noise_for(z, code, value) for value in values])
