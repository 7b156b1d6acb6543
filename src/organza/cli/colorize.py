"""`organza colorize PATHS… --model MODEL`: grey pictures and films in colours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import tyro
from tyro.conf import OmitArgPrefixes

from organza.cli import pictures
from organza.cli.console import Console

if TYPE_CHECKING:
    from organza.data.still import Still
    from organza.hub.tiling import Told
    from organza.hub.translator import Translator


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
    through: OmitArgPrefixes[pictures.Through] = field(default_factory=pictures.Through)


def main(argv: list[str]) -> None:
    """Parse, colour, write, say where. Raises ConfigError, ValueError, FileNotFoundError, OSError; SystemExit(1)."""
    options = tyro.cli(Options, args=pictures.joined(argv), prog="organza colorize")
    pictures.must_name_model(options.model, "a run of the recipe colorize")
    how = options.through.settings()

    def job(translator: Translator, console: Console) -> pictures.Job:
        """The greys of a file coloured, once it is known that this network colours."""
        from organza.hub.filling import colour_still, must_colour

        must_colour(translator)
        note = pictures.once(console.note)

        def change(still: Still, told: Told) -> Still:
            return colour_still(translator, still, told=told, note=note, **how)

        return pictures.Job(change, "-coloured", "Coloured")

    pictures.run("colorize", options, job)
