"""Spectral normalisation of any network, and the list of its weights (Miyato et al., 2018, arXiv:1802.05957)."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from organza.config import ConfigError

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Embedding)


def weighted_layers(network: nn.Module) -> list[nn.Module]:
    """Layers that multiply by a weight, but for those inside what the network, or one within it, calls `plain`."""
    plain = [f"{name}.{part}".lstrip(".") for name, m in network.named_modules() for part in getattr(m, "plain", ())]
    named = network.named_modules()
    return [m for name, m in named if isinstance(m, WEIGHTED) and not any(_inside(name, part) for part in plain)]


def weights_of(network: nn.Module) -> list[Tensor]:
    """The weights of these layers, before they are normed."""
    return [_own(layer) for layer in weighted_layers(network)]


def add_spectral_norm(network: nn.Module) -> nn.Module:
    """Divide every weight by its largest singular value, found by one power iteration a pass (algorithm 1).

    Raises ConfigError for a network that has no such layers, those with an equalised learning rate, and for one with
    layers that start at zero, whose norm is zero too.
    """
    layers = weighted_layers(network)
    if any(getattr(module, "starts_at_zero", False) for module in network.modules()):
        raise ConfigError("spectral_norm cannot divide weights that start at zero, as those of r3gan do; leave it out")
    if not layers:
        raise ConfigError("spectral_norm finds no plain convolution or linear layer in this network; leave it out")
    for layer in layers:
        spectral_norm(layer, dim=1 if isinstance(layer, nn.ConvTranspose2d) else 0)
    return network


@torch.no_grad()
def renew_norms(network: nn.Module) -> None:
    """Go one power iteration further, for weights that were not changed by learning: an average of norms is none."""
    for module in network.modules():
        if parametrize.is_parametrized(module):
            normed: Any = module.parametrizations["weight"]  # type: ignore[index]
            normed.train()()
            normed.eval()


def without_spectral_norm(network: nn.Module) -> nn.Module:
    """A copy for use, whose weights are the normed ones."""
    if not any(parametrize.is_parametrized(module) for module in network.modules()):
        return network
    network = copy.deepcopy(network).eval()
    for module in list(network.modules()):
        if parametrize.is_parametrized(module):
            _fold(module)
    return network


def take_folded_weights(network: nn.Module, state: dict[str, Tensor], prefix: str = "", *_: object) -> None:
    """Before a state is loaded into a network with built-in spectral norm: weights that were normed stay as they are.

    For `register_load_state_dict_pre_hook`; layers lose their norm where the state has a plain `weight`.
    """
    for name, module in list(network.named_modules()):
        if parametrize.is_parametrized(module) and f"{prefix}{name}.weight" in state:
            _fold(module)


def _fold(layer: nn.Module) -> None:
    """What torch's `remove_parametrizations` does, which would take `weight` from all copies of the layer, too.

    Copies share the class that has the normed weight for a property.
    """
    weight = layer.weight.detach()  # type: ignore[operator]
    layer.__class__ = type(layer).__bases__[0]
    del layer.parametrizations
    layer.weight = nn.Parameter(weight)


def _own(layer: nn.Module) -> Tensor:
    if parametrize.is_parametrized(layer):
        return layer.parametrizations["weight"].original  # type: ignore[index, return-value]
    return layer.weight  # type: ignore[return-value]


def _inside(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")
