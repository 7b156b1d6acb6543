"""The kernel distance (KID), a squared maximum mean discrepancy (Bińkowski et al., arXiv:1801.01401).

    k(x, y) = (x . y / D + 1)^3
    KID = mean over i != j of k(r_i, r_j) + mean over i != j of k(f_i, f_j) - 2 mean of k(r_i, f_j)

It is unbiased: at any N its expectation is that of infinitely many samples, and equal distributions give values on both
sides of 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from torch import Tensor

from organza.config import ConfigError
from organza.data.progress import SILENT, Progress
from organza.metrics.checks import Features, as_pair, must_be_from
from organza.metrics.influence import Influence, centred
from organza.metrics.pairs import Points, Scratch, scan, seen_from_their_centre

LEAST = 2
FEW = 128  # numbers that are added in their own type
SEED = 2020  # of torch-fidelity's protocol


@dataclass(frozen=True)
class SubsetDistance:
    """Mean and standard deviation over subsets; the latter is no confidence interval, for subsets overlap."""

    mean: float
    std: float
    subsets: int
    subset_size: int


@overload
def kernel_distance(
    *, real: Features, fake: Features, subsets: None = None, subset_size: int = 1000, seed: int = SEED,
    progress: Progress = SILENT,
) -> float: ...  # fmt: skip
@overload
def kernel_distance(
    *, real: Features, fake: Features, subsets: int, subset_size: int = 1000, seed: int = SEED,
    progress: Progress = SILENT,
) -> SubsetDistance: ...  # fmt: skip
def kernel_distance(
    *, real: Features, fake: Features, subsets: int | None = None, subset_size: int = 1000, seed: int = SEED,
    progress: Progress = SILENT,
) -> float | SubsetDistance:  # fmt: skip
    """The distance of all samples [N, D] or, with `subsets` (usually 100), that of many small draws.

    Subsets are those of torch-fidelity: `numpy.random.RandomState(seed)`, without replacement within one, fake before
    real. Raises ConfigError for fewer than 2 samples or than `subset_size`, different D, values that are not finite.
    """
    if subsets is None:
        return kernel_influence(real=real, fake=fake, progress=progress).value
    real, fake = as_pair(real, fake, max(subset_size, LEAST))
    members = draws(len(real), len(fake), subsets, subset_size, seed)
    if (len(real) + len(fake)) ** 2 < 6 * subsets * subset_size**2:  # products of all pairs are fewer than of subsets
        sums = _scanned(kernel_sums(*seen_from_their_centre(real, fake), members), progress)
        return of_subsets(sums, subset_size)
    values = []
    for done, rows in enumerate(zip(*members, strict=True)):
        chosen = real[rows[0].to(real.device)], fake[rows[1].to(fake.device)]
        values.append(distance_of(_scanned(kernel_sums(*seen_from_their_centre(*chosen)))).value)
        progress.step("kernel distance of subsets", done + 1, subsets)
    return SubsetDistance(float(np.mean(values)), float(np.std(values)), subsets, subset_size)


def draws(m: int, n: int, subsets: int, size: int, seed: int = SEED) -> tuple[Tensor, Tensor]:
    """The rows of reals and of fakes in each subset, int64 [subsets, size]. Raises ConfigError for sizes below 2."""
    must_be_from("subsets", subsets, 1)
    must_be_from("subset_size", size, LEAST)
    random = np.random.RandomState(seed)
    rows = [[random.choice(count, size, replace=False) for count in (n, m)] for _ in range(subsets)]
    fake, real = (torch.from_numpy(np.stack(side)) for side in zip(*rows, strict=True))
    return real, fake


def kernel_influence(*, real: Features, fake: Features, progress: Progress = SILENT) -> Influence:
    """The distance of all samples and what each adds to it. Raises ConfigError as `kernel_distance` does."""
    return distance_of(_scanned(kernel_sums(*seen_from_their_centre(*as_pair(real, fake, LEAST))), progress))


def kernel_sums(real: Points, fake: Points, rows: tuple[Tensor, Tensor] | None = None) -> Sums:
    """Visitors of real with real, fake with fake and fake with real; with `rows` of `draws`, of the subsets too."""
    members = (None, None) if rows is None else rows
    room, one, two = Scratch(), _Side(real, members[0]), _Side(fake, members[1])
    return KernelSums(one, one, room), KernelSums(two, two, room), KernelSums(two, one, room)


class _Side:
    """One of both sets, as the kernel sees it."""

    def __init__(self, points: Points, rows: Tensor | None) -> None:
        centre, dim = points.centre.double(), len(points.centre)
        self.points, self.inside = points, None if rows is None else _inside(points, rows)
        shift = (_along(points, centre) + centre @ centre / 2) / dim + 0.5  # x . y is about the origin; half of the 1
        self.shift = shift.to(points.centre.dtype)  # rounded alike in all sums: most of it cancels


def _inside(points: Points, rows: Tensor) -> Tensor:
    """[N, subsets], 1 where a row is in a subset, in the type of the points."""
    inside = points.features.new_zeros(len(points), len(rows))
    return inside.scatter_(0, rows.T.to(inside.device), 1.0)


def _scanned(sums: Sums, progress: Progress = SILENT) -> Sums:
    names = ("kernel of real and real", "kernel of fake and fake", "kernel of fake and real")
    for part, name in zip(sums, names, strict=True):
        scan(part.one.points, part.two.points, [part], name, progress)
    return sums


class KernelSums:
    """A visitor that sums the kernel over the rows and over the columns of all pairs, a sample with itself left out.

    Where both sides have subsets it sums over the pairs within each subset too, s^T K t.
    """

    def __init__(self, one: _Side, two: _Side, room: Scratch) -> None:
        self.one, self.two, self.scratch, self.dim = one, two, room, len(one.points.centre)
        subsets = 0 if one.inside is None else one.inside.shape[1]
        self.of_rows, self.of_columns, self.of_subsets = (
            one.shift.new_zeros(size, dtype=torch.float64) for size in (len(one.shift), len(two.shift), subsets)
        )

    def __call__(self, rows: slice, columns: slice, products: Tensor) -> None:
        """Add a block: sums of few in the type of the features, those of all in float64."""
        room, within = self.scratch.of(*products.shape, like=products), self.one is self.two
        kernel = torch.add(self.one.shift[rows, None], products, alpha=1 / self.dim, out=room)
        kernel.add_(self.two.shift[columns]).pow_(3)
        diagonal = within and rows == columns
        if diagonal:
            kernel.fill_diagonal_(0)
        self.of_rows[rows] += _summed(kernel, 1)
        if not diagonal:
            across = self.of_rows if within else self.of_columns
            across[columns] += _summed(kernel, 0)
        if self.one.inside is not None and self.two.inside is not None:
            sums = (kernel @ self.two.inside[columns]).mul_(self.one.inside[rows]).sum(0)
            self.of_subsets += 2 * sums if within and not diagonal else sums


def _summed(kernel: Tensor, dim: int) -> Tensor:
    """Over `dim`: a few in their own type, then in float64. All in float32 lose a digit, all in float64 take long."""
    return torch.stack([part.sum(dim) for part in kernel.split(FEW, dim)]).sum(0, dtype=torch.float64)


Sums = tuple[KernelSums, KernelSums, KernelSums]


def _along(points: Points, direction: Tensor) -> Tensor:
    """Centred points . direction, float64 [N]."""
    parts = [part.double() @ direction for part in points.features.split(256)]
    return torch.cat(parts) - points.centre.double() @ direction


def distance_of(sums: Sums) -> Influence:
    """The distance from the sums within both sets and over fakes and reals."""
    real, fake, cross = sums
    m, n = len(real.of_rows), len(fake.of_rows)
    within = real.of_rows / (m - 1), fake.of_rows / (n - 1)
    between = cross.of_columns / n, cross.of_rows / m
    value = within[0].mean() + within[1].mean() - 2 * between[0].mean()
    _must_be_finite(value, real.one.points)
    contributions = [centred(2 * (own - other)) for own, other in zip(within, between, strict=True)]
    return Influence(float(value), contributions[0], contributions[1], samples=(m, n))


def of_subsets(sums: Sums, size: int) -> SubsetDistance:
    """The distance of each subset, from the sums within them."""
    real, fake, cross = (part.of_subsets for part in sums)
    values = (real + fake) / (size * (size - 1)) - 2 * cross / size**2
    _must_be_finite(values, sums[0].one.points)
    return SubsetDistance(float(values.mean()), float(values.std(correction=0)), len(values), size)


def _must_be_finite(values: Tensor, points: Points) -> None:
    """Raise ConfigError where a sum of cubes has left the range of its type."""
    if not values.isfinite().all():
        kind = str(points.features.dtype).removeprefix("torch.")
        raise ConfigError(
            f"the kernel, a cube, leaves the range of {kind}: the features lie up to {float(points.squares.max()):.1e} "
            "(squared) from their mean; divide those of both sets by one number"
        )
