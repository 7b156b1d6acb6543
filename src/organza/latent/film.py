"""Frames that are drawn when they are asked for: a long film is never in memory at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from organza.draws import keys
from organza.latent.drawing import Drawing, at_once


@dataclass(frozen=True)
class Film:
    """`count` frames; going through it gives them in batches: images uint8 [F, C, H, W], points float32 [F, D].

    A film of several `tracks` has them side by side, [F, tracks, C, H, W]; with 0 there is one, without a dimension.
    `codes_at` maps frame numbers [F] to codes [F * max(tracks, 1), layers, width] and their labels.
    """

    count: int
    tracks: int
    drawing: Drawing
    codes_at: Callable[[Tensor], tuple[Tensor, Tensor | None]]
    seed: int = 0  # of random noise of the pixels
    batch: int | None = None  # samples drawn at once

    def __iter__(self) -> Iterator[Tensor]:
        """The frames, in order."""
        step = max(1, (self.batch or at_once(self.drawing.shape)) // max(self.tracks, 1))
        for first in range(0, self.count, step):
            yield self.frames(range(first, min(first + step, self.count)))

    def frames(self, numbers: range) -> Tensor:
        """Consecutive frames by their numbers."""
        wide = max(self.tracks, 1)
        codes, labels = self.codes_at(torch.arange(numbers.start, numbers.stop))
        rows = slice(numbers.start * wide, numbers.stop * wide)
        made = self.drawing.draw(codes, labels, keys(self.seed, 0, rows, codes.device))
        return made.unflatten(0, (len(numbers), self.tracks)) if self.tracks else made
