"""Is A better than B: a paired test of their samples, or two receipts side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from organza.config import ConfigError
from organza.data import SILENT, Progress
from organza.evaluation.catalogue import ALIASES, INFLUENCES, Asked, parse
from organza.evaluation.evidence import Evidence, Features
from organza.evaluation.notes import of_bias, of_lossy, of_sameness
from organza.evaluation.receipt import Receipt, Score, must_compare
from organza.evaluation.subjects import (
    FIRST_SEED,
    USUAL,
    Images,
    Subject,
    count_of,
    draw,
    first,
    must_be_file,
    must_truncate,
    open_reals,
    open_subject,
    shape_of,
)
from organza.evaluation.through import open_networks, protocol
from organza.hub import GAN
from organza.metrics import Comparison, compare
from organza.training.environment import environment
from organza.training.precision import pick_device
from organza.training.run import write_json

HALVES = {"precision": "precision-recall", "recall": "precision-recall", "density": "density-coverage",
          "coverage": "density-coverage"}  # fmt: skip
BETTER = {"fd": 1, "kd": 1} | dict.fromkeys(HALVES, -1)  # 1 if less is better, -1 if more is


def is_better(
    a: Subject, b: Subject, real: Any = None, metric: str = "fd", *, samples: int = USUAL,
    real_samples: int | None = None, seed: int = FIRST_SEED, split: str = "train", truncation: float | None = None,
    network: str | None = None, weights: str | Path | None = None, download: bool = False, device: str = "auto",
    batch: int = 64, out: str | Path | None = None, progress: Progress = SILENT,
) -> Comparison:  # fmt: skip
    """The score of A less that of B on the same reals, with interval and p (paired bootstrap).

    `metric` is fd, kd, precision, recall, density or coverage, with `@NETWORK` for another one than the embedded, or
    the published name of one of them. Samples of two GANs come from the same seeds, and are drawn in pairs by the
    bootstrap too. Of sides with more samples than the other as many are taken, spread over the whole: scores move with
    N. With `out` a receipt of the comparison is written there as JSON, and one that was interrupted goes on.
    Raises ConfigError as `evaluate` does.
    """
    began = time.perf_counter()
    must_be_file(out)
    (part, asked), place = of_one_score(metric, network), pick_device(device)
    opened = [open_subject(side, str(place), progress) for side in (a, b)]
    _must_be_of_one_size(opened)
    must_truncate(opened, truncation)
    kept = open_reals(a, real, opened[0], split, progress)
    kept = kept if real_samples is None else first(kept, real_samples)
    counts = [count_of(side, samples) for side in opened]
    count = min(counts)
    (extractor,) = open_networks([asked], kept, count, weights, download, progress).values()
    features = Features(place, batch, None if out is None else Path(f"{out}.parts"), progress)
    most = real_samples or max(USUAL, samples)
    sides = [
        Evidence(features, extractor, kept, draw(side, count, seed, truncation, progress), most) for side in opened
    ]
    notes = _notes(counts, kept, sides, part)
    with features.while_accepted():
        found = [seen.frechet if part == "fd" else seen.pairs[INFLUENCES.get(part, part)] for seen in sides]
    paired = all(isinstance(side, GAN) for side in opened)
    compared = compare(found[0], found[1], seed=seed, paired_fakes=paired)
    if out is not None:
        told = [
            {"value": score.value, "protocol": protocol(asked, seen)} | seen.fake.origin
            for score, seen in zip(found, sides, strict=True)
        ]
        about = {"metric": metric, "network": extractor.name, "sha256": extractor.sha256, "better": BETTER[part]}
        seconds = {"environment": environment(place), "seconds": round(time.perf_counter() - began, 1)}
        both = {"a": told[0], "b": told[1], "real": kept.origin, "paired_samples": paired, "notes": notes}
        write_json(Path(out), about | asdict(compared) | both | seconds)
        features.forget()
    for note in notes:
        progress.note(note)
    return compared


def _notes(counts: Sequence[int], real: Images, sides: Sequence[Evidence], part: str) -> list[str]:
    """What a reader of the verdict should know."""
    few = min(counts)
    told = f"A has {counts[0]:,} samples and B has {counts[1]:,}: {few:,} of each are judged, as scores move with N"
    named = [("real", real), ("first", sides[0].fake), ("second", sides[1].fake)]
    bias = of_bias(sides[0].network, min(few, len(real))) if part == "fd" else []
    return [*([told] if max(counts) > few else ()), *of_lossy(named), *of_sameness(named), *bias]


def of_one_score(metric: str, network: str | None = None) -> tuple[str, Asked]:
    """The score of `BETTER` that a paired test looks at, and the metric that it is part of.

    Raises ConfigError for unknown names, for metrics of two scores and for those without a paired test.
    """
    name, at, through = metric.partition("@")
    asked = parse(f"{HALVES.get(name, name)}{at}{through}", network)
    halves = [half for half, whole in HALVES.items() if whole == asked.metric]
    if halves and name not in halves:
        one, two = (f"{half}@{asked.network}" if asked.network else half for half in halves)
        raise ConfigError(
            f"metric is '{metric}', which is two scores, and a paired test takes one; type {one} or {two}"
        )
    if not halves and asked.metric not in BETTER:
        published = ", ".join(alias for alias, (of, _) in ALIASES.items() if of in BETTER)
        raise ConfigError(
            f"metric is '{metric}'; a paired test takes fd, kd, precision, recall, density or coverage, through "
            f"another network as fd@NETWORK, or {published}"
        )
    return name if halves else asked.metric, asked


def side_by_side(a: Receipt, b: Receipt, metrics: Sequence[str] = ()) -> list[tuple[str, str, str, str, str]]:
    """Each score of both receipts, or those of the names, in words: A, B, A - B, intervals; the first row is the head.

    Raises ConfigError for scores that do not compare (`must_compare`) and for receipts that have none in common.
    """
    names = metrics or [score.name for score in a.scores if score.name in {other.name for other in b.scores}]
    if not names:
        told = " and ".join(", ".join(score.name for score in receipt.scores) for receipt in (a, b))
        raise ConfigError(f"these receipts have no score in common: {told}; evaluate both with the same --metrics")
    try:
        pairs = [(a[name], b[name]) for name in names]
    except KeyError as problem:
        raise ConfigError(f"{problem.args[0]}; type --metrics with one that both receipts have") from None
    for one, two in pairs:
        must_compare(one, two)
    return [("score", "A", "B", "A - B", "95 % intervals"), *(_row(one, two) for one, two in pairs)]


def _row(one: Score, two: Score) -> tuple[str, str, str, str, str]:
    arrow = {1: " ↓", -1: " ↑", 0: ""}[one.better]
    return one.name + arrow, _told(one), _told(two), f"{one.value - two.value:.4g}", _overlap(one, two)


def _told(score: Score) -> str:
    interval = "" if score.low is None or score.high is None else f" ({score.low:.4g} to {score.high:.4g})"
    return f"{score.value:.4g}{interval}"


def _overlap(one: Score, two: Score) -> str:
    if one.low is None or one.high is None or two.low is None or two.high is None:
        return "not given"
    return "overlap" if one.low <= two.high and two.low <= one.high else "apart"


def _must_be_of_one_size(opened: Sequence[GAN | Images]) -> None:
    if shape_of(opened[0]) != shape_of(opened[1]):
        sizes = ["x".join(map(str, shape_of(side))) for side in opened]
        raise ConfigError(
            f"A makes samples of {sizes[0]} and B of {sizes[1]}; scores of different sizes do not compare"
        )
