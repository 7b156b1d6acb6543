"""Both sides as their networks see them: one pass for each network, shared by all metrics, kept until the end.

With a folder to keep them in, features are written block by block; an evaluation that was interrupted goes on where it
was. A block is known by the network's weights, the resizer and what the samples are a function of.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from organza.config import ConfigError
from organza.data import SILENT, Progress
from organza.evaluation.subjects import Images
from organza.hub import GAN
from organza.metrics import frechet_distance, frechet_influence, noise_floor, pair_influences
from organza.metrics.influence import Influence
from organza.metrics.lpips import Lpips
from organza.metrics.networks import Extractor
from organza.metrics.scores import Pairs, look_at_pairs
from organza.metrics.uncertainty import Floor
from organza.training import checkpoint
from organza.training.distributed import dealt

SPLITS = 3
BLOCK = 2048  # images whose features are lost at most when the machine stops


class Features:
    """Makes features and logits of images, once; several processes share the work, and each has all of it then."""

    def __init__(self, device: torch.device, batch: int, keep: Path | None, progress: Progress) -> None:
        self.device, self.batch, self.keep, self.progress = device, batch, keep, progress
        self.known: dict[tuple[str, str], tuple[Tensor, Tensor | None]] = {}

    def of(self, network: Extractor, side: Images) -> tuple[Tensor, Tensor | None]:
        """float32 [N, D] and logits [N, K] or None. Raises ConfigError as the network does."""
        key = self.key(network, side)
        if key not in self.known:
            if len(side) and side.samples.dim() != 4:
                raise ConfigError("features are those of images; points take --metrics modes")
            blocks = dealt(-(-len(side) // BLOCK), lambda number: self._block(network, key, side, number * BLOCK))
            logits = [block[1] for block in blocks if block[1] is not None]
            self.known[key] = torch.cat([block[0] for block in blocks]), torch.cat(logits) if logits else None
        return self.known[key]

    @staticmethod
    def key(network: Extractor, side: Images) -> tuple[str, str]:
        """Under which the features of a side are known."""
        return f"{network.name} {network.resizer} {network.sha256}", side.key

    @contextmanager
    def while_accepted(self) -> Iterator[None]:
        """What is refused goes on no more: nothing is left of it."""
        try:
            yield
        except ConfigError:
            self.forget()
            raise

    def forget(self) -> None:
        """Remove what was kept for an interruption."""
        if self.keep is not None:
            shutil.rmtree(self.keep, ignore_errors=True)

    def _block(
        self, network: Extractor, key: tuple[str, str], side: Images, start: int
    ) -> tuple[Tensor, Tensor | None]:
        images = side.samples
        part = images[start : start + BLOCK]
        file = self._file(key, start)
        if file is not None and file.is_file():
            try:
                state = checkpoint.load(file)
                return state["features"], state.get("logits")
            except checkpoint.DamagedError:
                file.unlink()
        try:
            features, logits = network.both(part, self.batch, self.device)
        except ConfigError as problem:
            raise ConfigError(f"{side.told}: {problem}") from problem
        self.progress.step(f"features of {network.name}", start + len(part), len(images))
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.save(file, {"features": features} | ({} if logits is None else {"logits": logits}))
        return features, logits

    def _file(self, key: tuple[str, str], start: int) -> Path | None:
        name = hashlib.sha256("\n".join(key).encode()).hexdigest()[:16]
        return None if self.keep is None else self.keep / f"{name}-{start:09d}.safetensors"


class Evidence:
    """What a metric is given: both sides, through one network."""

    seed = 0  # of every draw
    plain = False  # values alone, without intervals
    subsets: int | None = None  # of the published kernel distance, where it is asked for

    def __init__(
        self, features: Features, network: Extractor, real: Images, fake: Images, most: int,
        gan: GAN | None = None, measures: Mapping[str, Lpips] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        self.made, self.network, self.real, self.fake = features, network, real, fake
        self.most = most  # reals of the metrics that look at pairs, whose cost grows with the square
        self.progress = features.progress
        self.floors: dict[str, tuple[dict[str, float], int]] = {}  # of a metric: its parts, and N of the smaller side
        self.gan, self.measures = gan, measures  # what made the fakes, and LPIPS by its trunk

    @property
    def real_features(self) -> Tensor:
        """float32 [N_real, D]."""
        return self.made.of(self.network, self.real)[0]

    @property
    def few_real_features(self) -> Tensor:
        """At most `most` of them, spread over the whole."""
        return spread_over(self.real_features, self.most)

    @property
    def fake_features(self) -> Tensor:
        """float32 [N_fake, D]."""
        return self.made.of(self.network, self.fake)[0]

    @property
    def real_logits(self) -> Tensor:
        """float32 [N_real, K]. Raises ConfigError for a network without classes."""
        return self._logits(self.real)

    @property
    def fake_logits(self) -> Tensor:
        """float32 [N_fake, K]. Raises ConfigError for a network without classes."""
        return self._logits(self.fake)

    @cached_property
    def frechet(self) -> Influence:
        """The Fréchet distance with what each sample adds to it."""
        return frechet_influence(real=self.real_features, fake=self.fake_features)

    @cached_property
    def looked(self) -> Pairs:
        """One pass over pairs, for the kernel distance (of subsets too), precision, recall, density and coverage."""
        real, fake = self.few_real_features, self.fake_features
        return look_at_pairs(real=real, fake=fake, subsets=self.subsets, progress=self.progress, **_ks(real, fake))

    @property
    def pairs(self) -> dict[str, Influence]:
        """Those five with what each sample adds."""
        return self.looked.influences

    @cached_property
    def frechet_floor(self) -> Floor:
        """Reals against reals, in the N of the fakes or half of the reals."""
        return noise_floor(
            frechet_distance, real=self.real_features, samples=len(self.fake), splits=SPLITS, progress=self.progress
        )

    @cached_property
    def pair_floors(self) -> tuple[dict[str, float], int]:
        """The same of the scores of pairs, one split, and N of its smaller part."""
        features, random = self.few_real_features, torch.Generator().manual_seed(self.seed)
        order = torch.randperm(len(features), generator=random)
        count = min(len(features) // 2, len(self.fake))
        real, fake = features[order[count:]], features[order[:count]]
        found = pair_influences(real=real, fake=fake, progress=self.progress, **_ks(real, fake))
        return {name: influence.value for name, influence in found.items()}, count

    def of_reals(self, looks: bool, of_pairs: bool) -> Evidence:
        """Reals in the place of both sides, parts that share none, for the floor of any metric.

        The part in the place of the fakes has as many as there are, or half of the reals. Where the metric `looks`,
        features stand for samples, which need not be read again.
        """
        rows = spread_over(torch.arange(len(self.real)), self.most if of_pairs else len(self.real))
        rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(self.seed))]
        count, made = min(len(rows) // 2, len(self.fake)), Features(self.made.device, self.made.batch, None, SILENT)
        seen, logits = self.made.of(self.network, self.real) if looks else (self.real.samples, None)
        sides = []
        for part in (rows[count:], rows[:count]):
            labels = None if self.real.labels is None else self.real.labels[part]
            side = replace(self.real, samples=seen[part], labels=labels, names=())
            made.known[made.key(self.network, side)] = side.samples, None if logits is None else logits[part]
            sides.append(side)
        found = Evidence(made, self.network, sides[0], sides[1], self.most)
        found.plain = True
        return found

    def _logits(self, side: Images) -> Tensor:
        if not self.network.classes:
            raise ConfigError(f"the network {self.network.name} has no classes; take inception-legacy or digits")
        logits = self.made.of(self.network, side)[1]
        assert logits is not None
        return logits


def _ks(real: Tensor, fake: Tensor) -> dict[str, int]:
    """The usual k, or what few samples have: a metric that needs more was refused, and the others do without."""
    most = max(min(len(real), len(fake)) - 1, 1)
    return {"k_precision": min(3, most), "k_density": min(5, most)}


def spread_over(rows: Tensor, most: int) -> Tensor:
    """At most so many rows, evenly spaced."""
    return rows if len(rows) <= most else rows[torch.linspace(0, len(rows) - 1, most).long()]
