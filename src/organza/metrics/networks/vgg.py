"""VGG16 and VGG19 (Simonyan & Zisserman, arXiv:1409.1556), and AlexNet (arXiv:1404.5997): the last two convolve alone.

Parameters have the names of torchvision's state dicts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from torch import Tensor, nn
from torch.nn import functional as F

FEATURES = 4096
WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the convolutions between the poolings (configuration D of table 1)."""
WIDTHS_19 = ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4)  # configuration E


class Vgg16(nn.Module):
    """Images [B, 3, H, W] by mean and deviation of ImageNet; 224 x 224 for the features, at least 16 for the slices."""

    unused = ("classifier.6.",)  # the 1000 classes

    def __init__(self, hidden: int = FEATURES) -> None:
        super().__init__()
        self.features, self.taps = _convolutions(WIDTHS)
        wide = (
            nn.Linear(WIDTHS[-1][-1] * 7 * 7, hidden),
            nn.ReLU(),
            nn.Identity(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
        )
        self.classifier = nn.Sequential(*wide)  # in the place of Identity is dropout, in training

    def forward(self, x: Tensor) -> Tensor:
        """The second fully connected layer after its ReLU: [B, 4096]."""
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), 7).flatten(1))

    def slices(self, x: Tensor) -> Iterator[Tensor]:
        """The last activations before each pooling, relu1_2, 2_2, 3_3, 4_3 and 5_3."""
        return _tapped(self.features, self.taps, x)


class Vgg19(nn.Module):
    """Images [B, 3, H, W] by mean and deviation of ImageNet, at least 16 x 16; the convolutions alone."""

    unused = ("classifier.",)

    def __init__(self) -> None:
        super().__init__()
        self.features, _ = _convolutions(WIDTHS_19)

    def after(self, x: Tensor, layers: Collection[int]) -> Iterator[Tensor]:
        """What comes out of these layers, whose numbers rise: 34 is conv5_4 before its ReLU."""
        return _tapped(self.features, layers, x)


class AlexNet(nn.Module):
    """Images [B, 3, H, W] by mean and deviation of ImageNet, at least 63 x 63; the convolutions alone."""

    taps = (1, 4, 7, 9, 11)
    widths = (64, 192, 384, 256, 256)

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
        )  # fmt: skip

    def slices(self, x: Tensor) -> Iterator[Tensor]:
        """The activations after each of the five convolutions."""
        return _tapped(self.features, self.taps, x)


def _convolutions(stages: tuple[tuple[int, ...], ...]) -> tuple[nn.Sequential, list[int]]:
    """The layers before the classifier, and the number of the last one before each pooling."""
    layers, before, taps = list[nn.Module](), 3, list[int]()
    for widths in stages:
        for width in widths:
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
        taps.append(len(layers) - 1)
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers), taps


def _tapped(layers: nn.Sequential, taps: Collection[int], x: Tensor) -> Iterator[Tensor]:
    for number, layer in enumerate(layers):
        x = layer(x)
        if number in taps:
            yield x
        if number == max(taps):
            return
