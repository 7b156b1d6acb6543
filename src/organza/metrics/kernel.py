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

from organza.data.progress import SILENT, Progress
from organza.metrics.checks import Features, as_pair, must_be_from
from organza.metrics.influence import Influence, centred
from organza.metrics.pairs import Points, scan, seen_from_their_centre

LEAST = 2
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
    must_be_from("subsets", subsets, 1)
    must_be_from("subset_size", subset_size, LEAST)
    real, fake = as_pair(real, fake, subset_size)
    random, values = np.random.RandomState(seed), []
    for done in range(subsets):
        chosen = [_draw(features, subset_size, random) for features in (fake, real)]
        values.append(_of_tensors(chosen[1], chosen[0]).value)
        progress.step("kernel distance of subsets", done + 1, subsets)
    return SubsetDistance(float(np.mean(values)), float(np.std(values)), subsets, subset_size)


def _draw(features: Tensor, count: int, random: np.random.RandomState) -> Tensor:
    return features[torch.from_numpy(random.choice(len(features), count, replace=False)).to(features.device)]


def kernel_influence(*, real: Features, fake: Features, progress: Progress = SILENT) -> Influence:
    """The distance of all samples and what each adds to it. Raises ConfigError as `kernel_distance` does."""
    return _of_tensors(*as_pair(real, fake, LEAST), progress)


def _of_tensors(real: Tensor, fake: Tensor, progress: Progress = SILENT) -> Influence:
    one, two = seen_from_their_centre(real, fake)
    sums = [KernelSums(a, b) for a, b in ((one, one), (two, two), (two, one))]
    names = ("kernel of real and real", "kernel of fake and fake", "kernel of fake and real")
    for part, name in zip(sums, names, strict=True):
        scan(part.one, part.two, [part], name, progress)
    return distance_of(*sums)


class KernelSums:
    """A visitor that sums the kernel over the rows and over the columns of all pairs, a sample with itself left out."""

    def __init__(self, one: Points, two: Points) -> None:
        self.one, self.two = one, two
        centre = one.centre.double()
        middle = centre @ centre / 2  # x . y is about the origin; the products are about the centre
        self.shifts = [_along(points, centre) + middle for points in (one, two)]
        self.of_rows = torch.zeros(len(one), dtype=torch.float64, device=centre.device)
        self.of_columns = torch.zeros(len(two), dtype=torch.float64, device=centre.device)

    def __call__(self, rows: slice, columns: slice, products: Tensor) -> None:
        """Add a block."""
        dim = len(self.one.centre)
        shifts = [shift[part].to(products.dtype) for shift, part in zip(self.shifts, (rows, columns), strict=True)]
        base = (products + shifts[0][:, None]).add_(shifts[1]).div_(dim).add_(1)
        kernel = (base * base).mul_(base)
        if self.one is self.two and rows == columns:
            self.of_rows[rows] += kernel.fill_diagonal_(0).sum(1, dtype=torch.float64)
            return
        self.of_rows[rows] += kernel.sum(1, dtype=torch.float64)
        across = self.of_rows if self.one is self.two else self.of_columns
        across[columns] += kernel.sum(0, dtype=torch.float64)


def _along(points: Points, direction: Tensor) -> Tensor:
    """Centred points . direction, float64 [N]."""
    parts = [part.double() @ direction for part in points.features.split(1024)]
    return torch.cat(parts) - points.centre.double() @ direction


def distance_of(real: KernelSums, fake: KernelSums, cross: KernelSums) -> Influence:
    """The distance from the sums within both sets and over fakes and reals."""
    m, n = len(real.of_rows), len(fake.of_rows)
    within = real.of_rows / (m - 1), fake.of_rows / (n - 1)
    between = cross.of_columns / n, cross.of_rows / m
    value = within[0].mean() + within[1].mean() - 2 * between[0].mean()
    contributions = [centred(2 * (own - other)) for own, other in zip(within, between, strict=True)]
    return Influence(float(value), contributions[0], contributions[1], samples=(m, n))
