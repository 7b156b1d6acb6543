"""The sliced Wasserstein distance: mean over directions of that of one dimension (Bonneel et al., 2015; as a score of
samples Karras et al., arXiv:1710.10196, section 5, there on image patches)."""

from __future__ import annotations

import torch
from torch import Tensor

from organza.data.progress import SILENT, Progress
from organza.metrics.checks import Features, as_pair, must_be_from

AT_ONCE = 64  # directions


def sliced_distance(
    *, real: Features, fake: Features, directions: int = 512, seed: int = 0, progress: Progress = SILENT
) -> float:
    """The sliced 2-Wasserstein distance of features [N, D], exact on each of the seeded directions for any two N.

    It is (mean over unit vectors v of W_2(v.real, v.fake)^2)^(1/2): for sets that differ by a shift s, |s| / D^(1/2).
    Raises ConfigError for no samples, different D and values that are not finite.
    """
    must_be_from("directions", directions, 1)
    reals, fakes = as_pair(real, fake, 1)
    generator, total = torch.Generator().manual_seed(seed), 0.0
    vectors = torch.randn(directions, reals.shape[1], generator=generator, dtype=torch.float64)
    vectors = (vectors / vectors.norm(dim=1, keepdim=True)).to(fakes.device)
    weights, of_real, of_fake = _steps(len(reals), len(fakes), fakes.device)
    for start in range(0, directions, AT_ONCE):
        some = vectors[start : start + AT_ONCE].T
        one, two = _projected(reals, some)[of_real], _projected(fakes, some)[of_fake]
        total += float((weights @ (one - two).square()).sum())
        progress.step("sliced Wasserstein distance", min(start + AT_ONCE, directions), directions)
    return (total / directions) ** 0.5


def monge_distance(
    *, real: Features, fake: Features, directions: int = 1000, seed: int = 2020, progress: Progress = SILENT
) -> float:
    """MIND: 3 D times the mean of W_2^2 over random directions, of equal numbers [N, D] (arXiv:2605.06797).

    As torch-fidelity draws it: of the larger set as many rows as the smaller has, then directions, from one generator.
    For sets that differ by a shift s it is about 3 |s|^2.
    Raises ConfigError for no samples, different D and values that are not finite.
    """
    must_be_from("directions", directions, 1)
    reals, fakes = as_pair(real, fake, 1)
    generator, least, total = torch.Generator().manual_seed(seed), min(len(reals), len(fakes)), 0.0
    if len(fakes) > least:
        fakes = fakes[torch.randperm(len(fakes), generator=generator)[:least].to(fakes.device)]
    elif len(reals) > least:
        reals = reals[torch.randperm(len(reals), generator=generator)[:least].to(reals.device)]
    vectors = torch.randn(directions, reals.shape[1], generator=generator).to(fakes.device).double()
    vectors = vectors / vectors.norm(dim=1, keepdim=True)
    for start in range(0, directions, AT_ONCE):
        some = vectors[start : start + AT_ONCE].T
        total += float((_projected(reals, some) - _projected(fakes, some)).square().mean(0).sum())
        progress.step("Monge distance", min(start + AT_ONCE, directions), directions)
    return 3 * reals.shape[1] * total / directions


def _projected(features: Tensor, vectors: Tensor) -> Tensor:
    """Sorted projections [N, directions]."""
    return torch.cat([part.double() @ vectors for part in features.split(1024)]).sort(0).values


def _steps(m: int, n: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Where both quantile functions are constant: the lengths of these pieces of [0, 1], and their rows in both."""
    edges = torch.cat([torch.arange(m + 1) * n, torch.arange(n + 1) * m]).unique()  # in units of 1 / (m n): exact
    start, length = edges[:-1], edges.diff()
    return (length.double() / (m * n)).to(device), (start // n).to(device), (start // m).to(device)
