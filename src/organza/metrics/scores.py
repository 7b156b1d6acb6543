"""Fréchet and kernel distance, precision, recall, density and coverage from one pass over pairs of samples."""

from __future__ import annotations

from dataclasses import dataclass

from organza.data.progress import SILENT, Progress
from organza.metrics.checks import Features, as_pair, must_be_from
from organza.metrics.frechet import frechet_distance, frechet_influence
from organza.metrics.influence import Influence
from organza.metrics.kernel import KernelSums, distance_of
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


def feature_scores(
    *, real: Features, fake: Features, k_precision: int = 3, k_density: int = 5, progress: Progress = SILENT
) -> FeatureScores:
    """All six of features [N, D], equal to those of the single functions and in a third of their products.

    Raises ConfigError for fewer than k + 1 samples, different D and values that are not finite.
    """
    reals, fakes = as_pair(real, fake, max(k_precision, k_density) + 1)
    distance = frechet_distance(real=reals, fake=fakes)
    found = pair_influences(real=reals, fake=fakes, k_precision=k_precision, k_density=k_density, progress=progress)
    return FeatureScores(distance, **{name: influence.value for name, influence in found.items()})


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
    for name, k in (("k_precision", k_precision), ("k_density", k_density)):
        must_be_from(name, k, 1)
    one, two = seen_from_their_centre(*as_pair(real, fake, max(k_precision, k_density) + 1))
    sums = KernelSums(one, one), KernelSums(two, two), KernelSums(two, one)
    near = [NearestWithin(points, max(k_precision, k_density)) for points in (one, two)]
    scan(one, one, [sums[0], near[0]], "pairs within real", progress)
    scan(two, two, [sums[1], near[1]], "pairs within fake", progress)
    balls = Balls(near[0], near[1], k_precision, k_density)
    scan(two, one, [sums[2], balls], "pairs of fake and real", progress)
    return {"kernel_distance": distance_of(*sums), **influences(balls.found())}
