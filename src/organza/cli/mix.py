"""`organza mix MODEL`: the figure of style mixing, some layers of one sample in another."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import OmitArgPrefixes

from organza.cli import options as shared
from organza.cli.console import Console
from organza.cli.words import UNWRITTEN, numbers, told
from organza.config import ConfigError

LARGEST = 2_500  # pictures in one figure


@dataclass(frozen=True)
class Options:
    """Draw a table: each row's sample with some layers of each column's, the sources on the left and on top."""

    model: shared.Model
    rows: Annotated[str, told(metavar="A-B,C", help="seeds of the rows (default 0-3)")] = "0-3"
    columns: Annotated[
        str, told(metavar="A-B,C", aliases=("--cols",), help="seeds of the columns (default 100-104)")
    ] = "100-104"  # fmt: skip
    layers: Annotated[
        str,
        told(
            metavar="LAYERS",
            help="what comes from the columns: numbers, ranges, or coarse (0-3), middle (4-7), fine (8 and above); "
            "default coarse",
        ),
    ] = "coarse"
    labels: Annotated[str, told(metavar="LABELS", help="one for all, or one for each row and then each column")] = ""
    look: OmitArgPrefixes[shared.LookOptions] = field(default_factory=shared.LookOptions)
    out: Annotated[
        str, told(metavar="PATH", help="a .png, or a folder: every picture a file (default a new .png in samples/)")
    ] = ""
    device: shared.Device = "auto"
    no_provenance: shared.NoProvenance = False


def main(argv: list[str]) -> None:
    """Parse, draw, write, say where. Raises ConfigError, ValueError, FileNotFoundError and OSError."""
    options = tyro.cli(Options, args=shared.joined(argv), prog="organza mix")
    rows, columns = numbers(options.rows, "rows"), numbers(options.columns, "columns")
    if len(rows) * len(columns) > LARGEST:
        raise ConfigError(f"{len(rows)} rows and {len(columns)} columns are too many for one figure; it takes "
                          f"{LARGEST:,} pictures")  # fmt: skip
    if Path(options.out).suffix.lower() in (*UNWRITTEN, ".gif", ".mp4", ".npy", ".npz"):
        raise ConfigError(f"out is '{options.out}'; the figure is a .png, or a folder with every picture in a file")
    settings = options.look.settings()
    with Console() as console:
        console.wait("loading torch")
        from organza.cli.writing import free, write_cells, write_figure
        from organza.latent.mixing import mix

        gan = shared.open_gan(options.model, options.device, "mix")
        labels = shared.named_labels(options.labels, gan) if options.labels else None
        mixture = mix(gan, rows, columns, options.layers, labels=labels[0] if labels and len(labels) == 1 else labels,
                      progress=console, **settings)  # fmt: skip
        path = Path(options.out).expanduser() if options.out else free(gan, f"mix-seed{rows[0]}", ".png")
        write = write_figure if path.suffix.lower() == ".png" else write_cells
        verb, where = write(mixture, path, gan, rows, columns, not options.no_provenance)
    taken = ", ".join(map(str, mixture.layers))
    console.lines([(verb, f"{where}{len(rows)} x {len(columns)} mixed; layers {taken} from the columns)")])
