"""`organza upscale PATHS… --model MODEL`: pictures and films enlarged by a restoration network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import tyro

from organza.cli import options as shared
from organza.cli import pictures
from organza.cli.console import Console
from organza.cli.words import told
from organza.config import ConfigError

if TYPE_CHECKING:
    from organza.hub.stills import Alpha


@dataclass(frozen=True)
class Options:
    """Enlarge pictures and films by a network of ESRGAN, Real-ESRGAN or SRGAN.

    Of any size: they go through the network in tiles, smaller ones when memory runs out. PNGs are written, with the
    transparency and the 16 bits of the source; films need ffmpeg. A file that cannot be read is reported, the others
    go on, and the exit code is 1.
    """

    paths: pictures.Paths
    model: Annotated[
        str,
        told(
            metavar="MODEL",
            help="a model folder, hf:ORG/NAME, or a published file: RealESRGAN_x4plus.pth, or NAME.bin of ncnn with "
            "NAME.param beside it",
        ),
    ] = ""
    out: pictures.Out = "upscaled"
    suffix: pictures.Suffix = ""
    tile: pictures.Tile = ""
    overlap: pictures.Overlap = ""
    half: pictures.Half = False
    alpha: Annotated[str, told(metavar="bilinear|network", help="how transparency grows (default bilinear)")] = (
        "bilinear"
    )
    device: shared.Device = "auto"
    no_page: pictures.NoPage = False
    no_provenance: shared.NoProvenance = False


def main(argv: list[str]) -> None:
    """Parse, enlarge, write, say where. Raises ConfigError, ValueError, FileNotFoundError, OSError; SystemExit(1)."""
    options = tyro.cli(Options, args=pictures.joined(argv), prog="organza upscale")
    pictures.must_name_model(options.model, "a file such as RealESRGAN_x4plus.pth, or a folder of organza convert")
    if options.alpha not in ("bilinear", "network"):
        raise ConfigError(f"alpha is '{options.alpha}'; it takes bilinear or network")
    out, how = Path(options.out).expanduser(), pictures.how(options.tile, options.overlap, options.half)
    with Console() as console:
        console.wait("loading torch")
        from organza.hub.stills import translate_still
        from organza.report.provenance import CHANGED_TYPE, packet

        translator = pictures.open_translator(options.model, options.device, "upscale")
        times = f"{translator.scale:g}"
        work = pictures.tasks(options.paths, out, options.suffix or f"-x{times}")
        name = translator.recipe or translator.model.name
        mark = "" if options.no_provenance else packet(name, translator.sha256, None, CHANGED_TYPE)
        outcome = pictures.change_all(
            work,
            lambda still, told: translate_still(
                translator, still, cast("Alpha", options.alpha), told=told, note=console.note, **how
            ),
            options, out, mark, f"Enlarged {times} times by {name}", console,
        )  # fmt: skip
    pictures.end(outcome, out, console)
