"""The metrics by name. `METRIC@NETWORK` asks for another network than the embedded one; ALIASES are published names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from organza.config import ConfigError, closest
from organza.data.synthetic import grid_modes, ring_modes
from organza.evaluation.classes import rows_of_classes
from organza.evaluation.counterparts import of_pairs, perceptual, psnr
from organza.evaluation.evidence import Evidence
from organza.evaluation.motion import SMALLEST, errors_of_motion, must_move
from organza.evaluation.perceptual import distance_of, lengths_of_paths, pair_distances
from organza.hub import GAN
from organza.metrics import (
    authenticity,
    bootstrap,
    frechet_infinity,
    frechet_influence,
    inception_score,
    interval,
    kernel_distance,
    memorisation_influence,
    sliced_distance,
)  # fmt: skip
from organza.metrics.diversity import WINDOW, pair_similarities, random_pairs, ssim
from organza.metrics.equivariance import Motion, decibels
from organza.metrics.influence import Influence, of_mean, of_share
from organza.metrics.lpips import Trunk
from organza.metrics.modes import STACKED_MODES, count_modes, mode_coverage, mode_shares, stacked_labels
from organza.metrics.uncertainty import Score

PIXELS = "pixels"  # in the place of a network, for metrics that look at the samples themselves
PAIRS = 1000
SUBSETS = 100
MIXTURES = {"ring": (ring_modes, 0.02), "grid": (grid_modes, 0.05)}


@dataclass(frozen=True)
class Part:
    """One number of a metric."""

    name: str
    value: float
    better: int  # 1 if less is better, -1 if more is, 0 where neither
    low: float | None = None
    high: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric:
    """How it is computed, and the fewest samples of a side that it takes."""

    about: str
    protocol: str
    compute: Callable[[Evidence], list[Part]]
    least: int = 2
    looks: bool = True  # through a network; else at the samples themselves
    trunk: Trunk | None = None  # of LPIPS, through which it looks instead
    of_model: bool = False  # it needs a generator, not samples alone
    takes: Callable[[GAN], None] | None = None  # raises ConfigError for a generator that it cannot judge
    classes: bool = False  # its network must have classes
    side: int = 1  # the least height and width of an image
    of_pairs: bool = False  # its cost grows with the square of the reals, of which it takes some thousands


@dataclass(frozen=True)
class Asked:
    """A metric with its network, "" for the embedded one, under the name that the user gave."""

    name: str
    metric: str
    network: str


def parse(name: str, network: str | None) -> Asked:
    """`fid`, `fd` or `fd@dinov2-vitb14`. Raises ConfigError for unknown names."""
    metric, _, through = name.partition("@")
    if metric in ALIASES and not through:
        return Asked(name, *ALIASES[metric])
    if metric not in METRICS:
        raise ConfigError(f"no metric '{metric}'{closest(metric, [*METRICS, *ALIASES])}")
    if through and not METRICS[metric].looks and METRICS[metric].trunk is None:
        raise ConfigError(f"{metric} looks through nothing that you choose; type {metric}, not {name}")
    return Asked(name, metric, through or network or USUAL.get(metric, ""))


def _of_influence(name: str, influence: Influence, better: int, seed: int) -> Part:
    found = interval(influence, seed=seed)
    return Part(name, influence.value, better, found.low, found.high)


def _fd(seen: Evidence) -> list[Part]:
    return [_of_influence("fd", seen.frechet, 1, seen.seed)]


def _kd(seen: Evidence) -> list[Part]:
    return [_of_influence("kd", seen.pairs["kernel_distance"], 1, seen.seed)]


def _kd_subsets(seen: Evidence) -> list[Part]:
    if seen.plain:
        real, fake = seen.few_real_features, seen.fake_features
        return [Part("kd-subsets", kernel_distance(real=real, fake=fake, subsets=SUBSETS).mean, 1)]
    found = seen.looked.kernel_subsets
    assert found is not None
    own = replace(seen.pairs["kernel_distance"], value=found.mean)  # whose mean over all subsets is that of all samples
    return [replace(_of_influence("kd-subsets", own, 1, seen.seed), details={"std_over_subsets": found.std})]


def _precision_recall(seen: Evidence) -> list[Part]:
    return [_of_influence(name, seen.pairs[name], -1, seen.seed) for name in ("precision", "recall")]


def _density_coverage(seen: Evidence) -> list[Part]:
    return [_of_influence(name, seen.pairs[name], -1, seen.seed) for name in ("density", "coverage")]


def _fd_infinity(seen: Evidence) -> list[Part]:
    found = frechet_infinity(
        real=seen.real_features, fake=seen.fake_features, seed=seen.seed, progress=seen.progress
    )  # fmt: skip
    details = {"slope": found.slope, "sizes": found.sizes, "distances": found.distances, "residual": found.residual}
    return [Part("fd-infinity", found.value, 1, found.low, found.high, details)]


def _fd_per_class(seen: Evidence) -> list[Part]:
    found = {
        name: frechet_influence(real=seen.real_features[real], fake=seen.fake_features[fake])
        for name, real, fake in rows_of_classes(seen)
    }
    details = {name: influence.value for name, influence in found.items()}
    return [replace(_of_influence("fd-per-class", mean_influence(found.values()), 1, seen.seed), details=details)]


def mean_influence(parts: Collection[Influence]) -> Influence:
    """Of the mean of scores whose samples have nothing in common: each counts in its part alone."""
    sides = []
    for side in ("real", "fake"):
        values = [getattr(part, side) for part in parts]
        share = sum(map(len, values)) / len(values)
        sides.append(torch.cat([value * (share / len(value)) for value in values]))
    value = sum(part.value for part in parts) / len(parts)
    return Influence(value, sides[0], sides[1], 0.0, samples=(len(sides[0]), len(sides[1])))


def _sliced(seen: Evidence) -> list[Part]:
    return [_redrawn("sliced", sliced_distance, seen.real_features, seen.fake_features, 1, seen, 20)]


def _mifid(seen: Evidence) -> list[Part]:
    found, influence = memorisation_influence(
        real=seen.few_real_features, fake=seen.fake_features, progress=seen.progress
    )
    part = Part("mifid", found.value, 1) if influence.fake is None else _of_influence("mifid", influence, 1, seen.seed)
    return [replace(part, details={"cosine_distance": found.cosine_distance})]


def _authenticity(seen: Evidence) -> list[Part]:
    value = authenticity(real=seen.few_real_features, fake=seen.fake_features, progress=seen.progress)
    return [_of_share("authenticity", value, seen)]


def _inception_score(seen: Evidence) -> list[Part]:
    logits = seen.fake_logits

    def score(*, real: Tensor, fake: Tensor) -> float:
        """Only fakes count."""
        return inception_score(fake).mean

    part = _redrawn("is", score, logits[:2], logits, -1, seen, 50)
    return [replace(part, details={"std_over_splits": inception_score(logits).std})]


def _labels(seen: Evidence) -> list[Part]:
    """Total variation between what the classifier calls reals and fakes, 0 equal, 1 disjoint; and labels of fakes."""
    count = seen.network.classes
    real, fake = (logits.argmax(1)[:, None] for logits in (seen.real_logits, seen.fake_logits))

    def shares(labels: Tensor) -> Tensor:
        """Of each class."""
        return torch.bincount(labels.flatten().long(), minlength=count).double() / len(labels)

    def score(*, real: Tensor, fake: Tensor) -> float:
        """The total variation."""
        return float((shares(real) - shares(fake)).abs().sum() / 2)

    def present(*, real: Tensor, fake: Tensor) -> float:
        """Only fakes count."""
        return len(fake.unique())

    names = seen.real.classes if len(seen.real.classes) == count else tuple(str(i) for i in range(count))
    details = {"fake": dict(zip(names, shares(fake).tolist(), strict=True)),
               "real": dict(zip(names, shares(real).tolist(), strict=True))}  # fmt: skip
    part = _redrawn("labels", score, real, fake, 1, seen, 200, 0.0, 1.0)
    found = _redrawn("labels-present", present, real[:2], fake, -1, seen, 200, 0.0, count)
    return [replace(part, details=details), replace(found, details={"of": count})]


def _pairwise(seen: Evidence) -> list[Part]:
    def distances(features: Tensor) -> Tensor:
        one, two = random_pairs(len(features), 20 * PAIRS, seen.seed)
        return (features[one] - features[two]).double().norm(dim=1)

    return [_beside_reals("pairwise", distances(seen.fake_features), distances(seen.real_features), seen)]


def _ms_ssim(seen: Evidence) -> list[Part]:
    fake, real = (
        pair_similarities(side.samples, PAIRS, seen.seed, progress=seen.progress) for side in (seen.fake, seen.real)
    )
    return [_beside_reals("ms-ssim", fake, real, seen)]


def _lpips(seen: Evidence) -> list[Part]:
    fake, real = (pair_distances(seen.measures["alex"], side.samples, seen) for side in (seen.fake, seen.real))
    return [_beside_reals("lpips", fake, real, seen)]


def _psnr(seen: Evidence) -> list[Part]:
    return [_of_values("psnr", of_pairs(seen, psnr, "psnr"), -1, seen)]


def _ssim(seen: Evidence) -> list[Part]:
    return [_of_values("ssim", of_pairs(seen, ssim, "ssim"), -1, seen, -1.0, 1.0)]


def _perceptual(seen: Evidence) -> list[Part]:
    return [_of_values("perceptual", of_pairs(seen, perceptual(seen), "perceptual"), 1, seen, 0.0)]


def _lpips_of_pairs(seen: Evidence) -> list[Part]:
    distances = of_pairs(seen, distance_of(seen.measures["alex"], seen), "lpips-of-pairs")
    return [_of_values("lpips-of-pairs", distances, 1, seen, 0.0)]


def _ppl(seen: Evidence) -> list[Part]:
    found = lengths_of_paths(seen.measures["vgg"], seen)
    return [_of_values(name, lengths, 1, seen, 0.0) for name, lengths in found.items()]


def _moved(kind: Motion, name: str) -> Metric:
    """Equivariance to one kind of motion, in dB."""
    about = {"integer": "whole pixels", "fractional": "parts of pixels too, through a round filter",
             "rotation": "turns by any angle, through a round filter"}[kind]  # fmt: skip

    def compute(seen: Evidence) -> list[Part]:
        """The bounds change places: less error is more dB."""
        part = _of_values(name, errors_of_motion(kind, seen), -1, seen, SMALLEST)
        value, low, high = (decibels(error) for error in (part.value, part.high or part.value, part.low or part.value))
        return [replace(part, value=value, low=low, high=high)]

    protocol = f"{about}, one motion a sample, peak from -1 to 1"
    how_well = "equivariance in dB: do pictures move with their waves"
    return Metric(how_well, protocol, compute, looks=False, of_model=True, takes=partial(must_move, kind=kind))


def _beside_reals(name: str, fake: Tensor, real: Tensor, seen: Evidence) -> Part:
    """The mean of a value of pairs; how much is good is told by the reals."""
    return replace(_of_values(name, fake, 0, seen), details={"of_real": float(real.mean())})


def _of_share(name: str, share: float, seen: Evidence) -> Part:
    """The share of the fakes with a quality, of which more is better."""
    influence = replace(of_share(share, len(seen.fake)), samples=(len(seen.real), len(seen.fake)))
    return _of_influence(name, influence, -1, seen.seed)


def _of_values(
    name: str, values: Tensor, better: int, seen: Evidence, least: float = -torch.inf, most: float = torch.inf
) -> Part:
    """The mean of a value for each sample or pair, with its interval."""
    influence = replace(of_mean(values, least, most), samples=(len(seen.real), len(seen.fake)))
    return _of_influence(name, influence, better, seen.seed)


def _redrawn(
    name: str, score: Score, real: Tensor, fake: Tensor, better: int, seen: Evidence, replicates: int,
    least: float = -torch.inf, most: float = torch.inf,
) -> Part:  # fmt: skip
    """A score of rows without an influence: evaluated anew for each draw."""
    if seen.plain:
        return Part(name, score(real=real, fake=fake), better)
    found = bootstrap(score, real=real, fake=fake, replicates=replicates, seed=seen.seed, progress=seen.progress)
    low, high = (min(max(end, least), most) for end in (found.low, found.high))
    return Part(name, found.value, better, min(low, found.value), max(high, found.value))


def _modes(seen: Evidence) -> list[Part]:
    name = str(seen.real.origin["catalogue"])
    if name == "stacked-mnist":
        return _stacked(stacked_labels(seen.fake.samples)[:, None], seen)
    if name not in MIXTURES:
        raise ConfigError(
            f"modes are counted on ring, grid and stacked-mnist, not on {seen.real.origin['name']}; where a network "
            "knows the classes, as digits does, type --metrics labels, which counts those that are there"
        )
    centres, deviation = torch.from_numpy(MIXTURES[name][0]()), MIXTURES[name][1]

    def score(*, real: Tensor, fake: Tensor) -> float:
        """Only fakes count."""
        return mode_coverage(fake, centres, deviation)[0]

    samples = seen.fake.samples
    part = _redrawn("modes", score, samples[:2], samples, -1, seen, 50, 0.0, len(centres))
    shares = mode_shares(samples, centres, deviation)
    details = {"of": len(centres), "shares": [round(share, 6) for share in shares.tolist()]}
    return [replace(part, details=details), _of_share("high-quality", float(shares.sum()), seen)]


def _stacked(labels: Tensor, seen: Evidence) -> list[Part]:
    def modes(*, real: Tensor, fake: Tensor) -> float:
        """Only fakes count."""
        return count_modes(fake.flatten().long()).modes

    def divergence(*, real: Tensor, fake: Tensor) -> float:
        """The same."""
        return count_modes(fake.flatten().long()).reverse_kl

    part = _redrawn("modes", modes, labels[:2], labels, -1, seen, 50, 0.0, STACKED_MODES)
    reverse = _redrawn("reverse-kl", divergence, labels[:2], labels, 1, seen, 50, 0.0)
    return [replace(part, details={"of": STACKED_MODES}), reverse]


METRICS: dict[str, Metric] = {
    "fd": Metric("Fréchet distance", "covariances over n - 1, float64", _fd),
    "kd": Metric("kernel distance, unbiased, of all samples", "(x.y/D + 1)^3, unbiased, full sets", _kd, of_pairs=True),
    "kd-subsets": Metric(
        "the same as published", "100 subsets of 1000, seed 2020", _kd_subsets, least=1000, of_pairs=True
    ),
    "precision-recall": Metric(
        "do fakes look real, is all that is real made", "k = 3, <=", _precision_recall, least=4, of_pairs=True
    ),
    "density-coverage": Metric(
        "the same, less moved by outliers", "k = 5, <", _density_coverage, least=6, of_pairs=True
    ),
    "fd-infinity": Metric("Fréchet distance without its bias in N", "15 sizes, line in 1/N", _fd_infinity, least=200),
    "fd-per-class": Metric("Fréchet distance of each class, and their mean", "mean over classes", _fd_per_class),
    "sliced": Metric("sliced Wasserstein distance", "512 directions, W2", _sliced),
    "mifid": Metric("Fréchet distance, more for copies of reals", "cosine distance below 0.1", _mifid, of_pairs=True),
    "authenticity": Metric(
        "share of fakes that are no near copies", "nearest neighbours", _authenticity, of_pairs=True
    ),
    "is": Metric("Inception Score", "10 splits, shuffled with seed 2020", _inception_score, 100, classes=True),
    "labels": Metric(
        "what the classifier sees, beside the reals", "total variation of predicted labels", _labels, classes=True
    ),
    "pairwise": Metric("mean distance of two fakes", "20,000 random pairs", _pairwise),
    "ms-ssim": Metric("mean similarity of two fakes", "1,000 random pairs", _ms_ssim, looks=False, side=WINDOW),
    "lpips": Metric(
        "mean LPIPS of two fakes", "1,000 random pairs, sides of at least 64", _lpips, looks=False, trunk="alex"
    ),
    "ppl": Metric(
        "perceptual path length",
        "ends of straight ways in z (or w), eps 1e-4, float images, sides up to 256, within "
        "the 1st and 99th percentile",
        _ppl,
        looks=False,
        trunk="vgg",
        of_model=True,
    ),
    "psnr": Metric("each result beside its counterpart, dB", "all channels, no border cut", _psnr, 1, looks=False),
    "ssim": Metric(
        "the same, structure", "11 x 11 window, sigma 1.5, each channel", _ssim, 1, looks=False, side=WINDOW
    ),
    "perceptual": Metric(
        "the same, through the embedded network", "and a pyramid of pixels", _perceptual, 1, looks=False
    ),
    "lpips-of-pairs": Metric("the same, LPIPS", "sides of at least 64", _lpips_of_pairs, 1, looks=False, trunk="alex"),
    "eq-t": _moved("integer", "eq-t"),
    "eq-t-frac": _moved("fractional", "eq-t-frac"),
    "eq-r": _moved("rotation", "eq-r"),
    "modes": Metric("modes of ring, grid and stacked-mnist", "within 3 sigma; digits read", _modes, looks=False),
}

ALIASES: dict[str, tuple[str, str]] = {
    "fid": ("fd", "inception-legacy"),
    "fid-clean": ("fd", "inception-clean"),
    "fid-infinity": ("fd-infinity", "inception-legacy"),
    "kid": ("kd", "inception-legacy"),
    "kid-clean": ("kd", "inception-clean"),
    "kid-subsets": ("kd-subsets", "inception-legacy"),
    "inception-score": ("is", "inception-legacy"),
    "improved-precision-recall": ("precision-recall", "vgg16"),
    "fd-dinov2": ("fd", "dinov2-vitl14"),
}
USUAL = {"mifid": "inception-legacy"}  # where the border of copies was set for one network
DEFAULT = ("fd", "kd", "precision-recall", "density-coverage")
OF_COUNTERPARTS = ("psnr", "ssim", "perceptual")
WITH_COUNTERPARTS = (*OF_COUNTERPARTS, "lpips-of-pairs")  # which a real has none of among other reals
INFLUENCES = {"kd": "kernel_distance"}  # where a part has another name than its influence
OF_PAIRS = ("kd", "precision-recall", "density-coverage")
