"""MUNIT (Huang et al., 2018, "Multimodal Unsupervised Image-to-Image Translation", arXiv:1804.04732).

An image is a content, which both domains share, and a style, which is its domain's own: c = E^c(x), s = E^s(x). Every
style of B, drawn from N(0, 1), makes another translation of the same image of A (section 3.2):

    x_ab = G_b(c_a, s_b),   x_ba = G_a(c_b, s_a)

The style says by which mean and deviation each channel of the decoder's residual blocks goes (AdaIN, eq. 8). Layers are
those of the paper's appendix B. Names in the state are those of the published files as we know them; no such file was
at hand to prove it. Shapes: B batch, C channels, H and W of images, h and w of contents.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import ConfigError, Shape
from organza.layers.geometry import image
from organza.layers.sizes import must_divide, must_reach, no_classes

Domain = Literal["a", "b"]
Norm = Literal["none", "instance", "layer"]


class Generator(nn.Module):
    """Images of A and B side by side [B, Ca + Cb, H, W] -> translations [B, Cb + Ca, H, W]: A into B, B into A.

    `z` [B, 2 * style_dim] holds the styles for B's decoder and for A's; without it they are the prior's mean, zero.
    `channels_of_a` says where A ends, 0: in the middle. `a` and `b` are the two coders of the paper.

    Raises ConfigError for classes, for images too small, and where what goes out is not what comes in.
    """

    two_way = True
    partly = True  # style encoders learn from penalties alone
    styled = True

    def __init__(
        self, source: Shape, shape: Shape, classes: int = 0, *, style_dim: int = 8, width: int = 64, downs: int = 2,
        blocks: int = 4, style_downs: int = 4, mlp_width: int = 256, channels_of_a: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        no_classes("MUNIT", classes)
        self.channels = both_domains(source, shape, channels_of_a)
        smallest = max(2**style_downs, 2 ** (downs + 1))
        must_reach(source[1], source[2], smallest, "the style encoder", "type --generator.model.style_downs 2")
        self.classes, self.z_dim, self.multiple = 0, 2 * style_dim, 2**downs
        self.a, self.b = (
            Coder(channels, style_dim, width, downs, blocks, style_downs, mlp_width) for channels in self.channels
        )
        self.apply(initialise_he)

    def forward(self, source: Tensor, z: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """Translate both."""
        must_divide(source, self.multiple)
        of_a, of_b = source.split(self.channels, 1)
        to_b, to_a = (source.new_zeros(len(source), self.z_dim) if z is None else z).chunk(2, 1)
        ab = self.b.decode(self.a.enc_content(of_a), to_b)
        return torch.cat([ab, self.a.decode(self.b.enc_content(of_b), to_a)], 1)

    def one_way(self, images: Tensor, z: Tensor | None = None, reverse: bool = False) -> Tensor:
        """Images of A [B, Ca, H, W] -> B, or of B -> A, in the half of `z` [B, 2 * style_dim] that is for them."""
        must_divide(images, self.multiple)
        to_b, to_a = (images.new_zeros(len(images), self.z_dim) if z is None else z).chunk(2, 1)
        of, to, style = (self.b, self.a, to_a) if reverse else (self.a, self.b, to_b)
        return to.decode(of.enc_content(images), style)

    def style_of(self, images: Tensor, labels: Tensor | None = None, reverse: bool = False) -> Tensor:
        """Images of B, or of A, [B, *, H, W] -> their styles [B, style_dim]."""
        return (self.a if reverse else self.b).enc_style(images)

    def in_style(
        self, source: Tensor, style: Tensor, labels: Tensor | None = None, reverse: bool = False
    ) -> Tensor:  # fmt: skip
        """Images of A -> B, or of B -> A, in styles [B, style_dim]."""
        return self.one_way(source, torch.cat([style, style], 1), reverse)

    def encode(self, x: Tensor, domain: Domain) -> tuple[Tensor, Tensor]:
        """Images of one domain [B, C, H, W] -> their content [B, K, h, w] and style [B, style_dim]."""
        coder = {"a": self.a, "b": self.b}[domain]
        return coder.enc_content(x), coder.enc_style(x)

    def decode(self, content: Tensor, style: Tensor, domain: Domain) -> Tensor:
        """A content and a style -> images of this domain."""
        return {"a": self.a, "b": self.b}[domain].decode(content, style)


class Discriminator(nn.Module):
    """Images of one domain [B, C, H, W] -> logits [B, K] of all places of all scales, the finest scale first.

    Each scale sees the image at half the size of the one before. Raises ConfigError for classes and small images.
    """

    feature_size = 0

    def __init__(
        self, shape: Shape, classes: int = 0, *, width: int = 64, layers: int = 4, scales: int = 3
    ) -> None:  # fmt: skip
        super().__init__()
        no_classes("MUNIT", classes)
        channels, height, side = image(shape)
        last = 2 ** (scales - 1)
        must_reach(
            height, side, (2**layers - 1) * last + 1, f"{scales} scales with {layers} layers",
            "type --discriminator.model.scales 1, or fewer --discriminator.model.layers",
        )  # fmt: skip
        self.classes, self.depth, self.parts = 0, layers, _places(height, side, layers, scales)
        self.cnns = nn.ModuleList(_judge(channels, width, layers) for _ in range(scales))
        self.apply(_initialise_normal)

    def features(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, ...]:
        """Every layer's activation [B, *, h, w] but the logits, scale by scale."""
        found: list[Tensor] = []
        for scale, cnn in enumerate(self.cnns):
            x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False) if scale else x
            y = x
            for layer in cnn[:-1]:  # type: ignore[index]
                y = layer(y)
                found.append(y)
        return tuple(found)

    def logits(self, features: tuple[Tensor, ...], labels: Tensor | None = None) -> Tensor:
        """The last activations of each scale -> logits [B, K]."""
        ends = features[self.depth - 1 :: self.depth]
        return torch.cat([cnn[-1](y).flatten(1) for cnn, y in zip(self.cnns, ends, strict=True)], 1)  # type: ignore

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images."""
        return self.logits(self.features(x))


class Coder(nn.Module):
    """The encoders and the decoder of one domain (the `AdaINGen` of the published files)."""

    def __init__(
        self, channels: int, style_dim: int, width: int, downs: int, blocks: int, style_downs: int, mlp_width: int
    ) -> None:
        super().__init__()
        self.enc_style = StyleEncoder(channels, style_dim, width, style_downs)
        self.enc_content = ContentEncoder(channels, width, downs, blocks)
        self.dec = Decoder(channels, width, downs, blocks, styled=True)
        self.mlp = Mlp(style_dim, mlp_width, 2 * blocks * 2 * width * 2**downs)

    def decode(self, content: Tensor, style: Tensor) -> Tensor:
        """Content [B, K, h, w], style [B, style_dim] -> images."""
        return self.dec(content, self.mlp(style))


class ContentEncoder(nn.Module):
    """Images [B, C, H, W] -> contents [B, width * 2^downs, H / 2^downs, W / 2^downs]."""

    def __init__(self, channels: int, width: int, downs: int, blocks: int) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(downs + 1)]
        self.model = nn.Sequential(
            Block(channels, width, 7, norm="instance"),
            *(Block(a, 2 * a, 4, 2, norm="instance") for a in widths[:-1]),
            ResBlocks(widths[-1], blocks, styled=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Encode."""
        return self.model(x)


class StyleEncoder(nn.Module):
    """Images [B, C, H, W] -> styles [B, style_dim]; no norm, which would take out the means that are the style."""

    def __init__(self, channels: int, style_dim: int, width: int, downs: int) -> None:
        super().__init__()
        widths = [width * 2 ** min(i, 2) for i in range(downs + 1)]
        halvings = (Block(a, b, 4, 2) for a, b in pairwise(widths))
        ends = (nn.AdaptiveAvgPool2d(1), nn.Conv2d(widths[-1], style_dim, 1))
        self.model = nn.Sequential(Block(channels, width, 7), *halvings, *ends)

    def forward(self, x: Tensor) -> Tensor:
        """Encode."""
        return self.model(x).flatten(1)


class Decoder(nn.Module):
    """Contents [B, width * 2^downs, h, w], with `styled` means and deviations [B, *] -> images [B, C, H, W]."""

    def __init__(self, channels: int, width: int, downs: int, blocks: int, *, styled: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [ResBlocks(width * 2**downs, blocks, styled)]
        for i in range(downs, 0, -1):
            layers += [nn.Upsample(scale_factor=2), Block(width * 2**i, width * 2 ** (i - 1), 5, norm="layer")]
        self.model = nn.Sequential(*layers, Block(width, channels, 7, act="tanh"))

    def forward(self, content: Tensor, moments: Tensor | None = None) -> Tensor:
        """Draw."""
        return self.model[1:](self.model[0](content, moments))


class ResBlocks(nn.Module):
    """[B, C, h, w] -> the same shape: x + f(x), some times; `moments` [B, 4 * C * blocks] where they are `styled`."""

    def __init__(self, channels: int, blocks: int, styled: bool) -> None:
        super().__init__()
        self.styled = styled
        self.model = nn.ModuleList(ResBlock(channels, styled) for _ in range(blocks))

    def forward(self, x: Tensor, moments: Tensor | None = None) -> Tensor:
        """One block after the other, each with its own moments."""
        assert (moments is not None) == self.styled
        own = [None] * len(self.model) if moments is None else moments.chunk(len(self.model), 1)
        for block, values in zip(self.model, own, strict=True):
            x = block(x, values)
        return x


class ResBlock(nn.Module):
    """[B, C, h, w] -> the same shape; `moments` [B, 4 * C]: mean and deviation after each of the two convolutions."""

    def __init__(self, channels: int, styled: bool) -> None:
        super().__init__()
        norm = "none" if styled else "instance"
        self.model = nn.ModuleList(Block(channels, channels, 3, norm=norm, act=act) for act in ("relu", "none"))
        if styled:
            for block in self.model:
                block.norm = AdaIN()

    def forward(self, x: Tensor, moments: Tensor | None = None) -> Tensor:
        """Add what the block has learnt."""
        first, second = (None, None) if moments is None else moments.chunk(2, 1)
        return x + self.model[1](self.model[0](x, first), second)


class Block(nn.Module):
    """[B, before, h, w] -> [B, after, h / stride, w / stride]: convolution with reflected borders, norm, activation."""

    def __init__(
        self, before: int, after: int, kernel: int, stride: int = 1, *, norm: Norm = "none",
        act: Literal["relu", "leaky", "tanh", "none"] = "relu",
    ) -> None:  # fmt: skip
        super().__init__()
        padding = (kernel - 1) // 2
        self.conv = nn.Conv2d(before, after, kernel, stride, padding, padding_mode="reflect")
        self.norm = {"none": lambda _: None, "instance": nn.InstanceNorm2d, "layer": LayerNorm}[norm](after)
        self.act = {"relu": F.relu, "leaky": _leaky, "tanh": torch.tanh, "none": lambda x: x}[act]

    def forward(self, x: Tensor, moments: Tensor | None = None) -> Tensor:
        """Filter, norm, bend."""
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x) if moments is None else self.norm(x, moments)
        return self.act(x)


class AdaIN(nn.Module):
    """[B, C, h, w], moments [B, 2 * C] -> normed images with these means (first C) and deviations (eq. 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_load_state_dict_pre_hook(_without_statistics)

    def forward(self, x: Tensor, moments: Tensor) -> Tensor:
        """Norm each channel of each image, then scale and shift it."""
        mean, deviation = moments[:, :, None, None].chunk(2, 1)
        return torch.addcmul(mean, F.instance_norm(x), deviation)


class LayerNorm(nn.Module):
    """[B, C, h, w] -> the same: each image normed over all its numbers, then a gain and a bias for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.rand(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Norm."""
        return F.group_norm(x, 1, self.gamma, self.beta)


class Mlp(nn.Module):
    """Styles [B, inputs] -> means and deviations [B, outputs], by three linear layers."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.model = nn.ModuleList(
            nn.ModuleDict({"fc": nn.Linear(a, b)}) for a, b in ((inputs, width), (width, width), (width, outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map."""
        first, second, last = (layer["fc"] for layer in self.model)  # type: ignore[index]
        return last(F.relu(second(F.relu(first(x)))))


def both_domains(source: Shape, shape: Shape, channels_of_a: int) -> tuple[int, int]:
    """The channels (Ca, Cb) of the two domains. Raises ConfigError where they do not add up."""
    channels, height, width = image(source)
    of_a = channels_of_a or channels // 2
    if image(shape) != (channels, height, width):
        raise ConfigError(
            f"two domains are translated side by side, so that what goes out, {shape}, must be of the shape of what "
            f"comes in, {source}; resize both to the same, with --data.resolution {min(height, width)}"
        )
    if not 0 < of_a < channels or (not channels_of_a and channels % 2):
        raise ConfigError(
            f"{channels} channels do not divide into two domains at {of_a}; type --generator.model.channels_of_a "
            f"{max(channels // 2, 1)}"
        )
    return of_a, channels - of_a


def initialise_he(module: nn.Module) -> None:
    """He et al. (arXiv:1502.01852): normal with deviation sqrt(2 / inputs); biases zero (appendix B.1)."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight)
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]


def _initialise_normal(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]


def _judge(channels: int, width: int, layers: int) -> nn.Sequential:
    widths = [channels, *(width * 2**i for i in range(layers))]
    blocks = (Block(a, b, 4, 2, act="leaky") for a, b in pairwise(widths))
    return nn.Sequential(*blocks, nn.Conv2d(widths[-1], 1, 1))


def _places(height: int, width: int, layers: int, scales: int) -> tuple[int, ...]:
    sides = [(-(-height // 2**scale), -(-width // 2**scale)) for scale in range(scales)]
    return tuple((h >> layers) * (w >> layers) for h, w in sides)


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def _without_statistics(module: AdaIN, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Published files hold running statistics here that nothing ever read."""
    for name in ("running_mean", "running_var"):
        state.pop(prefix + name, None)
