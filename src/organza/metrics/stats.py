"""Mean and covariance of features, gathered batch by batch in float64, merged over shards and processes.

Kept are n, the mean and the scatter sum (x - mean)(x - mean)^T, merged as by Chan, Golub & LeVeque (1979). Raw moments
sum x and sum x x^T hold the same, but lose digits where the mean is large: in float32 all of them (a mean of 40 at a
deviation of 1 makes the covariance indefinite).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from organza.config import ConfigError
from organza.metrics.checks import Features, as_features
from organza.training import checkpoint, distributed

KIND = "organza feature statistics"
BLOCK = 512  # rows that are in float64 at once
PANEL = 256  # rows of a symmetric matrix that are computed at once, from the diagonal on


class FeatureStats:
    """Moments of features [N, D] of one protocol (network, resizer, ...; "" if nobody named it)."""

    def __init__(self, protocol: str = "") -> None:
        self.protocol = protocol
        self.n = 0
        self._mean = torch.zeros(0, dtype=torch.float64)
        self._scatter = torch.zeros(0, 0, dtype=torch.float64)

    @classmethod
    def of(cls, features: Features, protocol: str = "") -> FeatureStats:
        """Those of one whole array."""
        return cls(protocol).update(features)

    @property
    def dim(self) -> int:
        """D; 0 before the first batch."""
        return len(self._mean)

    @property
    def mean(self) -> Tensor:
        """float64 [D]. Raises ConfigError before the first sample."""
        self._must_have(1)
        return self._mean

    def cov(self, ddof: int = 1) -> Tensor:
        """float64 [D, D], divided by n - ddof: 1 as in TTUR, 0 as in StyleGAN. Raises ConfigError for n <= ddof."""
        self._must_have(ddof + 1)
        return self._whole() / (self.n - ddof)

    def update(self, features: Features) -> FeatureStats:
        """Add a batch [N, D]; returns itself. Raises ConfigError as `as_features` does, and for another D."""
        batch = as_features("features", features, least=0)
        for block in batch.split(BLOCK):
            if len(block):
                x = block.to(torch.float64, copy=True)
                mean = x.mean(0)
                self._add(len(x), mean, x.sub_(mean))
        return self

    def __add__(self, other: FeatureStats) -> FeatureStats:
        """Those of both sets of samples together. Raises ConfigError for another protocol or D."""
        must_compare(self, other)
        merged = FeatureStats(self.protocol)
        for part in (self, other):
            if part.n:
                merged._add(part.n, part._mean, None, part._whole())
        return merged

    def all_reduce(self) -> FeatureStats:
        """Those of the samples of all processes, equal in each; every process must ask, also one without samples.

        Raises ConfigError, in every process, where protocols or D differ.
        """
        device = self._mean.device
        protocol = distributed.shared_choice(self.protocol)
        widths = distributed.of_all_processes(torch.tensor([self.dim], device=device)).flatten()
        dim = int(widths.max())
        differs = protocol != self.protocol or self.dim not in (0, dim)
        if distributed.any_process(differs, device):
            raise ConfigError(
                f"the processes have features of different protocols or lengths: '{protocol}' in the first, "
                f"'{self.protocol}' here; lengths {widths.tolist()}"
            )
        own = self if self.dim else self._empty(dim)
        counts = distributed.of_all_processes(torch.tensor([own.n], dtype=torch.float64, device=device))
        means = distributed.of_all_processes(own._mean)
        total = FeatureStats(self.protocol)
        total.n = int(counts.sum())
        total._mean = (counts * means).sum(0) / max(total.n, 1)
        gap = own._mean - total._mean
        moved = own._whole().addr(gap, gap, alpha=own.n)  # about the common mean
        total._scatter = distributed.mean(moved) * distributed.world()
        return total

    def save(self, path: str | Path) -> None:
        """Write a safetensors file with its protocol, whole or not at all. Raises OSError."""
        moments = {"mean": self._mean, "scatter": self._whole()}
        checkpoint.save(Path(path), {"kind": KIND, "protocol": self.protocol, "n": self.n, **moments})

    @classmethod
    def load(cls, path: str | Path) -> FeatureStats:
        """What `save` wrote. Raises FileNotFoundError, and DamagedError (a ValueError) for another or a torn file."""
        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no file {path}")
        state = checkpoint.load(Path(path))
        if state.get("kind") != KIND:
            raise checkpoint.DamagedError(f"{path} holds no feature statistics")
        stats = cls(state["protocol"])
        stats.n, stats._mean, stats._scatter = state["n"], state["mean"], state["scatter"]
        return stats

    def _add(self, n: int, mean: Tensor, centred: Tensor | None, scatter: Tensor | None = None) -> None:
        """Merge n samples, given as centred rows or as their scatter."""
        if not self.dim:
            self._mean, self._scatter = torch.zeros_like(mean), mean.new_zeros(len(mean), len(mean))
        if len(mean) != self.dim:
            raise ConfigError(f"features of length {len(mean)} do not join statistics of length {self.dim}")
        gap, total = mean.to(self._mean.device) - self._mean, self.n + n
        if centred is not None:
            for panel in _panels(self.dim):
                self._scatter[panel, panel.start :].addmm_(centred[:, panel].T, centred[:, panel.start :])
        if scatter is not None:
            self._scatter += scatter.to(self._scatter.device)
        self._scatter.addr_(gap, gap, alpha=self.n * n / total)
        self._mean += gap * (n / total)
        self.n = total

    def _whole(self) -> Tensor:
        """The scatter with both halves: batches are added to the panels from the diagonal on."""
        for panel in _panels(self.dim):
            self._scatter[panel.stop :, panel] = self._scatter[panel, panel.stop :].T
        return self._scatter

    def _empty(self, dim: int) -> FeatureStats:
        empty = FeatureStats(self.protocol)
        empty._mean, empty._scatter = self._mean.new_zeros(dim), self._mean.new_zeros(dim, dim)
        return empty

    def _must_have(self, least: int) -> None:
        if self.n < least:
            raise ConfigError(f"the statistics hold {self.n} samples; this needs at least {least}")


def _panels(dim: int) -> Iterator[slice]:
    return (slice(start, min(start + PANEL, dim)) for start in range(0, dim, PANEL))


def mean_and_cov(features: Features) -> tuple[Tensor, Tensor]:
    """Those of one whole array, float64 [D] and [D, D], in the memory of one matrix."""
    stats = FeatureStats.of(features)
    stats._must_have(2)
    return stats.mean, stats._whole().div_(stats.n - 1)


def must_compare(one: FeatureStats, two: FeatureStats) -> None:
    """Raise ConfigError, with both protocols, where the features are of different ones."""
    if one.protocol != two.protocol:
        raise ConfigError(
            f"features of the protocol '{one.protocol or 'unnamed'}' cannot be compared with those of "
            f"'{two.protocol or 'unnamed'}'; make both with the same network and resizer"
        )
