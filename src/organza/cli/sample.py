"""`organza sample MODEL`: samples as one picture, a folder of pictures or an array."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import OmitArgPrefixes

from organza.cli import options as shared
from organza.cli.console import Console
from organza.cli.words import number, numbers, seed_of, told
from organza.config import ConfigError

if TYPE_CHECKING:
    from organza.cli.writing import Writer
    from organza.hub import GAN
    from organza.latent.drawing import Look

BATCH = 256  # samples at once, fewer of large pictures
LARGEST_GRID = 10_000  # samples in one picture


@dataclass(frozen=True)
class Options:
    """Draw samples from a trained GAN; each sample comes from its seed alone.

    PATH may end in .png (one grid), .npy (the array alone: images uint8 [N, C, H, W], points float32 [N, D]) or .npz
    (images or points, seeds, labels); else it is a folder, with one picture for each seed.
    """

    model: shared.Model
    n: Annotated[
        str, told(aliases=("-n",), metavar="N", help="how many (default 64)")
    ] = ""  # fmt: skip
    seed: Annotated[str, told(metavar="S", help="the first seed, the next follow (default 0)")] = ""
    seeds: Annotated[str, told(metavar="A-B,C", help="these seeds instead, such as 0-15,42")] = ""
    labels: Annotated[
        str,
        told(
            metavar="LABELS",
            help="numbers, names or ranges (7, dog,cat, 0-9), taken in turn (default: every class in turn)",
        ),
    ] = ""
    look: OmitArgPrefixes[shared.LookOptions] = field(default_factory=shared.LookOptions)
    out: Annotated[str, told(metavar="PATH", help="what to write (default samples/RECIPE-seed0.png)")] = ""
    device: shared.Device = "auto"
    no_provenance: shared.NoProvenance = False


def main(argv: list[str]) -> None:
    """Parse, sample, write, say where. Raises ConfigError, ValueError, FileNotFoundError and OSError."""
    options = tyro.cli(Options, args=shared.joined(argv), prog="organza sample")
    seeds, settings = _seeds(options), options.look.settings()
    with Console() as console:
        console.wait("loading torch")
        from organza.cli.writing import Writer, target

        gan = shared.open_gan(options.model, options.device, "sample")
        gan.drawing(**settings)  # refused before anything is made
        labels = _labels(options.labels, gan, len(seeds))
        kind, path = target(options.out, gan, seeds, LARGEST_GRID)
        writer = Writer(gan, kind, path, seeds, labels, marked=not options.no_provenance)
        started = time.monotonic()
        for done in _drawn(gan, writer, seeds, labels, settings):
            console.paced("sampling", done, len(seeds), started)
        written = writer.close()
    console.lines(written)


def _drawn(
    gan: GAN, writer: Writer, seeds: Sequence[int], labels: Sequence[int] | None, settings: Look
) -> Iterator[int]:
    """Draw and hand over one batch after another; how many are done."""
    from organza.latent.drawing import at_once

    batch = at_once(gan.shape, BATCH)
    for start in range(0, len(seeds), batch):
        part = slice(start, start + batch)
        chosen = None if labels is None else labels[part]
        writer.take(gan.sample(seeds=seeds[part], labels=chosen, batch=batch, **settings))
        yield min(start + batch, len(seeds))


def _seeds(options: Options) -> list[int]:
    if options.seeds and (options.n or options.seed):
        raise ConfigError("the samples are named twice: give --seeds alone, or -n and --seed")
    if options.seeds:
        return numbers(options.seeds, "seeds")
    first, how_many = seed_of(options.seed), number(options.n, int, "n")
    if how_many is not None and how_many < 1:
        raise ConfigError(f"n is {how_many}; it takes 1 or more")
    return list(range(first, first + (64 if how_many is None else how_many)))


def _labels(text: str, gan: GAN, how_many: int) -> list[int] | None:
    """A label for each sample, those of the text in turn. Raises ValueError for an unknown one."""
    if text:
        return shared.in_turn(shared.named_labels(text, gan), how_many)
    every = gan.label_numbers(None, how_many)
    return None if every is None else every.tolist()
