"""Real-ESRGAN (Wang et al., 2021, arXiv:2107.10833): its compact generator, and its discriminator of U-Net form.

The large generator of the paper is that of `esrgan`. Names and shapes of the tensors are those of the published files,
for pictures in [0, 1]; the conversion is in `forward`.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from organza.config import ConfigError, Shape
from organza.layers.pictures import from_unit, scale_of, to_unit, without_labels

SCALES = (1, 2, 3, 4, 8)


class Generator(nn.Module):
    """SRVGGNetCompact: pictures [B, C, h, w] in [-1, 1] -> [B, C, scale h, scale w], not cut to [-1, 1].

    All `depth` + 2 convolutions work at the small size; their result is added to the picture enlarged by repetition.
    `shuffle` is the factor of that, 0 that of the shapes; where it is larger the result is made smaller by a bicubic
    filter, as in the published x2 and x3 networks for video, which enlarge four times. Raises ConfigError for other
    scales, for other channels than those of `source`, and for labels.
    """

    def __init__(
        self, source: Shape, shape: Shape, classes: int = 0, *, width: int = 64, depth: int = 16, shuffle: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.classes, self.z_dim, self.multiple = without_labels(classes, "srvgg"), 0, 1
        self.scale = scale_of(source, shape, SCALES, "srvgg")
        self.tile = 512  # pixels: tiles of this side take less than 2 GB, and give what the picture gives
        self.factor = shuffle or self.scale
        if source[0] != shape[0]:
            raise ConfigError(f"srvgg keeps the channels of its pictures, and cannot make {shape[0]} of {source[0]}; "
                              "type --generator.model esrgan")  # fmt: skip
        if self.factor not in SCALES or self.factor < self.scale:
            raise ConfigError(f"shuffle is {shuffle}; it takes 0 or one of {SCALES} that is at least {self.scale}")
        layers: list[nn.Module] = [nn.Conv2d(source[0], width, 3, padding=1), nn.PReLU(width)]
        for _ in range(depth):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.PReLU(width)]
        self.body = nn.Sequential(*layers, nn.Conv2d(width, shape[0] * self.factor**2, 3, padding=1))

    def forward(self, source: Tensor, z: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """Enlarge."""
        source = to_unit(source)
        # Repetition before the shuffle: every one of the factor^2 channels of a pixel gets the pixel itself.
        x = self.body(source)
        x += source.repeat_interleave(self.factor**2, 1)
        x = F.pixel_shuffle(x, self.factor)
        if self.factor != self.scale:
            size = [side * self.scale for side in source.shape[2:]]
            x = F.interpolate(x, size, mode="bicubic", align_corners=False)
        return from_unit(x)


class Discriminator(nn.Module):
    """Pictures [B, C, H, W] in [-1, 1], sides multiples of 8 -> logits [B, H W], one for each pixel (section 3.3).

    A U-Net of spectrally normed convolutions whose halves are added. Raises ConfigError for other sides and for labels.
    """

    def __init__(self, shape: Shape, classes: int = 0, *, width: int = 64) -> None:
        super().__init__()
        self.classes, self.feature_size = without_labels(classes, "srvgg"), 0
        if shape[1] % 8 or shape[2] % 8:
            raise ConfigError(
                f"srvgg's discriminator halves pictures three times; {shape[1]}x{shape[2]} cannot be; type "
                f"--data.resolution {max(shape[1] // 8 * 8, 8)},{max(shape[2] // 8 * 8, 8)}"
            )
        self.conv0 = nn.Conv2d(shape[0], width, 3, padding=1)
        self.conv1 = _normed(width, 2 * width, 4, 2)
        self.conv2 = _normed(2 * width, 4 * width, 4, 2)
        self.conv3 = _normed(4 * width, 8 * width, 4, 2)
        self.conv4 = _normed(8 * width, 4 * width)
        self.conv5 = _normed(4 * width, 2 * width)
        self.conv6 = _normed(2 * width, width)
        self.conv7 = _normed(width, width)
        self.conv8 = _normed(width, width)
        self.conv9 = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge pictures."""
        return self.logits(self.features(x, labels), labels)

    def features(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, ...]:
        """Every layer's result; the last one, [B, width, H, W], is what the last layer judges."""
        first = _leaky(self.conv0(to_unit(x)))
        second = _leaky(self.conv1(first))
        third = _leaky(self.conv2(second))
        fourth = _leaky(self.conv3(third))
        fifth = _leaky(self.conv4(_doubled(fourth))) + third
        sixth = _leaky(self.conv5(_doubled(fifth))) + second
        seventh = _leaky(self.conv6(_doubled(sixth))) + first
        eighth = _leaky(self.conv7(seventh))
        return first, second, third, fourth, fifth, sixth, seventh, eighth, _leaky(self.conv8(eighth))

    def logits(self, features: tuple[Tensor, ...], labels: Tensor | None = None) -> Tensor:
        """Features -> logits [B, H W]."""
        return self.conv9(features[-1]).flatten(1)


def _normed(before: int, after: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    return spectral_norm(nn.Conv2d(before, after, kernel, stride, 1, bias=False))


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
