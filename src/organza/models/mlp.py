"""The fully connected networks of the first GAN (Goodfellow et al., 2014, arXiv:1406.2661), for images and points."""

from __future__ import annotations

import itertools
import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import Shape
from organza.layers.minibatch import Minibatch, WithBatch

Norm = Literal["batch", "none"]


class Generator(nn.Module):
    """Noise [B, z_dim], labels [B] when `classes` > 0 -> samples [B, *shape]; images end in tanh, points in nothing.

    `slope` is that of the leaky activations for negative numbers, 0 for ReLU.
    """

    def __init__(
        self, shape: Shape, classes: int = 0, *, z_dim: int = 100, width: int = 256, depth: int = 3,
        norm: Norm = "batch", slope: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__()
        self.shape, self.classes, self.z_dim = shape, classes, z_dim
        widths = [z_dim + classes, *(width * 2**i if len(shape) > 1 else width for i in range(depth))]
        self.layers = _layers(widths, norm, slope)
        self.head = nn.Linear(widths[-1], math.prod(shape))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise to samples."""
        x = self.head(self.layers(_with_labels(z, labels, self.classes))).view(-1, *self.shape)
        return x.tanh() if len(self.shape) > 1 else x


class Discriminator(nn.Module):
    """Samples [B, *shape], labels [B] when `classes` > 0 -> logits [B]; `reach` as in `spread`, 0 is torch's start."""

    def __init__(
        self, shape: Shape, classes: int = 0, *, width: int = 256, depth: int = 3, slope: float = 0.2,
        dropout: float = 0.0, minibatch: Minibatch = "none", reach: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.shape, self.classes = shape, classes
        growth = [2**i if len(shape) > 1 else 1 for i in reversed(range(depth))]
        widths = [math.prod(shape) + classes, *(width * g for g in growth)]
        self.layers = _layers(widths, "none", slope, dropout)
        if reach and depth:
            spread(self.layers, math.prod(shape), slope, reach)
        self.batch = WithBatch(widths[-1], minibatch)
        self.feature_size = self.batch.outputs
        self.head = nn.Linear(self.feature_size, 1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge samples."""
        return self.logits(self.features(x, labels), labels)

    def features(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the last layer judges, [B, feature_size]."""
        return self.batch(self.layers(_with_labels(x.flatten(1), labels, self.classes)))

    def logits(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """Features -> logits [B]; they know the labels already."""
        return self.head(features).squeeze(1)


@torch.no_grad()
def spread(layers: nn.Sequential, dimensions: int, slope: float, reach: float) -> None:
    """He's initialisation (arXiv:1502.01852), the first layer's hinges anywhere up to `reach` from the origin.

    A unit bends where w x + b = 0, |b| / |w| away. Torch begins with most of these hinges within a distance of one, and
    a network that cannot bend where the outer modes of a mixture lie tells G nothing of their place.
    """
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    for layer in linear:
        nn.init.kaiming_normal_(layer.weight, a=slope, nonlinearity="leaky_relu")
        nn.init.zeros_(layer.bias)
    linear[0].bias.uniform_(-reach, reach).mul_(linear[0].weight[:, :dimensions].norm(dim=1))


def _layers(widths: list[int], norm: Norm, slope: float, dropout: float = 0.0) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), *([nn.BatchNorm1d(after)] if norm == "batch" else [])]
        layers += [nn.LeakyReLU(slope), *([nn.Dropout(dropout)] if dropout else [])]
    return nn.Sequential(*layers)


def _with_labels(x: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """Append one-hot labels, as Mirza & Osindero (2014, arXiv:1411.1784) feed both players."""
    if not classes:
        return x
    assert labels is not None
    return torch.cat([x, F.one_hot(labels, classes).to(x.dtype)], 1)
