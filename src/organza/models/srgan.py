"""SRGAN (Ledig et al., 2017, arXiv:1609.04802), its generator without batch norm (MSRResNet), as it is trained today.

The residual is added to the bilinearly enlarged picture. The discriminator is that of `esrgan`. Names and shapes of
the tensors are those of the published files, for pictures in [0, 1]; the conversion is in `forward`.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import Shape
from organza.layers.pictures import from_unit, scale_of, to_unit, without_labels
from organza.models.esrgan import Discriminator as Discriminator
from organza.models.esrgan import small

SLOPE = 0.1


class Generator(nn.Module):
    """Pictures [B, C, h, w] in [-1, 1] -> [B, K, scale h, scale w], not cut to [-1, 1]; `scale` is 2, 3 or 4.

    Raises ConfigError for other scales and for labels.
    """

    def __init__(
        self, source: Shape, shape: Shape, classes: int = 0, *, width: int = 64, blocks: int = 16
    ) -> None:  # fmt: skip
        super().__init__()
        self.classes, self.z_dim, self.multiple = without_labels(classes, "srgan"), 0, 1
        self.scale = scale_of(source, shape, (2, 3, 4), "srgan")
        self.tile = 256  # pixels: tiles of this side take less than 2 GB, and give what the picture gives
        self.grows = source[0] == shape[0]  # the enlarged picture has the channels to be added
        steps = (2, 2) if self.scale == 4 else (self.scale,)
        self.conv_first = nn.Conv2d(source[0], width, 3, padding=1)
        self.body = nn.Sequential(*(Block(width) for _ in range(blocks)))
        for i, step in enumerate(steps, 1):
            self.add_module(f"upconv{i}", nn.Conv2d(width, width * step**2, 3, padding=1))
        self.steps = steps
        self.conv_hr = nn.Conv2d(width, width, 3, padding=1)
        self.conv_last = nn.Conv2d(width, shape[0], 3, padding=1)
        self.apply(small)

    def forward(self, source: Tensor, z: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """Enlarge."""
        source = to_unit(source)
        x = self.body(F.leaky_relu(self.conv_first(source), SLOPE))
        for i, step in enumerate(self.steps, 1):
            x = F.leaky_relu(F.pixel_shuffle(self.get_submodule(f"upconv{i}")(x), step), SLOPE)
        x = self.conv_last(F.leaky_relu(self.conv_hr(x), SLOPE))
        if self.grows:
            x = x + F.interpolate(source, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return from_unit(x)


class Block(nn.Module):
    """[B, width, h, w] -> the same shape: two convolutions around a ReLU, and the way past them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Refine."""
        return x + self.conv2(F.relu(self.conv1(x)))
