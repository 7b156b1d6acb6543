"""StarGAN (Choi et al., 2018, "Unified GANs for Multi-Domain Image-to-Image Translation", arXiv:1711.09020).

One generator for all domains: it is told where to by one plane for each class, and the discriminator reads the class as
well as the truth (section 3.1). Layers are those of the paper's appendix (tables 4 and 5), the state has the published
files' names, and weights start as torch starts them, which is how the authors trained.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import ConfigError, Shape
from organza.layers.geometry import image
from organza.layers.labels import attributes, with_planes
from organza.layers.sizes import must_divide, some_classes

LAYERS = 6  # of the paper's discriminator, where an image is large enough


class Generator(nn.Module):
    """Images [B, C, H, W], labels of the domains to go to -> images [B, *, H, W] in [-1, 1].

    Labels are classes, int64 [B], or as many attributes as one likes, [B, classes] of zeros and ones. There is no
    noise. Raises ConfigError without classes, ValueError for other labels and for sides that are no multiple of 4.
    """

    z_dim, multiple, several = 0, 4, True

    def __init__(
        self, source: Shape, shape: Shape, classes: int = 0, *, width: int = 64, blocks: int = 6
    ) -> None:  # fmt: skip
        super().__init__()
        some_classes("StarGAN", classes)
        self.classes = classes
        inner = 4 * width
        self.main = nn.Sequential(
            nn.Conv2d(image(source)[0] + classes, width, 7, padding=3, bias=False), *_norm(width),
            nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), *_norm(2 * width),
            nn.Conv2d(2 * width, inner, 4, 2, 1, bias=False), *_norm(inner),
            *(Residual(inner) for _ in range(blocks)),
            nn.ConvTranspose2d(inner, 2 * width, 4, 2, 1, bias=False), *_norm(2 * width),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), *_norm(width),
            nn.Conv2d(width, image(shape)[0], 7, padding=3, bias=False), nn.Tanh(),
        )  # fmt: skip

    def forward(self, source: Tensor, z: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """Translate."""
        must_divide(source, self.multiple)
        return self.main(with_planes(source, attributes(labels, self.classes)))


class Discriminator(nn.Module):
    """Images [B, C, H, W] -> logits [B, K] of all places; `classes_of` features -> logits [B, classes].

    `layers` halve the image, 0: six as in the paper, or as many as leave a pixel. Raises ConfigError for more.
    """

    feature_size, several = 0, True

    def __init__(
        self, shape: Shape, classes: int = 0, *, width: int = 64, max_width: int = 2048, layers: int = 0
    ) -> None:  # fmt: skip
        super().__init__()
        channels, height, side = image(shape)
        most = min(height, side).bit_length() - 1
        count = layers or min(LAYERS, most)
        if not 1 <= count <= most:
            raise ConfigError(
                f"images of {height}x{side} can be halved 1 to {most} times, not {count}; "
                f"type --discriminator.model.layers {max(most, 1)}, or --data.resolution 64"
            )
        widths = [channels, *(min(width * 2**i, max_width) for i in range(count))]
        self.classes, places = classes, (height >> count, side >> count)
        self.parts = (places[0] * places[1],)
        self.main = nn.Sequential(
            *(layer for a, b in pairwise(widths) for layer in (nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.01)))
        )
        self.conv1 = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(widths[-1], classes, places, bias=False) if classes else None

    def features(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, ...]:
        """Every layer's activation [B, *, h, w], the last of which both heads read; labels are not looked at."""
        found: list[Tensor] = []
        for i in range(0, len(self.main), 2):
            x = self.main[i + 1](self.main[i](x))
            found.append(x)
        return tuple(found)

    def logits(self, features: tuple[Tensor, ...], labels: Tensor | None = None) -> Tensor:
        """Last features -> how true each place looks, [B, K]."""
        return self.conv1(features[-1]).flatten(1)

    def classes_of(self, features: tuple[Tensor, ...]) -> Tensor:
        """Last features of an image of the size it was built for -> logits [B, classes]."""
        assert self.conv2 is not None, "built without classes"
        return self.conv2(features[-1]).flatten(1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images."""
        return self.logits(self.features(x))


class Residual(nn.Module):
    """[B, C, h, w] -> the same shape: x + f(x) of two 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.main = nn.Sequential(first, *_norm(channels), second, ImageNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Add what the block has learnt."""
        return x + self.main(x)


class ImageNorm2d(nn.InstanceNorm2d):
    """Instance norm with gain and bias, always by the statistics of the image itself.

    Published files hold running averages, too, which sampling never read: they are kept as they come.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True, track_running_stats=True)

    def forward(self, input: Tensor) -> Tensor:
        """Norm."""
        return F.instance_norm(input, weight=self.weight, bias=self.bias)


def _norm(channels: int) -> tuple[Any, ...]:
    return ImageNorm2d(channels), nn.ReLU()
