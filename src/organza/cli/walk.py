"""`organza walk MODEL`: a film of a random walk through the samples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import tyro
from tyro.conf import OmitArgPrefixes

from organza.cli import options as shared
from organza.cli.console import Console
from organza.cli.words import number, seed_of, told
from organza.config import ConfigError


@dataclass(frozen=True)
class Options:
    """Walk through the samples at random, smoothly; every frame is a sample as likely as others."""

    model: shared.Model
    frames: Annotated[str, told(metavar="N", help="how long (default 300)")] = ""
    pace: Annotated[
        str, told(metavar="N", help="frames in which it changes much; four times as many, and nothing is left "
                  "(default 60)")
    ] = ""  # fmt: skip
    seed: Annotated[str, told(metavar="S", help="of the first walk, the next follow (default 0)")] = ""
    labels: Annotated[str, told(metavar="LABELS", help="taken in turn by the walks (default: every class in turn)")] = (
        ""
    )
    look: OmitArgPrefixes[shared.LookOptions] = field(default_factory=shared.LookOptions)
    film: OmitArgPrefixes[shared.FilmOptions] = field(default_factory=shared.FilmOptions)
    device: shared.Device = "auto"
    no_provenance: shared.NoProvenance = False


def main(argv: list[str]) -> None:
    """Parse, draw, write, say where. Raises ConfigError, ValueError, FileNotFoundError and OSError."""
    options = tyro.cli(Options, args=shared.joined(argv), prog="organza walk")
    columns, rows = options.film.size()
    first = seed_of(options.seed)
    seeds = list(range(first, first + columns * rows))
    frames, pace = number(options.frames, int, "frames"), number(options.pace, int, "pace")
    settings = options.look.settings()
    with Console() as console:
        console.wait("loading torch")
        from organza.cli.writing import write_film
        from organza.latent.walk import walk

        gan = shared.open_gan(options.model, options.device, "walk")
        labels = shared.named_labels(options.labels, gan) if options.labels else None
        if labels and len(labels) > len(seeds):
            raise ConfigError(f"{len(labels)} labels for {len(seeds)} walk{'s' * (len(seeds) > 1)}; type --grid "
                              f"{len(labels)}x1")  # fmt: skip
        film = walk(
            gan, 300 if frames is None else frames, seeds, pace=60 if pace is None else pace,
            labels=shared.in_turn(labels, len(seeds)) if labels else None, **settings,
        )  # fmt: skip
        written = write_film(film, options.film, gan, console, f"walk-seed{first}", not options.no_provenance)
    console.lines(written)
