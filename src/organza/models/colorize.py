"""A colouriser in Lab, as pix2pix has one (Isola et al., 2017, arXiv:1611.07004; Zhang et al., arXiv:1603.08511).

A U-Net sees how light every pixel is, L / 50 - 1, and predicts its colour, (a, b) / 110. The lightness stays that of
the source, so that nothing is drawn but colour. The discriminator is that of pix2pix.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from organza.config import ConfigError, Shape
from organza.layers.lab import lab_to_rgb, lightness
from organza.layers.pictures import at_least_float32, without_labels
from organza.layers.source import prepared
from organza.models.pix2pix import Discriminator as Discriminator
from organza.models.pix2pix import Generator as UNet

Norm = Literal["batch", "instance"]
Upsample = Literal["transposed", "resize"]
COLOURS = 110.0  # the largest a and b that are predicted


class Generator(nn.Module):
    """Grey [B, 1, H, W] in [-1, 1] -> RGB [B, 3, H, W] that is as light; the options are those of pix2pix.

    Colours that sRGB cannot show are cut to [-1, 1] in use, and in training not, where they would have no gradient.
    Raises ConfigError for other channels, for sides that do not fit and for labels.
    """

    z_dim = 0

    def __init__(
        self, source: Shape, shape: Shape, classes: int = 0, *, downs: int = 0, width: int = 64, norm: Norm = "batch",
        dropout: float = 0.5, upsample: Upsample = "transposed",
    ) -> None:  # fmt: skip
        super().__init__()
        self.classes = without_labels(classes, "colorize")
        if source[0] != 1 or shape[0] != 3:
            raise ConfigError(
                f"colorize makes RGB of grey, and here {source[0]} channels shall become {shape[0]}; add "
                "--data.degrade lightness, and --data.channels rgb where images are not RGB"
            )
        colours = (2, *shape[1:])
        self.net = UNet(source, colours, downs=downs, width=width, norm=norm, dropout=dropout, upsample=upsample)
        self.multiple = self.net.multiple

    def forward(self, source: Tensor, z: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """Colour."""
        light = lightness(at_least_float32(prepared(source, None, 0, self.multiple)))
        made = at_least_float32(self.net((light / 50 - 1).to(source.dtype))) * COLOURS
        rgb = lab_to_rgb(torch.cat([light, made], 1))
        return rgb if self.training else rgb.clamp(-1, 1)
