"""How far to trust a score: bootstrap intervals, a floor, and a paired test of "is A better than B".

The bootstrap (Efron, 1979) draws both sets anew, with repetitions, and looks at how the score moves. Draws with
repetitions have fewer different samples, which biases scores such as the Fréchet distance upwards; so the interval is
made of the moves about their mean, put at the score itself. It is about the score at this N and holds no bias in N.
Scores that have an `Influence` need one evaluation for any number of replicates; any other function of features is
evaluated anew for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from organza.config import ConfigError
from organza.data.progress import SILENT, Progress
from organza.metrics.checks import Features, as_features, as_pair, must_be_from
from organza.metrics.influence import Influence

AT_ONCE = 2**22  # numbers of drawn rows in memory

Score = Callable[..., float]
"""Called with real= and fake=, two tensors [N, D]."""


@dataclass(frozen=True)
class Interval:
    """A score between its bounds, with what they are made of."""

    value: float
    low: float
    high: float
    level: float  # how often such an interval holds the expectation of the score at this N
    replicates: int
    real: int  # N of both sets
    fake: int


@dataclass(frozen=True)
class Comparison:
    """Score of A less score of B on the same reals."""

    difference: float
    low: float
    high: float
    level: float
    p: float  # two-sided: how often chance alone gives such a difference
    replicates: int

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Floor:
    """The score of reals against other reals: what perfect samples would get."""

    value: float  # mean over splits
    low: float  # least and greatest of a split
    high: float
    splits: int
    real: int  # N of both parts
    fake: int


def interval(influence: Influence, replicates: int = 1000, level: float = 0.95, seed: int = 0) -> Interval:
    """The interval of a score with an influence. Raises ConfigError for a level outside (0, 1), or few replicates."""
    parts = [part for part in (influence.real, influence.fake) if part is not None]
    low, high = _bounds(influence.value, _moves(parts, replicates, seed), level)
    low, high = max(low, influence.least), min(high, influence.most)
    return Interval(influence.value, low, high, level, replicates, *influence.samples)


def compare(
    a: Influence, b: Influence, replicates: int = 1000, level: float = 0.95, seed: int = 0, paired_fakes: bool = False
) -> Comparison:
    """Two scores of the same reals, in the same order: draws of the reals are common to both.

    `paired_fakes`: sample i of A and of B come from the same latent, and are drawn together, too.
    Raises ConfigError where the numbers of samples rule that out.
    """
    parts = _difference(a.real, b.real, "real")
    if paired_fakes:
        parts += _difference(a.fake, b.fake, "fake")
    else:
        parts += [sign * fake for sign, fake in ((1, a.fake), (-1, b.fake)) if fake is not None]
    return _compare(a.value - b.value, _moves(parts, replicates, seed), level)


def _difference(a: Tensor | None, b: Tensor | None, name: str) -> list[Tensor]:
    if a is None or b is None:
        return []
    if len(a) != len(b):
        raise ConfigError(f"A has {len(a)} {name} samples and B has {len(b)}; a paired test needs the same ones")
    return [a - b]


def _moves(parts: Sequence[Tensor], replicates: int, seed: int) -> np.ndarray:
    """How far each replicate is from the score: the sum over parts of the mean of a draw."""
    must_be_from("replicates", replicates, 20)
    random, moves = np.random.default_rng(seed), np.zeros(replicates)
    for part in parts:
        values = part.cpu().double().numpy()
        at_once = max(1, AT_ONCE // len(values))
        for start in range(0, replicates, at_once):
            count = min(at_once, replicates - start)
            moves[start : start + count] += values[random.integers(0, len(values), (count, len(values)))].mean(1)
    return moves


def _bounds(value: float, moves: np.ndarray, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise ConfigError(f"level is {level}; it must be between 0 and 1, usually 0.95")
    low, high = np.quantile(moves, [(1 - level) / 2, (1 + level) / 2])
    return value + float(low), value + float(high)


def _compare(difference: float, moves: np.ndarray, level: float) -> Comparison:
    low, high = _bounds(difference, moves, level)
    beyond = int((np.abs(moves) >= abs(difference)).sum())
    return Comparison(difference, low, high, level, (beyond + 1) / (len(moves) + 1), len(moves))


def bootstrap(
    score: Score, *, real: Features, fake: Features, replicates: int = 100, level: float = 0.95, seed: int = 0,
    progress: Progress = SILENT,
) -> Interval:  # fmt: skip
    """The interval of any score of features [N, D], evaluated once for each replicate.

    Not for scores by nearest neighbours, whose balls shrink when samples are repeated: `interval` of their influences.
    Raises ConfigError as the score does, and as `interval` does.
    """
    must_be_from("replicates", replicates, 20)
    reals, fakes = as_pair(real, fake, 2)
    random, value, found = np.random.default_rng(seed), score(real=reals, fake=fakes), []
    for done in range(replicates):
        found.append(score(real=_drawn(reals, random), fake=_drawn(fakes, random)))
        progress.step("bootstrap", done + 1, replicates)
    low, high = _bounds(value, np.array(found) - np.mean(found), level)
    return Interval(value, low, high, level, replicates, len(reals), len(fakes))


def paired_test(
    score: Score, *, real: Features, fake_a: Features, fake_b: Features, replicates: int = 100, level: float = 0.95,
    seed: int = 0, paired_fakes: bool = False, progress: Progress = SILENT,
) -> Comparison:  # fmt: skip
    """`compare` for any score of features [N, D]: every replicate judges A and B against the same draw of the reals.

    Raises ConfigError as the score, `interval` and `compare` do.
    """
    must_be_from("replicates", replicates, 20)
    reals, a = as_pair(real, fake_a, 2)
    reals, b = as_pair(reals, fake_b, 2)
    if paired_fakes and len(a) != len(b):
        raise ConfigError(f"A has {len(a)} fake samples and B has {len(b)}; a paired test needs the same ones")
    random, found = np.random.default_rng(seed), []
    difference = score(real=reals, fake=a) - score(real=reals, fake=b)
    for done in range(replicates):
        drawn, rows = _drawn(reals, random), _rows(len(a), random)
        other = rows if paired_fakes else _rows(len(b), random)
        found.append(score(real=drawn, fake=a[rows.to(a.device)]) - score(real=drawn, fake=b[other.to(b.device)]))
        progress.step("paired bootstrap", done + 1, replicates)
    return _compare(difference, np.array(found) - np.mean(found), level)


def _rows(count: int, random: np.random.Generator) -> Tensor:
    return torch.from_numpy(random.integers(0, count, count))


def _drawn(features: Tensor, random: np.random.Generator) -> Tensor:
    return features[_rows(len(features), random).to(features.device)]


def noise_floor(
    score: Score, *, real: Features, samples: int | None = None, splits: int = 5, seed: int = 0,
    progress: Progress = SILENT,
) -> Floor:  # fmt: skip
    """Reals against reals at the N of a comparison with `samples` fakes: disjoint parts, drawn anew for each split.

    The part in the place of the fakes has `samples` reals, at most half of them (the default); the rest are the reals.
    Raises ConfigError for fewer than 4 reals and as the score does.
    """
    must_be_from("splits", splits, 1)
    reals = as_features("real", real, 4)
    half = len(reals) // 2
    count = half if samples is None else min(samples, half)
    must_be_from("samples", count, 2)
    random, found = np.random.default_rng(seed), []
    for done in range(splits):
        order = torch.from_numpy(random.permutation(len(reals))).to(reals.device)
        found.append(score(real=reals[order[count:]], fake=reals[order[:count]]))
        progress.step("real against real", done + 1, splits)
    return Floor(float(np.mean(found)), min(found), max(found), splits, len(reals) - count, count)
