"""Are samples remembered? Nearest reals for a picture, and two numbers about them; both are hints and no proofs.

* authenticity: share of fakes that are farther from their nearest real than that is from its own nearest
  (Alaa et al., arXiv:2102.08921, section 4; AuthPct is 100 times as much)
* MiFID: the Fréchet distance over the mean cosine distance of a fake to its nearest real, where that is below 0.1
  (Bai et al., arXiv:2106.03062, section 3)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from organza.data.progress import SILENT, Progress
from organza.metrics.checks import Features, as_pair, must_be_from
from organza.metrics.frechet import frechet_distance, frechet_influence
from organza.metrics.influence import Influence, centred
from organza.metrics.neighbours import NearestWithin
from organza.metrics.pairs import Points, scan, seen_from_their_centre, squared_distances

SUSPECT = 0.1  # of the cosine distance


@dataclass(frozen=True)
class Nearest:
    """The reals that are nearest to each fake, nearest first."""

    indices: Tensor  # int64 [N_fake, k]
    distances: Tensor  # [N_fake, k], Euclidean


def nearest(*, real: Features, fake: Features, k: int = 1, progress: Progress = SILENT) -> Nearest:
    """The k nearest reals of each fake, for features [N, D].

    Raises ConfigError for fewer than k reals, different D and values that are not finite.
    """
    reals, fakes = as_pair(real, fake, 1)
    must_be_from("k", k, 1, len(reals))
    return _nearest(*seen_from_their_centre(reals, fakes), k, progress)


def _nearest(real: Points, fake: Points, k: int, progress: Progress) -> Nearest:
    squares = fake.features.new_full((len(fake), k), torch.inf)
    indices = torch.zeros(len(fake), k, dtype=torch.int64, device=squares.device)

    def keep(rows: slice, columns: slice, products: Tensor) -> None:
        """The nearest of what was known and of this block."""
        found = squared_distances(fake, real, rows, columns, products)
        few, where = found.topk(min(k, found.shape[1]), largest=False)
        known = torch.cat([squares[rows], few], 1)
        places = torch.cat([indices[rows], where + columns.start], 1)
        squares[rows], order = known.topk(k, largest=False)
        indices[rows] = places.gather(1, order)

    scan(fake, real, [keep], "nearest real of fake", progress)
    return Nearest(indices, squares.clamp(min=0).sqrt())


def authenticity(*, real: Features, fake: Features, progress: Progress = SILENT) -> float:
    """From 0 (all remembered) to 1; about 1/2 for new samples of the same distribution, whatever k and D.

    Raises ConfigError for fewer than 2 reals, different D and values that are not finite.
    """
    reals, fakes = as_pair(real, fake, 1)
    must_be_from("the number of real samples", len(reals), 2)
    one, two = seen_from_their_centre(reals, fakes)
    within = NearestWithin(one, 1)
    scan(one, one, [within], "neighbours within real", progress)
    found = _nearest(one, two, 1, progress)
    own = within.radii(1).clamp(min=0).sqrt()[found.indices[:, 0]]
    return float((found.distances[:, 0] > own).double().mean())


@dataclass(frozen=True)
class MemorisationDistance:
    """MiFID, which equals the plain distance where no memorisation is suspected."""

    value: float
    frechet: float
    cosine_distance: float  # mean over fakes of the least 1 - |cos|


def memorisation_distance(*, real: Features, fake: Features, progress: Progress = SILENT) -> MemorisationDistance:
    """MiFID of features [N, D]; samples without direction (all 0) are left out of the cosines.

    A set of exact copies gives infinity, or 0 where nothing but the copies is there. Raises ConfigError as
    `frechet_distance` does.
    """
    reals, fakes = as_pair(real, fake, 2)
    return _penalised(frechet_distance(real=reals, fake=fakes), float(_cosine_distances(reals, fakes, progress).mean()))


def memorisation_influence(
    *, real: Features, fake: Features, progress: Progress = SILENT
) -> tuple[MemorisationDistance, Influence]:
    """The same, and what each sample adds to it; both parts of a quotient F / c move: dF / c - F dc / c^2.

    Which real is the nearest is held fixed. Infinity has no contributions. Raises ConfigError as `frechet_distance`.
    """
    reals, fakes = as_pair(real, fake, 2)
    plain, cosines = frechet_influence(real=reals, fake=fakes), _cosine_distances(reals, fakes, progress)
    found = _penalised(plain.value, float(cosines.mean()))
    if found.value in (plain.value, float("inf")):
        kept = plain if found.value == plain.value else replace(plain, value=found.value, real=None, fake=None)
        return found, kept
    assert plain.real is not None
    assert plain.fake is not None
    cosine, of_fake = found.cosine_distance, plain.fake / found.cosine_distance
    if len(cosines) == len(of_fake):
        of_fake = of_fake - plain.value / cosine**2 * centred(cosines)
    return found, replace(plain, value=found.value, real=plain.real / cosine, fake=of_fake)


def _penalised(plain: float, cosine: float) -> MemorisationDistance:
    if cosine >= SUSPECT or plain == 0:
        return MemorisationDistance(plain, plain, cosine)
    return MemorisationDistance(plain / cosine if cosine else float("inf"), plain, cosine)


def _cosine_distances(real: Tensor, fake: Tensor, progress: Progress) -> Tensor:
    """Of each fake with a direction to its nearest real, float64; a single 1 where there are none."""
    sides = [_directions(features) for features in (real, fake)]
    if not len(sides[0]) or not len(sides[1]):
        return torch.ones(1, dtype=torch.float64)
    one, two = (Points(side, torch.zeros_like(real[0])) for side in sides)
    closest = torch.zeros(len(two), dtype=real.dtype, device=real.device)

    def keep(rows: slice, columns: slice, products: Tensor) -> None:
        """The largest cosine so far."""
        closest[rows] = torch.maximum(closest[rows], products.abs().amax(1))

    scan(two, one, [keep], "cosines of fake and real", progress)
    return (1 - closest.double()).clamp(min=0)


def _directions(features: Tensor) -> Tensor:
    sizes = features.norm(dim=1, keepdim=True)
    alive = sizes[:, 0] > 0
    return features[alive] / sizes[alive]
