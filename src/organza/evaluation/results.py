"""What a translating run makes of the sources that its training did not see."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from organza.data import ImageStore, Progress
from organza.data.degrade import degradation
from organza.draws import Draws
from organza.hub.translator import Translator
from organza.training.assemble import open_for
from organza.training.batches import as_source, middle, of_source, to_bytes, to_range
from organza.training.run import Run

AT_ONCE = 32


def translated(translator: Translator, run: Path, progress: Progress) -> tuple[Tensor, ImageStore]:
    """Results uint8 for what a run's training did not see, and the targets, in line where they are counterparts."""
    config = Run(run).config
    store = open_for(config, progress)
    kept = store.test or store
    targets = middle(to_range(kept.images), config.data.window, kept.scale)
    if config.data.degrade != "none":
        sources = degradation(config.data.degrade).make(targets, Draws(torch.arange(len(targets))))
    else:
        sources = kept.images if kept.sources is None else kept.sources
        sources = middle(as_source(sources, config.data), of_source(config.data.window, kept.scale))
    label = translator.classes[0] if translator.classes else None
    made = []
    for start in range(0, len(sources), AT_ONCE):
        made.append(to_bytes(translator.translate(sources[start : start + AT_ONCE].float(), label=label)))
        progress.step("translating", min(start + AT_ONCE, len(sources)), len(sources))
    known = kept.paired or config.data.degrade != "none"
    return torch.cat(made), replace(kept, images=to_bytes(targets), paired=known)
