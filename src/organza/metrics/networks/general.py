"""The embedded general network: features of any images, on every machine, without a download.

A residual network (He et al., arXiv:1512.03385) with 330 000 parameters, trained on the embedded data by
`benchmarks/train_general_features.py`: the same emoji in two drawings, and two views of a digit, are to be near each
other and far from all else (SimCLR, Chen et al., arXiv:2002.05709), classes are to be told apart, and noise and blur
are to be measured, so that features move when images get worse.

It is small, and has seen drawings and digits only: it orders sets of images, and its distances compare to none but its
own. What is finer than a 64th of an image is invisible to it.
"""

from __future__ import annotations

from importlib.resources import files

import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import ConfigError
from organza.metrics.networks.resize import rgb

SIZE, FEATURES = 64, 128
STAGES = (40, 72, FEATURES)  # channels, at 1/4, 1/8 and 1/16 of the image
FILE = "general.safetensors"


class Stage(nn.Module):
    """Halve the image [B, C, H, W] -> [B, K, H/2, W/2], then one residual convolution."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(before, after, 3, 2, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.same = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        """Filter, halve and add."""
        x = F.relu(self.norm1(self.down(x)))
        return F.relu(x + self.norm2(self.same(x)))


class GeneralNetwork(nn.Module):
    """Images [B, 3, 64, 64] in [-1, 1] -> non-negative features [B, 128], the mean over the last map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(32)
        self.stages = nn.Sequential(*(Stage(a, b) for a, b in zip((32, *STAGES), STAGES, strict=False)))

    def forward(self, x: Tensor) -> Tensor:
        """Features of each image."""
        return self.stages(F.relu(self.norm(self.stem(x)))).mean((2, 3))


def prepare(images: Tensor) -> Tensor:
    """uint8 [B, 1, 3 or 4, H, W] -> [K * B, 3, 64, 64] in [-1, 1]: bilinear, averaging when it shrinks.

    K is 1; it is 2 for images with alpha, which are laid on white, then all of them again on black.
    """
    if images.shape[1] not in (1, 3, 4):
        raise ConfigError(f"images have {images.shape[1]} channels; general takes 1 (grey), 3 (RGB) or 4 (RGBA)")
    if images.shape[1] == 4:
        colours, alpha = images[:, :3].float(), images[:, 3:].float() / 255
        seen = torch.cat([colours * alpha + 255 * (1 - alpha), colours * alpha])
    else:
        seen = rgb(images)
    return F.interpolate(seen, (SIZE, SIZE), mode="bilinear", antialias=True) / 127.5 - 1


def compute(network: nn.Module, images: Tensor) -> Tensor:
    """uint8 [B, 1, 3 or 4, H, W] -> features [B, 128]; of images with alpha, the mean of those on white and black."""
    return network(prepare(images)).view(-1, len(images), FEATURES).mean(0)


def weights() -> bytes:
    """The embedded file."""
    return files("organza.metrics.networks").joinpath(FILE).read_bytes()


def general_network() -> GeneralNetwork:
    """The embedded network, in evaluation mode on the CPU."""
    network = GeneralNetwork()
    network.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in load(weights()).items()})
    return network.eval().requires_grad_(False)
