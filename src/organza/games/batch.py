"""What one turn of a game plays with."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

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
        pieces = [dealt_out(getattr(self, f.name), parts) for f in fields(self)]
        return [self] if parts == 1 else [Batch(*piece) for piece in zip(*pieces, strict=True)]


def dealt_out(rows: Tensor | None, parts: int) -> list[Any]:
    """The rows [B, ...] dealt out like cards, each of `parts` [B / parts, ...] on its own; None stays None.

    Samples that stand equally far apart, as those of a group of `minibatch_deviation`, come to the same part.
    """
    if rows is None or parts == 1:
        return [rows] * parts
    layout = torch.channels_last if rows.dim() == 4 else torch.contiguous_format
    return [rows[i::parts].contiguous(memory_format=layout) for i in range(parts)]
