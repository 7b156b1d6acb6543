"""What one turn of a game plays with."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from organza.draws import Draws


@dataclass(frozen=True)
class Batch:
    """What one turn plays with; row i of every part belongs to sample i."""

    real: Tensor  # [B, *shape], images in [-1, 1]
    labels: Tensor | None  # int64 [B], or attributes [B, A]; fakes are made and judged with those of their reals
    z: Tensor  # standard normal [B, z_dim]
    mix: Tensor  # uniform [B], for penalties between real and fake
    keys: Tensor | None = None  # int64 [B], of all other random numbers
    source: Tensor | None = None  # [B, *shape] in [-1, 1], what a translating G starts from
    source_labels: Tensor | None = None  # of the sources, where `labels` say what they shall become

    @property
    def draws(self) -> Draws:
        """Random numbers of these samples."""
        return Draws(torch.arange(len(self.z), device=self.z.device) if self.keys is None else self.keys)

    def split(self, parts: int) -> list[Batch]:
        """Micro-batches of equal size; itself if it is one."""
        if parts == 1:
            return [self]
        rows = [getattr(self, f.name) for f in fields(self)]
        pieces = [[None] * parts if row is None else row.chunk(parts) for row in rows]
        return [Batch(*piece) for piece in zip(*pieces, strict=True)]
