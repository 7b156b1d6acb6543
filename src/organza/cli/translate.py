"""`organza translate PATHS… --model MODEL`: pictures and films through a network that was trained on pairs or kinds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import FlagCreatePairsOff

from organza.cli import options as shared
from organza.cli import pictures
from organza.cli.console import Console
from organza.cli.words import number, told


@dataclass(frozen=True)
class Options:
    """Translate pictures and films by a network of pix2pix, CycleGAN, CUT and their kin.

    Of any size: sides that the network cannot divide are mirrored and cut again. PNGs are written, with the
    transparency and the 16 bits of the source. A file that cannot be read is reported, the others go on, and the exit
    code is 1. Results are the same each time; noise comes from the seed.
    """

    paths: pictures.Paths
    model: pictures.Model = ""
    out: pictures.Out = "translated"
    reverse: Annotated[bool, FlagCreatePairsOff, told(help="from B to A, where both ways were learned")] = False
    degrade: Annotated[
        bool, FlagCreatePairsOff, told(help="make sources of the pictures first, as training did: outlines, greys, …")
    ] = False
    label: Annotated[str, told(metavar="CLASS", help="what results shall be, of a network of several kinds")] = ""
    seed: Annotated[str, told(metavar="S", help="of the noise of a network that has some (default 0)")] = ""
    suffix: pictures.Suffix = ""
    tile: pictures.Tile = ""
    overlap: pictures.Overlap = ""
    half: pictures.Half = False
    device: shared.Device = "auto"
    no_page: pictures.NoPage = False
    no_provenance: shared.NoProvenance = False


def main(argv: list[str]) -> None:
    """Parse, translate, write, say where. Raises ConfigError, ValueError, FileNotFoundError, OSError; SystemExit(1)."""
    options = tyro.cli(Options, args=pictures.joined(argv), prog="organza translate")
    pictures.must_name_model(options.model, "a run, such as runs/pix2pix-emoji-pairs")
    out, how = Path(options.out).expanduser(), pictures.how(options.tile, options.overlap, options.half)
    how |= {"seed": number(options.seed, int, "seed") or 0, "label": options.label or None, "reverse": options.reverse}
    with Console() as console:
        console.wait("loading torch")
        from organza.hub.stills import degraded_still, translate_still
        from organza.report.provenance import CHANGED_TYPE, packet

        translator = pictures.open_translator(options.model, options.device, "translate")
        work = pictures.tasks(options.paths, out, options.suffix or f"-{'a' if options.reverse else 'b'}")
        name = translator.recipe or translator.model.name
        mark = "" if options.no_provenance else packet(name, translator.sha256, None, CHANGED_TYPE)
        outcome = pictures.change_all(
            work,
            lambda still, told: translate_still(
                translator, degraded_still(translator, still) if options.degrade else still, told=told,
                note=console.note, **how,
            ),
            options, out, mark, f"Translated by {name}", console,
        )  # fmt: skip
    pictures.end(outcome, out, console)
