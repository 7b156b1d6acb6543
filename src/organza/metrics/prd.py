"""Precision and recall as a curve: how much of each can be had at once (Sajjadi et al., arXiv:1806.00035).

Both sets are put into the clusters that k-means finds in their union. With p and q the shares of reals and of fakes in
each cluster, every trade lambda gives a point of the curve (eqs. 7 and 8):

    precision = sum of min(lambda p, q)        recall = sum of min(p, q / lambda)

The curve is drawn from the mean of several runs of k-means, as the paper does. It depends on N and on the clusters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from organza.data.progress import SILENT, Progress
from organza.metrics.checks import Features, as_pair, must_be_from

CLUSTERS, RUNS, ANGLES = 20, 10, 201
ROUNDS = 100  # of one k-means, at most


@dataclass(frozen=True)
class Trade:
    """Points of the curve, from full recall to full precision."""

    precision: Tensor  # float64 [ANGLES], 0 to 1
    recall: Tensor  # float64 [ANGLES], 0 to 1


def precision_recall_curve(
    *, real: Features, fake: Features, clusters: int = CLUSTERS, runs: int = RUNS, seed: int = 0,
    progress: Progress = SILENT,
) -> Trade:  # fmt: skip
    """The curve of features [N, D]; equal sets reach (1, 1), sets without a common cluster lie at (0, 0).

    Raises ConfigError for fewer samples of a kind than clusters, fewer than 2 clusters, and values that are not finite.
    """
    must_be_from("clusters", clusters, 2)
    must_be_from("runs", runs, 1)
    reals, fakes = as_pair(real, fake, clusters)
    union = torch.cat([reals, fakes])
    random = torch.Generator().manual_seed(seed)
    angles = torch.linspace(1e-6, math.pi / 2 - 1e-6, ANGLES, dtype=torch.float64)
    precision, recall = torch.zeros(ANGLES, dtype=torch.float64), torch.zeros(ANGLES, dtype=torch.float64)
    for run in range(runs):
        found = k_means(union, clusters, random).cpu()
        p, q = (torch.bincount(side, minlength=clusters).double() / len(side) for side in found.split(
            [len(reals), len(fakes)]))  # fmt: skip
        for at, trade in enumerate(angles.tan()):
            precision[at] += torch.minimum(trade * p, q).sum() / runs
            recall[at] += torch.minimum(p, q / trade).sum() / runs
        progress.step("clusters of real and fake", run + 1, runs)
    return Trade(precision.clamp(0, 1), recall.clamp(0, 1))


def k_means(points: Tensor, clusters: int, random: torch.Generator) -> Tensor:
    """The cluster of each of points [N, D], int64 [N]: Lloyd's rounds from the start of k-means++ (2007).

    A cluster that loses its last point keeps its centre.
    """
    centres = _spread_out(points, clusters, random)
    found = torch.full((len(points),), -1, device=points.device)
    for _ in range(ROUNDS):
        nearest = torch.cdist(points, centres).argmin(1)
        if bool((nearest == found).all()):
            break
        found = nearest
        counts = torch.bincount(found, minlength=clusters)
        sums = torch.zeros_like(centres).index_add_(0, found, points)
        centres = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), centres)
    return found


def _spread_out(points: Tensor, clusters: int, random: torch.Generator) -> Tensor:
    """Points to begin with, each drawn by its squared distance to those before (Arthur & Vassilvitskii, 2007)."""
    rows = [int(torch.randint(len(points), (1,), generator=random))]
    squares = torch.full((len(points),), torch.inf, dtype=points.dtype, device=points.device)
    for _ in range(clusters - 1):
        squares = torch.minimum(squares, (points - points[rows[-1]]).square().sum(1))
        chances = squares.cpu().double()
        chances = chances if float(chances.sum()) > 0 else torch.ones_like(chances)
        rows.append(int(torch.multinomial(chances, 1, generator=random)))
    return points[rows]
