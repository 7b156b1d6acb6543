"""What an exported file computes, and the inputs that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from organza.hub.gan import GAN
from organza.latent.space import LatentSpace

Feeds = dict[str, Tensor]
"""Inputs of a file by name."""


class Graph(nn.Module):
    """What is exported: a generator in evaluation mode, all of whose random numbers are inputs."""

    def __init__(self, generator: nn.Module, pixels: bool) -> None:
        super().__init__()
        self.generator, self.pixels = generator, pixels

    def forward(
        self, z: Tensor, label: Tensor | None = None, truncation: Tensor | None = None,
        noise: tuple[Tensor, ...] = (), transform: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Inputs as the head of `organza.hub.export` has them -> samples [B, *shape]."""
        images = self._drawn(z, label, truncation, noise, transform).float()
        return images.mul(127.5).add(128).clamp(0, 255).to(torch.uint8) if self.pixels else images

    def _drawn(
        self, z: Tensor, label: Tensor | None, psi: Tensor | None, noise: tuple[Tensor, ...], transform: Tensor | None
    ) -> Tensor:
        if psi is None:
            return self.generator(z, label)
        made: Any = self.generator
        ws = made.mapping.truncated(made.broadcast(made.mapping(z, label)), psi)
        return made.synthesis(ws, noise or "const", **({} if transform is None else {"transform": transform}))


def example(gan: GAN, batch: int, pictures: bool) -> dict[str, Any]:
    """Arguments of `Graph.forward` for so many samples, all different; with `pictures` also noise and transform."""
    random = np.random.RandomState(batch)
    feeds: dict[str, Any] = {"z": _normal(random, batch, gan.z_dim)}
    if gan.classes:
        feeds["label"] = torch.from_numpy(random.randint(0, len(gan.classes), batch))
    if has_psi(gan.generator):
        feeds["truncation"] = torch.tensor(0.7)
    if "truncation" in feeds and pictures:
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


def _normal(random: np.random.RandomState, *shape: int) -> Tensor:
    return torch.from_numpy(random.randn(*shape)).float()
