"""Rules that read the log alone, at each of its lines: of the players' balance, their steps, and the scores."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import torch

from organza.health import advice, command
from organza.health.evidence import Case, turns
from organza.health.finding import Finding, Rule, advised
from organza.losses import LOSSES

ALWAYS_RIGHT = 0.97  # accuracy of D on both sides
LEAKING = 0.3  # loss of D's accuracy when reals and fakes share a batch
LOW, UNEVEN = 0.1, 10.0  # D's loss over that of a D that cannot tell; the larger loss over the smaller
UNDECIDED = 0.03  # distance of D(x) and D(G(z)) from one half
IDLE, HASTY = 1e-5, 0.05  # step over weight
EXPLODED = 1e4  # level of D's answers
VANISHED = 0.02  # G's gradient over its median
MEMORISED, LOOKS = 0.5, 8  # of the way from training reals to fakes, over so many looks: one sees 64 samples
SWINGING = 3.0  # amplitude of G's loss over its mean
IMPROVES, SETTLED = 0.05, 0.02  # of the score in the last third
CROSS_ENTROPIES = ("non-saturating", "relativistic", "relativistic-average")  # losses that are 0 at best
SCORES = ("score/fd", "score/reverse", "score/high-quality", "score/modes")  # the beginnings of their names


def _explosion(case: Case) -> Iterator[Finding]:
    level = max((abs(case.end(f"logits/{side}") or 0.0) for side in ("real", "fake")), default=0.0)
    if level > EXPLODED:
        yield advised(
            case, "divergence", "problem", f"D's answers have grown to {level:.2g}", "the curves of the logits", "sure",
            "a critic that nothing bounds: no penalty, cut weights or spectral norm", advice.against_growth(case),
        )  # fmt: skip


def _memorising(case: Case) -> Iterator[Finding]:
    gap = case.end("heldout_gap", LOOKS)
    if gap is not None and gap > MEMORISED and case.is_image:
        yield advised(
            case, "memorising discriminator", "warning",
            f"D's answers to images it never saw lie {gap:.0%} of the way from training images to fakes",
            "the curve heldout_gap", "likely", "too little data for so large a D, or for so long a training",
            advice.against_memory(case),
        )  # fmt: skip


def _balance(case: Case) -> Iterator[Finding]:
    """D too strong or too weak; a critic's answers have no zero, so that accuracy says nothing of it."""
    real, fake = case.end("accuracy/real"), case.end("accuracy/fake")
    step, right = case.end("update/discriminator"), min(real or 0.0, fake or 0.0) > ALWAYS_RIGHT
    if step is not None and step < IDLE and not right:
        yield advised(
            case, "weak discriminator", "problem", f"D's steps are {step:.1g} of its weights: it learns nothing",
            "the curve update/discriminator", "sure", "a learning rate or a gradient clip of D that is too small",
            advice.against_weakness(case),
        )  # fmt: skip
    if LOSSES[case.config.loss].border is None or real is None or fake is None:
        return
    if right:
        yield advised(
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
        yield advised(
            case, "low discriminator loss", "note", f"D's loss is {d:.2g}; of a D that cannot tell it is {even:.2g}",
            "the curve loss/discriminator", "possible", "a D that is ahead of G, if its accuracy says so, too",
            advice.against_strength(case),
        )  # fmt: skip
    if g is not None and case.config.loss in CROSS_ENTROPIES and max(d, g) > UNEVEN * min(d, g):
        yield advised(
            case, "loss imbalance", "note", f"D's loss is {d:.2g} and G's is {g:.2g}", "the curves of the losses",
            "possible", "one player is ahead, if D's accuracy says so, too",
            advice.against_strength(case) if g > d else advice.against_weakness(case),
        )  # fmt: skip
    answers = [case.end(key) for key in ("D(x)", "D(G(z))")]
    if not loss.relativistic and not loss.border and all(x is not None and abs(x - 0.5) < UNDECIDED for x in answers):
        yield advised(
            case, "undecided discriminator", "note", f"D(x) is {answers[0]:.2f} and D(G(z)) is {answers[1]:.2f}",
            "the curves of D's answers", "possible", "samples that look real to D, or a D that learns nothing",
            advice.against_weakness(case),
        )  # fmt: skip


def _batch_leak(case: Case) -> Iterator[Finding]:
    leak = case.end("batch_leak")
    if leak is not None and leak > LEAKING and LOSSES[case.config.loss].border is not None:
        yield advised(
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
        yield advised(
            case, "vanishing gradient", "problem", f"G's gradient fell from {usual:.2g} to {end:.2g}",
            "the curve gradient/generator", "likely", "a D that is always right, above all with the loss minimax",
            {"loss": "non-saturating"} if case.config.loss == "minimax" else advice.against_strength(case),
        )  # fmt: skip


def _rates(case: Case) -> Iterator[Finding]:
    usual = advice.usual_config(case)
    for role in ("generator", "discriminator"):
        rate = advice.rate_of(case.config, role)
        if usual is not None and rate > advice.FASTER * advice.rate_of(usual, role):
            yield advised(
                case, "large learning rate", "warning",
                f"the rate {rate:g} of the {role} is {rate / advice.rate_of(usual, role):.0f} times that of the recipe",
                "config.json", "possible", "a rate that was found for another network",
                advice.slower(case, role),
            )  # fmt: skip
        step = case.end(f"update/{role}")  # a single tick may be far off
        if step is not None and step > HASTY:
            yield advised(
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
        yield advised(
            case, "oscillation", "warning", f"G's loss swings by {deviation:.2g} around {statistics.fmean(values):.2g}",
            "the curve loss/generator", "possible", "a game without a penalty circles around its solution",
            advice.against_swings(case),
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


def of_scores(case: Case) -> Iterator[Finding]:
    """Whether to go on."""
    for key, gain, last in gains(case):
        if gain > IMPROVES:
            yield Finding(
                "still improving", "note", f"{key[6:]} got better by {gain:.0%} in the last third, to {last:.4g}",
                f"the curve {key}", "likely", "a budget that ends before the training does", command.go_on(case),
            )  # fmt: skip
        elif gain < SETTLED:
            yield Finding(
                "converged", "note", f"{key[6:]} has been about {last:.4g} for the last third", f"the curve {key}",
                "likely", "this network and these settings give no more", f"organza evaluate {command.place(case)}",
            )  # fmt: skip


OF_THE_LOG: tuple[Rule, ...] = (
    _explosion, _memorising, _balance, _classical, _batch_leak, _vanishing, _rates, _oscillation
)  # fmt: skip
