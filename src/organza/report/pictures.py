"""The pictures of a trained model for its report: made at the end of a training, and by `organza report`.

Each stands alone: what is missing drops that picture, with the reason, and no other. All follow from the seeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor
from torch.nn import functional as F

import organza
from organza.config import ConfigError
from organza.data.progress import SILENT, Progress
from organza.data.store import counts
from organza.health.evidence import FIRST_SEED, Case, gather, high_frequencies
from organza.hub import GAN
from organza.latent.interpolation import interpolate
from organza.latent.space import LatentSpace
from organza.metrics import nearest, neighbourhood, precision_recall_curve, radial_spectrum, realism
from organza.report.curves import Point
from organza.report.drawn import Chart, Drawn, Part, looked_at, must_have
from organza.report.folder import PICTURES as FOLDER
from organza.report.grid import grid_image, save_png, scatter_image
from organza.report.players import heat, manifold, scores
from organza.report.provenance import mark_of
from organza.training.run import write_json
from organza.training.scoring import replace_folder

SEEN = 1_000  # samples, and reals
ROWS, NEAREST = 8, 5  # of the picture of neighbours
BEST, COLUMNS = 16, 8  # samples of each kind
HOLES, COVERED_BY = 24, 5  # holes that are shown; the neighbour to which a ball reaches
STRIPS, STEPS = 5, 10
SIDE = 16  # pixels, of the small images in which look-alikes are searched
SEARCHED = 512 << 20  # bytes of the data, at most, for that
AT_ONCE = 4_096
ORANGE = (213, 94, 0)  # Okabe-Ito's, beside the blue of samples


def make_pictures(
    path: str | Path, progress: Progress = SILENT, device: str | torch.device = "cpu"
) -> Mapping[str, Any]:
    """Draw what can be drawn of the run in the folder `path` into its `pictures/`; what `pictures.json` says of it.

    That folder is replaced in one step. Raises ConfigError where there is no run, and where the model or the data are
    not there today but were when the present pictures of the same model were made; OSError where it cannot be written.
    """
    began = time.perf_counter()
    found: dict[str, tuple[Drawn | str, float]] = {}
    with torch.random.fork_rng([device] if torch.device(device).type == "cuda" else []):
        case = gather(path, progress, SEEN, device)
        if case.missing and case.run.pictures.get("images") == case.run.images:
            raise ConfigError(f"the pictures stay as they were: {'; '.join(case.missing)}")
        for number, (name, (_, draw)) in enumerate(PICTURES.items()):
            progress.step("pictures", number + 1, len(PICTURES))
            start = time.perf_counter()
            torch.manual_seed(FIRST_SEED)
            found[name] = _drawn(case, draw), round(time.perf_counter() - start, 2)
    about: dict[str, Any] = {"organza": organza.__version__, "images": case.run.images, "pictures": []}
    about["seconds"] = round(time.perf_counter() - began, 2)
    replace_folder(case.run.path / FOLDER, lambda folder: _write(folder, found, about, case.gan))
    return about


def _drawn(case: Case, draw: Callable[[Case], Drawn]) -> Drawn | str:
    """The picture, or the reason why there is none."""
    try:
        return draw(case)
    except Exception as problem:  # no picture is worth a finished training, nor another picture
        told = str(problem).strip().split("\n")[0]
        return told if isinstance(problem, (ValueError, OSError)) and told else f"{type(problem).__name__}: {told}"


def _write(
    folder: Path, found: Mapping[str, tuple[Drawn | str, float]], about: dict[str, Any], gan: GAN | None
) -> None:
    folder.mkdir(parents=True)
    for name, (drawn, seconds) in found.items():
        entry: dict[str, Any] = {"name": name, "title": PICTURES[name][0], "seconds": seconds}
        if isinstance(drawn, str):
            entry["missing"] = drawn
        else:
            entry |= {"told": drawn.told, "protocol": drawn.protocol, "parts": []}
            for number, part in enumerate(drawn.parts, 1):
                file = f"{name}-{number}.png" if len(drawn.parts) > 1 else f"{name}.png"
                save_png(part.image, folder / file, _mark(gan) if part.generated else None)
                entry["parts"].append({"file": file, "label": part.label, "alt": part.alt})
            if drawn.chart is not None:
                entry["chart"] = asdict(drawn.chart)
        about["pictures"].append(entry)
    write_json(folder / "pictures.json", about)


def _mark(gan: GAN | None) -> PngInfo | None:
    return None if gan is None else mark_of(gan, FIRST_SEED)


def _neighbours(case: Case) -> Drawn:
    """The samples that are nearest to a real one, each beside its nearest reals."""
    must_have(case, images=True)
    assert case.store is not None
    (real, fake), images = case.features, case.store.images
    alike = look_alikes(case.fake, images)
    more = torch.tensor(sorted(set(alike.tolist()) - set(case.rows.tolist())), dtype=torch.long)
    rows = torch.cat([case.rows, more])
    pool = torch.cat([real, case.seen_through(images[more])]) if len(more) else real
    near = nearest(real=pool, fake=fake, k=min(NEAREST, len(pool)))
    apart = nearest(real=pool, fake=pool[near.indices[:, 0]], k=2).distances[:, 1]  # the first is the real itself
    order = (near.distances[:, 0] / apart.clamp(min=1e-12)).argsort(stable=True)[:ROWS]
    beside = images[rows[near.indices[order]].flatten()]
    picture = _beside(grid_image(case.fake[order], 1), grid_image(beside, near.indices.shape[1]))
    alt = f"{len(order)} samples in rows, to the right of each the {near.indices.shape[1]} reals most like it"
    return Drawn(
        f"Each row is a sample and the {near.indices.shape[1]} reals most like it, the most alike first. Of all "
        "samples these come nearest to a real one, for how dense the reals are there. A sample that equals its "
        "neighbour was learned by heart; one that only resembles it was not.",
        f"{looked_at(case)}; searched among these reals and the {len(more):,} others that are most like a sample in "
        f"pixels, of {_searched(images):,}",
        (Part(picture, alt),),
    )


def look_alikes(fake: Tensor, real: Tensor) -> Tensor:
    """The row of the real image [M, C, H, W] that is most like each fake [N, C, H, W], int64 [N].

    By the squares of their differences, averaged down to 16 pixels a side. Of reals beyond 512 MB those are searched
    that are spread evenly.
    """
    small = _small(fake)
    best, found = torch.full((len(fake),), torch.inf), torch.zeros(len(fake), dtype=torch.long)
    for rows in torch.linspace(0, len(real) - 1, _searched(real), dtype=torch.float64).long().split(AT_ONCE):
        other = _small(real[rows])
        squares = torch.addmm(other.square().sum(1), small, other.T, alpha=-2)
        least, where = squares.min(1)
        better = least < best
        best, found = torch.where(better, least, best), torch.where(better, rows[where], found)
    return found


def _searched(real: Tensor) -> int:
    return min(len(real), max(1, SEARCHED // max(1, real[:1].nbytes)))


def _small(images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    return F.adaptive_avg_pool2d(images.float(), (min(height, SIDE), min(width, SIDE))).flatten(1)


def _worst_and_best(case: Case) -> Drawn:
    """The samples that fit worst and best among the reals."""
    must_have(case, images=True)
    real, fake = case.features
    found = realism(real=real, fake=fake)
    order = found.argsort(descending=True, stable=True)
    best, worst = order[:BEST], order.flip(0)[:BEST]
    parts = (
        Part(grid_image(case.fake[best], COLUMNS), f"The {len(best)} samples with the highest realism", "best"),
        Part(grid_image(case.fake[worst], COLUMNS), f"The {len(worst)} samples with the lowest realism", "worst"),
    )
    return Drawn(
        f"Realism tells how deep a sample lies among the reals; {float((found >= 1).double().mean()):.0%} reach 1, the "
        f"border. Best: {_range(found[best])}; worst: {_range(found[worst])}. The worst show what still goes wrong, "
        "the best what most samples are measured by; best ones that are all alike show a narrow generator.",
        f"{looked_at(case)}; k = 3, balls up to the median radius (arXiv:1904.06991, eq. 4)",
        parts,
    )


def _range(values: Tensor) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.2f} to {high:.2f}" if high < 100 else f"{low:.2f} and more"


def _holes(case: Case) -> Drawn:
    """The reals that have no sample near them."""
    must_have(case)
    assert case.store is not None
    real, fake = case.features
    found = neighbourhood(real=real, fake=fake, k=COVERED_BY)
    holes = (~found.covered).nonzero()[:, 0]
    holes = holes[found.gaps[holes].argsort(descending=True, stable=True)]
    told = (
        f"{len(holes):,} of {len(real):,} reals ({len(holes) / len(real):.0%}) have no sample in the ball around them, "
        f"which reaches to their {COVERED_BY}th nearest real; of two equal sets about {0.5**COVERED_BY:.0%} would have "
        f"none. What the model does not make lies here{_most_in(case, holes)}."
    )
    parts: tuple[Part, ...] = ()
    if len(holes) and case.is_image:
        told += " Those first whose nearest sample is farthest, for the size of their ball."
        shown = case.real[holes[:HOLES]]
        alt = f"The {len(shown)} reals that are most alone among the samples"
        parts = (Part(grid_image(shown, COLUMNS), alt, generated=False),)
    elif len(holes):
        picture = scatter_image(case.real[holes], real=case.real, colour=ORANGE)
        parts = (Part(picture, f"The reals in grey, the {len(holes)} holes in orange", generated=False),)
    return Drawn(told, f"{looked_at(case)}; k = {COVERED_BY} (coverage, arXiv:2002.09797)", parts)


def _most_in(case: Case, holes: Tensor) -> str:
    """The class or attribute of which most is missing, where there are classes and enough of it was looked at."""
    assert case.store is not None
    if case.store.labels is None or not case.store.classes or not len(holes):
        return ""
    count = len(case.store.classes)
    all_, lost = (counts(case.store.labels[rows], count) for rows in (case.rows, case.rows[holes]))
    what = "attribute" if case.store.has_attributes else "class"
    share = torch.where(all_ >= 10, lost / all_.clamp(min=1), 0.0)
    at = int(share.argmax())
    name = case.store.classes[at]
    return f"; hardest hit is the {what} '{name}' ({share[at]:.0%} of its reals)" if share[at] > 0 else ""


def _precision_recall(case: Case) -> Drawn:
    """Precision over recall, and the same of two halves of the reals."""
    must_have(case)
    real, fake = case.features
    mixed = real[torch.randperm(len(real), generator=torch.Generator().manual_seed(0))]
    curves = {
        "samples": precision_recall_curve(real=real, fake=fake),
        "reals against reals": precision_recall_curve(real=mixed[::2], fake=mixed[1::2]),
    }
    series: dict[str, list[Point]] = {}
    for name, curve in curves.items():
        points = zip(curve.recall.tolist(), curve.precision.tolist(), strict=True)
        series[name] = sorted((round(x, 4), round(y, 4)) for x, y in points)
    return Drawn(
        "Upwards: how much of the samples looks real (precision); to the right: how much of the real variety they have "
        "(recall). Best is the upper right corner. A curve that falls early has lost variety; one that starts low "
        "makes samples like nothing real. One half of the reals against the other shows what so few samples can reach.",
        f"{looked_at(case)}; 20 clusters, mean of 10 runs (arXiv:1806.00035)",
        chart=Chart(series, "Precision over recall", "recall"),
    )


def _strip(case: Case) -> Drawn:
    """From one sample to another, in rows."""
    must_have(case, data=False, images=True)
    assert case.gan is not None
    in_w = LatentSpace(case.gan.generator).has_w
    ends = [[FIRST_SEED + 2 * row, FIRST_SEED + 2 * row + 1] for row in range(STRIPS)]
    film = interpolate(case.gan, ends, frames=STEPS - 1, way="linear" if in_w else "slerp", loop=False)
    made = torch.cat(list(film)).transpose(0, 1).flatten(0, 1)
    place = "along a line in w" if in_w else "on an arc in the noise z"
    rows = ", a class each" if case.gan.classes else ""
    alt = f"{STRIPS} rows of samples that change step by step from left to right"
    return Drawn(
        f"Each row goes {place} from one sample to another{rows}. Small steps that all look like samples mean a smooth "
        "generator; sudden jumps, or the same few samples again and again, mean one that has collapsed or knows by "
        "heart.",
        f"averaged generator; ends from the seeds {FIRST_SEED:,} to {FIRST_SEED + 2 * STRIPS - 1:,}",
        (Part(grid_image(made, STEPS), alt),),
    )


def _spectrum(case: Case) -> Drawn:
    """The power of reals and of samples at each frequency."""
    must_have(case, images=True)
    series: dict[str, list[Point]] = {}
    for name, images in (("samples", case.fake), ("reals", case.real)):
        frequencies, found = radial_spectrum(images)
        points = zip(frequencies.tolist(), found.tolist(), strict=True)
        series[name] = [(round(x, 4), float(f"{y:.5g}")) for x, y in points]
    ratio = high_frequencies(case.fake) / max(high_frequencies(case.real), 1e-6)
    return Drawn(
        "How much there is of coarse (left) and of fine detail (right). Samples above the reals at the right end have "
        "noise or a checkerboard, below them they are blurred. At the finest stripes, 0.5, samples have "
        f"{ratio:.2g} times the reals' share of the power; doctor warns above 4.",
        f"{case.count:,} samples, {len(case.rows):,} reals, no network",
        chart=Chart(series, "Power at each frequency", "cycles per pixel", log=True),
    )


def _beside(left: Image.Image, right: Image.Image, gap: int = 14) -> Image.Image:
    """Both in one picture, nothing between them."""
    canvas = Image.new("RGBA", (left.width + gap + right.width, max(left.height, right.height)))
    canvas.paste(left.convert("RGBA"), (0, 0))
    canvas.paste(right.convert("RGBA"), (left.width + gap, 0))
    return canvas


PICTURES: dict[str, tuple[str, Callable[[Case], Drawn]]] = {
    "manifold": ("Samples and manifold", manifold),
    "heat": ("The discriminator in the plane", heat),
    "neighbours": ("Nearest reals", _neighbours),
    "realism": ("Best and worst samples", _worst_and_best),
    "holes": ("Holes: reals without a sample near", _holes),
    "strip": ("From one sample to another", _strip),
    "precision-recall": ("Precision and recall", _precision_recall),
    "spectrum": ("Spectrum", _spectrum),
    "scores": ("Scores of the discriminator", scores),
}
"""Name -> title, and what draws it."""
