"""AnimeGANv2 (Chen et al., 2020, "AnimeGAN", doi:10.1007/978-981-15-5577-0_18, and the authors' second version).

A light generator turns photographs into drawings of one artist. It is trained on unpaired sets; what holds content,
brush and colours together are the terms of `organza.penalties.animegan`. The generator's state has the names of the
published PyTorch conversion. Every norm takes the mean and deviation of a whole image (layer norm), so that an image in
tiles comes out different from the image as a whole.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import Shape
from organza.layers.geometry import image
from organza.layers.sizes import must_reach, no_classes

SLOPE = 0.2


class Generator(nn.Module):
    """Photographs [B, C, H, W] in [-1, 1] -> drawings [B, *, H, W]; no noise, no labels.

    Any size of 8 pixels or more; sides that are no multiple of 4 are enlarged a little unevenly. Raises ConfigError for
    classes and smaller images.
    """

    z_dim, multiple = 0, 4

    def __init__(
        self, source: Shape, shape: Shape, classes: int = 0, *, width: int = 32, blocks: int = 4
    ) -> None:  # fmt: skip
        super().__init__()
        no_classes("AnimeGAN", classes)
        channels, height, side = image(source)
        must_reach(height, side, 8, "AnimeGAN", "type --data.resolution 64")
        self.classes, w = 0, width
        self.block_a = nn.Sequential(_layer(channels, w, 7), _layer(w, 2 * w, stride=2), _layer(2 * w, 2 * w))
        self.block_b = nn.Sequential(_layer(2 * w, 4 * w, stride=2), _layer(4 * w, 4 * w))
        residuals = (Inverted(4 * w if i == 0 else 8 * w, 8 * w) for i in range(blocks))
        self.block_c = nn.Sequential(_layer(4 * w, 4 * w), *residuals, _layer(8 * w if blocks else 4 * w, 4 * w))
        self.block_d = nn.Sequential(_layer(4 * w, 4 * w), _layer(4 * w, 4 * w))
        self.block_e = nn.Sequential(_layer(4 * w, 2 * w), _layer(2 * w, 2 * w), _layer(2 * w, w, 7))
        self.out_layer = nn.Sequential(nn.Conv2d(w, image(shape)[0], 1, bias=False), nn.Tanh())
        self.apply(_initialise_he)

    def forward(self, source: Tensor, z: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """Draw."""
        half = self.block_a(source)
        x = self.block_c(self.block_b(half))
        x = self.block_d(_resized(x, half))
        return self.out_layer(self.block_e(_resized(x, source)))


class Inverted(nn.Module):
    """[B, before, h, w] -> [B, after, h, w]: widened by 2, filtered channel by channel, narrowed (arXiv:1801.04381).

    What came in is added where it has as many channels.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        inner = 2 * before
        self.layers = nn.Sequential(
            _layer(before, inner, 1), _layer(inner, inner, groups=inner), nn.Conv2d(inner, after, 1, bias=False),
            nn.GroupNorm(1, after),
        )  # fmt: skip
        self.adds = before == after

    def forward(self, x: Tensor) -> Tensor:
        """Add what the block has learnt."""
        return x + self.layers(x) if self.adds else self.layers(x)


class Discriminator(nn.Module):
    """Images [B, C, H, W] -> logits [B, K] of all places, which are 2^(layers - 1) pixels apart.

    Needs `spectral_norm` of its player. Raises ConfigError for classes and for images that cannot be halved so often.
    """

    feature_size = 0

    def __init__(
        self, shape: Shape, classes: int = 0, *, width: int = 64, layers: int = 3
    ) -> None:  # fmt: skip
        super().__init__()
        no_classes("AnimeGAN", classes)
        channels, height, side = image(shape)
        must_reach(height, side, 2**layers, f"{layers} layers", "type --discriminator.model.layers 2")
        before = width // 2
        stages: list[nn.Module] = [nn.Sequential(_conv(channels, before), nn.LeakyReLU(SLOPE))]
        for _ in range(layers - 1):
            stages.append(nn.Sequential(_conv(before, width, 2), nn.LeakyReLU(SLOPE)))
            stages.append(_normed(width, 2 * width))
            before, width = 2 * width, 2 * width
        stages += [_normed(before, width), _conv(width, 1)]
        self.classes, self.main = 0, nn.Sequential(*stages)
        for _ in range(layers - 1):
            height, side = (height + 1) // 2, (side + 1) // 2
        self.parts = (height * side,)
        self.apply(_initialise_normal)

    def features(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, ...]:
        """Every layer's activation [B, *, h, w] but the logits."""
        found: list[Tensor] = []
        for stage in list(self.main)[:-1]:
            x = stage(x)
            found.append(x)
        return tuple(found)

    def logits(self, features: tuple[Tensor, ...], labels: Tensor | None = None) -> Tensor:
        """Last features -> logits [B, K]."""
        return self.main[-1](features[-1]).flatten(1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images."""
        return self.logits(self.features(x))


def _layer(before: int, after: int, kernel: int = 3, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Reflected border, convolution, layer norm, leaky ReLU; only what filters channel by channel has a bias."""
    side = (kernel - 1) // 2
    border = (0, 1, 0, 1) if stride == 2 else (side, side, side, side)  # an even side needs no more to be halved
    conv = nn.Conv2d(before, after, kernel, stride, groups=groups, bias=groups > 1)
    return nn.Sequential(nn.ReflectionPad2d(border), conv, nn.GroupNorm(1, after), nn.LeakyReLU(SLOPE))


def _resized(x: Tensor, like: Tensor) -> Tensor:
    """Linear between the pixels, corners on corners, as the first version in TensorFlow had it."""
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=True)


def _conv(before: int, after: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, stride, 1, bias=False)


def _normed(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(_conv(before, after), nn.GroupNorm(1, after), nn.LeakyReLU(SLOPE))


def _initialise_he(module: nn.Module) -> None:
    """He et al. (arXiv:1502.01852); biases zero. That the authors start so is from memory."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _initialise_normal(module: Any) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
