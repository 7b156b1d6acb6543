"""LPIPS 0.1 (Zhang et al., arXiv:1801.03924): how different two images look.

    d(x, y) = sum over layers of the mean over places of w . (a(x) - a(y))^2

where a are the activations of a trunk, divided by their length over channels, and w >= 0 was learned from people's
judgements. Trunks: `alex` for measuring, `vgg` for losses and path length.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from organza.config import ConfigError
from organza.data.progress import SILENT, Progress
from organza.metrics.networks.vgg import WIDTHS, AlexNet, Vgg16
from organza.metrics.weights import Loaded, filled, load_weights

Trunk = Literal["alex", "vgg"]

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of version 0.1, for images in [-1, 1]
EPS = 1e-10
SMALLEST: dict[Trunk, int] = {"alex": 63, "vgg": 16}  # side that leaves something to the last layer
CHANNELS: dict[Trunk, Sequence[int]] = {"alex": AlexNet.widths, "vgg": tuple(widths[-1] for widths in WIDTHS)}


class Lpips(nn.Module):
    """Two batches of images [B, 3, H, W] in [-1, 1] -> distances [B]; gradients pass to the images."""

    def __init__(self, trunk: Trunk, network: AlexNet | Vgg16, heads: Sequence[Tensor], sha256: str = "") -> None:
        super().__init__()
        self.name, self.smallest, self.sha256 = f"lpips-{trunk}", SMALLEST[trunk], sha256
        self.network = network.eval().requires_grad_(False)
        for number, head in enumerate(heads):
            self.register_buffer(f"head{number}", head.detach().float().view(1, -1, 1, 1))
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1))

    def forward(self, one: Tensor, two: Tensor) -> Tensor:
        """The distance of each pair; 0 for equal images. Raises ConfigError for other shapes and too small images."""
        if one.shape != two.shape or one.dim() != 4 or one.shape[1] != 3:
            raise ConfigError(
                f"{self.name} compares two batches [B, 3, H, W], not {tuple(one.shape)} and {tuple(two.shape)}"
            )
        if min(one.shape[2:]) < self.smallest:
            raise ConfigError(f"{self.name} takes images of at least {self.smallest} pixels a side; enlarge them first")
        return torch.stack(
            [
                (self.get_buffer(f"head{number}") * (_unit(a) - _unit(b)).square()).sum(1).mean((1, 2))
                for number, (a, b) in enumerate(zip(self._activations(one), self._activations(two), strict=True))
            ]
        ).sum(0)

    def _activations(self, images: Tensor):
        return self.network.slices((images - self.get_buffer("shift")) / self.get_buffer("scale"))


def _unit(activations: Tensor) -> Tensor:
    """Of length 1 over the channels."""
    return activations / (activations.square().sum(1, keepdim=True).sqrt() + EPS)


def open_lpips(
    trunk: Trunk = "alex",
    *,
    weights: str | Path | None = None,
    heads: str | Path | None = None,
    download: bool = False,
    progress: Progress = SILENT,
) -> Lpips:
    """LPIPS with its published weights: those of the trunk and of the heads, from the paths or where they are found.

    The heads are in the packages lpips and torchmetrics. Raises ConfigError, as `load_weights` does.
    """
    if trunk not in SMALLEST:
        raise ConfigError(f"trunk is '{trunk}'; it takes alex or vgg")
    top = load_weights(f"lpips-{trunk}", heads, download=download, progress=progress)
    bottom = load_weights("alexnet" if trunk == "alex" else "vgg16", weights, download=download, progress=progress)
    network = filled(AlexNet, bottom, ("classifier.",)) if trunk == "alex" else filled(Vgg16, bottom, Vgg16.unused)
    return Lpips(trunk, network, read_heads(trunk, top), f"{bottom.sha256}+{top.sha256}")


def read_heads(trunk: Trunk, weights: Loaded) -> list[Tensor]:
    """The five non-negative weights [C] of the layers. Raises ConfigError when they are others."""
    try:
        heads = [weights.tensors[f"lin{number}.model.1.weight"].flatten() for number in range(5)]
    except KeyError as problem:
        raise ConfigError(f"{weights.path} has no heads of LPIPS: {problem} is missing") from None
    if [len(head) for head in heads] != list(CHANNELS[trunk]):
        raise ConfigError(f"{weights.path} has heads for another trunk than {trunk}")
    return heads
