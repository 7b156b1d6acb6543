"""One player's turn: forward passes, one backward pass, one optimiser step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from organza import config
from organza.config import ConfigError
from organza.games.latent import DuePenalty, Stats
from organza.penalties import PENALTIES
from organza.training.distributed import wrap
from organza.training.schedule import is_never_zero, value_at, zero_until

Compute = Callable[..., tuple[Tensor, Stats]]


class Turn(nn.Module):
    """What a player computes in its turn, as a module that owns the player's network.

    `DistributedDataParallel` is exact for one forward and one backward of the module that it wraps. A turn passes
    through its network several times (real, fake, penalties), hence the turn is wrapped and not the network.
    """

    def __init__(self, network: nn.Module, compute: Compute) -> None:
        super().__init__()
        self.network, self.compute = network, compute

    def forward(self, *arguments: Any) -> tuple[Tensor, Stats]:
        """(loss, stats) of one micro-batch."""
        return self.compute(*arguments)


@dataclass
class Player:
    """A network, its optimiser, and its turn, wrapped for the process group if there is one."""

    name: str
    config: config.Player
    network: nn.Module
    compute: Compute
    optimizer: torch.optim.Optimizer = field(init=False)
    turn: nn.Module = field(init=False)
    parameters: list[nn.Parameter] = field(init=False)
    learning: list[nn.Parameter] = field(init=False)  # all but the frozen ones
    turns_taken: int = 0

    def __post_init__(self) -> None:
        self.parameters = list(self.network.parameters())  # once: walking through the modules costs as much as a layer
        kept = {id(parameter) for parameter in frozen_parameters(self.network, self.config.frozen)}
        self.learning = [parameter for parameter in self.parameters if id(parameter) not in kept]
        for parameter in self.parameters:
            parameter.requires_grad_(id(parameter) not in kept)  # before DDP looks at them
        self.optimizer = build_optimizer(self.config.optimizer, self.network)
        self.turn = wrap(Turn(self.network, self.compute), partly=has_idle_parts(self.network, self.config.penalties))

    def take_turn(self, micro_batches: Sequence[tuple[Any, ...]], images: int) -> tuple[Stats, Tensor]:
        """Learn from the micro-batches, after `images` images seen: stats, and each parameter's gradient norm."""
        set_rates(self.optimizer, self.config.optimizer, images)
        self.optimizer.zero_grad(set_to_none=True)
        stats: list[Stats] = []
        for number, arguments in enumerate(micro_batches, 1):
            with _sync_at(self.turn, last=number == len(micro_batches)):
                loss, seen = self.turn(*arguments)
                (loss / len(micro_batches)).backward()
            stats.append(seen)
        norms = self._gradient_norms()
        if self.config.clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        self.optimizer.step()
        if self.config.weight_clip is not None:
            cut_weights(self.learning, self.config.weight_clip)
        self.turns_taken += 1
        return _mean(stats) | {f"gradient/{self.name}": norms.norm()}, norms

    def waits(self, images: int) -> bool:
        """Whether it learns nothing yet, so that its turn would only cost time."""
        return images < zero_until(self.config.optimizer.lr)

    def is_heard(self, due: Sequence[DuePenalty], weight: float = 1.0) -> bool:
        """Whether G listens to this D: unless what D says weighs nothing or D waits for its first turn, and G has
        penalties without a part of it."""
        ahead = weight == 0 or (self.turns_taken == 0 and zero_until(self.config.optimizer.lr) > 0)
        return not ahead or not due or any(penalty.rule.heeds_judge for penalty in due)

    def freeze(self, frozen: bool) -> None:
        """Keep the network out of (or in) the backward pass; it still passes gradients through to its input."""
        for parameter in self.learning:
            parameter.requires_grad_(not frozen)

    def _gradient_norms(self) -> Tensor:
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters]
        return torch.stack(torch._foreach_norm(gradients))


def frozen_parameters(network: nn.Module, layers: int) -> list[nn.Parameter]:
    """Those of the first `layers` layers that an image meets (Mo et al., arXiv:2002.10964).

    That is the order in which the network has them, unless it tells its own by `first_to_last`; what belongs to the
    whole network, such as the table of a projection, comes last. Raises ConfigError when no layer would be left to
    learn.
    """
    told = getattr(network, "first_to_last", None)
    layered = told() if told else [*list(network.modules())[1:], network]
    found = [list(module.parameters(recurse=False)) for module in layered]
    found = [parameters for parameters in found if parameters]
    if layers and layers >= len(found):
        raise ConfigError(f"frozen is {layers}, but this network has {len(found)} layers; it takes fewer, such as 4")
    return [parameter for parameters in found[:layers] for parameter in parameters]


def has_idle_parts(network: nn.Module, penalties: Sequence[config.Penalty]) -> bool:
    """Whether parameters sit out some turns: in a network that grows, or in a part of it that only a penalty uses."""
    always = {penalty.name for penalty in penalties if penalty.every == 1 and is_never_zero(penalty.weight)}
    used = {head for name in always for head in (PENALTIES[name].head, PENALTIES[name].head_of_maker)}
    idle = set(getattr(network, "heads", {})) - used
    unread = getattr(network, "conv2", None) is not None and hasattr(network, "classes_of") and "classes" not in used
    undrawn = hasattr(network, "reconstruction_error") and "reconstruction" not in always
    return hasattr(network, "advance") or getattr(network, "partly", False) or unread or undrawn or bool(idle)


@torch.no_grad()
def cut_weights(parameters: Sequence[nn.Parameter], limit: float) -> None:
    """Clamp every weight to [-limit, limit] (Arjovsky et al., arXiv:1701.07875, algorithm 1)."""
    torch._foreach_clamp_min_(list(parameters), -limit)
    torch._foreach_clamp_max_(list(parameters), limit)


def build_optimizer(settings: config.Optimizer, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser that the settings name, in its fused form where torch has it.

    Raises ConfigError for a rate of a mapping network that is not there.
    """
    groups, lr, beta2 = _groups(settings, network), value_at(settings.lr, 0), value_at(settings.beta2, 0)
    if settings.name == "adam":
        fused = groups[0]["params"][0].device.type in ("cpu", "cuda")
        return torch.optim.Adam(groups, lr, (settings.beta1, beta2), settings.eps, settings.weight_decay, fused=fused)
    if settings.name == "rmsprop":
        return torch.optim.RMSprop(groups, lr, beta2, settings.eps, settings.weight_decay)
    return torch.optim.SGD(groups, lr, settings.beta1, weight_decay=settings.weight_decay)


def _groups(settings: config.Optimizer, network: nn.Module) -> list[dict[str, Any]]:
    """All parameters, those of a mapping network apart where they have a rate of their own."""
    if settings.mapping == 1:
        return [{"params": list(network.parameters()), "share": 1.0}]
    mapping = getattr(network, "mapping_network", getattr(network, "mapping", None))
    if not isinstance(mapping, nn.Module):
        raise ConfigError(
            f"optimizer.mapping is {settings.mapping}, and this network has no mapping network; leave it out"
        )
    mine = list(mapping.parameters())
    apart = {id(parameter) for parameter in mine}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in apart]
    return [{"params": rest, "share": 1.0}, {"params": mine, "share": settings.mapping}]


def set_rates(optimizer: torch.optim.Optimizer, settings: config.Optimizer, images: int) -> None:
    """Move the scheduled learning rate and beta2 to where they stand after `images` images."""
    for group in optimizer.param_groups:
        group["lr"] = value_at(settings.lr, images) * group["share"]
        if "betas" in group:
            group["betas"] = (settings.beta1, value_at(settings.beta2, images))
        if "alpha" in group:  # RMSprop's name for it
            group["alpha"] = value_at(settings.beta2, images)


def _sync_at(turn: nn.Module, last: bool) -> Any:
    return turn.no_sync() if isinstance(turn, DistributedDataParallel) and not last else nullcontext()


def _mean(stats: list[Stats]) -> Stats:
    if len(stats) == 1:
        return stats[0]
    return {name: torch.stack([seen[name] for seen in stats]).mean() for name in stats[0]}
