"""Where directions come from: the weights (SeFa), the spread of the codes (GANSpace), or labelled samples."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from organza.config import ConfigError
from organza.data.progress import SILENT, Progress
from organza.latent.editing import Directions, must_be_layers
from organza.latent.layers import first_layer
from organza.latent.readers import readers
from organza.latent.sampling import latents
from organza.latent.space import LatentSpace
from organza.training.batches import to_bytes

if TYPE_CHECKING:
    from organza.hub import GAN

Labels = Mapping[int, str]
"""Seed -> what its sample shows."""

SAMPLES, SAMPLES_OF_Z = 10_000, 2_000  # of codes; of activations, which are large
LABELLED = 2_000
AT_ONCE = 250
RIDGE = 1e-2  # added to the covariance of a classifier, as a share of its mean variance


def sefa(gan: GAN, n: int | None = None, layers: Sequence[int] | None = None) -> Directions:
    """The directions that the first weights enlarge the most, in closed form (Shen & Zhou, arXiv:2007.06600, eq. 5).

    They are the eigenvectors of A^T A, where the rows of A are the weights that read the codes of `layers` (all): the
    affine maps of w, or the layers behind the noise. No sample is needed; a standard deviation is that of the codes,
    the same for all directions. Raises ConfigError for layers that are not there.
    """
    latent = LatentSpace(gan.generator)
    where = _layers(latent, layers)
    read = readers(latent)
    weights = [weight for layer in where for weight in read[layer]]
    if not weights:
        raise ConfigError(f"no matrix of this generator ({gan.model.name}) reads the codes of layers {list(where)}")
    matrix = torch.cat(weights).double()
    values, vectors = torch.linalg.eigh(matrix.T @ matrix)
    kept = _kept(n, len(values))
    basis, values = _upright(vectors.flip(1).T[:kept]), values.flip(0).clamp(min=0)
    spread = float(_codes(gan, SAMPLES).var(0).mean().sqrt()) if latent.has_w else 1.0
    shares = (values / values.sum().clamp(min=1e-300))[:kept].tolist()
    return Directions(basis, torch.full((kept,), spread), where, "SeFa", explained=tuple(shares))


def ganspace(
    gan: GAN, n: int | None = None, layers: Sequence[int] | None = None, *, samples: int | None = None, seed: int = 0,
    progress: Progress = SILENT,
) -> Directions:  # fmt: skip
    """The directions along which samples differ the most (Härkönen et al., arXiv:2004.02546, section 2).

    With a w: the principal components of w, which act in `layers` (all). Else the principal components of what the
    first layer with maps makes of the noise, led back to its first part by least squares (section 2.2); other `layers`
    than that are refused. Raises ConfigError for those, and for layers that are not there.
    """
    latent = LatentSpace(gan.generator)
    if latent.has_w:
        where = _layers(latent, layers)
        values, basis, _ = principal(_codes(gan, samples or SAMPLES, seed))
        return _components(values, basis, values, where, _kept(n, len(values)))
    if (where := _layers(latent, layers)) != (0,):
        raise ConfigError(f"without w, GANSpace looks at what the first part of the noise does, not {where}; SeFa can")
    z = torch.randn(samples or SAMPLES_OF_Z, gan.z_dim, generator=torch.Generator().manual_seed(seed))
    found = first_layer(gan, z, progress)
    values, _, scores = principal(found)
    most = _kept(n, min(len(values), latent.width))
    led = torch.linalg.lstsq(scores[:, :most].double(), z[:, : latent.width].double())
    back = led.solution  # [K, width]: from scores to noise
    lengths = back.norm(dim=1)
    variances = values[:most] * lengths.square()
    return _components(values, back / lengths[:, None].clamp(min=1e-300), variances, where, most)


def principal(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[N, D] -> variances [K], components [K, D] and scores [N, K] in float64, the largest first; K is at most N - 1.

    By whichever of the two square matrices is smaller.
    """
    centred = values.double() - values.double().mean(0)
    count, width = centred.shape
    if width <= count:
        variances, vectors = torch.linalg.eigh(centred.T @ centred / (count - 1))
        basis = vectors.flip(1).T
    else:
        variances, vectors = torch.linalg.eigh(centred @ centred.T / (count - 1))
        basis = vectors.flip(1).T[: count - 1] @ centred
        basis = basis / basis.norm(dim=1, keepdim=True).clamp(min=1e-300)
    basis = _upright(basis).double()
    return variances.flip(0)[: len(basis)].clamp(min=0), basis, centred @ basis.T


def from_labels(
    gan: GAN, labels: Labels | str | Path | Literal["classes", "digits"] = "classes", *,
    method: Literal["means", "classifier"] = "means", layers: Sequence[int] | None = None, samples: int = LABELLED,
    seed: int = 0, progress: Progress = SILENT,
) -> Directions:  # fmt: skip
    """A direction to each label, away from the others; with two labels one direction, from the first to the second.

    `labels` are `classes` (of a conditional GAN with a w), `digits` (what the embedded classifier sees in 28x28 grey
    samples), a CSV file `seed,label` of samples that somebody looked at, or a mapping. `means` is the difference of the
    mean codes, along which everything that goes with a label changes too; `classifier` the normal of the linear
    classifier (Fisher's discriminant), along which only what tells the labels apart does. One standard deviation is
    that of the codes along the direction. Raises ConfigError for labels that are too few, or that cannot be had.
    """
    if method not in ("means", "classifier"):
        raise ConfigError(f"method is '{method}'; it takes means or classifier")
    latent = LatentSpace(gan.generator)
    where = _layers(latent, layers)
    codes, given = _labelled(gan, labels, samples, seed, progress)
    flat = codes[:, where[0]]
    names = sorted(set(given), key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))
    few = [name for name in names if given.count(name) < 2]
    if few or len(names) < 2:
        told = f"'{few[0]}' has a single sample" if few else f"there is only '{', '.join(names)}'"
        raise ConfigError(f"directions need two labels or more with two samples each, and {told}")
    basis = torch.stack([towards(flat, [g == name for g in given], method) for name in names[-1:] if len(names) == 2]
                        or [towards(flat, [g == name for g in given], method) for name in names])  # fmt: skip
    told = (f"{names[0]} to {names[1]}",) if len(names) == 2 else tuple(names)
    std = ((flat.double() - flat.double().mean(0)) @ basis.T.double()).std(0).float()
    return Directions(basis, std, where, f"labels ({method})", told)


def towards(codes: Tensor, chosen: Sequence[bool], method: str) -> Tensor:
    """Codes [N, width] -> the direction [width] of length 1 from those that are not chosen to those that are."""
    values, mask = codes.double(), torch.tensor(chosen)
    yes, no = values[mask], values[~mask]
    way = yes.mean(0) - no.mean(0)
    if method == "classifier":
        within = torch.cat([yes - yes.mean(0), no - no.mean(0)])
        covariance = within.T @ within / max(len(within) - 2, 1)
        ridge = RIDGE * float(covariance.diagonal().mean()) + 1e-12
        way = torch.linalg.solve(covariance + ridge * torch.eye(len(covariance), dtype=torch.float64), way)
    return (way / way.norm().clamp(min=1e-300)).float()


def read_labels(path: str | Path) -> tuple[list[int], list[str], list[str] | None]:
    """Seeds, labels and, where there is a third column, classes of a CSV file. Raises ConfigError with the line."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"no file '{file}'; labels are classes, digits or a CSV file with lines seed,label")
    try:
        rows = [(at, row) for at, row in enumerate(csv.reader(file.read_text("utf-8-sig").splitlines()), 1) if row]
    except (UnicodeDecodeError, csv.Error) as problem:
        raise ConfigError(f"{file} is no CSV file in UTF-8 ({problem}); it takes lines seed,label") from None
    if rows and not rows[0][1][0].strip().isdecimal():  # the names of the columns
        rows = rows[1:]
    for at, row in rows:
        if len(row) not in (2, 3) or not _is_seed(row[0]) or len(row) != len(rows[0][1]) or not row[1].strip():
            raise ConfigError(f"line {at} of {file.name} is '{','.join(row)}'; it takes seed,label or seed,label,class")
    classes = [row[2].strip() for _, row in rows] if rows and len(rows[0][1]) == 3 else None
    return [int(row[0]) for _, row in rows], [row[1].strip() for _, row in rows], classes


def _is_seed(cell: str) -> bool:
    return cell.strip().isdecimal() and int(cell) < 2**32


def _labelled(
    gan: GAN, labels: Labels | str | Path, samples: int, seed: int, progress: Progress
) -> tuple[Tensor, list[str]]:
    """Codes [N, layers, width] and a label for each."""
    latent, classes, words = LatentSpace(gan.generator), None, list[str]()
    if labels in ("classes", "digits"):
        seeds = list(range(seed, seed + samples))
    elif isinstance(labels, Mapping):
        seeds, words = list(labels), list(labels.values())
    else:
        assert isinstance(labels, (str, Path))
        seeds, words, classes = read_labels(labels)
    chosen = gan.label_numbers(classes, len(seeds))
    starts = range(0, len(seeds), AT_ONCE)
    made = [latent.codes(latents(seeds[at : at + AT_ONCE], gan.z_dim), _part(chosen, at)) for at in starts]
    codes = torch.cat(made) if made else torch.empty(0, latent.layers, latent.width)
    if labels == "digits":
        return codes, _digits(gan, latent, codes, chosen, progress)
    if labels != "classes":
        return codes, words
    if chosen is None or not latent.has_w:
        raise ConfigError(
            "directions between classes are in the w of a conditional GAN; this one has no "
            f"{'classes' if chosen is None else 'w: its label is told beside the noise, so give that'}"
        )
    return codes, [gan.classes[int(label)] for label in chosen]


def _digits(gan: GAN, latent: LatentSpace, codes: Tensor, chosen: Tensor | None, progress: Progress) -> list[str]:
    from organza.metrics.digits import digit_features

    if tuple(gan.shape) != (1, 28, 28):
        raise ConfigError(f"digits are told in grey samples of 28x28, not {list(gan.shape)}; give a CSV seed,label")
    found: list[str] = []
    for at in range(0, len(codes), AT_ONCE):
        images = to_bytes(latent.draw(codes[at : at + AT_ONCE], _part(chosen, at)))
        found += [str(int(digit)) for digit in digit_features(images)[1]]
        progress.step("looking at samples", len(found), len(codes))
    return found


def _part(labels: Tensor | None, at: int) -> Tensor | None:
    return None if labels is None else labels[at : at + AT_ONCE]


def _codes(gan: GAN, samples: int, seed: int = 0) -> Tensor:
    """w [N, w_dim] of a generator that has one, its classes in turn."""
    latent = LatentSpace(gan.generator)
    z = torch.randn(samples, gan.z_dim, generator=torch.Generator().manual_seed(seed))
    labels = gan.label_numbers(None, samples)
    return torch.cat([
        latent.codes(z[at : at + AT_ONCE], _part(labels, at))[:, 0].clone() for at in range(0, samples, AT_ONCE)
    ])  # fmt: skip


def _components(values: Tensor, basis: Tensor, variances: Tensor, where: tuple[int, ...], most: int) -> Directions:
    shares = (values / values.sum().clamp(min=1e-300))[:most].tolist()
    std = variances[:most].clamp(min=0).sqrt().float()
    return Directions(_upright(basis[:most]), std, where, "GANSpace", explained=tuple(shares))


def _layers(latent: LatentSpace, layers: Sequence[int] | None) -> tuple[int, ...]:
    """All of w's, or those given; of the parts of a noise the first, or another."""
    if layers is None:
        return tuple(range(latent.layers)) if latent.has_w else (0,)
    must_be_layers(list(layers), latent.layers)
    if not latent.has_w and len(layers) > 1:
        raise ConfigError(f"the parts of a noise have nothing in common; give one layer, not {list(layers)}")
    return tuple(layers)


def _kept(n: int | None, most: int) -> int:
    if n is not None and n < 1:
        raise ConfigError(f"n is {n}; it takes 1 or more")
    return most if n is None else min(n, most)


def _upright(basis: Tensor) -> Tensor:
    """float32, every row turned so that its largest number is positive: eigenvectors have no sign of their own."""
    largest = basis.gather(1, basis.abs().argmax(1, keepdim=True))
    return (basis * torch.where(largest < 0, -1.0, 1.0)).float()
