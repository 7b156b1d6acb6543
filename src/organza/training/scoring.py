"""A cheap score of the averaged generator while it trains, and the best model that it has found so far.

Process 0 scores while the others wait. Nothing of the run changes: samples come from seeds of their own, buffers and
random numbers are put back. The best weights are in every checkpoint, so that a run that goes on from one has the best
of its own past, and none of a future that was lost.
"""

from __future__ import annotations

import copy
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from organza.config import Config, ConfigError
from organza.data.store import ImageStore
from organza.games import GAMES
from organza.health.signals import untouched
from organza.metrics.influence import Influence
from organza.metrics.quick import HISTOGRAM, QuickScore, TranslationScore, quick_score
from organza.metrics.uncertainty import interval as bounds
from organza.training.batches import middle, to_bytes, to_range
from organza.training.examples import at_once, drawn, example_batch, spread_rows, translated

if TYPE_CHECKING:
    from organza.training.trainer import Trainer

FOLDER = "best"
FIRST_SEED = 1_000_000  # that of evaluations: none that a user looks at by default
EXAMINED = 500  # samples that the doctor looks at
PROBED = 128  # samples whose time tells that of all
FULL, LONG = 10_000, 100_000  # samples of the full evaluation; images of a run that it takes a small part of
KEPT = ("scores", "scored_at", "best", "best_at", "best_model", "autopilot")  # of the summary, in every checkpoint


def interval(config: Config) -> int:
    """Images from one score to the next; 0 for none."""
    every = config.output.score
    return config.output.checkpoint if every is True else int(every)


def open_score(config: Config, store: ImageStore) -> QuickScore | None:
    """What judges the data, None where nothing does or nobody asked."""
    if not interval(config) or not GAMES[config.game].translates:
        return quick_score(store) if interval(config) else None
    told = store.test or store
    if store.shape[0] not in (1, 3, 4) or len(told) < 2:  # of one image there is no distance of sets
        return None
    rows = spread_rows(told, min(len(told), TranslationScore.most))
    reals = to_range(middle(told.images[rows], config.data.window, told.scale))
    known = told.paired or config.data.degrade != "none"
    return TranslationScore(to_bytes(reals), known, GAMES[config.game].paired, store.test is not None)


def check_score(config: Config, store: ImageStore) -> None:
    """Raise ConfigError for an interval that somebody typed for data that nothing embedded can judge."""
    if config.output.score is not True and interval(config) and quick_score(store) is None:
        raise ConfigError(
            f"output.score is {config.output.score}, but nothing embedded judges '{store.name}': that works for images "
            "of 1, 3 or 4 channels and for the points ring and grid; type --output.score false"
        )


def full_evaluation(config: Config, store: ImageStore, images: int) -> int:
    """Samples of the evaluation at the end, after `images` images; 0 for none: few images, or data nothing judges."""
    asked = config.output.evaluate
    if GAMES[config.game].translates:
        return 0  # which `organza evaluate` does
    if asked is not True:
        return int(asked)
    return FULL if images >= LONG and quick_score(store) is not None else 0


class Scoring:
    """The scores of one run, and its best model; without a score, that of earlier sessions."""

    def __init__(self, score: QuickScore | None, summary: dict[str, Any]) -> None:
        self.score, self.summary = score, summary
        self.best: dict[str, Tensor] | None = None  # weights
        self.drawn: Tensor | None = None  # of the last score's samples as many as the doctor looks at, until it has

    def take(self, trainer: Trainer) -> dict[str, float]:
        """Scores of this moment, once; `self.best` and the summary follow when it is the best."""
        if self.score is None or self.summary.get("scored_at") == trainer.images:
            return {}
        with untouched(trainer.average, device=trainer.device):
            found = self.score.of(made := samples(trainer, self.score.samples))
        self.drawn = None if GAMES[trainer.config.game].translates else made[:EXAMINED].to("cpu", copy=True)
        values = {key: value.value if isinstance(value, Influence) else value for key, value in found.items()}
        histogram = {key: values.pop(key) for key in list(values) if key.startswith(HISTOGRAM)}
        name, direction = self.score.headline
        value, before = values[name] * direction, self.summary.get("best")
        protocol = {"n": self.score.samples, "protocol": self.score.protocol}
        scores = {key: told(found[key]) for key in values}
        self.summary["scores"] = {key: score | protocol for key, score in scores.items()}
        self.summary["scored_at"] = trainer.images
        if before is None or value < before:
            about = {"folder": FOLDER, "images": trainer.images, "seconds": round(trainer.seconds, 1)}
            about |= {"score": name, **scores[name]}
            self.summary |= {"best": value, "best_at": trainer.images, "best_model": about | protocol}
            self.best = {key: t.detach().to("cpu", copy=True) for key, t in trainer.average.state_dict().items()}
        return {f"score/{key}": value for key, value in values.items()} | histogram

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        kept = {"summary": json.dumps({name: self.summary.get(name) for name in KEPT})}
        return kept | ({} if self.best is None else {"best": dict(self.best)})

    def restore(self, about: dict[str, Any], best: dict[str, Tensor] | None) -> None:
        """Take back what `state` gave; checkpoints of older versions have no weights of the best."""
        for name in KEPT:
            self.summary.pop(name, None)
        self.summary |= {name: value for name, value in about.items() if value is not None}
        self.best = best

    def generator(self, trainer: Trainer) -> nn.Module:
        """A copy of the average with the best weights."""
        assert self.best is not None
        network = copy.deepcopy(trainer.average)
        network.load_state_dict(self.best)
        return network


def samples(trainer: Trainer, count: int) -> Tensor:
    """`count` samples of the average, uint8 images or points, the same at every call.

    Of a translator, the results of as many sources that training does not see; both ways, those in B.
    """
    if not GAMES[trainer.config.game].translates:
        made = drawn(trainer, trainer.average, FIRST_SEED, count)
        return to_bytes(made) if made.dim() == 4 else made
    batch = example_batch(trainer, trainer.store.test or trainer.store, count)
    return to_bytes(translated(trainer.average, batch, at_once(trainer))[:, : trainer.store.shape[0]])


def seconds_of(trainer: Trainer, score: QuickScore) -> float:
    """Time that one score takes, from that of a few samples."""
    count = score.samples if isinstance(score, TranslationScore) else min(PROBED, score.samples)
    with untouched(trainer.average, device=trainer.device):
        score.of(samples(trainer, count))  # the first one looks at the reals
        begin = time.perf_counter()
        score.of(samples(trainer, count))
        return (time.perf_counter() - begin) * score.samples / count


def replace_folder(path: Path, write: Callable[[Path], None]) -> None:
    """Write a folder beside its place, then put it there: what lies there is always whole."""
    partial, old = path.with_name(path.name + ".partial"), path.with_name(path.name + ".old")
    for rest in (partial, old):
        shutil.rmtree(rest, ignore_errors=True)
    write(partial)
    if path.exists():
        path.rename(old)
    partial.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def images_of(folder: Path) -> int | None:
    """At which the model in a folder was taken."""
    return json.loads((folder / "config.json").read_text())["training"].get("images")


def told(score: float | Influence) -> dict[str, float]:
    """A score, between the bounds of its interval where it has one."""
    if not isinstance(score, Influence):
        return {"value": short(score)}
    found = bounds(score)
    return {"value": short(found.value), "low": short(found.low), "high": short(found.high)}


def short(value: float) -> float:
    """Six digits, as the log has them."""
    return float(f"{value:.6g}")
