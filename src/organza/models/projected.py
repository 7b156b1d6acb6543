"""The discriminator of Projected GAN (Sauer et al., 2021, "Projected GANs Converge Faster", arXiv:2111.01007).

D looks at images through a network that was trained on photographs and stays as it is. Features of four depths are
mixed by random convolutions, which stay as they are, too: across channels by 1x1 convolutions (section 3.2, CCM), then
from the deepest to the first by 3x3 convolutions, enlargement and sums (CSM). Each of the four mixtures P_l has a
small discriminator D_l of its own, and all are added up (eq. 4):

    min over G, max over D_l:  sum over l of  E log D_l(P_l(x)) + E log(1 - D_l(P_l(G(z))))

The paper's generator is that of FastGAN (arXiv:2101.04775), and so it is here.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import ConfigError, Shape
from organza.layers.geometry import image
from organza.models.efficientnet import CHANNELS, FrozenConv2d, frozen_features
from organza.models.fastgan import Generator as Generator

Norm = Literal["batch", "none"]
EMBED = 64  # numbers of a class embedding
ENOUGH = 5  # pixels; judges halve their maps while the shorter side has more, and end with about 4x4 logits


class Discriminator(nn.Module):
    """Images [B, C, H, W] in [-1, 1], labels [B] when `classes` > 0 -> logits [B, K] of all places of all four D_l.

    Grey images are repeated to three channels; transparent ones are laid on the middle grey, so that alpha is judged
    by what it covers. Images are enlarged until the shorter side has `resize` pixels, and never made smaller.
    `features` is `auto` (an installed package, see `organza.models.efficientnet`) or a file of weights.

    Needs `spectral_norm` of its player. Raises ConfigError for images of more than four channels, and without weights.
    """

    plain = ("embed",)
    feature_size = 0
    features_sha256: Tensor

    def __init__(
        self, shape: Shape, classes: int = 0, *, width: int = 64, resize: int = 224, features: str = "auto",
        norm: Norm = "batch",
    ) -> None:  # fmt: skip
        super().__init__()
        channels, *sides = image(shape)
        if channels > 4:
            raise ConfigError(f"the feature network takes 1 to 4 channels, not {channels}; add --data.channels rgb")
        scale = max(resize / min(sides), 1)
        self.classes, self.size = classes, tuple(round(side * scale) for side in sides)
        self.backbone = frozen_features(features)
        widths = [width * 2**depth for depth in range(len(CHANNELS))]
        self.across_channels = nn.ModuleList(_random(a, b, 1) for a, b in zip(CHANNELS, widths, strict=True))
        self.across_scales = nn.ModuleList(_random(2 * b, b, 3) for b in widths[:-1])
        self.judges, self.ends = nn.ModuleList(), nn.ModuleList()
        for depth, before in enumerate(widths):
            least = min(math.ceil(side / 2 ** (depth + 2)) for side in self.size)
            judge, after = _judge(before, widths[-1], least, norm)
            self.judges.append(judge)
            self.ends.append(nn.Conv2d(after, EMBED if classes else 1, 3, padding=1))
        self.embed = nn.Embedding(classes, EMBED) if classes else None
        digest = bytes.fromhex(self.backbone.sha256) or bytes(32)
        self.register_buffer("features_sha256", torch.tensor(list(digest), dtype=torch.uint8))
        self.register_load_state_dict_pre_hook(_must_see_the_same)

    def features(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, ...]:
        """What the last layers judge: four maps [B, *, h, w]."""
        return tuple(judge(mixed) for judge, mixed in zip(self.judges, self.project(x), strict=True))

    def logits(self, features: tuple[Tensor, ...], labels: Tensor | None = None) -> Tensor:
        """One logit for each place of the four maps, [B, K]; with labels, products with the class embedding."""
        maps = [head(x).flatten(2) for head, x in zip(self.ends, features, strict=True)]
        found = torch.cat(maps, 2)  # [B, EMBED or 1, K]
        if self.embed is None:
            return found.squeeze(1)
        assert labels is not None
        return (found * self.embed(labels)[:, :, None]).sum(1) / math.sqrt(EMBED)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images."""
        return self.logits(self.features(x, labels), labels)

    def project(self, x: Tensor) -> list[Tensor]:
        """The fixed mixtures P_l(x), the finest first."""
        x = _as_photographs(x)
        if tuple(x.shape[2:]) != self.size:
            x = F.interpolate(x, self.size, mode="bilinear", align_corners=False)
        maps = self.backbone(x.contiguous(memory_format=torch.channels_last))
        maps = [mix(found) for mix, found in zip(self.across_channels, maps, strict=True)]
        for depth in range(len(maps) - 2, -1, -1):
            deeper, size = self.across_scales[depth](maps[depth + 1]), maps[depth].shape[2:]
            maps[depth] = maps[depth] + F.interpolate(deeper, size, mode="bilinear", align_corners=True)
        return maps


def _as_photographs(x: Tensor) -> Tensor:
    """Three channels of 1 (grey), 2 (grey, alpha), 3 or 4 (colours, alpha)."""
    if x.shape[1] in (2, 4):
        x = x[:, :-1] * (x[:, -1:] + 1) / 2  # 0 is the middle grey
    return x if x.shape[1] == 3 else x.expand(-1, 3, -1, -1)


def _random(before: int, after: int, kernel: int) -> FrozenConv2d:
    """He's initialisation (arXiv:1502.01852), which is kept, and saved with D."""
    layer = FrozenConv2d(before, after, kernel, bias=False, saved=True)
    nn.init.kaiming_normal_(layer.weight)
    return layer


def _judge(channels: int, limit: int, side: int, norm: Norm) -> tuple[nn.Sequential, int]:
    """Blocks that halve maps whose shorter side is `side`, one at least, and double channels; channels at their end."""
    blocks: list[nn.Module] = []
    while side > ENOUGH or not blocks:
        after = min(2 * channels, limit)
        layer = nn.Conv2d(channels, after, 4, 2, 1) if side > ENOUGH else nn.Conv2d(channels, after, 3, 1, 1)
        blocks += [layer, *([nn.BatchNorm2d(after)] if norm == "batch" else []), nn.LeakyReLU(0.2)]
        channels, side = after, side // 2
    return nn.Sequential(*blocks), channels


def _must_see_the_same(
    network: Discriminator, state: dict[str, Tensor], prefix: str, metadata: Any, strict: bool, missing: list[str],
    unexpected: list[str], errors: list[str],
) -> None:  # fmt: skip
    """A discriminator that learnt on other features is worth nothing: refuse its state."""
    theirs, mine = state.get(f"{prefix}features_sha256"), network.features_sha256
    if theirs is not None and not torch.equal(theirs.to(mine.device), mine):
        digest = bytes(theirs.tolist()).hex()
        errors.append(f"it was trained on other features (sha256 {digest}) than those here ({network.backbone.name})")
