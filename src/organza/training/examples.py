"""Samples that are looked at again and again, for the grids, the scores and the signals of a run: mostly the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from organza.data.degrade import degradation
from organza.data.store import ImageStore
from organza.draws import Draws
from organza.games import GAMES
from organza.games.latent import Batch
from organza.latent.sampling import every_class, generate, in_batches, latents
from organza.training.batches import as_source, middle, of_source, to_range

if TYPE_CHECKING:
    from organza.training.trainer import Trainer


def spread_rows(store: ImageStore, count: int, shift: int = 0) -> Tensor:
    """`count` rows of the data, evenly spread; with a `shift`, as many rows further on."""
    return (torch.linspace(0, len(store) - 1, count).long() + shift) % len(store)


def example_batch(trainer: Trainer, store: ImageStore, count: int, shift: int = 0) -> Batch:
    """Reals spread over `store` with their labels, latents of the seeds 0, 1, …, and what is translated into them.

    With a `shift`, the reals that lie so many rows further on.
    """
    device, config, kind = trainer.device, trainer.config, GAMES[trainer.config.game]
    rows = spread_rows(store, count, shift)
    labels = store.labels[rows].to(device) if config.conditional and store.labels is not None else None
    z = latents(range(count), trainer.batches.z_dim).to(device)
    real = middle(to_range(store.images[rows].to(device)), config.data.window, store.scale)
    mix, source, of_source = torch.full((count,), 0.5, device=device), None, None
    if kind.translates:
        source, of_source = _sources(trainer, store, rows, real)
    if kind.both_ways:
        assert source is not None
        real, source = torch.cat([real, source], 1), torch.cat([source, real], 1)
    return Batch(real, labels, z, mix, source=source, source_labels=of_source)


def _sources(trainer: Trainer, store: ImageStore, rows: Tensor, real: Tensor) -> tuple[Tensor, Tensor | None]:
    data, kind = trainer.config.data, GAMES[trainer.config.game]
    if data.degrade != "none":
        return degradation(data.degrade).make(real, Draws(rows.to(real.device))), None
    sources = store.images if store.sources is None else store.sources
    if not store.paired:
        rows = torch.linspace(0, len(sources) - 1, len(rows)).long()
    if kind.domains:
        rows = rows.flip(0)  # others than the targets, of other classes
    source = middle(as_source(sources[rows].to(real.device), data), of_source(data.window, store.scale))
    return source, store.labels[rows].to(real.device) if kind.domains and store.labels is not None else None


def translated(generator: nn.Module, batch: Batch, size: int) -> Tensor:
    """What a generator in evaluation mode makes of the sources of a batch, float32 on the CPU, `size` at a time."""
    assert batch.source is not None
    inputs = torch.arange(len(batch.source))

    def some(rows: Tensor, labels: Tensor | None) -> Tensor:
        assert batch.source is not None
        rows = rows.to(batch.source.device)
        return generator(batch.source[rows], batch.z[rows], None if batch.labels is None else batch.labels[rows])

    return in_batches(generator, some, inputs, None, size)


def toggled(batch: Batch, attribute: int) -> Batch:
    """The batch that asks for its sources with one attribute turned into its opposite."""
    assert batch.source_labels is not None
    labels = batch.source_labels.clone()
    labels[:, attribute] = 1 - labels[:, attribute]
    return replace(batch, labels=labels)


def drawn(trainer: Trainer, generator: nn.Module, first: int, count: int) -> Tensor:
    """Samples from the latents of `count` seeds, of every class in turn, float32 on the CPU; few at a time."""
    classes = len(trainer.store.classes) if trainer.config.conditional else 0
    labels, size = every_class(count, classes), at_once(trainer)
    z = latents(range(first, first + count), trainer.batches.z_dim)
    return generate(generator, z, labels, size)


def at_once(trainer: Trainer, most: int = 256) -> int:
    """How many samples the memory of a turn has room for."""
    return max(1, min(most, trainer.config.batch // trainer.config.accumulate))
