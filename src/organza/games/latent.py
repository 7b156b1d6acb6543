"""The latent game: noise -> samples, judged against data, with or without labels (arXiv:1406.2661, arXiv:1411.1784).

This is algorithm 1 of the paper. `organza.training.turn` puts one backward pass and one optimiser step around each of
the two functions; nothing here knows of devices, processes, averages or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from organza.config import Targets
from organza.games.batch import Batch as Batch
from organza.games.targets import called
from organza.games.view import View, most_real
from organza.losses import Loss, probability
from organza.penalties import Evidence, Rule
from organza.penalties.eyes import Eyes

Stats = dict[str, Tensor]
Found = tuple[Tensor, Stats]  # what a player minimises


@dataclass(frozen=True)
class DuePenalty:
    """A penalty that joins this turn, with its weight of the moment (interval included)."""

    name: str
    rule: Rule
    weight: float


@dataclass(frozen=True)
class Moment:
    """What the schedules and the running averages say in this turn."""

    due: Sequence[DuePenalty] = ()
    augment: Tensor | float = 0.0  # probability of each operation
    noise: float = 0.0  # deviation of the instance noise
    blur: float = 0.0  # deviation of the blur, in pixels
    top_k: float = 1.0  # share of the fakes from which G learns
    memory: Tensor | None = None  # D's recent average answers to real and to fake samples [2]
    lengths: Tensor | None = None  # G's mean path length of late, 0-d
    judged: bool = True  # whether G hears of D, or learns from its penalties alone
    weight: float = 1.0  # of what D says in G's loss


@dataclass(frozen=True)
class LatentGame:
    """The two players, the loss between them, what D is shown, and the precision of their forward passes."""

    generator: nn.Module
    discriminator: nn.Module
    loss: Loss
    autocast: AbstractContextManager
    view: View = field(default_factory=View)
    targets: Targets = field(default_factory=Targets)
    deviation: Tensor | float = 1.0  # of the data
    dropout: float = 0.0  # share of D's last features that is left out
    compiled: bool = False  # torch.compile stands behind the networks' calls; it knows no second derivatives
    eyes: Eyes | None = None  # what penalties look through
    beside: bool = False  # D sees what was translated beside the result (arXiv:1611.07004, eq. 1)

    def generate(self, batch: Batch, z: Tensor | None = None, source: Tensor | None = None) -> Tensor:
        """G(z), or the translation of the source, [B, *shape] in float32: from the batch's if no other are given."""
        z, source = batch.z if z is None else z, batch.source if source is None else source
        like = {"like": batch.real} if getattr(self.generator, "learns_like", False) else {}
        with self.autocast:
            made = (
                self.generator(z, batch.labels) if source is None else self.generator(source, z, batch.labels, **like)
            )
            return made.float()

    def judge(self, samples: Tensor, batch: Batch, moment: Moment, in_float32: bool = False) -> tuple[Tensor, Any]:
        """D's logits [B] and features, in float32; `in_float32` leaves the autocast out, as penalties need it."""
        if self.beside:
            assert batch.source is not None
            samples = torch.cat([batch.source, samples], 1)
        seen = self.view(samples, batch.draws, moment.augment, moment.noise, moment.blur)
        with self.eagerly() if in_float32 else self.autocast:
            features = self.thinned(self.discriminator.features(seen, batch.labels), batch)  # type: ignore[operator]
            logits = self.discriminator.logits(features, batch.labels)  # type: ignore[operator]
        return logits.float(), tree_map(Tensor.float, features)

    def thinned(self, features: Any, batch: Batch) -> Any:
        """D's features [B, F] without a random share of them, the others so much larger (arXiv:1207.0580)."""
        if not self.dropout:
            return features
        kept = batch.draws.other("dropout").uniform("features", features.shape[1]) >= self.dropout
        return features * kept / (1 - self.dropout)

    def discriminator_turn(self, batch: Batch, fake: Tensor, moment: Moment, ahead: bool = False) -> Found:
        """What D minimises: the loss between real and (but for a look `ahead` detached) fake logits, and penalties."""
        real, fake = self.real(batch, moment).detach(), fake.clone() if ahead else fake.detach()
        real.requires_grad_(any(penalty.rule.real_gradient for penalty in moment.due))
        fake.requires_grad_(ahead or any(penalty.rule.fake_gradient for penalty in moment.due))
        in_float32 = real.requires_grad or fake.requires_grad  # autocast and second derivatives do not mix
        real_logits, real_features = self.judge(real, batch, moment, in_float32)
        fake_logits, fake_features = self.judge(fake, batch, moment, in_float32)
        loss = self.loss.discriminator(real_logits, fake_logits, called(self.targets, batch, self.discriminator))
        stats = self._discriminator_stats(loss, real_logits, fake_logits)
        evidence = self._evidence(
            batch, moment, "discriminator", real=real, fake=fake, real_logits=real_logits, fake_logits=fake_logits,
            real_features=real_features, fake_features=fake_features,
        )  # fmt: skip
        return self._with_penalties(loss, stats, moment, evidence)

    def generator_turn(self, batch: Batch, fake: Tensor, moment: Moment) -> Found:
        """What G minimises: the loss of its fakes in the eyes of a frozen D, and the penalties that are due."""
        if not moment.judged:
            nothing = fake.new_zeros(len(fake))
            seen = {"real": batch.real, "fake": fake, "real_logits": nothing, "fake_logits": nothing}
            return self._with_penalties(nothing.mean(), {}, moment, self._evidence(batch, moment, "generator", **seen))
        fake_logits, fake_features = self.judge(fake, batch, moment)
        real, real_logits, real_features = batch.real, None, None
        if self.loss.relativistic or any(penalty.rule.real_features for penalty in moment.due):
            real = self.real(batch, moment)
            with torch.no_grad():
                real_logits, real_features = self.judge(real, batch, moment)
        loss = moment.weight * self.loss.generator(*most_real(moment.top_k, fake_logits, real_logits))
        evidence = self._evidence(
            batch, moment, "generator", real=real, fake=fake, fake_logits=fake_logits,
            real_logits=fake_logits if real_logits is None else real_logits,
            real_features=real_features, fake_features=fake_features,
        )  # fmt: skip
        return self._with_penalties(loss, {"loss/generator": loss.detach()}, moment, evidence)

    def answers(self, batch: Batch, fake: Tensor, moment: Moment) -> Found:
        """The stats of D's turn without its learning, for a D that rests."""
        with torch.no_grad():
            real_logits, _ = self.judge(self.real(batch, moment), batch, moment)
            fake_logits, _ = self.judge(fake, batch, moment)
            loss = self.loss.discriminator(real_logits, fake_logits)
        return loss, self._discriminator_stats(loss, real_logits, fake_logits)

    def real(self, batch: Batch, moment: Moment) -> Tensor:
        """The real samples as a growing generator could make them now, some replaced by fakes where APA says so."""
        match = getattr(self.generator, "match", None)
        real = batch.real if match is None else match(batch.real)
        if not self.view.fakes_for_reals:
            return real
        draws = batch.draws.other("apa")
        with torch.no_grad():
            fake = self.generate(batch, draws.normal("z", batch.z.shape[1]))
        swapped = draws.uniform("swap") < moment.augment
        return torch.where(swapped.view(-1, *[1] * (real.dim() - 1)), fake, real)

    def eagerly(self) -> AbstractContextManager:
        """Around what is differentiated twice."""
        return torch.compiler.set_stance("force_eager") if self.compiled else nullcontext()

    def _with_penalties(self, loss: Tensor, stats: Stats, moment: Moment, evidence: Evidence) -> Found:
        for penalty in moment.due:
            with self.eagerly():
                value = penalty.rule.per_sample(evidence).mean()
            loss = loss + penalty.weight * value
            owner = "" if evidence.turn == "discriminator" else "generator/"
            stats[f"penalty/{owner}{penalty.name}"] = value.detach()
        return loss, stats

    def _evidence(self, batch: Batch, moment: Moment, turn: str, **seen: Any) -> Evidence:
        return Evidence(
            **seen, mix=batch.mix, judge=lambda x: self.judge(x, batch, moment, in_float32=True)[0],
            z=batch.z, labels=batch.labels, draws=batch.draws, generator=self.generator,
            discriminator=self.discriminator, generate=lambda z=None, source=None: self.generate(batch, z, source),
            memory=moment.memory, source=batch.source, source_labels=batch.source_labels,
            lengths=moment.lengths, show=lambda x: self.view(x, batch.draws, moment.augment, moment.noise, moment.blur),
            deviation=self.deviation, eyes=self.eyes, turn=turn, due=frozenset(penalty.name for penalty in moment.due),
        )  # fmt: skip

    def _discriminator_stats(self, loss: Tensor, real: Tensor, fake: Tensor) -> Stats:
        real, fake = real.detach(), fake.detach()
        border = fake.mean() if self.loss.relativistic else self.loss.border
        return {
            "loss/discriminator": loss.detach(),
            "D(x)": probability(real),
            "D(G(z))": probability(fake),
            "logits/real": real.mean(),
            "logits/fake": fake.mean(),
            "logits/real_std": real.std(correction=0),
            "logits/fake_std": fake.std(correction=0),
        } | ({} if border is None else _verdicts(real - border, fake - border))


def _verdicts(real: Tensor, fake: Tensor) -> Stats:
    """How often D is right, from how far its logits are above the border."""
    return {
        "sign/real": real.sign().mean(),
        "accuracy/real": (real > 0).float().mean(),
        "accuracy/fake": (fake < 0).float().mean(),
    }
