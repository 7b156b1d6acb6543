"""`organza layers MODEL`: what every layer of a generator makes of one sample, with its spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from organza.cli import options as shared
from organza.cli.console import Console
from organza.cli.words import file_name, number, seed_of, told
from organza.config import ConfigError

if TYPE_CHECKING:
    from organza.latent.layers import Layer

MOST = 32  # maps in a row


@dataclass(frozen=True)
class Options:
    """Show one sample's feature maps at every layer, the strongest channels first, beside their power spectrum.

    FILE.png gets a row for each layer, FILE.json the numbers.
    """

    model: shared.Model
    seed: Annotated[str, told(metavar="S", help="of the sample (default 0)")] = ""
    label: Annotated[str, told(metavar="LABEL", help="of a conditional GAN, name or number (default: the first)")] = ""
    code: Annotated[str, told(metavar="FILE", help="a code of organza project, in place of a seed")] = ""
    channels: Annotated[str, told(metavar="N", help="maps of each layer (default 8)")] = ""
    out: Annotated[str, told(metavar="FILE", help="a .png (default layers/RECIPE-seed0.png)")] = ""
    device: shared.Device = "auto"
    no_provenance: shared.NoProvenance = False


def main(argv: list[str]) -> None:
    """Parse, look, draw, say where. Raises ConfigError, ValueError, FileNotFoundError and OSError."""
    options = tyro.cli(Options, args=argv, prog="organza layers")
    seed, channels = seed_of(options.seed), number(options.channels, int, "channels")
    channels = 8 if channels is None else channels
    if not 1 <= channels <= MOST:
        raise ConfigError(f"channels is {channels}; it takes 1 to {MOST}")
    if options.code and (options.seed or options.label):
        raise ConfigError("--code says which sample is shown; leave out --seed and --label")
    if options.out and Path(options.out).suffix.lower() != ".png":
        raise ConfigError(f"out is '{options.out}'; it takes a file that ends in .png")
    with Console() as console:
        console.wait("loading torch")
        lines = _drawn(options, seed, channels)
    console.lines(lines)


def _drawn(options: Options, seed: int, channels: int) -> list[tuple[str, str]]:
    from organza.latent.codes import Code, load_code
    from organza.latent.editing import codes_of
    from organza.latent.layers import layer_view
    from organza.latent.space import LatentSpace
    from organza.report.grid import save_png
    from organza.report.layers import layers_image
    from organza.report.provenance import mark_of
    from organza.training.run import write_json

    gan = shared.open_gan(options.model, options.device, "layers")
    if options.code:
        code, sample = load_code(options.code, LatentSpace(gan.generator)), "code"
    else:
        chosen = gan.label_numbers(options.label, 1) if options.label else None
        codes, labels = codes_of(gan, [seed], chosen)
        code, sample = Code(codes, None if labels is None else int(labels[0])), f"seed{seed}"
    labels = None if code.label is None else gan.label_numbers(code.label, 1)
    found, image = layer_view(gan, code.codes, labels, channels, code.noise)
    name = f"{file_name(gan.recipe) or 'gan'}-{sample}"
    path = Path(options.out).expanduser() if options.out else Path("layers") / f"{name}.png"
    verb = "replaced" if path.exists() else "written"
    path.parent.mkdir(parents=True, exist_ok=True)
    title = f"{gan.recipe or gan.model.name}, {sample}" + ("" if labels is None else f", {gan.classes[int(labels[0])]}")
    page = layers_image(found, image, title)
    save_png(page, path, mark_of(gan, None if options.code else seed, marked=not options.no_provenance))
    about = {"sample": sample, "label": code.label, "model": gan.recipe, "sha256": gan.sha256}
    write_json(path.with_suffix(".json"), about | {"layers": [_numbers(layer) for layer in found]})
    silent = sum(layer.silent for layer in found)
    told = f"{len(found)}, from {found[0].name} to {found[-1].name}"
    return [
        ("layers", told + (f"; {silent} maps or units say nothing" if silent else "")),
        (verb, f"{path} and {path.with_suffix('.json').name}"),
    ]


def _numbers(layer: Layer) -> dict:
    return {
        "name": layer.name, "shape": list(layer.shape), "mean": layer.mean, "std": layer.std, "silent": layer.silent,
        "strongest": list(layer.strongest), "frequencies": list(layer.frequencies), "power": list(layer.power),
    }  # fmt: skip
