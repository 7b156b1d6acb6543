"""The networks of the tutorial, in the form of Organza's catalogue, so that both loops train the very same ones."""

from __future__ import annotations

from torch import Tensor, nn

from organza.layers.upsample import UpsampleConv2d


class Generator(nn.Module):
    """Linear to 128x7x7, two stages of nearest x2 and 3x3 convolution (128, 64), a 3x3 convolution to one channel.

    `fused` computes each stage in one operation; the parameters and the function are the same.
    """

    def __init__(
        self, shape: tuple[int, ...] = (1, 28, 28), classes: int = 0, *, z_dim: int = 100, fused: bool = False
    ) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.linear = nn.Linear(z_dim, 128 * 7 * 7)
        self.layers = nn.Sequential(
            nn.BatchNorm2d(128),
            *stage(128, 128, fused),
            nn.BatchNorm2d(128),
            nn.LeakyReLU(0.2),
            *stage(128, 64, fused),
            nn.BatchNorm2d(64),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 1, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Noise [B, 100] -> images [B, 1, 28, 28] in [-1, 1]."""
        return self.layers(self.linear(z).view(-1, 128, 7, 7))


def stage(before: int, after: int, fused: bool) -> tuple[nn.Module, nn.Module]:
    """Twice the size and a 3x3 convolution, under the same names in both forms."""
    if fused:
        return nn.Identity(), UpsampleConv2d(before, after)
    return nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1)


class Discriminator(nn.Module):
    """Four 3x3 stride-2 convolutions (16, 32, 64, 128) with dropout and batch norm, then a linear layer."""

    def __init__(self, shape: tuple[int, ...] = (1, 28, 28), classes: int = 0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate([(1, 16), (16, 32), (32, 64), (64, 128)]):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.LeakyReLU(0.2), nn.Dropout2d(0.25)]
            layers += [nn.BatchNorm2d(after)] if i else []
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(128 * 2 * 2, 1)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images [B, 1, 28, 28] in [-1, 1] -> logits [B]."""
        return self.logits(self.features(images, labels), labels)

    def features(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the last layer judges, [B, 512]."""
        return self.layers(images).flatten(1)

    def logits(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """Features -> logits [B]."""
        return self.head(features).squeeze(1)
