"""A small digit classifier, embedded, whose features make generated digits measurable offline."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FEATURES = 128


class DigitClassifier(nn.Module):
    """Three convolutions and a 128-d feature layer for 28x28 grey digits (99.4 % on the MNIST test set)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.conv3 = nn.Conv2d(64, 64, 3, padding=1)
        self.hidden = nn.Linear(64 * 3 * 3, FEATURES)
        self.head = nn.Linear(FEATURES, 10)

    def features(self, images: Tensor) -> Tensor:
        """uint8 images [B, 1, 28, 28] -> non-negative features [B, 128]."""
        x = images.float() / 255
        for conv in (self.conv1, self.conv2, self.conv3):
            x = F.max_pool2d(F.relu(conv(x)), 2)  # 28 -> 14 -> 7 -> 3
        return F.relu(self.hidden(x.flatten(1)))

    def forward(self, images: Tensor) -> Tensor:
        """uint8 images [B, 1, 28, 28] -> class logits [B, 10]."""
        return self.head(self.features(images))


@cache
def digit_classifier() -> DigitClassifier:
    """The embedded classifier, trained by `benchmarks/train_digit_classifier.py`, in evaluation mode on the CPU."""
    from safetensors.torch import load

    network = DigitClassifier()
    weights = load(files("organza.metrics").joinpath("digits.safetensors").read_bytes())
    network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return network.eval().requires_grad_(False)


@torch.no_grad()
def digit_features(images: Tensor, batch: int = 500) -> tuple[Tensor, Tensor]:
    """uint8 images [N, 1, 28, 28] -> (features [N, 128], predicted digits [N]), both on the CPU."""
    network = digit_classifier()
    features = torch.cat([network.features(part) for part in images.cpu().split(batch)])
    return features, network.head(features).argmax(1)
