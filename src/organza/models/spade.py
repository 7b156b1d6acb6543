"""SPADE, or GauGAN (Park et al., 2019, arXiv:1903.07291): pictures from maps of labels that no norm washes out.

Every norm takes its gain and bias from the map, pixel by pixel (eq. 1 and 2):

    y = (1 + gamma(map)) * (x - mean) / sqrt(variance + 1e-5) + beta(map)

so the generator needs no encoder: it begins with the map at its smallest, or with noise, and enlarges (section 3). The
discriminators judge map and picture together at two scales. Sources are maps of zeros and ones, one channel for each
label. Spectral norm is built in, as published, and keys and shapes are those of official weights in torch's new names
of spectral norm. Written from the paper and from interface facts.
"""

from __future__ import annotations

import itertools
import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from organza.config import ConfigError, Shape
from organza.layers.geometry import image
from organza.layers.init import xavier_layers
from organza.layers.norm import norms
from organza.layers.patchgan import features_at_scales, logits_at_scales, logits_of_scales, plan
from organza.layers.source import ends, prepared, with_planes
from organza.layers.spectral import take_folded_weights
from organza.models.pix2pixhd import must_judge

Norm = Literal["batch", "instance"]
Ups = Literal["usual", "more", "most"]
UPS = {"usual": 5, "more": 6, "most": 7}
SMALLEST = 4  # pixels that the encoder ends with


class Generator(nn.Module):
    """Maps [B, C, H, W], noise [B, z_dim] with `vae`, labels [B] when `classes` > 0 -> images [B, *shape] in [-1, 1].

    `ups` are 5, 6 or 7 doublings (usual, more, most), and both sides multiples of 2^ups: the paper takes `more` for
    512x256. `hidden` are the channels between the map and its gains. With `vae` it begins with `z_dim` numbers in the
    place of the map, and then has the size of `shape` alone; `z_dim` is 0 without. An encoder of `encoder_width`
    channels (64 as published, 0: none) reads these numbers from an image, which is its style: `like` a target in
    training, as a variational autoencoder does (section 3, "multi-modal synthesis").

    Raises ConfigError for sides that do not fit and an encoder without `vae`, ValueError without the noise it needs.
    """

    def __init__(
        self, source: Shape, shape: Shape, classes: int = 0, *, width: int = 64, ups: Ups = "usual",
        hidden: int = 128, norm: Norm = "batch", vae: bool = False, z_dim: int = 256, encoder_width: int = 0,
        spectral: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if encoder_width < 0:
            raise ConfigError(f"encoder_width is {encoder_width}; it takes 0 (none) or more, such as 64")
        if encoder_width and not vae:
            raise ConfigError("an encoder of styles needs noise to stand for; add --generator.model.vae true")
        self.classes, self.z_dim, self.multiple = classes, z_dim if vae else 0, 2 ** UPS[ups]
        self.ups: Ups = ups
        before, after, height, width_px = ends(source, shape, self.multiple)
        maps, most = before + classes, 16 * width
        self.base = most, height // self.multiple, width_px // self.multiple
        self.fc = nn.Linear(z_dim, math.prod(self.base)) if vae else nn.Conv2d(maps, most, 3, padding=1)
        for name, channels, out_channels in _blocks(width, ups):
            self.add_module(name, Block(channels, out_channels, maps, hidden, norm, spectral))
        self.conv_img = nn.Conv2d(width // (2 if ups == "most" else 1), after, 3, padding=1)
        for layer in (self.fc, self.conv_img):
            xavier_layers(layer)
        if encoder_width:
            self.encoder = Encoder(shape, z_dim=z_dim, width=encoder_width, spectral=spectral)
        self.only_size = tuple(self.multiple * side for side in self.base[1:]) if vae else None
        self.styled = self.learns_like = encoder_width > 0
        self.plain = _built_in(self, spectral)

    def forward(
        self, source: Tensor, z: Tensor | None = None, labels: Tensor | None = None, like: Tensor | None = None
    ) -> Tensor:
        """Translate, in a style drawn around that of the images `like` [B, *shape] where they are given."""
        if like is not None and z is not None:
            mean, log_variance = self.encoder(like)
            z = mean + (0.5 * log_variance).exp() * z
        maps = prepared(source, labels, self.classes, self.multiple)
        x = self._start(maps, z)
        for name, *_ in _blocks(1, self.ups):
            if name != "head_0" and (name != "G_middle_1" or self.ups != "usual"):
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = self.get_submodule(name)(x, maps)
        return self.conv_img(F.leaky_relu(x, 0.2)).tanh()

    def style_of(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images [B, *shape] -> the middle of their styles [B, z_dim]."""
        return self.encoder(images)[0]

    def in_style(self, source: Tensor, style: Tensor, labels: Tensor | None = None) -> Tensor:
        """Translate in styles [B, z_dim]."""
        return self(source, style, labels)

    def _start(self, maps: Tensor, z: Tensor | None) -> Tensor:
        height, width = (side // self.multiple for side in maps.shape[2:])
        if not self.z_dim:
            return self.fc(F.interpolate(maps, (height, width), mode="nearest"))
        if z is None:
            raise ValueError(f"a generator with vae needs noise [B, {self.z_dim}]; give it z")
        if (height, width) != self.base[1:]:
            wanted, given = (f"{h * self.multiple}x{w * self.multiple}" for h, w in (self.base[1:], (height, width)))
            raise ValueError(f"a generator with vae makes {wanted} alone, not {given}; resize to it")
        return self.fc(z).view(-1, *self.base)


class Block(nn.Module):
    """[B, C, h, w], maps [B, *, H, W] -> [B, K, h, w]: two convolutions behind norms of the map (figure 4)."""

    def __init__(self, channels: int, out_channels: int, maps: int, hidden: int, norm: Norm, spectral: bool) -> None:
        super().__init__()
        within, self.learned = min(channels, out_channels), channels != out_channels
        self.conv_0 = _conv(channels, within, spectral)
        self.conv_1 = _conv(within, out_channels, spectral)
        self.norm_0, self.norm_1 = Spade(channels, maps, hidden, norm), Spade(within, maps, hidden, norm)
        if self.learned:
            self.conv_s = _conv(channels, out_channels, spectral, kernel=1, bias=False)
            self.norm_s = Spade(channels, maps, hidden, norm)

    def forward(self, x: Tensor, maps: Tensor) -> Tensor:
        """Add to the shortcut, which has no activation."""
        short = self.conv_s(self.norm_s(x, maps)) if self.learned else x
        x = self.conv_0(F.leaky_relu(self.norm_0(x, maps), 0.2))
        return short + self.conv_1(F.leaky_relu(self.norm_1(x, maps), 0.2))


class Spade(nn.Module):
    """[B, C, h, w], maps [B, *, H, W] -> [B, C, h, w]: equations 1 and 2, of the map resized to the nearest pixel."""

    def __init__(self, channels: int, maps: int, hidden: int = 128, norm: Norm = "batch") -> None:
        super().__init__()
        bare = nn.BatchNorm2d(channels, affine=False) if norm == "batch" else nn.InstanceNorm2d(channels)
        self.param_free_norm = bare
        self.mlp_shared = nn.Sequential(nn.Conv2d(maps, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, channels, 3, padding=1)
        self.apply(xavier_layers)

    def forward(self, x: Tensor, maps: Tensor) -> Tensor:
        """Normalise, then scale and shift by place."""
        shared = self.mlp_shared(F.interpolate(maps, x.shape[2:], mode="nearest"))
        return torch.addcmul(self.mlp_beta(shared), self.param_free_norm(x), 1 + self.mlp_gamma(shared))


class Encoder(nn.Module):
    """Images [B, C, H, W] in [-1, 1] -> (mean, log variance) of their style, [B, z_dim] each (appendix A, figure 14).

    Images are resized to a square of 256 pixels, or of the power of two that is not above the smaller side.
    """

    def __init__(self, shape: Shape, *, z_dim: int = 256, width: int = 64, spectral: bool = True) -> None:
        super().__init__()
        channels, height, width_px = image(shape)
        if min(height, width_px) < 2 * SMALLEST:
            raise ConfigError(f"images of {height}x{width_px} are too small for an encoder; type --data.resolution 64")
        self.side = min(256, 2 ** (min(height, width_px).bit_length() - 1))
        self.count = (self.side // SMALLEST).bit_length() - 1
        for number in range(self.count):
            after = width * min(2**number, 8)
            layer = _conv(channels, after, spectral, bias=False, stride=2)
            self.add_module(f"layer{number + 1}", nn.Sequential(layer, nn.InstanceNorm2d(after)))
            channels = after
        self.fc_mu = nn.Linear(channels * SMALLEST**2, z_dim)
        self.fc_var = nn.Linear(channels * SMALLEST**2, z_dim)
        for layer in (self.fc_mu, self.fc_var):
            xavier_layers(layer)
        self.plain = _built_in(self, spectral)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Encode."""
        x = images
        if tuple(x.shape[2:]) != (self.side, self.side):
            x = F.interpolate(x, (self.side, self.side), mode="bilinear", align_corners=False)
        for number in range(self.count):
            x = F.leaky_relu(self.get_submodule(f"layer{number + 1}")(x), 0.2)
        return self.fc_mu(x.flatten(1)), self.fc_var(x.flatten(1))


class Discriminator(nn.Module):
    """Maps and images [B, C, H, W], labels [B] when `classes` > 0 -> logits [B, K] of all places, finest scale first.

    `layers` counts the convolutions before the logits, the last of which has stride 1: 4 are pix2pixHD's 3.
    """

    feature_size = 0

    def __init__(
        self, shape: Shape, classes: int = 0, *, layers: int = 4, scales: int = 2, width: int = 64,
        spectral: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        channels, height, width_px = image(shape)
        if layers < 2:
            raise ConfigError(f"layers is {layers}; type a number from 2")
        must_judge(height, width_px, layers - 1, scales)
        self.classes, self.scales = classes, scales
        self.parts = logits_of_scales(height, width_px, layers - 1, 2, scales)
        for scale in range(scales):
            judge = nn.Module()
            for number, stage in enumerate(_stages(channels + classes, width, layers, spectral)):
                judge.add_module(f"model{number}", stage)
            self.add_module(f"discriminator_{scale}", judge)
        self.plain = _built_in(self, spectral)

    def features(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, ...]:
        """What each stage of each scale makes, finest first; the last of each scale is judged."""
        return features_at_scales(with_planes(x, labels, self.classes), self.judges)

    def logits(self, features: tuple[Tensor, ...], labels: Tensor | None = None) -> Tensor:
        """Features -> logits [B, K], `parts` of them from each scale; they know the labels already."""
        return logits_at_scales(features, self.judges)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images."""
        return self.logits(self.features(x, labels), labels)

    @property
    def judges(self) -> list[list[nn.Module]]:
        """The stages of each scale, finest first."""
        return [list(self.get_submodule(f"discriminator_{scale}").children()) for scale in range(self.scales)]


def _blocks(width: int, ups: Ups) -> list[tuple[str, int, int]]:
    """(name, channels before, after) of the blocks, in order."""
    most = 16 * width
    blocks = [(name, most, most) for name in ("head_0", "G_middle_0", "G_middle_1")]
    later = [most // 2**number for number in range(5 if ups != "most" else 6)]
    return blocks + [(f"up_{i}", a, b) for i, (a, b) in enumerate(itertools.pairwise(later))]


def _stages(channels: int, width: int, layers: int, spectral: bool) -> list[nn.Sequential]:
    """Those of one scale: the first and the last have neither norm, the others both and no bias."""
    stages, after = list[nn.Sequential](), channels
    for number, (before, after, stride) in enumerate(plan(channels, width, layers - 1)):
        layer = _conv(before, after, spectral and number > 0, kernel=4, bias=number == 0, stride=stride, padding=2)
        normed = nn.Sequential(layer, *norms("instance", after)) if number else layer
        stages.append(nn.Sequential(normed, nn.LeakyReLU(0.2)))
    return [*stages, nn.Sequential(_conv(after, 1, False, kernel=4, padding=2))]


def _conv(
    before: int, after: int, spectral: bool, *, kernel: int = 3, bias: bool = True, stride: int = 1,
    padding: int | None = None,
) -> nn.Module:  # fmt: skip
    """A convolution that starts as published, before its norm is measured for the first time."""
    layer = nn.Conv2d(before, after, kernel, stride, kernel // 2 if padding is None else padding, bias=bias)
    xavier_layers(layer)
    return spectral_norm(layer) if spectral else layer


def _built_in(network: nn.Module, spectral: bool) -> tuple[str, ...]:
    """What `plain` names: everything, where spectral norm is built in and must not come twice."""
    network.register_load_state_dict_pre_hook(take_folded_weights)
    return tuple(name for name, _ in network.named_children()) if spectral else ()
