"""ESRGAN (Wang et al., 2018, arXiv:1809.00219): residual-in-residual dense blocks, and a discriminator of VGG's form.

Real-ESRGAN (arXiv:2107.10833) uses the same generator; for scales 1 and 2 it first folds 4x4 or 2x2 pixels into
channels. Names and shapes of the tensors are those of the published files, whose networks see pictures in [0, 1];
the conversion from and to [-1, 1] is in `forward`.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import ConfigError, Shape
from organza.layers.geometry import image
from organza.layers.pictures import from_unit, scale_of, to_unit, without_labels

SHRINK = 0.2  # of every residual, which keeps so deep a network stable (section 3.1)
SLOPE = 0.2
BAND = 64  # rows of the body that are enlarged at once
FOLD = {1: 4, 2: 2, 4: 1}  # by the scale: the body works at a quarter of the result's sides


class Generator(nn.Module):
    """RRDBNet: pictures [B, C, h, w] in [-1, 1] -> [B, K, scale h, scale w]; the result is not cut to [-1, 1].

    `scale`, 1, 2 or 4, is the height of `shape` by that of `source`. Sides must be multiples of `multiple`. Raises
    ConfigError for other scales and for labels.
    """

    def __init__(
        self, source: Shape, shape: Shape, classes: int = 0, *, width: int = 64, blocks: int = 23, growth: int = 32,
    ) -> None:  # fmt: skip
        super().__init__()
        self.classes, self.z_dim = without_labels(classes, "esrgan"), 0
        self.scale = scale_of(source, shape, tuple(FOLD), "esrgan")
        self.multiple = FOLD[self.scale]
        self.tile = 512  # pixels: tiles of this side take less than 2 GB, and give what the picture gives
        self.conv_first = nn.Conv2d(source[0] * self.multiple**2, width, 3, padding=1)
        self.body = nn.Sequential(*(Block(width, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(width, width, 3, padding=1)
        self.conv_up1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv_up2 = nn.Conv2d(width, width, 3, padding=1)
        self.conv_hr = nn.Conv2d(width, width, 3, padding=1)
        self.conv_last = nn.Conv2d(width, shape[0], 3, padding=1)

    def forward(self, source: Tensor, z: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """Enlarge."""
        x = to_unit(source)
        x = self.conv_first(F.pixel_unshuffle(x, self.multiple) if self.multiple > 1 else x)
        x = x + self.conv_body(self.body(x))
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self.enlarged(x)
        tops = range(0, x.shape[2], BAND)  # of bands of rows: what is enlarged takes most of the memory
        return torch.cat([self._band(x, top) for top in tops], 2)

    def enlarged(self, x: Tensor) -> Tensor:
        """What the body gives, [B, width, h, w] -> pictures [B, K, 4 h, 4 w]."""
        for conv in (self.conv_up1, self.conv_up2):
            x = _leaky(conv(F.interpolate(x, scale_factor=2, mode="nearest")))
        return from_unit(self.conv_last(_leaky(self.conv_hr(x))))

    def _band(self, x: Tensor, top: int) -> Tensor:
        """Rows of `enlarged`, the same numbers: made from 2 rows more above and below, as far as it looks."""
        above = min(top, 2)
        return self.enlarged(x[:, :, top - above : top + BAND + 2])[:, :, 4 * above : 4 * (above + BAND)]


class Block(nn.Module):
    """[B, width, h, w] -> the same shape: three dense blocks, their sum shrunk and added (figure 4, RRDB)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (Dense(width, growth) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Refine."""
        return torch.add(x, self.rdb3(self.rdb2(self.rdb1(x))), alpha=SHRINK)


class Dense(nn.Module):
    """[B, width, h, w] -> the same shape: five convolutions, each of which sees the results of all before it."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        for i in range(1, 6):
            after = growth if i < 5 else width
            self.add_module(f"conv{i}", _small(nn.Conv2d(width + (i - 1) * growth, after, 3, padding=1)))

    def forward(self, x: Tensor) -> Tensor:
        """Refine."""
        seen = x
        for i in range(1, 5):
            seen = torch.cat([seen, _leaky(self.get_submodule(f"conv{i}")(seen))], 1)
        return torch.add(x, self.get_submodule("conv5")(seen), alpha=SHRINK)


class Discriminator(nn.Module):
    """Pictures [B, C, S, S] in [-1, 1] -> logits [B]: halved to 4x4 by convolutions in pairs, as SRGAN and ESRGAN do.

    S is 16 times a power of two, 128 in the paper. Channels double from `width` to at most `max_width`. Raises
    ConfigError for other sizes and for labels.
    """

    def __init__(self, shape: Shape, classes: int = 0, *, width: int = 64, max_width: int = 512) -> None:
        super().__init__()
        self.classes = without_labels(classes, "esrgan")
        channels, side, _ = image(shape)
        stages = (side // 4).bit_length() - 1
        if shape[1:] != (4 << stages, 4 << stages) or stages < 2:
            raise ConfigError(
                f"esrgan's discriminator takes squares of 16, 32, 64, 128, 256 or 512 pixels, not {side}x{shape[2]}; "
                "type --data.resolution 128, or --discriminator.model srvgg, which takes any size"
            )
        self.stages = stages
        widths = [channels, *(min(width << i, max_width) for i in range(stages))]
        for i, (before, after) in enumerate(itertools.pairwise(widths)):
            self.add_module(f"conv{i}_0", nn.Conv2d(before, after, 3, padding=1, bias=i == 0))
            self.add_module(f"conv{i}_1", nn.Conv2d(after, after, 4, 2, 1, bias=False))
            if i > 0:
                self.add_module(f"bn{i}_0", nn.BatchNorm2d(after))
            self.add_module(f"bn{i}_1", nn.BatchNorm2d(after))
        self.feature_size = 100
        self.linear1 = nn.Linear(widths[-1] * 16, self.feature_size)
        self.linear2 = nn.Linear(self.feature_size, 1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge pictures."""
        return self.logits(self.features(x, labels), labels)

    def features(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the last layer judges, [B, 100]."""
        x = to_unit(x)
        for i in range(self.stages):
            for j in range(2):
                x = self.get_submodule(f"conv{i}_{j}")(x)
                x = _leaky(self.get_submodule(f"bn{i}_{j}")(x) if i or j else x)
        return _leaky(self.linear1(x.flatten(1)))

    def logits(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """Features -> logits [B]."""
        return self.linear2(features).squeeze(1)


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE, inplace=not x.requires_grad)


def _small(conv: nn.Conv2d) -> nn.Conv2d:
    small(conv)
    return conv


@torch.no_grad()
def small(module: nn.Module) -> None:
    """He's initialisation of a convolution, times 0.1 (section 3.1: smaller is easier to train)."""
    if isinstance(module, nn.Conv2d) and not module.weight.is_meta:  # torch takes seconds to find out how to draw there
        nn.init.kaiming_normal_(module.weight).mul_(0.1)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
