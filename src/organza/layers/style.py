"""The layers of a style-based generator: mapping, modulation, noise, and convolutions that change the size.

The mapping is that of Karras et al. (2019, arXiv:1812.04948, section 2), modulation and demodulation those of Karras et
al. (2020, arXiv:1912.04958, section 2.2). A style multiplies the input and the demodulation the output of one ordinary
convolution, which is equal to a kernel of its own for each sample (their eq. 1 to 3) and needs no grouped convolution:
it exports, and takes any batch.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.draws import Draws, keys_of
from organza.layers.equalized import EqualizedLinear, pixel_norm, precise
from organza.layers.resample import TAPS, smooth
from organza.training.distributed import mean
from organza.training.precision import without_autocast

Noise = Literal["const", "random", "none"]
"""The pictures of the noise: the network's own, of each sample anew, or nothing."""

ROOT2 = math.sqrt(2)


class Mapping(nn.Module):
    """Noise [B, z_dim], labels [B] (or weights of the classes [B, classes]) when `classes` > 0 -> w [B, w_dim].

    Layers of `w_dim` units with a leaky ReLU, whose learning rate is `rate` times that of all others; noise and the
    embedding of the labels, of `embed_dim` (w_dim) numbers, are normalised first. With a `z_dim` of 0 the labels alone
    are mapped. Where there is a `decay`, `w_avg` [w_dim] follows the mean of w by `follow`, and `truncated` pulls to
    it; `by_class` there is one for each class, [classes, w_dim], as in StyleGAN-XL (Sauer et al., arXiv:2202.00273).
    """

    w_avg: Tensor

    def __init__(
        self, z_dim: int, classes: int, w_dim: int, layers: int, *, rate: float = 0.01, decay: float | None = 0.998,
        embed_dim: int | None = None, by_class: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.layers, self.decay, self.classes = layers, decay, classes
        if classes:
            self.embed = EqualizedLinear(classes, embed_dim or w_dim)
        sizes = [z_dim + (embed_dim or w_dim) * bool(classes), *[w_dim] * layers]
        for number in range(layers):
            setattr(self, f"fc{number}", EqualizedLinear(sizes[number], sizes[number + 1], gain=ROOT2, rate=rate))
        if decay is not None:
            self.register_buffer("w_avg", torch.zeros((classes, w_dim) if classes and by_class else w_dim))

    def forward(self, z: Tensor | None, labels: Tensor | None = None) -> Tensor:
        """Map noise to w."""
        parts = [] if z is None else [pixel_norm(precise(z))]
        if self.classes:
            assert labels is not None
            parts.append(pixel_norm(self.embed(self.told(labels))))
        x = torch.cat(parts, 1)
        for number in range(self.layers):
            layer = getattr(self, f"fc{number}")
            # The square root of 2 behind the leaky ReLU stands in the weights: it passes a positive factor through.
            x = F.leaky_relu(F.linear(x, layer.weight * layer.scale, layer.bias * (layer.rate * ROOT2)), 0.2)
        return x

    def told(self, labels: Tensor) -> Tensor:
        """Labels [B], or weights of the classes [B, classes], as the latter in the weights' type."""
        told = labels if labels.is_floating_point() else F.one_hot(labels, self.classes)
        return told.to(self.embed.weight.dtype)

    @torch.no_grad()
    def follow(self, w: Tensor, labels: Tensor | None = None) -> None:
        """Move `w_avg` towards the mean of w [B, w_dim] over all processes, that of each class which is there."""
        assert self.decay is not None
        w = precise(w.detach())
        if self.w_avg.dim() == 1:
            self.w_avg.lerp_(mean(w.mean(0)), 1 - self.decay)
            return
        assert labels is not None
        told = self.told(labels)
        shares = mean(told.mean(0))[:, None]  # of the classes in the batch
        means = mean(told.T @ w / len(w)) / shares.clamp(min=1e-12)
        self.w_avg.copy_(torch.where(shares > 0, self.w_avg.lerp(means, 1 - self.decay), self.w_avg))

    def centre(self, labels: Tensor | None = None) -> Tensor:
        """The mean w [w_dim], or that of the class of each of the labels [B, w_dim] where each has its own."""
        if self.w_avg.dim() == 1:
            return self.w_avg
        assert labels is not None, "each class has its own mean w"
        return self.told(labels) @ self.w_avg

    def truncated(
        self, ws: Tensor, psi: float | Tensor, cutoff: int | None = None, labels: Tensor | None = None
    ) -> Tensor:  # fmt: skip
        """Codes [B, L, w_dim] with the first `cutoff` (all) layers at a share `psi` of their way from their centre.

        Where each class has its own, labels are needed; psi may be one for each layer, [L, 1].
        """
        centre = self.centre(labels)
        layered = centre[:, None] if centre.dim() == 2 and ws.dim() == 3 else centre
        pulled = torch.lerp(layered.to(ws.dtype), ws, psi)
        return pulled if cutoff is None else torch.cat([pulled[:, :cutoff], ws[:, cutoff:]], 1)


def mixed(ws: Tensor, other: Tensor, share: float, draws: Draws) -> Tensor:
    """Codes [B, L, D] of which a `share` of the samples has the `other`'s from a random layer on (1812.04948, 3.1)."""
    layers = ws.shape[1]
    first = draws.below("mixing/first", layers - 1) + 1
    first = torch.where(draws.uniform("mixing/whether") < share, first, layers)
    return torch.where(torch.arange(layers, device=ws.device)[:, None] < first[:, None, None], ws, other)


def training_codes(mapping: Mapping, z: Tensor, labels: Tensor | None, layers: int, share: float = 0.0) -> Tensor:
    """Noise [B, z_dim] -> codes [B, layers, w_dim] as in training: a `share` mixed, and their mean remembered.

    The other w of a mixture is a function of the bits of z, so that a sample's picture is.
    """
    w = mapping(z, labels)
    mapping.follow(w, labels)
    ws = w[:, None].expand(-1, layers, -1)
    if not share:
        return ws
    draws = Draws(keys_of(z)).other("mixing")
    other = mapping(draws.normal("z", z.shape[1]).to(precise(z).dtype), labels)
    return mixed(ws, other[:, None].expand(-1, layers, -1), share, draws)


def demodulation(weight: Tensor, styles: Tensor) -> Tensor:
    """[B, O]: one over the norm of each sample's modulated kernels (1912.04958, eq. 3); weight [O, I, k, k]."""
    with without_autocast(styles.device.type):
        energy = precise(weight).square().sum((2, 3))
        return torch.rsqrt(precise(styles).square() @ energy.T + 1e-8)


class StyledConv(nn.Module):
    """[B, I, h, w], w [B, w_dim] -> [B, O, H, W]: modulated 3x3 convolution, noise, bias, leaky ReLU times root 2.

    `size` is (H, W), twice that of the input where `up` says so; `clamp` bounds the result, times `gain`.
    """

    noise_const: Tensor
    resample_filter: Tensor

    def __init__(
        self, inputs: int, outputs: int, w_dim: int, size: tuple[int, int], *, up: bool = False,
        clamp: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.size, self.up, self.clamp = size, up, clamp
        self.affine = EqualizedLinear(w_dim, inputs, start=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("noise_const", torch.randn(*size))
        self.register_buffer("resample_filter", TAPS.clone())

    def forward(self, x: Tensor, w: Tensor, noise: Noise | Tensor, draws: Draws | None, gain: float = 1.0) -> Tensor:
        """Filter; `noise` may also be the picture itself, [B or 1, 1, H, W]."""
        styles = self.affine(w)
        x = x * styles.to(x.dtype)[:, :, None, None]
        x = enlarged_conv(x, self.weight, self.resample_filter) if self.up else F.conv2d(x, self.weight, padding=1)
        factor = ROOT2 * gain  # passes through the leaky ReLU
        scale = (demodulation(self.weight, styles) * factor).to(x.dtype)[:, :, None, None]
        x = torch.addcmul((self.bias * factor).to(x.dtype)[:, None, None], x, scale)
        if (picture := self.picture(noise, draws)) is not None:
            x = x + (picture * (self.noise_strength * factor)).to(x.dtype)
        x = F.leaky_relu(x, 0.2)
        return x if self.clamp is None else x.clamp(-self.clamp * gain, self.clamp * gain)

    def picture(self, noise: Noise | Tensor, draws: Draws | None) -> Tensor | None:
        """The noise before its strength."""
        if isinstance(noise, Tensor):
            return noise
        if noise == "random":
            assert draws is not None
            return draws.normal("noise", 1, *self.size)
        return self.noise_const if noise == "const" else None


class ToImage(nn.Module):
    """[B, I, H, W], w [B, w_dim] -> [B, C, H, W]: modulated 1x1 convolution without demodulation, and bias."""

    def __init__(self, inputs: int, channels: int, w_dim: int, *, clamp: float | None = None) -> None:
        super().__init__()
        self.clamp = clamp
        self.affine = EqualizedLinear(w_dim, inputs, start=1.0)
        self.weight = nn.Parameter(torch.randn(channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.scale = 1 / math.sqrt(inputs)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Colours, in float32."""
        styles = (self.affine(w) * self.scale).to(x.dtype)[:, :, None, None]
        image = precise(F.conv2d(x * styles, self.weight)) + self.bias[:, None, None]
        return image if self.clamp is None else image.clamp(-self.clamp, self.clamp)


class Conv(nn.Module):
    """[B, I, H, W] -> [B, O, H, W], halved by `down` and doubled by `up`: an equalised convolution, perhaps activated.

    Where the size changes, a low-pass filter stands before or behind it (1912.04958, appendix B; Zhang, 2019,
    arXiv:1904.11486). `gain` multiplies the result, and `clamp` bounds it, times `gain`.
    """

    resample_filter: Tensor

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, bias: bool = True, active: bool = True, up: bool = False,
        down: bool = False, clamp: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.up, self.down, self.active, self.clamp = up, down, active, clamp
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = 1 / math.sqrt(inputs * kernel**2)
        self.register_buffer("resample_filter", TAPS.clone())

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """Filter."""
        factor = gain * (ROOT2 if self.active else 1.0)
        weight, filter, kernel = self.weight * (self.scale * factor), self.resample_filter, self.weight.shape[2]
        bias = None if self.bias is None else self.bias * factor
        if self.up:
            x = F.conv2d(x, weight) if kernel == 1 else enlarged_conv(x, weight, filter)
            x = smooth(x, filter, up=2, padding=1, gain=4.0) if kernel == 1 else x
            x = x if bias is None else x + bias.to(x.dtype)[:, None, None]
        elif self.down and kernel == 1:
            x = F.conv2d(smooth(x, filter, down=2, padding=1), weight, bias)
        elif self.down:
            x = F.conv2d(smooth(x, filter, padding=2), weight, bias, stride=2)
        else:
            x = F.conv2d(x, weight, bias, padding=kernel // 2)
        x = F.leaky_relu(x, 0.2) if self.active else x
        return x if self.clamp is None else x.clamp(-self.clamp * gain, self.clamp * gain)


def enlarged_conv(x: Tensor, weight: Tensor, filter: Tensor) -> Tensor:
    """[B, I, h, w] -> [B, O, 2h, 2w]: a transposed 3x3 convolution of stride 2, then the low-pass filter.

    The stored kernel stands between zeros as it is, not turned around: that is how the family's weights are kept.
    """
    return smooth(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), filter, padding=1, gain=4.0)
