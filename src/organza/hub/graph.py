"""What an exported file computes, and the inputs that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from organza.hub.gan import GAN
from organza.hub.tiling import LEAST
from organza.hub.translator import Translator
from organza.latent.space import LatentSpace
from organza.models.both_ways import BothWays

Feeds = dict[str, Tensor]
"""Inputs of a file by name."""


class Graph(nn.Module):
    """What is exported: a generator in evaluation mode, all of whose random numbers are inputs."""

    unit = 0  # no side is free

    def __init__(self, generator: nn.Module, pixels: bool) -> None:
        super().__init__()
        self.generator, self.pixels = generator, pixels

    def forward(
        self, z: Tensor, label: Tensor | None = None, truncation: Tensor | None = None, cutoff: Tensor | None = None,
        noise: tuple[Tensor, ...] = (), transform: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Inputs as the head of `organza.hub.export` has them -> samples [B, *shape]."""
        if truncation is None:
            return _as(self.generator(z, label), self.pixels)
        made: Any = self.generator
        psi = truncation if cutoff is None else _up_to(cutoff, truncation, made.num_ws)
        ws = made.mapping.truncated(made.broadcast(made.mapping(z, label)), psi, labels=label)
        turned = {} if transform is None else {"transform": transform}
        return _as(made.synthesis(ws, noise or "const", **turned), self.pixels)


class Translation(nn.Module):
    """What is exported of a translator of one way: its generator in evaluation mode, whose noise is an input.

    `unit` is what the sides of its pictures are multiples of, 0 where they are those of the training.
    """

    def __init__(self, found: Translator, pixels: bool) -> None:
        super().__init__()
        self.generator, self.pixels = found.generator, pixels
        self.unit = found.multiple if takes_any_size(found) else 0

    def forward(self, source: Tensor, z: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        """Pictures [B, C, H, W] in [-1, 1] -> pictures [B, *, scale H, scale W]."""
        return _as(self.generator(source, z, label), self.pixels)


class OneWay(nn.Module):
    """A network that knows both ways, on one of them."""

    def __init__(self, both: Any, reverse: bool) -> None:
        super().__init__()
        self.both, self.reverse, self.multiple = both, reverse, both.multiple
        self.z_dim = both.z_dim if getattr(both, "noisy", True) else 0

    def forward(self, source: Tensor, z: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        """Translate."""
        return self.both.one_way(source, z, self.reverse)


def one_way(found: Translator, reverse: bool) -> Translator:
    """The translator that goes from A to B alone, or from B to A."""
    if not found.both_ways:
        return found
    both: Any = found.generator
    made = (both.back if reverse else both.forth) if isinstance(both, BothWays) else OneWay(both, reverse)
    source, shape = (found.shape, found.source) if reverse else (found.source, found.shape)
    return replace(found, generator=made, source=source, shape=shape, both_ways=False)


def pictures(found: Translator, batch: int, *, as_trained: bool = False) -> Feeds:
    """Arguments of `Translation.forward`; one picture has the sides of the training, more have others."""
    random, (channels, *sides) = np.random.RandomState(batch), found.source
    if batch > 1 and not as_trained:
        unit = -(-LEAST // found.multiple) * found.multiple
        sides = [unit * factor for factor in ((2, 3) if batch == 3 else (3, 2))]
    feeds = {"source": torch.from_numpy(random.uniform(-1, 1, (batch, channels, *sides))).float()}
    if size := int(found.generator.z_dim):  # type: ignore[arg-type]
        feeds["z"] = _normal(random, batch, size)
    if found.attributes:
        feeds["label"] = torch.from_numpy(random.randint(0, 2, (batch, len(found.classes))))
    elif found.classes:
        feeds["label"] = torch.from_numpy(random.randint(0, len(found.classes), batch))
    return feeds


@torch.no_grad()
def takes_any_size(found: Translator) -> bool:
    """Whether a translator takes other sides than those of the training; one that begins with noise refuses them."""
    feeds = pictures(found, 3)
    try:
        found.generator(feeds["source"], feeds.get("z"), feeds.get("label"))
    except ValueError:
        return False
    return True


def example(gan: GAN, batch: int, every: bool) -> dict[str, Any]:
    """Arguments of `Graph.forward` for so many samples, all different; `every` one, or those alone that are needed."""
    random = np.random.RandomState(batch)
    feeds: dict[str, Any] = {"z": _normal(random, batch, gan.z_dim)}
    if gan.classes:
        feeds["label"] = torch.from_numpy(random.randint(0, len(gan.classes), batch))
    if has_psi(gan.generator):
        feeds["truncation"] = torch.tensor(0.7)
    if "truncation" in feeds and every:
        feeds["cutoff"] = torch.tensor(1 + batch % int(gan.generator.num_ws))  # type: ignore[arg-type]
        feeds["noise"] = tuple(_normal(random, batch, 1, *picture.shape[-2:]) for picture in noise_of(gan.generator))
        if (stored := transform_of(gan.generator)) is not None:
            feeds["transform"] = stored + 0.1 * _normal(random, batch, 3, 3)
    return {name: value for name, value in feeds.items() if not isinstance(value, tuple) or value}


@torch.no_grad()
def noise_of(generator: nn.Module) -> list[Tensor]:
    """The noise pictures [h, w] that the synthesis of a generator adds, in the order in which it does."""
    found: list[Tensor] = []
    hooks = [
        module.register_forward_pre_hook(lambda m, _: found.append(m.noise_const))  # type: ignore[arg-type]
        for module in generator.modules()
        if isinstance(getattr(module, "noise_const", None), Tensor)
    ]
    try:
        label = torch.zeros(1, dtype=torch.long)
        generator(torch.zeros(1, int(generator.z_dim)), label)  # type: ignore[arg-type]
    finally:
        for hook in hooks:
            hook.remove()
    return found


def transform_of(generator: nn.Module) -> Tensor | None:
    """The stored motion [3, 3] of StyleGAN3's waves, where a generator has them."""
    return dict(generator.named_buffers()).get("synthesis.input.transform")


def has_psi(generator: nn.Module) -> bool:
    """Whether w can be pulled to its mean."""
    return LatentSpace(generator).has_w and hasattr(generator.mapping, "w_avg")


def flat(arguments: Mapping[str, Any]) -> Feeds:
    """Arguments of `Graph.forward` -> inputs of a file by name: a tuple `noise` becomes `noise_0`, `noise_1`, …"""
    feeds: Feeds = {}
    for name, value in arguments.items():
        feeds |= {f"{name}_{i}": part for i, part in enumerate(value)} if isinstance(value, tuple) else {name: value}
    return feeds


def nested(feeds: Feeds) -> dict[str, Any]:
    """Inputs of a file by name -> arguments of `Graph.forward`, as `flat` takes them apart."""
    noise = tuple(value for name, value in feeds.items() if name.startswith("noise_"))
    rest: dict[str, Any] = {name: value for name, value in feeds.items() if not name.startswith("noise_")}
    return rest | ({"noise": noise} if noise else {})


def _up_to(cutoff: Tensor, psi: Tensor, layers: int) -> Tensor:
    """Psi of each of the layers [L, 1]: 1, which changes nothing, from the layer `cutoff` on."""
    return torch.where(torch.arange(layers, device=psi.device) < cutoff, psi, torch.ones_like(psi))[:, None]


def _as(images: Tensor, pixels: bool) -> Tensor:
    """Float32, or uint8 as of `GAN.sample`."""
    images = images.float()
    return images.mul(127.5).add(128).clamp(0, 255).to(torch.uint8) if pixels else images


def _normal(random: np.random.RandomState, *shape: int) -> Tensor:
    return torch.from_numpy(random.randn(*shape)).float()
