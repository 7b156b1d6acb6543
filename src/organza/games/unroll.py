"""Unrolled GANs: G looks ahead of D's next steps (Metz et al., 2016, arXiv:1611.02163, eq. 6 to 9)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from organza.games.latent import Batch, LatentGame, Moment
from organza.games.targets import called


class Ahead(nn.Module):
    """A discriminator with other weights, through which gradients flow."""

    def __init__(self, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.called, self.tensors = _Called(network), {f"network.{name}": value for name, value in tensors.items()}

    def features(self, x: Tensor, labels: Tensor | None = None) -> Any:
        """As the network's."""
        return functional_call(self.called, self.tensors, ("features", x, labels))

    def logits(self, features: Any, labels: Tensor | None = None) -> Tensor:
        """As the network's."""
        return functional_call(self.called, self.tensors, ("logits", features, labels))


def looked_ahead(
    game: LatentGame, batch: Batch, fake: Tensor, moment: Moment, optimizer: torch.optim.Optimizer, steps: int
) -> LatentGame:
    """The game whose D has taken `steps` more turns on this batch, by Adam's rule, as a function of the fakes."""
    network = game.discriminator
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    names = [name for name, _ in network.named_parameters()]
    given = list(network.parameters())
    weights = [p.detach().requires_grad_() for p in given]
    averages = [_adam_state(optimizer, p) for p in given]
    real, targets = game.real(batch, moment).detach(), called(game.targets, batch, game.discriminator)
    for _ in range(steps):
        ahead = dataclasses.replace(
            game, discriminator=Ahead(network, dict(zip(names, weights, strict=True)) | buffers)
        )
        real_logits, _ = ahead.judge(real, batch, moment, in_float32=True)
        fake_logits, _ = ahead.judge(fake, batch, moment, in_float32=True)
        loss = game.loss.discriminator(real_logits, fake_logits, targets)
        # Not every weight takes part: heads and decoders are for penalties.
        gradients = torch.autograd.grad(loss, weights, create_graph=True, materialize_grads=True)
        moved = [
            adam(w, g, *a, optimizer.param_groups[0]) for w, g, a in zip(weights, gradients, averages, strict=True)
        ]
        weights, averages = [new for new, _ in moved], [state for _, state in moved]
    return dataclasses.replace(game, discriminator=Ahead(network, dict(zip(names, weights, strict=True)) | buffers))


def adam(
    weight: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, step: Tensor, group: Mapping[str, Any]
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """One step of Adam (Kingma & Ba, arXiv:1412.6980, algorithm 1) that can be differentiated."""
    beta1, beta2 = group["betas"]
    step, gradient = step + 1, gradient + group["weight_decay"] * weight
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient.square()
    some = square > 0  # the square root has no derivative at zero, where a weight without gradient stands
    deviation = (torch.where(some, square, 1.0) / (1 - beta2**step)).sqrt() * some
    return weight - group["lr"] * (mean / (1 - beta1**step)) / (deviation + group["eps"]), (mean, square, step)


class _Called(nn.Module):
    """`functional_call` knows only forward."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, method: str, *arguments: Any) -> Any:
        """Call a method of the network."""
        return getattr(self.network, method)(*arguments)


def _adam_state(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> tuple[Tensor, Tensor, Tensor]:
    state = optimizer.state.get(parameter) or {}
    zero = torch.zeros_like(parameter)
    step = state["step"].detach().clone() if "step" in state else torch.zeros((), device=parameter.device)
    return state.get("exp_avg", zero).clone(), state.get("exp_avg_sq", zero).clone(), step
