"""Halving and doubling as layers that keep their filter, as in CUT (Zhang, 2019, arXiv:1904.11486, section 3).

The filters are saved as `filt` [C, 1, k, k], as official files have them; that form is remembered, not read again.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from organza.layers.resample import BLUR, TAPS, smooth


class BlurDown(nn.Module):
    """[B, C, h, w] -> [B, C, ceil(h/2), ceil(w/2)]: [1, 2, 1] on both axes, then every other pixel; borders mirror."""

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", BLUR.repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Halve."""
        return smooth(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.filt[0, 0], down=2)


class BlurUp(nn.Module):
    """[B, C, h, w] -> [B, C, 2h, 2w] by [1, 3, 3, 1] on both axes, which is bilinear enlargement; borders repeat."""

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", (4 * TAPS).repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Double."""
        return smooth(F.pad(x, (1, 1, 1, 1), mode="replicate"), self.filt[0, 0], up=2, padding=3)
