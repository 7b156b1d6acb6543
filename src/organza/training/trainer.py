"""When everything happens: the loop of a training run.

What a player computes stands in `organza.games`; the backward pass and the step around it in `turn.py`; what is
written to the run folder in `outputs.py`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from organza.config import Changes, Config, override
from organza.data.store import ImageStore
from organza.games.batch import dealt_out
from organza.games.latent import Batch, Moment, Stats
from organza.games.unroll import looked_ahead
from organza.health.signals import Signals
from organza.reporter import Reporter
from organza.training import ema
from organza.training.assemble import build_game, due_penalties, resolve, results_shape
from organza.training.batches import Batches
from organza.training.distributed import any_process, mean, rank, synchronised, world
from organza.training.guard import ROLLBACKS, BrokenError, Guard
from organza.training.outputs import Outputs
from organza.training.recent import Recent
from organza.training.replay import Replay
from organza.training.schedule import value_at
from organza.training.scoring import interval
from organza.training.state import put_back, snapshot
from organza.training.turn import Player

SMOOTHING = 0.9  # of the images a second, from step to step


@dataclass
class Limits:
    """When to stop: after `images`, after `minutes` of this session, or as soon as `interrupted` is set."""

    images: int
    minutes: float | None = None
    interrupted: bool = False
    signal: int | None = None  # that interrupted

    def interrupt(self, number: int) -> None:
        """Stop after the step, because of the signal with this number."""
        self.interrupted, self.signal = True, number


class Trainer:
    """The players, their data, the average of the generator, and the counters that decide what is due."""

    def __init__(self, config: Config, store: ImageStore, device: torch.device) -> None:
        self.own, self.store, self.device = config, store, device
        self.images = self.steps = self.rollbacks = self.nonfinite = 0
        self.seconds = self.rate = 0.0
        self.build({})

    def build(self, changes: Changes) -> None:
        """All parts as the run's own configuration says, with the changes of the autopilot."""
        self.changes = dict(changes)
        self.config = config = resolve(override(self.own, changes)) if changes else self.own
        store, device = self.store, self.device
        torch.manual_seed(config.seed)
        self.game = game = build_game(config, store, device)
        synchronised(game.generator, device)
        synchronised(game.discriminator, device)
        self.average = ema.averaged_copy(game.generator)
        self.players = {
            "generator": Player("generator", config.generator, game.generator, self._generator_loss),
            "discriminator": Player(
                "discriminator", config.discriminator, game.discriminator, game.discriminator_turn
            ),
        }  # fmt: skip
        self.batches = Batches(
            store, config.batch, int(game.generator.z_dim), device,  # type: ignore[arg-type]
            seed=config.seed, data=config.data, labels=config.conditional, game=config.game, rank=rank(), world=world(),
        )  # fmt: skip
        self.recent, self.replay = Recent(config, device), Replay(config, results_shape(config, store), device)
        self.guard = Guard({"generator": game.generator, "discriminator": game.discriminator})
        self.window: dict[str, list[Tensor]] = {}
        torch.manual_seed(config.seed + rank())  # dropout: its own in every process

    # What is due when

    def train(self, outputs: Outputs, limits: Limits, reporter: Reporter) -> str:
        """Take steps until a limit is met: `finished` or `stopped`. Raises BrokenError after too many rollbacks."""
        origin = time.perf_counter() - self.seconds
        end = None if limits.minutes is None else self.seconds + 60 * limits.minutes
        every, scored = self.config.output, interval(self.config)
        status, signals = self._status(limits, end), Signals(self)
        while status is None:
            before, started = self.images, time.perf_counter()
            self.step()
            self._measure(self.images - before, time.perf_counter() - started)
            self.seconds = time.perf_counter() - origin
            reporter.progress(self.images, limits.images, self.rate, self._eta(limits, end))
            status, keep = self._status(limits, end), self._crossed(before, every.checkpoint)
            tick, score = self._crossed(before, every.log) or keep or status, self._crossed(before, scored)
            if (tick or score) and self._rolled_back(outputs, reporter):  # nothing broken is ever scored or saved
                status = None
                continue
            if tick:
                self._tick(outputs, reporter, signals)
            if tick and not status:
                note, stop = outputs.steer(self, limits.images, thorough=keep)
                status = "finished" if stop else None
                if note:
                    reporter.note(note)
            if self._crossed(before, every.samples):
                outputs.grids(self)
            if score and (found := outputs.scores(self)):
                reporter.tick(self.images, found)
            if keep and not status:
                outputs.checkpoint(self)
                for alarm in outputs.alarms():
                    reporter.note(alarm)
        return status

    def step(self) -> None:
        """Every player's turns, then the average."""
        self._grow()
        shared = self._shared_pass() if self.config.share_fakes else None
        for _ in range(self.config.discriminator.turns):
            if self.players["discriminator"].waits(self.images):
                self.images += self.config.batch
                continue
            batch, fake = shared or self._fresh_fakes()
            self._take_turn("discriminator", batch, fake, counted=self.config.batch)
        for _ in range(self.config.generator.turns):
            batch, fake = shared or (self.batches.next(), None)
            self._take_turn("generator", batch, fake)
        self.steps += 1
        seen = self.config.batch * self.config.discriminator.turns
        ema.update(self.average, self.game.generator, ema.weight_of_new(self.config.ema, self.images, seen))

    def _take_turn(self, name: str, batch: Batch, fake: Tensor | None, counted: int = 0) -> None:
        """One turn of one player, while the other is frozen."""
        moment = self._moment(name)
        if name == "discriminator":
            assert fake is not None
            batch, fake = self.replay.exchange(batch, fake)
            if self.recent.resting():
                _, stats = self.game.answers(batch, fake, moment)
                self.players[name].optimizer.zero_grad(set_to_none=True)  # it learned nothing: no signal of it
            else:
                stats = self._learn(name, batch, fake, moment)
            self.recent.watch(stats, counted)
            stats |= self.recent.stats()
        else:
            stats = self._learn(name, batch, fake, moment)
        self.images += counted
        for key, value in stats.items():
            self.window.setdefault(key, []).append(value)

    def _learn(self, name: str, batch: Batch, fake: Tensor | None, moment: Moment) -> Stats:
        for other in self.players.values():
            other.freeze(other.name != name)
        parts = self.config.accumulate
        micro_batches = [(b, f, moment) for b, f in zip(batch.split(parts), dealt_out(fake, parts), strict=True)]
        stats, norms = self.players[name].take_turn(micro_batches, self.images)
        self.guard.watch(name, norms)
        return stats

    def _moment(self, name: str) -> Moment:
        """What the schedules say now."""
        config, player, seen = self.config, self.players[name], self.images
        due, weight = due_penalties(player.config, player.turns_taken, seen), value_at(config.game_weight, seen)
        return Moment(
            due,
            self.recent.probability(seen),
            *(value_at(value, seen) for value in (config.noise, config.blur, config.top_k)),
            memory=self.recent.answers if self.recent.remembers else None,
            lengths=self.recent.lengths,
            judged=name == "discriminator" or self.players["discriminator"].is_heard(due, weight),
            weight=weight,
        )

    def _grow(self) -> None:
        """Tell networks that grow how far the run has come."""
        for network in (self.game.generator, self.game.discriminator, self.average):
            if advance := getattr(network, "advance", None):
                advance(self.images)

    def _generator_loss(self, batch: Batch, fake: Tensor | None, moment: Moment) -> tuple[Tensor, Stats]:
        fake, game = self.game.generate(batch) if fake is None else fake, self.game
        if self.config.unroll:
            critic = self.players["discriminator"]
            turns = range(critic.turns_taken, critic.turns_taken + self.config.unroll)
            moments = [replace(moment, due=due_penalties(critic.config, turn, self.images)) for turn in turns]
            game = looked_ahead(game, batch, fake, moments, critic)
        return game.generator_turn(batch, fake, moment)

    def _shared_pass(self) -> tuple[Batch, Tensor]:
        """One pass of G for both turns: D learns from the detached fakes, then G through D's judgement of them."""
        self.players["generator"].freeze(False)
        batch = self.batches.next()
        return batch, self.game.generate(batch)

    @torch.no_grad()
    def _fresh_fakes(self) -> tuple[Batch, Tensor]:
        batch = self.batches.next()
        return batch, self.game.generate(batch)

    # Counters

    def _crossed(self, before: int, every: int) -> bool:
        return every > 0 and self.images // every > before // every

    def _measure(self, images: int, seconds: float) -> None:
        now = images / max(seconds, 1e-9)
        self.rate = SMOOTHING * self.rate + (1 - SMOOTHING) * now if self.rate else now

    def _eta(self, limits: Limits, end: float | None) -> float:
        by_images = (limits.images - self.images) / self.rate
        return max(by_images if end is None else min(by_images, end - self.seconds), 0.0)

    def _status(self, limits: Limits, end: float | None) -> str | None:
        if self.images >= limits.images:
            return "finished"
        if any_process(limits.interrupted or (end is not None and self.seconds >= end), self.device):
            return "stopped" if limits.interrupted or end is None else "finished"  # or another process was
        return None

    def _tick(self, outputs: Outputs, reporter: Reporter, signals: Signals) -> None:
        """Log the means over the window since the last tick, and how healthy the run is now."""
        names = list(self.window)
        values = mean(torch.stack([torch.stack(self.window[name]).float().mean() for name in names])).tolist()
        self.window.clear()
        scalars = dict(zip(names, values, strict=True))
        for name, player in self.players.items():
            scalars[f"lr/{name}"] = player.optimizer.param_groups[0]["lr"]
        if self.config.augment.policy or self.config.augment.fakes_for_reals:
            scalars.setdefault("augment/probability", float(self.recent.probability(self.images)))
        scalars |= signals.scalars() | {"nonfinite": self.nonfinite}
        outputs.log(self, scalars | {"images_per_second": round(self.rate, 1)})
        reporter.tick(self.images, scalars)

    def _rolled_back(self, outputs: Outputs, reporter: Reporter) -> bool:
        """Go back to the last checkpoint if anything is not finite; whether it was."""
        problem = self.guard.verdict()
        if not any_process(problem is not None, self.device):
            return False
        rollbacks, nonfinite = self.rollbacks + 1, self.nonfinite + max(int(self.guard.broken), 1)
        where = f"at {self.images} images {problem or 'a number of another process is not finite'}"
        if rollbacks > ROLLBACKS:
            raise BrokenError(
                f"{where}, after {ROLLBACKS} rollbacks; try a lower learning rate, or --precision float32"
            )
        self.restore(outputs.good_state())
        self.rollbacks, self.nonfinite = rollbacks, nonfinite
        # The same noise would lead to the same end: draw other latents from here on.
        self.batches.noise.manual_seed(self.config.seed + 7919 * rollbacks)
        outputs.went_back(self)
        note = f"{where}: back to the checkpoint at {self.images} images ({rollbacks} of {ROLLBACKS})"
        outputs.note(note)
        for told in filter(None, (note, outputs.recover(self))):
            reporter.note(told)
        return True

    # Exact resume: what a state holds stands in `state.py`

    def state(self) -> dict[str, Any]:
        """All that decides how the run goes on, as copies and numbers; every process must ask."""
        return snapshot(self)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state` was taken.

        Raises DamagedError when it belongs to other networks, ConfigError when it was taken on another kind of device.
        """
        put_back(self, state)
