"""Fréchet and kernel distance, precision, recall, density and coverage from one pass over pairs of samples."""

from __future__ import annotations

from dataclasses import dataclass

from organza.data.progress import SILENT, Progress
from organza.metrics.checks import Features, as_pair, must_be_from
from organza.metrics.frechet import frechet_distance, frechet_influence
from organza.metrics.influence import Influence
from organza.metrics.kernel import SubsetDistance, distance_of, draws, kernel_sums, of_subsets
from organza.metrics.neighbours import Balls, NearestWithin, influences
from organza.metrics.pairs import scan, seen_from_their_centre


@dataclass(frozen=True)
class FeatureScores:
    """What features alone can say, with the names of their functions."""

    frechet_distance: float
    kernel_distance: float
    precision: float
    recall: float
    density: float
    coverage: float
    kernel_subsets: SubsetDistance | None = None


@dataclass(frozen=True)
class Pairs:
    """What one pass over pairs of samples tells."""

    influences: dict[str, Influence]  # kernel_distance, precision, recall, density, coverage
    kernel_subsets: SubsetDistance | None = None


def feature_scores(
    *, real: Features, fake: Features, k_precision: int = 3, k_density: int = 5, subsets: int | None = None,
    subset_size: int = 1000, progress: Progress = SILENT,
) -> FeatureScores:  # fmt: skip
    """All of features [N, D], equal to those of the single functions and in a third of their products.

    With `subsets`, the kernel distance of so many subsets too. Raises ConfigError for fewer than k + 1 samples or than
    `subset_size`, different D and values that are not finite.
    """
    reals, fakes = as_pair(real, fake, max(k_precision, k_density) + 1)
    distance = frechet_distance(real=reals, fake=fakes)  # first: what it takes goes back to the system
    found = look_at_pairs(
        real=reals, fake=fakes, k_precision=k_precision, k_density=k_density, subsets=subsets, subset_size=subset_size,
        progress=progress,
    )  # fmt: skip
    values = {name: influence.value for name, influence in found.influences.items()}
    return FeatureScores(distance, **values, kernel_subsets=found.kernel_subsets)


def feature_influences(
    *, real: Features, fake: Features, k_precision: int = 3, k_density: int = 5, progress: Progress = SILENT
) -> dict[str, Influence]:
    """The same by name, each with what every sample adds to it: for `interval` and `compare`."""
    of_pairs = pair_influences(real=real, fake=fake, k_precision=k_precision, k_density=k_density, progress=progress)
    return {"frechet_distance": frechet_influence(real=real, fake=fake), **of_pairs}


def pair_influences(
    *, real: Features, fake: Features, k_precision: int = 3, k_density: int = 5, progress: Progress = SILENT
) -> dict[str, Influence]:
    """All but the Fréchet distance, whose eigenproblem is the dearest at few samples. Raises as `feature_scores`."""
    return look_at_pairs(
        real=real, fake=fake, k_precision=k_precision, k_density=k_density, progress=progress
    ).influences  # fmt: skip


def look_at_pairs(
    *, real: Features, fake: Features, k_precision: int = 3, k_density: int = 5, subsets: int | None = None,
    subset_size: int = 1000, progress: Progress = SILENT,
) -> Pairs:  # fmt: skip
    """The same, and the kernel distance of subsets where there are any: every product of two samples is made once."""
    for name, k in (("k_precision", k_precision), ("k_density", k_density)):
        must_be_from(name, k, 1)
    most = max(k_precision, k_density)
    reals, fakes = as_pair(real, fake, max(most + 1, subset_size if subsets else 0))
    one, two = seen_from_their_centre(reals, fakes)
    sums = kernel_sums(one, two, draws(len(one), len(two), subsets, subset_size) if subsets else None)
    near = [NearestWithin(points, most) for points in (one, two)]
    scan(one, one, [sums[0], near[0]], "pairs within real", progress)
    scan(two, two, [sums[1], near[1]], "pairs within fake", progress)
    balls = Balls(near[0], near[1], k_precision, k_density)
    scan(two, one, [sums[2], balls], "pairs of fake and real", progress)
    found = {"kernel_distance": distance_of(sums), **influences(balls.found())}
    return Pairs(found, of_subsets(sums, subset_size) if subsets else None)
