"""A pool of past fakes, so that D does not forget them (Shrivastava et al., 2016, arXiv:1612.07828, section 2.3)."""

from __future__ import annotations

import torch
from torch import Tensor

from organza.config import Config
from organza.draws import Draws
from organza.training.distributed import of_all_processes, rank, world


class Replay:
    """Fakes of this process. Until the pool is full it only fills; then each fake may change places with an old one."""

    def __init__(self, config: Config, shape: tuple[int, ...], device: torch.device) -> None:
        self.share, size = config.replay.share, config.replay.size // world()
        self.pool = torch.zeros((size if self.share else 0, *shape), device=device)
        self.cursor = 0  # fakes seen

    def exchange(self, fake: Tensor, draws: Draws) -> Tensor:
        """The fakes [B, *shape], about `share` of them replaced by earlier ones, whose places they take."""
        if not self.share:
            return fake
        slots = (self.cursor + torch.arange(len(fake), device=fake.device)) % len(self.pool)
        full = self.cursor >= len(self.pool)
        self.cursor += len(fake)
        new, old = fake.detach(), self.pool[slots]
        if not full:
            self.pool[slots] = new
            return fake
        taken = (draws.uniform("replay") < self.share).view(-1, *[1] * (fake.dim() - 1))
        self.pool[slots] = torch.where(taken, new, old)
        return torch.where(taken, old, new)

    def state(self) -> dict[str, Tensor | int]:
        """For an exact resume; every process must ask."""
        return {"pools": of_all_processes(self.pool), "cursor": self.cursor} if self.share else {}

    def restore(self, state: dict[str, Tensor | int]) -> None:
        """Go on where `state` was taken; with another number of processes the pool fills anew."""
        pools, cursor = state.get("pools"), state.get("cursor")
        if isinstance(pools, Tensor) and isinstance(cursor, int) and len(pools) == world():
            self.pool, self.cursor = pools[rank()].to(self.pool.device, copy=True), cursor
