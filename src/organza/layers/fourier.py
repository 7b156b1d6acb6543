"""Fast Fourier convolutions (Chi et al., 2020; Suvorov et al., 2021, arXiv:2109.07161, section 2.1).

Channels are split into local ones, which 3x3 convolutions see, and global ones, which a 1x1 convolution sees after a
Fourier transform: one layer looks at the whole picture. Names are those of official weights of LaMa.

Shapes: B batch, l and g local and global channels (either may be none), h and w height and width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.layers.pictures import at_least_float32

Pair = tuple[Tensor | None, Tensor | None]
"""Local [B, l, h, w] and global [B, g, h, w] features; None where there are none."""

Split = tuple[int, int]
"""Local and global channels."""


class FourierUnit(nn.Module):
    """[B, C, h, w] -> the same shape: a 1x1 convolution, batch norm and ReLU of the spectrum.

    Real and imaginary part of each channel stand side by side. In float32, since transforms know no half precision.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """Transform, mix, transform back."""
        spectrum = torch.fft.rfft2(at_least_float32(x), norm="ortho")
        parts = torch.view_as_real(spectrum).movedim(-1, 2).flatten(1, 2)  # re 0, im 0, re 1, im 1, …
        parts = at_least_float32(F.relu(self.bn(self.conv_layer(parts))))
        spectrum = torch.view_as_complex(parts.unflatten(1, (-1, 2)).movedim(2, -1).contiguous())
        return torch.fft.irfft2(spectrum, s=x.shape[2:], norm="ortho").to(x.dtype)


class SpectralTransform(nn.Module):
    """Global features [B, g, h, w] -> [B, after, h, w]: half of the channels through the spectrum and past it."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        half = after // 2
        self.conv1 = nn.Sequential(nn.Conv2d(before, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU())
        self.fu = FourierUnit(half)
        self.conv2 = nn.Conv2d(half, after, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Look at all places at once."""
        x = self.conv1(x)
        return self.conv2(x + self.fu(x))


class FFC(nn.Module):
    """Pair -> pair: each part from both parts (arXiv:2109.07161, figure 2). A stride only where nothing is global."""

    def __init__(self, before: Split, after: Split, kernel: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        ways = {"l2l": (0, 0), "l2g": (0, 1), "g2l": (1, 0)}
        for name, (start, end) in ways.items():
            if before[start] and after[end]:
                conv = nn.Conv2d(before[start], after[end], kernel, stride, padding, bias=False, padding_mode="reflect")
                self.add_module(f"conv{name}", conv)
        if before[1] and after[1]:
            assert stride == 1, stride
            self.convg2g = SpectralTransform(before[1], after[1])

    def forward(self, x: Pair) -> Pair:
        """Convolve."""
        return self._sum(x, "l2l", "g2l"), self._sum(x, "l2g", "g2g")

    def _sum(self, x: Pair, *ways: str) -> Tensor | None:
        layers = [getattr(self, f"conv{name}", None) for name in ways]
        found = [layer(part) for layer, part in zip(layers, x, strict=True) if layer is not None and part is not None]
        return found[0] + found[1] if len(found) > 1 else found[0] if found else None


class NormedFFC(nn.Module):
    """Pair, or a tensor that is all local -> pair: an `FFC`, batch norm and ReLU of each part."""

    def __init__(self, before: Split, after: Split, kernel: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.ffc = FFC(before, after, kernel, stride, padding)
        self.bn_l = nn.BatchNorm2d(after[0]) if after[0] else nn.Identity()
        self.bn_g = nn.BatchNorm2d(after[1]) if after[1] else nn.Identity()

    def forward(self, x: Pair | Tensor) -> Pair:
        """Convolve, norm, cut below zero."""
        local, whole = self.ffc((x, None) if isinstance(x, Tensor) else x)
        return (
            None if local is None else F.relu(self.bn_l(local)),
            None if whole is None else F.relu(self.bn_g(whole)),
        )


class FFCBlock(nn.Module):
    """Pair -> pair of the same channels: x + two of these layers, 3x3, with nothing after the sum."""

    def __init__(self, channels: Split) -> None:
        super().__init__()
        self.conv1 = NormedFFC(channels, channels, 3, padding=1)
        self.conv2 = NormedFFC(channels, channels, 3, padding=1)

    def forward(self, x: Pair) -> Pair:
        """Add."""
        local, whole = self.conv2(self.conv1(x))
        assert x[0] is not None
        assert x[1] is not None
        return x[0] + local, x[1] + whole


class Joined(nn.Module):
    """Pair -> [B, l + g, h, w]."""

    def forward(self, x: Pair) -> Tensor:
        """Side by side."""
        return torch.cat([part for part in x if part is not None], 1)
