"""Unrolled GANs: G looks ahead of D's next steps (Metz et al., 2016, arXiv:1611.02163, eq. 6 to 9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from organza.games.latent import Batch, LatentGame, Moment, Stats


@dataclass(frozen=True)
class Ahead:
    """A game whose discriminator has other weights, through which gradients flow."""

    game: LatentGame
    tensors: Mapping[str, Tensor]  # by their names in the discriminator

    def generator_turn(self, batch: Batch, fake: Tensor, moment: Moment) -> tuple[Tensor, Stats]:
        """As the game's."""
        return self.seen(self.game.generator_turn, batch, fake, moment)

    def seen(self, compute: Callable[..., Any], *arguments: Any) -> Any:
        """`compute(*arguments)`, while the discriminator has these weights."""
        tensors = {f"network.{name}": tensor for name, tensor in self.tensors.items()}
        return functional_call(_Called(self.game.discriminator), tensors, (compute, *arguments))


def looked_ahead(game: LatentGame, batch: Batch, fake: Tensor, moments: Sequence[Moment], critic: Any) -> Ahead:
    """The game whose D has taken a turn more on this batch for each of the `moments`, as a function of the fakes.

    `critic` is the player of D, whose optimiser (Adam or RMSprop), frozen layers and cuts it follows. A penalty that
    asks for slopes between real and fake, or at moved fakes, takes the fakes as they are.
    """
    network, group = game.discriminator, critic.optimizer.param_groups[0]
    step = rmsprop if isinstance(critic.optimizer, torch.optim.RMSprop) else adam
    learning = {id(parameter) for parameter in critic.learning}
    given = {name: parameter for name, parameter in network.named_parameters() if id(parameter) in learning}
    weights = {name: parameter.detach().requires_grad_() for name, parameter in given.items()}
    averages = {name: _averages(critic.optimizer, parameter) for name, parameter in given.items()}
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    for moment in moments:
        # A clone of the fakes inside: D's weights depend on these too, which is no slope in x.
        loss, _ = Ahead(game, weights | buffers).seen(game.discriminator_turn, batch, fake, moment, True)
        # Not every weight takes part: heads and decoders are for penalties.
        found = torch.autograd.grad(loss, list(weights.values()), create_graph=True, materialize_grads=True)
        gradients = dict(zip(weights, _clipped(found, critic.config.clip), strict=True))
        for name, weight in weights.items():
            weights[name], averages[name] = step(weight, gradients[name], *averages[name], group)
        if (limit := critic.config.weight_clip) is not None:
            weights = {name: weight.clamp(-limit, limit) for name, weight in weights.items()}
    return Ahead(game, weights | buffers)


def adam(
    weight: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, step: Tensor, group: Mapping[str, Any]
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """One step of Adam (Kingma & Ba, arXiv:1412.6980, algorithm 1) that can be differentiated."""
    beta1, beta2 = group["betas"]
    step, gradient = step + 1, gradient + group["weight_decay"] * weight
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient.square()
    deviation = _root(square, 1 - beta2**step)
    return weight - group["lr"] * (mean / (1 - beta1**step)) / (deviation + group["eps"]), (mean, square, step)


def rmsprop(
    weight: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, step: Tensor, group: Mapping[str, Any]
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """One step of RMSprop that can be differentiated: Adam's without a mean and without corrections."""
    gradient = gradient + group["weight_decay"] * weight
    square = group["alpha"] * square + (1 - group["alpha"]) * gradient.square()
    return weight - group["lr"] * gradient / (_root(square) + group["eps"]), (mean, square, step + 1)


def _root(square: Tensor, share: Tensor | float = 1.0) -> Tensor:
    """It has no derivative at zero, where a weight without gradient stands."""
    some = square > 0
    return (torch.where(some, square, 1.0) / share).sqrt() * some


def _clipped(gradients: Sequence[Tensor], limit: float | None) -> Sequence[Tensor]:
    """As torch's `clip_grad_norm_` does."""
    if limit is None:
        return gradients
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    return [gradient * (limit / (norm + 1e-6)).clamp(max=1.0) for gradient in gradients]


class _Called(nn.Module):
    """`functional_call` knows only modules and their forward."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, compute: Callable[..., Any], *arguments: Any) -> Any:
        """What `compute` finds."""
        return compute(*arguments)


def _averages(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> tuple[Tensor, Tensor, Tensor]:
    """The mean of the gradients, that of their squares, and the steps so far."""
    state = optimizer.state.get(parameter) or {}
    zero = torch.zeros_like(parameter)
    step = state["step"].detach().clone() if "step" in state else torch.zeros((), device=parameter.device)
    return state.get("exp_avg", zero).clone(), state.get("exp_avg_sq", state.get("square_avg", zero)).clone(), step
