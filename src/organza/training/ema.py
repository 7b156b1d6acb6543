"""The exponential moving average of the generator's weights (Yazıcı et al., arXiv:1806.04498)."""

from __future__ import annotations

import copy

import torch
from torch import nn

from organza.config import EMA
from organza.layers.spectral import renew_norms
from organza.training.schedule import value_at


def averaged_copy(model: nn.Module) -> nn.Module:
    """A frozen copy in evaluation mode, to be moved by `update`."""
    # Cloned here and not by deepcopy, which cannot copy the fake tensors of a plan.
    tensors: dict[int, torch.Tensor] = {id(b): b.detach().clone() for b in model.buffers()}
    tensors |= {id(p): nn.Parameter(p.detach().clone(), requires_grad=False) for p in model.parameters()}
    return copy.deepcopy(model, tensors).eval()


def weight_of_new(config: EMA, images: int, batch: int) -> float:
    """How far the average moves to the new weights after a step of `batch` images; 1 copies them."""
    half_life = value_at(config.half_life, images)
    if config.ramp is not None:
        half_life = min(half_life, config.ramp * images)
    return 1 - 0.5 ** (batch / half_life) if half_life > 0 else 1.0


@torch.no_grad()
def update(average: nn.Module, model: nn.Module, weight: float) -> None:
    """Move every parameter and floating buffer of `average` by `weight` towards `model`; copy whole-number buffers."""
    pairs = list(zip(_tensors(average), _tensors(model), strict=True))
    floating = [(mine, new) for mine, new in pairs if mine.is_floating_point()]
    if floating:
        mine, new = zip(*floating, strict=True)
        torch._foreach_lerp_(list(mine), list(new), weight)
    for counter, new in pairs:
        if not counter.is_floating_point():
            counter.copy_(new)
    renew_norms(average)


def _tensors(model: nn.Module) -> list[torch.Tensor]:
    return [*model.parameters(), *model.buffers()]
