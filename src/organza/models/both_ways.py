"""Two translators as one player, and two judges as the other: the game of CycleGAN (arXiv:1703.10593).

Images of A and of B lie side by side on the channels. What is translated is (a, b), the result (F(a), G(b)) is to look
like (b, a). To translate a result back, its halves change places: `swapped`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from organza.config import ConfigError, Model, Shape
from organza.models import build, is_two_way, translator


class BothWays(nn.Module):
    """`forth` makes images of B from those of A, `back` the other way round."""

    def __init__(self, forth: nn.Module, back: nn.Module, channels: tuple[int, int]) -> None:
        super().__init__()
        self.forth, self.back, self.channels = forth, back, channels  # of A and of B
        self.z_dim, self.multiple = int(forth.z_dim), int(forth.multiple)  # type: ignore[arg-type]
        self.least = int(getattr(forth, "least", self.multiple))

    def forward(self, source: Tensor, z: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """(a, b) [B, Ca + Cb, H, W] -> (b, a) [B, Cb + Ca, H, W]."""
        a, b = source.split(self.channels, 1)
        return torch.cat([self.forth(a, z, labels), self.back(b, z, labels)], 1)

    def one_way(self, images: Tensor, z: Tensor | None = None, reverse: bool = False) -> Tensor:
        """Images of A -> B, or of B -> A."""
        return (self.back if reverse else self.forth)(images, z)


class BothJudges(nn.Module):
    """`of_b` judges the first half of the results, `of_a` the second."""

    def __init__(self, of_b: nn.Module, of_a: nn.Module, channels: tuple[int, int]) -> None:
        super().__init__()
        self.of_b, self.of_a, self.channels = of_b, of_a, channels  # of A and of B
        self.feature_size = 0
        self.parts = (*parts_of(of_b), *parts_of(of_a))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge both."""
        return self.logits(self.features(x, labels), labels)

    def features(self, x: Tensor, labels: Tensor | None = None) -> tuple[Any, Any]:
        """Of each judge."""
        b, a = x.split(self.channels[::-1], 1)
        return self.of_b.features(b, labels), self.of_a.features(a, labels)  # type: ignore[operator]

    def logits(self, features: tuple[Any, Any], labels: Tensor | None = None) -> Tensor:
        """Side by side [B, K]."""
        return torch.cat([self.of_b.logits(features[0], labels), self.of_a.logits(features[1], labels)], 1)  # type: ignore[operator]


def both_ways(maker: Model, judge: Model, a: Shape, b: Shape) -> tuple[nn.Module, nn.Module]:
    """The two players for images of the shapes A and B. Raises ConfigError."""
    of_b, of_a = (build(judge, "discriminator", shape, 0) for shape in (b, a))
    return two_way(maker, a, b), BothJudges(of_b, of_a, (a[0], b[0]))


def two_way(maker: Model, a: Shape, b: Shape, classes: int = 0) -> nn.Module:
    """The generator of both ways: one network that knows both, or two. Raises ConfigError."""
    assert not classes
    if not is_two_way(maker.name):
        return BothWays(translator(maker, a, b), translator(maker, b, a), (a[0], b[0]))
    if maker.options.get("channels_of_a", 0) not in (0, a[0]):
        raise ConfigError(f"images of A have {a[0]} channels; leave generator.model.channels_of_a at 0")
    both = (a[0] + b[0], *a[1:])
    told = dataclasses.replace(maker, options={**maker.options, "channels_of_a": a[0]})
    return translator(told, both, (both[0], *b[1:]))


def swapped(pair: Tensor, first: int) -> Tensor:
    """The halves of a pair change places; the first has so many channels."""
    return torch.cat([pair[:, first:], pair[:, :first]], 1)


def parts_of(judge: nn.Module) -> tuple[int, ...]:
    """How many logits each judge in it gives."""
    parts = getattr(judge, "parts", ())
    return tuple(parts) if parts else (int(judge.patches),)  # type: ignore[arg-type]
