"""Which weights of a generator read its codes: found by watching one pass, for every network of the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from organza.latent.projection import evaluating
from organza.latent.space import LatentSpace
from organza.layers.codes import Coded

ALIKE = 1e-4  # largest difference of two unit vectors that are the same but for rounding


def readers(latent: LatentSpace) -> list[list[Tensor]]:
    """For each code the weights [outputs, width] that multiply it directly, in the order in which they are used.

    With a w these are the affine maps of the styles; else the layers behind the noise, of which the columns of labels
    and of an InfoGAN's categories are left out.
    """
    return _of_w(latent) if latent.has_w else _of_z(latent)


def _of_w(latent: LatentSpace) -> list[list[Tensor]]:
    """Code i is told by its value: all its numbers are i."""
    made: Any = latent.generator
    found: list[list[Tensor]] = [[] for _ in range(latent.layers)]

    def note(module: nn.Module, x: Tensor) -> None:
        at = round(float(x.float().mean()))
        if x.shape[1:] == (latent.width,) and 0 <= at < latent.layers:
            found[at].append(_weight(module))

    values = torch.arange(latent.layers, device=_device(made), dtype=torch.float32)
    with watched(made.synthesis, note), torch.no_grad(), evaluating(made):
        made.synthesis(values[None, :, None].expand(1, -1, latent.width).contiguous())
    return found


def _of_z(latent: LatentSpace) -> list[list[Tensor]]:
    """Code i is told by its direction, which a normalisation leaves as it is."""
    outer: Any = latent.generator
    made: Any = outer.generator if isinstance(outer, Coded) else outer
    parts, numbers = _parts(made, latent), int(made.z_dim)
    z = torch.randn(1, numbers, generator=torch.Generator().manual_seed(0)).to(_device(made))
    found: list[list[Tensor]] = [[] for _ in range(latent.layers)]

    def note(module: nn.Module, x: Tensor) -> None:
        for at, (start, size) in enumerate(parts):
            if x.dim() == 2 and x.shape[1] >= size and _same(x[0, :size], z[0, start : start + size]):
                weight = torch.zeros(len(_weight(module)), numbers if latent.layers == 1 else size)
                place = start if latent.layers == 1 else 0
                weight[:, place : place + size] = _weight(module)[:, :size]
                found[at if latent.layers > 1 else 0].append(weight)
                return

    labels = torch.zeros(1, dtype=torch.long, device=z.device)
    with watched(made, note), torch.no_grad(), evaluating(made):
        made(z, labels)
    if isinstance(outer, Coded):
        for weight in found[0]:
            weight[:, : sum(outer.categorical)] = 0
    return found


def _parts(made: nn.Module, latent: LatentSpace) -> list[tuple[int, int]]:
    """(start, size) of the pieces of z that layers read."""
    sizes: list[int] = list(getattr(made, "parts", ())) or [latent.width * latent.layers]
    return [(sum(sizes[:at]), size) for at, size in enumerate(sizes)]


@contextmanager
def watched(network: nn.Module, note: Callable[[nn.Module, Tensor], None]) -> Iterator[None]:
    """Tell of every layer with a matrix that is called, and of its input."""

    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if inputs and isinstance(inputs[0], Tensor) and inputs[0].dim() == 2:
            note(module, inputs[0].detach())

    alone = [m for m in network.modules() if not list(m.children()) and not isinstance(m, nn.Embedding)]
    matrices = [m for m in alone if getattr(getattr(m, "weight", None), "ndim", 0) == 2]
    handles = [m.register_forward_pre_hook(hook) for m in matrices]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _weight(module: nn.Module) -> Tensor:
    """As it runs, with the constant of an equalised learning rate, on the CPU."""
    return (module.weight.detach() * getattr(module, "scale", 1.0)).float().cpu()  # type: ignore[operator]


def _same(one: Tensor, other: Tensor) -> bool:
    """Equal, or of the same direction, which tells something of three numbers and more."""
    if torch.equal(one, other) or len(one) < 3:
        return torch.equal(one, other)
    return float((one / one.norm().clamp(min=1e-12) - other / other.norm()).abs().max()) < ALIKE


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
