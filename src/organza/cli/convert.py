"""`organza convert FILE OUT`: weights of other projects, opened safely and written as a model folder, and back."""

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
    """Turn weights of StyleGANs, BigGAN, pix2pix, CycleGAN, Real-ESRGAN and others into a model folder.

    The file is read without executing or importing anything of it. OUT gets safetensors, config.json and a card, and
    discriminator/ where the file has one; then: organza sample OUT, organza translate PICTURES --model OUT, or
    organza train RECIPE --start OUT. With --to original, a run or model that translates images becomes one file,
    FILE.pth or FILE.safetensors, with the names of its official code, which other tools load.
    """

    file: Annotated[
        str, Positional, arg(metavar="FILE", help="a .pkl, .pt, .pth, .safetensors or .bin file", help_behavior_hint="")
    ]
    out: Annotated[
        str, Positional, arg(metavar="OUT", help="the folder to write (default: FILE without its ending)",
                             help_behavior_hint=""),
    ] = ""  # fmt: skip
    list: Annotated[bool, FlagCreatePairsOff, told(help="only show what the file holds, and what it would call")] = (
        False
    )
    to: Annotated[str, told(metavar="organza|original", help="what to write (default organza, a model folder)")] = ""
    licence: Annotated[str, told(metavar="TEXT", help="of the weights, for the card (default: unknown)")] = ""


def main(argv: list[str]) -> None:
    """Parse, list or convert, report. Raises ConfigError, DamagedError, FileNotFoundError and OSError."""
    options = tyro.cli(Options, args=argv, prog="organza convert")
    path = Path(options.file).expanduser()
    if options.to not in ("", "organza", "original"):
        raise ConfigError(f"to is '{options.to}'; it takes organza or original")
    if options.to == "original":
        return _original(options)
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


def _original(options: Options) -> None:
    """The other way: one file that other tools load."""
    if options.list or options.licence:
        raise ConfigError("a file under original names holds tensors alone; leave out --list and --licence")
    given = Path(options.file).expanduser()
    path = Path(options.out).expanduser() if options.out else given.parent / f"{given.stem}.safetensors"
    if path.exists():
        raise ConfigError(f"{path} is there already and is not overwritten; choose another file")
    with Console() as console:
        console.wait("loading torch")
        from organza.hub.loading import load
        from organza.hub.original import save_original

        written = save_original(load(options.file), path)
    console.lines([("written", f"{place} ({place.stat().st_size / 1e6:,.1f} MB)") for place in written])


def _must_be_file(path: Path, out: Path, only_list: bool) -> None:
    if path.is_dir():
        raise ConfigError(
            f"{path} is a folder; convert takes a file, such as network-snapshot-025000.pkl; for the "
            f"other way type: organza convert {path} --to original"
        )
    if not path.exists():
        raise FileNotFoundError(f"no file {path}; convert takes a .pkl, .pt, .pth, .safetensors or .bin file")
    if not only_list and out == path:
        raise ConfigError(f"{path} has no ending to take off; name the folder to write: organza convert {path} OUT")
