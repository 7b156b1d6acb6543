"""`organza convert FILE OUT`: weights of other projects, opened safely and written as a model folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg

from organza.cli.console import Console
from organza.cli.words import told
from organza.config import ConfigError


@dataclass(frozen=True)
class Options:
    """Turn weights of other projects into a model folder.

    Of StyleGAN2, ADA, StyleGAN3, StyleGAN-XL's stem, R3GAN, rosinality and BigGAN; of the restorers ESRGAN,
    Real-ESRGAN and SRGAN, also in ncnn's form (FILE.bin with FILE.param beside it). The file is read without executing
    or importing anything of it. OUT gets safetensors, config.json and a card, and discriminator/ where the file has
    one; then: organza sample OUT, organza upscale PICTURES --model OUT, or organza train RECIPE --start OUT.
    """

    file: Annotated[str, Positional, arg(metavar="FILE", help="a .pkl, .pt, .pth or .bin file", help_behavior_hint="")]
    out: Annotated[
        str, Positional, arg(metavar="OUT", help="the folder to write (default: FILE without its ending)",
                             help_behavior_hint=""),
    ] = ""  # fmt: skip
    list: Annotated[bool, FlagCreatePairsOff, told(help="only show what the file holds, and what it would call")] = (
        False
    )
    licence: Annotated[str, told(metavar="TEXT", help="of the weights, for the card (default: unknown)")] = ""


def main(argv: list[str]) -> None:
    """Parse, list or convert, report. Raises ConfigError, DamagedError, FileNotFoundError and OSError."""
    options = tyro.cli(Options, args=argv, prog="organza convert")
    path = Path(options.file).expanduser()
    out = Path(options.out).expanduser() if options.out else path.with_suffix("")
    _must_be_file(path, out, options.list)
    with Console() as console:
        console.wait("loading torch")
        from organza.hub.convert import convert, listing, report

        console.wait(f"reading {path.name}")
        if options.list:
            lines = listing(path)
        else:
            lines = [*report(convert(path, out, options.licence, console)), ("written", f"{out}/")]
    console.lines(lines)


def _must_be_file(path: Path, out: Path, only_list: bool) -> None:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; convert takes a file, such as network-snapshot-025000.pkl")
    if not path.exists():
        raise FileNotFoundError(f"no file {path}; convert takes a .pkl, .pt, .pth or .bin file")
    if not only_list and out == path:
        raise ConfigError(f"{path} has no ending to take off; name the folder to write: organza convert {path} OUT")
