"""What is wrong with a run, as far as its log, its samples and its data tell: `organza doctor RUN`.

Each rule reads evidence and names what it found, where one sees it, how sure that is, likely causes, and a command to
try next. The borders were set on runs that were broken on purpose and on healthy ones: `benchmarks/doctor.py`, whose
table is in docs/doctor.md. Between two runs of one recipe a curve is compared better by eye than by any border.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import torch

from organza.config import Changes
from organza.data.progress import SILENT, Progress
from organza.health import advice
from organza.health.evidence import (
    Case,
    at_the_ends,
    config_in_force,
    distinct_share,
    gather,
    high_frequencies,
    spread_of_values,
    turns,
)
from organza.losses import LOSSES
from organza.report.folder import read_folder
from organza.training.run import Run, write_json

Status = Literal["problem", "warning", "note"]
Confidence = Literal["sure", "likely", "possible"]

NAME = "diagnosis.json"
SETTLES = 12  # lines of the log before which curves and samples tell nothing
FEW_IMAGES = 1_000
REPEATED = 0.9  # least share of different samples
DIM = 64  # least distance of the darkest and the brightest value, of 255
COLLAPSED, NARROW = 0.15, 0.4  # diversity of samples over that of reals: full, partial collapse
LOST_MODES = 0.9  # least share of the modes of a mixture
CLASS_COLLAPSED = 0.25  # diversity of a class over the median class
ALWAYS_RIGHT = 0.97  # accuracy of D on both sides
LEAKING = 0.3  # loss of D's accuracy when reals and fakes share a batch
LOW, UNEVEN = 0.1, 10.0  # D's loss over that of a D that cannot tell; the larger loss over the smaller
UNDECIDED = 0.03  # distance of D(x) and D(G(z)) from one half
IDLE, HASTY = 1e-5, 0.05  # step over weight
EXPLODED = 1e4  # level of D's answers
VANISHED = 0.02  # G's gradient over its median
MEMORISED = 0.5  # gap of D's answers to training and held-out reals, in deviations
SATURATED = 0.15  # more values at the ends of the range than reals have
CHECKERED = 4.0  # power at half the sampling rate over that of reals
SWINGING = 3.0  # amplitude of G's loss over its mean
IMPROVES, SETTLED = 0.05, 0.02  # of the score in the last third
CROSS_ENTROPIES = ("non-saturating", "relativistic", "relativistic-average")  # losses that are 0 at best
SCORES = ("score/fd", "score/reverse", "score/high-quality", "score/modes")  # the beginnings of their names


@dataclass(frozen=True)
class Finding:
    """What was found in a run, the evidence with its figures, and what to do.

    `shown` names the curve or picture of the report that shows it; `advice` is a command, ready to type, which trains
    anew with `changes` to the configuration where there are any.
    """

    name: str
    status: Status
    told: str
    shown: str
    confidence: Confidence
    causes: str
    advice: str
    changes: Changes = field(default_factory=dict)


Rule = Callable[[Case], Iterator[Finding]]


def diagnose(path: str | Path, progress: Progress = SILENT) -> list[Finding]:
    """Every finding about the run in the folder `path`, problems first; nothing but notes for a healthy one.

    Raises ConfigError where there is no run.
    """
    case = gather(path, progress)
    found: list[Finding] = []
    rules = AT_ONCE if _is_young(case) else RULES
    for number, rule in enumerate(rules, 1):
        found += rule(case)
        progress.step("rules", number, len(rules))
    found = list({(finding.name, finding.told): finding for finding in found}.values())
    ill = any(finding.status != "note" for finding in found)
    kept = [finding for finding in found if not (ill and finding.name == "converged")]
    return sorted(kept, key=lambda finding: ("problem", "warning", "note").index(finding.status))


def early_alarms(path: Path) -> list[Finding]:
    """Problems and warnings that the log of a run alone tells, while it trains; quick enough for every checkpoint."""
    run = read_folder(path)
    case = Case(run, config_in_force(run, Run(path).config), None, None)
    return [] if _is_young(case) else alarms(case)


def alarms(case: Case) -> list[Finding]:
    """Problems and warnings, the gravest first, by the rules that the parts of a case allow."""
    rules = OF_THE_LOG + (OF_SAMPLES if case.gan is not None else ())
    found = [finding for rule in rules for finding in rule(case) if finding.status != "note"]
    return sorted(found, key=lambda finding: ("problem", "warning").index(finding.status))


def _is_young(case: Case) -> bool:
    return len(case.run.series.get("loss/generator", ())) < SETTLES


def write_diagnosis(path: str | Path, findings: list[Finding]) -> Path:
    """Keep findings beside the run, for its report; the file that was written."""
    file = Path(path).expanduser() / NAME
    write_json(file, {"findings": [asdict(finding) for finding in findings]})
    return file


def _finding(
    case: Case, name: str, status: Status, told: str, shown: str, confidence: Confidence, causes: str,
    changes: Changes | None = None,
) -> Finding:  # fmt: skip
    """A finding whose advice is to train anew with changes; without any, to look at the data."""
    changes = changes or {}
    return Finding(name, status, told, shown, confidence, causes, advice.train_again(case, changes), changes)


def _divergence(case: Case) -> Iterator[Finding]:
    if case.run.status == "failed" or any("not finite" in note for note in case.run.notes):
        yield _finding(
            case, "divergence", "note" if case.mended("divergence") else "problem",
            next((n for n in case.run.notes if "not finite" in n), "the run failed"), "the notes and the losses",
            "sure", "a learning rate that is too high, bfloat16, or a penalty without bound",
            advice.slower(case, *advice.ROLES),
        )  # fmt: skip


def _explosion(case: Case) -> Iterator[Finding]:
    level = max((abs(case.end(f"logits/{side}") or 0.0) for side in ("real", "fake")), default=0.0)
    if level > EXPLODED:
        yield _finding(
            case, "divergence", "problem", f"D's answers have grown to {level:.2g}", "the curves of the logits", "sure",
            "a critic that nothing bounds: no penalty, cut weights or spectral norm", advice.against_growth(case),
        )  # fmt: skip


def _data(case: Case) -> Iterator[Finding]:
    if case.store is None:
        return
    count = len(case.store)
    if case.is_image:
        low, high = spread_of_values(case.real)
        if high - low < DIM:
            yield _finding(
                case, "data range", "problem",
                f"all values of the data lie between {low:.0f} and {high:.0f} of 0 to 255",
                "the picture of reals", "sure", "images that were divided by 255 and then stored as whole numbers",
            )  # fmt: skip
    if (distinct := case.distinct) < REPEATED:
        yield _finding(
            case, "duplicates", "warning",
            f"only {distinct:.0%} of the samples are different ones", "organza data check",
            "sure", "copies in the folder, frames of a video, or augmentation that was written to disk",
        )  # fmt: skip
    if case.is_image and count * distinct < FEW_IMAGES and not case.config.augment.policy:
        yield _finding(
            case, "little data", "warning",
            f"{count * distinct:.0f} different images, and no augmentation", "the header",
            "sure", "D learns so few by heart, and G then copies them or falls apart",
            advice.against_memory(case),
        )  # fmt: skip


def _memorising(case: Case) -> Iterator[Finding]:
    gap = case.end("heldout_gap")
    if gap is not None and gap > MEMORISED and case.is_image:
        yield _finding(
            case, "memorising discriminator", "warning",
            f"D's answers to training images are {gap:.2f} deviations above those to images it never saw",
            "the curve heldout_gap", "likely", "too little data for so large a D, or for so long a training",
            advice.against_memory(case),
        )  # fmt: skip


def _collapse(case: Case) -> Iterator[Finding]:
    if case.gan is None or case.store is None or case.run.status == "failed":
        return
    modes, total = case.end("score/modes"), {"ring": 8, "grid": 25}.get(case.store.catalogue)
    if modes is not None and total is not None and modes < LOST_MODES * total:
        share, told = modes / total, f"samples show {modes:.0f} of the {total} modes of the data"
    elif case.diversity < (COLLAPSED if any(gain > IMPROVES for _, gain, _ in gains(case)) else NARROW):
        share = case.diversity
        told = f"two samples are {share:.2f} times as far apart as two of the data, in the features {_through(case)}"
        told += f"; {case.coverage:.0%} of the data have a sample near them"
    else:
        return
    full = share < COLLAPSED
    yield _finding(
        case, "mode collapse", "problem" if full else "warning",
        f"{'all samples look alike' if full else 'a part of the data is missing'}: {told}",
        "the grids of samples", "likely" if full else "possible", _why_collapsed(case),
        advice.against_collapse(case),
    )  # fmt: skip


def _unique(case: Case) -> Iterator[Finding]:
    if case.gan is None or case.run.status == "failed":
        return
    if (share := distinct_share(case.fake)) < REPEATED:
        yield _finding(
            case, "few unique samples", "problem",
            f"of {len(case.fake)} samples only {round(share * len(case.fake))} are different, value by value",
            "the grids of samples", "likely", "a G that no longer listens to its noise", advice.against_collapse(case),
        )  # fmt: skip


def _class_collapse(case: Case) -> Iterator[Finding]:
    if case.run.status == "failed":
        return
    poor = {name: value for name, value in case.class_diversity().items() if value < CLASS_COLLAPSED}
    if poor:
        names = ", ".join(f"'{name}' ({value:.2f})" for name, value in poor.items())
        yield _finding(
            case, "class collapse", "warning", f"samples of {names} vary little, beside 1 for the median class",
            "the grid of samples, by class", "likely", "few or equal training images of this class",
        )  # fmt: skip


def _balance(case: Case) -> Iterator[Finding]:
    """D too strong or too weak; a critic's answers have no zero, so that accuracy says nothing of it."""
    real, fake = case.end("accuracy/real"), case.end("accuracy/fake")
    step, right = case.end("update/discriminator"), min(real or 0.0, fake or 0.0) > ALWAYS_RIGHT
    if step is not None and step < IDLE and not right:
        yield _finding(
            case, "weak discriminator", "problem", f"D's steps are {step:.1g} of its weights: it learns nothing",
            "the curve update/discriminator", "sure", "a learning rate or a gradient clip of D that is too small",
            advice.against_weakness(case),
        )  # fmt: skip
    if LOSSES[case.config.loss].border is None or real is None or fake is None:
        return
    if right:
        yield _finding(
            case, "strong discriminator", "warning",
            f"D is right about {real:.1%} of the reals and {fake:.1%} of the fakes", "the curves of D's accuracy",
            "likely", "a D that is larger or faster than G, or little data",
            advice.against_strength(case),
        )  # fmt: skip


def _classical(case: Case) -> Iterator[Finding]:
    """The checks of the tutorials. Notes: what is much depends on the loss, and the rules above know more."""
    loss = LOSSES[case.config.loss]
    d, g = case.end("loss/discriminator"), case.end("loss/generator")
    if loss.border is None or d is None or case.run.status == "failed":
        return
    unsure = torch.full((2,), loss.border)
    if d < LOW * (even := float(loss.discriminator(unsure, unsure))):
        yield _finding(
            case, "low discriminator loss", "note", f"D's loss is {d:.2g}; of a D that cannot tell it is {even:.2g}",
            "the curve loss/discriminator", "possible", "a D that is ahead of G, if its accuracy says so, too",
            advice.against_strength(case),
        )  # fmt: skip
    if g is not None and case.config.loss in CROSS_ENTROPIES and max(d, g) > UNEVEN * min(d, g):
        yield _finding(
            case, "loss imbalance", "note", f"D's loss is {d:.2g} and G's is {g:.2g}", "the curves of the losses",
            "possible", "one player is ahead, if D's accuracy says so, too",
            advice.against_strength(case) if g > d else advice.against_weakness(case),
        )  # fmt: skip
    answers = [case.end(key) for key in ("D(x)", "D(G(z))")]
    if not loss.relativistic and not loss.border and all(x is not None and abs(x - 0.5) < UNDECIDED for x in answers):
        yield _finding(
            case, "undecided discriminator", "note", f"D(x) is {answers[0]:.2f} and D(G(z)) is {answers[1]:.2f}",
            "the curves of D's answers", "possible", "samples that look real to D, or a D that learns nothing",
            advice.against_weakness(case),
        )  # fmt: skip


def _batch_leak(case: Case) -> Iterator[Finding]:
    leak = case.end("batch_leak")
    if leak is not None and leak > LEAKING and LOSSES[case.config.loss].border is not None:
        yield _finding(
            case, "batch norm leakage", "warning",
            f"D's accuracy falls by {leak:.0%} when reals and fakes share a batch",
            "the curve batch_leak", "likely", "D's batch norm tells it what the whole batch is, not what a sample is",
            {"discriminator.model.norm": "none"},
        )  # fmt: skip


def _vanishing(case: Case) -> Iterator[Finding]:
    norms = case.values("gradient/generator")
    if len(norms) < 8 or case.run.status == "failed":
        return
    usual, end = statistics.median(norms[: len(norms) // 2]), statistics.median(norms[-len(norms) // 4 :])
    if end < VANISHED * usual:
        yield _finding(
            case, "vanishing gradient", "problem", f"G's gradient fell from {usual:.2g} to {end:.2g}",
            "the curve gradient/generator", "likely", "a D that is always right, above all with the loss minimax",
            {"loss": "non-saturating"} if case.config.loss == "minimax" else advice.against_strength(case),
        )  # fmt: skip


def _rates(case: Case) -> Iterator[Finding]:
    usual = advice.usual_config(case)
    for role in ("generator", "discriminator"):
        rate = advice.rate_of(case.config, role)
        if usual is not None and rate > advice.FASTER * advice.rate_of(usual, role):
            yield _finding(
                case, "large learning rate", "warning",
                f"the rate {rate:g} of the {role} is {rate / advice.rate_of(usual, role):.0f} times that of the recipe",
                "config.json", "possible", "a rate that was found for another network",
                advice.slower(case, role),
            )  # fmt: skip
        step = case.end(f"update/{role}")  # a single tick may be far off
        if step is not None and step > HASTY:
            yield _finding(
                case, "large learning rate", "warning", f"steps of the {role} are {step:.1%} of its weights",
                f"the curve update/{role}", "likely", "a learning rate that is too high for this network",
                advice.slower(case, role),
            )  # fmt: skip


def _oscillation(case: Case) -> Iterator[Finding]:
    """Slow waves of the loss that are far larger than its level; noise from tick to tick has many more turns."""
    values = case.values("loss/generator")
    values = values[len(values) // 2 :]
    if len(values) < 8:
        return
    deviation, level = statistics.pstdev(values), abs(statistics.fmean(values))
    if deviation > SWINGING * max(level, 0.1) and turns(values) < len(values) / 2:
        yield _finding(
            case, "oscillation", "warning", f"G's loss swings by {deviation:.2g} around {statistics.fmean(values):.2g}",
            "the curve loss/generator", "possible", "a game without a penalty circles around its solution",
            advice.against_swings(case),
        )  # fmt: skip


def _pixels(case: Case) -> Iterator[Finding]:
    if case.gan is None or case.store is None or not case.is_image or case.run.status == "failed":
        return
    more = at_the_ends(case.fake) - at_the_ends(case.real)
    if more > SATURATED:
        yield _finding(
            case, "saturation", "warning", f"{more:.0%} more values than in the data are black or white",
            "the grid of samples", "likely", "G's last layer drives its tanh to the ends; a rate that is too high",
            advice.slower(case, "generator", by=4),
        )  # fmt: skip
    ratio = high_frequencies(case.fake) / max(high_frequencies(case.real), 1e-6)
    if ratio > CHECKERED and "upsample" in case.config.generator.model.options:
        yield _finding(
            case, "checkerboard", "warning", f"samples have {ratio:.1f} times the power of reals at the finest stripes",
            "the right end of the picture of the spectrum", "possible",
            "transposed convolutions whose kernels overlap unevenly, or a young G",
            {"generator.model.upsample": "nearest"},
        )  # fmt: skip


def gains(case: Case) -> Iterator[tuple[str, float, float]]:
    """Of each score: its name, by which share it got better in the last third of the run, and where it stands."""
    for key in (key for key in case.run.series if key.startswith(SCORES)):
        better = max if key.startswith(SCORES[2:]) else min
        values = case.values(key)
        third = max(len(values) // 3, 1)
        if len(values) >= 3:
            before, last = better(values[:-third]), better(values[-third:])
            yield key, (before - last if better is min else last - before) / max(abs(before), 1e-12), last


def _progress(case: Case) -> Iterator[Finding]:
    """Whether to go on."""
    for key, gain, last in gains(case):
        if gain > IMPROVES:
            yield Finding(
                "still improving", "note", f"{key[6:]} got better by {gain:.0%} in the last third, to {last:.4g}",
                f"the curve {key}", "likely", "a budget that ends before the training does", advice.go_on(case),
            )  # fmt: skip
        elif gain < SETTLED:
            yield Finding(
                "converged", "note", f"{key[6:]} has been about {last:.4g} for the last third", f"the curve {key}",
                "likely", "this network and these settings give no more", f"organza evaluate {advice.place(case)}",
            )  # fmt: skip


def _early(case: Case) -> Iterator[Finding]:
    if _is_young(case) and case.run.status != "failed":
        lines = len(case.run.series.get("loss/generator", ()))
        yield Finding(
            "too early", "note", f"the log has {lines} lines, and curves and samples are judged from {SETTLES} on",
            "log.jsonl", "sure", f"a run of {case.run.images} images, with a line every {case.config.output.log}",
            advice.go_on(case),
        )  # fmt: skip


def _unseen(case: Case) -> Iterator[Finding]:
    for reason in case.missing:
        yield Finding("not looked at", "note", reason, "", "sure", "", "")


OF_THE_LOG: tuple[Rule, ...] = (
    _explosion, _memorising, _balance, _classical, _batch_leak, _vanishing, _rates, _oscillation
)  # fmt: skip
AT_ONCE: tuple[Rule, ...] = (_divergence, _data, _early, _unseen)
OF_SAMPLES: tuple[Rule, ...] = (_data, _collapse, _unique, _class_collapse, _pixels)
RULES: tuple[Rule, ...] = (_divergence, *OF_THE_LOG, *OF_SAMPLES, _progress, _unseen)


def _through(case: Case) -> str:
    return f"of the network {case.network}" if case.is_image else "of their coordinates"


def _why_collapsed(case: Case) -> str:
    told = "G found samples that D of the moment takes for real, and stays there"
    return f"{told}; G takes {case.config.generator.turns} turns a step" if case.config.generator.turns > 1 else told
