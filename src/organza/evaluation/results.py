"""What a translating run makes of the sources that its training did not see.

Where noise decides, as of the style of munit's results, source i gets that of seed i: one for all would make a set
without the variety of the targets. Where classes or attributes decide what a source becomes, source i gets those of
target i, an image from the other end of the set, so that results have each as often as targets do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from organza.data import ImageStore, Progress
from organza.data.degrade import degradation
from organza.draws import Draws
from organza.games import GAMES
from organza.hub.translator import Label, Translator
from organza.training.assemble import open_for
from organza.training.batches import as_source, middle, of_source, to_bytes, to_range
from organza.training.run import Run

AT_ONCE = 32


def translated(translator: Translator, run: Path, progress: Progress) -> tuple[Tensor, ImageStore]:
    """Results uint8 for what a run's training did not see, else for all, and the targets, in line where they pair."""
    config = Run(run).config
    store = open_for(config, progress)
    kept = store.test or store
    targets = to_range(middle(kept.images, config.data.window, kept.scale))
    if config.data.degrade != "none":
        sources = degradation(config.data.degrade).make(targets, Draws(torch.arange(len(targets))))
    else:
        sources = kept.images if kept.sources is None else kept.sources
        sources = sources.flip(0) if GAMES[config.game].domains else sources
        sources = middle(as_source(sources, config.data), of_source(config.data.window, kept.scale))
    made = torch.empty(len(sources), *translator.shape[:1], *targets.shape[2:], dtype=torch.uint8)
    done, together = 0, 1 if translator.draws else AT_ONCE  # each result with noise of its own
    for label, members in _wanted(translator, kept.labels, len(sources)):
        for rows in members.split(together):
            made[rows] = to_bytes(translator.translate(sources[rows].float(), seed=int(rows[0]), label=label))
            progress.step("translating", done := done + len(rows), len(sources))
    known = kept.paired or config.data.degrade != "none"
    name = kept.name if store.test is not None else f"{kept.name}, which training sees"
    return made, replace(kept, name=name, images=to_bytes(targets), paired=known)


def _wanted(translator: Translator, labels: Tensor | None, count: int) -> Iterator[tuple[Label, Tensor]]:
    """What results shall be, and the rows int64 of which."""
    if not translator.classes or labels is None:
        yield None, torch.arange(count)
        return
    kinds, kind_of = labels.unique(dim=0, return_inverse=True)
    for number, kind in enumerate(kinds):
        names = [translator.classes[i] for i in kind.nonzero().flatten().tolist()] if kind.dim() else int(kind)
        yield names, (kind_of == number).nonzero().flatten()
