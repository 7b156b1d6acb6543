"""StyleGAN3 (Karras et al., 2021, "Alias-Free Generative Adversarial Networks", arXiv:2106.12423).

The picture is treated as samples of a continuous signal. It begins with waves of random frequencies that the style
moves and turns; every layer is a modulated convolution and a nonlinearity between low-pass filters
(`organza.layers.alias_free`), on a canvas with a margin, so that details are bound to what they belong to and not to
the pixels. Configuration T (`kernel` 3) follows translations; R (`kernel` 1, `radial`) rotations as well.

Parameters and buffers have the names and shapes of the official PyTorch files, so that their weights fit. Not of the
paper: sizes that are no power of two and no square; they are cut out of the next power of two, whose design they have.
The discriminator is StyleGAN2's, as the paper's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import ConfigError, Shape
from organza.draws import Draws
from organza.layers.alias_free import filtered_leaky_relu, low_pass, padding, radial_low_pass
from organza.layers.equalized import EqualizedLinear, precise
from organza.layers.geometry import image
from organza.layers.style import ROOT2, Mapping, Noise, training_codes
from organza.models.stylegan2 import Discriminator as Discriminator
from organza.training.distributed import mean
from organza.training.precision import without_autocast

Pair = tuple[int, int]
LRELU_RATE = 2  # of the grid of the nonlinearity over that of its layer
EPS = 1e-8


@dataclass(frozen=True)
class Band:
    """What one layer hands on: frequencies in cycles over the whole picture, its grid, and its channels."""

    cutoff: float
    half_width: float  # of the transition band
    rate: int  # samples over the picture
    size: Pair  # of the canvas, margin included
    channels: int


class Generator(nn.Module):
    """Noise [B, z_dim], labels [B] when `classes` > 0 -> images float32 [B, C, H, W], about [-1, 1], not bounded.

    `width` counts the channels at full size, which grow as the frequencies fall, up to `max_width`. `magnitude_decay`
    is that of the running means of each layer's input, by whose root it is divided; they move in training mode alone.
    With an `embed_dim` of their own for labels and `class_averages`, a mean w for each class, it holds StyleGAN-XL's
    first stage as well (Sauer et al., 2022, arXiv:2202.00273).
    Raises ConfigError for sizes below 16 and for those that do not divide by a 16th of the next power of two.
    """

    has_noise = False
    equalized = has_transform = True

    def __init__(
        self, shape: Shape, classes: int = 0, *, z_dim: int = 512, w_dim: int = 512, mapping_layers: int = 2,
        width: int = 32, max_width: int = 512, kernel: Literal[1, 3] = 3, radial: bool = False, layers: int = 14,
        critical: int = 2, first_cutoff: float = 2.0, first_stopband: float = 2.0**2.1,
        last_stopband: float = 2.0**0.3, margin: int = 10, taps: int = 6, output_scale: float = 0.25,
        clamp: float | None = 256.0, magnitude_decay: float = 0.999, embed_dim: int | None = None,
        class_averages: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        channels, height, width_px = image(shape)
        bands = design(
            (height, width_px), channels, width, max_width, layers, critical, first_cutoff, first_stopband,
            last_stopband, margin,
        )  # fmt: skip
        self.z_dim, self.w_dim = z_dim, w_dim
        self.mapping = Mapping(z_dim, classes, w_dim, mapping_layers, embed_dim=embed_dim, by_class=class_averages)
        self.synthesis = Synthesis(bands, w_dim, kernel, radial, critical, taps, output_scale, clamp, magnitude_decay)
        self.num_ws = self.synthesis.num_ws

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise to images."""
        return self.synthesis(self.styles(z, labels))

    def styles(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Noise [B, z_dim] -> codes [B, num_ws, w_dim]; in training mode their mean is remembered."""
        if self.training:
            return training_codes(self.mapping, z, labels, self.num_ws)
        return self.broadcast(self.mapping(z, labels))

    def broadcast(self, w: Tensor) -> Tensor:
        """w [B, w_dim] -> the same for every layer, [B, num_ws, w_dim]."""
        return w[:, None].expand(-1, self.num_ws, -1)


def design(
    size: Pair, channels: int, width: int, max_width: int, layers: int, critical: int, first_cutoff: float,
    first_stopband: float, last_stopband: float, margin: int,
) -> list[Band]:  # fmt: skip
    """What each of the layers + 1 layers hands on (section 3.2 and appendix C.1). Raises as `Generator`."""
    whole = 2 ** (max(size) - 1).bit_length()
    if min(size) < 16 or any(side * 16 % whole for side in size):
        step = max(whole // 16, 1)
        near = ",".join(str(max(round(side / step) * step, 16)) for side in size)
        raise ConfigError(
            f"images of {size[0]}x{size[1]}: both sides must be 16 or more and divide by {step}, a 16th of {whole}; "
            f"type --data.resolution {near}"
        )
    last_cutoff, last_band = whole / 2, whole / 2 * last_stopband
    bands = []
    for number in range(layers + 1):
        way = min(number / (layers - critical), 1)
        cutoff = first_cutoff * (last_cutoff / first_cutoff) ** way
        stopband = first_stopband * (last_band / first_stopband) ** way
        rate = 2 ** math.ceil(math.log2(min(stopband * 2, whole)))
        canvas = size if number >= layers - 1 else tuple(rate * side // whole + 2 * margin for side in size)
        wide = channels if number == layers else round(min(width * whole / 2 / cutoff, max_width))
        bands.append(Band(cutoff, max(stopband, rate / 2) - cutoff, rate, (canvas[0], canvas[1]), wide))
    return bands


class Synthesis(nn.Module):
    """Codes [B, num_ws, w_dim], or [B, w_dim] for all layers -> images float32 [B, C, H, W]."""

    def __init__(
        self, bands: list[Band], w_dim: int, kernel: int, radial: bool, critical: int, taps: int, output_scale: float,
        clamp: float | None, decay: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.output_scale, self.names, self.num_ws = output_scale, [], len(bands) + 1
        self.input = Waves(bands[0], w_dim)
        for number, band in enumerate(bands):
            before, is_last = bands[max(number - 1, 0)], number == len(bands) - 1
            round_filter = radial and number < len(bands) - 1 - critical
            name = f"L{number}_{max(band.size)}_{band.channels}"
            layer = Layer(before, band, w_dim, kernel, round_filter, is_last, taps, clamp, decay)
            self.names.append(name)
            setattr(self, name, layer)

    def forward(
        self, ws: Tensor, noise: Noise | Sequence[Tensor] = "const", draws: Draws | None = None,
        transform: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Draw. `transform` [B or 1, 3, 3] moves the waves, in place of the stored one; there is no noise."""
        ws = ws[:, None].expand(-1, self.num_ws, -1) if ws.dim() == 2 else ws
        x = self.input(ws[:, 0], transform)
        for number, name in enumerate(self.names, 1):
            x = getattr(self, name)(x, ws[:, number])
        return x * self.output_scale


class Waves(nn.Module):
    """w [B, w_dim] -> a canvas [B, C, H, W] of waves, moved and turned as the style says (section 3.1, appendix F)."""

    transform: Tensor
    freqs: Tensor
    phases: Tensor

    def __init__(self, band: Band, w_dim: int) -> None:
        super().__init__()
        self.band, channels = band, band.channels
        self.weight = nn.Parameter(torch.randn(channels, channels))
        self.affine = EqualizedLinear(w_dim, 4)
        with torch.no_grad():  # begins with no motion, whatever the style
            self.affine.weight.zero_()
            self.affine.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))  # type: ignore[union-attr]
        freqs = torch.randn(channels, 2)
        radii = freqs.square().sum(1, keepdim=True).sqrt()
        freqs = freqs / (radii * radii.square().exp().pow(0.25)) * band.cutoff  # spread evenly over a disc
        self.register_buffer("transform", torch.eye(3))
        self.register_buffer("freqs", freqs)
        self.register_buffer("phases", torch.rand(channels) - 0.5)

    def forward(self, w: Tensor, transform: Tensor | None = None) -> Tensor:
        """Draw the waves."""
        with without_autocast(w.device.type):
            return self._drawn(precise(w), self.transform if transform is None else transform)

    def _drawn(self, w: Tensor, transform: Tensor) -> Tensor:
        moved = self._motion(w) @ transform
        phases = self.phases + (self.freqs @ moved[:, :2, 2:]).squeeze(2)  # [B, C]
        freqs = self.freqs @ moved[:, :2, :2]  # [B, C, 2]
        # Frequencies that a rotation or scaling drives towards what the grid cannot hold fade out.
        limit = self.band.rate / 2 - self.band.cutoff
        loudness = (1 - (freqs.norm(dim=2) - self.band.cutoff) / limit).clamp(0, 1)
        x = self._places().to(w) @ freqs.transpose(1, 2)[:, None]  # [B, H, W, C]
        x = (2 * math.pi * (x + phases[:, None, None])).sin() * loudness[:, None, None]
        x = x @ (self.weight / math.sqrt(self.band.channels)).T
        return x.permute(0, 3, 1, 2)

    def _motion(self, w: Tensor) -> Tensor:
        """Rotation after translation, [B, 3, 3]."""
        t = self.affine(w)
        t = t / t[:, :2].norm(dim=1, keepdim=True)
        zero, one = torch.zeros_like(t[:, 0]), torch.ones_like(t[:, 0])
        turned = torch.stack([t[:, 0], -t[:, 1], zero, t[:, 1], t[:, 0], zero, zero, zero, one], 1).view(-1, 3, 3)
        moved = torch.stack([one, zero, -t[:, 2], zero, one, -t[:, 3], zero, zero, one], 1).view(-1, 3, 3)
        return turned @ moved

    def _places(self) -> Tensor:
        """(x, y) of the canvas's pixels, [H, W, 2]; the picture without its margin is from -0.5 to 0.5."""
        rows, columns = (
            (torch.arange(side, device=self.freqs.device) + 0.5 - side / 2) / self.band.rate for side in self.band.size
        )
        return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), 2)


class Layer(nn.Module):
    """[B, I, h, w], w [B, w_dim] -> [B, O, H, W] in float32: modulated convolution, then the filtered nonlinearity.

    The last layer makes colours: it neither demodulates, nor filters, nor activates.
    """

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(
        self, before: Band, band: Band, w_dim: int, kernel: int, radial: bool, is_last: bool, taps: int,
        clamp: float | None, decay: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.is_last, self.clamp, self.decay = is_last, clamp, decay
        kernel = 1 if is_last else kernel
        self.affine = EqualizedLinear(w_dim, before.channels, start=1.0)
        self.weight = nn.Parameter(torch.randn(band.channels, before.channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(band.channels))
        self.register_buffer("magnitude_ema", torch.ones(()))
        fine = max(before.rate, band.rate) * (1 if is_last else LRELU_RATE)
        self.up, self.down = fine // before.rate, fine // band.rate
        up_taps, down_taps = (taps * step if step > 1 and not is_last else 1 for step in (self.up, self.down))
        narrow = radial_low_pass if radial else low_pass
        self.register_buffer("up_filter", low_pass(up_taps, before.cutoff, 2 * before.half_width, fine))
        self.register_buffer("down_filter", narrow(down_taps, band.cutoff, 2 * band.half_width, fine))
        self.pads = tuple(
            padding(i, o, kernel, self.up, self.down, up_taps, down_taps)
            for i, o in zip(before.size, band.size, strict=True)
        )

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Filter."""
        if self.training:
            self._follow(x)
        x = self._convolved(x, self.affine(w)) * self.magnitude_ema.rsqrt()
        with without_autocast(x.device.type):  # short filters suffer from short numbers
            slope, gain = (1.0, 1.0) if self.is_last else (0.2, ROOT2)
            return filtered_leaky_relu(
                x, self.bias, self.up_filter, self.down_filter, self.up, self.down, (self.pads[0], self.pads[1]),
                slope=slope, gain=gain, clamp=self.clamp,
            )  # fmt: skip

    def _convolved(self, x: Tensor, styles: Tensor) -> Tensor:
        """Modulated, and but for colours demodulated; weights and styles are normalised first, for short numbers."""
        pad = self.weight.shape[2] - 1
        if self.is_last:
            return F.conv2d(x * (styles / math.sqrt(x.shape[1]))[:, :, None, None], self.weight, padding=pad)
        with without_autocast(x.device.type):
            weight = self.weight * self.weight.square().mean((1, 2, 3), keepdim=True).rsqrt()
            styles = precise(styles)
            styles = styles * (styles.square().mean(1, keepdim=True) + EPS).rsqrt()  # cancelled by the next line
            scale = (styles.square() @ weight.square().sum((2, 3)).T + EPS).rsqrt()
        return precise(F.conv2d(x * styles[:, :, None, None], weight, padding=pad)) * scale[:, :, None, None]

    @torch.no_grad()
    def _follow(self, x: Tensor) -> None:
        """Move the running mean square of the input, over all processes."""
        self.magnitude_ema.lerp_(mean(precise(x.detach()).square().mean()), 1 - self.decay)
