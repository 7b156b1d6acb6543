"""A quick score during training, for the data that something embedded can judge; its name carries its protocol."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property
from typing import Protocol

import torch
from torch import Tensor

from organza.data.store import ImageStore
from organza.data.synthetic import grid_modes, ring_modes
from organza.latent.perceptual import Distance, open_distance
from organza.metrics.digits import digit_features
from organza.metrics.diversity import mean_pairwise_distance
from organza.metrics.frechet import frechet_influence
from organza.metrics.influence import Influence, of_mean, of_share
from organza.metrics.modes import count_modes, mode_coverage, mode_shares, mode_surprise, stacked_labels
from organza.metrics.networks import open_network
from organza.metrics.networks.general import GeneralNetwork, compute, general_network
from organza.training.batches import to_bytes, to_range
from organza.training.precision import full_precision

HISTOGRAM = "mode/"  # how the names of shares of modes begin, which are no scores
COMPARED = 500  # samples, and reals, of which the distances of pairs are looked at


class QuickScore(Protocol):
    """Judges samples of the averaged generator: images uint8 [N, C, H, W] or points [N, D]."""

    samples: int  # N
    protocol: str
    headline: tuple[str, int]  # the score that chooses the best checkpoint, and 1 if less is better, -1 if more is

    def of(self, samples: Tensor) -> dict[str, float | Influence]:
        """Scores by name, as an `Influence` where an interval is made of it.

        Where the data have known modes, the share of the samples in each stands under `mode/NAME`.
        """
        ...


class Reals:
    """Features of reals, which `find` computes when they are needed first, and samples beside them."""

    def __init__(self, find: Callable[[], Tensor]) -> None:
        self.find = find

    @cached_property
    def features(self) -> Tensor:
        """[N, D]."""
        return self.find()

    @cached_property
    def spread(self) -> float:
        """What `variety` compares with."""
        return spread(self.features)

    def beside(self, name: str, fake: Tensor) -> dict[str, float | Influence]:
        """The Fréchet distance of features [M, D], under its name, and `variety`."""
        distance = frechet_influence(real=self.features, fake=fake)
        return {name: distance, "variety": spread(fake) / self.spread}


class DigitScore:
    """Fréchet distance of 2 000 digits to 10 000 training digits, in the features of the embedded classifier."""

    samples = 2_000
    headline: tuple[str, int] = ("fd-digits-2k", 1)

    def __init__(self, store: ImageStore) -> None:
        self.reals = Reals(lambda: digit_features(_some(store, 10_000))[0])
        self.protocol = (
            f"2,000 samples of the EMA against 10,000 training digits, features of {named_network('digits')}"
        )

    def of(self, samples: Tensor) -> dict[str, float | Influence]:
        """The distance, `variety`, how many digits have at least a fifth of their fair share, and all the shares."""
        features, digits = digit_features(samples)
        shares = torch.bincount(digits, minlength=10) / len(digits)
        found = self.reals.beside("fd-digits-2k", features)
        return found | {"digits-present": float((shares > 0.02).sum())} | named(shares)


class GeneralScore:
    """Fréchet distance of 1 000 images to at most 2 000 reals, in the features of the embedded general network."""

    samples = 1_000
    headline: tuple[str, int] = ("fd-general-1k", 1)

    def __init__(self, store: ImageStore) -> None:
        count = min(len(store), 2_000)
        self.reals = Reals(lambda: general_features(to_bytes(to_range(_some(store, count)))))
        self.protocol = f"1,000 samples of the EMA against {count:,} reals, features of {named_network('general')}"

    def of(self, samples: Tensor) -> dict[str, float | Influence]:
        """The distance, which is defined for collapsed samples, too, and `variety`."""
        return self.reals.beside("fd-general-1k", general_features(samples))


class ModeScore:
    """Modes found and share of high-quality samples on mixtures of Gaussians, 2 500 samples (arXiv:1705.07761)."""

    samples = 2_500
    protocol = "2,500 samples of the EMA; of high quality within 3 sigma of a mode (arXiv:1705.07761)"
    headline: tuple[str, int] = ("high-quality", -1)

    def __init__(self, centres: Tensor, sigma: float) -> None:
        self.centres, self.sigma = centres, sigma

    def of(self, samples: Tensor) -> dict[str, float | Influence]:
        """`modes` found, and `high-quality`: the share of samples within 3 sigma of a mode."""
        modes, share = mode_coverage(samples, self.centres, self.sigma)
        shares = mode_shares(samples, self.centres, self.sigma)
        return {"modes": float(modes), "high-quality": of_share(share, len(samples))} | named(shares)


class StackedScore:
    """Modes and reverse KL of 5 000 stacked digits: real ones show 993 of the 1000 modes and a KL of about 0.10."""

    samples = 5_000
    headline: tuple[str, int] = ("reverse-kl-5k", 1)

    def __init__(self) -> None:
        reader = named_network("digits")
        self.protocol = f"5,000 samples of the EMA, read by {reader}; KL(samples || uniform) over 1000 modes"

    def of(self, samples: Tensor) -> dict[str, float | Influence]:
        """Both, under names with the number of samples: no figure of 26 000 samples compares with them."""
        labels = stacked_labels(samples)
        return {"modes-5k": float(count_modes(labels).modes), "reverse-kl-5k": of_mean(mode_surprise(labels), 0.0)}


class TranslationScore:
    """Results of a translation beside reals of the target kind, and beside their counterparts where these are known."""

    most = 400  # results, at most

    def __init__(self, targets: Tensor, known: bool, paired: bool, kept: bool) -> None:
        self.targets, self.known, self.samples = targets, known, len(targets)
        self.reals = Reals(lambda: general_features(targets))
        self.headline: tuple[str, int] = ("perceptual", 1) if paired else ("fd-general", 1)
        seen = "images that training does not see" if kept else "images of the training, which keeps none back"
        beside = "; psnr in dB and perceptual (a sum of squares in these features) against their counterparts"
        self.protocol = (
            f"{len(targets):,} results of the EMA for {seen}, features of {named_network('general')}"
            f"{beside if known else ''}"
        )

    def of(self, samples: Tensor) -> dict[str, float | Influence]:
        """`fd-general`, and `psnr` and `perceptual` where result i has a counterpart, target i."""
        distance = frechet_influence(real=self.reals.features, fake=general_features(samples))
        found: dict[str, float | Influence] = {"fd-general": distance}
        if not self.known:
            return found
        error = (samples.float() - self.targets.float()).square().flatten(1).mean(1) / 255**2
        found["psnr"] = of_mean(-10 * error.clamp(min=1e-10).log10())
        pairs = zip(to_range(samples).split(64), to_range(self.targets).split(64), strict=True)
        with torch.no_grad():
            found["perceptual"] = of_mean(torch.cat([self.distance(a, b) for a, b in pairs]), 0.0)
        return found

    @cached_property
    def distance(self) -> Distance:
        """Opened when it is needed first."""
        return open_distance("general", tuple(self.targets.shape[1:]))


@cache
def named_network(name: str) -> str:
    """An embedded network in words, with the beginning of the sha256 of its weights."""
    kind = {"digits": "digit classifier", "general": "general network"}[name]
    return f"Organza's {kind} ({open_network(name).sha256[:12]})"


@torch.no_grad()
def general_features(images: Tensor) -> Tensor:
    """Of images uint8 [N, C, H, W], by the embedded general network."""
    with full_precision():
        return torch.cat([compute(_general(), part) for part in images.split(64)])


@cache
def _general() -> GeneralNetwork:
    return general_network()


def spread(features: Tensor) -> float:
    """Mean distance of two samples of features [N, D], from some that lie all over them.

    `variety` is that of samples over that of reals: 1 where they vary as much, near 0 where all look alike.
    """
    rows = torch.linspace(0, len(features) - 1, min(len(features), COMPARED)).long()
    return max(mean_pairwise_distance(features[rows]), 1e-12)


def named(shares: Tensor) -> dict[str, float]:
    """A histogram of modes by name."""
    return {f"{HISTOGRAM}{number}": float(share) for number, share in enumerate(shares)}


def quick_score(store: ImageStore) -> QuickScore | None:
    """The score that fits the data, or None."""
    if store.catalogue == "mnist" and store.shape == (1, 28, 28):
        return DigitScore(store)
    if store.catalogue == "stacked-mnist" and store.shape in ((3, 28, 28), (3, 32, 32)):
        return StackedScore()
    if store.catalogue in ("ring", "grid"):
        modes, deviation = (ring_modes(), 0.02) if store.catalogue == "ring" else (grid_modes(), 0.05)
        return ModeScore(torch.from_numpy(modes), deviation)
    if len(store.shape) == 3 and store.shape[0] in (1, 3, 4) and len(store) > 1:
        return GeneralScore(store)
    return None


def _some(store: ImageStore, most: int) -> Tensor:
    """At most so many reals, spread over the data."""
    return store.images[torch.linspace(0, len(store) - 1, min(len(store), most)).long()]
