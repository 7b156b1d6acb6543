"""`organza walk MODEL`: a film of a random walk through the samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from organza.cli import options as shared
from organza.cli.console import Console
from organza.cli.words import number, told
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
    grid: shared.Grid = ""
    labels: Annotated[str, told(metavar="LABELS", help="taken in turn by the walks (default: every class in turn)")] = (
        ""
    )
    truncation: shared.Truncation = ""
    cutoff: shared.Cutoff = ""
    noise: shared.Noise = ""
    translate: shared.Translate = ""
    rotate: shared.Rotate = ""
    fps: shared.Fps = ""
    out: shared.FilmOut = ""
    device: shared.Device = "auto"
    no_provenance: shared.NoProvenance = False


def main(argv: list[str]) -> None:
    """Parse, draw, write, say where. Raises ConfigError, ValueError, FileNotFoundError and OSError."""
    options = tyro.cli(Options, args=shared.joined(argv), prog="organza walk")
    columns, rows = shared.grid(options.grid)
    first = number(options.seed, int, "seed") or 0
    seeds = list(range(first, first + columns * rows))
    frames, pace = number(options.frames, int, "frames"), number(options.pace, int, "pace")
    rate, settings = number(options.fps, float, "fps"), shared.look(options)
    with Console() as console:
        console.wait("loading torch")
        from organza.cli.writing import film_target, write_film
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
        path = film_target(options.out, gan, f"walk-seed{first}", options.fps)
        written = write_film(
            film, path, gan, console, rate=30 if rate is None else rate, columns=columns,
            marked=not options.no_provenance,
        )  # fmt: skip
    console.lines(written)
