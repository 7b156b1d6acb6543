"""A pool of past fakes, so that D does not forget them (Shrivastava et al., 2016, arXiv:1612.07828, section 2.3)."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from organza.config import Codes, Config
from organza.games.batch import Batch
from organza.training.distributed import of_all_processes, rank, world


class Replay:
    """Fakes of this process. Until the pool is full it only fills; then each fake may change places with an old one.

    Only fakes of one class do so: fake and real of one row keep the same label, which D is told of both.
    """

    def __init__(self, config: Config, shape: tuple[int, ...], device: torch.device) -> None:
        self.share, size = config.replay.share, config.replay.size // world()
        self.pool = torch.zeros((size if self.share else 0, *shape), device=device)
        self.beside: dict[str, Tensor] = {}  # labels and noise of the same fakes
        self.read = config.codes != Codes()  # whether D reads the noise of a fake
        self.cursor = 0  # fakes seen

    def exchange(self, batch: Batch, fake: Tensor) -> tuple[Batch, Tensor]:
        """The fakes [B, *shape], about `share` of them replaced by earlier ones, whose places they take.

        With them comes the batch with the noise of the earlier ones, where D reads it.
        """
        if not self.share:
            return batch, fake
        new = {"fake": fake.detach(), **self._beside(batch)}
        pools = {"fake": self.pool, **self.beside}
        order = (self.cursor + torch.arange(len(self.pool), device=fake.device)) % len(self.pool)
        full = self.cursor >= len(self.pool)
        self.cursor += len(fake)
        if not full:
            for name, pool in pools.items():
                pool[order[: len(fake)]] = new[name]
            return batch, fake
        order = batch.draws.within(slice(1)).uniform("replay/order", len(self.pool))[0].argsort()
        slots, alike = self._places(batch.labels, order, len(fake))
        taken = alike & (batch.draws.uniform("replay") < self.share)
        shown = {}
        for name, pool in pools.items():
            old = pool[slots]
            shown[name] = _where(taken, old, new[name])
            pool[slots] = _where(taken | ~alike, new[name], old)
        return dataclasses.replace(batch, z=shown.get("z", batch.z)), shown["fake"]

    def state(self) -> dict[str, Tensor | int]:
        """For an exact resume; every process must ask."""
        pools = {"pools": self.pool, **self.beside}
        return {name: of_all_processes(p) for name, p in pools.items()} | {"cursor": self.cursor} if self.share else {}

    def restore(self, state: dict[str, Tensor | int]) -> None:
        """Go on where `state` was taken; with another number of processes the pool fills anew."""
        pools, cursor = state.get("pools"), state.get("cursor")
        if isinstance(pools, Tensor) and isinstance(cursor, int) and len(pools) == world():
            self.pool, self.cursor = self._own(pools), cursor
            self.beside = {n: self._own(p) for n in ("labels", "z") if isinstance(p := state.get(n), Tensor)}

    def _own(self, pools: Tensor) -> Tensor:
        return pools[rank()].to(self.pool.device, copy=True)

    def _beside(self, batch: Batch) -> dict[str, Tensor]:
        """What is kept of this batch beside its fakes; the pool has room for it from the first batch on."""
        new = {"labels": batch.labels} if batch.labels is not None else {}
        new |= {"z": batch.z} if self.read else {}
        if self.beside.keys() != new.keys():
            self.beside = {name: rows.new_zeros(len(self.pool), *rows.shape[1:]) for name, rows in new.items()}
            self.cursor = 0
        return new

    def _places(self, labels: Tensor | None, order: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """A place of its own for each of `count` fakes, [B], and whether a fake of the same class stands there.

        The first in `order`; a fake whose class has no place left gets one that nobody else wants.
        """
        if labels is None:
            return order[:count], torch.ones_like(order[:count], dtype=torch.bool)
        mine, kept = labels.view(count, -1), self.beside["labels"][order].view(len(order), -1)
        number = (mine[:, None] == mine).all(2).tril(-1).sum(1, keepdim=True)  # earlier fakes of its class
        wanted = (mine[:, None] == kept).all(2)
        wanted &= wanted.cumsum(1) == number + 1
        alike, rest = wanted.any(1), ~wanted.any(0)
        left = rest & (rest.cumsum(0) == (~alike).cumsum(0)[:, None])
        return order[torch.where(alike[:, None], wanted, left).int().argmax(1)], alike


def _where(chosen: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return torch.where(chosen.view(-1, *[1] * (one.dim() - 1)), one, other)
