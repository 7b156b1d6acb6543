"""`organza edit MODEL`: samples along directions of the latent space, as strips and grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import FlagCreatePairsOff

from organza.cli import options as shared
from organza.cli.console import Console
from organza.cli.words import file_name, number, numbers, some, told
from organza.cli.workbench import Timed, must_be_images, new_folder
from organza.config import ConfigError, closest

if TYPE_CHECKING:
    from torch import Tensor

    from organza.hub import GAN
    from organza.latent.codes import Code
    from organza.latent.editing import Directions

METHODS = ("sefa", "ganspace", "labels")
SHOWN = 5  # directions, unless some are named


@dataclass(frozen=True)
class Options:
    """Move samples along directions: a row for each direction, from -STRENGTH to STRENGTH standard deviations.

    sefa finds directions in the weights (arXiv:2007.06600), ganspace in how the samples spread (arXiv:2004.02546),
    labels in samples that are labelled: by their class, by the digit that is seen in them, or in a CSV seed,label.
    """

    model: shared.Model
    method: Annotated[str, told(metavar="sefa|ganspace|labels", help="(default sefa)")] = ""
    source: Annotated[
        str, told(metavar="classes|digits|FILE", help="the labels, for --method labels (default classes)")
    ] = ""
    classifier: Annotated[
        bool, FlagCreatePairsOff, told(help="with labels: the normal of a linear classifier, not the means' difference")
    ] = False
    use: Annotated[
        str, told(metavar="FILE", help="directions.safetensors of an earlier edit, in place of a method")
    ] = ""
    directions: Annotated[str, told(metavar="A-B,C", help="which to show (default 0-4)")] = ""
    strength: Annotated[str, told(metavar="X", help="in standard deviations of the codes (default 3)")] = ""
    columns: Annotated[str, told(metavar="N", help="pictures in a row (default 7)")] = ""
    seeds: Annotated[str, told(metavar="A-B,C", help="one strip for each (default 0-3)")] = ""
    label: Annotated[str, told(metavar="LABEL", help="of a conditional GAN's samples (default: each in turn)")] = ""
    code: Annotated[str, told(metavar="FILE", help="edit this code of organza project, in place of seeds")] = ""
    layers: Annotated[
        str, told(metavar="A-B", help="where directions are looked for and act (default all; of BigGAN's noise part 0)")
    ] = ""
    psi: Annotated[str, told(metavar="T", help="pull w towards its mean first, such as 0.7")] = ""
    grid: Annotated[str, told(metavar="A,B", help="also a grid: rows along direction A, columns along B")] = ""
    out: Annotated[str, told(metavar="DIR", help="a folder (default edits/RECIPE-METHOD)")] = ""
    device: shared.Device = "auto"
    no_provenance: shared.NoProvenance = False


@dataclass(frozen=True)
class Asked:
    """The numbers of the options, all read before torch is."""

    method: str
    directions: list[int] | None
    seeds: list[int]
    layers: list[int] | None
    pair: tuple[int, int] | None
    strength: float
    columns: int
    psi: float


def main(argv: list[str]) -> None:
    """Parse, find directions, draw, say where. Raises ConfigError, ValueError, FileNotFoundError and OSError."""
    options = tyro.cli(Options, args=argv, prog="organza edit")
    asked = _asked(options)
    with Console() as console:
        console.wait("loading torch")
        gan, timed = shared.open_gan(options.model, options.device, "edit"), Timed(console)
        must_be_images(gan, "edit")
        codes = list(_codes(options, asked, gan))
        console.wait("looking for directions")
        found = _found(options, asked, gan, timed)
        shown = list(range(min(SHOWN, len(found)))) if asked.directions is None else asked.directions
        found.must_have([*shown, *(asked.pair or ())])  # before anything is written
        lines = _written(options, asked, gan, codes, found, shown, timed)
    console.lines(lines)


def _asked(options: Options) -> Asked:
    """Raises ConfigError for options that are wrong, or that exclude each other."""
    if options.method and options.method not in METHODS:
        raise ConfigError(f"method is '{options.method}'{closest(options.method, METHODS)}")
    if options.use and (options.method or options.source or options.classifier):
        raise ConfigError("directions are named twice: give --use alone, or --method")
    if (options.source or options.classifier) and options.method != "labels":
        raise ConfigError("--source and --classifier are for --method labels; add it, or leave them out")
    if options.code and (options.seeds or options.psi or options.label):
        raise ConfigError("--code says which sample is edited; leave out --seeds, --psi and --label")
    pair = numbers(options.grid, "grid") if options.grid else None
    if pair is not None and len(pair) != 2:
        raise ConfigError(f"grid is '{options.grid}'; it takes two directions, such as 0,1")
    columns, psi = number(options.columns, int, "columns"), number(options.psi, float, "psi")
    strength = number(options.strength, float, "strength")
    return Asked(
        options.method or "sefa", some(options.directions, "directions"), numbers(options.seeds or "0-3", "seeds"),
        some(options.layers, "layers"), None if pair is None else (pair[0], pair[1]),
        3.0 if strength is None else strength, 7 if columns is None else columns, 1.0 if psi is None else psi,
    )  # fmt: skip


def _codes(options: Options, asked: Asked, gan: GAN) -> list[tuple[str, int | None, Code]]:
    """Name, seed and code of each sample."""
    from organza.latent.codes import Code, load_code
    from organza.latent.editing import codes_of
    from organza.latent.space import LatentSpace

    if options.code:
        return [("code", None, load_code(options.code, LatentSpace(gan.generator)))]
    chosen = gan.label_numbers(options.label, len(asked.seeds)) if options.label else None
    codes, labels = codes_of(gan, asked.seeds, chosen, asked.psi)
    return [
        (f"seed{seed:04}", seed, Code(codes[i : i + 1], None if labels is None else int(labels[i])))
        for i, seed in enumerate(asked.seeds)
    ]


def _found(options: Options, asked: Asked, gan: GAN, timed: Timed) -> Directions:
    from organza.latent.directions import from_labels, ganspace, sefa
    from organza.latent.editing import load_directions

    if options.use:
        return load_directions(options.use)
    if asked.method == "labels":
        method: Any = "classifier" if options.classifier else "means"
        return from_labels(gan, options.source or "classes", method=method, layers=asked.layers, progress=timed)
    if asked.method == "ganspace":
        return ganspace(gan, layers=asked.layers, progress=timed)
    return sefa(gan, layers=asked.layers)


def _written(
    options: Options, asked: Asked, gan: GAN, codes: Sequence[tuple[str, int | None, Code]], found: Directions,
    shown: list[int], timed: Timed,
) -> list[tuple[str, str]]:  # fmt: skip
    from organza.latent.editing import grid, save_directions, strengths, strip
    from organza.report.grid import save_png
    from organza.report.provenance import mark_of
    from organza.report.strips import strip_image
    from organza.training.run import write_json

    def save(name: str, samples: Tensor, rows: Sequence[str], seed: int | None) -> None:
        picture = strip_image(samples, rows, [f"{value:+.2g}" for value in steps])
        save_png(picture, folder / name, mark_of(gan, seed, marked=not options.no_provenance))

    layers, steps = asked.layers if options.use else None, strengths(asked.strength, asked.columns)
    found.moved(codes[0][2].codes, shown[0], 0.0, layers)  # fits, or nothing is written
    named = [name for name, _, _ in codes]
    files = [f"strip-{name}.png" for name in named] + [f"grid-{name}.png" for name in named if asked.pair]
    method = file_name(found.name.split()[0].lower())
    folder = new_folder(options.out, "edits", gan, method, [*files, "directions.safetensors", "edit.json"])
    rows = [f"{n} {found.label(n)}" if found.names else f"direction {n}" for n in shown]
    for at, (name, seed, code) in enumerate(codes, 1):
        labels = None if code.label is None else gan.label_numbers(code.label, 1)
        samples = strip(gan, code.codes, found, shown, steps, layers, labels, code.noise)
        save(f"strip-{name}.png", samples, rows, seed)
        if asked.pair:
            samples = grid(gan, code.codes, found, asked.pair, steps, layers, labels, code.noise)
            save(f"grid-{name}.png", samples, [f"{asked.pair[0]}: {value:+.2g}" for value in steps], seed)
        timed.step("drawing", at, len(codes))
    save_directions(found, folder / "directions")
    about = {"directions": shown, "strengths": steps, "samples": named, "grid": asked.pair, "psi": asked.psi}
    write_json(folder / "edit.json", about | {"found": found.name, "model": gan.recipe, "sha256": gan.sha256})
    share = f", {sum(found.explained[n] for n in shown):.0%} of what was analysed" if found.explained else ""
    return [
        ("found", f"{len(found)} directions by {found.name}, in {_place(gan, found)}"),
        ("shown", f"{_span(shown)}{share}"),
        ("written", f"{folder}/ ({len(files)} pictures, directions.safetensors, edit.json)"),
    ]  # fmt: skip


def _place(gan: GAN, found: Directions) -> str:
    """Where directions act, and where others could."""
    from organza.latent.space import LatentSpace

    space = LatentSpace(gan.generator)
    if space.has_w or space.layers == 1:
        return f"layers {_span(found.layers)}"
    return f"part {_span(found.layers)} of the noise (of 0-{space.layers - 1}; --layers N looks at another)"


def _span(values: Sequence[int]) -> str:
    whole = len(values) > 2 and list(values) == list(range(values[0], values[-1] + 1))
    return f"{values[0]}-{values[-1]}" if whole else ",".join(map(str, values))
