"""Any recipe in the plain form of a tutorial: the yardstick of `training_speed.py`.

The networks, losses and penalties are those of the recipe; of Organza's engine there is nothing here. Float32,
channels first, one image at a time through a `Dataset` and a `DataLoader`, a generator pass for each turn, D's
gradients made and thrown away in G's turn, Adam without fusion, the average parameter by parameter, and a `.item()`
for the loss of every turn. Schedules stand at their ends.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from organza.config import Config, Optimizer, Player, Schedule
from organza.data.store import ImageStore
from organza.games.latent import Batch, DuePenalty, LatentGame, Moment
from organza.penalties import PENALTIES
from organza.training.assemble import build_game


class Pictures(Dataset):
    """One PIL image at a time, as the usual data set classes give them, scaled to [-1, 1], with its label."""

    def __init__(self, store: ImageStore) -> None:
        self.images = store.images.permute(0, 2, 3, 1).numpy()
        self.labels = None if store.labels is None else store.labels.tolist()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self.images[index].squeeze())
        pixels = np.array(picture).reshape(self.images.shape[1:]).transpose(2, 0, 1)
        image = torch.from_numpy(np.ascontiguousarray(pixels)).float().div(255).sub(0.5).div(0.5)
        return image, 0 if self.labels is None else self.labels[index]


class PlainLoop:
    """The steps of a recipe, one by one."""

    def __init__(self, config: Config, store: ImageStore) -> None:
        torch.manual_seed(config.seed)
        self.config, self.taken = config, {"generator": 0, "discriminator": 0}
        self.game: LatentGame = build_game(config, store, torch.device("cpu"))
        for network in (self.game.generator, self.game.discriminator):
            for parameter in network.parameters():
                parameter.data = parameter.data.contiguous()  # channels first, as torch makes them
            if advance := getattr(network, "advance", None):
                advance(config.images)
        self.memory, self.lengths = torch.zeros(2), torch.zeros(())  # of LeCam and of the path length
        self.average = copy.deepcopy(self.game.generator)
        self.optimizers = {
            "generator": optimizer(config.generator.optimizer, self.game.generator),
            "discriminator": optimizer(config.discriminator.optimizer, self.game.discriminator),
        }
        self.loader = DataLoader(Pictures(store), batch_size=config.batch, shuffle=True, drop_last=True)
        self.batches = self._endless()

    def step(self) -> None:
        """Every player's turns, then the average."""
        losses = [0.0, 0.0]
        for _ in range(self.config.discriminator.turns):
            batch = next(self.batches)
            with torch.no_grad():
                fake = self.game.generate(batch)
            loss, _ = self.game.discriminator_turn(batch, fake, self._moment("discriminator"))
            losses[0] = self._learn("discriminator", self.config.discriminator, loss)
        for _ in range(self.config.generator.turns):
            batch = next(self.batches)
            loss, _ = self.game.generator_turn(batch, self.game.generate(batch), self._moment("generator"))
            losses[1] = self._learn("generator", self.config.generator, loss)
        assert all(loss == loss for loss in losses), losses
        with torch.no_grad():
            for mine, new in zip(self.average.parameters(), self.game.generator.parameters(), strict=True):
                mine.mul_(0.999).add_(new, alpha=0.001)

    def _learn(self, name: str, player: Player, loss: Tensor) -> float:
        self.optimizers[name].zero_grad()
        loss.backward()
        network: nn.Module = getattr(self.game, name)
        if player.clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), player.clip)
        self.optimizers[name].step()
        for parameter in network.parameters() if player.weight_clip else ():
            parameter.data.clamp_(-player.weight_clip, player.weight_clip)  # type: ignore[operator]
        self.taken[name] += 1
        return loss.item()

    def _moment(self, name: str) -> Moment:
        config, player = self.config, getattr(self.config, name)
        due = [
            DuePenalty(penalty.name, PENALTIES[penalty.name], end_of(penalty.weight) * penalty.every)
            for penalty in player.penalties
            if self.taken[name] % penalty.every == 0
        ]
        probability = end_of(config.augment.probability) if config.augment.policy else 0.0
        return Moment(
            due, augment=probability, noise=end_of(config.noise), blur=end_of(config.blur), top_k=end_of(config.top_k),
            memory=self.memory, lengths=self.lengths,
        )  # fmt: skip

    def _endless(self) -> Iterator[Batch]:
        """Batches for ever; keys are the numbers of random draws that belong to each sample."""
        seen, size, width = 0, self.config.batch, int(self.game.generator.z_dim)  # type: ignore[arg-type]
        while True:
            for real, labels in self.loader:
                keys = torch.arange(seen, seen + size)
                seen += size
                given = labels if self.config.conditional else None
                yield Batch(real, given, torch.randn(size, width), torch.rand(size), keys)


def optimizer(settings: Optimizer, network: nn.Module) -> torch.optim.Optimizer:
    """As a tutorial writes it."""
    rate, decay = end_of(settings.lr), settings.weight_decay
    if settings.name == "adam":
        return torch.optim.Adam(
            network.parameters(), rate, (settings.beta1, end_of(settings.beta2)), settings.eps, decay
        )
    if settings.name == "rmsprop":
        return torch.optim.RMSprop(network.parameters(), rate, end_of(settings.beta2), settings.eps, decay)
    return torch.optim.SGD(network.parameters(), rate, settings.beta1, weight_decay=decay)


def end_of(value: float | Schedule) -> float:
    """The last value of a schedule, or the value."""
    return value.end if isinstance(value, Schedule) else value
