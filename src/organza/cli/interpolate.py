"""`organza interpolate MODEL`: a film, or a still, from one sample to the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, cast

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes

from organza.cli import options as shared
from organza.cli.console import Console
from organza.cli.words import number, numbers, told
from organza.config import ConfigError

if TYPE_CHECKING:
    from organza.hub import GAN
    from organza.latent.curves import Way
    from organza.latent.interpolation import Space

STEPS = 4  # seeds of each film without --seeds


@dataclass(frozen=True)
class Options:
    """Go from the sample of one seed to that of the next, and back to the first: a film that loops."""

    model: shared.Model
    seeds: Annotated[
        str, told(metavar="A-B,C", help="through these, dealt out evenly to the films of --grid (default 4 for each)")
    ] = ""  # fmt: skip
    frames: Annotated[str, told(metavar="N", help="from each seed to the next (default 30)")] = ""
    space: Annotated[str, told(metavar="z|w", help="through the noise, or StyleGAN's w (default w where it is)")] = ""
    way: Annotated[
        str, told(metavar="cubic|slerp|linear", help="smooth, on arcs, or straight (default cubic)")
    ] = "cubic"  # fmt: skip
    no_loop: Annotated[bool, FlagCreatePairsOff, told(help="end with the last seed")] = False
    labels: Annotated[
        str,
        told(metavar="LABELS", help="taken in turn by the films of the grid, or in w one for each seed"),
    ] = ""
    look: OmitArgPrefixes[shared.LookOptions] = field(default_factory=shared.LookOptions)
    film: OmitArgPrefixes[shared.FilmOptions] = field(default_factory=shared.FilmOptions)
    device: shared.Device = "auto"
    no_provenance: shared.NoProvenance = False


def main(argv: list[str]) -> None:
    """Parse, draw, write, say where. Raises ConfigError, ValueError, FileNotFoundError and OSError."""
    options = tyro.cli(Options, args=shared.joined(argv), prog="organza interpolate")
    columns, rows = options.film.size()
    tracks = _tracks(options.seeds, columns * rows)
    frames, settings = number(options.frames, int, "frames"), options.look.settings()
    with Console() as console:
        console.wait("loading torch")
        from organza.cli.writing import write_film
        from organza.latent.interpolation import interpolate

        gan = shared.open_gan(options.model, options.device, "interpolate")
        film = interpolate(
            gan, tracks, frames=30 if frames is None else frames, space=cast("Space", options.space) or None,
            way=cast("Way", options.way), loop=not options.no_loop, labels=_labels(options.labels, gan, tracks),
            **settings,
        )  # fmt: skip
        written = write_film(
            film, options.film, gan, console, f"interpolation-seed{tracks[0][0]}", not options.no_provenance
        )
    console.lines(written)


def _tracks(text: str, count: int) -> list[list[int]]:
    """The seeds of each film. Raises ConfigError where they cannot be dealt out evenly."""
    seeds = numbers(text, "seeds") if text else list(range(STEPS * count))
    each = len(seeds) // count
    if len(seeds) % count or each < 2:
        raise ConfigError(f"{len(seeds)} seeds for {count} film{'s' * (count > 1)}; give 2 or more for each, as many "
                          f"for each, such as --seeds 0-{2 * count - 1}")  # fmt: skip
    return [seeds[i * each : (i + 1) * each] for i in range(count)]


def _labels(text: str, gan: GAN, tracks: list[list[int]]) -> list[int] | None:
    """Of each film, or of each seed. Raises ConfigError for a number of labels between."""
    if not text:
        return None
    labels, seeds = shared.named_labels(text, gan), sum(map(len, tracks))
    if len(labels) <= len(tracks):
        return shared.in_turn(labels, len(tracks))
    if len(labels) != seeds:
        raise ConfigError(f"{len(labels)} labels for {len(tracks)} film{'s' * (len(tracks) > 1)} and {seeds} seeds; "
                          "give at most one for each film, or in w one for each seed")  # fmt: skip
    return labels
