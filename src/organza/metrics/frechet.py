"""The Fréchet distance between two sets of features, in float64 (Heusel et al., arXiv:1706.08500, eq. 6).

    FD = |mu_r - mu_f|^2 + tr S_r + tr S_f - 2 tr (S_r S_f)^(1/2)

The trace of the root is the sum of the roots of the eigenvalues of the symmetric L^T S_f L, where S_r = L L^T. With
A, B the centred features over (n - 1)^(1/2), it is the nuclear norm of A B^T too, which is smaller for few samples.
`frechet_infinity` removes the bias, of order 1/N, by extrapolation (Chong & Forsyth, arXiv:1911.07023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from organza.config import ConfigError
from organza.data.progress import SILENT, Progress
from organza.metrics.checks import Features, as_features, as_pair, must_be_as_wide, must_be_from
from organza.metrics.influence import Influence, centred
from organza.metrics.stats import PANEL, FeatureStats, mean_and_cov, must_compare

LEAST = 2  # samples of a covariance
T95 = 1.96

Side = Tensor | FeatureStats


def frechet_distance(*, real: Features | FeatureStats, fake: Features | FeatureStats) -> float:
    """The distance between features [N, D], arrays or tensors, or between their `FeatureStats`; never below 0.

    Raises ConfigError for fewer than 2 samples, different D, values that are not finite and different protocols.
    """
    if isinstance(real, FeatureStats) or isinstance(fake, FeatureStats):
        return _of_moments(*_checked(real, fake))
    real, fake = as_pair(real, fake, LEAST)
    few = len(real) * len(fake) <= real.shape[1] ** 2
    return _of_few(real, fake) if few else _of_moments(real, fake)


def _checked(real: Features | FeatureStats, fake: Features | FeatureStats) -> tuple[Side, Side]:
    """Both as tensors or statistics, of one width; an array is taken to be of the protocol of the other."""
    if isinstance(real, FeatureStats) and isinstance(fake, FeatureStats):
        must_compare(real, fake)
    one = real if isinstance(real, FeatureStats) else as_features("real", real, LEAST)
    two = fake if isinstance(fake, FeatureStats) else as_features("fake", fake, LEAST)
    widths = [side.dim if isinstance(side, FeatureStats) else side.shape[1] for side in (one, two)]
    must_be_as_wide(*widths)
    return one, two


def _of_moments(real: Side, fake: Side) -> float:
    """With two matrices in memory at most: each takes the place of one that is not needed any more."""
    mean, cov = _moments(real)
    distance, factor = cov.trace(), _factor(cov)
    del cov
    other, cov = _moments(fake)
    distance = distance.to(cov.device) + cov.trace() + (other - mean.to(other.device)).square().sum()
    product = _sandwich(factor.to(cov.device), cov)
    del factor, cov
    distance -= 2 * torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()
    return max(float(distance), 0.0)


def _moments(side: Side) -> tuple[Tensor, Tensor]:
    """Mean and a covariance that may be written over."""
    return (side.mean, side.cov()) if isinstance(side, FeatureStats) else mean_and_cov(side)


def _factor(cov: Tensor) -> Tensor:
    """The lower triangle L with L L^T = cov: Cholesky's, or of a singular matrix that of its root R, R^T = Q L^T."""
    factor, failed = torch.linalg.cholesky_ex(cov)
    if not failed:
        return factor
    values, vectors = torch.linalg.eigh(cov)
    root = vectors * values.clamp(min=0).sqrt()
    return torch.linalg.qr(root.T, mode="r").R.T


def _sandwich(factor: Tensor, cov: Tensor) -> Tensor:
    """The lower half of L^T S L, in the place of S: its eigenvalues are those of L L^T S.

    Column by column from the left, as L is a lower triangle: what stands below and to the right is all that is needed.
    """
    for start in range(0, len(cov), PANEL):
        rest, columns = slice(start, None), slice(start, start + PANEL)
        cov[rest, columns] = factor[rest, rest].T @ (cov[rest, rest] @ factor[rest, columns])
    return cov


def _of_few(real: Tensor, fake: Tensor) -> float:
    """The same by the nuclear norm, without covariances."""
    one, two, gap = _scaled(real, fake)
    cross = torch.linalg.svdvals(one @ two.T).sum()
    return max(float(gap.square().sum() + one.square().sum() + two.square().sum() - 2 * cross), 0.0)


def _scaled(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Centred features over (n - 1)^(1/2), and mean of fake less mean of real, in float64."""
    one, two = real.double(), fake.double()
    means = one.mean(0), two.mean(0)
    return (one - means[0]) / (len(one) - 1) ** 0.5, (two - means[1]) / (len(two) - 1) ** 0.5, means[1] - means[0]


def frechet_influence(*, real: Features | FeatureStats, fake: Features) -> Influence:
    """The distance and what each sample adds to it; a real set of which only `FeatureStats` are left is held fixed.

    With T the map of optimal transport from one Gaussian to the other, d tr (S_r S_f)^(1/2) = tr(T dS) / 2: a sample x
    contributes 2 (its mean - the other mean) . (x - its mean) + (x - its mean)^T (I - T) (x - its mean).
    Raises ConfigError as `frechet_distance` does.
    """
    few = not isinstance(real, FeatureStats) and len(real) * len(fake) <= fake.shape[-1] ** 2
    if few and not isinstance(real, FeatureStats):
        value, of_real, of_fake = _influence_of_few(*as_pair(real, fake, LEAST))
    else:
        value, of_real, of_fake = _influence_of_many(real, as_features("fake", fake, LEAST))
    kept = None if of_real is None else centred(of_real)
    n_real = real.n if isinstance(real, FeatureStats) else len(real)
    return Influence(value, kept, centred(of_fake), least=0.0, samples=(n_real, len(fake)))


def _influence_of_few(real: Tensor, fake: Tensor) -> tuple[float, Tensor, Tensor]:
    one, two, gap = _scaled(real, fake)
    left, values, right = torch.linalg.svd(one @ two.T, full_matrices=False)
    distance = gap.square().sum() + one.square().sum() + two.square().sum() - 2 * values.sum()

    def contribution(scaled: Tensor, gap: Tensor, vectors: Tensor) -> Tensor:
        """Of each sample of a side: through its mean, and through its covariance."""
        straight = 2 * (len(scaled) - 1) ** 0.5 * (scaled @ gap)
        return straight + len(scaled) * (scaled.square().sum(1) - (vectors.square() * values).sum(1))

    return max(float(distance), 0.0), contribution(one, -gap, left), contribution(two, gap, right.T)


def _influence_of_many(real: Features | FeatureStats, fake: Tensor) -> tuple[float, Tensor | None, Tensor]:
    one, two = (x if isinstance(x, FeatureStats) else FeatureStats.of(x) for x in _checked(real, fake))
    cov_fake, gap = two.cov(), two.mean - one.mean.to(two.mean.device)
    cov_real = one.cov().to(cov_fake.device)
    factor = _factor(cov_real)
    values, vectors = torch.linalg.eigh(_sandwich(factor, cov_fake.clone()))  # which reads the lower half
    kept = values > 1e-11 * values[-1]  # the rest is rounding, which negative powers would magnify
    roots, basis = values[kept].sqrt(), factor @ vectors[:, kept]
    cross = values.clamp(min=0).sqrt().sum()
    distance = cov_real.trace() + cov_fake.trace() + gap.square().sum() - 2 * cross
    of_fake = _contributions(fake, two, gap, basis * roots.pow(-0.5))
    if isinstance(real, FeatureStats):
        return max(float(distance), 0.0), None, of_fake
    of_real = _contributions(as_features("real", real), one, -gap, cov_fake @ basis * roots.pow(-1.5))
    return max(float(distance), 0.0), of_real, of_fake


def _contributions(features: Tensor, stats: FeatureStats, gap: Tensor, root: Tensor) -> Tensor:
    """One for each sample; `root` is R in T = R R^T."""
    parts = []
    for block in features.split(1024):
        x = block.double().to(gap.device) - stats.mean.to(gap.device)
        squares = x.square().sum(1) - (x @ root).square().sum(1)
        parts.append(2 * x @ gap + squares * stats.n / (stats.n - 1))
    return torch.cat(parts)


@dataclass(frozen=True)
class Extrapolation:
    """The distance at infinitely many fakes, with its interval of 95 %, and the line that was drawn to it."""

    value: float
    low: float
    high: float
    slope: float  # of FD over 1/N
    sizes: tuple[int, ...]
    distances: tuple[float, ...]  # at those sizes
    residual: float  # standard deviation of the distances about the line


def frechet_infinity(
    *, real: Features | FeatureStats, fake: Features, points: int = 15, seed: int = 0, progress: Progress = SILENT
) -> Extrapolation:
    """FD over 1/N by a line, at `points` sizes from min(5000, N / 10) to N, seeded subsets of the fakes: its intercept.

    The bias of few reals stays: the same reals serve every size. The interval joins the error of the line to that of
    the sample at full N (`frechet_influence`), of which the subsets know nothing.
    Raises ConfigError as `frechet_distance` does, for fewer than 20 fakes and fewer than 3 points.
    """
    must_be_from("points", points, 3)
    fakes = as_features("fake", fake, 20)
    reals = real if isinstance(real, FeatureStats) else FeatureStats.of(as_features("real", real, LEAST))
    most, random = len(fakes), np.random.RandomState(seed)
    sizes = np.linspace(max(LEAST, min(5000, most // 10)), most, points).astype(int)
    distances = []
    for done, size in enumerate(sizes):
        rows = torch.from_numpy(random.permutation(most)[:size]).to(fakes.device)
        distances.append(_distance_to(reals, real, fakes[rows]))
        progress.step("extrapolating the Fréchet distance", done + 1, points)
    value, slope, residual, error = _line(1 / sizes, np.array(distances))
    sampling = _standard_error(frechet_influence(real=real, fake=fakes))
    width = T95 * (error**2 + sampling**2) ** 0.5
    found = tuple(int(size) for size in sizes)
    return Extrapolation(value, value - width, value + width, slope, found, tuple(distances), residual)


def _distance_to(stats: FeatureStats, real: Features | FeatureStats, fake: Tensor) -> float:
    """By the cheaper way; the moments of the reals are made once."""
    if not isinstance(real, FeatureStats) and len(real) * len(fake) <= fake.shape[1] ** 2:
        return frechet_distance(real=real, fake=fake)
    return frechet_distance(real=stats, fake=fake)


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float, float]:
    """Least squares: intercept, slope, deviation about the line, standard error of the intercept."""
    slope, intercept = np.polyfit(x, y, 1)
    residual = float(np.sqrt(np.square(y - intercept - slope * x).sum() / (len(x) - 2)))
    spread = np.square(x - x.mean()).sum()
    if spread == 0:
        raise ConfigError("all sizes are equal; give more fakes")
    return float(intercept), float(slope), residual, residual * float(np.sqrt(1 / len(x) + x.mean() ** 2 / spread))


def _standard_error(influence: Influence) -> float:
    parts = [part for part in (influence.real, influence.fake) if part is not None]
    return float(sum(part.square().mean() / len(part) for part in parts)) ** 0.5
