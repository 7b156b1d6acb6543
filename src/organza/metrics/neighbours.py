"""Scores by nearest neighbours: precision and recall, density and coverage, and whether samples are remembered.

A set covers the balls about its samples, each up to the k-th nearest other sample of the set.

* precision: share of fakes in a ball of the reals (<=); recall: share of reals in a ball of the fakes (<=)
  (Kynkäänniemi et al., arXiv:1904.06991, eq. 2), k = 3
* density: mean number of balls of the reals about a fake, over k (<), it may exceed 1; coverage: share of reals with a
  fake in their own ball (<) (Naeem et al., arXiv:2002.09797, eqs. 4 and 5), k = 5
* realism, of one fake: how deep it lies in the balls of the reals (arXiv:1904.06991, eq. 4), k = 3

Distances are Euclidean. All depend on N: compare at equal numbers only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from organza.config import ConfigError
from organza.data.progress import SILENT, Progress
from organza.metrics.checks import Features, as_pair, must_be_from
from organza.metrics.influence import Influence, centred
from organza.metrics.pairs import Points, Scratch, scan, seen_from_their_centre, squared_distances


@dataclass(frozen=True)
class PrecisionRecall:
    """Both from 0 to 1."""

    precision: float  # how many fakes look real
    recall: float  # how much of the real variety the fakes have

    @property
    def f_score(self) -> float:
        """Their harmonic mean, 0 where both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass(frozen=True)
class DensityCoverage:
    """Density from 0 (about 1 for equal distributions), coverage from 0 to 1."""

    density: float
    coverage: float


@dataclass(frozen=True)
class Neighbourhood:
    """The verdict on every sample, from which the scores are means: for pictures of what is missing.

    What is `alone` would be lost with this one sample.
    """

    fake_inside: Tensor  # bool [N_fake]: in a ball of the reals (<=)
    real_inside: Tensor  # bool [N_real]: in a ball of the fakes (<=)
    balls: Tensor  # float64 [N_fake]: balls of the reals about a fake (<), over k
    held: Tensor  # float64 [N_real]: fakes in its ball (<), over k
    gaps: Tensor  # [N_real]: how far its nearest fake is, over the radius of its ball; 1 or more is a hole
    real_alone: Tensor  # [N_real]: fakes that are in its ball (<=) and in no other
    fake_alone: Tensor  # [N_fake]: reals that are in its ball (<=) and in no other
    fake_alone_in: Tensor  # [N_fake]: balls of the reals (<) that have it and no other fake

    @property
    def covered(self) -> Tensor:
        """bool [N_real]: a fake is in its own ball (<); where False, the fakes have a hole."""
        return self.held > 0


def precision_recall(*, real: Features, fake: Features, k: int = 3, progress: Progress = SILENT) -> PrecisionRecall:
    """Improved precision and recall of features [N, D].

    Raises ConfigError for k < 1, fewer than k + 1 samples, different D and values that are not finite.
    """
    found = neighbourhood(real=real, fake=fake, k=k, progress=progress)
    return PrecisionRecall(_share(found.fake_inside), _share(found.real_inside))


def density_coverage(*, real: Features, fake: Features, k: int = 5, progress: Progress = SILENT) -> DensityCoverage:
    """Density and coverage of features [N, D]. Raises ConfigError as `precision_recall` does."""
    found = neighbourhood(real=real, fake=fake, k=k, progress=progress)
    return DensityCoverage(_share(found.balls), _share(found.covered))


def neighbourhood(*, real: Features, fake: Features, k: int, progress: Progress = SILENT) -> Neighbourhood:
    """The same for every sample. Raises ConfigError as `precision_recall` does."""
    must_be_from("k", k, 1)
    one, two = seen_from_their_centre(*as_pair(real, fake, k + 1))
    nearest = [NearestWithin(points, k) for points in (one, two)]
    for points, visitor, name in ((one, nearest[0], "real"), (two, nearest[1], "fake")):
        scan(points, points, [visitor], f"neighbours within {name}", progress)
    balls = Balls(nearest[0], nearest[1], k)
    scan(two, one, [balls], "neighbours of fake in real", progress)
    return balls.found()


def realism(*, real: Features, fake: Features, k: int = 3, kept: float = 0.5, progress: Progress = SILENT) -> Tensor:
    """How well each fake fits among the reals, [N_fake], from 0: over all balls of the reals, the largest ratio of the
    radius to the distance of the fake from the centre (Kynkäänniemi et al., arXiv:1904.06991, eq. 4).

    From 1 on it lies in a ball; infinity stands for a fake that equals a real. The paper leaves out the balls above the
    median radius, `kept` = 0.5, because a lonely real has a ball so large that poor fakes lie in it. Raises ConfigError
    as `precision_recall` does, and for `kept` outside (0, 1].
    """
    must_be_from("k", k, 1)
    if not 0 < kept <= 1:
        raise ConfigError(f"kept is {kept}; it takes a share above 0, at most 1")
    reals, fakes = as_pair(real, fake)
    must_be_from("the number of real samples", len(reals), k + 1)
    one, two = seen_from_their_centre(reals, fakes)
    within = NearestWithin(one, k)
    scan(one, one, [within], "neighbours within real", progress)
    radii = within.radii(k).clamp(min=0)
    small = radii <= radii.sort().values[max(1, math.ceil(kept * len(radii))) - 1]
    best = radii.new_zeros(len(two))

    def keep(rows: slice, columns: slice, products: Tensor) -> None:
        """The largest ratio so far; 0 / 0, a fake on a real that is there k times more, is on the border."""
        squares = squared_distances(two, one, rows, columns, products).clamp_(min=0)
        ratios = (radii[columns] / squares).nan_to_num(nan=1.0, posinf=torch.inf) * small[columns]
        best[rows] = torch.maximum(best[rows], ratios.nan_to_num(nan=0.0, posinf=torch.inf).amax(1))

    scan(two, one, [keep], "realism of fake", progress)
    return best.sqrt()


def influences(found: Neighbourhood) -> dict[str, Influence]:
    """The four scores with what each sample adds to them, also as the centre of a ball, whose radius is held fixed.

    To draw balls anew with repetitions would make them smaller: a repeated sample is its own neighbour.
    """
    m, n = len(found.held), len(found.balls)
    columns = {
        "precision": (_of_balls(found.fake_inside, found.real_alone), found.fake_inside, found.fake_inside),
        "recall": (found.real_inside, _of_balls(found.real_inside, found.fake_alone), found.real_inside),
        "density": (found.held * (m / n), found.balls, found.balls),
        "coverage": (found.covered, _of_balls(found.covered, found.fake_alone_in), found.covered),
    }  # fmt: skip
    return {
        name: Influence(_share(values), centred(real), centred(fake), 0.0, _most(name), (m, n))
        for name, (real, fake, values) in columns.items()
    }


def _most(name: str) -> float:
    return math.inf if name == "density" else 1.0


def _of_balls(inside: Tensor, alone: Tensor) -> Tensor:
    """What each centre of a ball adds to the share that is inside, from what it alone has.

    In a union such moves are too large (Efron & Stein, 1981, doi:10.1214/aos/1176345462). By how much is known for a
    Poisson count of balls about a sample, whose mean is that of the share: var 1[count > 0] over E 1[count = 1].
    """
    share = _share(inside)
    excess = 0.0 if share in (0.0, 1.0) else share / -math.log1p(-share)
    return alone.double() * (len(alone) / len(inside) * excess**0.5)


def _share(values: Tensor) -> float:
    return float(values.double().mean())


class NearestWithin:
    """A visitor that keeps the squared distances to the k nearest other samples of the same set."""

    def __init__(self, points: Points, k: int) -> None:
        self.points, self.k = points, k
        self.nearest = points.features.new_full((len(points), k), torch.inf)

    def __call__(self, rows: slice, columns: slice, products: Tensor) -> None:
        """Look at a block."""
        squares = squared_distances(self.points, self.points, rows, columns, products)
        if rows == columns:
            self._keep(rows, squares.fill_diagonal_(torch.inf), 1)
            return
        self._keep(rows, squares, 1)
        self._keep(columns, squares, 0)

    def _keep(self, where: slice, squares: Tensor, dim: int) -> None:
        """The nearest along `dim`, of the points that have one nearer than known: a minimum is quicker than a sort."""
        nearer = (squares.amin(dim) < self.nearest[where, -1]).nonzero()[:, 0]
        found = squares.index_select(1 - dim, nearer).topk(min(self.k, squares.shape[dim]), dim, largest=False).values
        nearer += where.start
        known = torch.cat([self.nearest[nearer], found if dim else found.T], 1)
        self.nearest[nearer] = known.topk(self.k, largest=False).values

    def radii(self, k: int) -> Tensor:
        """Squared radii of the balls [N]."""
        return self.nearest[:, k - 1]


class Balls:
    """A visitor of fake and real that finds which samples are in which balls."""

    def __init__(self, real: NearestWithin, fake: NearestWithin, k: int, k_density: int | None = None) -> None:
        self.real, self.fake = real.points, fake.points
        self.k = k_density or k
        self.radii, self.tight, self.of_fakes = real.radii(k), real.radii(self.k), fake.radii(k)
        self.about_fakes, self.about_reals = _Cover(self.of_fakes), _Cover(self.radii)
        self.fakes_within = _Cover(self.radii)
        self.counts = torch.zeros_like(self.of_fakes)
        self.closest = torch.full_like(self.radii, torch.inf)
        self.scratch = Scratch()

    def __call__(self, rows: slice, columns: slice, products: Tensor) -> None:
        """Look at a block."""
        squares = squared_distances(self.fake, self.real, rows, columns, products)
        room = self.scratch.of(*products.shape, like=products)
        self.about_fakes.add(rows, torch.le(squares, self.radii[columns], out=room), columns)
        self.about_reals.add(columns, torch.le(squares, self.of_fakes[rows, None], out=room).T, rows)
        within = torch.lt(squares, self.tight[columns], out=room)
        self.fakes_within.add(columns, within.T, rows)
        self.counts[rows] += within.sum(1)
        self.closest[columns] = torch.minimum(self.closest[columns], squares.amin(0))

    def found(self) -> Neighbourhood:
        """After all blocks."""
        gaps = (self.closest.clamp(min=0) / self.tight.clamp(min=0)).sqrt().nan_to_num(nan=1.0, posinf=torch.inf)
        m, n = len(self.radii), len(self.counts)
        return Neighbourhood(
            self.about_fakes.counts > 0, self.about_reals.counts > 0, self.counts.double() / self.k,
            self.fakes_within.counts.double() / self.k, gaps, self.about_fakes.alone(m), self.about_reals.alone(n),
            self.fakes_within.alone(n),
        )  # fmt: skip


class _Cover:
    """How many of some others each sample is near to, and which one it is where that is a single one."""

    def __init__(self, like: Tensor) -> None:
        self.sums = like.new_zeros(2, len(like))

    def add(self, mine: slice, near: Tensor, others: slice) -> None:
        """A block of 0 and 1, [mine, others]."""
        numbers = torch.arange(others.start, others.stop, device=near.device, dtype=near.dtype)
        self.sums[:, mine] += torch.stack([torch.ones_like(numbers), numbers]) @ near.T

    @property
    def counts(self) -> Tensor:
        """[N]."""
        return self.sums[0]

    def alone(self, count: int) -> Tensor:
        """How many samples each of the `count` others has to itself: int64 [count]."""
        return self.sums[1, self.counts == 1].long().bincount(minlength=count)
