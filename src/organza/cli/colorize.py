"""`organza colorize PATHS… --model MODEL`: grey pictures and films in colours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from organza.cli import options as shared
from organza.cli import pictures
from organza.cli.console import Console


@dataclass(frozen=True)
class Options:
    """Colour grey pictures and films by a network of the recipe colorize; of coloured ones the lightness is taken.

    Of any size: sides that the network cannot divide are mirrored and cut again. PNGs are written, with the
    transparency and the 16 bits of the source. A file that cannot be read is reported, the others go on, and the exit
    code is 1.
    """

    paths: pictures.Paths
    model: pictures.Model = ""
    out: pictures.Out = "coloured"
    suffix: pictures.Suffix = ""
    tile: pictures.Tile = ""
    overlap: pictures.Overlap = ""
    half: pictures.Half = False
    device: shared.Device = "auto"
    no_page: pictures.NoPage = False
    no_provenance: shared.NoProvenance = False


def main(argv: list[str]) -> None:
    """Parse, colour, write, say where. Raises ConfigError, ValueError, FileNotFoundError, OSError; SystemExit(1)."""
    options = tyro.cli(Options, args=pictures.joined(argv), prog="organza colorize")
    pictures.must_name_model(options.model, "a run of the recipe colorize")
    out, how = Path(options.out).expanduser(), pictures.how(options.tile, options.overlap, options.half)
    with Console() as console:
        console.wait("loading torch")
        from organza.hub.filling import colour_still, must_colour
        from organza.report.provenance import CHANGED_TYPE, packet

        translator = pictures.open_translator(options.model, options.device, "colorize")
        must_colour(translator)
        work = pictures.tasks(options.paths, out, options.suffix or "-coloured")
        name = translator.recipe or translator.model.name
        mark = "" if options.no_provenance else packet(name, translator.sha256, None, CHANGED_TYPE)
        outcome = pictures.change_all(
            work, lambda still, told: colour_still(translator, still, told=told, note=console.note, **how),
            options, out, mark, f"Coloured by {name}", console,
        )  # fmt: skip
    pictures.end(outcome, out, console)
