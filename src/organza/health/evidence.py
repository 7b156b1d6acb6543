"""What a diagnosis looks at: the files of a run, some of its samples, and as many reals."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from organza.config import Config, ConfigError, override
from organza.data import Progress, open_data
from organza.data.progress import SILENT
from organza.data.store import ImageStore
from organza.games.latent import LatentGame
from organza.hub import GAN, load_gan
from organza.metrics import density_coverage, mean_pairwise_distance
from organza.metrics.networks import open_network, pick
from organza.metrics.spectrum import power
from organza.report.folder import Folder, mapping, read_folder
from organza.training.assemble import build_game
from organza.training.batches import to_bytes, to_range
from organza.training.checkpoint import DamagedError, restore_module
from organza.training.run import Run
from organza.training.scoring import EXAMINED

SAMPLES, FIRST_SEED = EXAMINED, 1_000_000
HASHED = 20_000  # samples among which repetitions are looked for


@dataclass(frozen=True)
class Case:
    """A run, its model's samples and its data; `missing` says why a part is not there."""

    run: Folder
    config: Config
    gan: GAN | None
    store: ImageStore | None
    missing: tuple[str, ...] = ()
    count: int = SAMPLES  # samples, and reals, that are looked at
    device: str | torch.device = "cpu"
    drawn: Tensor | None = None  # samples that something else has drawn, where there is no model to draw any

    def end(self, key: str, least: int = 1) -> float | None:
        """The median of the last quarter of a logged key, of `least` values; None where there are fewer."""
        values = self.values(key)
        return statistics.median(values[-max(len(values) // 4, least) :]) if len(values) >= least else None

    def values(self, key: str) -> list[float]:
        """All that was logged under a key since the autopilot's last change, if it made one, in the order of images."""
        since = self.actions[-1].get("images", 0) if self.actions else -1
        return [value for images, value in self.run.series.get(key, []) if images > since]

    @cached_property
    def actions(self) -> list[Mapping[str, Any]]:
        """What the autopilot did, as the summary tells."""
        found = mapping(self.run.summary.get("autopilot")).get("actions")
        return [mapping(action) for action in found] if isinstance(found, list) else []

    def mended(self, finding: str) -> bool:
        """Whether the autopilot has acted on a finding, and the run went on."""
        names = [name for action in self.actions for name in action.get("findings", ())]
        return finding in names and self.run.status != "failed"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample, as far as the data or the summary tell."""
        return tuple(self.run.data.get("shape") or ()) if self.store is None else tuple(self.store.shape)

    @property
    def is_image(self) -> bool:
        """Whether samples are images; else they are points."""
        return len(self.shape) == 3

    @cached_property
    def rows(self) -> Tensor:
        """Of the reals that are looked at."""
        assert self.store is not None
        return torch.linspace(0, len(self.store) - 1, min(len(self.store), self.count)).long()

    @cached_property
    def real(self) -> Tensor:
        """Images uint8 [N, C, H, W] or points [N, D]."""
        assert self.store is not None
        return self.store.images[self.rows]

    @cached_property
    def fake(self) -> Tensor:
        """As many samples of the averaged generator; a conditional one goes through its classes in turn."""
        if self.gan is None and self.drawn is not None:
            return self.drawn
        assert self.gan is not None
        return self.gan.sample(self.count, seed=FIRST_SEED).cpu()

    @cached_property
    def game(self) -> LatentGame:
        """Both players with the raw weights of the newest whole checkpoint, in training mode. Raises DamagedError."""
        assert self.store is not None
        folder = self.run.path
        state, problems = Run(folder, self.config).newest_state() if (folder / "checkpoints").is_dir() else (None, [])
        if state is None:
            raise DamagedError(f"there is no whole checkpoint{''.join(f'; {problem}' for problem in problems)}")
        with torch.random.fork_rng([]):  # the weights that are drawn are replaced at once
            game = build_game(self.config, self.store, torch.device(self.device))
        for name, network in (("generator", game.generator), ("discriminator", game.discriminator)):
            if name not in state.get("networks", {}):
                raise DamagedError(f"the checkpoint has no {name}")
            restore_module(network, state["networks"][name])
        return game

    @cached_property
    def features(self) -> tuple[Tensor, Tensor]:
        """(real, fake) in the embedded network for these images; points stand for themselves."""
        return self.seen_through(self.real), self.seen_through(self.fake)

    def seen_through(self, images: Tensor) -> Tensor:
        """Features [N, D] of images or points [N, ...] of this data, as `features`."""
        if not self.is_image:
            return images.double()
        bytes_ = images if images.dtype == torch.uint8 else to_bytes(to_range(images))
        return open_network(self.network).features(bytes_, device=self.device)

    @cached_property
    def network(self) -> str:
        """The name of the embedded network."""
        assert self.store is not None
        return pick(self.store.shape, self.store.catalogue)

    @cached_property
    def is_blank(self) -> bool:
        """Whether every fake is of one colour, of which no network makes anything."""
        return self.is_image and bool((self.fake == self.fake[..., :1, :1]).all())

    @cached_property
    def diversity(self) -> float:
        """Mean distance of two fakes over that of two reals, in these features; 0 for blank images."""
        if self.is_blank:
            return 0.0
        real, fake = self.features
        return mean_pairwise_distance(fake) / max(mean_pairwise_distance(real), 1e-12)

    @cached_property
    def coverage(self) -> float:
        """Share of the reals with a fake nearer than their fifth nearest real (arXiv:2002.09797); blank ones have 0."""
        if self.is_blank:
            return 0.0
        real, fake = self.features
        return density_coverage(real=real, fake=fake).coverage

    @cached_property
    def distinct(self) -> float:
        """Share of different samples in the data, among the first 20 000."""
        assert self.store is not None
        return distinct_share(self.store.images[:HASHED])

    def class_diversity(self) -> dict[str, float]:
        """`diversity` within each class over that of the median class; classes with few samples are left out."""
        if self.gan is None or self.store is None or self.store.labels is None or not self.config.conditional:
            return {}
        if self.is_blank:
            return {}
        real, fake = self.features
        sides = self.store.labels[self.rows], torch.arange(len(fake)) % len(self.store.classes)
        found = {}
        for number, name in enumerate(self.store.classes):
            mine = [side[labels == number] for side, labels in zip((real, fake), sides, strict=True)]
            if min(map(len, mine)) >= 5:
                found[name] = mean_pairwise_distance(mine[1])
        usual = statistics.median(found.values()) if found else 0.0
        return {name: value / max(usual, 1e-12) for name, value in found.items()}


def high_frequencies(images: Tensor) -> float:
    """Share of the power of images [N, C, H, W] that lies at half the sampling rate of either axis.

    Transposed convolutions whose kernels overlap unevenly leave their checkerboard there (Odena, Dumoulin & Olah,
    2016, doi:10.23915/distill.00003).
    """
    found = power(images)
    middle, last = images.shape[2] // 2, found.shape[1] - 1
    edge = found[middle - 1 : middle + 2].sum() + found[:, last - 1 :].sum()
    return float(edge / found.sum().clamp(min=1e-12))


def distinct_share(samples: Tensor) -> float:
    """Share of different samples [N, ...], value by value."""
    return len({row.numpy().tobytes() for row in samples.cpu()}) / len(samples)


def at_the_ends(images: Tensor) -> float:
    """Share of the values of uint8 images that are 0 or 255."""
    return float(((images == 0) | (images == 255)).float().mean())


def spread_of_values(images: Tensor, share: float = 0.001) -> tuple[float, float]:
    """Least and greatest value of images, without the outermost thousandth of each side."""
    values = images.flatten().float()
    values = values[torch.linspace(0, len(values) - 1, min(len(values), 1_000_000)).long()].sort().values
    cut = int(share * len(values))
    return float(values[cut]), float(values[len(values) - 1 - cut])


def gather(
    path: str | Path, progress: Progress = SILENT, count: int = SAMPLES, device: str | torch.device = "cpu"
) -> Case:
    """All that there is of a run, with `count` samples and reals to look at; parts that fail are `missing`.

    Raises ConfigError where there is no run.
    """
    folder = Path(path).expanduser()
    try:
        run = read_folder(folder)
        config = config_in_force(run, Run(folder).config)
    except FileNotFoundError:
        raise ConfigError(f"no run at '{path}'; give the folder of one, such as runs/first") from None
    except ConfigError:
        raise
    except (ValueError, KeyError, TypeError) as problem:
        raise ConfigError(f"{folder / 'config.json'} is no configuration of a run: {problem}") from None
    missing: list[str] = []
    gan, store = _model(folder, str(device), missing), _data(config, progress, missing)
    if gan is not None and store is not None and tuple(gan.shape) != tuple(store.shape):
        missing.append(f"{store.name} has another shape today than the model; its samples were not looked at")
        gan = None
    return Case(run, config, gan, store, tuple(missing), count, device)


def config_in_force(run: Folder, own: Config) -> Config:
    """A run's own configuration with the changes of its autopilot. Raises ConfigError for changes that are none."""
    changes = mapping(mapping(run.summary.get("autopilot")).get("changes"))
    return override(own, changes) if own.autopilot else own


def _model(folder: Path, device: str, missing: list[str]) -> GAN | None:
    try:
        gan = load_gan(folder, device)
        if gan.training.get("images"):
            return gan
        missing.append("no samples were looked at: the model has not been trained yet")
    except (ConfigError, OSError, ValueError, RuntimeError) as problem:
        missing.append(f"no samples were looked at: {problem}")
    return None


def _data(config: Config, progress: Progress, missing: list[str]) -> ImageStore | None:
    try:
        return open_data(config.data, labelled=config.conditional, progress=progress)
    except (ConfigError, OSError, ValueError) as problem:
        missing.append(f"the data were not looked at: {problem}")
        return None


def turns(values: Sequence[float]) -> int:
    """How often a series goes through its mean."""
    mean = statistics.fmean(values) if values else 0.0
    signs = [value > mean for value in values]
    return sum(a != b for a, b in pairwise(signs))
