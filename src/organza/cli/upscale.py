"""`organza upscale PATHS… --model MODEL`: pictures and films enlarged by a restoration network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, cast

import tyro
from tyro.conf import OmitArgPrefixes

from organza.cli import pictures
from organza.cli.console import Console
from organza.cli.words import told
from organza.config import ConfigError

if TYPE_CHECKING:
    from organza.data.still import Still
    from organza.hub.stills import Alpha
    from organza.hub.tiling import Told
    from organza.hub.translator import Translator


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
    alpha: Annotated[str, told(metavar="bilinear|network", help="how transparency grows (default bilinear)")] = (
        "bilinear"
    )
    through: OmitArgPrefixes[pictures.Through] = field(default_factory=pictures.Through)


def main(argv: list[str]) -> None:
    """Parse, enlarge, write, say where. Raises ConfigError, ValueError, FileNotFoundError, OSError; SystemExit(1)."""
    options = tyro.cli(Options, args=pictures.joined(argv), prog="organza upscale")
    pictures.must_name_model(options.model, "a file such as RealESRGAN_x4plus.pth, or a folder of organza convert")
    if options.alpha not in ("bilinear", "network"):
        raise ConfigError(f"alpha is '{options.alpha}'; it takes bilinear or network")
    how, alpha = options.through.settings(), cast("Alpha", options.alpha)

    def job(translator: Translator, console: Console) -> pictures.Job:
        """A file enlarged, by as much as this network does."""
        from organza.hub.stills import translate_still

        note = pictures.once(console.note)

        def change(still: Still, told: Told) -> Still:
            return translate_still(translator, still, alpha, told=told, note=note, **how)

        return pictures.Job(change, f"-x{translator.scale:g}", f"Enlarged {translator.scale:g} times")

    pictures.run("upscale", options, job)
