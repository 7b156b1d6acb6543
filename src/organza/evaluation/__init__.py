"""Numbers that can be trusted: what a GAN, or any set of images, is worth beside real ones.

    receipt = organza.evaluate("runs/first", real="mnist", metrics=("fd", "precision-recall"))
    receipt["fd"].value, receipt["fd"].low, receipt["fd"].high

`subjects` opens what is judged, `evidence` shows it to a network once, `catalogue` has the metrics, `receipt` what is
left of it; the mathematics is that of `organza.metrics`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from organza.config import ConfigError
from organza.data import SILENT, ImageStore, Progress
from organza.evaluation.catalogue import (
    ALIASES,
    DEFAULT,
    INFLUENCES,
    METRICS,
    OF_COUNTERPARTS,
    OF_PAIRS,
    PIXELS,
    SUBSETS,
    WITH_COUNTERPARTS,
    Asked,
    Part,
    parse,
)
from organza.evaluation.compared import is_better, side_by_side
from organza.evaluation.evidence import Evidence, Features
from organza.evaluation.notes import of_bias, of_lossy, of_sameness
from organza.evaluation.publish import NAME, kept_aside, publish, untold
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
    nothing,
    open_reals,
    open_subject,
    shape_of,
)
from organza.evaluation.through import formula, network_of, once, open_measures, open_networks, protocol, reals_of
from organza.hub import GAN
from organza.training.distributed import process_group, rank
from organza.training.environment import environment
from organza.training.precision import pick_device

__all__ = ["ALIASES", "DEFAULT", "METRICS", "Receipt", "Score", "evaluate", "is_better", "must_compare", "side_by_side"]


def evaluate(
    fake: Subject, real: Any = None, metrics: Sequence[str] | str = (), *, samples: int = USUAL,
    real_samples: int | None = None, seed: int = FIRST_SEED, split: str = "train", truncation: float | None = None,
    network: str | None = None, weights: str | Path | None = None, download: bool = False, device: str = "auto",
    batch: int = 64, out: str | Path | None = None, progress: Progress = SILENT,
) -> Receipt:  # fmt: skip
    """Judge a run, a model, a GAN, a folder, a zip, an array or a tensor of images against real ones.

    `real` is any source of images; a run brings the data it was trained on. `metrics` are names of `METRICS` (through
    the embedded network that fits, or `network`), `METRIC@NETWORK` or published names (`ALIASES`, such as fid).
    `samples` of a GAN come from seeds `seed` on, the same for every GAN. Without `real_samples` all reals serve, but
    for metrics that look at pairs, which take as many as samples, at least 10 000.
    `weights` is the file of a network that Organza does not ship (of LPIPS, its trunk), `download` fetches it when it
    is not found. With `out` the receipt is written there, and an evaluation that was interrupted goes on where it
    was; in a run, as `evaluation.json`, its report and its card tell the scores too. Under `torchrun` the processes
    share sampling and features, each returns the receipt, and process 0 alone writes.
    Raises ConfigError for unknown names, too few samples (with the smallest N), sides that do not compare and missing
    or wrong weights; FileNotFoundError as `organza.load` and `organza.open_dataset` do.
    """
    began = time.perf_counter()
    must_be_file(out)
    with process_group(pick_device(device)) as place:
        progress = progress if rank() == 0 else SILENT
        opened = open_subject(fake, str(place), progress)
        asked = [parse(name, network) for name in _names(metrics, opened, real is None)]
        _must_have_a_model(asked, opened)
        must_truncate([opened], truncation)
        alone = real is None and all(METRICS[item.metric].of_model for item in asked)
        kept = nothing(opened) if alone else open_reals(fake, real, opened, split, progress)
        kept = kept if real_samples is None else first(kept, real_samples)
        asked = once(asked, kept)
        through = open_networks(asked, kept, count_of(opened, samples), weights, download, progress)
        measures = open_measures(asked, weights, download, progress)
        made = draw(opened, samples, seed, truncation, progress)
        features = Features(place, batch, None if out is None else Path(f"{out}.parts"), progress)
        most = real_samples or max(USUAL, samples)
        gan = opened if isinstance(opened, GAN) else None
        known = {
            name: Evidence(features, extractor, kept, made, most, gan, measures) for name, extractor in through.items()
        }  # fmt: skip
        for item in asked:
            if item.metric == "kd-subsets":
                known[network_of(item, kept)].subsets = SUBSETS
        with features.while_accepted():
            scores = [score for item in asked for score in _scores(item, known[network_of(item, kept)])]
        notes = _warnings(kept, made, scores, known)
        networks = _seen_through(known) | {e.name: {"resizer": "", "sha256": e.sha256} for e in measures.values()}
        seconds, about = round(time.perf_counter() - began, 1), environment(place)
        receipt = Receipt(
            tuple(scores), made.origin, kept.origin, networks, about, seconds, tuple(notes), Evidence.seed
        )
        if out is not None and rank() == 0:
            notes += kept_aside(Path(out), receipt)
            receipt.save(out)
            features.forget()
            if _is_run_of(out, fake):
                notes += publish(Path(out).parent, receipt)
            notes += untold(fake)
        for note in notes:
            progress.note(note)
        return receipt


def end_of_training(
    run: Path, store: ImageStore, samples: int, device: torch.device, progress: Progress
) -> Receipt | None:  # fmt: skip
    """The full evaluation of a run on its data, beside it; None where the same model was judged so before.

    Raises as `evaluate` does.
    """
    out, images = run / NAME, json.loads((run / "model" / "config.json").read_text())["training"]["images"]
    known = store.catalogue == "stacked-mnist" or len(store.shape) == 1
    metrics = (*(DEFAULT if len(store.shape) == 3 else ()), *(("modes",) if known else ()))
    if out.is_file():
        before = Receipt.load(out)
        judged = (before.fake.get("images_seen"), before.fake.get("samples")) == (images, samples)
        measured = [score.protocol for score in before.scores]
        if judged and all(any(told.startswith(formula(name)) for told in measured) for name in metrics):
            return None
    return evaluate(run, store, metrics, samples=samples, out=out, device=device.type, progress=progress)


def _seen_through(known: Mapping[str, Evidence]) -> dict[str, dict[str, str]]:
    """The networks of the receipt."""
    networks = [evidence.network for evidence in known.values() if evidence.network.name != PIXELS]
    return {network.name: {"resizer": network.resizer, "sha256": network.sha256} for network in networks}


def _is_run_of(out: str | Path, fake: Subject) -> bool:
    """Whether the receipt lies in the run that was judged."""
    if not isinstance(fake, (str, Path)) or Path(out).name != NAME:
        return False
    run = Path(fake).expanduser()
    whole = all((run / file).is_file() for file in ("summary.json", "env.json", "model/config.json"))
    return whole and Path(out).expanduser().parent.resolve() == run.resolve()


def _names(metrics: Sequence[str] | str, opened: GAN | Images, own: bool) -> list[str]:
    """Those that were asked for, else what the samples allow; `own` are the data of a run."""
    words = metrics.split(",") if isinstance(metrics, str) and metrics else metrics or ()
    names = [word.strip() for word in words]
    if names or len(shape_of(opened)) != 3:
        return list(dict.fromkeys(names)) or ["modes"]
    paired = own and isinstance(opened, Images) and opened.origin.get("counterparts")
    return [*(OF_COUNTERPARTS if paired else ()), *DEFAULT]


def _must_have_a_model(asked: Sequence[Asked], opened: GAN | Images) -> None:
    """Raise ConfigError for metrics of a generator that is not there or that they cannot judge, and for points."""
    for item in asked:
        if METRICS[item.metric].of_model and not isinstance(opened, GAN):
            raise ConfigError(
                f"{item.name} asks a generator, and images have none; judge a run or a model, or leave {item.name} out"
            )
        if (check := METRICS[item.metric].takes) is not None:
            assert isinstance(opened, GAN)
            check(opened)
        if item.metric != "modes" and len(shape_of(opened)) != 3:
            raise ConfigError(f"{item.name} looks at images; points take --metrics modes")


def _scores(asked: Asked, seen: Evidence) -> list[Score]:
    return [_score(part, asked, seen) for part in METRICS[asked.metric].compute(seen)]


def _score(part: Part, asked: Asked, seen: Evidence) -> Score:
    name = part.name if seen.network.name == PIXELS else f"{part.name}-{seen.network.name}"
    if trunk := METRICS[asked.metric].trunk:
        name = f"{part.name}-{trunk}"
    real = None if METRICS[asked.metric].of_model else seen.real
    floor, count = _floor(part, asked.metric, seen)
    called = asked.name if asked.name in ALIASES or part.name == asked.metric else part.name
    return Score(
        name, part.value, protocol(asked, seen), part.better, reals_of(asked, seen), len(seen.fake), part.low,
        part.high, floor, count, called, part.details, real.told if real else "", real.key if real else "",
        seen.fake.origin.get("truncation"),
    )  # fmt: skip


def _floor(part: Part, metric: str, seen: Evidence) -> tuple[float | None, int | None]:
    """What reals get in the place of the fakes, and at which N; None for too few, and where they cannot stand there."""
    about = METRICS[metric]
    if len(seen.real) < 2 * about.least or about.of_model or metric in WITH_COUNTERPARTS:
        return None, None
    if "of_real" in part.details:
        return part.details["of_real"], len(seen.real)
    if metric == "fd":
        return seen.frechet_floor.value, min(seen.frechet_floor.real, seen.frechet_floor.fake)
    if metric in OF_PAIRS:
        values, count = seen.pair_floors
        return values[INFLUENCES.get(part.name, part.name)], count
    found = seen.floors.get(metric)
    if found is None:
        alone = seen.of_reals(about.looks, about.of_pairs)
        try:
            found = {one.name: one.value for one in about.compute(alone)}, len(alone.fake)
        except ConfigError:  # halves are too small for it
            found = {}, 0
        seen.floors[metric] = found
    return (found[0][part.name], found[1]) if part.name in found[0] else (None, None)


def _warnings(real: Images, fake: Images, scores: Sequence[Score], known: dict[str, Evidence]) -> list[str]:
    """What a reader of the numbers should know."""
    sides = [("real", real), ("generated", fake)]
    notes = of_lossy(sides) + of_sameness(sides)
    for seen in known.values():
        if any(score.name.startswith("fd-") for score in scores):
            notes += of_bias(seen.network, min(len(real), len(fake)))
    if fake.origin.get("truncation") is not None:
        notes.append("the samples are truncated: precision rises and recall falls")
    return notes
