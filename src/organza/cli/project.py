"""`organza project MODEL IMAGE`: the code of a picture, the fit as a film, and perhaps a tuned generator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional, arg

from organza.cli import options as shared
from organza.cli.console import Console
from organza.cli.words import number, seed_of, told
from organza.cli.workbench import Timed, emptied, must_be_images, new_folder
from organza.config import ConfigError
from organza.interruption import interruptible

if TYPE_CHECKING:
    from torch import Tensor

    from organza.hub import GAN
    from organza.latent.projection import Projection

SECONDS, REST = 4.0, 1.5  # of the film, and of its last picture
FILMS = {"gif": ".gif", "mp4": ".mp4", "frames": ""}
FILES = (
    "target.png", "projection.png", "code.safetensors", "fit.json", "model",
    *(f"{name}{suffix}" for name in ("fit", "tuned") for suffix in FILMS.values()),
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Find the code whose sample looks most like a picture (arXiv:1912.04958, appendix D).

    The folder gets target.png, projection.png, code.safetensors and projected_w.npz for other programs, fit.gif and
    fit.json; with --tune also model/, a GAN that draws the picture from that code, tuned.png, and tuned.gif, the whole
    way. Ctrl-C ends the search early and writes what it has found.
    """

    model: shared.Model
    image: Annotated[str, Positional, arg(metavar="IMAGE", help="a picture of any size; it is cut and resized")]
    space: Annotated[
        str, told(metavar="auto|w|w+|z", help="w+: a w for each layer, closer (default auto: w, or z without it)")
    ] = "auto"
    steps: Annotated[str, told(metavar="N", help="(default 1000, 400 up to 128 pixels)")] = ""
    tune: Annotated[str, told(metavar="N", help="tune the generator to the picture for N steps, such as 350")] = ""
    label: Annotated[str, told(metavar="LABEL", help="of a conditional GAN, name or number (default: found)")] = ""
    perceptual: Annotated[
        str,
        told(metavar="auto|lpips-vgg|general|pixels", help="what judges (default auto: LPIPS if its weights are here)"),
    ] = "auto"
    seed: Annotated[str, told(metavar="S", help="of the search (default 0)")] = ""
    film: Annotated[
        str, told(metavar="gif|mp4|frames", help="of the way; mp4 by ffmpeg, frames exact (default gif)")
    ] = "gif"  # fmt: skip
    out: Annotated[str, told(metavar="DIR", help="a folder (default projections/RECIPE-IMAGE)")] = ""
    device: shared.Device = "auto"
    no_provenance: shared.NoProvenance = False


def main(argv: list[str]) -> None:
    """Parse, project, tune, write, say where. Raises ConfigError, ValueError, FileNotFoundError and OSError.

    Ctrl-C ends the search with what it has, which is written; then SystemExit has 128 + the signal, as in training.
    """
    options = tyro.cli(Options, args=argv, prog="organza project")
    steps, tuning = number(options.steps, int, "steps"), number(options.tune, int, "tune")
    seed, signals = seed_of(options.seed), []
    if tuning is not None and tuning < 1:
        raise ConfigError(f"tune is {tuning}; it takes a number of steps, such as 350")
    if options.film not in FILMS:
        raise ConfigError(f"film is '{options.film}'; it takes {', '.join(FILMS)}")
    with Console() as console:
        console.wait("loading torch")
        from organza.latent.projection import project

        gan, timed = shared.open_gan(options.model, options.device, "project"), Timed(console)
        must_be_images(gan, "project")
        if not Path(options.image).expanduser().is_file():  # before a folder is made for it
            raise FileNotFoundError(f"no picture '{options.image}'; give a PNG, JPEG, WebP or another image file")
        folder = new_folder(options.out, "projections", gan, Path(options.image).stem, FILES)
        with interruptible(signals.append), emptied(folder):
            found = project(
                gan, options.image, space=options.space, steps=steps, seed=seed, label=options.label or None,  # type: ignore[arg-type]
                perceptual=options.perceptual, progress=timed, stop=lambda: bool(signals),
            )  # fmt: skip
            lines = _written(gan, found, folder, not options.no_provenance)
            _save_film(
                gan, found, found.frames, folder / f"fit{FILMS[options.film]}", not options.no_provenance, console
            )
        if signals:
            place = f"at step {found.steps} of {found.planned}" if found.interrupted else "behind the last step"
            lines.append(("stopped", f"by {Signals(signals[0]).name} {place}; the fit so far is written"))
        elif tuning:
            line, frames = _tuned(gan, found, tuning, folder, timed, not options.no_provenance)
            lines.append(line)
            _save_film(gan, found, frames, folder / f"tuned{FILMS[options.film]}", not options.no_provenance, console)
    console.lines(lines)
    if signals:
        raise SystemExit(128 + signals[0])


def _written(gan: GAN, found: Projection, folder: Path, marked: bool) -> list[tuple[str, str]]:
    from organza.cli.writing import one_image
    from organza.latent.codes import save_code
    from organza.report.grid import save_png
    from organza.report.provenance import mark_of
    from organza.training.run import write_json

    save_png(one_image(found.target), folder / "target.png")
    save_png(one_image(found.image), folder / "projection.png", mark_of(gan, None, marked=marked))
    save_code(found, folder)
    about = {
        "space": found.space, "perceptual": found.perceptual, "distance": found.distance, "steps": found.steps,
        "seed": found.seed, "label": found.label, "model": gan.recipe, "sha256": gan.sha256,
        "interrupted": found.interrupted, "planned_steps": found.planned, "distances": list(found.distances),
    }  # fmt: skip
    write_json(folder / "fit.json", about)
    label = "" if found.label is None else f", label {gan.classes[found.label]}"
    told = f"{found.distances[0]:.4g} to {found.distance:.4g} in {found.steps} steps of {found.space}{label}"
    return [("distance", f"{told} (judged by {found.perceptual})"), ("written", f"{folder}/ (target.png, …)")]


def _save_film(gan: GAN, found: Projection, frames: Tensor, path: Path, marked: bool, console: Console) -> None:
    """The way to the picture, beside the target; the last frame stays for a while."""
    import torch
    from torch.nn import functional as F

    from organza.report.provenance import name_of, packet
    from organza.report.video import FASTEST_GIF, FilmWriter

    still = found.target[None].float()
    if still.shape[2:] != frames.shape[2:]:
        still = F.interpolate(still, frames.shape[2:], mode="bilinear", antialias=True)
    beside = torch.stack([still.round().to(torch.uint8).expand_as(frames), frames], 1)
    rate = min(len(frames) / SECONDS, FASTEST_GIF)
    with FilmWriter(path, rate, columns=2, mark=packet(name_of(gan), gan.sha256, None) if marked else None) as writer:
        writer.take(beside)
        writer.take(beside[-1:].expand(round(REST * rate), *beside.shape[1:]))
    if writer.note:
        console.note(writer.note)


def _tuned(
    gan: GAN, found: Projection, steps: int, folder: Path, timed: Timed, marked: bool
) -> tuple[tuple[str, str], Tensor]:  # fmt: skip
    """What is told, and the whole way in pictures."""
    import torch

    from organza.cli.writing import one_image
    from organza.hub import load_gan, save
    from organza.latent.codes import save_code
    from organza.latent.space import LatentSpace
    from organza.latent.tuning import card, tune
    from organza.report.grid import save_png
    from organza.report.provenance import mark_of
    from organza.training.batches import to_bytes

    frames = [found.frames]
    save(tune(gan, found, steps, progress=timed, watch=frames.append), folder / "model", card(gan, steps))
    tuned = load_gan(folder / "model")
    label = None if found.label is None else gan.label_numbers(found.label, 1)
    image = to_bytes(LatentSpace(tuned.generator).draw(found.codes, label))[0]
    save_png(one_image(image), folder / "tuned.png", mark_of(tuned, None, marked=marked))
    save_code(found, folder / "model", noise=False)  # which it does not need
    far = float((image.float() - found.target.float()).square().mean().sqrt())
    before = float((found.image.float() - found.target.float()).square().mean().sqrt())
    told = f"{folder / 'model'} ({steps} steps; {before:.1f} to {far:.1f} of 255 from the target)"
    return ("tuned", told), torch.cat(frames)
