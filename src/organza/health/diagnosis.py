"""What is wrong with a run, as far as its log, its samples and its data tell: `organza doctor RUN`.

Each rule reads evidence and names what it found, where one sees it, how sure that is, likely causes, and a command to
try next. The borders were set on runs that were broken on purpose and on healthy ones: `benchmarks/doctor.py`, whose
table is in docs/doctor.md. Between two runs of one recipe a curve is compared better by eye than by any border.
"""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from organza.data.progress import SILENT, Progress
from organza.health.advice import go_on, place, rate_of, train_again, usual_config
from organza.health.evidence import Case, at_the_ends, gather, high_frequencies, spread_of_values, turns
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
FASTER = 10.0  # than the recipe's own learning rate
IDLE, HASTY = 1e-5, 0.05  # step over weight
EXPLODED = 1e4  # level of D's answers
VANISHED = 0.02  # G's gradient over its median
MEMORISED = 0.5  # gap of D's answers to training and held-out reals, in deviations
SATURATED = 0.15  # more values at the ends of the range than reals have
CHECKERED = 4.0  # power at half the sampling rate over that of reals
SWINGING = 3.0  # amplitude of G's loss over its mean
IMPROVES, SETTLED = 0.05, 0.02  # of the score in the last third


@dataclass(frozen=True)
class Finding:
    """What was found in a run, the evidence with its figures, and what to do.

    `shown` names the curve or picture of the report that shows it; `advice` is a command, ready to type.
    """

    name: str
    status: Status
    told: str
    shown: str
    confidence: Confidence
    causes: str
    advice: str


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
    case = Case(read_folder(path), Run(path).config, None, None)
    if _is_young(case):
        return []
    return [finding for rule in OF_THE_LOG for finding in rule(case) if finding.status != "note"]


def _is_young(case: Case) -> bool:
    return len(case.values("loss/generator")) < SETTLES


def write_diagnosis(path: str | Path, findings: list[Finding]) -> Path:
    """Keep findings beside the run, for its report; the file that was written."""
    file = Path(path).expanduser() / NAME
    write_json(file, {"findings": [asdict(finding) for finding in findings]})
    return file


def _divergence(case: Case) -> Iterator[Finding]:
    if case.run.status == "failed" or any("not finite" in note for note in case.run.notes):
        rate = rate_of(case.config, "generator")
        yield Finding(
            "divergence", "problem", next((n for n in case.run.notes if "not finite" in n), "the run failed"),
            "the notes and the losses", "sure", "a learning rate that is too high, float16, or a penalty without bound",
            train_again(case, f"--generator.optimizer.lr {rate / 10:.3g} --discriminator.optimizer.lr {rate / 10:.3g} "
                         "--precision float32"),
        )  # fmt: skip


def _explosion(case: Case) -> Iterator[Finding]:
    level = max((abs(case.end(f"logits/{side}") or 0.0) for side in ("real", "fake")), default=0.0)
    if level > EXPLODED:
        yield Finding(
            "divergence", "problem", f"D's answers have grown to {level:.2g}", "the curves of the logits", "sure",
            "a critic that nothing bounds: no penalty, cut weights or spectral norm",
            train_again(case, "--discriminator.penalties gradient-norm"),
        )  # fmt: skip


def _data(case: Case) -> Iterator[Finding]:
    if case.store is None:
        return
    count = len(case.store)
    if case.is_image:
        low, high = spread_of_values(case.real)
        if high - low < DIM:
            yield Finding(
                "data range", "problem", f"all values of the data lie between {low:.0f} and {high:.0f} of 0 to 255",
                "the picture of reals", "sure", "images that were divided by 255 and then stored as whole numbers",
                f"organza data check {shlex.quote(case.config.data.source)}",
            )  # fmt: skip
    if (distinct := case.distinct) < REPEATED:
        yield Finding(
            "duplicates", "warning", f"only {distinct:.0%} of the samples are different ones", "organza data check",
            "sure", "copies in the folder, frames of a video, or augmentation that was written to disk",
            f"organza data check {shlex.quote(case.config.data.source)}",
        )  # fmt: skip
    if case.is_image and count * distinct < FEW_IMAGES and not case.config.augment.policy:
        yield Finding(
            "little data", "warning", f"{count * distinct:.0f} different images, and no augmentation", "the header",
            "sure", "D learns so few by heart, and G then copies them or falls apart",
            train_again(case, "--augment.policy color,translation,cutout"),
        )  # fmt: skip


def _memorising(case: Case) -> Iterator[Finding]:
    gap = case.end("heldout_gap")
    if gap is not None and gap > MEMORISED and case.is_image:
        yield Finding(
            "memorising discriminator", "warning",
            f"D's answers to training images are {gap:.2f} deviations above those to images it never saw",
            "the curve heldout_gap", "likely", "too little data for so large a D, or for so long a training",
            train_again(case, "--augment.policy color,translation,cutout"),
        )  # fmt: skip


def _collapse(case: Case) -> Iterator[Finding]:
    if case.gan is None or case.store is None or case.run.status == "failed":
        return
    modes, total = case.end("score/modes"), {"ring": 8, "grid": 25}.get(case.store.catalogue)
    if modes is not None and total is not None and modes < LOST_MODES * total:
        share, told = modes / total, f"samples show {modes:.0f} of the {total} modes of the data"
    elif case.diversity < (COLLAPSED if any(gain > IMPROVES for _, gain, _ in _gains(case)) else NARROW):
        share = case.diversity
        told = f"two samples are {share:.2f} times as far apart as two of the data, in the features {_through(case)}"
        told += f"; {case.coverage:.0%} of the data have a sample near them"
    else:
        return
    full = share < COLLAPSED
    yield Finding(
        "mode collapse", "problem" if full else "warning",
        f"{'all samples look alike' if full else 'a part of the data is missing'}: {told}",
        "the grids of samples", "likely" if full else "possible", _why_collapsed(case),
        train_again(case, _against_collapse(case)),
    )  # fmt: skip


def _class_collapse(case: Case) -> Iterator[Finding]:
    if case.run.status == "failed":
        return
    poor = {name: value for name, value in case.class_diversity().items() if value < CLASS_COLLAPSED}
    if poor:
        names = ", ".join(f"'{name}' ({value:.2f})" for name, value in poor.items())
        yield Finding(
            "class collapse", "warning", f"samples of {names} vary little, beside 1 for the median class",
            "the grid of samples, by class", "likely", "few or equal training images of this class",
            f"organza data check {shlex.quote(case.config.data.source)}",
        )  # fmt: skip


def _balance(case: Case) -> Iterator[Finding]:
    """D too strong or too weak; a critic's answers have no zero, so that accuracy says nothing of it."""
    real, fake = case.end("accuracy/real"), case.end("accuracy/fake")
    step, right = case.end("update/discriminator"), min(real or 0.0, fake or 0.0) > ALWAYS_RIGHT
    if step is not None and step < IDLE and not right:
        rate = rate_of(case.config, "discriminator")
        yield Finding(
            "weak discriminator", "problem", f"D's steps are {step:.1g} of its weights: it learns nothing",
            "the curve update/discriminator", "sure", "a learning rate or a gradient clip of D that is too small",
            train_again(case, f"--discriminator.optimizer.lr {max(rate_of(case.config, 'generator'), 10 * rate):.3g}"),
        )  # fmt: skip
    if LOSSES[case.config.loss].border is None or real is None or fake is None:
        return
    if right:
        yield Finding(
            "strong discriminator", "warning",
            f"D is right about {real:.1%} of the reals and {fake:.1%} of the fakes", "the curves of D's accuracy",
            "likely", "a D that is larger or faster than G, or little data",
            train_again(case, "--discriminator.penalties r1 --noise 0.1"),
        )  # fmt: skip


def _batch_leak(case: Case) -> Iterator[Finding]:
    leak = case.end("batch_leak")
    if leak is not None and leak > LEAKING and LOSSES[case.config.loss].border is not None:
        yield Finding(
            "batch norm leakage", "warning", f"D's accuracy falls by {leak:.0%} when reals and fakes share a batch",
            "the curve batch_leak", "likely", "D's batch norm tells it what the whole batch is, not what a sample is",
            train_again(case, "--discriminator.model.norm none"),
        )  # fmt: skip


def _vanishing(case: Case) -> Iterator[Finding]:
    norms = case.values("gradient/generator")
    if len(norms) < 8 or case.run.status == "failed":
        return
    usual, end = statistics.median(norms[: len(norms) // 2]), statistics.median(norms[-len(norms) // 4 :])
    if end < VANISHED * usual:
        yield Finding(
            "vanishing gradient", "problem", f"G's gradient fell from {usual:.2g} to {end:.2g}",
            "the curve gradient/generator", "likely", "a D that is always right, above all with the loss minimax",
            train_again(case, "--loss non-saturating"),
        )  # fmt: skip


def _rates(case: Case) -> Iterator[Finding]:
    usual = usual_config(case)
    for role in ("generator", "discriminator"):
        rate = rate_of(case.config, role)
        if usual is not None and rate > FASTER * rate_of(usual, role):
            yield Finding(
                "large learning rate", "warning",
                f"the rate {rate:g} of the {role} is {rate / rate_of(usual, role):.0f} times that of the recipe",
                "config.json", "possible", "a rate that was found for another network",
                train_again(case, f"--{role}.optimizer.lr {rate_of(usual, role):g}"),
            )  # fmt: skip
        step = case.end(f"update/{role}")  # a single tick may be far off
        if step is not None and step > HASTY:
            yield Finding(
                "large learning rate", "warning", f"steps of the {role} are {step:.1%} of its weights",
                f"the curve update/{role}", "likely", "a learning rate that is too high for this network",
                train_again(case, f"--{role}.optimizer.lr {rate_of(case.config, role) / 10:.3g}"),
            )  # fmt: skip


def _oscillation(case: Case) -> Iterator[Finding]:
    """Slow waves of the loss that are far larger than its level; noise from tick to tick has many more turns."""
    values = case.values("loss/generator")
    values = values[len(values) // 2 :]
    if len(values) < 8:
        return
    deviation, level = statistics.pstdev(values), abs(statistics.fmean(values))
    if deviation > SWINGING * max(level, 0.1) and turns(values) < len(values) / 2:
        yield Finding(
            "oscillation", "warning", f"G's loss swings by {deviation:.2g} around {statistics.fmean(values):.2g}",
            "the curve loss/generator", "possible", "a game without a penalty circles around its solution",
            train_again(case, "--discriminator.penalties r1"),
        )  # fmt: skip


def _pixels(case: Case) -> Iterator[Finding]:
    if case.gan is None or case.store is None or not case.is_image or case.run.status == "failed":
        return
    more = at_the_ends(case.fake) - at_the_ends(case.real)
    if more > SATURATED:
        yield Finding(
            "saturation", "warning", f"{more:.0%} more values than in the data are black or white",
            "the grid of samples", "likely", "G's last layer drives its tanh to the ends; a rate that is too high",
            train_again(case, f"--generator.optimizer.lr {rate_of(case.config, 'generator') / 4:.3g}"),
        )  # fmt: skip
    ratio = high_frequencies(case.fake) / max(high_frequencies(case.real), 1e-6)
    if ratio > CHECKERED and "upsample" in case.config.generator.model.options:
        yield Finding(
            "checkerboard", "warning", f"samples have {ratio:.1f} times the power of reals at the finest stripes",
            "the grid of samples", "possible", "transposed convolutions whose kernels overlap unevenly, or a young G",
            train_again(case, "--generator.model.upsample nearest"),
        )  # fmt: skip


def _gains(case: Case) -> Iterator[tuple[str, float, float]]:
    """Of each score of which less is better: its name, what the last third of the run gained, and where it stands."""
    for key in (key for key in case.run.series if key.startswith(("score/fd", "score/reverse"))):
        values = case.values(key)
        third = max(len(values) // 3, 1)
        if len(values) >= 3:
            before, last = min(values[:-third]), min(values[-third:])
            yield key, (before - last) / max(abs(before), 1e-12), last


def _progress(case: Case) -> Iterator[Finding]:
    """Whether to go on."""
    for key, gain, last in _gains(case):
        if gain > IMPROVES:
            yield Finding(
                "still improving", "note", f"{key[6:]} fell by {gain:.0%} in the last third, to {last:.4g}",
                f"the curve {key}", "likely", "a budget that ends before the training does", go_on(case),
            )  # fmt: skip
        elif gain < SETTLED:
            yield Finding(
                "converged", "note", f"{key[6:]} has been about {last:.4g} for the last third", f"the curve {key}",
                "likely", "this network and these settings give no more", f"organza evaluate {place(case)}",
            )  # fmt: skip


def _early(case: Case) -> Iterator[Finding]:
    if _is_young(case) and case.run.status != "failed":
        lines = len(case.values("loss/generator"))
        yield Finding(
            "too early", "note", f"the log has {lines} lines, and curves and samples are judged from {SETTLES} on",
            "log.jsonl", "sure", f"a run of {case.run.images} images, with a line every {case.config.output.log}",
            go_on(case),
        )  # fmt: skip


def _unseen(case: Case) -> Iterator[Finding]:
    for reason in case.missing:
        yield Finding("not looked at", "note", reason, "", "sure", "", "")


OF_THE_LOG: tuple[Rule, ...] = (
    _explosion, _memorising, _balance, _batch_leak, _vanishing, _rates, _oscillation
)  # fmt: skip
AT_ONCE: tuple[Rule, ...] = (_divergence, _data, _early, _unseen)
RULES: tuple[Rule, ...] = (
    _divergence, *OF_THE_LOG, _data, _collapse, _class_collapse, _pixels, _progress, _unseen
)  # fmt: skip


def _through(case: Case) -> str:
    return f"of the network {case.network}" if case.is_image else "of their coordinates"


def _why_collapsed(case: Case) -> str:
    told = "G found samples that D of the moment takes for real, and stays there"
    return f"{told}; G takes {case.config.generator.turns} turns a step" if case.config.generator.turns > 1 else told


def _against_collapse(case: Case) -> str:
    """What is not in use yet: fewer turns of G, then a penalty, then noise."""
    if case.config.generator.turns > 1:
        return "--generator.turns 1"
    penalised = {penalty.name for penalty in case.config.discriminator.penalties}
    return "--noise 0.1" if "r1" in penalised else "--discriminator.penalties r1 --noise 0.1"
