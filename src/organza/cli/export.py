"""`organza export RUN`: one file that onnxruntime, a browser or torch runs without Organza."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import FlagCreatePairsOff

from organza.cli import options as shared
from organza.cli.console import Console
from organza.cli.words import told
from organza.config import ConfigError

if TYPE_CHECKING:
    from organza.hub import GAN, Translator
    from organza.hub.export import Exported

SUFFIXES = {".onnx": "onnx", ".pt2": "torch"}


@dataclass(frozen=True)
class Options:
    """Write a GAN or translator as one file, and compare it with PyTorch at batches of 1, 3 and 5; what differs goes.

    onnx is for onnxruntime, on servers and in browsers, and needs the extra export. torch is a program of torch.export
    (.pt2). docs/export.md says how to use both.
    """

    model: shared.Model
    format: Annotated[str, told(metavar="onnx|torch", help="(default that of --out, else onnx)")] = ""
    out: Annotated[str, told(metavar="FILE", help="what to write (default RUN/RECIPE.onnx or .pt2)")] = ""
    pixels: Annotated[
        bool, FlagCreatePairsOff, told(help="make images uint8 from 0 to 255 (default: float32, about -1 to 1)")
    ] = False
    reverse: Annotated[
        bool, FlagCreatePairsOff, told(help="of a translator that knows both ways, that from B to A")
    ] = False
    every_input: Annotated[
        bool, FlagCreatePairsOff, told(help="torch: also cutoff, noise and transform (ONNX has them in any case)")
    ] = False
    licence: Annotated[str, told(metavar="TEXT", help="of the weights, for the file's metadata")] = ""


def main(argv: list[str]) -> None:
    """Parse, export, say how exact. Raises as `organza.load` and `organza.hub.export.export` do, and OSError."""
    options = tyro.cli(Options, args=argv, prog="organza export")
    kind = _kind(options)
    with Console() as console:
        console.wait("loading torch")
        from organza.hub.export import export

        gan = shared.open_any(options.model, "export")
        path = Path(options.out).expanduser() if options.out else _place(options.model, gan, kind)
        replaced = path.exists()
        console.wait(f"exporting {gan.recipe or gan.model.name}")
        how = {"pixels": options.pixels, "reverse": options.reverse, "every_input": options.every_input}
        done = export(gan, path, kind, **how, licence=options.licence or None)  # type: ignore[arg-type]
    console.lines(_told(done, replaced))


def _kind(options: Options) -> str:
    """The format. Raises ConfigError for an unknown one, and where the end of FILE tells of another."""
    suffix = Path(options.out).suffix.lower()
    if options.out and suffix not in SUFFIXES:
        raise ConfigError(f"out is '{options.out}'; it takes a file that ends in {' or '.join(SUFFIXES)}")
    kind = options.format or SUFFIXES.get(suffix, "onnx")
    if kind not in SUFFIXES.values():
        raise ConfigError(f"format is '{kind}'; it takes onnx or torch")
    if options.out and SUFFIXES[suffix] != kind:
        raise ConfigError(f"format is {kind} and out is '{options.out}', a file of {SUFFIXES[suffix]}; leave one out")
    return kind


def _place(model: str, gan: GAN | Translator, kind: str) -> Path:
    """RECIPE.onnx in the folder that was given, or here where that is the hub's."""
    suffix = next(end for end, known in SUFFIXES.items() if known == kind)
    given = Path(model).expanduser()
    folder = given if given.is_dir() else given.parent if given.is_file() else Path()
    return folder / f"{re.sub(r'[^A-Za-z0-9_-]+', '-', gan.recipe) or 'gan'}{suffix}"


def _told(done: Exported, replaced: bool) -> list[tuple[str, str]]:
    needed = [name for name in done.inputs if name not in done.optional]
    optional = f"; optional: {', '.join(done.optional)}" if done.optional else ""
    size = done.path.stat().st_size / 1e6
    return [
        ("replaced" if replaced else "written", f"{done.path} ({size:,.1f} MB)"),
        ("inputs", f"{', '.join(needed)}{optional}"),
        ("checked", f"batches 1, 3 and 5 differ from PyTorch by {done.difference:.2g} at most"),
    ]
