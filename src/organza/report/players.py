"""Pictures of the game: what the discriminator answers, and for points in the plane the layers of GAN Lab.

Those layers (Kahng et al., 2018, arXiv:1809.01587) are the samples, the generator's manifold, the discriminator's
answers everywhere, and where it would have the samples go.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from organza.games.latent import Batch, Moment
from organza.health.evidence import FIRST_SEED, Case
from organza.health.signals import NORMS, heldout
from organza.latent.sampling import generate, latents
from organza.layers.minibatch import WithBatch
from organza.losses import LOSSES
from organza.report.curves import Point
from organza.report.drawn import Chart, Drawn, MissingError, Part, looked_at, must_have
from organza.report.grid import SIDE, Limits, in_plane, limits_of, scatter_image
from organza.training.batches import to_range

BINS, TAILS = 40, 0.002  # of a histogram; share of the scores at each end that count as its ends
LINES = 20  # cells of the manifold in each direction
CELLS = 64  # of the heat map
ARROWS, LATTICE, LONGEST = 120, 16, 36  # samples with an arrow; points a side that tell what a long one is; pixels
FINE = 3  # lines are drawn so many times as large, then averaged
GREEN, PURPLE = (27, 120, 55), (118, 42, 131)  # ColorBrewer's PRGn, which colour-blind people tell apart
ORANGE = (213, 94, 0)


def scores(case: Case) -> Drawn:
    """How D's answers to training reals, held-out reals and fakes are spread."""
    must_have(case, model=False)
    assert case.store is not None
    store, game, conditional = case.store, case.game, case.config.conditional
    labels = store.labels[case.rows] if conditional and store.labels is not None else None
    found = {"samples": answers(case, None, labels), "training reals": answers(case, case.real, labels)}
    if (other := heldout(store, case.config.data, case.count)) is not None:
        found["held-out reals"] = answers(case, other.images, other.labels if conditional else None)
    together = torch.cat(list(found.values()))
    if not together.isfinite().all():
        raise MissingError("D's scores are not finite")
    low, high = (float(together.double().quantile(at)) for at in (TAILS, 1 - TAILS))
    series = {name: histogram(values, low, high) for name, values in found.items()}
    border = None if game.loss.relativistic else game.loss.border
    counts = ", ".join(f"{len(values):,} {name}" for name, values in found.items())
    return Drawn(
        f"{_reading(found, border)}{_by_heart(found)}",
        f"both players as in the last checkpoint, raw weights, batches as in training, no augmentation; {counts}",
        chart=Chart(series, "Share of the samples at each score", "D's score (logit)", border=border),
    )


def _reading(found: dict[str, Tensor], border: float | None) -> str:
    if border is None:
        return (
            "These scores have no zero: only how far reals and samples lie apart tells something. Where they lie on "
            "each other, D cannot tell them apart."
        )
    shares = ", ".join(f"{float((values > border).double().mean()):.0%} of {name}" for name, values in found.items())
    return (
        f"Above {border:g} D says real: to {shares}. Where reals and samples lie on each other D cannot tell them "
        "apart; where they lie far apart it tells G little."
    )


def _by_heart(found: dict[str, Tensor]) -> str:
    if "held-out reals" not in found:
        return ""
    return " Training reals well above held-out ones mean that D has learned them by heart."


@torch.no_grad()
def answers(case: Case, images: Tensor | None, labels: Tensor | None) -> Tensor:
    """D's logits [N] for real samples [N, *shape], or for as many fakes of its own opponent where there are none.

    In shuffled batches as in training, reals and fakes apart, because batch norm and minibatch deviation look at the
    whole batch; a part of a batch at the end is left out. Of several logits of a sample the mean.
    """
    game, count = case.game, len(case.rows) if images is None else len(images)
    game.generator.train()
    game.discriminator.train()
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    size, found = min(max(case.config.batch // case.config.accumulate, 1), count), []
    for start in range(0, count - size + 1, size):
        rows = order[start : start + size]
        z = latents(range(FIRST_SEED + start, FIRST_SEED + start + size), int(game.generator.z_dim))  # type: ignore[arg-type]
        real = z if images is None else to_range(images[rows])
        batch = Batch(
            real.to(case.device), None if labels is None else labels[rows].to(case.device), z.to(case.device),
            torch.full((size,), 0.5, device=case.device),
        )  # fmt: skip
        seen = game.generate(batch) if images is None else game.real(batch, Moment())
        logits, _ = game.judge(seen, batch, Moment(), in_float32=True)
        found.append(logits.flatten(1).mean(1) if logits.dim() > 1 else logits)
    return torch.cat(found).cpu()


def histogram(values: Tensor, low: float, high: float) -> list[Point]:
    """The outline of the shares in 40 bins from `low` to `high`, values outside in the outermost; they sum to 1."""
    high = high if high > low else low + 1.0
    counts = torch.histc(values.double().clamp(low, high), BINS, low, high) / max(len(values), 1)
    edges = torch.linspace(low, high, BINS + 1, dtype=torch.float64).tolist()
    steps: list[Point] = [(edges[0], 0.0)]
    for i, share in enumerate(counts.tolist()):
        steps += [(edges[i], share), (edges[i + 1], share)]
    return [(float(f"{x:.5g}"), round(y, 5)) for x, y in [*steps, (edges[-1], 0.0)]]


def manifold(case: Case) -> Drawn:
    """Samples over the reals, and how G bends a grid of noise to them."""
    must_have(case)
    _must_be_plane(case)
    assert case.gan is not None
    real, fake = _of_first_class(case)
    box = limits_of(in_plane(real))
    nodes = warped(case, LINES + 1)
    parts = (
        Part(scatter_image(fake, box, real=real), "Samples in blue over the reals in grey", "samples"),
        Part(_cells(nodes, box, real), "The grid of noise as G bends it, over the reals in grey", "manifold"),
    )
    cut = "" if case.gan.z_dim == 2 else f", a plane through noise of {case.gan.z_dim} numbers"
    return Drawn(
        "Samples are blue, reals are grey. The manifold is a grid over the noise as G bends it to samples: each cell "
        "gets equally many, so small, dark cells are dense. Modes hang together by stretched, pale cells, which hold "
        "the samples between them; where G folds, cells lie on each other.",
        f"{looked_at(case)}; {LINES} by {LINES} cells of equal probability{cut}{_class_told(case)}",
        parts,
    )


def heat(case: Case) -> Drawn:
    """D's answer at every place, and where it would have the samples go."""
    must_have(case)
    _must_be_plane(case)
    network = case.game.discriminator
    if any(isinstance(m, NORMS) or (isinstance(m, WithBatch) and m.how != "none") for m in network.modules()):
        raise MissingError("D judges a sample together with its batch, so a place alone has no answer")
    network.eval()
    real, fake = _of_first_class(case)
    box = limits_of(in_plane(real))
    colours = _coloured(case, real, fake, box)
    moved = fake[:: max(1, len(fake) // ARROWS)][:ARROWS]
    parts = (
        Part(scatter_image(fake, box, colours, real=real), "D's answers: green where it says real, purple where fake, "
             "under the reals in grey and the samples in blue", "answers"),
        Part(_arrows(case, moved, real, box), "Arrows from samples to where D says more real", "gradients"),
    )  # fmt: skip
    return Drawn(
        "Answers are what D says of every place: green real, purple fake, white undecided. Gradients are where each "
        "sample would go to please D, downhill in G's loss: short arrows mean that G has arrived, or that D tells it "
        "nothing; arrows that all point to one mode announce a collapse.",
        "D as in the last checkpoint; samples of the averaged generator; an arrow of full length is as steep as the "
        f"steepest tenth of the plane{_class_told(case)}",
        parts,
    )


def warped(case: Case, lines: int) -> Tensor:
    """Samples [lines, lines, D] from a grid of normal quantiles: the plane of two directions of the noise.

    Of noise with more than two numbers the directions are those of two seeds, at right angles, as long as noise is.
    """
    assert case.gan is not None
    steps = torch.special.ndtri(torch.linspace(0.5 / lines, 1 - 0.5 / lines, lines, dtype=torch.float64)).float()
    across, down = torch.meshgrid(steps, -steps, indexing="xy")
    places = torch.stack([across, down], 2).view(-1, 2)
    dims = case.gan.z_dim
    if dims > 2:
        ways = torch.linalg.qr(latents(range(FIRST_SEED, FIRST_SEED + 2), dims).T).Q.T * math.sqrt(dims / 2)
        places = places @ ways
    labels = torch.zeros(len(places), dtype=torch.long) if case.gan.classes else None
    return generate(case.gan.generator, places[:, :dims], labels).view(lines, lines, -1)


def _cells(nodes: Tensor, box: Limits, real: Tensor) -> Image.Image:
    """The bent grid: cells of equal probability, the smaller the darker."""
    corners = _pixels(nodes.flatten(0, 1), box).reshape(*nodes.shape[:2], 2)
    quads = np.stack([corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]], 2).reshape(-1, 4, 2)
    quads = quads[np.isfinite(quads).all((1, 2))]
    x, y = quads[..., 0], quads[..., 1]
    areas = np.abs((x * np.roll(y, -1, 1) - np.roll(x, -1, 1) * y).sum(1)) / 2
    even = (SIDE * FINE) ** 2 / LINES**2  # a cell of samples that fill the whole picture
    opacity = np.clip(0.08 + 0.35 * np.sqrt(even / np.maximum(areas, 1e-9)), 0.1, 0.75)
    canvas = _enlarged(scatter_image(real[:0], box, real=real))
    draw = ImageDraw.Draw(canvas, "RGBA")  # which lays colours over what is there
    for quad, strength in zip(quads, opacity, strict=True):
        draw.polygon([tuple(p) for p in quad], (0, 114, 178, int(255 * strength)), (0, 60, 110, 150))
    return canvas.reduce(FINE)


def _coloured(case: Case, real: Tensor, fake: Tensor, box: Limits) -> np.ndarray[Any, Any]:
    """[SIDE, SIDE, 3]: D's answers from purple over white to green."""
    at_real, at_fake = (_judged(case, points).detach() for points in (real, fake))
    border = LOSSES[case.config.loss].border
    if border is None or case.game.loss.relativistic:  # scores without a zero: halfway between the two kinds
        border = float(at_real.mean() + at_fake.mean()) / 2
    reach = float((torch.cat([at_real, at_fake]) - border).abs().quantile(0.9).clamp(min=1e-6))
    found = _judged(case, _lattice(box, CELLS, real.shape[1])).detach().view(CELLS, CELLS)
    share = ((found - border) / reach).clamp(-1, 1).numpy()[..., None] * 0.6
    colours = np.where(share > 0, GREEN, PURPLE) * np.abs(share) + 255.0 * (1 - np.abs(share))
    return np.asarray(Image.fromarray(colours.astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _arrows(case: Case, fake: Tensor, real: Tensor, box: Limits) -> Image.Image:
    partners = real[torch.arange(len(fake)) % len(real)]
    lattice = _lattice(box, LATTICE, real.shape[1])
    steep = downhill(case, lattice, real[torch.arange(len(lattice)) % len(real)]).norm(dim=1).quantile(0.9)
    ways = downhill(case, fake, partners) / steep.clamp(min=1e-12)
    ways = (ways / ways.norm(dim=1, keepdim=True).clamp(min=1)).numpy()[:, :2] * LONGEST * FINE
    canvas = _enlarged(scatter_image(fake, box, real=real))
    draw = ImageDraw.Draw(canvas)
    for (x, y), (dx, dy) in zip(_pixels(fake, box), ways, strict=True):
        length = math.hypot(dx, dy)
        if not math.isfinite(length) or length < FINE:
            continue
        tip, (ux, uy), head = (x + dx, y - dy), (dx / length, -dy / length), min(6.0 * FINE, length)
        draw.line([(x, y), tip], ORANGE, 4)
        foot = tip[0] - head * ux, tip[1] - head * uy
        side = head * 0.45
        wings = [(foot[0] - side * uy, foot[1] + side * ux), (foot[0] + side * uy, foot[1] - side * ux)]
        draw.polygon([tip, *wings], ORANGE)
    return canvas.reduce(FINE)


def downhill(case: Case, fake: Tensor, real: Tensor) -> Tensor:
    """-dL_G/dx at points [N, D], [N, D]: where each should go, in the eyes of D, for G to lose less.

    A relativistic loss compares with the reals [N, D].
    """
    points = fake.to(case.device).requires_grad_()
    partners = _judged(case, real).detach() if case.game.loss.relativistic else None
    loss = case.game.loss.generator(_judged(case, points), partners) * len(points)
    return -torch.autograd.grad(loss, points)[0].cpu()


def _judged(case: Case, points: Tensor) -> Tensor:
    """D's logits [N], of the first class where there are classes; gradients reach the points."""
    points = points.to(case.device)
    count = len(points)
    labels = torch.zeros(count, dtype=torch.long, device=case.device) if case.config.conditional else None
    rest = torch.zeros(count, 1, device=case.device)
    logits, _ = case.game.judge(points, Batch(points, labels, rest, rest[:, 0]), Moment(), in_float32=True)
    logits = logits.flatten(1).mean(1) if logits.dim() > 1 else logits
    return logits if points.requires_grad else logits.cpu()


def _must_be_plane(case: Case) -> None:
    if case.shape != (2,):
        sort = "images" if case.is_image else f"points of {case.shape[0]} numbers"
        raise MissingError(f"layers in the plane are for points of 2 numbers, and these samples are {sort}")


def _of_first_class(case: Case) -> tuple[Tensor, Tensor]:
    """(real, fake); of a conditional run the first class alone, because D's answers are about one class at a time."""
    assert case.store is not None
    if not case.config.conditional or case.store.labels is None:
        return case.real, case.fake
    return case.real[case.store.labels[case.rows] == 0], case.fake[:: len(case.store.classes)]


def _class_told(case: Case) -> str:
    assert case.store is not None
    return f"; all of the class '{case.store.classes[0]}'" if case.config.conditional else ""


def _lattice(box: Limits, side: int, dims: int) -> Tensor:
    """Points [side * side, dims] of the middles of cells, row by row from the top."""
    left, right, bottom, top = box
    steps = (torch.arange(side) + 0.5) / side
    y, x = torch.meshgrid(top + (bottom - top) * steps, left + (right - left) * steps, indexing="ij")
    return torch.stack([x, y], 2).view(-1, 2).float()[:, :dims]


def _pixels(points: Tensor, box: Limits) -> np.ndarray[Any, Any]:
    """Places [N, 2] in the enlarged picture, y downwards."""
    left, right, bottom, top = box
    values = points.detach().cpu().double().numpy()
    return np.stack([(values[:, 0] - left) / (right - left), (top - values[:, 1]) / (top - bottom)], 1) * SIDE * FINE


def _enlarged(picture: Image.Image) -> Image.Image:
    """To draw smooth lines on; `reduce` gives the same picture back."""
    return picture.resize((SIDE * FINE, SIDE * FINE), Image.Resampling.NEAREST)
