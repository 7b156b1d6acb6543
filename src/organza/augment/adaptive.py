"""The probability of ADA follows the discriminator's overfitting (Karras et al., 2020, arXiv:2006.06676, section 3).

With r = E sign D(x) over real samples (eq. 1), 0 where D is unsure of them and 1 where it is sure of all, p moves up
while r is above its target and down while it is below. The paper adjusts every 4 steps, with the target 0.6 and 500,000
images from p = 0 to p = 1.
"""

from __future__ import annotations

import torch
from torch import Tensor


def adapted(
    probability: Tensor, overfitting: Tensor, target: float, images_seen_since: int, speed_images: int
) -> Tensor:
    """The next probability in [0, 1], a 0-d tensor on the device of the last.

    `overfitting` is r since the last call, a 0-d tensor in [-1, 1], `images_seen_since` the real images over all
    processes since then, and `speed_images` how many move p from 0 to 1.
    """
    step = torch.sign(overfitting - target) * (images_seen_since / speed_images)
    return (probability + step).clamp(0, 1)
