"""The latent game: noise -> samples, judged against data, with or without labels (arXiv:1406.2661, arXiv:1411.1784).

This is algorithm 1 of the paper. `organza.training.turn` puts one backward pass and one optimiser step around each of
the two functions; nothing here knows of devices, processes, averages or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from organza.losses import Loss, probability
from organza.penalties import Evidence, Rule

Stats = dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """What one turn plays with; row i of every part belongs to sample i."""

    real: Tensor  # [B, *shape], images in [-1, 1]
    labels: Tensor | None  # int64 [B]; fakes are made and judged with the labels of their real partners
    z: Tensor  # standard normal [B, z_dim]
    mix: Tensor  # uniform [B], for penalties between real and fake

    def split(self, parts: int) -> list[Batch]:
        """Micro-batches of equal size."""
        rows = [getattr(self, f.name) for f in fields(self)]
        pieces = [[None] * parts if row is None else row.chunk(parts) for row in rows]
        return [Batch(*piece) for piece in zip(*pieces, strict=True)]


@dataclass(frozen=True)
class DuePenalty:
    """A penalty that joins this turn, with its weight of the moment (interval included)."""

    name: str
    rule: Rule
    weight: float


@dataclass(frozen=True)
class LatentGame:
    """The two players, the loss between them and the precision of their forward passes."""

    generator: nn.Module
    discriminator: nn.Module
    loss: Loss
    autocast: AbstractContextManager

    def generate(self, batch: Batch) -> Tensor:
        """G(z) [B, *shape] in float32."""
        with self.autocast:
            return self.generator(batch.z, batch.labels).float()

    def judge(self, samples: Tensor, labels: Tensor | None, in_float32: bool = False) -> Tensor:
        """D(x) [B] in float32; `in_float32` leaves the autocast out, as penalties need it."""
        with nullcontext() if in_float32 else self.autocast:
            return self.discriminator(samples, labels).float()

    def discriminator_turn(self, batch: Batch, fake: Tensor, due: Sequence[DuePenalty]) -> tuple[Tensor, Stats]:
        """What D minimises: the loss between real and (detached) fake logits, and the penalties that are due."""
        real, fake = batch.real.detach(), fake.detach()
        real.requires_grad_(any(penalty.rule.real_gradient for penalty in due))
        fake.requires_grad_(any(penalty.rule.fake_gradient for penalty in due))
        in_float32 = real.requires_grad or fake.requires_grad  # autocast and second derivatives do not mix
        real_logits = self.judge(real, batch.labels, in_float32)
        fake_logits = self.judge(fake, batch.labels, in_float32)
        loss = self.loss.discriminator(real_logits, fake_logits)
        stats = _discriminator_stats(loss, real_logits, fake_logits)
        evidence = Evidence(
            real, fake, real_logits, fake_logits, batch.mix, lambda x: self.judge(x, batch.labels, in_float32=True)
        )
        for penalty in due:
            value = penalty.rule.per_sample(evidence).mean()
            loss = loss + penalty.weight * value
            stats[f"penalty/{penalty.name}"] = value.detach()
        return loss, stats

    def generator_turn(self, batch: Batch, fake: Tensor) -> tuple[Tensor, Stats]:
        """What G minimises: the loss of its fakes in the eyes of a frozen D."""
        fake_logits = self.judge(fake, batch.labels)
        real_logits = None
        if self.loss.relativistic:
            with torch.no_grad():
                real_logits = self.judge(batch.real, batch.labels)
        loss = self.loss.generator(fake_logits, real_logits)
        return loss, {"loss/generator": loss.detach()}


def _discriminator_stats(loss: Tensor, real: Tensor, fake: Tensor) -> Stats:
    real, fake = real.detach(), fake.detach()
    return {
        "loss/discriminator": loss.detach(),
        "D(x)": probability(real),
        "D(G(z))": probability(fake),
        "logits/real": real.mean(),
        "logits/fake": fake.mean(),
        "logits/real_std": real.std(correction=0),
        "logits/fake_std": fake.std(correction=0),
    }
