"""What a penalty gets to see of a turn, and what the engine has to know of a penalty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from organza.draws import Draws
from organza.penalties.eyes import Eyes


@dataclass(frozen=True)
class Evidence:
    """One turn: samples [B, ...], their logits [B], and what else a penalty may need."""

    real: Tensor
    fake: Tensor
    real_logits: Tensor
    fake_logits: Tensor
    mix: Tensor  # uniform numbers in [0, 1), [B]
    judge: Callable[[Tensor], Tensor]  # samples [B, ...] -> logits [B], with the labels of the batch
    real_features: Any = None  # what D's last layer judges, [B, F]; a tuple where a network has no plain ones
    fake_features: Any = None
    z: Tensor | None = None  # noise of the fakes
    labels: Tensor | None = None  # classes int64 [B], or attributes int64 [B, A]
    draws: Draws | None = None  # random numbers of these samples
    generator: nn.Module | None = None
    discriminator: nn.Module | None = None
    generate: Callable[..., Tensor] | None = None  # z= [B, z_dim], source= -> samples; else those of the batch
    source: Tensor | None = None  # what was translated into the fakes
    source_labels: Tensor | None = None  # alike
    memory: Tensor | None = None  # D's average answer of late, (to real, to fake)
    lengths: Tensor | None = None  # the mean path length of late, 0-d, which its penalty moves on
    show: Callable[[Tensor], Tensor] | None = None  # samples as D is shown them, augmented
    deviation: Tensor | float = 1.0  # of the data, over all samples and numbers
    eyes: Eyes | None = None  # what penalties look through
    turn: str = "discriminator"
    due: frozenset[str] = frozenset()  # names of the penalties that join this turn
    shared: dict[str, Any] = field(default_factory=dict)  # what one of them has computed, for the others

    @property
    def player(self) -> nn.Module:
        """Whose turn it is."""
        network = self.generator if self.turn == "generator" else self.discriminator
        assert network is not None
        return network


@dataclass(frozen=True)
class Rule:
    """A penalty, whose turn it may join, and what it needs to have computed."""

    per_sample: Callable[[Evidence], Tensor]
    real_gradient: bool = False  # differentiates the logits with respect to the real samples
    fake_gradient: bool = False  # and to the fake ones
    players: tuple[str, ...] = ("discriminator",)
    real_features: bool = False  # needs those of real samples in the generator's turn as well
    images_only: bool = False
    styles: bool = False  # needs a generator with a mapping and a synthesis
    head: str = ""  # the part of D that it reads with, which D's turn teaches and G has to please
    head_of_maker: str = ""  # the part of G that it alone uses and teaches
    of: Literal["all", "translation", "pairs"] = "all"  # the games that it joins
    makers: tuple[str, ...] = ()  # the models whose generators have what it reads; empty: all
    coloured: bool = False  # needs RGB
    looks: bool = False  # through the network that the configuration names
    asks: bool = False  # D, in the generator's turn, for more than its features and its head

    @property
    def heeds_judge(self) -> bool:
        """Whether the generator learns of D by it."""
        return self.real_features or bool(self.head) or self.asks


def each(values: Tensor) -> Tensor:
    """One value for each sample, [B], of values [B] or [B, K]."""
    return values.float().flatten(1).mean(1) if values.dim() > 1 else values.float()
