"""StyleGAN (Karras et al., 2019, "A Style-Based Generator Architecture for Generative Adversarial Networks",
arXiv:1812.04948).

A mapping turns noise into w. The synthesis begins with a constant and grows as ProGAN does (`models/progan.py`); behind
every convolution come noise for each pixel, a leaky ReLU, and adaptive instance normalisation: w sets the mean and the
deviation of every channel (eq. 1). The discriminator is ProGAN's with a low-pass filter before it shrinks.

Not of the paper: any size that can be halved, and labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import ConfigError, Shape
from organza.draws import Draws, keys_of
from organza.layers.equalized import EqualizedConv2d, EqualizedLinear, precise
from organza.layers.geometry import image, pyramid
from organza.layers.resample import BLUR, smooth
from organza.layers.style import Mapping, Noise, training_codes
from organza.models.progan import HE, Growth
from organza.models.progan import Discriminator as Discriminator


class Generator(nn.Module):
    """Noise [B, z_dim], labels [B] when `classes` > 0 -> images float32 [B, C, H, W], about [-1, 1], not bounded.

    `width` counts the channels at full size; each halving doubles them, up to `max_width`. It grows from level `first`
    (8x8 in the paper) as `models/progan.py` says. In training mode the noise of the pixels is random and a share
    `mixing` of the samples has the styles of two w. Raises ConfigError for sizes that cannot be halved.
    """

    equalized = has_noise = True

    def __init__(
        self, shape: Shape, classes: int = 0, *, z_dim: int = 512, w_dim: int = 512, mapping_layers: int = 8,
        width: int = 16, max_width: int = 512, mixing: float = 0.9, fade: int = 600_000, stable: int = 600_000,
        first: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        if not 0 <= mixing <= 1:
            raise ConfigError(f"mixing is {mixing}; it takes a share of the samples from 0 to 1, such as 0.9")
        channels, height, width_px = image(shape)
        base_h, base_w, top = pyramid(height, width_px)
        widths = [min(width << (top - level), max_width) for level in range(top + 1)]
        self.z_dim, self.w_dim, self.mixing, self.num_ws = z_dim, w_dim, mixing, 2 * (top + 1)
        self.mapping = Mapping(z_dim, classes, w_dim, mapping_layers, decay=0.995)
        growth = Growth(top, fade, stable, first)
        self.synthesis = Synthesis(channels, (base_h, base_w), widths, w_dim, growth)

    def advance(self, images: int) -> None:
        """Grow to where `images` images have led."""
        self.synthesis.growth.advance(images)

    def match(self, real: Tensor) -> Tensor:
        """Real images [B, C, H, W] as this stage of growth shows them."""
        return self.synthesis.growth.match(real)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise to images."""
        if not self.training:
            return self.synthesis(self.broadcast(self.mapping(z, labels)))
        return self.synthesis(self.styles(z, labels), "random", Draws(keys_of(z)))

    def styles(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Noise [B, z_dim] -> codes [B, num_ws, w_dim] as in training: some of them mixed, their mean remembered."""
        return training_codes(self.mapping, z, labels, self.num_ws, self.mixing)

    def broadcast(self, w: Tensor) -> Tensor:
        """w [B, w_dim] -> the same for every layer, [B, num_ws, w_dim]."""
        return w[:, None].expand(-1, self.num_ws, -1)


class Synthesis(nn.Module):
    """Codes [B, num_ws, w_dim], or [B, w_dim] for all layers -> images float32 [B, C, H, W]."""

    def __init__(self, channels: int, base: tuple[int, int], widths: list[int], w_dim: int, growth: Growth) -> None:
        super().__init__()
        self.num_ws, self.growth = 2 * len(widths), growth
        self.const = nn.Parameter(torch.ones(widths[0], *base))
        sizes = [(base[0] << level, base[1] << level) for level in range(len(widths))]
        self.blocks = nn.ModuleList(
            Block(widths[level - 1] if level else 0, width, size, w_dim)
            for level, (width, size) in enumerate(zip(widths, sizes, strict=True))
        )
        self.to_image = nn.ModuleList(EqualizedConv2d(width, channels, 1) for width in widths)

    def forward(self, ws: Tensor, noise: Noise | Sequence[Tensor] = "const", draws: Draws | None = None) -> Tensor:
        """Draw; `noise` may be the pictures themselves, one [B or 1, 1, h, w] for each layer, the smallest first."""
        if noise == "random" and draws is None:
            draws = Draws(keys_of(ws.flatten(1)))
        ws = ws[:, None].expand(-1, self.num_ws, -1) if ws.dim() == 2 else ws
        pictures = [noise] * self.num_ws if isinstance(noise, str) else list(noise)
        level, share = self.growth.stage()
        below = x = self.const.expand(ws.shape[0], -1, -1, -1).contiguous(memory_format=torch.channels_last)
        for number in range(level + 1):
            own, part = slice(2 * number, 2 * number + 2), draws and draws.other(f"level {number}")
            below, x = x, self.blocks[number](x, ws[:, own], pictures[own], part)
        picture = precise(self.to_image[level](x))
        if share < 1:
            picture = torch.lerp(_doubled(precise(self.to_image[level - 1](below))), picture, share)
        return _doubled(picture, 2 ** (self.growth.top - level))


class Block(nn.Module):
    """A level: features [B, I, h/2, w/2] -> [B, O, h, w] with two styles; without `inputs` it is the first."""

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], w_dim: int) -> None:
        super().__init__()
        self.conv0 = EqualizedConv2d(inputs, outputs, 3, bias=False, gain=HE) if inputs else None
        self.conv1 = EqualizedConv2d(outputs, outputs, 3, bias=False, gain=HE)
        self.style0 = Style(outputs, size, w_dim)
        self.style1 = Style(outputs, size, w_dim)

    def forward(self, x: Tensor, ws: Tensor, noise: list, draws: Draws | None) -> Tensor:
        """Enlarge and refine."""
        if self.conv0 is not None:
            x = smooth(self.conv0(_doubled(x)), BLUR, padding=1)
        x = self.style0(x, ws[:, 0], noise[0], draws and draws.other("style0"))
        return self.style1(self.conv1(x), ws[:, 1], noise[1], draws and draws.other("style1"))


class Style(nn.Module):
    """[B, C, h, w], w [B, w_dim] -> the same size: noise, bias, leaky ReLU, then AdaIN (eq. 1)."""

    noise_const: Tensor

    def __init__(self, width: int, size: tuple[int, int], w_dim: int) -> None:
        super().__init__()
        self.size = size
        self.strength = nn.Parameter(torch.zeros(width, 1, 1))  # of the noise, for each channel
        self.bias = nn.Parameter(torch.zeros(width, 1, 1))
        self.affine = EqualizedLinear(w_dim, 2 * width)
        self.register_buffer("noise_const", torch.randn(*size))

    def forward(self, x: Tensor, w: Tensor, noise: Noise | Tensor, draws: Draws | None) -> Tensor:
        """Give every channel the mean and the deviation that w asks for; around 0 and 1 at the start."""
        if not isinstance(noise, Tensor):
            assert noise != "random" or draws is not None
            drawn = draws.normal("noise", 1, *self.size) if noise == "random" and draws is not None else None
            picture = self.noise_const if noise == "const" else drawn
        else:
            picture = noise
        if picture is not None:
            x = x + (picture * self.strength).to(x.dtype)
        x = F.instance_norm(F.leaky_relu(x + self.bias.to(x.dtype), 0.2), eps=1e-8)
        scale, shift = self.affine(w).to(x.dtype)[:, :, None, None].chunk(2, 1)
        return x * (1 + scale) + shift


def _doubled(x: Tensor, factor: int = 2) -> Tensor:
    return x if factor == 1 else F.interpolate(x, scale_factor=float(factor), mode="nearest")
