"""Progressive growing of GANs (Karras et al., 2018, "Progressive Growing of GANs for Improved Quality, Stability, and
Variation", arXiv:1710.10196, section 2, table 2, appendix A.1).

Training begins with images of the base size, about 4x4, for `stable` images. Then one level after another is faded in:
over `fade` images the new level's picture takes over from the enlarged picture of the level below, and for `stable`
images nothing changes. A level is a doubling of both sides, two 3x3 convolutions in each network.

Outside, the size never changes: a picture is enlarged to the full image by repeating its pixels, which the average
pooling of the discriminator undoes, and `Generator.match` shows real images as they look at this level. A penalty on
D's gradient therefore sees full images: a slope of 1 for these is one of 2^k for a picture k doublings smaller.
Layers that have not joined, and those that have faded out, cost nothing and have no gradient.

Not of the paper: any size that can be halved; labels, which stand beside the noise as an embedding, normalised alike,
and add their projection to the logit (Miyato & Koyama, 2018, arXiv:1802.05637, eq. 3).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import ConfigError, Shape
from organza.layers.equalized import EqualizedConv2d, EqualizedLinear, pixel_norm
from organza.layers.geometry import image, pyramid
from organza.layers.minibatch import minibatch_deviation
from organza.layers.resample import BLUR, smooth

HE = math.sqrt(2)  # gain of He et al. (arXiv:1502.01852) before a leaky ReLU, as in the paper


class Growth(nn.Module):
    """How far a network of levels 0 to `top` has grown: a function of the images seen, which are saved with it.

    It begins with level `first`. With `fade` and `stable` 0 all levels take part from the start. Raises ConfigError
    for a negative number.
    """

    progress: Tensor

    def __init__(self, top: int, fade: int, stable: int, first: int = 0) -> None:
        super().__init__()
        if fade < 0 or stable < 0:
            raise ConfigError(f"fade is {fade} and stable {stable}; they take a number of images, 0 or more")
        self.top, self.fade, self.stable, self.first = top, fade, stable, min(first, top)
        self.register_buffer("progress", torch.zeros((), dtype=torch.long))
        self.images: int | None = 0  # as `progress`, without asking the device; None: unknown
        self.register_load_state_dict_post_hook(_forget)

    def advance(self, images: int) -> None:
        """Go to where growth stands after `images` images."""
        self.progress.fill_(images)
        self.images = images

    def stage(self) -> tuple[int, float]:
        """(level, share): the highest level that takes part, and its share in (0, 1] of the picture."""
        if self.images is None:
            self.images = int(self.progress)
        return self.stage_at(self.images)

    def stage_at(self, images: int) -> tuple[int, float]:
        """The stage after `images` images."""
        period, since = self.fade + self.stable, images - self.stable
        if period == 0:
            return self.top, 1.0
        steps = min(max(-(-since // period), 0), self.top - self.first)
        into = since - (steps - 1) * period  # images since this level began to fade in
        return self.first + steps, min(into / self.fade, 1.0) if steps and self.fade else 1.0

    def match(self, real: Tensor) -> Tensor:
        """Images [B, C, H, W] -> the same, as this stage shows them: coarser, and blended with the level below."""
        level, share = self.stage()
        x = _shrunk(real, 2 ** (self.top - level))
        if share < 1:
            x = torch.lerp(_enlarged(_shrunk(x)), x, share)
        return _enlarged(x, 2 ** (self.top - level))


class Generator(nn.Module):
    """Noise [B, z_dim], labels [B] when `classes` > 0 -> images [B, C, H, W], not bounded: the last layer is linear.

    `width` counts the channels of the largest feature map, and each halving doubles them up to `max_width`; table 2
    has 16 for 1024x1024, and 512. Raises ConfigError for sizes that cannot be halved.
    """

    equalized = True

    def __init__(
        self, shape: Shape, classes: int = 0, *, z_dim: int = 512, width: int = 16, max_width: int = 512,
        fade: int = 800_000, stable: int = 800_000,
    ) -> None:  # fmt: skip
        super().__init__()
        channels, height, width_px = image(shape)
        base_h, base_w, top = pyramid(height, width_px)
        widths = _widths(width, max_width, top)
        self.z_dim, self.base = z_dim, (widths[0], base_h, base_w)
        self.growth = Growth(top, fade, stable)
        self.embed = nn.Parameter(torch.randn(classes, z_dim)) if classes else None
        # A convolution from 1x1 to 4x4: it has one bias for each map, and the paper's fan-in counts the places.
        gain = HE / math.sqrt(base_h * base_w)
        self.dense = EqualizedLinear(z_dim * (2 if classes else 1), math.prod(self.base), bias=False, gain=gain)
        self.bias = nn.Parameter(torch.zeros(widths[0], 1, 1))
        self.first = EqualizedConv2d(widths[0], widths[0], 3, gain=HE)
        self.blocks = nn.ModuleList(UpBlock(before, after) for before, after in pairwise(widths))
        self.to_image = nn.ModuleList(EqualizedConv2d(c, channels, 1) for c in widths)

    def advance(self, images: int) -> None:
        """Grow to where `images` images have led."""
        self.growth.advance(images)

    def match(self, real: Tensor) -> Tensor:
        """Real images [B, C, H, W] as this stage of growth shows them."""
        return self.growth.match(real)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise to images."""
        level, share = self.growth.stage()
        below = x = self._smallest(z, labels)
        for number in range(level):
            below, x = x, self.blocks[number](x)
        picture = self.to_image[level](x)
        if share < 1:
            picture = torch.lerp(_enlarged(self.to_image[level - 1](below)), picture, share)
        return _enlarged(picture, 2 ** (self.growth.top - level))

    def _smallest(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """The feature map of level 0, [B, C, h, w]; normalised noise is a point on a sphere (appendix A.1)."""
        z = pixel_norm(z)
        if self.embed is not None:
            assert labels is not None
            z = torch.cat([z, pixel_norm(self.embed[labels])], 1)
        x = self.dense(z).view(-1, *self.base).contiguous(memory_format=torch.channels_last) + self.bias
        return _normed(self.first(_normed(x)))


class Discriminator(nn.Module):
    """Images [B, C, H, W], labels [B] when `classes` > 0 -> logits [B], not bounded; the mirror of `Generator`.

    Its last level sees how much the samples of groups of `group` differ, so that logits depend on the batch.
    """

    equalized = True

    def __init__(
        self, shape: Shape, classes: int = 0, *, width: int = 16, max_width: int = 512, group: int = 4,
        fade: int = 800_000, stable: int = 800_000, first: int = 0, blur: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        channels, height, width_px = image(shape)
        base_h, base_w, top = pyramid(height, width_px)
        widths = _widths(width, max_width, top)
        self.group, self.feature_size = group, widths[0]
        self.growth = Growth(top, fade, stable, first)
        self.from_image = nn.ModuleList(EqualizedConv2d(channels, c, 1, gain=HE) for c in widths)
        self.blocks = nn.ModuleList(DownBlock(before, after, blur) for after, before in pairwise(widths))
        self.last = EqualizedConv2d(widths[0] + 1, widths[0], 3, gain=HE)
        self.dense = EqualizedLinear(widths[0] * base_h * base_w, widths[0], gain=HE)
        self.head = EqualizedLinear(widths[0], 1)
        self.embed = nn.Parameter(torch.randn(classes, widths[0])) if classes else None

    def advance(self, images: int) -> None:
        """Grow to where `images` images have led."""
        self.growth.advance(images)

    def first_to_last(self) -> list[nn.Module]:
        """The layers through which an image goes when all have grown, in that order."""
        blocks = [layer for block in reversed(self.blocks) for layer in block.children()]
        return [self.from_image[-1], *blocks, self.last, self.dense, self.head]

    def features(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images [B, C, H, W] -> what the last layer judges, [B, feature_size]."""
        level, share = self.growth.stage()
        picture = _shrunk(x, 2 ** (self.growth.top - level))
        x = _leaky(self.from_image[level](picture))
        for number in reversed(range(level)):
            x = self.blocks[number](x)
            if number == level - 1 and share < 1:
                x = torch.lerp(_leaky(self.from_image[number](_shrunk(picture))), x, share)
        x = _leaky(self.last(minibatch_deviation(x, self.group)))
        return _leaky(self.dense(x.flatten(1)))

    def logits(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """Features [B, feature_size], labels [B] when `classes` > 0 -> logits [B]."""
        logits = self.head(features).squeeze(1)
        if self.embed is None:
            return logits
        assert labels is not None
        return logits + (features * self.embed[labels]).sum(1) / math.sqrt(self.feature_size)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images."""
        return self.logits(self.features(x, labels), labels)


class UpBlock(nn.Module):
    """[B, before, h, w] -> [B, after, 2h, 2w]: a level of the generator."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1 = EqualizedConv2d(before, after, 3, gain=HE)
        self.conv2 = EqualizedConv2d(after, after, 3, gain=HE)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge and refine."""
        return _normed(self.conv2(_normed(self.conv1(_enlarged(x)))))


class DownBlock(nn.Module):
    """[B, before, h, w] -> [B, after, h/2, w/2]: a level of the discriminator; `blur` is StyleGAN's, [1, 2, 1]."""

    def __init__(self, before: int, after: int, blur: bool = False) -> None:
        super().__init__()
        self.conv1 = EqualizedConv2d(before, before, 3, gain=HE)
        self.conv2 = EqualizedConv2d(before, after, 3, gain=HE)
        self.blur = blur

    def forward(self, x: Tensor) -> Tensor:
        """Summarise and shrink."""
        x = _leaky(self.conv1(x))
        return _shrunk(_leaky(self.conv2(smooth(x, BLUR, padding=1) if self.blur else x)))


def _widths(width: int, limit: int, doublings: int) -> list[int]:
    """Channels of each level, the base first."""
    return [min(width * 2**i, limit) for i in range(doublings, -1, -1)]


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def _normed(x: Tensor) -> Tensor:
    return pixel_norm(_leaky(x))


def _enlarged(x: Tensor, factor: int = 2) -> Tensor:
    return x if factor == 1 else F.interpolate(x, scale_factor=float(factor), mode="nearest")


def _shrunk(x: Tensor, factor: int = 2) -> Tensor:
    return x if factor == 1 else F.avg_pool2d(x, factor)


def _forget(growth: Growth, _: object) -> None:
    """After new values were loaded: read them before they are used."""
    growth.images = None
